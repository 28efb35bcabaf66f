package fuse

import (
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// fileType returns the type bits of a mode.
func fileType(k fs.Kind) uint32 {
	if k == fs.Directory {
		return syscall.S_IFDIR
	}
	return syscall.S_IFREG
}

// plainSize is the size in bytes that stat(2) shows of a file whose size means
// nothing, as for those of sysfs. The kernel takes a file of size 0 for empty
// when it is spliced, without asking; programs take a whole page for no size.
const plainSize = 4096

// setAttr fills in what stat(2) shows. A directory has one link, so that
// find(1) does not count on the links of its subdirectories.
func setAttr(a *gofuse.Attr, st *fs.Stat) {
	const block = 512 // of st_blocks, bytes
	a.Ino = st.Qid.Path
	a.Size = uint64(st.Size)
	if k := st.Qid.Kind; st.Size == 0 && (k == fs.Text || k.Waits()) {
		a.Size = plainSize
	}
	a.Blocks = (a.Size + block - 1) / block
	a.Mode = st.Mode&0o777 | fileType(st.Qid.Kind)
	a.Nlink = 1
	a.Uid, a.Gid = st.UID, st.GID
	a.Blksize = plainSize
	a.Atime, a.Atimensec = split(st.Atime)
	a.Mtime, a.Mtimensec = split(st.Mtime)
	a.Ctime, a.Ctimensec = a.Mtime, a.Mtimensec
}

func split(t time.Time) (s uint64, ns uint32) {
	if t.IsZero() {
		return 0, 0
	}
	return uint64(t.Unix()), uint32(t.Nanosecond())
}

// GetAttr is stat(2), and, if it names an open file, the first half of
// lseek(2) to the end.
func (s *server) GetAttr(cancel <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	n := s.nodes.get(in.NodeId)
	if n == nil {
		return errStale
	}
	r := s.begin(cancel, &in.InHeader, n)
	defer r.free()
	status := s.stat(&r.call, n, out)
	if in.Flags()&gofuse.FUSE_GETATTR_FH == 0 || !status.Ok() {
		return status
	}
	f := s.files.get(in.Fh())
	if f == nil {
		return status
	}
	defer f.done(s)
	if !n.sized.Load() && (f.kind == fs.Text || f.kind == fs.Ctl) {
		size, err := s.length(cancel, f, &in.InHeader)
		if err != nil {
			return status
		}
		if out.Size = size; size == 0 {
			s.notify(incEpoch) // who comes next must not take it for empty
		}
	}
	return status
}

func (s *server) stat(c *fs.Call, n *node, out *gofuse.AttrOut) gofuse.Status {
	st, err := n.file.Stat(c)
	if err != nil {
		return s.status(err)
	}
	n.seen(&st)
	out.SetTimeout(attrFor(st.Qid.Kind))
	setAttr(&out.Attr, &st)
	return gofuse.OK
}

// incEpoch is the notification that no name is to be trusted any more
// (FUSE_NOTIFY_INC_EPOCH, Linux 6.16), for when a directory was closed to
// others, for one. Older kernels learn that within nameTime.
const incEpoch = 8

// SetAttr is chmod, chown, truncate and utimes in one.
func (s *server) SetAttr(cancel <-chan struct{}, in *gofuse.SetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	n := s.nodes.get(in.NodeId)
	if n == nil {
		return errStale
	}
	ch := change(in)
	user := s.users.ByUID(in.InHeader.Uid, in.InHeader.Gid)
	if fh, open := in.GetFh(); open && ch.Set == fs.SetSize { // the opener's right
		if f := s.files.get(fh); f != nil {
			defer f.done(s)
			user = f.user
		}
	}
	r := s.request(user, &in.InHeader, nil, false)
	r.watch(cancel, n)
	defer r.free()
	if ch.Set != 0 {
		if err := n.file.Change(&r.call, ch); err != nil {
			return s.status(err)
		}
	}
	if ch.Set&fs.SetMode != 0 && n.file.Qid().Kind == fs.Directory {
		s.notify(incEpoch)
	}
	return s.stat(&r.call, n, out)
}

func change(in *gofuse.SetAttrIn) fs.Change {
	ch := fs.Change{Op: fs.OpSet, Mode: in.Mode & 0o777, UID: in.Uid, GID: in.Gid, Size: int64(in.Size)}
	for _, v := range [...]struct {
		valid uint32
		set   fs.SetMask
	}{
		{gofuse.FATTR_MODE, fs.SetMode},
		{gofuse.FATTR_UID, fs.SetUID},
		{gofuse.FATTR_GID, fs.SetGID},
		{gofuse.FATTR_SIZE, fs.SetSize},
		{gofuse.FATTR_ATIME | gofuse.FATTR_MTIME, fs.SetTime},
	} {
		if in.Valid&v.valid != 0 {
			ch.Set |= v.set
		}
	}
	return ch
}

// Access is access(2) and chdir(2).
func (s *server) Access(cancel <-chan struct{}, in *gofuse.AccessIn) gofuse.Status {
	n := s.nodes.get(in.NodeId)
	if n == nil {
		return errStale
	}
	r := s.begin(cancel, &in.InHeader, n)
	defer r.free()
	st, err := n.file.Stat(&r.call)
	if err != nil {
		return s.status(err)
	}
	noExec := st.Qid.Kind != fs.Directory && st.Mode&0o111 == 0 // for root, too
	if in.Mask&fs.MayExec != 0 && noExec || !fs.Allowed(r.call.User(), st, in.Mask&0o7) {
		return s.status(sys.ErrPermission)
	}
	return gofuse.OK
}

// StatFs is df(1): there is nothing to run out of.
func (s *server) StatFs(_ <-chan struct{}, _ *gofuse.InHeader, out *gofuse.StatfsOut) gofuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	return gofuse.OK
}

package ninep

import (
	"os/user"
	"strconv"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// stat carries out a Tstat.
func (c *exchange) stat(f *fid) error {
	s, err := c.statNode(f)
	if err != nil {
		return err
	}
	if f.isRoot() {
		s.Name = "/"
	}
	c.record(&c.r.Stat, &s)
	return nil
}

// record makes a stat record of what a node told.
func (c *exchange) record(r *Stat, s *fs.Stat) {
	*r = Stat{
		Qid: wireQid(s.Qid), Mode: s.Mode & 0o777, Length: uint64(s.Size),
		Atime: uint32(unixTime(s.Atime)), Mtime: uint32(unixTime(s.Mtime)),
		Name: s.Name, UID: c.srv.Users.Name(s.UID), GID: c.srv.Users.Group(s.GID),
		NUID: s.UID, NGID: s.GID, NMUID: s.UID,
	}
	r.Mode |= uint32(r.Qid.Type) << 24
	r.MUID = r.UID
}

func unixTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// wstat carries out a Twstat. All ones, or an empty text, leaves a field as it is.
func (c *exchange) wstat(f *fid) error {
	w := &c.m.Stat
	s, err := c.statNode(f)
	if err != nil {
		return err
	}
	if w.Name != "" && w.Name != s.Name && !f.isRoot() {
		return sys.ErrNoRename
	}
	ch := fs.Change{Op: fs.OpSet}
	if w.Mode != NoUID {
		if w.Mode&DMDir != 0 != f.isDir() {
			return sys.Errorf(syscall.EINVAL, "a file cannot become a directory, nor a directory a file")
		}
		ch.Set, ch.Mode = ch.Set|fs.SetMode, w.Mode&0o777
	}
	if w.Length != 1<<64-1 {
		ch.Set, ch.Size = ch.Set|fs.SetSize, int64(w.Length)
	}
	if w.Mtime != NoUID || w.Atime != NoUID {
		ch.Set |= fs.SetTime
	}
	if err := c.newOwner(w, &s, &ch); err != nil {
		return err
	}
	return c.set(f, ch)
}

// newOwner adds a change of owner and group: by number in 9P2000.u, else by name.
func (c *exchange) newOwner(w *Stat, s *fs.Stat, ch *fs.Change) error {
	uid, gid := w.NUID, w.NGID
	if uid == NoUID && w.UID != "" && w.UID != c.srv.Users.Name(s.UID) {
		u, err := c.srv.Users.ByName(w.UID)
		if err != nil {
			return err
		}
		uid = u.UID
	}
	if gid == NoUID && w.GID != "" && w.GID != c.srv.Users.Group(s.GID) {
		var err error
		if gid, err = groupID(w.GID); err != nil {
			return err
		}
	}
	if uid != NoUID && uid != s.UID {
		ch.Set, ch.UID = ch.Set|fs.SetUID, uid
	}
	if gid != NoUID && gid != s.GID {
		ch.Set, ch.GID = ch.Set|fs.SetGID, gid
	}
	return nil
}

// groupID returns the number of a group that is named, or numbered.
func groupID(name string) (uint32, error) {
	number := name
	if g, err := user.LookupGroup(name); err == nil {
		number = g.Gid
	}
	gid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, sys.Errorf(syscall.ENOENT, "no group %q", name)
	}
	return uint32(gid), nil
}

// set makes a change, unless it changes nothing: that is an fsync.
func (c *exchange) set(f *fid, ch fs.Change) error {
	if ch.Set == 0 {
		return nil
	}
	return c.changeNode(f, f.node, f.qid, ch)
}

// getattr carries out a Tgetattr.
func (c *exchange) getattr(f *fid) error {
	s, err := c.statNode(f)
	if err != nil {
		return err
	}
	c.r.Qid, c.r.Mask = wireQid(s.Qid), AttrBasic
	a := &c.r.Attr
	*a = Attr{Mode: modeFile | s.Mode&0o777, UID: s.UID, GID: s.GID, Nlink: 1, Size: uint64(s.Size), Blksize: blockSize}
	if s.Qid.Kind == fs.Directory {
		a.Mode, a.Nlink = modeDir|s.Mode&0o777, 2
	}
	a.Blocks = (a.Size + 511) / 512
	a.AtimeSec, a.Atime = linuxTime(s.Atime)
	a.MtimeSec, a.Mtime = linuxTime(s.Mtime)
	a.CtimeSec, a.Ctime = a.MtimeSec, a.Mtime
	return nil
}

// The type bits of a mode, as Linux has them.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

func linuxTime(t time.Time) (sec, nsec uint64) {
	if t.IsZero() {
		return 0, 0
	}
	return uint64(t.Unix()), uint64(t.Nanosecond())
}

// setattr carries out a Tsetattr.
func (c *exchange) setattr(f *fid) error {
	w := &c.m.Set
	ch := fs.Change{Op: fs.OpSet, Mode: w.Mode & 0o777, UID: w.UID, GID: w.GID, Size: int64(w.Size)}
	for _, bit := range [...]struct {
		linux uint32
		set   fs.SetMask
	}{
		{SetMode, fs.SetMode},
		{SetUID, fs.SetUID},
		{SetGID, fs.SetGID},
		{SetSize, fs.SetSize},
		{SetAtime | SetMtime, fs.SetTime},
	} {
		if w.Valid&bit.linux != 0 {
			ch.Set |= bit.set
		}
	}
	return c.set(f, ch)
}

// remove carries out a Tremove: whatever comes of it, the fid is clunked.
func (c *exchange) remove(f *fid) error {
	c.shut(f)
	err := c.removeNode(f)
	c.discard(f)
	return err
}

// removeNode removes the fid's file from the directory above.
func (c *exchange) removeNode(f *fid) error {
	if f.isRoot() {
		return sys.ErrNoRemove
	}
	s, err := c.statNode(f)
	if err != nil {
		return err
	}
	up, err := c.walkNode(f, f.node, f.qid, "..")
	if err != nil {
		return err
	}
	if up == f.node {
		return sys.ErrNoRemove
	}
	defer up.Release()
	return c.changeNode(f, up, up.Qid(), fs.Change{Op: fs.OpRemove, Name: s.Name})
}

// unlinkat carries out a Tunlinkat.
func (c *exchange) unlinkat(f *fid) error {
	const removeDir = 0x200
	n, err := c.step(f, f.node, f.qid, c.m.Name)
	if err != nil {
		return err
	}
	isDir := n.Qid().Kind == fs.Directory
	if n != f.node {
		n.Release()
	}
	switch {
	case c.m.Name == "..":
		return sys.Errorf(syscall.EINVAL, "bad file name %q", c.m.Name)
	case isDir && c.m.Flags&removeDir == 0:
		return sys.ErrIsDir
	case !isDir && c.m.Flags&removeDir != 0:
		return sys.ErrNotDir
	}
	return c.changeNode(f, f.node, f.qid, fs.Change{Op: fs.OpRemove, Name: c.m.Name})
}

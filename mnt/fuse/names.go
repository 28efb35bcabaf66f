package fuse

import (
	"errors"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// Lookup tells the kernel of a file.
func (s *server) Lookup(cancel <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	dir := s.nodes.get(h.NodeId)
	if dir == nil {
		return errStale
	}
	r := s.begin(cancel, h, dir)
	defer r.free()
	_, err := s.enter(&r.call, dir, name, out)
	return s.status(err)
}

// enter walks to a file and fills in what the kernel is to know of it.
func (s *server) enter(c *fs.Call, dir *node, name string, out *gofuse.EntryOut) (*node, error) {
	file, err := dir.file.Walk(c, name)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat(c)
	if err != nil {
		file.Release()
		return nil, err
	}
	n := s.nodes.remember(file, &st)
	out.NodeId = n.id
	out.SetEntryTimeout(nameFor(dir, st.Qid))
	out.SetAttrTimeout(attrFor(st.Qid.Kind))
	setAttr(&out.Attr, &st)
	return n, nil
}

// Mkdir makes an object.
func (s *server) Mkdir(cancel <-chan struct{}, in *gofuse.MkdirIn, name string, out *gofuse.EntryOut) gofuse.Status {
	dir := s.nodes.get(in.NodeId)
	if dir == nil {
		return errStale
	}
	r := s.begin(cancel, &in.InHeader, dir)
	defer r.free()
	err := dir.file.Change(&r.call, fs.Change{Op: fs.OpMake, Name: name, Mode: in.Mode & 0o777})
	if err == nil {
		_, err = s.enter(&r.call, dir, name, out)
	}
	return s.status(err)
}

// Rmdir removes an object.
func (s *server) Rmdir(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return s.remove(cancel, h, name, true)
}

// Unlink removes a file, where the tree has any that can be.
func (s *server) Unlink(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return s.remove(cancel, h, name, false)
}

func (s *server) remove(cancel <-chan struct{}, h *gofuse.InHeader, name string, isDir bool) gofuse.Status {
	dir := s.nodes.get(h.NodeId)
	if dir == nil {
		return errStale
	}
	r := s.begin(cancel, h, dir)
	defer r.free()
	file, err := dir.file.Walk(&r.call, name)
	if err != nil {
		return s.status(err)
	}
	kind := file.Qid().Kind
	file.Release()
	switch {
	case isDir && kind != fs.Directory:
		return gofuse.ENOTDIR
	case !isDir && kind == fs.Directory:
		return gofuse.EISDIR
	}
	return s.status(dir.file.Change(&r.call, fs.Change{Op: fs.OpRemove, Name: name}))
}

// Create opens a file that came to be since the kernel looked; none is made.
func (s *server) Create(cancel <-chan struct{}, in *gofuse.CreateIn, name string, out *gofuse.CreateOut) gofuse.Status {
	dir := s.nodes.get(in.NodeId)
	if dir == nil {
		return errStale
	}
	r := s.begin(cancel, &in.InHeader, dir)
	defer r.free()
	n, err := s.enter(&r.call, dir, name, &out.EntryOut)
	switch {
	case sys.Errno(err) == syscall.ENOENT && !errors.Is(err, sys.ErrGone):
		return s.status(sys.ErrNoCreate)
	case err != nil:
		return s.status(err)
	case in.Flags&syscall.O_EXCL != 0:
		err = sys.ErrExist
	default:
		err = s.open(cancel, &in.InHeader, n.id, in.Flags, &out.OpenOut)
	}
	if err != nil {
		s.nodes.forget(n.id, 1)
	}
	return s.status(err)
}

// Mknod, Symlink, Link and Rename are what the tree does not do.

// Mknod refuses.
func (s *server) Mknod(<-chan struct{}, *gofuse.MknodIn, string, *gofuse.EntryOut) gofuse.Status {
	return s.status(sys.ErrNoCreate)
}

// Symlink refuses.
func (s *server) Symlink(<-chan struct{}, *gofuse.InHeader, string, string, *gofuse.EntryOut) gofuse.Status {
	return s.status(sys.ErrNoCreate)
}

// Link refuses.
func (s *server) Link(<-chan struct{}, *gofuse.LinkIn, string, *gofuse.EntryOut) gofuse.Status {
	return s.status(sys.ErrNoCreate)
}

// Rename refuses.
func (s *server) Rename(<-chan struct{}, *gofuse.RenameIn, string, string) gofuse.Status {
	return s.status(sys.ErrNoRename)
}

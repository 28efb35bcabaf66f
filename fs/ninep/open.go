package ninep

import (
	"errors"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// open carries out a Topen.
func (c *exchange) open(f *fid) error {
	flags, err := c.openMode(c.m.Mode)
	if err != nil {
		return err
	}
	if err := c.openFid(f, flags); err != nil {
		return err
	}
	f.rclose = c.m.Mode&ModeRClose != 0
	return nil
}

// openMode translates the mode of a Topen.
func (c *exchange) openMode(mode uint8) (fs.Flags, error) {
	flags := [...]fs.Flags{fs.ORead, fs.OWrite, fs.ORead | fs.OWrite, fs.ORead | fs.OExec}[mode&3]
	if mode&ModeTrunc != 0 {
		flags |= fs.OTrunc
	}
	if mode&ModeAppend != 0 {
		if c.dialect != DotU {
			return 0, sys.Errorf(syscall.EINVAL, "unknown open mode %#x", mode)
		}
		flags |= fs.OAppend
	}
	return flags, nil
}

// lopen carries out a Tlopen. O_CREAT of a file that is there is no error.
func (c *exchange) lopen(f *fid) error {
	if c.m.Flags&LDirectory != 0 && !f.isDir() {
		return sys.ErrNotDir
	}
	flags, err := linuxFlags(c.m.Flags)
	if err != nil {
		return err
	}
	return c.openFid(f, flags)
}

// linuxFlags translates what Linux passes to open(2). What does not concern
// us, as O_CREAT of a file that is there or O_LARGEFILE, is dropped.
func linuxFlags(l uint32) (fs.Flags, error) {
	if l&3 == 3 {
		return 0, sys.Errorf(syscall.EINVAL, "bad access mode in open flags %#o", l)
	}
	flags := [...]fs.Flags{fs.ORead, fs.OWrite, fs.ORead | fs.OWrite}[l&3]
	if l&LTrunc != 0 {
		flags |= fs.OTrunc
	}
	if l&LAppend != 0 {
		flags |= fs.OAppend
	}
	if l&LNonblock != 0 {
		flags |= fs.ONonblock
	}
	return flags, nil
}

// openFid opens the fid's file, which may turn out to be another one, and
// fills in the answer.
func (c *exchange) openFid(f *fid, flags fs.Flags) error {
	if f.open {
		return sys.Errorf(syscall.EBUSY, "fid %d is open already", f.num)
	}
	if f.isDir() && flags&(fs.OWrite|fs.OTrunc) != 0 {
		return sys.ErrIsDir
	}
	h, n, err := c.openNode(f, flags)
	if err != nil {
		return err
	}
	if n != f.node {
		f.own(n)
	}
	f.handle, f.flags, f.open = h, flags, true
	f.stream = f.qid.Kind == fs.Stream
	f.dirOff, f.dirNext = 0, 0
	f.iounit = c.msize - IOSize
	if f.stream && f.continues() {
		f.iounit-- // so that a read of this size is known to come from a client that goes by it
	}
	c.r.Qid, c.r.Iounit = wireQid(f.qid), f.iounit
	return nil
}

// create carries out a Tcreate, which moves the fid to the new file. Only
// directories can be made; a file that exists is opened.
func (c *exchange) create(f *fid) error {
	flags, err := c.openMode(c.m.Mode)
	if err != nil {
		return err
	}
	switch {
	case f.open:
		err = sys.Errorf(syscall.EBUSY, "fid %d is open already", f.num)
	case c.m.Perm&(DMSymlink|DMDevice|DMNamedPipe|DMSocket) != 0:
		return sys.ErrNoCreate
	case c.m.Perm&DMDir == 0:
		err = c.openChild(f, flags, false)
	case flags != fs.ORead:
		err = sys.ErrIsDir
	default:
		if err = c.makeDir(f); err == nil {
			err = c.openChild(f, flags, false)
		}
	}
	if err != nil {
		return err
	}
	f.rclose = c.m.Mode&ModeRClose != 0
	return nil
}

// lcreate carries out a Tlcreate.
func (c *exchange) lcreate(f *fid) error {
	flags, err := linuxFlags(c.m.Flags)
	if err != nil {
		return err
	}
	return c.openChild(f, flags, c.m.Flags&LExcl != 0)
}

// openChild moves the fid to the file of that name in its directory and opens
// it; on failure the fid stays where it was.
func (c *exchange) openChild(f *fid, flags fs.Flags, excl bool) error {
	if f.open {
		return sys.Errorf(syscall.EBUSY, "fid %d is open already", f.num)
	}
	n, err := c.step(f, f.node, f.qid, c.m.Name)
	if sys.Errno(err) == syscall.ENOENT && !errors.Is(err, sys.ErrGone) {
		return sys.ErrNoCreate
	}
	if err != nil {
		return err
	}
	if excl || n == f.node {
		if n != f.node {
			n.Release()
		}
		return sys.ErrExist
	}
	return c.openMoved(f, n, flags)
}

// openMoved opens n and makes it the fid's.
func (c *exchange) openMoved(f *fid, n fs.Node, flags fs.Flags) error {
	t := &fid{num: f.num, att: f.att, node: n, qid: n.Qid()}
	t.next, t.prev = t, t
	if err := c.openFid(t, flags); err != nil {
		t.release()
		return err
	}
	f.release()
	f.node, f.qid, f.handle, f.flags, f.open = t.node, t.qid, t.handle, t.flags, true
	f.stream, f.iounit, f.dirOff, f.dirNext = t.stream, t.iounit, 0, 0
	return nil
}

// makeDir makes the directory that c.m names in f's.
func (c *exchange) makeDir(f *fid) error {
	if !f.isDir() {
		return sys.ErrNotDir
	}
	if c.m.Name == ".." {
		return sys.ErrExist
	}
	if err := checkName(c.m.Name); err != nil {
		return err
	}
	return c.changeNode(f, f.node, f.qid, fs.Change{Op: fs.OpMake, Name: c.m.Name, Mode: c.m.Perm & 0o777})
}

// mkdir carries out a Tmkdir.
func (c *exchange) mkdir(f *fid) error {
	if err := c.makeDir(f); err != nil {
		return err
	}
	n, err := c.step(f, f.node, f.qid, c.m.Name)
	if err != nil {
		return err
	}
	c.r.Qid = wireQid(n.Qid())
	n.Release()
	return nil
}

package ninep

import (
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// xattrwalk carries out a Txattrwalk: it makes a fid from which the value of an
// extended attribute can be read or, without a name, the list of them.
func (c *exchange) xattrwalk(f *fid) error {
	if c.m.Name != "" && c.m.Name != fs.ErrorAttr {
		return sys.Errorf(syscall.ENODATA, "no extended attribute %q (%s?)", c.m.Name, fs.ErrorAttr)
	}
	g, err := c.fids.make(c.m.Newfid)
	if err != nil {
		return err
	}
	g.att, g.half = f.att, true
	c.fids.put(g)
	text, err := c.lastError(f)
	if c.m.Name == "" {
		text, err = listXattr(err)
	}
	if err != nil {
		c.discard(g)
		return err
	}
	v := &xattr{name: c.m.Name, qid: fs.Qid{Path: f.qid.Path, Kind: fs.Text}, value: text}
	g.node, g.qid = v, v.qid
	g.handle, g.open, g.flags = v, true, fs.ORead
	g.iounit, g.half = c.msize-IOSize, false
	c.r.XSize = uint64(len(text))
	return nil
}

// listXattr returns the names of a file's attributes, each with a NUL behind it.
func listXattr(err error) (string, error) {
	switch sys.Errno(err) {
	case 0:
		return fs.ErrorAttr + "\x00", nil
	case syscall.ENODATA:
		return "", nil
	}
	return "", err
}

// An xattr is the value of an extended attribute: a text that can be read, and
// nothing else. It is its own handle.
type xattr struct {
	name  string
	qid   fs.Qid
	value string
}

var _ fs.Node = (*xattr)(nil)

func (v *xattr) Qid() fs.Qid { return v.qid }

func (v *xattr) Stat(*fs.Call) (fs.Stat, error) {
	return fs.Stat{Qid: v.qid, Name: v.name, Mode: 0o444, Size: int64(len(v.value))}, nil
}

func (v *xattr) Walk(*fs.Call, string) (fs.Node, error) { return nil, sys.ErrNotDir }

func (v *xattr) List(*fs.Call, uint64, func(fs.Stat, uint64) bool) error { return sys.ErrNotDir }

func (v *xattr) Open(_ *fs.Call, f fs.Flags) (fs.Handle, fs.Node, error) {
	if f&fs.OWrite != 0 {
		return nil, nil, sys.ErrPermission
	}
	return v, v, nil
}

func (v *xattr) Change(*fs.Call, fs.Change) error { return sys.ErrNotOwner }

func (v *xattr) Release() {}

func (v *xattr) Read(c *fs.Call, off int64) {
	c.Deliver([]byte(v.value[min(max(off, 0), int64(len(v.value))):]), nil)
}

func (v *xattr) Write(c *fs.Call, _ []byte, _ int64) { c.Fail(sys.ErrNotOpen) }

func (v *xattr) Close() {}

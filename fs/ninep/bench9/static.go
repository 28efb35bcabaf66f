package bench9

import (
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// static is a file that never changes, or a directory of such. What is written
// to the one that takes writes is forgotten.
type static struct {
	name string
	path uint64
	up   *static
	kids []*static
	data []byte
	sink bool
	made time.Time
}

func newStatic() *static {
	now := time.Now()
	root := &static{name: "/", made: now}
	root.up = root
	d := &static{name: "d", path: 1, up: root, made: now}
	root.kids = []*static{d}
	d.kids = []*static{
		{name: "small", path: 2, up: d, data: make([]byte, SmallSize), made: now},
		{name: "big", path: 3, up: d, data: make([]byte, BigSize), made: now},
		{name: "sink", path: 4, up: d, data: []byte{}, sink: true, made: now},
	}
	return root
}

func (n *static) Qid() fs.Qid {
	if n.data != nil {
		return fs.Qid{Path: n.path, Kind: fs.Bytes}
	}
	return fs.Qid{Path: n.path, Kind: fs.Directory}
}

func (n *static) Stat(*fs.Call) (fs.Stat, error) {
	return fs.Stat{Qid: n.Qid(), Name: n.name, Mode: 0o555, Size: int64(len(n.data)), Mtime: n.made, Atime: n.made}, nil
}

func (n *static) Walk(_ *fs.Call, name string) (fs.Node, error) {
	if name == ".." {
		return n.up, nil
	}
	for _, kid := range n.kids {
		if kid.name == name {
			return kid, nil
		}
	}
	return nil, sys.ErrNotExist
}

func (n *static) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	for ; cookie < uint64(len(n.kids)); cookie++ {
		s, err := n.kids[cookie].Stat(c)
		if err != nil || !yield(s, cookie+1) {
			return err
		}
	}
	return nil
}

func (n *static) Open(_ *fs.Call, f fs.Flags) (fs.Handle, fs.Node, error) {
	if f&fs.OWrite != 0 && !n.sink {
		return nil, nil, sys.ErrPermission
	}
	return n, n, nil
}

func (n *static) Change(*fs.Call, fs.Change) error { return sys.ErrPermission }
func (n *static) Release()                         {}

func (n *static) Read(c *fs.Call, off int64) {
	c.Deliver(n.data[min(max(off, 0), int64(len(n.data))):], nil)
}

func (n *static) Write(c *fs.Call, p []byte, _ int64) { c.Done(len(p)) }
func (n *static) Close()                              {}

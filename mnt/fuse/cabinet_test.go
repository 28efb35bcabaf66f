package fuse

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"warren/fs"
	"warren/fs/sys"
)

// mountCabinet mounts a tree for posixtest: directories can be made and removed
// in it; the files, which are memory, are there from the start, under the names
// that the cases use.
func mountCabinet(t *testing.T) string {
	return mountNode(t, new(cabinet).drawer(nil, "/")).where.dir
}

// A cabinet is what the nodes of one tree share.
type cabinet struct {
	mu   sync.Mutex // guards all that the nodes have
	last uint64     // qid path
}

// A paper is a node of a cabinet: a drawer, which is a directory, or a page.
type paper struct {
	c    *cabinet
	name string
	qid  fs.Qid
	up   *paper
	kids []*paper // of a drawer
	data []byte   // of a page
}

func (c *cabinet) paper(up *paper, name string, kind fs.Kind) *paper {
	c.last++
	return &paper{c: c, name: name, up: up, qid: fs.Qid{Path: c.last, Kind: kind}}
}

// drawer makes a directory with its files.
func (c *cabinet) drawer(up *paper, name string) *paper {
	d := c.paper(up, name, fs.Directory)
	names := []string{"file", "file.txt", "file.bin", "file0", "file1", "test"}
	if name == "ttt" { // DirSeek's
		names = nil
		for i := range 168 {
			names = append(names, fmt.Sprint(i+1))
		}
	}
	for _, name := range names {
		d.kids = append(d.kids, c.paper(d, name, fs.Bytes))
	}
	return d
}

func (p *paper) Qid() fs.Qid { return p.qid }
func (p *paper) Release()    {}

func (p *paper) Stat(*fs.Call) (fs.Stat, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.stat(), nil
}

func (p *paper) stat() fs.Stat {
	return fs.Stat{Qid: p.qid, Name: p.name, Mode: 0o755, Size: int64(len(p.data))}
}

// kid returns the place of the kid of that name, -1 if there is none.
func (p *paper) kid(name string) int {
	return slices.IndexFunc(p.kids, func(k *paper) bool { return k.name == name })
}

func (p *paper) Walk(_ *fs.Call, name string) (fs.Node, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if name == ".." && p.up != nil {
		return p.up, nil
	}
	if i := p.kid(name); i >= 0 {
		return p.kids[i], nil
	}
	return nil, sys.ErrNotExist
}

func (p *paper) List(_ *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	p.c.mu.Lock()
	var all []fs.Stat
	for _, k := range p.kids {
		all = append(all, k.stat())
	}
	p.c.mu.Unlock()
	for i := cookie; i < uint64(len(all)) && yield(all[i], i+1); {
		i++
	}
	return nil
}

func (p *paper) Open(*fs.Call, fs.Flags) (fs.Handle, fs.Node, error) { return p, p, nil }

func (p *paper) Change(_ *fs.Call, ch fs.Change) error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	i := p.kid(ch.Name)
	switch {
	case ch.Op == fs.OpSet && ch.Set&fs.SetSize != 0:
		p.resize(ch.Size)
	case ch.Op == fs.OpMake && i >= 0:
		return sys.ErrExist
	case ch.Op == fs.OpMake:
		p.kids = append(p.kids, p.c.drawer(p, ch.Name))
	case ch.Op == fs.OpRemove && i < 0:
		return sys.ErrNotExist
	case ch.Op == fs.OpRemove && p.kids[i].qid.Kind != fs.Directory:
		return sys.ErrNoRemove
	case ch.Op == fs.OpRemove:
		p.kids = slices.Delete(p.kids, i, i+1)
	}
	return nil
}

func (p *paper) resize(size int64) {
	if size > int64(len(p.data)) {
		p.data = append(p.data, make([]byte, size-int64(len(p.data)))...)
	}
	p.data = p.data[:size]
}

func (p *paper) Read(c *fs.Call, off int64) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	c.Deliver(p.data[min(max(off, 0), int64(len(p.data))):], nil)
}

func (p *paper) Write(c *fs.Call, b []byte, off int64) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if end := off + int64(len(b)); end > int64(len(p.data)) {
		p.resize(end)
	}
	c.Done(copy(p.data[off:], b))
}

func (p *paper) Close() {}

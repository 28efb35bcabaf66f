package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// Node returns the root of the server's tree as a node of ours. Each user of
// it is attached for himself, so that the server judges who may do what.
func (cl *Client) Node() fs.Node {
	t := &tree{cl: cl, roots: map[uint32]*fid{*cl.o.UID: cl.root}}
	return &node{t: t, names: []string{}, qid: cl.localQid(cl.root.qid, "/")}
}

// Find returns the file that names lead to as a node, for whoever asks: to the
// server all of them are the session's user. It is walked to when it is first
// used, and is gone then if it is not the one with this qid (as that of a node
// that another session with the server returned).
func (cl *Client) Find(names []string, qid fs.Qid) fs.Node {
	return &node{t: &tree{cl: cl, one: true}, names: names, qid: qid}
}

// Root returns the qid of the session's root.
func (cl *Client) Root() fs.Qid { return cl.localQid(cl.root.qid, "/") }

// maxUsers bounds the attachments that many users can cost.
const maxUsers = 1024

// A tree is what the nodes of one Client share: a root for each user.
type tree struct {
	cl    *Client
	one   bool // all are the session's user
	mu    sync.Mutex
	roots map[uint32]*fid
}

// key tells the users apart. The user none has no number: on the wire, too.
func (t *tree) key(u *sys.User) uint32 {
	switch {
	case t.one:
		return 0
	case u.None:
		return ninep.NoUID
	}
	return u.UID
}

// root returns the root as a user sees it.
func (t *tree) root(ctx context.Context, u *sys.User) (*fid, error) {
	if t.one {
		return t.cl.root, nil
	}
	key := t.key(u)
	t.mu.Lock()
	f, n := t.roots[key], len(t.roots)
	t.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if n >= maxUsers {
		return nil, sys.Errorf(syscall.EUSERS, "%s: more than %d users", t.cl.c.name, maxUsers)
	}
	f, err := t.cl.attach(ctx, u.Name, key)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.roots[key]; first != nil {
		f.drop()
		return first, nil
	}
	t.roots[key] = f
	return f, nil
}

// A node is a file of the server: the names that lead to it, and a fid for
// each user who asked for it.
type node struct {
	t     *tree
	names []string // nil: known by its fid only, as what came of a clone
	qid   fs.Qid

	mu   sync.Mutex
	fids map[uint32]*fid
	dir  *dirReader // at rest between calls of List
	user uint32     // whose dir it is
}

func (n *node) Qid() fs.Qid { return n.qid }

// context returns what bounds a call.
func (t *tree) context(c *fs.Call) (context.Context, func()) {
	ctx, end := c.Context(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, t.cl.o.Reply,
		sys.Errorf(syscall.ETIMEDOUT, "%s: the server does not answer", t.cl.c.name))
	return ctx, func() {
		cancel()
		end()
	}
}

// fid returns the node's fid for the user who asks, held.
func (n *node) fid(ctx context.Context, u *sys.User) (*fid, error) {
	n.mu.Lock()
	f := n.fids[n.t.key(u)]
	if f != nil {
		f.hold()
	}
	n.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if n.names == nil {
		return nil, sys.ErrPermission
	}
	root, err := n.t.root(ctx, u)
	if err != nil {
		return nil, err
	}
	if len(n.names) == 0 {
		return root.hold(), nil
	}
	f, err = root.walk(ctx, n.names...)
	if err != nil {
		return nil, err
	}
	if f.qid.Path != n.qid.Path {
		f.drop()
		return nil, sys.ErrGone
	}
	return n.keep(u, f), nil
}

// keep remembers a fid for a user and returns the one to use, held.
func (n *node) keep(u *sys.User, f *fid) *fid {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := n.t.key(u)
	if first := n.fids[key]; first != nil {
		f.drop()
		return first.hold()
	}
	if n.fids == nil {
		n.fids = make(map[uint32]*fid)
	}
	n.fids[key] = f
	return f.hold()
}

// with runs do with the fid of the user who asks.
func (n *node) with(c *fs.Call, do func(ctx context.Context, f *fid) error) error {
	ctx, end := n.t.context(c)
	defer end()
	f, err := n.fid(ctx, c.User())
	if err == nil {
		err = do(ctx, f)
		f.drop()
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// name is the file's own.
func (n *node) name() string {
	if n.names == nil {
		return "ctl"
	}
	return last(n.names)
}

func (n *node) Stat(c *fs.Call) (st fs.Stat, err error) {
	err = n.with(c, func(ctx context.Context, f *fid) error {
		st, err = n.t.cl.stat(ctx, f, n.name())
		return err
	})
	return st, err
}

func (n *node) Walk(c *fs.Call, name string) (child fs.Node, err error) {
	names := append(slices.Clip(n.names), name)
	if name == ".." {
		names = n.names[:max(0, len(n.names)-1)]
	}
	err = n.with(c, func(ctx context.Context, f *fid) error {
		to, err := f.walk(ctx, name)
		if err != nil {
			return err
		}
		made := &node{t: n.t, names: names, qid: n.t.cl.localQid(to.qid, last(names))}
		if made.qid.Kind.Waits() {
			st, err := n.t.cl.stat(ctx, to, last(names))
			if err != nil {
				to.drop()
				return err
			}
			made.qid = st.Qid
		}
		made.keep(c.User(), to).drop()
		child = made
		return nil
	})
	return child, err
}

func (n *node) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	return n.with(c, func(ctx context.Context, f *fid) error {
		d := n.takeDir(c.User(), f)
		err := d.list(ctx, cookie, yield)
		n.putDir(c.User(), d)
		return err
	})
}

// takeDir returns the reader at rest if it is the user's, or a new one.
func (n *node) takeDir(u *sys.User, f *fid) *dirReader {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.dir; d != nil && n.user == n.t.key(u) {
		n.dir = nil
		return d
	}
	return &dirReader{cl: n.t.cl, of: f.hold()}
}

// putDir lays a reader to rest, in place of one that lies there.
func (n *node) putDir(u *sys.User, d *dirReader) {
	n.mu.Lock()
	old := n.dir
	n.dir, n.user = d, n.t.key(u)
	n.mu.Unlock()
	if old != nil {
		old.end()
	}
}

// end closes a node's reader.
func (d *dirReader) end() {
	d.close()
	d.of.drop()
}

func (n *node) Open(c *fs.Call, flags fs.Flags) (h fs.Handle, opened fs.Node, err error) {
	err = n.with(c, func(ctx context.Context, f *fid) error {
		to, err := f.walk(ctx)
		if err != nil {
			return err
		}
		iounit, err := to.open(ctx, flags)
		if err != nil {
			to.drop()
			return err
		}
		h, opened = n.opened(c.User(), to, iounit)
		return nil
	})
	return h, opened, err
}

// opened returns the handle of an open fid, and the node that it is of.
func (n *node) opened(u *sys.User, f *fid, iounit int) (fs.Handle, fs.Node) {
	of := n
	if f.qid.Path != n.qid.Path {
		of = &node{t: n.t, qid: n.t.cl.localQid(f.qid, "ctl"), fids: map[uint32]*fid{n.t.key(u): f.hold()}}
	}
	h := newHandle(f, of.qid.Kind, iounit, n.t.cl.o.Reply)
	if of.qid.Kind == fs.Stream && of.name() == "data" {
		h = whole{h}
	}
	return h, of
}

func (n *node) Change(c *fs.Call, ch fs.Change) error {
	return n.with(c, func(ctx context.Context, f *fid) error {
		switch ch.Op {
		case fs.OpMake:
			return f.mkdir(ctx, ch.Name, ch.Mode, c.User().GID)
		case fs.OpRemove:
			return f.unlink(ctx, ch.Name)
		}
		if k := n.qid.Kind; k == fs.Stream || k == fs.Ctl {
			ch.Set &^= fs.SetSize | fs.SetTime // which mean nothing there
		}
		if ch.Set == 0 {
			return nil
		}
		return f.set(ctx, ch)
	})
}

func (n *node) Release() {
	n.mu.Lock()
	fids, d := n.fids, n.dir
	n.fids, n.dir = nil, nil
	n.mu.Unlock()
	if d != nil {
		d.end()
	}
	for _, f := range fids {
		f.drop()
	}
}

package post

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// A node is a file of the server. It outlives the sessions that it was found
// in: in another it is found again by its names.
type node struct {
	m     *mount
	up    *node    // nil for the root
	names []string // nil: known in one session only, as what came of a clone
	theirs,
	ours fs.Qid

	mu    sync.Mutex
	known map[*session]fs.Node
}

func (n *node) Qid() fs.Qid { return n.ours }

// with runs do with the file as the session of who asks knows it. If the
// session was lost meanwhile, and again says that nothing came of it, do is run
// once more in a new one.
func (n *node) with(c *fs.Call, do func(s *session, in fs.Node) error, again func() bool) error {
	for try := 0; ; try++ {
		s, err := n.m.p.session(c)
		if err != nil {
			return err
		}
		in, err := n.in(s)
		if err == nil {
			heard := s.heard.Load()
			err = do(s, in)
			if errors.Is(err, syscall.ETIMEDOUT) {
				s.deaf(heard, err)
			}
		}
		lost := s.cl.Err() != nil
		s.release()
		if err == nil || !lost || try > 0 || errors.Is(err, syscall.ETIMEDOUT) || !again() {
			return err
		}
	}
}

func always() bool { return true }
func never() bool  { return false }

// in returns the file as a session knows it.
func (n *node) in(s *session) (fs.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if in := n.known[s]; in != nil {
		return in, nil
	}
	theirs := n.theirs
	switch {
	case n.names == nil:
		return nil, sys.ErrGone
	case n.up == nil:
		theirs = s.cl.Root()
	}
	for old, in := range n.known {
		if old.cl.Err() != nil {
			in.Release()
			delete(n.known, old)
		}
	}
	in := s.cl.Find(n.names, theirs)
	n.know(s, in)
	return in, nil
}

// know remembers the file of a session. n.mu is held, or n is new.
func (n *node) know(s *session, in fs.Node) {
	if n.known == nil {
		n.known = make(map[*session]fs.Node)
	}
	n.known[s] = in
}

// below returns the names of a file of this directory.
func (n *node) below(name string) []string { return append(slices.Clip(n.names), name) }

func (n *node) Stat(c *fs.Call) (st fs.Stat, err error) {
	err = n.with(c, func(_ *session, in fs.Node) error {
		st, err = in.Stat(c)
		return err
	}, always)
	kind := st.Qid.Kind
	st.Qid = n.ours
	st.Qid.Kind = kind
	return st, n.noted(c, "stat", err)
}

func (n *node) Walk(c *fs.Call, name string) (child fs.Node, err error) {
	switch {
	case name == ".." && n.up != nil && n.up.up != nil:
		return &node{m: n.m, up: n.up.up, names: n.up.names, theirs: n.up.theirs, ours: n.up.ours}, nil
	case name == "..":
		return n.m.again(), nil
	}
	err = n.with(c, func(s *session, in fs.Node) error {
		if err := n.mayNone(c, in, fs.MayExec); err != nil {
			return err
		}
		to, err := in.Walk(c, name)
		if err != nil {
			return err
		}
		made := &node{m: n.m, up: n, names: n.below(name), theirs: to.Qid()}
		made.ours = n.m.p.qid(made.names, made.theirs)
		made.know(s, to)
		child = made
		return nil
	}, always)
	return child, n.noted(c, "walk", err)
}

func (n *node) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	fresh := true
	err := n.with(c, func(_ *session, in fs.Node) error {
		if err := n.mayNone(c, in, fs.MayRead); err != nil {
			return err
		}
		return in.List(c, cookie, func(st fs.Stat, next uint64) bool {
			fresh = false
			if st.Name == "" || strings.ContainsAny(st.Name, "/\x00") {
				return true // no name at all
			}
			st.Qid = n.m.p.qid(n.below(st.Name), st.Qid)
			return yield(st, next)
		})
	}, func() bool { return fresh })
	return n.noted(c, "list", err)
}

func (n *node) Open(c *fs.Call, f fs.Flags) (h fs.Handle, opened fs.Node, err error) {
	err = n.with(c, func(s *session, in fs.Node) error {
		if err := n.mayNone(c, in, f.Wanted()); err != nil {
			return err
		}
		inner, to, err := in.Open(c, f)
		if err != nil {
			return err
		}
		h, opened = n.m.handle(s, inner, n.path()), n
		if to.Qid().Path != in.Qid().Path {
			opened = n.cloned(s, to)
		}
		return nil
	}, always)
	return h, opened, n.noted(c, "open", err)
}

// cloned is the node of a file that an open turned into.
func (n *node) cloned(s *session, to fs.Node) fs.Node {
	made := &node{m: n.m, up: n.up, theirs: to.Qid()}
	made.ours = n.m.p.qid([]string{"", strconv.FormatUint(n.m.p.clones.Add(1), 10)}, made.theirs)
	made.know(s, to)
	return made
}

func (n *node) Change(c *fs.Call, ch fs.Change) error {
	err := n.with(c, func(_ *session, in fs.Node) error {
		if c.User().None {
			return sys.ErrPermission
		}
		return in.Change(c, ch)
	}, never)
	verb := map[fs.Op]string{fs.OpMake: "mkdir", fs.OpRemove: "rmdir", fs.OpSet: "chmod"}[ch.Op]
	return n.noted(c, verb, err)
}

func (n *node) Release() {
	n.mu.Lock()
	known := n.known
	n.known = nil
	n.mu.Unlock()
	for _, in := range known {
		in.Release()
	}
}

// mayNone holds the user none to what it may, whatever the server lets it do.
func (n *node) mayNone(c *fs.Call, in fs.Node, want uint32) error {
	if !c.User().None {
		return nil
	}
	st, err := in.Stat(c)
	if err == nil && !fs.Allowed(c.User(), st, want) {
		err = sys.ErrPermission
	}
	return err
}

// LastError is of our whole tree.
func (n *node) LastError(c *fs.Call) (string, error) { return n.m.LastError(c) }

// path is the file's in our tree.
func (n *node) path() string {
	if n.names == nil {
		return n.up.path() + "/ctl"
	}
	return strings.Join(append([]string{n.m.path}, n.names...), "/")
}

// noted writes an error down that the user may see as a number only. That a
// name is not there is no news.
func (n *node) noted(c *fs.Call, verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case verb == "walk" || verb == "stat" || verb == "list":
		switch sys.Errno(err) {
		case syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM:
			return err
		}
	}
	n.m.log.Add(c, n.path(), verb, err)
	return err
}

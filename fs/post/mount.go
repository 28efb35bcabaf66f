package post

import (
	"warren/fs"
	"warren/fs/sys"
)

// A mount is a post's directory. What it is called, whose it is and who may
// enter it is ours; what is in it is the server's.
type mount struct {
	fs.Node // as the table of posts has it
	p       *Post
	log     *fs.ErrorLog
	path    string
	root    node
}

// Mount makes a directory of our tree, at a path, the post's. What fails there
// is written down in log.
func (p *Post) Mount(dir fs.Node, path string, log *fs.ErrorLog) fs.Node {
	m := &mount{Node: dir, p: p, log: log, path: path}
	m.root = node{m: m, names: []string{}, ours: m.Qid()}
	return m
}

// again returns the same directory once more.
func (m *mount) again() fs.Node { return m.p.Mount(m.Node, m.path, m.log) }

func (m *mount) Qid() fs.Qid {
	q := m.Node.Qid()
	q.Remote = true
	return q
}

func (m *mount) Stat(c *fs.Call) (fs.Stat, error) {
	st, err := m.Node.Stat(c)
	st.Qid = m.Qid()
	return st, err
}

// may says what is against a use of the directory, as far as we know.
func (m *mount) may(c *fs.Call, want uint32) error {
	st, err := m.Stat(c)
	if err == nil && !fs.Allowed(c.User(), st, want) {
		err = sys.ErrPermission
	}
	return err
}

func (m *mount) Walk(c *fs.Call, name string) (fs.Node, error) {
	if name == ".." {
		return m.Node.Walk(c, name)
	}
	if err := m.may(c, fs.MayExec); err != nil {
		return nil, err
	}
	return m.root.Walk(c, name)
}

func (m *mount) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if err := m.may(c, fs.MayRead); err != nil {
		return err
	}
	return m.root.List(c, cookie, yield)
}

func (m *mount) Open(c *fs.Call, f fs.Flags) (fs.Handle, fs.Node, error) {
	h, _, err := m.Node.Open(c, f)
	return h, m, err
}

// Change changes the directory itself, or makes and removes what is in it.
func (m *mount) Change(c *fs.Call, ch fs.Change) error {
	if ch.Op == fs.OpSet {
		return m.Node.Change(c, ch)
	}
	if err := m.may(c, fs.MayExec); err != nil {
		return err
	}
	return m.root.Change(c, ch)
}

// LastError is of our whole tree: errors of servers are written down here, too.
func (m *mount) LastError(c *fs.Call) (string, error) { return m.log.Last(c.User().UID) }

func (m *mount) Release() {
	m.root.Release()
	m.Node.Release()
}

// handle returns an open file of a session, which is busy until it is closed.
func (m *mount) handle(s *session, h fs.Handle, path string) fs.Handle {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	s.busy++
	m.p.opens++
	return &handle{m.log.Noting(h, path), s}
}

type handle struct {
	fs.Handle
	s *session
}

func (h *handle) Close() {
	h.Handle.Close()
	h.s.release()
	p := h.s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opens--
}

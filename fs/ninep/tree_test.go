package ninep

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"warren/fs"
	"warren/fs/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A tree is what the tests serve:
//
//	text      "hello, world\n"
//	big       20000 bytes, a Log
//	ctl       takes lines; "bad" is refused
//	stream    messages of put
//	waits     writes wait for accept
//	partly    writes wait, and have accepted 1 byte when cancelled
//	secret    root's only
//	clone     opens as box/clone's ctl
//	many/     5000 files
//	sub/deep/text
//	box/      directories can be made and removed in it
type tree struct {
	root *node
	top  *held // of root, for the server

	mu     sync.Mutex
	change sync.Cond
	opens  int // handles that are open
	parked int // calls that wait at a source or a sink
	refs   int // nodes that were walked to and not released
	faults []string
	lines  []string // written to ctl
	wrong  string   // the last error of ctl
	broken string   // what it does wrong, for tests of tests
	made   int
}

const (
	helloText   = "hello, world\n"
	manyEntries = 5000
)

func newTree() *tree { return newTreeOf(manyEntries) }

// newTreeOf makes a tree with so many files in many.
func newTreeOf(entries int) *tree {
	t := new(tree)
	t.change.L = &t.mu
	t.root = &node{t: t, name: "/", path: 1, kind: fs.Directory, perm: 0o755}
	t.root.up = t.root
	t.top = &held{node: t.root}
	t.root.add("text", fs.Text, 0o644).data = []byte(helloText)
	t.root.add("big", fs.Log, 0o644).data = []byte(strings.Repeat("0123456789", 2000))
	t.root.add("ctl", fs.Ctl, 0o666)
	s := t.root.add("stream", fs.Stream, 0o666)
	s.src = &source{t: t}
	t.root.add("waits", fs.Stream, 0o222).src = &source{t: t}
	t.root.add("partly", fs.Stream, 0o222).src = &source{t: t}
	t.root.add("secret", fs.Text, 0o600)
	clone := t.root.add("clone", fs.Ctl, 0o666)
	deep := t.root.add("sub", fs.Directory, 0o755).add("deep", fs.Directory, 0o755)
	deep.add("text", fs.Text, 0o444).data = []byte(helloText)
	box := t.root.add("box", fs.Directory, 0o777)
	box.mutable = true
	clone.becomes = box.add("cloned", fs.Ctl, 0o666)
	many := t.root.add("many", fs.Directory, 0o755)
	for i := range entries {
		many.add("f"+strconv.Itoa(i), fs.Text, 0o444)
	}
	return t
}

// node is a file of the tree. Its kids change under the tree's lock.
type node struct {
	t       *tree
	name    string
	path    uint64
	up      *node
	kind    fs.Kind
	perm    uint32
	kids    []*node
	data    []byte
	src     *source
	mutable bool
	becomes *node
}

func (n *node) add(name string, kind fs.Kind, perm uint32) *node {
	n.t.made++
	kid := &node{t: n.t, name: name, path: uint64(n.t.made) + 1, up: n, kind: kind, perm: perm}
	n.kids = append(n.kids, kid)
	return kid
}

// find returns the file at a path, nil if there is none.
func (t *tree) find(path string) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.root
	for name := range strings.SplitSeq(path, "/") {
		if n = n.kid(name); n == nil {
			return nil
		}
	}
	return n
}

func (n *node) kid(name string) *node {
	for _, kid := range n.kids {
		if kid.name == name {
			return kid
		}
	}
	return nil
}

func (n *node) Qid() fs.Qid { return fs.Qid{Path: n.path, Kind: n.kind} }

func (n *node) Stat(*fs.Call) (fs.Stat, error) {
	at := time.Unix(1700000000, 0)
	s := fs.Stat{Qid: n.Qid(), Name: n.name, Mode: n.perm, Mtime: at, Atime: at}
	if n.kind == fs.Log {
		s.Size = int64(len(n.data))
	}
	return s, nil
}

// LastError returns the text of the last refusal of ctl.
func (n *node) LastError(*fs.Call) (string, error) {
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	if n.t.wrong == "" {
		return "", syscall.ENODATA
	}
	return n.t.wrong, nil
}

// held is a node that somebody walked to, and must release, once.
type held struct {
	*node
	released bool
}

// hold is called with the tree's lock held.
func (n *node) hold() *held {
	n.t.refs++
	return &held{node: n}
}

func (n *held) Walk(_ *fs.Call, name string) (fs.Node, error) {
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	if n.released {
		n.t.faults = append(n.t.faults, "a walk from "+n.name+" after it was released")
	}
	if name == ".." && n.t.broken != "up" {
		return n.up.hold(), nil
	}
	if name == ".." {
		return n.hold(), nil
	}
	if kid := n.kid(name); kid != nil {
		return kid.hold(), nil
	}
	return nil, sys.ErrNotExist
}

func (n *held) Release() {
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	if n.released || n == n.t.top {
		n.t.faults = append(n.t.faults, n.name+" was released twice, or is the root")
	}
	n.released = true
	n.t.refs--
}

func (n *node) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	n.t.mu.Lock()
	kids := slices.Clone(n.kids)
	n.t.mu.Unlock()
	for ; cookie < uint64(len(kids)); cookie++ {
		s, _ := kids[cookie].Stat(c)
		if !yield(s, cookie+1) {
			return nil
		}
	}
	return nil
}

func (n *held) Open(c *fs.Call, _ fs.Flags) (fs.Handle, fs.Node, error) {
	if n.perm&0o007 == 0 && !c.User().Root() && n.t.broken != "secret" {
		return nil, nil, sys.ErrPermission
	}
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	n.t.opens++
	n.t.change.Broadcast()
	h := &handle{n: n.node}
	if n.kind == fs.Stream {
		h.messages = fs.NewMessages(&port{src: n.src}, n.put)
	}
	if n.becomes != nil {
		return h, n.becomes.hold(), nil
	}
	return h, n, nil
}

func (n *node) Change(_ *fs.Call, ch fs.Change) error {
	if ch.Op == fs.OpSet {
		if ch.Set&fs.SetUID != 0 {
			return sys.ErrNotOwner
		}
		return nil
	}
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	at := slices.IndexFunc(n.kids, func(kid *node) bool { return kid.name == ch.Name })
	switch {
	case ch.Op == fs.OpMake && !n.mutable:
		return sys.ErrNoCreate
	case ch.Op == fs.OpMake && at >= 0 && n.t.broken != "makes":
		return sys.ErrExist
	case ch.Op == fs.OpMake:
		n.add(ch.Name, fs.Directory, 0o755)
	case !n.mutable:
		return sys.ErrNoRemove
	case at < 0:
		return sys.ErrNotExist
	case n.t.broken != "stays":
		n.kids = slices.Delete(n.kids, at, at+1)
	}
	return nil
}

// put takes a write to a stream.
func (n *node) put(c *fs.Call, p []byte) {
	switch {
	case n.name == "stream" && c.Split():
		c.Fail(sys.ErrTooLong)
	case n.name == "stream":
		n.src.put(slices.Clone(p))
		c.Done(len(p))
	default:
		n.src.wait(c, len(p), n.name == "partly")
	}
}

func (t *tree) count(what *int, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*what += by
	t.change.Broadcast()
}

// await waits until so many calls are parked, or handles are open.
func (t *tree) await(what *int, want int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for *what != want {
		t.change.Wait()
	}
}

// handle is an open file.
type handle struct {
	n        *node
	messages *fs.Messages
	closed   bool
}

func (h *handle) Read(c *fs.Call, off int64) {
	switch {
	case h.messages != nil:
		h.messages.Read(c, off)
	case h.n.becomes != nil:
		c.Deliver([]byte(h.n.becomes.name + "\n")[min(off, 7):], nil)
	case h.n.t.broken == "tail" && off > 2:
		c.Deliver(h.n.data[min(off-1, int64(len(h.n.data))):], nil)
	default:
		c.Deliver(h.n.data[min(off, int64(len(h.n.data))):], nil)
	}
}

func (h *handle) Write(c *fs.Call, p []byte, off int64) {
	switch {
	case h.messages != nil:
		h.messages.Write(c, p, off)
	case strings.HasPrefix(string(p), "bad") && h.n.t.broken != "accepts":
		err := sys.Errorf(syscall.EINVAL, "ctl: unknown verb %q (good?)", strings.TrimSpace(string(p)))
		h.n.t.mu.Lock()
		h.n.t.wrong = err.Error()
		h.n.t.mu.Unlock()
		c.Fail(err)
	default:
		h.n.t.mu.Lock()
		h.n.t.lines = append(h.n.t.lines, string(p))
		h.n.t.mu.Unlock()
		if h.n.t.broken == "counts" && len(p) > 0 {
			p = p[1:]
		}
		c.Done(len(p))
	}
}

func (h *handle) Close() {
	if h.closed {
		h.n.t.fault("%s was closed twice", h.n.name)
	}
	h.closed = true
	if h.messages != nil {
		h.messages.Close()
	}
	h.n.t.count(&h.n.t.opens, -1)
}

func (t *tree) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// check fails the test for what the tree saw that must not be.
func (t *tree) check(tb testing.TB) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.faults {
		tb.Error(f)
	}
	if t.opens != 0 {
		tb.Errorf("%d handles are still open", t.opens)
	}
	if t.refs != 0 {
		tb.Errorf("%d nodes were not released", t.refs)
	}
	if t.parked != 0 {
		tb.Errorf("%d calls are still parked", t.parked)
	}
}

// source is a queue of messages, and of writes that wait.
type source struct {
	t       *tree
	mu      sync.Mutex
	queue   [][]byte
	readers []waiting
}

type waiting struct {
	c    sys.Call
	port *port
	n    int // of a write
}

// port is one open of a source.
type port struct{ src *source }

func (s *source) put(msg []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, msg)
	s.serve()
}

func (s *source) serve() {
	for len(s.readers) > 0 && len(s.queue) > 0 {
		r, msg := s.readers[0], s.queue[0]
		s.readers = s.readers[1:]
		s.t.count(&s.t.parked, -1)
		if r.c.Deliver(msg, func() { s.giveBack(msg) }) {
			s.queue = s.queue[1:]
		}
	}
}

func (s *source) giveBack(msg []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append([][]byte{msg}, s.queue...)
	s.serve()
}

func (p *port) Take(c sys.Call) {
	s := p.src
	s.mu.Lock()
	if len(s.queue) > 0 {
		msg := s.queue[0]
		if s.t.broken == "glued" {
			msg = slices.Concat(s.queue...)
		}
		if c.Deliver(msg, func() { s.giveBack(msg) }) {
			s.queue = s.queue[1:]
		}
		s.mu.Unlock()
		return
	}
	if c.Nonblock() {
		s.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	s.readers = append(s.readers, waiting{c: c, port: p})
	s.mu.Unlock()
	s.t.count(&s.t.parked, 1)
	c.Park(func() { s.leave(c) })
}

// wait parks a write.
func (s *source) wait(c sys.Call, n int, partly bool) {
	s.mu.Lock()
	s.readers = append(s.readers, waiting{c: c, n: n})
	s.mu.Unlock()
	s.t.count(&s.t.parked, 1)
	c.Park(func() {
		if s.leave(c) && partly {
			c.Done(1)
		}
	})
}

// accept lets the first write that waits go through.
func (s *source) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.readers[0]
	s.readers = s.readers[1:]
	s.t.count(&s.t.parked, -1)
	r.c.Done(r.n)
}

func (s *source) leave(c sys.Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.readers, func(r waiting) bool { return r.c == c })
	if i < 0 {
		return false
	}
	s.readers = slices.Delete(s.readers, i, i+1)
	s.t.count(&s.t.parked, -1)
	return true
}

func (p *port) Close() {
	p.src.mu.Lock()
	defer p.src.mu.Unlock()
	if slices.ContainsFunc(p.src.readers, func(r waiting) bool { return r.port == p }) {
		p.src.t.fault("a stream was closed while a read waited")
	}
}

// glenda is who the tests are.
var glenda = &sys.User{UID: 1000, GID: 1000, Name: "glenda"}

// socketPair returns the two ends of a unix socket.
func socketPair(tb testing.TB) (a, b net.Conn) {
	tb.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		ends[i] = fileConn(tb, fd)
	}
	return ends[0], ends[1]
}

// fileConn makes a connection of a socket's descriptor.
func fileConn(tb testing.TB, fd int) net.Conn {
	tb.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	return nc
}

// serveTree serves a tree on one end of a socket, as one that was accepted, and
// returns the other. When the test ends, everything must be closed.
func serveTree(tb testing.TB, t *tree, s *Server, id Identity) net.Conn {
	tb.Helper()
	return serveTreeAs(tb, t, s, id, lines["reactor"])
}

// serveTreeAs is serveTree with either kind of transport.
func serveTreeAs(tb testing.TB, t *tree, s *Server, id Identity, wrap func(net.Conn) net.Conn) net.Conn {
	tb.Helper()
	ours, theirs := socketPair(tb)
	s.Root, s.Users = t.top, new(sys.Users)
	admit(s, wrap(ours), id)
	tb.Cleanup(func() {
		theirs.Close()
		s.gate.done.Wait()
		s.Close()
		t.check(tb)
	})
	return theirs
}

// admit serves a connection as one that was accepted.
func admit(s *Server, nc net.Conn, id Identity) {
	s.door().admit(nc, uidOf(id), func() Identity { return id })
}

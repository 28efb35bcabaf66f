package ninep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs"
	"warren/fs/sys"
)

// A crowd is clients of one server, on sockets that were accepted.
type crowd struct {
	*testing.T
	tree *tree
	srv  *Server
	all  []*talker
}

// newCrowd has that many clients, or as many as make each reactor have some if
// that is more.
func newCrowd(t *testing.T, srv *Server, n int) *crowd {
	t.Helper()
	c := &crowd{T: t, tree: newTreeOf(1), srv: srv}
	if srv.Root == nil {
		srv.Root = c.tree.top
	}
	srv.Users = new(sys.Users)
	t.Cleanup(func() {
		for _, k := range c.all {
			k.nc.Close()
		}
		srv.gate.done.Wait()
		srv.Close()
		c.tree.check(t)
	})
	for range max(n, 2*runtime.GOMAXPROCS(0)) {
		c.join()
	}
	return c
}

// join adds a client.
func (c *crowd) join() *talker {
	c.Helper()
	ours, theirs := socketPair(c)
	theirs.SetDeadline(time.Now().Add(time.Minute))
	admit(c.srv, ours, Identity{User: glenda})
	k := newTalker(c, theirs, DotL)
	k.attach(1 << 20)
	c.all = append(c.all, k)
	return k
}

// look lets all clients but one do something.
func (c *crowd) look(but *talker) {
	c.Helper()
	for _, k := range c.all {
		if k != but {
			k.must(Msg{Type: Twalk, Newfid: 7, Names: []string{"text"}}, Msg{Type: Tgetattr, Fid: 7}, Msg{Type: Tclunk, Fid: 7})
		}
	}
}

// unread has a client ask for more than its socket holds, and read nothing.
func (c *crowd) unread(k *talker) (size int) {
	c.Helper()
	k.open(1, ModeRead, "big")
	const reads, count = 200, 20000
	for i := range uint16(reads) {
		if err := k.send(Msg{Type: Tread, Tag: i, Fid: 1, Count: count}); err != nil {
			c.Fatal(err)
		}
	}
	return reads * (count + ReadSize)
}

// until waits for something.
func (c *crowd) until(what string, is func() bool) {
	c.Helper()
	for end := time.Now().Add(time.Minute); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			c.Fatalf("not in a minute: %s", what)
		}
	}
}

// TestSlowReader: a client that reads late gets all, and keeps nobody.
func TestSlowReader(t *testing.T) {
	c := newCrowd(t, new(Server), 4)
	slow := c.all[0]
	size := c.unread(slow)
	c.look(slow)
	if n, err := io.Copy(io.Discard, io.LimitReader(slow.r, int64(size))); n != int64(size) || err != nil {
		t.Errorf("of %d bytes came %d: %v", size, n, err)
	}
	c.look(nil)
}

// TestHangUpUnread: who hangs up instead is gone, and so is, in time, who does
// not even that; with all that waited for them.
func TestHangUpUnread(t *testing.T) {
	c := newCrowd(t, &Server{Patience: 50 * time.Millisecond}, 4)
	n := c.srv.Clients()
	for _, hangUp := range []bool{true, false} {
		k := c.all[0]
		k.open(3, ModeRead, "stream")
		if err := k.send(Msg{Type: Tread, Tag: 999, Fid: 3, Count: 100}); err != nil {
			t.Fatal(err)
		}
		c.tree.await(&c.tree.parked, 1)
		c.unread(k)
		if hangUp {
			k.nc.Close()
		}
		c.look(k)
		n--
		c.until("a client is gone", func() bool { return c.srv.Clients() == n })
		c.tree.await(&c.tree.parked, 0)
		k.nc.Close()
		c.all = c.all[1:]
	}
	c.look(nil)
}

// TestHalfMessages: many clients send big messages by halves, in turns.
func TestHalfMessages(t *testing.T) {
	c := newCrowd(t, new(Server), 8)
	const size = 300 << 10
	var frames [][]byte
	for i, k := range c.all {
		k.open(1, ModeWrite, "ctl")
		b, err := Append(nil, k.d, &Msg{Type: Twrite, Fid: 1, Data: bytes.Repeat([]byte{'a' + byte(i)}, size)})
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, b)
	}
	for at, step := 0, 1; at < len(frames[0]); step = min(2*step, 50000) {
		for i, k := range c.all {
			f := frames[i][at:min(at+step, len(frames[i]))]
			if n, err := k.nc.Write(f); n < len(f) {
				t.Fatal(err)
			}
		}
		at += step
	}
	for i, k := range c.all {
		if m, err := k.recv(); err != nil || m.Type != Rwrite || m.Count != size {
			t.Errorf("client %d: %v %v", i, m, err)
		}
	}
	c.look(nil)
}

// TestFlood: a client that always has a request in its socket starves nobody.
func TestFlood(t *testing.T) {
	c := newCrowd(t, new(Server), 4)
	k := c.all[0]
	k.open(1, ModeRead, "text")
	b, err := Append(nil, k.d, &Msg{Type: Tread, Fid: 1, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Repeat(b, 5000)
	var flood sync.WaitGroup
	flood.Go(func() {
		for err := error(nil); err == nil; _, err = k.nc.Write(b) {
		}
	})
	flood.Go(func() { _, _ = io.Copy(io.Discard, k.nc) })
	for range 50 {
		c.look(k)
	}
	k.nc.Close()
	flood.Wait()
}

// A stuck is a tree whose root's attributes wait for the test, against the rules.
type stuck struct {
	fs.Node
	asked, free chan struct{}
}

func (s *stuck) Stat(c *fs.Call) (fs.Stat, error) {
	s.asked <- struct{}{}
	<-s.free
	return s.Node.Stat(c)
}

// TestStuckNode: a node that blocks keeps those who ask it, and nobody else.
func TestStuckNode(t *testing.T) {
	tr := newTreeOf(1)
	s := &stuck{tr.top, make(chan struct{}), make(chan struct{})}
	c := newCrowd(t, &Server{Root: s}, 8)
	half := c.all[:len(c.all)/2]
	for _, k := range half {
		if err := k.send(Msg{Type: Tgetattr, Fid: 0}); err != nil {
			t.Fatal(err)
		}
		<-s.asked
	}
	rest := &crowd{T: t, all: c.all[len(half):]}
	rest.look(nil)
	close(s.free)
	for _, k := range half {
		if m, err := k.recv(); err != nil || m.Type != Rgetattr {
			t.Errorf("%v %v", m, err)
		}
	}
	c.look(nil)
	for _, k := range c.all {
		k.nc.Close()
	}
	c.srv.gate.done.Wait()
	tr.check(t)
}

// TestIdleClients: ten thousand, or as many as may be, who cost no goroutine and
// little memory.
func TestIdleClients(t *testing.T) {
	const each = 8 << 10 // with the client's own buffer of 4 KiB
	clients := descriptors(t, 20200)/2 - 100
	c := newCrowd(t, &Server{MaxConns: 4 * clients}, 1)
	c.look(nil)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for range clients {
		c.join()
	}
	c.until("nobody is on the way in", func() bool { return runtime.NumGoroutine() <= goroutines+4 })
	if per := (int64(heap()) - int64(before)) / int64(clients); per > each {
		t.Errorf("an idle connection costs %d bytes, both ends and all", per)
	}
	c.look(nil)
}

// TestCloseUnderLoad: a server that is closed ends what its clients do.
func TestCloseUnderLoad(t *testing.T) {
	c := newCrowd(t, new(Server), 20)
	var all sync.WaitGroup
	for i, k := range c.all {
		k.open(1, ModeRead, []string{"text", "big", "stream"}[i%3])
		all.Go(func() {
			for k.send(Msg{Type: Tread, Fid: 1, Count: 20000}) == nil {
				if _, err := k.recv(); err != nil {
					return
				}
			}
		})
	}
	c.srv.Close()
	all.Wait()
	if n := c.srv.Clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	ours, theirs := socketPair(t)
	defer theirs.Close()
	admit(c.srv, ours, Identity{User: glenda})
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a closed server lets somebody in: %v", err)
	}
}

// descriptors lets the process have so many, if it may, and returns how many it has.
func descriptors(t *testing.T, want uint64) int {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for _, more := range []unix.Rlimit{{Cur: want, Max: max(want, old.Max)}, {Cur: min(want, old.Max), Max: old.Max}} {
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
			t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
			return int(more.Cur)
		}
	}
	return int(min(want, old.Cur))
}

// scarce leaves the process no descriptor, until free is called.
func scarce(t *testing.T) (free func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
	t.Cleanup(free)
	return free
}

// TestNoDescriptor: a connection for which there is no second descriptor, or no
// reactor, has a goroutine.
func TestNoDescriptor(t *testing.T) {
	srv := new(Server)
	tr := newTreeOf(1)
	srv.Root, srv.Users = tr.top, new(sys.Users)
	defer tr.check(t)
	defer srv.Close()
	for range 2 { // the second time there is a reactor
		ours, theirs := socketPair(t)
		free := scarce(t)
		admit(srv, ours, Identity{User: glenda})
		k := newTalker(t, theirs, DotL)
		k.attach(8192)
		free()
		if onlyConn(srv).sock != nil {
			t.Error("there is a socket without a descriptor")
		}
		theirs.Close()
		srv.gate.done.Wait()
		ours, nc := socketPair(t)
		admit(srv, ours, Identity{User: glenda})
		newTalker(t, nc, DotL).attach(8192)
		if onlyConn(srv).sock == nil {
			t.Error("a socket has a goroutine")
		}
		nc.Close()
		srv.gate.done.Wait()
	}
}

// TestAcceptStarved: who comes when there are no descriptors waits for one.
func TestAcceptStarved(t *testing.T) {
	tr := newTreeOf(1)
	srv := &Server{Root: tr.top, Users: new(sys.Users)}
	l, err := Listen("unix!" + t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	starved := make(chan struct{}, 1)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(&watched{l, starved}) }()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	free := scarce(t)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: l.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	<-starved
	free()
	nc := fileConn(t, fd)
	k := newTalker(t, nc, DotU)
	k.attach(8192)
	k.open(1, ModeRead, "text")
	nc.Close()
	srv.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	tr.check(t)
}

// A watched listener tells when accept fails for want of descriptors.
type watched struct {
	net.Listener
	starved chan struct{}
}

func (w *watched) Accept() (net.Conn, error) {
	nc, err := w.Listener.Accept()
	if errors.Is(err, syscall.EMFILE) {
		select {
		case w.starved <- struct{}{}:
		default:
		}
	}
	return nc, err
}

// TestTCP: the reactor serves TCP as well, hang-up and reset included.
func TestTCP(t *testing.T) {
	tr := newTreeOf(1)
	srv := &Server{Root: tr.top, Users: new(sys.Users), Insecure: true}
	l, err := Listen("tcp!127.0.0.1!0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	for _, linger := range []int{-1, 0} { // 0: a reset
		nc, err := Dial(context.Background(), AddrOf(l))
		if err != nil {
			t.Fatal(err)
		}
		k := newTalker(t, nc, Classic)
		k.attach(8192)
		k.open(1, ModeRead, "stream")
		if err := k.send(Msg{Type: Tread, Fid: 1, Count: 1}); err != nil {
			t.Fatal(err)
		}
		tr.await(&tr.parked, 1)
		if onlyConn(srv).sock == nil {
			t.Error("a TCP connection has a goroutine")
		}
		if err := nc.(*net.TCPConn).SetLinger(linger); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		tr.await(&tr.opens, 0)
		(&crowd{T: t}).until("the client is gone", func() bool { return srv.Clients() == 0 })
	}
	srv.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	tr.check(t)
}

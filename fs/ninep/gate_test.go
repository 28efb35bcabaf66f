package ninep

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// A queue is a listener of connections that a test puts in.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (q *queue) Accept() (net.Conn, error) {
	select {
	case nc := <-q.conns:
		return nc, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *queue) Addr() net.Addr { return vsockAddr("test") }

// A doubtful is a connection whose client proves who it is when the test says.
type doubtful struct {
	net.Conn
	say    chan Identity
	closed chan struct{}
	once   sync.Once
}

func newDoubtful() *doubtful {
	here, _ := net.Pipe()
	return &doubtful{Conn: here, say: make(chan Identity, 1), closed: make(chan struct{})}
}

func (d *doubtful) Prove(ctx context.Context) (Identity, error) {
	select {
	case id := <-d.say:
		return id, nil
	case <-d.closed:
		return Identity{}, net.ErrClosed
	case <-ctx.Done():
		return Identity{}, ctx.Err()
	}
}

func (d *doubtful) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

func (d *doubtful) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}

// A holding serves by holding connections until they are closed.
type holding struct {
	mu  sync.Mutex
	ids []Identity
}

func (h *holding) handle(nc net.Conn, id Identity) {
	h.mu.Lock()
	h.ids = append(h.ids, id)
	h.mu.Unlock()
	_, _ = nc.Read(make([]byte, 1))
	nc.Close()
}

func (h *holding) served() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids)
}

// TestSilentClients: those who never prove who they are are hung up in time,
// and keep nobody out meanwhile.
func TestSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h holding
		g := &Gate{Handle: h.handle, Users: new(sys.Users), MaxUnknown: 3, Proof: time.Minute}
		q := newQueue()
		go g.Serve(q)
		var silent []*doubtful
		for range 5 {
			d := newDoubtful()
			silent = append(silent, d)
			q.conns <- d
			synctest.Wait()
		}
		for i, d := range silent {
			if d.isClosed() != (i < 2) {
				t.Errorf("connection %d of 5, 3 of which may be silent: closed is %v", i, d.isClosed())
			}
		}
		honest := newDoubtful()
		q.conns <- honest
		honest.say <- Identity{User: glenda}
		synctest.Wait()
		if h.served() != 1 || h.ids[0].User != glenda {
			t.Errorf("served are %v", h.ids)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i, d := range silent {
			if !d.isClosed() {
				t.Errorf("connection %d was silent for a minute and is there", i)
			}
		}
		if honest.isClosed() {
			t.Error("the one who is known was hung up")
		}
		g.Close()
		if !honest.isClosed() {
			t.Error("the gate was closed and a connection was not")
		}
	})
}

// TestCloseWhileProving: closing waits for nobody.
func TestCloseWhileProving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h holding
		g := &Gate{Handle: h.handle, Users: new(sys.Users)}
		q := newQueue()
		go g.Serve(q)
		d := newDoubtful()
		q.conns <- d
		synctest.Wait()
		start := time.Now()
		g.Close()
		if !d.isClosed() || h.served() != 0 || time.Since(start) != 0 {
			t.Errorf("closed %v, served %d, after %v", d.isClosed(), h.served(), time.Since(start))
		}
		late := newDoubtful()
		if g.wait(late); !late.isClosed() {
			t.Error("a closed gate took a connection")
		}
	})
}

// TestShares: no user can have all connections.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h holding
		g := &Gate{Handle: h.handle, Users: new(sys.Users), MaxConns: 6}
		enter := func(u *sys.User) *doubtful {
			d := newDoubtful()
			go g.ServeConn(d, Identity{User: u})
			synctest.Wait()
			return d
		}
		other := &sys.User{UID: 54321, Name: "other"}
		var first *doubtful
		for i := range 4 {
			d := enter(other)
			if d.isClosed() != (i == 3) {
				t.Errorf("connection %d of a user, of 6: closed is %v", i, d.isClosed())
			}
			if i == 0 {
				first = d
			}
		}
		if enter(&sys.User{UID: 0, Name: "root"}).isClosed() || enter(nil).isClosed() || enter(nil).isClosed() {
			t.Error("others were kept out")
		}
		if !enter(&sys.User{UID: 0, Name: "root"}).isClosed() {
			t.Error("a seventh was let in")
		}
		first.Close()
		synctest.Wait()
		if enter(other).isClosed() || g.Conns() != 6 {
			t.Errorf("a place was left and not given, of %d", g.Conns())
		}
		g.Close()
		if len(g.conns) != 0 || len(g.ofUser) != 0 {
			t.Errorf("left are %v %v", g.conns, g.ofUser)
		}
	})
}

// TestKeepAlive: peers that are no more are found out.
func TestKeepAlive(t *testing.T) {
	l, err := Listen("tcp!127.0.0.1!0")
	if err != nil {
		t.Fatal(err)
	}
	on := make(chan error, 1)
	g := &Gate{Users: new(sys.Users), Handle: func(nc net.Conn, _ Identity) {
		defer nc.Close()
		rc, err := nc.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = rc.Control(func(fd uintptr) {
				if v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || v == 0 {
					on <- errors.New("no keepalive")
				}
			})
		}
		on <- err
	}}
	go g.Serve(l)
	defer g.Close()
	nc, err := Dial(t.Context(), AddrOf(l))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := <-on; err != nil {
		t.Error(err)
	}
}

// TestInherited listens on sockets that were given, of any kind.
func TestInherited(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	f, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := Inherited(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hello(t, l, AddrOf(l))

	nc, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	connected, err := nc.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	if _, err := Inherited(connected); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("a connection was listened at: %v", err)
	}
}

func TestInheritedVsock(t *testing.T) {
	inner, err := Listen("vsock!any!45641")
	if err != nil {
		t.Skipf("no vsock here: %v", err)
	}
	defer inner.Close()
	l, err := Inherited(inner.(*vsockListener).f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().Network() != "vsock" || l.Addr().String() != "4294967295:45641" {
		t.Errorf("listens at %v", l.Addr())
	}
	const addr = "vsock!local!45641"
	if nc, err := Dial(t.Context(), addr); err != nil {
		t.Skipf("no vsock loopback here: %v", err)
	} else {
		nc.Close()
		drain(t, l, addr)
	}
	hello(t, l, addr)
}

func TestAddrOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, addr := range []string{"unix!" + path, "tcp!127.0.0.1!0", "tcp![::1]!0"} {
		l, err := Listen(addr)
		if err != nil {
			if addr == "tcp![::1]!0" {
				continue // no IPv6 here
			}
			t.Fatal(err)
		}
		defer l.Close()
		hello(t, l, AddrOf(l))
	}
}

package ninep

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// A socket is a stream socket that a reactor waits for. It belongs to the
// reader of its connection, and to who writes for it; Close and SetReadDeadline
// are for all.
type socket struct {
	r    *reactor
	c    *conn
	fd   int
	peer net.Addr
	room chan struct{} // has an item if a writer that waits may go on

	shut atomic.Bool // nothing is read any more

	mu   sync.Mutex
	gone bool // the descriptor is not ours any more

	// Guarded by r.mu.
	busy bool // somebody reads, or is about to
	more bool // meanwhile something happened
	over bool // there may be an end behind what is to be read
}

// inEvents are what a reactor waits for: edges, so that nothing has to be
// switched off while somebody reads.
const inEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// newSocket makes a socket of a connection, with a descriptor of its own, that
// Go's poller does not know. The socket is busy until it rests.
func newSocket(r *reactor, nc net.Conn) (*socket, error) {
	sc, ok := nc.(syscall.Conn)
	if network := nc.RemoteAddr().Network(); !ok || network != "unix" && network != "tcp" {
		return nil, sys.Errorf(syscall.ENOTSOCK, "no stream socket")
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{r: r, peer: nc.RemoteAddr(), room: make(chan struct{}, 1), busy: true}
	var fate error
	err = rc.Control(func(fd uintptr) { s.fd, fate = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, fate); err != nil {
		return nil, err
	}
	if err := r.add(s); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) RemoteAddr() net.Addr { return s.peer }

// Close hangs up; the descriptor is closed when the connection is over.
func (s *socket) Close() error {
	s.shut.Store(true)
	s.mu.Lock()
	if !s.gone {
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // who is hung up already has been told
	}
	s.mu.Unlock()
	s.r.poke(s)
	return nil
}

// SetReadDeadline ends the reading if the time is over, and does nothing else.
func (s *socket) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		s.shut.Store(true)
		s.r.poke(s)
	}
	return nil
}

// release closes the descriptor, when nobody reads or writes any more.
func (s *socket) release() {
	s.r.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	unix.Close(s.fd)
}

// read reads what is there. If that is nothing the error is EAGAIN.
func (s *socket) read(p []byte) (int, error) {
	for {
		if s.shut.Load() {
			return 0, net.ErrClosed
		}
		n, err := syscall.Read(s.fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, errHungUp
		case err != syscall.EINTR:
			return 0, err
		}
	}
}

var errHungUp = errors.New("the client hung up")

// write writes all of b, and waits for a slow client, unless that takes nothing
// for as long as patience. The worker, if it is one, gives its reactor up before
// it waits.
func (s *socket) write(b []byte, patience time.Duration, w *worker) (n int, err error) {
	var end time.Time // of the wait, if there is one
	for n < len(b) {
		k, err := syscall.Write(s.fd, b[n:])
		switch {
		case k > 0:
			n, end = n+k, time.Time{}
		case err == syscall.EINTR:
		case err != syscall.EAGAIN:
			return n, err
		case end.IsZero():
			if w != nil {
				w.handOver(nil)
			}
			end = time.Now().Add(patience)
		case !end.After(time.Now()):
			return n, os.ErrDeadlineExceeded
		default:
			if err := s.wait(time.Until(end)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// wait returns when there may be room for more, or after d.
func (s *socket) wait(d time.Duration) error {
	if err := s.r.watch(s, inEvents|unix.EPOLLOUT); err != nil {
		return err
	}
	late := time.NewTimer(d)
	select {
	case <-s.room:
	case <-late.C:
	}
	late.Stop()
	return s.r.watch(s, inEvents)
}

// sip reads from a socket, once in a turn, so that others get theirs. The next
// time, or if there is nothing, the connection falls asleep.
func (c *exchange) sip() error {
	if c.fed {
		return c.sleep(c.last)
	}
	c.fed = true
	c.drawIn()
	p := c.in[c.have:]
	n, err := c.sock.read(p)
	if err == syscall.EAGAIN {
		return c.sleep(nothing)
	}
	if err != nil {
		return err
	}
	c.last = some
	if n == len(p) {
		c.last = plenty
	}
	c.came(n)
	return nil
}

// errAsleep says that the connection is its reactor's.
var errAsleep = errors.New("the connection is asleep")

// sleep leaves the connection to its reactor: it is not the caller's any more.
func (c *exchange) sleep(last found) error {
	c.keep()
	c.mu.Lock()
	c.giveBack(c.w)
	c.mu.Unlock()
	c.sock.r.rest(c.sock, last)
	return errAsleep
}

// drawIn makes room to read into: the worker's buffer, unless there is half a
// message already. So a connection that sleeps has none.
func (c *exchange) drawIn() {
	if c.got < c.have || len(c.in) > workerIn {
		c.makeRoom()
	} else {
		c.in, c.got, c.have, c.lent = c.w.in, 0, 0, true
	}
	c.mu.Lock()
	if c.out == nil {
		c.out, c.w.out = c.w.out, nil
	}
	c.mu.Unlock()
}

// keep makes what is still to be carried out the connection's own.
func (c *conn) keep() {
	rest := c.in[c.got:c.have]
	switch {
	case c.lent && len(rest) > 0:
		own := make([]byte, max(len(rest), halfIn))
		c.got, c.have, c.in = 0, copy(own, rest), own
	case len(rest) == 0 && len(c.in) <= workerIn:
		c.got, c.have, c.in = 0, 0, nil
	}
	c.lent = false
}

// giveBack gives the buffers for replies to the worker. c.mu is held.
func (c *conn) giveBack(w *worker) {
	if len(c.out) == 0 && !c.writing {
		w.out, c.out = bigger(w.out, c.out), nil
	}
	w.out, c.spare = bigger(w.out, c.spare), nil
}

func bigger(a, b []byte) []byte {
	if cap(a) >= cap(b) {
		return a
	}
	return b[:0]
}

// Sizes of buffers.
const (
	workerIn = 64 << 10 // into which a worker reads
	halfIn   = 512      // the least, for half a message
)

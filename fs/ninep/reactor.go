package ninep

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A reactor waits for many sockets at once, and carries out what comes. So a
// connection that is idle has neither a goroutine nor a buffer, and one that is
// not costs two system calls a request, or less.
//
// One worker leads: it waits, reads, carries out, writes. It must not stand
// still. Before a worker waits for anything, a slow client or another machine, it
// hands the lead to a new one and goes on with its connection alone; the lead
// of one who is at the same request for long is taken away. The idea is that of
// leader and followers (Schmidt et al., Pattern-Oriented Software Architecture
// 2), with followers that are made when they are needed.
type reactor struct {
	epoll int
	bell  int // an eventfd, which wakes the leader
	all   sync.WaitGroup

	events []unix.EpollEvent // the leader's

	mu      sync.Mutex    // the very last lock: conn.mu may be held
	socks   []*socket     // by descriptor
	ready   fifo[*socket] // to be read from now, and
	later   fifo[*socket] // when we have looked for others
	owing   fifo[*conn]   // have replies to be written
	leader  *worker
	idle    []*worker // to be used again
	waiting bool      // the leader does
	rung    bool      // and was woken
	closed  bool

	took    uint64 // what leaders took up, ever
	watched uint64 // at the last look
	looks   bool   // there will be one more
	clock   *time.Timer
}

const (
	maxEvents  = 128
	maxIdle    = 4                    // workers that are kept
	longEnough = 5 * time.Millisecond // for one request, with the lead
)

func newReactor() (*reactor, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &reactor{epoll: ep, events: make([]unix.EpollEvent, maxEvents)}
	if r.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(ep)
		return nil, err
	}
	err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, r.bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(r.bell)})
	if err != nil {
		unix.Close(ep)
		unix.Close(r.bell)
		return nil, err
	}
	r.clock = time.AfterFunc(time.Hour, r.look)
	r.clock.Stop()
	r.mu.Lock()
	r.promote(nil)
	r.mu.Unlock()
	return r, nil
}

// close ends the reactor, when it has no more sockets.
func (r *reactor) close() {
	r.mu.Lock()
	r.closed = true
	r.ring()
	r.mu.Unlock()
	r.clock.Stop()
	r.all.Wait()
	unix.Close(r.epoll)
	unix.Close(r.bell)
}

// add makes a socket known. It is busy.
func (r *reactor) add(s *socket) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := s.fd + 1; n > len(r.socks) {
		r.socks = append(r.socks, make([]*socket, n-len(r.socks))...)
	}
	r.socks[s.fd] = s
	err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: inEvents, Fd: int32(s.fd)})
	if err != nil {
		r.socks[s.fd] = nil
	}
	return err
}

// remove forgets a socket. Closing it would not do: a child that is about to
// exec may have the descriptor, too.
func (r *reactor) remove(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socks[s.fd] = nil
	_ = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, s.fd, nil) // it was added
}

// watch changes the events that a socket is waited for.
func (r *reactor) watch(s *socket, events uint32) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: events, Fd: int32(s.fd)})
}

// What a reader found when it read last.
type found uint8

const (
	nothing found = iota
	some          // and then nothing, but maybe the end
	plenty        // there may be more
)

// rest ends the business of a socket, unless there is more.
func (r *reactor) rest(s *socket, last found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.busy = false
	if last == nothing && !s.more {
		s.over = false // that was of another socket with the same descriptor
	}
	if last == plenty || s.more || s.over {
		r.wake(s)
	}
}

// poke has somebody look at a socket.
func (r *reactor) poke(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake(s)
}

// wake makes a socket busy. r.mu is held.
func (r *reactor) wake(s *socket) {
	if s.busy {
		s.more = true
		return
	}
	s.busy, s.more = true, false
	r.later.push(s)
	r.ring()
}

// owe has the replies of a connection written. conn.mu is held.
func (r *reactor) owe(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owing.push(c)
	r.ring()
}

// ring wakes the leader if it waits. The system call does not take longer than
// waking a goroutine would. r.mu is held.
func (r *reactor) ring() {
	if r.waiting && !r.rung {
		r.rung = true
		_, _ = unix.Write(r.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it always takes one
	}
}

// A worker is a goroutine that serves connections, and what it needs for that.
type worker struct {
	r   *reactor
	in  []byte
	out []byte // for replies; a connection may have it
	dec Decoder
	x   exchange

	begun bool // guarded by r.mu; a busy machine may take its time
}

// promote makes another worker the leader. It serves a socket first, if there is
// one. r.mu is held.
func (r *reactor) promote(first *socket) {
	r.leader = r.hire()
	go r.leader.run(first)
}

// hire returns a worker. r.mu is held.
func (r *reactor) hire() *worker {
	r.all.Add(1)
	if n := len(r.idle); n > 0 {
		w := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return w
	}
	return &worker{r: r, in: make([]byte, workerIn)}
}

// handOver makes another worker the leader, if this one is; and has a socket
// served by another, if there is one.
func (w *worker) handOver(first *socket) {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.leader == w:
		r.promote(first)
	case first != nil:
		go r.hire().run(first)
	}
}

// run is the worker's goroutine. It ends when the worker does not lead.
func (w *worker) run(first *socket) {
	w.begin()
	if first != nil {
		w.serve(first)
	}
	for {
		s, c := w.r.next(w)
		switch {
		case c != nil:
			w.write(c)
		case s != nil:
			w.serve(s)
		default:
			w.retire()
			return
		}
	}
}

func (w *worker) begin() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.begun = true
}

func (w *worker) retire() {
	defer w.r.all.Done()
	w.x, w.dec = exchange{}, Decoder{}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.begun = false
	if len(w.r.idle) < maxIdle {
		w.r.idle = append(w.r.idle, w)
	}
}

// serve reads from a socket and carries out what came.
func (w *worker) serve(s *socket) {
	w.x.conn, w.x.w, w.x.dec, w.x.fed = s.c, w, &w.dec, false
	w.x.run()
	w.x.conn, w.x.f = nil, nil
}

// write writes the replies of a connection whose reader sleeps.
func (w *worker) write(c *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain(w)
	c.giveBack(w)
}

// next returns what a leader is to do next: to serve the socket, or to write the
// connection's replies. Both are nil if the worker leads no more.
func (r *reactor) next(w *worker) (*socket, *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.leader == w {
		switch {
		case r.owing.len() > 0:
			r.supervise()
			return nil, r.owing.pop()
		case r.ready.len() > 0:
			r.supervise()
			return r.ready.pop(), nil
		case r.closed:
			r.leader = nil
		default:
			r.ready, r.later = r.later, r.ready
			r.wait()
		}
	}
	return nil, nil
}

// wait waits until something happens, or just looks if there is something to do
// anyway. r.mu is held, but not over the system call.
func (r *reactor) wait() {
	timeout := -1
	if r.ready.len() > 0 {
		timeout = 0
	}
	r.waiting, r.rung = true, false
	r.mu.Unlock()
	n, err := unix.EpollWait(r.epoll, r.events, timeout)
	r.mu.Lock()
	r.waiting = false
	if err != nil {
		return // EINTR is the only one that there can be
	}
	for _, e := range r.events[:n] {
		if fd := int(e.Fd); fd < len(r.socks) && r.socks[fd] != nil { // else it is the bell, or was removed
			r.happened(r.socks[fd], e.Events)
		}
	}
}

// happened takes note of an event. A descriptor may be another socket's by now:
// then somebody looks at that in vain. r.mu is held.
func (r *reactor) happened(s *socket, events uint32) {
	const over = unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLRDHUP
	if events&(unix.EPOLLOUT|over) != 0 {
		select {
		case s.room <- struct{}{}:
		default:
		}
	}
	s.over = s.over || events&over != 0
	switch {
	case events&(unix.EPOLLIN|over) == 0:
	case s.busy:
		s.more = true
	default:
		s.busy, s.more = true, false
		r.ready.push(s)
	}
}

// supervise counts what is taken up, and sees to it that look is called. r.mu is
// held.
func (r *reactor) supervise() {
	r.took++
	if !r.looks {
		r.looks, r.watched = true, r.took
		r.clock.Reset(longEnough)
	}
}

// look takes the lead away from a worker that was at the same request the last
// time, as a node that does not do as it should may block. While the leader
// waits nobody looks.
func (r *reactor) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting || r.closed {
		r.looks = false
		return
	}
	if r.took == r.watched && r.leader.begun {
		r.promote(nil)
	}
	r.watched = r.took
	r.clock.Reset(longEnough)
}

// A fifo is a queue.
type fifo[T any] struct {
	all []T
	at  int // the first
}

func (q *fifo[T]) len() int { return len(q.all) - q.at }
func (q *fifo[T]) push(v T) { q.all = append(q.all, v) }

func (q *fifo[T]) pop() T {
	var none T
	v := q.all[q.at]
	q.all[q.at] = none
	if q.at++; q.at == len(q.all) {
		q.all, q.at = q.all[:0], 0
	}
	return v
}

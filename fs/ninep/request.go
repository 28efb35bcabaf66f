package ninep

import (
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// A request is a Tread or Twrite at a handle, which may answer it later, an
// exchange that waits for another machine, or a Tflush that waits for one of
// these. It is where the handle's answer goes. One that was never parked is
// used for the next request of the connection.
type request struct {
	call  fs.Call
	c     *conn
	f     *fid
	tag   uint16
	flush bool   // a Tflush
	full  bool   // too many are parked already: this one must not wait
	watch bool   // a read of a stream whose client asks again for the rest
	want  uint32 // bytes that it asked for
	off   int64

	// Guarded by conn.mu.
	done       bool
	held       bool // it is counted as parked
	listed     bool // it is in its fid's list
	silent     bool // flushed: an interruption is not answered
	twice      bool // its tag is in use
	flushes    []*request
	prev, next *request // in its fid's list
}

var _ fs.Sink = (*request)(nil)

// begin makes the connection's spare request ready for c.m.
func (c *exchange) begin(f *fid, count int) *request {
	r := c.req
	if r == nil {
		r = new(request)
		c.req = r
	}
	r.c, r.f, r.tag, r.done, r.watch = c.conn, f, c.m.Tag, false, false
	c.mu.Lock()
	r.full = c.parked >= or(c.srv.MaxCalls, defaultCalls)
	c.mu.Unlock()
	r.call.Init(f.user(), c.id.PID, r, count, r.full || f.flags&fs.ONonblock != 0)
	return r
}

// caller returns a call for a node. An exchange that is away has but one, for
// it may have been interrupted already.
func (c *exchange) caller(f *fid) *fs.Call {
	if c.away {
		return &c.req.call
	}
	if c.req == nil {
		c.req = new(request)
	}
	c.req.c = c.conn
	c.req.call.Init(f.user(), c.id.PID, c.req, 0, false)
	return &c.req.call
}

// settle is called when the handle has returned: the request is answered, or
// is kept until it is.
func (c *exchange) settle(r *request) {
	if !r.call.Parked() {
		return
	}
	c.req = nil
	c.mu.Lock()
	if !r.done {
		r.list(r.f)
		c.hold(r)
	}
	stop := !r.done && r.twice
	c.mu.Unlock()
	if stop {
		r.call.Interrupt()
	}
}

// hold counts a request as parked and makes it known by its tag. c.mu is held.
func (c *conn) hold(r *request) {
	r.held = true
	c.parked++
	if c.calls == nil {
		c.calls = make(map[uint16]*request)
	}
	if _, r.twice = c.calls[r.tag]; !r.twice {
		c.calls[r.tag] = r
	}
}

// Data answers a read. The front end's caller may hold locks.
func (r *request) Data(p []byte, hook func()) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if hook != nil {
		c.lost = append(c.lost, lost{c.base + uint64(len(c.out)), hook})
	}
	if r.watch {
		r.f.answered(r, len(p))
	}
	n := uint32(len(p))
	c.out = append(c.out, 0, 0, 0, 0, byte(Rread), byte(r.tag), byte(r.tag>>8), byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	le.PutUint32(c.out[len(c.out)-ReadSize:], n+ReadSize)
	c.out = append(c.out, p...)
	c.finish(r)
}

// Count answers a write.
func (r *request) Count(n int) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, ReadSize, 0, 0, 0, byte(Rwrite), byte(r.tag), byte(r.tag>>8), byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	c.finish(r)
}

// Error answers either with an error, unless it is one that a flush asked for.
func (r *request) Error(err error) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.silent && err == sys.ErrInterrupted:
	case r.twice:
		c.appendError(r.tag, sys.Errorf(syscall.EINVAL, "tag %d is in use", r.tag))
	case r.full && err == sys.ErrAgain:
		c.appendError(r.tag, sys.Errorf(syscall.EAGAIN, "too many calls in flight: at most %d may wait on a connection", c.parked))
	default:
		c.appendError(r.tag, err)
	}
	c.finish(r)
}

// finish is called when the reply is in the out buffer, or suppressed: the
// answers of its flushes follow. c.mu is held.
func (c *conn) finish(r *request) {
	r.done = true
	if r.listed {
		r.unlink()
	}
	if r.held {
		c.drop(r)
	}
	c.answerFlushes(r)
	c.kick()
}

// drop forgets a parked request. c.mu is held.
func (c *conn) drop(r *request) {
	r.held = false
	c.parked--
	if c.calls[r.tag] == r {
		delete(c.calls, r.tag)
	}
	c.change.Broadcast()
}

// list puts the request into the list of a fid. c.mu is held.
func (r *request) list(f *fid) {
	r.f, r.listed = f, true
	r.next, f.calls = f.calls, r
	if r.next != nil {
		r.next.prev = r
	}
}

// unlink takes the request out of its fid's list. c.mu is held.
func (r *request) unlink() {
	r.listed = false
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		r.f.calls = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// answerFlushes appends an Rflush for each flush of r, in the order in which
// they came, and for each flush of those. c.mu is held.
func (c *conn) answerFlushes(r *request) {
	for _, fl := range r.flushes {
		c.appendFlushed(fl.tag)
		fl.done = true
		c.drop(fl)
		c.answerFlushes(fl)
	}
	r.flushes = nil
}

func (c *conn) appendFlushed(tag uint16) {
	c.out = append(c.out, HeaderSize, 0, 0, 0, byte(Rflush), byte(tag), byte(tag>>8))
}

// flush carries out a Tflush.
func (c *exchange) flushTag() {
	c.mu.Lock()
	old := c.calls[c.m.Oldtag]
	if old == nil || c.m.Oldtag == c.m.Tag {
		c.appendFlushed(c.m.Tag)
		c.mu.Unlock()
		return
	}
	fl := &request{c: c.conn, tag: c.m.Tag, flush: true}
	old.silent = true
	old.flushes = append(old.flushes, fl)
	c.hold(fl)
	c.mu.Unlock()
	old.interrupt()
}

// interrupt cancels a parked request. A flush that waits for another request's
// answer is not cancelled: it is about to be answered.
func (r *request) interrupt() {
	if !r.flush {
		r.call.Interrupt()
	}
}

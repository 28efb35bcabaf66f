package fs

import (
	"sync"

	"warren/fs/sys"
)

// A Source is what a stream reads from: each Take answers with one whole
// message, an empty one at the end, or parks.
type Source interface {
	Take(c sys.Call)
	Close()
}

// Messages is the Handle of a file that gives a message a read. It keeps what
// TREE.md rule 5 asks for: a message is never glued to the next; what a short
// buffer leaves stays for this open file; an offset inside the message last
// delivered reads it again. Reads of one open file are served one after the
// other, so the rest of a message is never overtaken by the next.
type Messages struct {
	src   Source
	write func(c *Call, p []byte)

	mu    sync.Mutex
	last  []byte // the message last delivered
	start int64  // the offset at which it was first asked for
	took  int    // how much of it was delivered by reads in sequence
	busy  *take  // the read that waits at the source
	queue []*turn
}

// NewMessages returns a stream over src. write takes writes; nil: they fail.
func NewMessages(src Source, write func(c *Call, p []byte)) *Messages {
	return &Messages{src: src, write: write}
}

// take is a read that waits at the source, on behalf of a call.
type take struct {
	s   *Messages
	c   *Call
	off int64
}

// turn is a read that waits for the read before it.
type turn struct {
	c   *Call
	off int64
}

// Read answers with the rest of the last message, or with the next.
func (s *Messages) Read(c *Call, off int64) {
	if s.src == nil {
		c.Fail(sys.ErrNotOpen)
		return
	}
	s.mu.Lock()
	if s.busy != nil {
		s.wait(c, off)
		return
	}
	if s.again(c, off) {
		s.mu.Unlock()
		return
	}
	t := &take{s: s, c: c, off: off}
	s.busy = t
	s.mu.Unlock()
	s.src.Take(t)
}

// wait queues a read behind the one that waits at the source; it unlocks s.
func (s *Messages) wait(c *Call, off int64) {
	if c.Nonblock() {
		s.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	t := &turn{c: c, off: off}
	s.queue = append(s.queue, t)
	s.mu.Unlock()
	c.Park(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, q := range s.queue {
			if q == t {
				s.queue = append(s.queue[:i], s.queue[i+1:]...)
				return
			}
		}
	})
}

// again serves a read from the message last delivered, if it lies there.
func (s *Messages) again(c *Call, off int64) bool {
	from := s.took
	if off >= 0 {
		from = int(min(off-s.start, int64(len(s.last))))
		if off < s.start {
			return false
		}
	}
	if from >= len(s.last) {
		return false
	}
	end := min(from+c.Count(), len(s.last))
	if c.Deliver(s.last[from:], nil) {
		s.took = max(s.took, end)
	}
	return true
}

// next starts the read that waited for its turn, if there is one.
func (s *Messages) next() {
	s.mu.Lock()
	if s.busy != nil || len(s.queue) == 0 {
		s.mu.Unlock()
		return
	}
	t := s.queue[0]
	s.queue = s.queue[1:]
	s.mu.Unlock()
	s.Read(t.c, t.off)
	s.next()
}

// done ends a take. The source's locks may be held, so those who wait for
// their turn get it from a goroutine; it is rare that there are any.
func (s *Messages) done(t *take) {
	if s.busy == t {
		s.busy = nil
		if len(s.queue) > 0 {
			go s.next()
		}
	}
}

// Deliver passes a message on and keeps it for what the buffer was too short for.
func (t *take) Deliver(msg []byte, lost func()) bool {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.done(t)
	if lost != nil {
		giveBack := lost
		lost = func() {
			s.forget()
			giveBack()
		}
	}
	if !t.c.Deliver(msg, lost) {
		return false
	}
	s.last = append(s.last[:0], msg...)
	s.start = max(t.off, 0)
	s.took = min(len(msg), t.c.Count())
	return true
}

// forget drops the last message, which went back to the source.
func (s *Messages) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.took = nil, 0
}

func (t *take) Done(n int) bool { return t.Deliver(nil, nil) }

func (t *take) Fail(err error) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.done(t)
	return t.c.Fail(err)
}

func (t *take) Nonblock() bool { return t.c.Nonblock() }

func (t *take) Park(cancel func()) {
	t.c.Park(func() {
		cancel()
		t.Fail(sys.ErrInterrupted)
	})
}

// ParkSlow is for a source that lies on another machine, which must be asked to
// stop: the message may be on its way. See Call.ParkSlow.
func (t *take) ParkSlow(cancel func()) { t.c.ParkSlow(cancel) }

// Write passes the message to the stream's writer.
func (s *Messages) Write(c *Call, p []byte, _ int64) {
	if s.write == nil {
		c.Fail(sys.ErrNotOpen)
		return
	}
	s.write(c, p)
}

// Close closes the source.
func (s *Messages) Close() {
	if s.src != nil {
		s.src.Close()
	}
}

package fstest

import (
	"slices"
	"sync"

	"warren/fs/sys"
)

// A Queue is a bounded queue of messages, the simplest file that waits both
// ways. It is an fs.Source.
type Queue struct {
	bound int

	mu      sync.Mutex
	held    [][]byte
	readers []sys.Call
	writers []*put
	ended   bool
}

// put is a write that waits for room.
type put struct {
	c   sys.Call
	msg []byte
}

// NewQueue returns a queue that holds at most bound messages.
func NewQueue(bound int) *Queue { return &Queue{bound: bound} }

// Take answers with the next message, or parks.
func (q *Queue) Take(c sys.Call) {
	q.mu.Lock()
	if len(q.readers) == 0 && q.give(c) {
		q.admit()
		q.mu.Unlock()
		return
	}
	if c.Nonblock() {
		q.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	q.readers = append(q.readers, c)
	q.mu.Unlock()
	c.Park(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.readers = slices.DeleteFunc(q.readers, func(r sys.Call) bool { return r == c })
	})
}

// give answers a read if there is anything to say. q.mu is held.
func (q *Queue) give(c sys.Call) bool {
	if len(q.held) == 0 {
		return q.ended && (c.Deliver(nil, nil) || true)
	}
	msg := q.held[0]
	if c.Deliver(msg, func() { q.giveBack(msg) }) {
		q.held = q.held[1:]
	}
	return true
}

// giveBack takes a message that did not reach its reader.
func (q *Queue) giveBack(msg []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = slices.Insert(q.held, 0, msg)
	q.serve()
}

// Put accepts a message, or parks while the queue is full.
func (q *Queue) Put(c sys.Call, p []byte) {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		c.Fail(sys.ErrClosed)
		return
	}
	w := &put{c: c, msg: slices.Clone(p)}
	full := len(q.held) >= q.bound || len(q.writers) > 0
	if full && c.Nonblock() {
		q.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	q.writers = append(q.writers, w)
	q.admit()
	q.mu.Unlock()
	if !full {
		return
	}
	c.Park(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.writers = slices.DeleteFunc(q.writers, func(o *put) bool { return o == w })
	})
}

// admit takes messages of waiting writers while there is room, and serves
// readers with them. q.mu is held.
func (q *Queue) admit() {
	for len(q.writers) > 0 && len(q.held) < q.bound {
		w := q.writers[0]
		q.writers = q.writers[1:]
		if w.c.Done(len(w.msg)) {
			q.held = append(q.held, w.msg)
		}
		q.serve()
	}
}

// serve answers waiting readers while it can. q.mu is held.
func (q *Queue) serve() {
	for len(q.readers) > 0 && q.give(q.readers[0]) {
		q.readers = q.readers[1:]
	}
}

// End ends the queue: readers get what is held, then end of file.
func (q *Queue) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for _, w := range q.writers {
		w.c.Fail(sys.ErrClosed)
	}
	q.writers = nil
	q.serve()
}

// State tells how many messages are held, and how many calls wait.
func (q *Queue) State() (held, readers, writers int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.held), len(q.readers), len(q.writers)
}

// Close is for one who has it open: nothing ends.
func (q *Queue) Close() {}

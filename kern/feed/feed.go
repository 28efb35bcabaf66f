// Package feed broadcasts records, a line each, to whoever has a feed open:
// events, traces, a process's notes. A feed never holds up what it reports:
// each reader has a bounded queue of its own, and one that is too slow finds
// "lost N" in the place of what it missed.
//
// A Feed's lock covers its queues' state; answers of calls are given with it
// held, so it comes before the front end's lock in the order.
package feed

import (
	"strconv"
	"sync"
	"sync/atomic"

	"warren/fs/sys"
)

// A Feed is what records are sent to. The zero Feed is ready.
type Feed struct {
	open   atomic.Int32 // queues, so that Active costs nothing
	mu     sync.Mutex
	queues map[*Queue]struct{}
	closed bool
	last   []byte // that every reader gets at the end
}

// A Queue is one reader's view of a feed: an fs.Source.
type Queue struct {
	feed    *Feed
	bound   int
	prefix  string // of the record that tells of a loss
	records [][]byte
	lost    int
	readers []sys.Call
}

// Active reports whether anybody listens, for records that are costly to make.
func (f *Feed) Active() bool { return f.open.Load() > 0 }

// Emit sends a record, which must end in a newline and is kept, to all readers.
func (f *Feed) Emit(record []byte) {
	if !f.Active() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	for q := range f.queues {
		q.put(record)
	}
}

// Open adds a reader whose queue holds at most bound records. It reads what is
// sent from now on. prefix precedes "lost N" in the record that tells of a loss.
func (f *Feed) Open(bound int, prefix string) *Queue {
	q := &Queue{feed: f, bound: bound, prefix: prefix}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queues == nil {
		f.queues = make(map[*Queue]struct{})
	}
	f.queues[q] = struct{}{}
	f.open.Add(1)
	if f.last != nil {
		q.records = append(q.records, f.last)
	}
	return q
}

// Close ends the feed: readers get what they have queued, then end of file.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for q := range f.queues {
		q.serve()
	}
}

// End sends a last record, which every reader gets, however full its queue is
// and however late it opens, and ends the feed.
func (f *Feed) End(record []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed, f.last = true, record
	for q := range f.queues {
		q.flushLost()
		q.records = append(q.records, record)
		q.serve()
	}
}

// put queues a record, or counts it as lost. f.mu is held.
func (q *Queue) put(record []byte) {
	if len(q.records) >= q.bound {
		q.lost++
		return
	}
	q.flushLost()
	q.records = append(q.records, record)
	q.serve()
}

// flushLost puts the record of a loss where the lost ones would have been.
func (q *Queue) flushLost() {
	if q.lost == 0 {
		return
	}
	line := append([]byte(q.prefix), "lost "...)
	line = append(strconv.AppendInt(line, int64(q.lost), 10), '\n')
	q.records = append(q.records, line)
	q.lost = 0
}

// serve answers readers with records while there are both.
func (q *Queue) serve() {
	for len(q.readers) > 0 && q.answer(q.readers[0]) {
		q.readers = q.readers[1:]
	}
}

// answer gives a reader the next record, or the end; false if it must wait.
func (q *Queue) answer(c sys.Call) bool {
	if len(q.records) == 0 {
		q.flushLost()
	}
	if len(q.records) == 0 {
		if q.feed.closed {
			c.Deliver(nil, nil)
			return true
		}
		return false
	}
	record := q.records[0]
	if c.Deliver(record, func() { q.giveBack(record) }) {
		q.records = q.records[1:]
	}
	return true
}

func (q *Queue) giveBack(record []byte) {
	q.feed.mu.Lock()
	defer q.feed.mu.Unlock()
	q.records = append([][]byte{record}, q.records...)
	q.serve()
}

// Take answers with the next record, or parks the call until there is one.
func (q *Queue) Take(c sys.Call) {
	f := q.feed
	f.mu.Lock()
	if len(q.readers) == 0 && q.answer(c) {
		f.mu.Unlock()
		return
	}
	if c.Nonblock() {
		f.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	q.readers = append(q.readers, c)
	f.mu.Unlock()
	c.Park(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, r := range q.readers {
			if r == c {
				q.readers = append(q.readers[:i], q.readers[i+1:]...)
				return
			}
		}
	})
}

// Close takes the reader off the feed.
func (q *Queue) Close() {
	f := q.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.queues[q]; ok {
		delete(f.queues, q)
		f.open.Add(-1)
	}
}

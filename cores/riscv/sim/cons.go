package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"warren/fs/sys"
)

// The bounds of a console, in records and bytes: what is kept for those who come
// later, and how far a reader may lag behind. A record is cut to pieces.
const (
	keepLines   = 256
	keepBytes   = 64 << 10
	readerLag   = 4096
	readerBytes = 1 << 20
	maxPiece    = 8 << 10
)

// A broadcast sends records to all who read it. Each has a bounded queue of its
// own, and one that is too slow finds "lost N" in the place of what it missed.
// Its lock is taken after Machine.mu.
type broadcast struct {
	mu      sync.Mutex
	kept    [][]byte
	bytes   int // in kept
	readers map[*Reader]struct{}
	closed  bool
}

// A Reader is one who reads a broadcast: an fs.Source.
type Reader struct {
	from  *broadcast
	queue [][]byte
	bytes int // in queue
	lost  int
	calls []sys.Call
}

// emit sends a record to all readers and keeps it for those to come.
func (b *broadcast) emit(record []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	for piece := range slices.Chunk(record, maxPiece) {
		b.kept = append(b.kept, piece)
		b.bytes += len(piece)
		for r := range b.readers {
			r.put(piece)
		}
	}
	for len(b.kept) > keepLines || b.bytes > keepBytes {
		b.bytes -= len(b.kept[0])
		b.kept[0] = nil
		b.kept = b.kept[1:]
	}
}

// forget drops what is kept for those to come: it was another program's.
func (b *broadcast) forget() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.bytes = nil, 0
}

func (b *broadcast) reader() *Reader {
	r := &Reader{from: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readers == nil {
		b.readers = make(map[*Reader]struct{})
	}
	b.readers[r] = struct{}{}
	r.queue, r.bytes = append(r.queue, b.kept...), b.bytes
	return r
}

func (b *broadcast) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for r := range b.readers {
		r.serve()
	}
}

func (r *Reader) put(record []byte) {
	if len(r.queue) >= readerLag || r.bytes+len(record) > readerBytes {
		r.lost++
		return
	}
	if r.lost > 0 {
		lost := []byte("lost " + strconv.Itoa(r.lost) + "\n")
		r.queue = append(r.queue, lost)
		r.bytes += len(lost)
		r.lost = 0
	}
	r.queue = append(r.queue, record)
	r.bytes += len(record)
	r.serve()
}

// serve answers calls with records while there are both, or with the end.
func (r *Reader) serve() {
	for len(r.calls) > 0 && (len(r.queue) > 0 || r.from.closed) {
		call := r.calls[0]
		r.calls = r.calls[1:]
		if len(r.queue) == 0 {
			call.Deliver(nil, nil)
			continue
		}
		r.deliver(call)
	}
}

func (r *Reader) deliver(call sys.Call) {
	record := r.queue[0]
	giveBack := func() {
		r.from.mu.Lock()
		defer r.from.mu.Unlock()
		r.queue = append([][]byte{record}, r.queue...)
		r.bytes += len(record)
		r.serve()
	}
	if call.Deliver(record, giveBack) {
		r.queue = r.queue[1:]
		r.bytes -= len(record)
	}
}

// Take answers with the next record, or parks.
func (r *Reader) Take(call sys.Call) {
	b := r.from
	b.mu.Lock()
	switch {
	case len(r.calls) == 0 && len(r.queue) > 0:
		r.deliver(call)
		b.mu.Unlock()
		return
	case b.closed:
		b.mu.Unlock()
		call.Deliver(nil, nil)
		return
	case call.Nonblock():
		b.mu.Unlock()
		call.Fail(sys.ErrAgain)
		return
	}
	r.calls = append(r.calls, call)
	b.mu.Unlock()
	call.Park(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, waits := range r.calls {
			if waits == call {
				r.calls = append(r.calls[:i:i], r.calls[i+1:]...)
				return
			}
		}
	})
}

// Put is for readers that are written to: nobody writes to a console.
func (r *Reader) Put(call sys.Call, _ []byte) { call.Fail(sys.ErrNotOpen) }

// Close ends the reading.
func (r *Reader) Close() {
	r.from.mu.Lock()
	defer r.from.mu.Unlock()
	delete(r.from.readers, r)
}

// show puts what a core wrote on its console and on the machine's.
func (m *Machine) show(c *core, s *saying) {
	if c.cons == nil {
		c.cons = new(broadcast)
	}
	c.cons.emit(bytes.Clone(s.data))
	m.line(s.at, c.id, string(s.data))
}

// line puts lines on the machine's console: `cycles core 'text'`.
func (m *Machine) line(at uint64, core int32, text string) {
	shown := -1 // the machine
	if core >= 0 {
		shown = m.shown(core)
	}
	for line := range bytes.Lines([]byte(text)) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 {
			m.console.emit(fmt.Appendf(nil, "%d %d %s\n", at, shown, quoteWord(string(bytes.ToValidUTF8(line, []byte("\uFFFD"))))))
		}
	}
}

// Console opens the machine's console: what all cores write, a line each, with
// the time and the core; and what the machine has to say.
func (m *Machine) Console() *Reader { return m.console.reader() }

// Cons opens the console of a core: what it writes, as it writes it.
func (m *Machine) Cons(id int) *Reader {
	m.mu.Lock()
	c := &m.cores[id]
	if c.cons == nil {
		c.cons = new(broadcast)
	}
	b := c.cons
	m.mu.Unlock()
	return b.reader()
}

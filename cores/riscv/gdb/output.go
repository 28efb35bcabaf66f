package gdb

import (
	"slices"
	"sync"

	"warren/fs/sys"
)

// An output is what lies between a session and its readers, and what a target
// that stops finds: the bytes for gdb, whether threads run, and the packets
// that wait until they do not.
type output struct {
	mu      sync.Mutex
	bytes   []byte // for gdb
	readers []sys.Call
	closed  bool
	last    []byte // the packet sent last

	running bool
	quiet   bool // the stop is not told by itself
	wanted  bool // ^C came, and no stop for it was told: gdb may have had the threads stand just then
	knows   knows
	stop    Stop // the last one
	pending []string
	held    int // bytes in pending
}

// knows are the replies that gdb has said it knows.
type knows struct{ hwbreak, noResumed bool }

// send frames a payload and keeps it for a reader; false if there is no room.
func (o *output) send(payload string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = frame(payload)
	return o.add(o.last)
}

// again sends the last packet once more.
func (o *output) again() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.add(o.last)
}

// put keeps bytes for a reader; false if there is no room.
func (o *output) put(p []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.add(p)
}

func (o *output) add(p []byte) bool {
	if len(o.bytes)+len(p) > maxOutput {
		return false
	}
	o.bytes = append(o.bytes, p...)
	o.serve()
	return true
}

// serve answers readers while there is something, or the end.
func (o *output) serve() {
	for len(o.readers) > 0 && o.answer(o.readers[0]) {
		o.readers = o.readers[1:]
	}
}

// answer gives a reader all there is, or the end; false if it must wait.
func (o *output) answer(c sys.Call) bool {
	if len(o.bytes) == 0 && !o.closed {
		return false
	}
	given := o.bytes
	if c.Deliver(given, func() { o.giveBack(given) }) {
		o.bytes = nil
	}
	return true
}

func (o *output) giveBack(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes = slices.Concat(p, o.bytes)
	o.serve()
}

func (o *output) take(c sys.Call) {
	o.mu.Lock()
	if len(o.readers) == 0 && o.answer(c) {
		o.mu.Unlock()
		return
	}
	if c.Nonblock() {
		o.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	o.readers = append(o.readers, c)
	o.mu.Unlock()
	c.Park(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if i := slices.Index(o.readers, c); i >= 0 {
			o.readers = slices.Delete(o.readers, i, i+1)
		}
	})
}

// close gives readers what is left and then the end, and forgets what waits.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.running = true, false
	o.pending, o.held, o.last = nil, 0, nil
	o.serve()
}

// begin says that threads run from now on; quiet, that nobody is told when
// they stop.
func (o *output) begin(quiet bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running, o.quiet = true, quiet
}

// cancel says that they do not, after all.
func (o *output) cancel() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = false
}

// interrupt takes note of a ^C; true if threads run.
func (o *output) interrupt() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = true
	return o.running
}

// interrupted reports whether threads run that a ^C is to stop.
func (o *output) interrupted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running && o.wanted
}

// lastStop returns the stop that is to be told when gdb asks.
func (o *output) lastStop() Stop {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stop
}

func (o *output) gdbKnows(k knows) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.knows = k
}

// stopReply returns the last stop as gdb is told of it.
func (o *output) stopReply() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stop.reply(o.knows)
}

// stopped notes and tells a stop, whether there is room or not, as it comes
// once for each packet that let threads run; true if packets waited for it.
func (o *output) stopped(st Stop) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.running {
		return false
	}
	o.running, o.stop = false, st
	o.wanted = o.wanted && st.Why != Interrupted
	if !o.quiet {
		o.last = frame(st.reply(o.knows))
		o.bytes = append(o.bytes, o.last...)
		o.serve()
	}
	return len(o.pending) > 0
}

// queue adds a packet to those that are to be done; false if there are too many.
func (o *output) queue(packet string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held+len(packet) > maxPending {
		return false
	}
	o.pending = append(o.pending, packet)
	o.held += len(packet) + packetCost
	return true
}

// packetCost is what a packet takes beside its bytes.
const packetCost = 32

// dequeue takes the next packet out, if no threads run.
func (o *output) dequeue() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running || len(o.pending) == 0 {
		return "", false
	}
	packet := o.pending[0]
	o.pending = o.pending[1:]
	o.held -= len(packet) + packetCost
	return packet, true
}

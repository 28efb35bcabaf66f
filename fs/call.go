package fs

import (
	"context"
	"sync"
	"sync/atomic"

	"warren/fs/sys"
)

// A Sink is where a front end takes the answer of a Call: exactly one of its
// methods is called, exactly once, from any goroutine and with locks of the
// answerer held, so they must not block.
type Sink interface {
	// Data answers a read; p is to be copied. lost, if not nil, is to be
	// called if no byte of the reply could be handed to the transport.
	Data(p []byte, lost func())
	// Count answers a write.
	Count(n int)
	Error(err error)
}

// A Call is one request: who asks, and where the answer goes. A Handle either
// answers it or parks it. One compare-and-swap decides between an answer and a
// cancellation, so that a flushed read never takes a message.
//
// Front ends embed it and Init it for each request. A Call that was never
// parked may be used again once it is answered; one that was parked may not,
// as a late canceller can still hold it.
type Call struct {
	user     *sys.User
	pid      int
	sink     Sink
	count    int
	nonblock bool
	cut      bool
	split    bool
	where    failer // where a failure is written down, set by the tree

	answered atomic.Bool

	mu          sync.Mutex
	cancel      func()
	slow        bool // cancel only begins to cancel
	parked      bool
	interrupted bool
}

// A failer writes the failure of a call down; it must not block.
type failer interface{ failed(c *Call, err error) }

var _ sys.Call = (*Call)(nil)

// Init makes the call ready: user asks (process pid if known, else 0), count
// is the most bytes that a read may return. It must not be in flight.
func (c *Call) Init(user *sys.User, pid int, sink Sink, count int, nonblock bool) {
	c.user, c.pid, c.sink, c.count, c.nonblock = user, pid, sink, count, nonblock
	c.where, c.cut, c.split = nil, false, false
	c.answered.Store(false)
	if c.parked || c.interrupted {
		c.cancel, c.slow, c.parked, c.interrupted = nil, false, false, false
	}
}

// User returns who asks.
func (c *Call) User() *sys.User { return c.user }

// PID returns the process that asks, 0 if it is not known.
func (c *Call) PID() int { return c.pid }

// Count returns the most bytes that a read may answer with.
func (c *Call) Count() int { return c.count }

// Nonblock says that what would park must fail with sys.ErrAgain.
func (c *Call) Nonblock() bool { return c.nonblock }

// Answered reports whether the call has its answer (or has lost the race
// for one to a cancellation).
func (c *Call) Answered() bool { return c.answered.Load() }

// Parked reports whether Park or Context was called.
func (c *Call) Parked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parked
}

// Cut reports, to the sink, that Deliver had more than Count bytes.
func (c *Call) Cut() bool { return c.cut }

// MarkSplit says that a write is as long as the front end can pass on, so that
// it may be one part of what the writer wrote.
func (c *Call) MarkSplit() { c.split = true }

// Split reports whether the write may be a part of a longer one: then a
// message's end is not known.
func (c *Call) Split() bool { return c.split }

// Deliver answers a read with p, cut to Count; see sys.Call.
func (c *Call) Deliver(p []byte, lost func()) bool {
	if !c.answered.CompareAndSwap(false, true) {
		return false
	}
	if len(p) > c.count {
		p, c.cut = p[:c.count], true
	}
	c.sink.Data(p, lost)
	return true
}

// Done answers a write; see sys.Call.
func (c *Call) Done(n int) bool {
	if !c.answered.CompareAndSwap(false, true) {
		return false
	}
	c.sink.Count(n)
	return true
}

// Fail answers with an error; see sys.Call.
func (c *Call) Fail(err error) bool {
	if !c.answered.CompareAndSwap(false, true) {
		return false
	}
	if c.where != nil {
		c.where.failed(c, err)
	}
	c.sink.Error(err)
	return true
}

// Park leaves the answer for later; see sys.Call.
func (c *Call) Park(cancel func()) {
	c.mu.Lock()
	c.cancel, c.parked = cancel, true
	now, slow := c.interrupted, c.slow
	c.mu.Unlock()
	if now {
		c.stop(cancel, slow)
	}
}

// ParkSlow is Park for what another machine must be asked to stop: cancel only
// begins that, and whoever parked the call answers it soon after, with
// ErrInterrupted or with what came first. So nobody has to guess whether an
// interrupted write was done.
func (c *Call) ParkSlow(cancel func()) {
	c.mu.Lock()
	c.slow = true
	c.mu.Unlock()
	c.Park(cancel)
}

// Interrupt cancels the call if it is parked, or as soon as it parks: what
// does not wait is not interrupted. When Interrupt returns, the call is
// answered, unless it is not parked yet, or slow to cancel (ParkSlow). It may
// be called more than once.
func (c *Call) Interrupt() {
	c.mu.Lock()
	again := c.interrupted
	c.interrupted = true
	cancel, slow := c.cancel, c.slow
	c.mu.Unlock()
	if cancel != nil && !again {
		c.stop(cancel, slow)
	}
}

// stop cancels. A call that is answered already may have parked once more, by
// one who did not know: it has to leave there as well.
func (c *Call) stop(cancel func(), slow bool) {
	cancel()
	if !slow {
		c.Fail(sys.ErrInterrupted)
	}
}

// Context is for the methods of a Node that wait for another machine: it
// returns a context that ends when the call is interrupted, or already was,
// with sys.ErrInterrupted for its cause. end is to be called when the wait is
// over. A call that has waited so counts as parked.
func (c *Call) Context(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c.mu.Lock()
	c.cancel, c.slow, c.parked = func() { cancel(sys.ErrInterrupted) }, true, true
	now := c.interrupted
	c.mu.Unlock()
	if now {
		cancel(sys.ErrInterrupted)
	}
	return ctx, func() {
		c.mu.Lock()
		c.cancel, c.slow = nil, false
		c.mu.Unlock()
		cancel(nil)
	}
}

package kern

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"warren/cores"
)

// A kernel decides for one core. It is idle, and owns no goroutine and no
// buffer, unless a message is on its way through it: whoever sends to an idle
// kernel drains it, and whoever sends to a busy one leaves the message in its
// inbox. Work that may take long (the driver's) moves the drain to a goroutine
// of its own, so that no sender is held up by it.
type kernel struct {
	m  *Machine
	id cores.ID

	in, out atomic.Int64
	ports   atomic.Pointer[ports] // made when first asked for
	silent  atomic.Bool           // published as not alive

	mu    sync.Mutex // guards what senders touch
	busy  bool       // somebody drains
	head  int        // of inbox
	inbox []message

	// The drain's only:
	now     *Core    // agreed state; the View has the same value
	promise *promise // the one agreement that it is bound to
	rounds  []*round // the agreements that it coordinates
}

const (
	// maxInbox bounds the questions that wait for a kernel; one more counts
	// as a no. Answers and orders are bounded by the questions.
	maxInbox = 1024
	// maxTurn is how many messages a sender handles for others before the
	// drain gets a goroutine of its own.
	maxTurn = 64
)

func (k *kernel) init(m *Machine, first *Core) { k.m, k.id, k.now = m, first.ID, first }

// send hands the kernel a message; false if its inbox is full.
func (k *kernel) send(msg message) bool {
	k.mu.Lock()
	if k.busy {
		defer k.mu.Unlock()
		if len(k.inbox)-k.head >= maxInbox && msg.kind <= prepare {
			return false
		}
		k.inbox = append(k.inbox, msg)
		return true
	}
	k.busy = true
	k.mu.Unlock()
	k.drain(msg)
	return true
}

// drain handles a message and what comes in meanwhile.
func (k *kernel) drain(msg message) {
	for turn := 0; ; turn++ {
		if turn >= maxTurn || k.slow(&msg) {
			go k.drainAll(msg)
			return
		}
		k.handle(&msg)
		if !k.next(&msg) {
			return
		}
	}
}

// drainAll is drain in a goroutine that may take its time.
func (k *kernel) drainAll(msg message) {
	for {
		k.handle(&msg)
		if !k.next(&msg) {
			return
		}
	}
}

// slow reports whether handling the message may take long: the driver has work
// to do or to undo, or a test stands in the way.
func (k *kernel) slow(msg *message) bool {
	switch {
	case k.m.opt.Fault != nil:
		return true
	case k.promise != nil && len(k.promise.done) > 0:
		return true
	case msg.kind == agree:
		return len(msg.a.parts) == 1 && msg.a.parts[0].works
	}
	return msg.kind == act && k.promise != nil && len(k.promise.work) > 0
}

// next takes the next message from the inbox; without one the kernel is idle.
func (k *kernel) next(msg *message) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.head == len(k.inbox) {
		k.inbox, k.head, k.busy = nil, 0, false
		return false
	}
	*msg = k.inbox[k.head]
	k.inbox[k.head] = message{}
	if k.head++; k.head == len(k.inbox) {
		k.inbox, k.head = k.inbox[:0], 0
	}
	return true
}

// handle does what a message asks. A panic costs this kernel its state, which
// is made anew, and nobody else anything.
func (k *kernel) handle(msg *message) {
	defer func() {
		if cause := recover(); cause != nil {
			k.rebuild(msg, cause, debug.Stack())
		}
	}()
	k.in.Add(1)
	k.trace(msg, k.id)
	k.dispatch(msg)
	if k.silent.Load() {
		k.m.setAlive(k.id, true)
	}
}

func (k *kernel) dispatch(msg *message) {
	switch msg.kind {
	case look:
		if k.promise == nil {
			k.look()
		}
	case agree:
		k.coordinate(msg.a)
	case prepare:
		k.prepare(msg)
	case act:
		k.act(msg)
	case undo:
		k.settleOf(msg.a)
		k.answer(msg, message{kind: undone})
	case commit, abort:
		k.settleOf(msg.a)
		if r := k.roundOf(msg.a); r != nil && msg.from == client {
			k.drop(r) // the client gave up, and told everybody
		}
	default:
		k.answered(msg)
	}
}

// tell sends a message to another kernel, or to itself; false if it was not taken.
func (k *kernel) tell(to cores.ID, msg message) bool {
	msg.from = k.id
	k.out.Add(1)
	if to != k.id {
		k.trace(&msg, to)
	}
	return k.m.kernels[to].send(msg)
}

// fault lets a test interfere.
func (k *kernel) fault(phase string) {
	if f := k.m.opt.Fault; f != nil {
		f(k.id, phase)
	}
}

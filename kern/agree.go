package kern

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// An agreement is the record of one try at making some moves together. All of
// it is fixed when it is made, but for the words that say how it goes.
type agreement struct {
	m     *Machine
	id    uint64
	moves []Move // in core order
	parts []part // one a core, in core order; the first coordinates

	outcome atomic.Uint32
	refused atomic.Pointer[Refusals] // why it was aborted; the first reason stays
	waits   atomic.Int32             // the part whose turn it is
	last    atomic.Int64             // when something last went on: ns since the machine's start
	ended   atomic.Bool
	done    chan struct{} // closed when the client may go on
	err     error         // then
}

// A part is what one core is asked for.
type part struct {
	core     cores.ID
	from, to int  // its moves
	works    bool // the driver may have something to do
}

// The outcomes. Committed is set by Machine.commit only.
const (
	undecided uint32 = iota
	committed
	aborted
)

// The pauses between tries, when kernels are bound to other agreements.
const (
	firstPause = 20 * time.Microsecond
	maxPause   = 2 * time.Millisecond
)

// Agree makes the moves, all or none, and returns when it is known which. A
// *Refusals says who said no and why; ENXIO is a core that there is not, EINVAL
// a move without an owner. It takes no longer than the driver's work and
// Options.Deadline (or Work).
func (m *Machine) Agree(moves []Move) error {
	moves = slices.Clone(moves)
	slices.SortStableFunc(moves, func(a, b Move) int { return int(a.Core) - int(b.Core) })
	parts, err := m.parts(moves)
	if err != nil || len(moves) == 0 {
		return err
	}
	till := time.Now().Add(m.opt.Deadline)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		a := &agreement{m: m, id: m.ids.Add(1), moves: moves, parts: parts, done: make(chan struct{})}
		err := a.run()
		if !retry(err) || time.Now().Add(pause).After(till) {
			return err
		}
		time.Sleep(pause/2 + rand.N(pause))
	}
}

// parts checks the moves and divides them by core.
func (m *Machine) parts(moves []Move) ([]part, error) {
	var parts []part
	for i, mv := range moves {
		switch {
		case mv.Core < 0 || int(mv.Core) >= len(m.kernels):
			return nil, sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", mv.Core, len(m.kernels))
		case mv.Op <= Unprovision && mv.Owner == Owner{}:
			return nil, sys.Errorf(syscall.EINVAL, "core %d: a claim needs an owner", mv.Core)
		}
		if n := len(parts); n == 0 || parts[n-1].core != mv.Core {
			parts = append(parts, part{core: mv.Core, from: i})
		}
		p := &parts[len(parts)-1]
		p.to = i + 1
		p.works = p.works || mv.Op.works()
	}
	return parts, nil
}

// run tries once.
func (a *agreement) run() error {
	a.touch()
	if !a.m.order(a.parts[0].core, message{kind: agree, a: a}) {
		return &Refusals{List: []Refusal{flooded(a.parts[0].core)}}
	}
	select {
	case <-a.done:
	default:
		a.wait()
	}
	return a.err
}

// order sends a client's message to a kernel; false if its inbox is full.
func (m *Machine) order(to cores.ID, msg message) bool {
	msg.from = client
	return m.kernels[to].send(msg)
}

// wait waits for the end, but no longer than something goes on.
func (a *agreement) wait() {
	limit := a.limit()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-a.done:
			return
		case <-timer.C:
		}
		if left := limit - a.silence(); left > 0 {
			timer.Reset(left)
			continue
		}
		a.giveUp()
		<-a.done
		return
	}
}

// limit is how long nothing may go on.
func (a *agreement) limit() time.Duration {
	for i := range a.parts {
		if a.parts[i].works {
			return a.m.opt.Work
		}
	}
	return a.m.opt.Deadline
}

// giveUp ends an agreement that somebody does not answer to: undecided, it is
// aborted; decided, all are told.
func (a *agreement) giveUp() {
	who := a.parts[a.waits.Load()].core
	a.abort(Refusal{Core: who, Errno: syscall.ETIMEDOUT, Reason: "no answer within " + a.limit().String()})
	a.m.setAlive(who, false)
	a.announce(a.m.order)
	a.end()
}

// announce sends the outcome to all parts.
func (a *agreement) announce(tell func(to cores.ID, msg message) bool) {
	order := message{kind: abort, a: a}
	if a.outcome.Load() == committed {
		order.kind = commit
	}
	for i := range a.parts {
		order.part = int32(i)
		tell(a.parts[i].core, order)
	}
}

// abort decides against the agreement unless it is decided; the first reason
// given is the client's.
func (a *agreement) abort(why ...Refusal) {
	if !a.decided() {
		a.refused.CompareAndSwap(nil, &Refusals{List: why})
		a.outcome.CompareAndSwap(undecided, aborted)
	}
}

// end lets the client go on, who learns what was decided.
func (a *agreement) end() {
	if !a.ended.CompareAndSwap(false, true) {
		return
	}
	if a.outcome.Load() == aborted {
		a.err = a.refused.Load()
	}
	close(a.done)
}

func (a *agreement) decided() bool { return a.outcome.Load() != undecided }

// touch says that something goes on; silence is how long nothing has.
func (a *agreement) touch() { a.last.Store(int64(time.Since(a.m.start))) }

func (a *agreement) silence() time.Duration {
	return time.Since(a.m.start) - time.Duration(a.last.Load())
}

func (a *agreement) movesOf(part int32) []Move {
	p := &a.parts[part]
	return a.moves[p.from:p.to]
}

// retry reports whether the only hindrance was another agreement on its way.
func retry(err error) bool {
	r, ok := err.(*Refusals)
	return ok && !slices.ContainsFunc(r.List, func(one Refusal) bool { return !one.passing })
}

func flooded(id cores.ID) Refusal {
	return Refusal{Core: id, Errno: syscall.EAGAIN, Reason: "its kernel has too much to do"}
}

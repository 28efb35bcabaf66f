package kern

import (
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// A promise binds a kernel to an agreement until that is decided. It outlives
// a panic of the kernel, so that what the driver did for it can be undone.
type promise struct {
	a    *agreement
	part int32
	next *Core      // what the core will be
	work []cores.Op // what the driver must do for it
	done []cores.Op // what it did, or began
}

// works reports whether the move may be work for the driver.
func (op MoveOp) works() bool { return op >= Online && op != RoleMgmt && op != RoleApp }

// driverOp is the driver's part in a move; reverse is what undoes it.
var (
	driverOp = [...]cores.Op{Online: cores.Online, Offline: cores.Offline, QuietOn: cores.QuietOn, QuietOff: cores.QuietOff}
	reverse  = [...]cores.Op{cores.Online: cores.Offline, cores.Offline: cores.Online, cores.QuietOn: cores.QuietOff, cores.QuietOff: cores.QuietOn}
)

// prepare answers whether the core can do its part, and promises it then.
func (k *kernel) prepare(msg *message) {
	if msg.a.decided() {
		return // it was aborted, and the order for that may have passed already
	}
	if why := k.promiseTo(msg.a, msg.part); why != nil {
		k.answer(msg, message{kind: no, why: why})
		return
	}
	k.answer(msg, message{kind: yes, next: k.promise.next})
	k.fault("voted")
}

// promiseTo binds the kernel to a part of the agreement, or says why not.
func (k *kernel) promiseTo(a *agreement, part int32) *Refusal {
	k.fault("prepare")
	if !k.free() {
		return &Refusal{Core: k.id, Errno: syscall.EAGAIN, Reason: "busy with another agreement", passing: true}
	}
	k.look()
	p, why := k.propose(a, part)
	if why != nil {
		return why
	}
	k.promise = p
	k.fault("prepared")
	return nil
}

// free reports whether the kernel is bound to no agreement: what was decided
// about the last one it looks up itself, if it was not told yet.
func (k *kernel) free() bool {
	if k.promise != nil && k.promise.a.decided() {
		k.settle()
	}
	return k.promise == nil
}

// propose works out what the core will be. What changes nothing proposes the
// state that is.
func (k *kernel) propose(a *agreement, part int32) (*promise, *Refusal) {
	now := time.Now()
	next := *k.now
	p := &promise{a: a, part: part, next: &next}
	for _, mv := range a.movesOf(part) {
		was := next
		if why := next.move(mv, now); why != nil {
			return nil, why
		}
		if mv.Op.works() && was != next {
			p.work = append(p.work, driverOp[mv.Op])
		}
	}
	if next == *k.now {
		p.next = k.now
	} else {
		next.Epoch++
	}
	return p, nil
}

// act has the driver do the work that was promised.
func (k *kernel) act(msg *message) {
	if k.promise == nil || k.promise.a != msg.a {
		return // it was decided meanwhile
	}
	if why := k.work(); why != nil {
		k.promise = nil
		k.answer(msg, message{kind: no, why: why})
		return
	}
	k.answer(msg, message{kind: acted})
}

// work has the driver do the promise's work, all or nothing.
func (k *kernel) work() *Refusal {
	p := k.promise
	if len(p.work) == 0 {
		return nil
	}
	k.fault("act")
	for _, op := range p.work {
		p.done = append(p.done, op)
		if err := k.m.driver.Do(k.id, op); err != nil {
			p.done = p.done[:len(p.done)-1]
			k.undo(p)
			return &Refusal{Core: k.id, Errno: sys.Errno(err), Reason: err.Error()}
		}
	}
	k.fault("acted")
	return nil
}

// undo has the driver take back what it did for the promise. Where it cannot,
// what the driver says of the core is what is.
func (k *kernel) undo(p *promise) {
	for len(p.done) > 0 {
		last := p.done[len(p.done)-1]
		p.done = p.done[:len(p.done)-1]
		if err := k.m.driver.Do(k.id, reverse[last]); err != nil {
			k.m.opt.Log.Error("cannot undo a switch of a core", "core", k.id, "err", err)
			k.now = k.m.restate(k.id)
			return
		}
	}
}

// settleOf settles the promise if it is to this agreement.
func (k *kernel) settleOf(a *agreement) {
	if k.promise != nil && k.promise.a == a {
		k.settle()
	}
}

// settle does what was decided about what was promised.
func (k *kernel) settle() {
	p := k.promise
	if p.a.outcome.Load() == committed {
		k.fault("commit")
		k.now, k.promise = p.next, nil
		k.fault("committed")
		return
	}
	k.fault("abort")
	k.undo(p)
	k.promise = nil
	k.fault("aborted")
}

// answer replies to the coordinator.
func (k *kernel) answer(question *message, reply message) {
	reply.a, reply.part = question.a, question.part
	k.tell(question.a.parts[0].core, reply)
}

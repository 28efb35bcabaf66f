package kern

import (
	"slices"
	"syscall"
	"time"

	"warren/cores"
)

// rebuild makes the kernel anew after a panic in the handling of a message.
// Its state comes from the driver and the processes; what it had promised and
// begun to coordinate comes from the records of those agreements. Others see
// a no at most.
func (k *kernel) rebuild(msg *message, cause any, stack []byte) {
	k.m.opt.Log.Error("rebuilt the kernel of a core", "core", k.id, "panic", cause, "stack", string(stack))
	promise, parts := k.promise, k.partsIn(msg)
	k.promise, k.rounds = nil, nil
	why := Refusal{Core: k.id, Errno: syscall.EAGAIN, Reason: "its kernel was rebuilt"}
	for _, p := range parts {
		p.a.abort(why)
	}
	if promise != nil && promise.a.outcome.Load() == aborted {
		k.attempt(func() { k.undo(promise) })
	}
	k.attempt(func() { k.now = k.m.restate(k.id) })
	k.m.tell("rebuilt", k.id)
	for _, p := range parts {
		k.withdraw(p, &why)
	}
}

// partsIn lists the agreements that the kernel has a part in, each once: by
// the message that it was at, by its promise, and by its rounds.
func (k *kernel) partsIn(msg *message) []promise {
	var parts []promise
	add := func(a *agreement, part int32) {
		mine := a.parts[0].core == k.id || a.parts[part].core == k.id
		if mine && !slices.ContainsFunc(parts, func(p promise) bool { return p.a == a }) {
			parts = append(parts, promise{a: a, part: part})
		}
	}
	if k.promise != nil {
		add(k.promise.a, k.promise.part)
	}
	if msg.a != nil {
		add(msg.a, msg.part)
	}
	for _, r := range k.rounds {
		add(r.a, 0)
	}
	return parts
}

// withdraw says that the kernel lost track of an agreement: as its coordinator
// it tells everybody the outcome, otherwise it tells the coordinator.
func (k *kernel) withdraw(p promise, why *Refusal) {
	switch {
	case p.a.parts[0].core != k.id:
		k.tell(p.a.parts[0].core, message{kind: no, a: p.a, part: p.part, why: why})
	case !p.a.ended.Load():
		p.a.announce(k.tell)
		k.close(p.a)
	}
}

// attempt runs what calls foreign code, which may be what panicked.
func (k *kernel) attempt(f func()) {
	defer func() {
		if cause := recover(); cause != nil {
			k.m.opt.Log.Error("the kernel of a core keeps what was agreed", "core", k.id, "panic", cause)
		}
	}()
	f()
}

// look restates the core if somebody else has switched it.
func (k *kernel) look() {
	if !k.now.Outside && k.now.Online != k.m.driver.Online(k.id) {
		k.now = k.m.restate(k.id)
	}
}

// restate works out a core's state from the driver and the processes, and
// publishes it if it is not what was agreed.
func (m *Machine) restate(id cores.ID) *Core {
	online := m.driver.Online(id)
	owner, prov := m.held(id)
	m.pub.Lock()
	defer m.pub.Unlock()
	was := m.view.Load().at(id)
	next := *was
	next.Alive, next.Online = true, online && !was.Outside
	now := time.Now()
	if m.heldBy(was.Owner, was.Since, owner, now) != was.Owner {
		next.Owner, next.Since, next.OwnEpoch = owner, now, was.Epoch+1
	}
	if m.heldBy(was.Prov, was.ProvSince, prov, now) != was.Prov {
		next.Prov, next.ProvSince = prov, now
	}
	if next == *was {
		return was
	}
	next.Epoch++
	m.publish([]*Core{&next})
	return &next
}

// heldBy weighs who has a core: agreed says one thing since a time, the
// processes another. The processes may not have heard yet of what was agreed
// just now; and that nobody speaks for a core does not free it, as two owners
// are worse than none.
func (m *Machine) heldBy(agreed Owner, since time.Time, said Owner, now time.Time) Owner {
	if said == (Owner{}) || now.Sub(since) < m.opt.Deadline {
		return agreed
	}
	return said
}

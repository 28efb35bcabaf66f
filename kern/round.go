package kern

import "slices"

// A round is what a coordinator knows of an agreement on its way.
type round struct {
	a        *agreement
	phase    phase
	at       int     // the part that is asked
	next     []*Core // of the parts that promised
	refusals []Refusal
}

// A phase says which question a round is at.
type phase uint8

// The phases: all are asked to promise, so that every no is known; then the
// driver does its work, which may fail; what it did is undone in reverse.
const (
	preparing phase = iota
	acting
	undoing
)

// coordinate begins an agreement. That of a single core needs no messages.
func (k *kernel) coordinate(a *agreement) {
	k.fault("coordinate")
	if a.decided() {
		return
	}
	if len(a.parts) == 1 {
		k.alone(a)
		return
	}
	r := &round{a: a, at: -1, next: make([]*Core, len(a.parts))}
	k.rounds = append(k.rounds, r)
	k.step(r)
}

// alone makes an agreement of this core alone.
func (k *kernel) alone(a *agreement) {
	if why := k.promiseTo(a, 0); why != nil {
		a.abort(*why)
	} else if why := k.work(); why != nil {
		k.promise = nil
		a.abort(*why)
	} else {
		k.fault("decide")
		k.m.commit(a, []*Core{k.promise.next})
		k.settle()
	}
	k.close(a)
}

// step asks the next question, or takes the round to its next phase.
func (k *kernel) step(r *round) {
	switch r.phase {
	case preparing:
		if r.at++; r.at < len(r.a.parts) {
			k.ask(r, prepare)
		} else if r.refusals != nil {
			k.refuse(r)
		} else {
			r.phase, r.at = acting, -1
			k.step(r)
		}
	case acting:
		if r.at = r.a.worker(r.at, 1); r.at < len(r.a.parts) {
			k.ask(r, act)
		} else {
			k.decide(r)
		}
	case undoing:
		if r.at = r.a.worker(r.at, -1); r.at >= 0 {
			k.ask(r, undo)
		} else {
			k.finish(r)
		}
	}
}

// worker returns the next part, up or down from one, with work for the driver.
func (a *agreement) worker(from, by int) int {
	i := from + by
	for i >= 0 && i < len(a.parts) && !a.parts[i].works {
		i += by
	}
	return i
}

// ask puts a question to the part that is its turn.
func (k *kernel) ask(r *round, question kind) {
	to := r.a.parts[r.at].core
	r.a.waits.Store(int32(r.at))
	r.a.touch()
	if !k.tell(to, message{kind: question, a: r.a, part: int32(r.at)}) {
		why := flooded(to)
		k.answered(&message{kind: no, a: r.a, part: int32(r.at), why: &why})
	}
}

// answered takes an answer to the round that it belongs to. One that comes
// when the agreement is over, or that another is awaited for, is late.
func (k *kernel) answered(msg *message) {
	r := k.roundOf(msg.a)
	if r == nil {
		return
	}
	r.a.waits.Store(0)
	if r.phase != undoing {
		if msg.kind == no {
			r.refusals = append(r.refusals, *msg.why)
		}
		if r.a.decided() || msg.kind == no && (r.phase == acting || msg.why.passing) {
			k.refuse(r)
			return
		}
	}
	if msg.kind == yes {
		r.next[msg.part] = msg.next
	}
	if int(msg.part) == r.at {
		k.step(r)
	}
}

// decide commits the round. Only somebody's abort can come between.
func (k *kernel) decide(r *round) {
	k.fault("decide")
	if !k.m.commit(r.a, r.next) {
		k.refuse(r)
		return
	}
	k.fault("decided")
	r.a.announce(k.tell)
	k.finish(r)
}

// refuse aborts the round: who may have promised is told, and who did the
// driver's work before the one that could not is asked to undo it.
func (k *kernel) refuse(r *round) {
	r.a.abort(r.refusals...)
	k.fault("refuse")
	for i := range r.a.parts {
		did := r.phase == acting && r.a.parts[i].works && i < r.at
		asked := r.phase == acting || i <= r.at
		if asked && !did {
			k.tell(r.a.parts[i].core, message{kind: abort, a: r.a, part: int32(i)})
		}
	}
	if r.phase != acting {
		r.at = -1
	}
	r.phase = undoing
	k.step(r)
}

// finish drops the round and answers the client.
func (k *kernel) finish(r *round) {
	k.drop(r)
	k.close(r.a)
}

func (k *kernel) roundOf(a *agreement) *round {
	for _, r := range k.rounds {
		if r.a == a {
			return r
		}
	}
	return nil
}

func (k *kernel) drop(r *round) {
	k.rounds = slices.DeleteFunc(k.rounds, func(other *round) bool { return other == r })
	if len(k.rounds) == 0 {
		k.rounds = nil
	}
}

// close answers the client.
func (k *kernel) close(a *agreement) {
	k.out.Add(1)
	answer := message{kind: agreed, from: k.id, a: a}
	if a.outcome.Load() == aborted {
		answer.kind = refused
	}
	k.trace(&answer, client)
	a.end()
}

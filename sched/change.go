package sched

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
)

// A change is what a claim is to get: these cores, for this request.
type change struct {
	cl   *claim
	r    Request
	to   []cores.ID
	tell bool // by Granted; else it is the answer to the claimant's own call

	start  bool    // the claim had nothing before
	was    Request // before the change
	from   []cores.ID
	grant  Grant
	failed error // of Granted
}

// begin has the kernels claim what a plan needs, all or nothing, and enters it
// in the books. From then on a claim that others have to move for is busy, as it
// waits for them, though carry may come later. s.mu is held.
func (s *Scheduler) begin(p plan) error {
	var moves []kern.Move
	for _, ch := range p.changes() {
		if ch.r.exclusive() {
			moves = append(moves, s.unclaimed(ch.cl, ch.to)...)
		}
	}
	if err := s.agree(moves); err != nil {
		return err
	}
	for _, ch := range p.changes() {
		s.apply(ch)
	}
	if p.own != nil && len(p.others) > 0 {
		p.own.cl.busy = true
	}
	return nil
}

func (p plan) changes() []*change {
	if p.own == nil {
		return p.others
	}
	return append([]*change{p.own}, p.others...)
}

// apply enters a change in the books.
func (s *Scheduler) apply(ch *change) {
	cl := ch.cl
	ch.start, ch.was, ch.from = !cl.running, cl.r, cl.cores
	s.lift(cl)
	cl.r, cl.cores, cl.running = ch.r, ch.to, true
	s.lay(cl)
	if cl.r.exclusive() {
		cl.held = union(cl.held, ch.to)
	}
	cl.moving = cl.moving || ch.tell
	cl.starting = ch.start && ch.tell
	ch.grant = s.grant(cl)
}

// union returns what is in either of two lists.
func union(a, b []cores.ID) []cores.ID {
	return cores.NewSet(append(slices.Clone(a), b...)...)
}

// revert takes a change back, unless another has come after it.
func (s *Scheduler) revert(ch *change) {
	cl := ch.cl
	if cl.gone || cl.serial != ch.grant.Serial {
		return
	}
	s.lift(cl)
	cl.r, cl.cores, cl.running = ch.was, ch.from, !ch.start
	s.lay(cl)
	s.trim(cl)
}

// tidy gives back what a change that was carried out has left, and tells of it.
func (s *Scheduler) tidy(ch *change) {
	cl := ch.cl
	if cl.gone {
		return
	}
	s.trim(cl)
	if !slices.Equal(ch.from, ch.to) {
		s.tell(verb(ch), cl.owner, fmt.Sprintf("%d %s %s", len(ch.to), cores.NewSet(ch.to...), cl.r.Class))
	}
}

// verb names a change in the events.
func verb(ch *change) string {
	switch {
	case len(ch.to) > len(ch.from):
		return "granted"
	case len(ch.to) < len(ch.from):
		return "shrunk"
	}
	return "moved"
}

// carry carries a plan out that was begun, up to the claimant's own change,
// which is taken back if others do not get out of its way. s.mu is held, but
// not while the others move.
func (s *Scheduler) carry(p plan) error {
	if len(p.others) > 0 {
		s.mu.Unlock()
		s.moveAll(p.others)
		s.mu.Lock()
		if p.own != nil {
			p.own.cl.busy = false
		}
	}
	var err error
	for _, ch := range p.others {
		if ch.failed != nil && !ch.cl.gone {
			err = sys.Errorf(syscall.EBUSY, "cores: %s could not be moved out of the way: %v", ch.cl.owner, ch.failed)
		}
	}
	if err != nil && p.own != nil {
		s.revert(p.own)
	}
	return err
}

// moveAll tells claimants of their moves, all at once, and waits. Each move is
// settled when it is made, as somebody may wait for just that one.
func (s *Scheduler) moveAll(changes []*change) {
	var all sync.WaitGroup
	for _, ch := range changes {
		all.Go(func() {
			ch.offer()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle(ch)
		})
	}
	all.Wait()
}

// offer tells a claimant of a change. A process that has ended is in nobody's
// way: its Release is coming.
func (ch *change) offer() {
	err := ch.cl.c.Granted(ch.grant)
	if ch.start || !errors.Is(err, syscall.ESRCH) {
		ch.failed = err
	}
}

// await waits for the ends of the moves that these claims are in the middle of,
// on behalf of a claim that is busy meanwhile (or of nobody). None of them may
// be busy, and their next moves are not waited for: see the package comment.
// s.mu is held, but not while it waits.
func (s *Scheduler) await(cl *claim, moving []*claim) {
	if cl != nil {
		cl.busy = true
		defer func() { cl.busy = false }()
	}
	till := make([]int, len(moving))
	for i, m := range moving {
		till[i] = m.moves + 1
	}
	for i, m := range moving {
		for m.moves < till[i] {
			s.settled.Wait()
		}
	}
}

// settle ends a change that its claimant was told of. One who refused keeps
// what it had, and is left alone from then on.
func (s *Scheduler) settle(ch *change) {
	cl := ch.cl
	s.still(cl)
	switch {
	case cl.gone:
	case ch.failed == nil || cl.serial != ch.grant.Serial:
		s.tidy(ch)
		s.short(cl)
	case ch.start:
		s.tell("failed", cl.owner, ch.failed.Error())
		s.forget(cl)
	default:
		cl.stuck = true
		s.revert(ch)
		s.dequeue(cl)
	}
}

// finish carries out what no call waits for: a queued start, growth, thinning.
func (s *Scheduler) finish(p plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.carry(p)
	if p.thins {
		s.thinning--
	}
	switch own := p.own; {
	case own == nil:
	case own.cl.gone:
		s.still(own.cl)
	case err != nil:
		own.cl.starting = false
		s.still(own.cl)
		if own.start {
			s.requeue(own.cl, err.Error())
		}
	default:
		own.cl.starting = false
		s.mu.Unlock()
		own.offer()
		s.mu.Lock()
		s.settle(own)
	}
	s.serve()
}

// still says that a claim is being moved no more.
func (s *Scheduler) still(cl *claim) {
	cl.moving = false
	cl.moves++
	s.settled.Broadcast()
}

// forget ends a claim: everything but a provision goes. s.mu is held.
func (s *Scheduler) forget(cl *claim) {
	s.lift(cl)
	s.dequeue(cl)
	cl.cores, cl.gone = nil, true
	delete(s.claims, cl.owner)
	s.trim(cl)
}

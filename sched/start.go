package sched

import (
	"errors"
	"slices"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched/policy"
)

// Start asks for cores: granted at once (true), or queued (false), and then
// Granted tells of the start. With now, what cannot be met at once is refused
// with EBUSY and the numbers. A request that can never be met is refused as by
// Check.
func (s *Scheduler) Start(c Claimant, r Request, now bool) (Grant, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pay()
	s.sync()
	if s.claims[c.Owner()] != nil {
		return Grant{}, false, sys.Errorf(syscall.EBUSY, "start: %s is started already", c.Owner())
	}
	if err := s.check(c.User(), r); err != nil {
		return Grant{}, false, err
	}
	defer s.serve()
	cl := &claim{c: c, owner: c.Owner(), key: key(c.Owner()), r: r}
	s.claims[cl.owner] = cl
	err := s.change(cl, r, s.gate, now)
	switch {
	case cl.gone:
		return Grant{}, false, errGone
	case err == nil:
		s.short(cl)
		return s.present(cl), true, nil
	case now:
		delete(s.claims, cl.owner)
		return Grant{}, false, busy(err)
	}
	s.enqueue(cl, err.Error())
	return Grant{}, false, nil
}

var (
	errGone    = sys.Errorf(syscall.ESRCH, "the process was released meanwhile")
	errUnknown = sys.Errorf(syscall.ESRCH, "the process was not started")
)

// busy is the refusal of what cannot be had now.
func busy(err error) error {
	var short *policy.Short
	if errors.As(err, &short) || errors.Is(err, errBehind) {
		return sys.Errorf(syscall.EBUSY, "cores: %v", err)
	}
	return sys.Errorf(syscall.EBUSY, "%v", err)
}

// present is what a claim has now, as its last grant said. s.mu is held.
func (s *Scheduler) present(cl *claim) Grant {
	return Grant{Cores: slices.Clone(cl.cores), Tier: s.tier(cl.cores), Serial: cl.serial}
}

// change gets a claim what it wants now, others being moved out of the way if
// need be. A plan that was out of date, or that somebody refused to move for,
// is made again, and so is one that fails, with patience, because of others who
// are just being moved. s.mu is held, but not while others move.
func (s *Scheduler) change(cl *claim, r Request, g *gate, patience bool) error {
	var err error
	for range tries {
		var p plan
		p, err = s.plan(cl, r, g)
		switch {
		case err == nil:
			if err = s.begin(p); err == nil {
				err = s.carry(p)
			} else {
				s.rebuild()
			}
		case patience && len(p.moving) > 0:
			s.await(cl, p.moving)
		default:
			return err
		}
		if cl.gone {
			return errGone
		}
		if err == nil {
			s.tidy(p.own)
			return nil
		}
		g = s.gateBefore(cl)
	}
	return err
}

// Resize changes what a claimant wants; true when its grant is not the one that
// it was told of last. What is
// missing to the maximum is queued for. If the minimum cannot be met now it is
// EBUSY, and nothing has changed. Of one that still waits to start the request
// changes, and its place in the queue stays; if its start is on its way, the
// answer is the start.
func (s *Scheduler) Resize(c Claimant, r Request) (Grant, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pay()
	s.sync()
	cl, err := s.open(c)
	if err == nil {
		err = s.check(c.User(), r)
	}
	if err != nil {
		return Grant{}, false, err
	}
	defer s.serve() // the answer is what is so before it
	cl.stuck = false
	if !cl.running {
		cl.r = r
		return Grant{}, false, nil
	}
	was, moving := cl.cores, cl.moving
	if err := s.change(cl, r, s.gateBefore(cl), true); err != nil {
		return Grant{}, false, busy(err)
	}
	s.short(cl)
	return s.present(cl), moving || !slices.Equal(was, cl.cores), nil
}

// open returns the claim of a claimant who may change it now.
func (s *Scheduler) open(c Claimant) (*claim, error) {
	cl := s.claims[c.Owner()]
	switch {
	case cl == nil:
		return nil, errUnknown
	case cl.starting:
		return nil, sys.Errorf(syscall.EBUSY, "%s is just being started: try again", cl.owner)
	case cl.busy:
		return nil, sys.Errorf(syscall.EBUSY, "another change of %s is under way: try again", cl.owner)
	}
	return cl, nil
}

// Yield gives cores back, and the claim's maximum falls with them. Below the
// minimum it is EINVAL.
func (s *Scheduler) Yield(c Claimant, give []cores.ID) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl, err := s.open(c)
	if err != nil {
		return Grant{}, err
	}
	have, less := cores.NewSet(cl.cores...), cores.NewSet(give...)
	left := len(have) - len(less)
	for _, id := range give {
		if !have.Has(id) {
			return Grant{}, sys.Errorf(syscall.EINVAL, "yield: %s does not have core %d", cl.owner, id)
		}
	}
	if left < cl.r.Min {
		return Grant{}, sys.Errorf(syscall.EINVAL, "yield: %d of %d cores would be left, and the minimum is %d", left, len(cl.cores), cl.r.Min)
	}
	r := cl.r
	r.Max = left
	p := plan{own: &change{cl: cl, r: r, to: without(cl.cores, less)}}
	if err := s.begin(p); err != nil {
		return Grant{}, busy(err)
	}
	s.tidy(p.own)
	s.short(cl)
	defer s.serve()
	return s.present(cl), nil
}

// without returns cores in vcore order less some of them: the places of those
// are filled from the end.
func without(have []cores.ID, give cores.Set) []cores.ID {
	kept := func(id cores.ID) bool { return !give.Has(id) }
	n := 0
	for _, id := range have {
		if kept(id) {
			n++
		}
	}
	out := slices.Clone(have[:n])
	tail := slices.DeleteFunc(slices.Clone(have[n:]), func(id cores.ID) bool { return !kept(id) })
	for i, id := range out {
		if !kept(id) {
			out[i], tail = tail[0], tail[1:]
		}
	}
	return out
}

// Release ends a claim: everything but a provision goes. A Granted may still be
// on its way then: it is to be answered with an error such as ESRCH.
func (s *Scheduler) Release(c Claimant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl := s.claims[c.Owner()]
	if cl == nil {
		return
	}
	s.sync()
	s.forget(cl)
	s.tell("released", cl.owner, "-")
	s.serve()
}

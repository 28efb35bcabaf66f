package sched

import (
	"slices"
	"strings"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched/policy"
)

// Switch takes cores on- or offline, or changes their role or quiet: all of
// them or none. Only root may, and whom root granted the cores. Cores in use
// are not taken offline, nor those that a process has for itself alone made
// mgmt cores, unless force is given: then their users get other cores, or have
// fewer, as far as their minimum allows.
func (s *Scheduler) Switch(u *sys.User, set cores.Set, op kern.MoveOp, force bool) error {
	if err := s.known(set); err != nil {
		return err
	}
	if len(set) == 0 {
		return sys.Errorf(syscall.EINVAL, "no cores named")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pay()
	s.sync()
	if err := s.may(u, set); err != nil {
		return err
	}
	switch op {
	case kern.Offline, kern.RoleMgmt:
		return s.vacate(cores.NewSet(set...), op, force)
	case kern.Online, kern.RoleApp, kern.QuietOn, kern.QuietOff:
		return s.flip(set, op)
	}
	return sys.Errorf(syscall.EINVAL, "not a switch of a core")
}

// flip has the kernels switch cores, which may take the driver a while: the
// scheduler is not locked meanwhile.
func (s *Scheduler) flip(set cores.Set, op kern.MoveOp) error {
	moves := make([]kern.Move, len(set))
	for i, id := range set {
		moves[i] = kern.Move{Core: id, Op: op}
	}
	s.mu.Unlock()
	err := s.insist(moves)
	s.mu.Lock()
	s.serve()
	return err
}

// vacate switches cores that nobody may use (or, with RoleMgmt, have alone) then.
func (s *Scheduler) vacate(set cores.Set, op kern.MoveOp, force bool) error {
	if err := s.spare(set, op); err != nil {
		return err
	}
	users := s.usersOf(set, op)
	if len(users) > 0 && !force {
		return sys.Errorf(syscall.EBUSY, "%s (force takes cores away as far as the minimum allows)", inUse(users, set))
	}
	for _, id := range set {
		s.hold[id]++
	}
	err := s.evict(users, set)
	if err == nil {
		err = s.flip(set, op)
	}
	for _, id := range set {
		if s.hold[id]--; s.hold[id] == 0 {
			delete(s.hold, id)
		}
	}
	s.serve()
	return err
}

// spare checks what force does not help against.
func (s *Scheduler) spare(set cores.Set, op kern.MoveOp) error {
	left := 0
	for id := range s.state {
		if s.state[id].Online && !set.Has(cores.ID(id)) && s.hold[cores.ID(id)] == 0 {
			left++
		}
	}
	if op == kern.Offline && left == 0 {
		return sys.Errorf(syscall.EBUSY, "no core would be left online")
	}
	for _, id := range set {
		c := s.view.Core(id)
		switch {
		case op == kern.RoleMgmt && c.Prov != kern.Owner{}:
			return sys.Errorf(syscall.EBUSY, "core %d is provisioned to %s", id, c.Prov)
		case c.Owner != kern.Owner{} && s.claims[c.Owner] == nil:
			return sys.Errorf(syscall.EBUSY, "core %d is in use by %s, which this server did not start", id, c.Owner)
		}
	}
	return nil
}

// usersOf lists the claims that have to leave these cores, each once, in an
// order that does not depend on chance.
func (s *Scheduler) usersOf(set cores.Set, op kern.MoveOp) []*claim {
	var users []*claim
	if op == kern.Offline {
		users = s.sharedOn(set, nil)
	}
	for _, id := range set {
		if cl := s.claims[s.view.Core(id).Owner]; cl != nil {
			users = append(users, cl)
		}
	}
	return once(users)
}

// inUse names who uses cores: "core 3 is in use by db, core 4 by db and web".
func inUse(users []*claim, set cores.Set) string {
	var parts []string
	for _, cl := range users {
		at := cores.Set(set).And(cores.NewSet(slices.Concat(cl.cores, cl.held)...))
		what := "core "
		if len(at) > 1 {
			what = "cores "
		}
		parts = append(parts, what+at.String()+" in use by "+cl.owner.String())
	}
	return strings.Join(parts, ", ")
}

// evict moves claims off cores that are on hold, all of them or none.
func (s *Scheduler) evict(users []*claim, set cores.Set) error {
	if len(users) == 0 {
		return nil
	}
	k := sketch{s: s}
	var p plan
	for _, cl := range users {
		ch, err := s.flee(&k, cl)
		if err != nil {
			k.wipe()
			return sys.Errorf(syscall.EBUSY, "%s: %v", inUse([]*claim{cl}, set), err)
		}
		p.others = append(p.others, ch)
	}
	k.wipe()
	if err := s.begin(p); err != nil {
		return err
	}
	return s.carry(p)
}

// rescue moves claims off cores that went offline by themselves, or by another's
// hand, as far as their minimum allows. s.mu is held.
func (s *Scheduler) rescue() {
	lost := s.lost
	s.lost = nil
	for _, cl := range s.usersOf(lost, kern.Offline) {
		k := sketch{s: s}
		ch, err := s.flee(&k, cl)
		k.wipe()
		if err == nil {
			err = s.begin(plan{others: []*change{ch}})
		}
		if err != nil {
			s.opt.Log.Warn("a process has lost cores that went offline", "proc", cl.owner.Proc, "err", err)
			continue
		}
		go s.finish(plan{others: []*change{ch}})
	}
}

// flee plans where a claim goes from cores that are on hold or offline. One with
// cores of its own gets others only if nobody is there.
func (s *Scheduler) flee(k *sketch, cl *claim) (*change, error) {
	if cl.busy || cl.moving {
		return nil, sys.Errorf(syscall.EBUSY, "it is just being moved: try again")
	}
	bars := s.leaving()
	if bars == nil {
		bars = make([]policy.Bar, len(s.state))
	}
	for id := range s.state {
		if cl.r.exclusive() && s.state[id].Load > 0 && bars[id] == policy.Open {
			bars[id] = policy.Needed
		}
	}
	k.lift(cl)
	r := cl.r
	r.Max = len(cl.cores)
	if r.Gang {
		r.Min = r.Max
	}
	to, err := s.place(cl, &r, bars)
	if err != nil {
		return nil, err
	}
	k.put(cl, &r, to)
	return &change{cl: cl, r: cl.r, to: to, tell: true}, nil
}

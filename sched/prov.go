package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
)

// A right is the set of cores that a user may claim and provision.
type right struct {
	name string
	set  cores.Set
}

// boss reports whether the user may do everything: root, and whom the server runs as.
func (s *Scheduler) boss(u *sys.User) bool {
	self := s.opt.Self
	return u.Root() || self != nil && !u.None && u.UID == self.UID
}

// rightsOf returns the cores that a user may claim; nil: all. s.mu is held.
func (s *Scheduler) rightsOf(u *sys.User) []int {
	if s.boss(u) {
		return nil
	}
	if u.None {
		return []int{}
	}
	return append([]int{}, ints(s.rights[u.UID].set)...)
}

// may checks that a user may claim, provision and switch these cores.
func (s *Scheduler) may(u *sys.User, set cores.Set) error {
	if s.boss(u) {
		return nil
	}
	var granted cores.Set
	if !u.None {
		granted = s.rights[u.UID].set
	}
	if no := set.Minus(granted); len(no) > 0 {
		return sys.Errorf(syscall.EPERM, "user %s has no right to cores %s (grant %s SET in sched/ctl gives it)", u.Name, no, u.Name)
	}
	return nil
}

// Allow gives a user the right to claim and provision these cores, in place of
// what was granted before; nil: none. Claims that exist stay.
func (s *Scheduler) Allow(u *sys.User, who string, set cores.Set) error {
	if !s.boss(u) {
		return sys.Errorf(syscall.EPERM, "grant: only root may")
	}
	to, err := s.opt.Users.ByName(who)
	if err != nil {
		return err
	}
	if err := s.known(set); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(set) == 0 {
		delete(s.rights, to.UID)
	} else {
		s.rights[to.UID] = right{to.Name, cores.NewSet(set...)}
	}
	s.emit("allowed", "user/"+to.Name, set.String())
	s.serve()
	return nil
}

// Allowed lists the grants, by name of user: yield gets each.
func (s *Scheduler) Allowed(yield func(who string, set cores.Set)) {
	s.mu.Lock()
	list := make([]right, 0, len(s.rights))
	for _, r := range s.rights {
		list = append(list, r)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b right) int { return cmp.Compare(a.name, b.name) })
	for _, r := range list {
		yield(r.name, r.set)
	}
}

// known checks that the machine has these cores.
func (s *Scheduler) known(set cores.Set) error {
	for _, id := range set {
		if id < 0 || int(id) >= len(s.state) {
			return sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", id, len(s.state))
		}
	}
	return nil
}

// Provision replaces an owner's standing claim; nil: none, which needs no
// right. Cores that others have are theirs until they end; cores that are
// provisioned to others are refused, and so are mgmt cores. Shared work is moved away.
func (s *Scheduler) Provision(u *sys.User, o kern.Owner, set cores.Set) error {
	if err := s.known(set); err != nil {
		return err
	}
	set = cores.NewSet(set...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pay()
	s.sync()
	had := s.provs[o]
	more, less := set.Minus(had), had.Minus(set)
	if err := s.may(u, more); err != nil {
		return err
	}
	if err := s.provisionable(o, more); err != nil {
		return err
	}
	if len(more)+len(less) == 0 {
		return nil
	}
	if err := s.provision(o, more, less); err != nil {
		return err
	}
	s.tell("provisioned", o, set.String())
	return nil
}

func (s *Scheduler) provisionable(o kern.Owner, set cores.Set) error {
	for _, id := range set {
		c := s.view.Core(id)
		switch {
		case c.Mgmt:
			return sys.Errorf(syscall.EBUSY, "prov: core %d is a mgmt core (role app in its ctl makes it an application core)", id)
		case c.Prov != kern.Owner{} && c.Prov != o:
			return sys.Errorf(syscall.EBUSY, "prov: core %d is provisioned to %s", id, c.Prov)
		}
	}
	return nil
}

// provision claims what is more, has shared work moved off it, and only then
// gives up what is less: until all is well it can be taken back.
func (s *Scheduler) provision(o kern.Owner, more, less cores.Set) error {
	if err := s.agree(provMoves(kern.Provision, o, more)); err != nil {
		return err
	}
	err := s.moveOff(more, s.claims[o])
	if err != nil {
		less = more
	}
	s.giveUp(provMoves(kern.Unprovision, o, less))
	s.serve()
	return err
}

// moveOff moves shared work off cores, but for that of one claim.
func (s *Scheduler) moveOff(at []cores.ID, but *claim) error {
	var blocked []cores.ID
	for range tries {
		var p plan
		k := sketch{s: s}
		blocked = s.clear(&k, &p, at, but)
		k.wipe()
		switch {
		case blocked == nil:
			if err := s.begin(p); err != nil {
				return err
			}
			return s.carry(p)
		case len(p.moving) == 0:
			return sys.Errorf(syscall.EBUSY, "prov: shared work needs cores %s and has nowhere else to go", cores.NewSet(blocked...))
		}
		s.await(but, p.moving)
	}
	return sys.Errorf(syscall.EBUSY, "prov: shared work on cores %s is just being moved: try again", cores.NewSet(blocked...))
}

func provMoves(op kern.MoveOp, o kern.Owner, set cores.Set) []kern.Move {
	moves := make([]kern.Move, len(set))
	for i, id := range set {
		moves[i] = kern.Move{Core: id, Op: op, Owner: o}
	}
	return moves
}

// Provisioned returns an owner's standing claim.
func (s *Scheduler) Provisioned(o kern.Owner) cores.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	return s.provs[o]
}

// tell sends an event of a process.
func (s *Scheduler) tell(kind string, o kern.Owner, detail string) {
	s.emit(kind, "proc/"+o.Proc, detail)
}

// emit sends an event: `time kind object detail`.
func (s *Scheduler) emit(kind, object, detail string) {
	if !s.opt.Events.Active() {
		return
	}
	now := time.Now()
	b := make([]byte, 0, 80)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = fmt.Appendf(b, ".%06d %s %s %s\n", now.Nanosecond()/1000, kind, object, detail)
	s.opt.Events.Emit(b)
}

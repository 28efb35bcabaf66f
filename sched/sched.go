// Package sched is the owner of what is promised and of who waits.
package sched

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
)

// Options are what a Scheduler starts with. Policy "" is compact; Self is the
// user whom the server runs as, nil: root.
type Options struct {
	Policy string
	Self   *sys.User
	Users  *sys.Users
	Log    *slog.Logger
}

// A Scheduler shares the cores of a machine out.
type Scheduler struct {
	m *kern.Machine
	o Options

	mu      sync.Mutex
	claims  map[kern.Owner]*claim
	queue   []*claim
	prov    map[kern.Owner]cores.Set
	grace   time.Duration
	quantum time.Duration
}

type claim struct {
	c      Claimant
	r      Request
	have   []cores.ID
	serial uint64
	since  time.Time
}

// New returns a scheduler of the machine.
func New(m *kern.Machine, o Options) *Scheduler {
	return &Scheduler{m: m, o: o, claims: map[kern.Owner]*claim{}, prov: map[kern.Owner]cores.Set{}}
}

var errBusy = sys.Errorf(syscall.EBUSY, "cores: not enough of them are free")

// Check says whether the request can ever be met: EINVAL, EPERM or ENOSPC if not.
func (s *Scheduler) Check(u *sys.User, r Request) error {
	if r.Min < 1 || r.Max < r.Min {
		return sys.Errorf(syscall.EINVAL, "cores: bad range %d..%d", r.Min, r.Max)
	}
	if n := s.m.View().Len(); r.Min > n {
		return sys.Errorf(syscall.ENOSPC, "cores: want %d, this machine has %d", r.Min, n)
	}
	return nil
}

// Start asks for cores: granted at once (true), or queued (false). With now,
// what cannot be met is refused with EBUSY.
func (s *Scheduler) Start(c Claimant, r Request, now bool) (Grant, bool, error) {
	if err := s.Check(c.User(), r); err != nil {
		return Grant{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cl := &claim{c: c, r: r, since: time.Now()}
	if s.fill(cl) != nil {
		if now {
			return Grant{}, false, errBusy
		}
		s.claims[c.Owner()] = cl
		s.queue = append(s.queue, cl)
		return Grant{}, false, nil
	}
	s.claims[c.Owner()] = cl
	return cl.grant(), true, nil
}

func (cl *claim) grant() Grant {
	cl.serial++
	return Grant{Cores: append([]cores.ID(nil), cl.have...), Tier: "pinned", Serial: cl.serial}
}

// fill gives the claim its cores. s.mu is held.
func (s *Scheduler) fill(cl *claim) error {
	var moves []kern.Move
	have := cl.have
	for c := range s.m.View().All() {
		if len(have) >= cl.r.Max {
			break
		}
		if c.Online && c.Owner == (kern.Owner{}) && (cl.r.Class == Shared || !c.Mgmt) {
			have = append(have, c.ID)
			if cl.r.Class != Shared {
				moves = append(moves, kern.Move{Core: c.ID, Op: kern.Claim, Owner: cl.c.Owner()})
			}
		}
	}
	if len(have) < cl.r.Min {
		return errBusy
	}
	if err := s.m.Agree(moves); err != nil {
		return err
	}
	cl.have = have
	return nil
}

// drop gives the last cores of a claim back, down to n. s.mu is held.
func (s *Scheduler) drop(cl *claim, n int) {
	var moves []kern.Move
	for _, id := range cl.have[n:] {
		if cl.r.Class != Shared {
			moves = append(moves, kern.Move{Core: id, Op: kern.Release, Owner: cl.c.Owner()})
		}
	}
	if s.m.Agree(moves) == nil {
		cl.have = cl.have[:n]
	}
}

// Resize changes what a claimant wants; true when its grant changed.
func (s *Scheduler) Resize(c Claimant, r Request) (Grant, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl := s.claims[c.Owner()]
	if cl == nil {
		return Grant{}, false, sys.Errorf(syscall.ESRCH, "not started")
	}
	cl.r = r
	n := len(cl.have)
	if n > r.Max {
		s.drop(cl, r.Max)
	} else if err := s.fill(cl); err != nil {
		return Grant{}, false, err
	}
	return cl.grant(), n != len(cl.have), nil
}

// Yield gives cores back; the claim's maximum falls with them.
func (s *Scheduler) Yield(c Claimant, give []cores.ID) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl := s.claims[c.Owner()]
	if cl == nil || len(cl.have)-len(give) < cl.r.Min {
		return Grant{}, sys.Errorf(syscall.EINVAL, "yield: below the minimum")
	}
	cl.r.Max = len(cl.have) - len(give)
	s.drop(cl, cl.r.Max)
	return cl.grant(), nil
}

// Release ends a claim, but for its provision.
func (s *Scheduler) Release(c Claimant) {
	s.mu.Lock()
	cl := s.claims[c.Owner()]
	if cl == nil {
		s.mu.Unlock()
		return
	}
	s.drop(cl, 0)
	delete(s.claims, c.Owner())
	queue := s.queue
	s.queue = nil
	var go1 []*claim
	for _, w := range queue {
		switch {
		case w == cl:
		case s.fill(w) == nil:
			go1 = append(go1, w)
		default:
			s.queue = append(s.queue, w)
		}
	}
	s.mu.Unlock()
	for _, w := range go1 {
		go func() {
			if w.c.Granted(w.grant()) != nil {
				s.Release(w.c)
			}
		}()
	}
}

// Provision replaces an owner's standing claim; nil: none.
func (s *Scheduler) Provision(u *sys.User, o kern.Owner, set cores.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var moves []kern.Move
	for _, id := range s.prov[o].Minus(set) {
		moves = append(moves, kern.Move{Core: id, Op: kern.Unprovision, Owner: o})
	}
	for _, id := range set.Minus(s.prov[o]) {
		moves = append(moves, kern.Move{Core: id, Op: kern.Provision, Owner: o})
	}
	if err := s.m.Agree(moves); err != nil {
		return err
	}
	s.prov[o] = set
	return nil
}

// Provisioned returns an owner's standing claim.
func (s *Scheduler) Provisioned(o kern.Owner) cores.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prov[o]
}

// Allow grants a user the right to claim and provision these cores; nil: none.
func (s *Scheduler) Allow(u *sys.User, who string, set cores.Set) error {
	if !u.Root() {
		return sys.ErrPermission
	}
	_, err := s.o.Users.ByName(who)
	return err
}

// Switch takes cores on- or offline, or changes their role; force takes them
// from those who use them, as far as their minimum allows.
func (s *Scheduler) Switch(u *sys.User, set cores.Set, op kern.MoveOp, force bool) error {
	if !u.Root() {
		return sys.ErrPermission
	}
	var moves []kern.Move
	for _, id := range set {
		moves = append(moves, kern.Move{Core: id, Op: op})
	}
	return s.m.Agree(moves)
}

// Explain says what the claimant would get now, and why.
func (s *Scheduler) Explain(c Claimant, r Request) string {
	if err := s.Check(c.User(), r); err != nil {
		return "would be refused: " + err.Error() + "\n"
	}
	return "would be tried\n"
}

// Queue lists who waits, first come first.
func (s *Scheduler) Queue() []Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ws []Waiting
	for _, cl := range s.queue {
		ws = append(ws, Waiting{
			Owner: cl.c.Owner(), Want: cl.r.Min, Min: cl.r.Min, Max: cl.r.Max,
			Class: cl.r.Class, Since: cl.since, Reason: errBusy.Error(),
		})
	}
	return ws
}

// Alloc lists who runs where, in order of cores.
func (s *Scheduler) Alloc() []Held {
	return s.held(func(c kern.Core) (kern.Owner, time.Time) { return c.Owner, c.Since })
}

// Prov lists the standing claims, in order of cores.
func (s *Scheduler) Prov() []Held {
	return s.held(func(c kern.Core) (kern.Owner, time.Time) { return c.Prov, c.ProvSince })
}

func (s *Scheduler) held(f func(kern.Core) (kern.Owner, time.Time)) []Held {
	var hs []Held
	for c := range s.m.View().All() {
		if o, since := f(c); o != (kern.Owner{}) {
			hs = append(hs, Held{Core: c.ID, Owner: o, Since: since})
		}
	}
	return hs
}

// Policy returns the name of the placement policy.
func (s *Scheduler) Policy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Policy
}

// SetPolicy chooses how cores are picked from now on.
func (s *Scheduler) SetPolicy(name string) error {
	if name != "compact" && name != "spread" {
		return errors.Join(sys.Errorf(syscall.EINVAL, "policy: no %q (compact, spread)", name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Policy = name
	return nil
}

// Grace returns what a preempted process gets unless it says otherwise.
func (s *Scheduler) Grace() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grace
}

// SetGrace sets what Grace returns.
func (s *Scheduler) SetGrace(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grace = d
}

// Quantum returns the time slice of gangs that share cores.
func (s *Scheduler) Quantum() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quantum
}

// SetQuantum sets what Quantum returns.
func (s *Scheduler) SetQuantum(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quantum = d
}

package sched

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/kern"
	"warren/sched/policy"
)

// A claim is what the scheduler knows of one claimant.
type claim struct {
	c     Claimant
	owner kern.Owner
	key   uint64 // the owner, as the policy knows it
	r     Request

	cores   []cores.ID // promised, in vcore order
	held    []cores.ID // claimed for it in the kernels
	serial  uint64     // of the last grant
	running bool       // has a grant
	gone    bool       // released

	busy     bool // its own call waits for others to move: it is not to be moved itself
	moving   bool // a Granted is under way
	moves    int  // how many were
	starting bool // it is to start when others have moved
	stuck    bool // a Granted failed: it is left alone until its next Resize

	queued bool
	ticket uint64    // its place in the queue
	since  time.Time // queued since
	reason string    // why it waits
}

// A place is a shared claim's use of a core.
type place struct {
	cl    *claim
	since time.Time
}

// exclusive reports whether the claim's cores are claimed in the kernels.
func (r *Request) exclusive() bool { return r.Class != Shared }

// least is the number of cores without which the request is not met at all.
func (r *Request) least() int {
	if r.Gang {
		return r.Max
	}
	return r.Min
}

// key names an owner to the policy, where 0 is nobody.
func key(o kern.Owner) uint64 {
	if o == (kern.Owner{}) {
		return 0
	}
	return o.Serial + 1
}

// ints returns a set as the policy takes it; nil stays nil.
func ints(set []cores.ID) []int {
	if set == nil {
		return nil
	}
	out := make([]int, len(set))
	for i, id := range set {
		out[i] = int(id)
	}
	return out
}

func ids(list []int) []cores.ID {
	out := make([]cores.ID, len(list))
	for i, id := range list {
		out[i] = cores.ID(id)
	}
	return out
}

// grant makes the next grant of what is promised. s.mu is held.
func (s *Scheduler) grant(cl *claim) Grant {
	s.serial++
	cl.serial = s.serial
	return Grant{Cores: slices.Clone(cl.cores), Tier: s.tier(cl.cores), Serial: cl.serial}
}

// tier is what the machine can really do for who has these cores.
func (s *Scheduler) tier(ids []cores.ID) string {
	if len(ids) == 0 {
		return ""
	}
	return cores.Tier(s.m.Driver(), ids[0])
}

// sync brings the books up to date with the kernels. s.mu is held.
func (s *Scheduler) sync() {
	v := s.m.View()
	was, now := make(map[kern.Owner]cores.Set), make(map[kern.Owner]cores.Set)
	for c := range v.Changed(s.view) {
		st := &s.state[c.ID]
		if st.Online && !(c.Online && c.Alive) {
			s.lost = append(s.lost, c.ID)
		}
		st.Online, st.Mgmt, st.Outside = c.Online && c.Alive, c.Mgmt, c.Outside
		st.Owner, st.Prov = key(c.Owner), key(c.Prov)
		var prov kern.Owner
		if s.view != nil {
			prov = s.view.Core(c.ID).Prov
		}
		if prov != c.Prov {
			was[prov] = append(was[prov], c.ID)
			now[c.Prov] = append(now[c.Prov], c.ID)
		}
	}
	s.provide(was, now)
	s.view = v
}

// provide enters to whom cores are provisioned no more, and to whom they are now.
func (s *Scheduler) provide(was, now map[kern.Owner]cores.Set) {
	nobody := kern.Owner{}
	delete(was, nobody)
	delete(now, nobody)
	for o, set := range was {
		if rest := s.provs[o].Minus(set); len(rest) > 0 {
			s.provs[o] = rest
		} else {
			delete(s.provs, o)
		}
	}
	for o, set := range now {
		s.provs[o] = cores.NewSet(slices.Concat(s.provs[o], set)...)
	}
}

// lay enters the claim's cores as shared placements, lift strikes them.
func (s *Scheduler) lay(cl *claim) {
	if cl.r.exclusive() {
		return
	}
	now := time.Now()
	for _, id := range cl.cores {
		s.shared[id] = append(s.shared[id], place{cl, now})
		s.state[id].Load++
	}
}

func (s *Scheduler) lift(cl *claim) {
	if cl.r.exclusive() {
		return
	}
	for _, id := range cl.cores {
		s.shared[id] = slices.DeleteFunc(s.shared[id], func(p place) bool { return p.cl == cl })
		s.state[id].Load--
	}
}

// holders is what the scheduler answers to a kernel that is being rebuilt. It
// has a lock of its own, as kernels ask in the middle of an agreement.
type holders struct {
	mu    sync.Mutex
	owner map[cores.ID]kern.Owner
	prov  map[cores.ID]kern.Owner
}

func (h *holders) of(id cores.ID) (owner, prov kern.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owner[id], h.prov[id]
}

func (h *holders) note(moves []kern.Move) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, mv := range moves {
		switch mv.Op {
		case kern.Claim:
			h.owner[mv.Core] = mv.Owner
		case kern.Release:
			delete(h.owner, mv.Core)
		case kern.Provision:
			h.prov[mv.Core] = mv.Owner
		case kern.Unprovision:
			delete(h.prov, mv.Core)
		}
	}
}

// load starts from what the kernels say.
func (h *holders) load(v *kern.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owner, h.prov = make(map[cores.ID]kern.Owner), make(map[cores.ID]kern.Owner)
	for c := range v.All() {
		if c.Owner != (kern.Owner{}) {
			h.owner[c.ID] = c.Owner
		}
		if c.Prov != (kern.Owner{}) {
			h.prov[c.ID] = c.Prov
		}
	}
}

// tries bounds how often something is asked of the kernels again after a race.
const tries = 4

// agree has the kernels make the moves, all or none, and the books follow.
// s.mu is held.
func (s *Scheduler) agree(moves []kern.Move) error {
	if len(moves) == 0 {
		return nil
	}
	var err error
	for range tries {
		if err = s.insist(moves); err != nil {
			break
		}
		s.holders.note(moves)
		s.sync()
		if s.done(moves) {
			return nil
		}
		// A kernel was rebuilt from what was known before: ask again.
	}
	s.sync()
	return err
}

// insist asks the kernels again while all that hinders them will pass. It needs no lock.
func (s *Scheduler) insist(moves []kern.Move) error {
	err := s.m.Agree(moves)
	for range tries {
		if !errors.Is(err, syscall.EAGAIN) {
			break
		}
		err = s.m.Agree(moves)
	}
	return err
}

// done reports whether the kernels still hold to what they agreed to.
func (s *Scheduler) done(moves []kern.Move) bool {
	for _, mv := range moves {
		c := s.view.Core(mv.Core)
		switch {
		case mv.Op == kern.Claim && c.Owner != mv.Owner,
			mv.Op == kern.Release && c.Owner == mv.Owner,
			mv.Op == kern.Provision && c.Prov != mv.Owner,
			mv.Op == kern.Unprovision && c.Prov == mv.Owner:
			return false
		}
	}
	return true
}

// giveUp gives cores or standing claims back whatever happens: what a kernel
// does not agree to now is asked of it again before everything else. s.mu is held.
func (s *Scheduler) giveUp(moves []kern.Move) {
	s.debts = append(s.debts, moves...)
	s.pay()
}

// pay has the kernels agree to what is owed to them, but those that are silent.
func (s *Scheduler) pay() {
	if len(s.debts) == 0 {
		return
	}
	s.sync()
	silent := func(mv kern.Move) bool { return !s.view.Core(mv.Core).Alive }
	later := slices.Clone(s.debts)
	now := slices.DeleteFunc(s.debts, silent)
	s.debts = slices.DeleteFunc(later, func(mv kern.Move) bool { return !silent(mv) })
	if s.agree(now) == nil {
		return
	}
	for _, mv := range now {
		err := s.agree([]kern.Move{mv})
		switch {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ETIMEDOUT):
			s.debts = append(s.debts, mv)
		default:
			s.opt.Log.Warn("a core was not given back", "core", mv.Core, "proc", mv.Owner.Proc, "err", err)
		}
	}
}

// trim gives back what the kernels have for a claim and the books no more.
// s.mu is held.
func (s *Scheduler) trim(cl *claim) {
	var moves []kern.Move
	var keeps cores.Set
	if cl.r.exclusive() {
		keeps = cores.NewSet(cl.cores...)
	}
	cl.held = slices.DeleteFunc(cl.held, func(id cores.ID) bool {
		if keeps.Has(id) {
			return false
		}
		moves = append(moves, kern.Move{Core: id, Op: kern.Release, Owner: cl.owner})
		return true
	})
	s.giveUp(moves)
}

// unclaimed lists the moves that claim those of these cores that the kernels do
// not have for the claim yet.
func (s *Scheduler) unclaimed(cl *claim, to []cores.ID) []kern.Move {
	var moves []kern.Move
	for _, id := range to {
		if s.view.Core(id).Owner != cl.owner {
			moves = append(moves, kern.Move{Core: id, Op: kern.Claim, Owner: cl.owner})
		}
	}
	return moves
}

// ask is a claim's request as the policy takes it. s.mu is held.
func (s *Scheduler) ask(cl *claim, r *Request, bars []policy.Bar) policy.Request {
	return policy.Request{
		Owner: cl.key, Min: r.least(), Max: r.Max, Shared: !r.exclusive(),
		On: ints(r.On), Rights: s.rightsOf(cl.c.User()), Node: r.Node, Kind: r.Kind, Near: int(r.Near),
		Keep: ints(cl.cores), Bars: bars,
	}
}

package sched

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched/policy"
)

// A sketch is a change of the books on trial: it is wiped before anything is done.
type sketch struct {
	s    *Scheduler
	undo []func()
}

func (k *sketch) wipe() {
	for _, f := range slices.Backward(k.undo) {
		f()
	}
	k.undo = nil
}

// lift takes a claim's own shared placements out of the books.
func (k *sketch) lift(cl *claim) {
	if cl.r.exclusive() {
		return
	}
	for _, id := range cl.cores {
		k.load(id, -1)
	}
}

func (k *sketch) load(id cores.ID, n int) {
	st := &k.s.state[id]
	st.Load += n
	k.undo = append(k.undo, func() { st.Load -= n })
}

// put enters what a claim is to get.
func (k *sketch) put(cl *claim, r *Request, to []cores.ID) {
	for _, id := range to {
		if !r.exclusive() {
			k.load(id, 1)
			continue
		}
		st := &k.s.state[id]
		owner := st.Owner
		st.Owner = cl.key
		k.undo = append(k.undo, func() { st.Owner = owner })
	}
}

func (s *Scheduler) policyView() policy.View {
	return policy.View{Machine: s.machine, State: s.state}
}

// place asks the policy where a claim could be with a request in place of its
// own, the books being as they are. s.mu is held.
func (s *Scheduler) place(cl *claim, r *Request, bars []policy.Bar) ([]cores.ID, error) {
	list, err := policy.Place(s.policy, s.policyView(), s.ask(cl, r, bars))
	return ids(list), err
}

// A plan is what a claim is to get, and who has to move for it.
type plan struct {
	own    *change
	others []*change
	thins  bool     // it evens the loads out, and is one of a bounded number
	moving []*claim // those just being moved, who could not be asked to move
}

// plan says what a claim would get for a request behind a gate. It changes
// nothing. s.mu is held.
func (s *Scheduler) plan(cl *claim, r Request, g *gate) (plan, error) {
	if !r.exclusive() {
		return s.planShared(cl, r, g)
	}
	bars := s.barsFor(cl, g)
	var moving []*claim
	for {
		p, blocked, err := s.planExclusive(cl, r, bars)
		moving = append(moving, p.moving...)
		if blocked == nil {
			p.moving = moving
			return p, err
		}
		if bars == nil {
			bars = make([]policy.Bar, len(s.state))
		}
		for _, id := range blocked {
			bars[id] = policy.Needed
		}
	}
}

// barsFor returns the bars of a gate for a claim, which may keep what it has
// whoever waits for it.
func (s *Scheduler) barsFor(cl *claim, g *gate) []policy.Bar {
	bars := slices.Clone(g.bars)
	if bars == nil {
		return nil
	}
	for _, id := range cl.cores {
		if bars[id] == policy.Waited && s.state[id].Owner == cl.key {
			bars[id] = policy.Open
		}
	}
	return bars
}

func (s *Scheduler) planShared(cl *claim, r Request, g *gate) (plan, error) {
	k := sketch{s: s}
	defer k.wipe()
	k.lift(cl)
	to, err := s.place(cl, &r, s.leaving())
	if err != nil {
		return plan{}, err
	}
	if r.least() > len(cl.cores) && !s.passes(cl, &r, g) {
		return plan{}, errBehind
	}
	return plan{own: &change{cl: cl, r: r, to: to}}, nil
}

// errBehind is why a shared request waits for an exclusive one to go first.
var errBehind = errors.New("want what is left for those before it in the queue")

// planExclusive tries a placement. If shared work cannot get out of its way it
// returns the cores to leave alone next time.
func (s *Scheduler) planExclusive(cl *claim, r Request, bars []policy.Bar) (p plan, blocked []cores.ID, err error) {
	k := sketch{s: s}
	defer k.wipe()
	k.lift(cl)
	to, err := s.place(cl, &r, bars)
	if err != nil {
		return plan{}, nil, err
	}
	k.put(cl, &r, to)
	p.own = &change{cl: cl, r: r, to: to}
	return p, s.clear(&k, &p, to, cl), nil
}

// clear plans how shared work gets off these cores, on which the sketch lets
// it be no more. If it cannot it returns those that it needs.
func (s *Scheduler) clear(k *sketch, p *plan, at []cores.ID, but *claim) (blocked []cores.ID) {
	for _, cl := range s.sharedOn(at, but) {
		if cl.moving && !cl.busy {
			p.moving = append(p.moving, cl)
		}
		ch, blocked := s.dodge(k, cl, at)
		if blocked != nil {
			return blocked
		}
		p.others = append(p.others, ch)
	}
	return nil
}

// sharedOn lists the shared claims on these cores, but for one, each once, in
// an order that does not depend on chance.
func (s *Scheduler) sharedOn(at []cores.ID, but *claim) []*claim {
	var list []*claim
	for _, id := range at {
		for _, p := range s.shared[id] {
			if p.cl != but {
				list = append(list, p.cl)
			}
		}
	}
	return once(list)
}

// once returns claims in the order of their keys, each once.
func once(list []*claim) []*claim {
	slices.SortFunc(list, func(a, b *claim) int { return cmp.Compare(a.key, b.key) })
	return slices.Compact(list)
}

// dodge plans the move of a shared claim off the cores that are taken; if it
// cannot move, it returns those that it needs.
func (s *Scheduler) dodge(k *sketch, cl *claim, taken []cores.ID) (*change, []cores.ID) {
	if cl.busy || cl.moving || cl.stuck {
		return nil, common(taken, cl.cores)
	}
	k.lift(cl)
	r := cl.r
	r.Max = len(cl.cores)
	to, err := s.place(cl, &r, s.leaving())
	if err != nil {
		return nil, s.needs(cl, taken)
	}
	k.put(cl, &r, to)
	return &change{cl: cl, r: cl.r, to: to, tell: true}, nil
}

func common(a, b []cores.ID) []cores.ID {
	return cores.Set(a).And(cores.NewSet(b...))
}

// needs returns those of the cores taken that a shared claim must be left: all
// that it could use but as many as it can spare. It is left where it is if it can.
func (s *Scheduler) needs(cl *claim, taken []cores.ID) []cores.ID {
	r := s.ask(cl, &cl.r, s.leaving())
	v := s.policyView()
	rest := 0
	for id := range s.state {
		if v.Free(&r, id) {
			rest++
		}
	}
	var usable []cores.ID
	for _, id := range taken {
		if v.Fits(&r, int(id)) && (s.state[id].Prov == 0 || s.state[id].Prov == cl.key) {
			usable = append(usable, id)
		}
	}
	if len(usable) == 0 {
		return common(taken, cl.cores)
	}
	place := make(map[cores.ID]int, len(cl.cores)) // counted from 1; 0: it is not there
	for i, id := range cl.cores {
		place[id] = i + 1
	}
	slices.SortStableFunc(usable, func(a, b cores.ID) int { return place[a] - place[b] })
	spare := rest + len(usable) - r.Min
	return usable[max(0, min(spare, len(usable)-1)):]
}

// sense checks a request for sense.
func (s *Scheduler) sense(r Request) error {
	switch {
	case r.Min < 1 || r.Max < 1:
		return sys.Errorf(syscall.EINVAL, "cores: want at least 1")
	case r.Max < r.Min:
		return sys.Errorf(syscall.EINVAL, "cores: %d..%d runs backwards", r.Min, r.Max)
	case int(r.Near) >= len(s.state):
		return sys.Errorf(syscall.ENXIO, "near: no core %d: this machine has %d", r.Near, len(s.state))
	}
	return nil
}

// Check says whether the request can ever be met, others' claims and
// provisions aside: EINVAL, ENXIO, EPERM or ENOSPC if not.
func (s *Scheduler) Check(u *sys.User, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	return s.check(u, r)
}

func (s *Scheduler) check(u *sys.User, r Request) error {
	if err := s.sense(r); err != nil {
		return err
	}
	pr := policy.Request{
		Shared: !r.exclusive(), On: ints(r.On), Rights: s.rightsOf(u),
		Node: r.Node, Kind: r.Kind, Near: int(r.Near),
	}
	v := s.policyView()
	if v.Fit(&pr) >= r.least() {
		return nil
	}
	granted := pr.Rights
	pr.Rights = nil
	fit := v.Fit(&pr)
	if fit < r.least() {
		return sys.Errorf(syscall.ENOSPC, "cores: want %d, this machine has %s%s", r.least(), fits(fit, r), s.named(r))
	}
	if len(granted) == 0 {
		return sys.Errorf(syscall.EPERM, "class: user %s may claim no cores for itself alone (grant %s SET in sched/ctl allows it; class shared needs no grant)", u.Name, u.Name)
	}
	return sys.Errorf(syscall.EPERM, "cores: want %d, user %s may claim only of %s", r.least(), u.Name, cores.NewSet(ids(granted)...))
}

// named says that there are cores which only those get who name them.
func (s *Scheduler) named(r Request) string {
	if s.namedKind == "" || r.Kind != "" || r.On != nil || r.Node >= 0 || r.Near >= 0 {
		return ""
	}
	return fmt.Sprintf(" for who does not say which (simulated ones are had by name: kind %s)", s.namedKind)
}

// fits says how many cores fit a request: "6 application cores that fit (on 0-7, node 0)".
func fits(n int, r Request) string {
	what, fit := "core", " that fit ("
	if r.exclusive() {
		what = "application core"
	}
	if n == 1 {
		fit = " that fits ("
	}
	text := counted(n, what)
	if limits := limits(r); limits != "" {
		text += fit + limits + ")"
	}
	return text
}

// limits says what limits a request to some cores.
func limits(r Request) string {
	text := ""
	add := func(format string, arg any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, arg)
	}
	if r.On != nil {
		add("on %s", r.On)
	}
	if r.Node >= 0 {
		add("node %d", r.Node)
	}
	if r.Kind != "" {
		add("kind %s", r.Kind)
	}
	return text
}

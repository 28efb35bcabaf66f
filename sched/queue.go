package sched

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"warren/cores"
	"warren/sched/policy"
)

// A gate is what those who wait keep from those who came after them.
type gate struct {
	bars  []policy.Bar // by core; nil: all open
	open  int          // application cores that are
	debt  int          // cores that exclusive requests wait for to start
	count int          // how many wait
}

// newGate returns the gate that nobody's waiting has shut. s.mu is held.
func (s *Scheduler) newGate() *gate { return &gate{bars: s.leaving(), open: len(s.state)} }

// leaving returns the bars that hold for everybody: of cores that are being
// switched. s.mu is held.
func (s *Scheduler) leaving() []policy.Bar {
	if len(s.hold) == 0 {
		return nil
	}
	bars := make([]policy.Bar, len(s.state))
	for id := range s.hold {
		bars[id] = policy.Leaving
	}
	return bars
}

// shut closes the gate on the cores that a claim which waits could use. Shared
// work that is only short of its maximum keeps nothing from anybody.
func (s *Scheduler) shut(g *gate, cl *claim) {
	g.count++
	if cl.running && !cl.r.exclusive() {
		return
	}
	if cl.r.exclusive() && !cl.running {
		g.debt += missing(cl)
	}
	if g.open == 0 {
		return
	}
	if g.bars == nil {
		g.bars = make([]policy.Bar, len(s.state))
	}
	r := s.ask(cl, &cl.r, nil)
	v := s.policyView()
	g.open = 0
	for id := range s.state {
		st := &s.state[id]
		if (st.Prov == 0 || st.Prov == cl.key) && v.Fits(&r, id) && g.bars[id] == policy.Open {
			g.bars[id] = policy.Waited
		}
		if g.bars[id] == policy.Open && !st.Mgmt && !st.Outside {
			g.open++
		}
	}
}

// missing is how many cores a claim in the queue waits for.
func missing(cl *claim) int {
	if cl.running {
		return cl.r.Max - len(cl.cores)
	}
	return cl.r.least()
}

// passes reports whether a shared request may go before the exclusive ones
// that wait: whether it can do without their cores, or they without its.
func (s *Scheduler) passes(cl *claim, r *Request, g *gate) bool {
	if g.debt == 0 {
		return true
	}
	q := s.ask(cl, r, nil)
	v := s.policyView()
	usable, apart := 0, 0
	for id := range s.state {
		if v.Free(&q, id) {
			usable++
			if g.bars[id] == policy.Open {
				apart++
			}
		}
	}
	return apart >= r.least() || usable-g.debt >= r.least()
}

// gateBefore returns the gate that those before a claim in the queue keep; of
// one that is not in it, all who are.
func (s *Scheduler) gateBefore(cl *claim) *gate {
	if !cl.queued {
		return s.gate
	}
	g := s.newGate()
	for _, w := range s.queue {
		if w == cl {
			break
		}
		s.shut(g, w)
	}
	return g
}

// enqueue puts a claim at the end of the queue. s.mu is held.
func (s *Scheduler) enqueue(cl *claim, reason string) {
	if cl.queued {
		return
	}
	s.tickets++
	cl.ticket, cl.since = s.tickets, time.Now()
	s.requeue(cl, reason)
	s.tell("queued", cl.owner, fmt.Sprintf("want %d of %d..%d %s", missing(cl), cl.r.Min, cl.r.Max, cl.r.Class))
}

// requeue puts a claim where its ticket says. The gate is shut on its cores; it
// opens again only when the queue is served. s.mu is held.
func (s *Scheduler) requeue(cl *claim, reason string) {
	cl.queued, cl.reason = true, reason
	i, _ := slices.BinarySearchFunc(s.queue, cl, func(a, b *claim) int { return cmp.Compare(a.ticket, b.ticket) })
	s.queue = slices.Insert(s.queue, i, cl)
	s.shut(s.gate, cl)
}

func (s *Scheduler) dequeue(cl *claim) {
	if cl.queued {
		cl.queued = false
		s.queue = slices.DeleteFunc(s.queue, func(w *claim) bool { return w == cl })
	}
}

// short queues a running claim for what it is missing, or takes it out of the
// queue when it has all.
func (s *Scheduler) short(cl *claim) {
	if cl.r.Gang || cl.stuck || len(cl.cores) >= cl.r.Max {
		s.dequeue(cl)
		return
	}
	s.enqueue(cl, "no more cores are free for it")
}

// serve gives those who wait what has come free, in their order, and then
// thins out crowded cores. s.mu is held.
func (s *Scheduler) serve() {
	s.pay()
	s.sync()
	s.rescue()
	g, last := s.newGate(), s.tickets
	s.gate = s.newGate() // those who queue up meanwhile are entered below
	for _, cl := range slices.Clone(s.queue) {
		ticket := cl.ticket
		if !cl.busy && !cl.moving {
			s.serveOne(cl, g)
		}
		if cl.queued && cl.ticket == ticket {
			s.shut(g, cl)
		}
	}
	for _, cl := range s.queue {
		if cl.ticket > last {
			s.shut(g, cl)
		}
	}
	s.gate = g
	s.thin()
}

// serveOne gives a claim in the queue what it can get now.
func (s *Scheduler) serveOne(cl *claim, g *gate) {
	r := cl.r
	if cl.running {
		r.Min = len(cl.cores) + 1
	}
	if r.exclusive() && g.open == 0 {
		cl.reason = behind(g.count)
		return
	}
	p, err := s.plan(cl, r, g)
	if err == nil {
		p.own.r, p.own.tell = cl.r, true
		err = s.begin(p)
	}
	var short *policy.Short
	if errors.As(err, &short) && cl.running {
		short.Want = cl.r.Max
	}
	if err != nil {
		cl.reason = err.Error()
		return
	}
	if p.own.start {
		s.dequeue(cl)
	}
	go s.finish(p)
}

// behind is why a claim waits whose cores are all awaited by others.
func behind(n int) string {
	if n == 1 {
		return "1 before it in the queue wants the same cores"
	}
	return fmt.Sprintf("%d before it in the queue want the same cores", n)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// mostThinned bounds how many moves to even the loads out are under way at a time.
const mostThinned = 16

// thin moves shared work from the most crowded core to the least crowded one
// while that evens them out. s.mu is held.
func (s *Scheduler) thin() {
	for s.thinning < mostThinned {
		ch := s.thinner()
		if ch == nil {
			return
		}
		p := plan{others: []*change{ch}, thins: true}
		if s.begin(p) != nil {
			return
		}
		s.thinning++
		go s.finish(p)
	}
}

// thinner finds the move of one vcore that evens the loads out most; nil: none does.
func (s *Scheduler) thinner() *change {
	low, high := -1, -1
	for id := range s.state {
		st := &s.state[id]
		if high < 0 || st.Load > s.state[high].Load {
			high = id
		}
		usable := st.Online && !st.Outside && st.Owner == 0 && st.Prov == 0 && s.hold[cores.ID(id)] == 0
		if usable && (low < 0 || st.Load < s.state[low].Load) {
			low = id
		}
	}
	if low < 0 || s.state[high].Load-s.state[low].Load < 2 {
		return nil
	}
	for _, p := range s.shared[high] {
		if ch := s.shift(p.cl, cores.ID(high), cores.ID(low)); ch != nil {
			return ch
		}
	}
	return nil
}

// shift is the change that moves one vcore of a claim, or nil if it may not be there.
func (s *Scheduler) shift(cl *claim, from, to cores.ID) *change {
	r := s.ask(cl, &cl.r, nil)
	if cl.busy || cl.moving || cl.stuck || cl.r.Near >= 0 ||
		slices.Contains(cl.cores, to) || !s.policyView().Fits(&r, int(to)) {
		return nil
	}
	next := slices.Clone(cl.cores)
	next[slices.Index(next, from)] = to
	return &change{cl: cl, r: cl.r, to: next, tell: true}
}

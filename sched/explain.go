package sched

import (
	"fmt"
	"strings"
	"time"

	"warren/cores"
	"warren/sched/policy"
)

// Explain says in words, a line each, what the claimant has, or would get now
// for a request, and why.
func (s *Scheduler) Explain(c Claimant, r Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	cl := s.claims[c.Owner()]
	switch {
	case cl == nil:
		cl = &claim{c: c, owner: c.Owner(), key: key(c.Owner()), r: r}
		if err := s.check(c.User(), r); err != nil {
			return "would be refused: " + err.Error() + "\n"
		}
		return s.explainNew(cl, r)
	case cl.running:
		return s.explainRunning(cl)
	}
	return s.explainWaiting(cl)
}

// explainNew says what a claim would get that is not there yet.
func (s *Scheduler) explainNew(cl *claim, r Request) string {
	p, err := s.plan(cl, r, s.gate)
	if err != nil {
		return "would wait: " + wants(r) + ": " + err.Error() + "\n" + s.before(nil)
	}
	text := fmt.Sprintf("would get %d of %d cores now: %s (%s)\n", len(p.own.to), r.Max, cores.NewSet(p.own.to...), s.why(cl, &r, p.own.to))
	var movers []string
	for _, ch := range p.others {
		movers = append(movers, ch.cl.owner.String())
	}
	if len(movers) > 0 {
		text += "shared work would move out of its way: " + strings.Join(movers, ", ") + "\n"
	}
	if missing := r.Max - len(p.own.to); missing > 0 {
		text += fmt.Sprintf("would wait for %d more\n", missing)
	}
	return text
}

// explainRunning says what a claim has.
func (s *Scheduler) explainRunning(cl *claim) string {
	k := sketch{s: s}
	k.lift(cl)
	text := fmt.Sprintf("has %d of %d cores: %s (%s)\n", len(cl.cores), cl.r.Max, cores.NewSet(cl.cores...), s.why(cl, &cl.r, cl.cores))
	k.wipe()
	if cl.queued {
		text += fmt.Sprintf("waits since %d s for %d more: %s\n", age(cl.since), missing(cl), cl.reason) + s.before(cl)
	}
	return text
}

func (s *Scheduler) explainWaiting(cl *claim) string {
	return fmt.Sprintf("waits since %d s: %s: %s\n", age(cl.since), wants(cl.r), cl.reason) + s.before(cl)
}

// why says how cores lie that a claim has or would get. The books are without it.
func (s *Scheduler) why(cl *claim, r *Request, at []cores.ID) string {
	return policy.Reason(s.policy, s.policyView(), s.ask(cl, r, nil), ints(at))
}

// wants says what a request asks for: "want 8..16 exclusive, all or none (on 0-7)".
func wants(r Request) string {
	text := fmt.Sprintf("want %d..%d %s", r.Min, r.Max, r.Class)
	if r.Gang {
		text += ", all or none"
	}
	if limits := limits(r); limits != "" {
		text += " (" + limits + ")"
	}
	return text
}

// mostNamed bounds how many of those before it in the queue an explanation names.
const mostNamed = 8

// before names those who wait before a claim; nil: all who wait.
func (s *Scheduler) before(cl *claim) string {
	var names []string
	for _, w := range s.queue {
		if w == cl {
			break
		}
		names = append(names, w.owner.String())
	}
	if len(names) == 0 {
		return ""
	}
	rest := ""
	if more := len(names) - mostNamed; more > 0 {
		names, rest = names[:mostNamed], fmt.Sprintf(" and %d others", more)
	}
	return "before it in the queue: " + strings.Join(names, ", ") + rest + "\n"
}

func age(since time.Time) int { return int(time.Since(since).Seconds()) }

// Queue lists who waits, first come first.
func (s *Scheduler) Queue() []Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Waiting, 0, len(s.queue))
	for _, cl := range s.queue {
		list = append(list, Waiting{
			Owner: cl.owner, Want: missing(cl), Min: cl.r.Min, Max: cl.r.Max,
			Class: cl.r.Class, Since: cl.since, Reason: cl.reason,
		})
	}
	return list
}

// Alloc lists who runs where, in order of cores; those who share a core in the
// order in which they came to it.
func (s *Scheduler) Alloc() []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	var list []Held
	for id := range s.state {
		if s.state[id].Owner != 0 {
			c := s.view.Core(cores.ID(id))
			list = append(list, Held{c.ID, c.Owner, c.Since})
		}
		for _, p := range s.shared[id] {
			list = append(list, Held{cores.ID(id), p.cl.owner, p.since})
		}
	}
	return list
}

// Prov lists the standing claims, in order of cores.
func (s *Scheduler) Prov() []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	var list []Held
	for id := range s.state {
		if s.state[id].Prov != 0 {
			c := s.view.Core(cores.ID(id))
			list = append(list, Held{c.ID, c.Prov, c.ProvSince})
		}
	}
	return list
}

package sched_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched"
)

// model is a machine under random use, and what must hold after each step.
type model struct {
	*rig
	procs   []*proc
	request map[*proc]sched.Request // of those started
	before  map[*proc]int           // cores that each had before the step
	waited  []kern.Owner            // queue before the step
	full    bool                    // somebody refused to move: others may have to wait for nothing
}

func newModel(t *rapid.T, tt *testing.T) *model {
	m := &model{rig: newRig(tt, rapid.IntRange(2, 9).Draw(t, "cores")), request: make(map[*proc]sched.Request)}
	for i := range 6 {
		m.procs = append(m.procs, m.proc(fmt.Sprintf("p%d", i)))
	}
	return m
}

func (m *model) any(t *rapid.T) *proc { return rapid.SampledFrom(m.procs).Draw(t, "proc") }

func (m *model) set(t *rapid.T) cores.Set {
	n := m.m.View().Len()
	list := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, n, rapid.ID[int]).Draw(t, "set")
	var set cores.Set
	for _, id := range list {
		set = append(set, cores.ID(id))
	}
	return cores.NewSet(set...)
}

func (m *model) draw(t *rapid.T) sched.Request {
	n := m.m.View().Len()
	r := sched.Request{
		Min: rapid.IntRange(1, 3).Draw(t, "min"), Near: -1, Node: -1,
		Class: rapid.SampledFrom([]sched.Class{sched.Shared, sched.Exclusive, sched.Exclusive, sched.Quiet}).Draw(t, "class"),
		Gang:  rapid.IntRange(0, 3).Draw(t, "gang") == 0,
	}
	r.Max = r.Min + rapid.SampledFrom([]int{0, 0, 1, 2, 100}).Draw(t, "more")
	switch rapid.IntRange(0, 4).Draw(t, "limit") {
	case 0:
		r.On = m.set(t)
	case 1:
		r.Near = cores.ID(rapid.IntRange(0, n-1).Draw(t, "near"))
	case 2:
		r.Node = rapid.IntRange(0, 1).Draw(t, "node")
	}
	return r
}

func (m *model) start(t *rapid.T) {
	p, r := m.any(t), m.draw(t)
	now := rapid.Bool().Draw(t, "now")
	_, err := p.start(r, now)
	_, started := m.request[p]
	switch {
	case started:
		if !errors.Is(err, syscall.EBUSY) {
			t.Fatalf("started twice: %v", err)
		}
	case err == nil:
		m.request[p] = r
	case !errors.Is(err, syscall.ENOSPC) && (!now || !errors.Is(err, syscall.EBUSY)):
		t.Fatalf("start: %v", err)
	}
}

func (m *model) resize(t *rapid.T) {
	p, r := m.any(t), m.draw(t)
	_, err := p.resize(r)
	_, started := m.request[p]
	switch {
	case !started:
		if !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("resize of nothing: %v", err)
		}
	case err == nil:
		m.request[p] = r
	case !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EBUSY):
		t.Fatalf("resize: %v", err)
	}
}

func (m *model) yield(t *rapid.T) {
	p := m.any(t)
	if len(p.last.Cores) == 0 {
		return
	}
	give := p.last.Cores[rapid.IntRange(0, len(p.last.Cores)-1).Draw(t, "vcore")]
	had := len(p.last.Cores)
	r := m.request[p]
	err := p.yield(give)
	if ok := had > r.Min; ok != (err == nil) {
		t.Fatalf("yield one of %d, the minimum is %d: %v", had, r.Min, err)
	}
	if err == nil {
		r.Max = had - 1
		m.request[p] = r
	}
}

func (m *model) release(t *rapid.T) {
	p := m.any(t)
	p.release()
	delete(m.request, p)
}

func (m *model) provision(t *rapid.T) {
	p := m.any(t)
	var set cores.Set
	if rapid.Bool().Draw(t, "some") {
		set = m.set(t)
	}
	err := m.s.Provision(root, p.owner, set)
	if err != nil && !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("provision: %v", err)
	}
	if err == nil && !slices.Equal(m.s.Provisioned(p.owner), set) {
		t.Fatalf("provisioned %s, has %s", set, m.s.Provisioned(p.owner))
	}
}

func (m *model) flip(t *rapid.T) {
	op := rapid.SampledFrom([]kern.MoveOp{kern.Online, kern.Online, kern.Offline, kern.RoleMgmt, kern.RoleApp}).Draw(t, "op")
	err := m.s.Switch(root, m.set(t), op, rapid.Bool().Draw(t, "force"))
	if err != nil && !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("switch: %v", err)
	}
}

// refuse makes the next Granted of a process fail.
func (m *model) refuse(t *rapid.T) {
	m.any(t).fail = sys.Errorf(syscall.EINVAL, "will not")
	m.full = true
}

// step runs an action and lets all that follows from it end.
func (m *model) step(do func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		m.before = make(map[*proc]int)
		for _, p := range m.procs {
			m.before[p] = len(p.last.Cores)
		}
		m.waited = nil
		for _, w := range m.s.Queue() {
			m.waited = append(m.waited, w.Owner)
		}
		do(t)
		synctest.Wait()
	}
}

// check holds the promises, the kernels and the processes against each other.
func (m *model) check(t *rapid.T) {
	synctest.Wait()
	if wrong := m.s.Rebuild(); len(wrong) > 0 {
		t.Fatalf("the kernels say something else of cores %s", wrong)
	}
	synctest.Wait()
	m.forgotten()
	m.checkAlloc(t)
	for _, p := range m.procs {
		m.checkProc(t, p)
	}
	m.checkOrder(t)
	m.checkIdle(t)
}

// forgotten strikes those whose start failed.
func (m *model) forgotten() {
	known := make(map[kern.Owner]bool)
	for _, h := range m.s.Alloc() {
		known[h.Owner] = true
	}
	for _, w := range m.s.Queue() {
		known[w.Owner] = true
	}
	for p := range m.request {
		if !known[p.owner] {
			delete(m.request, p)
		}
	}
}

// checkAlloc checks that processes run just where the scheduler says.
func (m *model) checkAlloc(t *rapid.T) {
	for c := range m.m.View().All() {
		if owner, prov := m.s.Holder(c.ID); owner != c.Owner || prov != c.Prov {
			t.Fatalf("a kernel would hear that core %d is %s's and provisioned to %s, and it is %+v", c.ID, owner, prov, c)
		}
	}
	at := make(map[kern.Owner]cores.Set)
	for _, h := range m.s.Alloc() {
		at[h.Owner] = append(at[h.Owner], h.Core)
	}
	for _, p := range m.procs {
		if got := cores.NewSet(p.last.Cores...); !slices.Equal(got, at[p.owner]) || len(got) != len(p.last.Cores) {
			t.Fatalf("%s runs on %v, the scheduler says %v", p.owner, p.last.Cores, at[p.owner])
		}
	}
}

// checkProc checks what a process has against what it wants.
func (m *model) checkProc(t *rapid.T, p *proc) {
	r, started := m.request[p]
	n := len(p.last.Cores)
	if n == 0 {
		return
	}
	if !started || n > r.Max || n < r.Min || r.Gang && n != r.Max {
		t.Fatalf("%s has %d cores, wants %+v (started: %v)", p.owner, n, r, started)
	}
	v := m.m.View()
	for _, id := range p.last.Cores {
		c := v.Core(id)
		switch {
		case r.On != nil && !r.On.Has(id), r.Node >= 0 && m.driver.Cores()[id].Node != r.Node:
			t.Fatalf("%s is on core %d, wants %+v", p.owner, id, r)
		case !c.Online:
			t.Fatalf("%s is on core %d, which is offline", p.owner, id)
		case r.Class != sched.Shared && (c.Owner != p.owner || c.Mgmt):
			t.Fatalf("%s is on core %d, which is %+v", p.owner, id, c)
		case r.Class == sched.Shared && c.Owner != kern.Owner{}:
			t.Fatalf("%s shares core %d, which %s has", p.owner, id, c.Owner)
		case r.Class == sched.Shared && c.Prov != kern.Owner{} && c.Prov != p.owner:
			t.Fatalf("%s shares core %d, which is provisioned to %s", p.owner, id, c.Prov)
		}
	}
}

// could reports whether a request could ever use a core, provisions as they are.
func (m *model) could(p *proc, id cores.ID) bool {
	r, c := m.request[p], m.m.View().Core(id)
	return (r.On == nil || r.On.Has(id)) && (r.Node < 0 || m.driver.Cores()[id].Node == r.Node) &&
		(c.Prov == kern.Owner{} || c.Prov == p.owner || c.Owner == p.owner && r.Class != sched.Shared) && (r.Class == sched.Shared || !c.Mgmt)
}

func (m *model) byOwner(o kern.Owner) *proc {
	return m.procs[slices.IndexFunc(m.procs, func(p *proc) bool { return p.owner == o })]
}

// checkOrder checks that nobody who came later got more cores for itself out
// of those that one who waited before, and still waits to start, could use.
func (m *model) checkOrder(t *rapid.T) {
	var still []kern.Owner
	for _, w := range m.s.Queue() {
		still = append(still, w.Owner)
	}
	for i, o := range m.waited {
		early := m.byOwner(o)
		if !slices.Contains(still, o) || len(early.last.Cores) > 0 {
			continue
		}
		for _, p := range m.procs {
			if slices.Contains(m.waited[:i+1], p.owner) || len(p.last.Cores) <= m.before[p] || m.before[p] > 0 || m.request[p].Class == sched.Shared {
				continue
			}
			for _, id := range p.last.Cores {
				if m.could(early, id) {
					t.Fatalf("%s got core %d before %s, which waits for it (queue %v)", p.owner, id, o, still)
				}
			}
		}
	}
}

// checkIdle checks that cores do not lie idle that the first in the queue wants.
func (m *model) checkIdle(t *rapid.T) {
	queue := m.s.Queue()
	if len(queue) == 0 || m.full {
		return
	}
	p := m.byOwner(queue[0].Owner)
	r := m.request[p]
	need := 1
	if len(p.last.Cores) == 0 {
		need = r.Min
		if r.Gang {
			need = r.Max
		}
	}
	busy := make(map[cores.ID]bool)
	for _, h := range m.s.Alloc() {
		busy[h.Core] = true
	}
	free := 0
	for c := range m.m.View().All() {
		if c.Online && !busy[c.ID] && m.could(p, c.ID) {
			free++
		}
	}
	if free >= need {
		t.Fatalf("%s waits for %d (%s), and %d are idle", p.owner, need, queue[0].Reason, free)
	}
}

func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Hidden in a TB, as rapid asks a T for its deadline, which a bubble has not.
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			m := newModel(rt, t)
			rt.Repeat(map[string]func(*rapid.T){
				"start":     m.step(m.start),
				"start2":    m.step(m.start),
				"resize":    m.step(m.resize),
				"yield":     m.step(m.yield),
				"release":   m.step(m.release),
				"provision": m.step(m.provision),
				"switch":    m.step(m.flip),
				"refuse":    m.refuse,
				"":          m.check,
			})
		})
	})
}

// Many clients at once: what a process was told that it has for itself it has,
// whenever it looks, and afterwards everything is free again.
func TestConcurrent(t *testing.T) {
	const clients, rounds = 16, 60
	r := newRig(t, 16)
	var all sync.WaitGroup
	for i := range clients {
		request := want([]string{"1..3 exclusive", "2 exclusive gang", "1..4", "3 exclusive on 1-6", "1 exclusive near 9"}[i%5])
		all.Go(func() {
			for round := range rounds {
				p := &proc{s: r.s, owner: kern.Owner{Proc: fmt.Sprintf("p%d", i), Serial: uint64(1 + i*rounds + round)}, user: root}
				if _, err := p.start(request, round%2 == 0); err != nil {
					continue
				}
				r.owns(p, request)
				if _, err := p.resize(want("1..2 exclusive")); err == nil {
					r.owns(p, want("1..2 exclusive"))
				}
				p.release()
			}
		})
	}
	standing := kern.Owner{Proc: "standing", Serial: 1 << 20}
	all.Go(func() {
		for round := range rounds {
			set := cores.Set{cores.ID(1 + round%15)}
			_ = r.s.Switch(root, set, kern.Offline, round%3 == 0) // refused while in use
			_ = r.s.Switch(root, set, kern.Online, false)
			_ = r.s.Provision(root, standing, set) // refused while shared work needs it
			r.s.Queue()
			r.s.Alloc()
		}
	})
	all.Wait()
	if err := r.s.Provision(root, standing, nil); err != nil {
		t.Error(err)
	}
	if got := r.alloc(); got != "" || len(r.s.Queue()) > 0 {
		t.Errorf("left: %s, queue %v", got, r.s.Queue())
	}
	r.check()
}

// owns checks that the kernels have for a process what it thinks it has alone.
// It is told of a loss before the core is taken.
func (r *rig) owns(p *proc, request sched.Request) {
	p.op.Lock()
	defer p.op.Unlock()
	if request.Class == sched.Shared {
		return
	}
	v := r.m.View()
	for _, id := range p.last.Cores {
		if c := v.Core(id); c.Owner != p.owner {
			r.t.Errorf("%s has core %d, and the kernel says %+v", p.owner, id, c)
		}
	}
}

package mcp

import (
	"slices"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// vcore is a virtual core: its number is its place in the process's map and
// stays the same while the process lives, whichever core it is on.
type vcore struct {
	core  cores.ID // -1: none
	gen   uint64   // grows with each change of core
	since time.Time
}

// A VCore is a record of the vcore map.
type VCore struct {
	Num, TID   int      // TID -1: threads are not pinned one to one, or there is none
	Core       cores.ID // -1: none
	State      string   // running, stopped, none
	Generation uint64
	Since      time.Time
}

// VCores returns the vcore map: it grows with the most cores that the process
// ever had.
func (p *Proc) VCores() []VCore {
	p.mu.Lock()
	list := make([]VCore, len(p.vcores))
	for i, v := range p.vcores {
		list[i] = VCore{Num: i, TID: -1, Core: v.core, State: "none", Generation: v.gen, Since: v.since}
		if v.core >= 0 {
			list[i].State = p.state.String()
		}
	}
	job := p.job
	p.mu.Unlock()
	if job == nil {
		return list
	}
	for _, t := range job.Threads() {
		if t.VCore >= 0 && t.VCore < len(list) {
			list[t.VCore].TID = t.TID
		}
	}
	return list
}

// cores returns the cores that the process has. p.mu is held.
func (p *Proc) cores() cores.Set {
	ids := make([]cores.ID, 0, len(p.vcores))
	for _, v := range p.vcores {
		if v.core >= 0 {
			ids = append(ids, v.core)
		}
	}
	return cores.NewSet(ids...)
}

// remap lays a grant over the vcores: one whose core is still granted keeps
// it, the rest get the new cores in order, and there are more vcores if it
// takes more.
func remap(old []vcore, grant []cores.ID, now time.Time) []vcore {
	granted, kept := cores.NewSet(grant...), make(map[cores.ID]bool, len(old))
	next := slices.Clone(old)
	for i := range next {
		if id := next[i].core; id >= 0 && granted.Has(id) && !kept[id] {
			kept[id] = true
			continue
		}
		next[i].core = -1
	}
	fresh := slices.DeleteFunc(slices.Clone(grant), func(id cores.ID) bool { return kept[id] })
	for i := range next {
		if next[i].core < 0 && len(fresh) > 0 {
			next[i].core, fresh = fresh[0], fresh[1:]
		}
	}
	next = slices.Grow(next, len(fresh))
	for _, id := range fresh {
		next = append(next, vcore{core: id})
	}
	for i := range next {
		if i >= len(old) || next[i].core != old[i].core {
			next[i].gen++
			next[i].since = now
		}
	}
	return next
}

// slots are the places of a map's vcores that have one.
func slots(vs []vcore) []cores.Slot {
	out := make([]cores.Slot, 0, len(vs))
	for i, v := range vs {
		if v.core >= 0 {
			out = append(out, cores.Slot{VCore: i, Core: v.core})
		}
	}
	return out
}

// moved makes a map the process's and tells who listens. p.mu is held.
func (p *Proc) moved(next []vcore) {
	had := len(slots(p.vcores))
	for i := range next {
		was := cores.ID(-1)
		if i < len(p.vcores) {
			was = p.vcores[i].core
		}
		if is := next[i].core; is != was {
			if was >= 0 {
				p.tell("preempted %d %d", i, was)
			}
			if is >= 0 {
				p.tell("granted %d %d", i, is)
			}
		}
	}
	p.vcores = next
	if has := len(slots(next)); p.conf.req.Gang && has != had {
		p.tell("gang %d", has)
	}
}

// Yield gives n cores back, those of the highest vcores first. EINVAL if that
// leaves less than the minimum.
func (p *Proc) Yield(n int) error {
	return p.yield(func(vs []vcore) ([]int, error) {
		var give []int
		for i := len(vs) - 1; i >= 0 && len(give) < n; i-- {
			if vs[i].core >= 0 {
				give = append(give, i)
			}
		}
		if len(give) < n {
			return nil, sys.Errorf(syscall.EINVAL, "yield: want to give %d, have %d", n, len(give))
		}
		return give, nil
	})
}

// YieldVCore gives the core of a vcore back. EINVAL if it has none, or if that
// leaves less than the minimum.
func (p *Proc) YieldVCore(v int) error {
	return p.yield(func(vs []vcore) ([]int, error) {
		if v >= len(vs) || vs[v].core < 0 {
			return nil, sys.Errorf(syscall.EINVAL, "yield: vcore %d has no core (see cores)", v)
		}
		return []int{v}, nil
	})
}

// yield gives the cores of some vcores back. The program leaves them before
// anybody else can get them.
func (p *Proc) yield(pick func([]vcore) ([]int, error)) error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	state, job, old := p.state, p.job, p.vcores
	p.mu.Unlock()
	if !state.live() {
		return sys.Errorf(syscall.ESRCH, "yield: %s is %s", p.meta.Name, state)
	}
	picked, err := pick(old)
	if err != nil {
		return err
	}
	next, give := slices.Clone(old), make([]cores.ID, len(picked))
	for i, v := range picked {
		give[i], next[v].core = old[v].core, -1
	}
	if least := p.Request().Min; len(slots(next)) < least {
		return sys.Errorf(syscall.EINVAL, "yield: that would leave %d cores, and %d is the least (cores in ctl)", len(slots(next)), least)
	}
	if err := job.Place(slots(next)); err != nil {
		return err
	}
	g, err := p.set.Sched.Yield(p, give)
	if err != nil {
		if again := job.Place(slots(old)); again != nil {
			p.set.Log.Warn("process is not on its cores", "proc", p.meta.Name, "err", again)
		}
		return err
	}
	p.mu.Lock()
	p.conf.req.Max = max(p.conf.req.Min, len(g.Cores))
	p.mu.Unlock()
	return p.apply(g)
}

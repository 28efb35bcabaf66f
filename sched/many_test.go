package sched_test

import (
	"fmt"
	"runtime"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/kern"
)

// TestManyCores has one process take, give and keep all cores of machines of
// different sizes: what is allocated for a core must be the same.
func TestManyCores(t *testing.T) {
	costs := func(n int) map[string]float64 {
		r := newRigOn(t, coretest.Fake(n), kern.Options{})
		all := make(cores.Set, n)
		for i := range all {
			all[i] = cores.ID(i)
		}
		costs := make(map[string]float64)
		count := func(what string, do func() error) {
			t.Helper()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := do()
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			costs[what] = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
		}
		for _, class := range []string{"shared", "exclusive"} {
			p := r.proc(class)
			some := fmt.Sprintf("%d..%d %s", n/2, n, class)
			count(class+": start", func() error { _, err := p.start(want(some), true); return err })
			count(class+": yield", func() error { return p.yield(all[n/4 : n/2]...) })
			count(class+": grow", func() error { _, err := p.resize(want(some)); return err })
			count(class+": release", func() error { p.release(); return nil })
		}
		owner := kern.Owner{Proc: "standing", Serial: 99}
		count("provision", func() error { return r.s.Provision(root, owner, all) })
		count("fewer", func() error { return r.s.Provision(root, owner, all[:n/2]) })
		count("none", func() error { return r.s.Provision(root, owner, nil) })
		count("switch", func() error { return r.s.Switch(root, all[1:], kern.Offline, false) })
		for id := range r.m.View().All() {
			if id.Owner != (kern.Owner{}) || id.Prov != (kern.Owner{}) {
				t.Errorf("core %d is still %s's, or kept for %s", id.ID, id.Owner, id.Prov)
			}
		}
		if list := r.s.Alloc(); len(list) != 0 {
			t.Errorf("%d cores are still in use", len(list))
		}
		r.check()
		return costs
	}
	few, many := costs(500), costs(5000)
	for what, cost := range many {
		t.Logf("%s: %.0f and %.0f bytes a core", what, few[what], cost)
		if cost > 2*few[what] {
			t.Errorf("%s: %.0f bytes a core on 500 cores, %.0f on 5000", what, few[what], cost)
		}
	}
}

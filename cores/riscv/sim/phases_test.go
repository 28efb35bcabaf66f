package sim

import "testing"

// TestPhases runs a program on one core and on some that does one thing for
// long and then another: it is compiled for the first, and again for the other.
// What comes out is what the interpreter makes of it.
func TestPhases(t *testing.T) {
	elf := build(t, "phases.c")
	for _, run := range []struct {
		machine string
		cores   int
		o       Options
	}{
		{"mesh=1x1", 1, Options{Workers: 1}},
		{"mesh=6x5", 6, Options{Workers: 2, Quantum: 10_000}},
	} {
		run.o.Heat = 1_000_000
		cold := run.o
		cold.NoHot = true
		var want, got output
		m := bring(t, run.machine, cold)
		slow := launch(t, m, elf, run.cores, &want)
		ended(t, slow)
		is := hash(t, m)
		m = bring(t, run.machine, run.o)
		fast := launch(t, m, elf, run.cores, &got)
		ended(t, fast)
		if is != hash(t, m) || got.String() != want.String() || fast.Cycles() != slow.Cycles() {
			t.Errorf("%s: %d cycles and %q, interpreted %d and %q", run.machine, fast.Cycles(), got.String(), slow.Cycles(), want.String())
		}
		list := m.Compiled(0)
		m.mu.Lock()
		c := &m.cores[0]
		if len(list) != 2 || list[1] != c.inst.Module().Stats() {
			t.Errorf("%s: compiled %d times, want 2", run.machine, len(list))
		}
		for _, s := range list {
			if s.Functions > s.Found/4 {
				t.Errorf("%s: %d of %d functions compiled", run.machine, s.Functions, s.Found)
			}
		}
		if c.inst.Cycles < c.hart.Instret/4 {
			t.Errorf("%s: %d of %d cycles compiled at last", run.machine, c.inst.Cycles, c.hart.Instret)
		}
		t.Logf("%s: %d of %d cycles", run.machine, c.inst.Cycles, c.hart.Instret)
		m.mu.Unlock()
	}
}

package hot

import (
	"bytes"
	"context"
	"testing"

	"warren/cores/riscv/rv"
)

var programs = []string{"sieve", "matmul", "crc", "fib", "mark"}

func TestPrograms(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) {
			file := build(t, name)
			want, got := load(t, file), load(t, file)
			want.finish(t, want.hart.Run, 1<<40)
			e := New(context.Background())
			defer e.Close()
			m, err := e.Compile(got.hart, Choice{})
			if err != nil {
				t.Fatal(err)
			}
			i, err := m.Instance(got.mem, 0, privSize)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", m.Stats())
			got.finish(t, func(b int64) rv.Why { return i.Run(got.hart, b) }, 1<<40)
			if !bytes.Equal(want.out, got.out) || !bytes.Equal(want.mem, got.mem) {
				t.Fatalf("want %q, got %q", want.out, got.out)
			}
			if want.hart.X[0:32] == nil || [32]uint32(want.hart.X[:32]) != [32]uint32(got.hart.X[:32]) || want.hart.Instret != got.hart.Instret || want.hart.Extra != got.hart.Extra || want.hart.PC != got.hart.PC {
				t.Fatalf("harts differ: %v %v", want.hart.Instret, got.hart.Instret)
			}
			t.Logf("%s %d", got.out, got.hart.Instret)
		})
	}
}

// TestSearch: what is between two entries is interpreted in pieces, and yet no entry is
// passed by, nor the end of a budget.
func TestSearch(t *testing.T) {
	for _, name := range programs {
		file := build(t, name)
		p, twin := load(t, file), load(t, file)
		m, err := engine(t).Compile(p.hart, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		i, err := m.Instance(p.mem, 0, privSize)
		if err != nil {
			t.Fatal(err)
		}
		now := func(h *rv.Hart) uint64 { return h.Instret + h.Extra }
		found, inPieces := 0, 0
		for n := range 600 {
			for why := p.hart.Run(997); why != rv.Budget; why = p.hart.Run(997) {
				if why != rv.Call || !p.serve() {
					break
				}
			}
			*twin.hart = *p.hart
			twin.hart.Win[0].Mem, twin.hart.Win[1].Mem = twin.mem[:privSize], twin.mem[privSize:]
			copy(twin.mem, p.mem)
			i.least = int64(n%2) * worth
			start := now(p.hart)
			end := start + uint64(1+n%300*3)
			steps := 0
			for why := rv.Budget; steps == 0 || why == rv.Budget && m.entry(twin.hart.PC) == nil && steps < walk && now(twin.hart) < end; steps++ {
				why = twin.hart.Step(nil)
			}
			if steps == walk {
				continue
			}
			e := m.entry(twin.hart.PC)
			if e != nil && now(twin.hart) < end && int64(end-now(twin.hart)) < max(e.need, i.least) {
				twin.hart.Run(int64(end - now(twin.hart)))
			}
			i.search(p.hart, end, 0)
			if !same(p.hart, twin.hart) || !bytes.Equal(p.mem, twin.mem) {
				t.Fatalf("%s: search from cycle %d to %d ends at pc %#x, cycle %d; want pc %#x, cycle %d", name, start, end, p.hart.PC, now(p.hart), twin.hart.PC, now(twin.hart))
			}
			if e != nil {
				found++
			}
			if k, _ := m.way(p.hart.PC); k > 1 {
				inPieces++
			}
		}
		if found < 100 || inPieces < 20 {
			t.Errorf("%s: %d entries found, %d pieces of more than one instruction: the test says nothing", name, found, inPieces)
		}
	}
}

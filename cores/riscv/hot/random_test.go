package hot

import (
	"bytes"
	"testing"

	"warren/cores/riscv/rv"
	"warren/cores/riscv/rv/torture"
)

// TestBatches runs the random programs that agree with qemu in both tiers,
// with budgets of all sizes.
func TestBatches(t *testing.T) {
	e := engine(t)
	for seed := range uint64(6) {
		batch := torture.New(seed*1000, 40)
		want, err := batch.Hart()
		if err != nil {
			t.Fatal(err)
		}
		wrote, err := torture.Finish(want, func() rv.Why { return want.Run(1 << 30) })
		if err != nil {
			t.Fatal(err)
		}
		got, err := batch.Hart()
		if err != nil {
			t.Fatal(err)
		}
		first := len(got.Win[0].Mem)
		mem := append(got.Win[0].Mem, got.Win[1].Mem...)
		got.Win[0].Mem, got.Win[1].Mem = mem[:first], mem[first:]
		m, err := e.Compile(got, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		i, err := m.Instance(mem, 0, first)
		if err != nil {
			t.Fatal(err)
		}
		budget := int64(1)
		text, err := torture.Finish(got, func() rv.Why {
			budget = budget*7%9973 + 1
			i.poor, i.rest = 0, 0
			return i.Run(got, budget)
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := batch.Diff(text, wrote); diff != "" || !same(want, got) || !bytes.Equal(mem[:first], want.Win[0].Mem) {
			t.Fatalf("batch %d: %s; %d+%d cycles, want %d+%d", seed, diff, got.Instret, got.Extra, want.Instret, want.Extra)
		}
		t.Logf("%d of %d cycles in the hot tier", i.Cycles, got.Instret+got.Extra)
	}
}

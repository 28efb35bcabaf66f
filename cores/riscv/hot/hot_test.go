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

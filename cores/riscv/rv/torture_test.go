package rv_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"warren/cores/riscv/rv"
	"warren/cores/riscv/rv/torture"
)

// batch is how many programs share a process: starting qemu takes longer than
// to run one of them.
const batch = 50

// many returns how many random programs to try: those that the variable
// WARREN_TORTURE says, or few of them.
func many(t *testing.T, few int) int {
	t.Helper()
	s := os.Getenv("WARREN_TORTURE")
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal("WARREN_TORTURE is the number of programs: ", err)
	}
	return n
}

// oracle returns what a batch writes under qemu-riscv32.
func oracle(t *testing.T, b *torture.Batch) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "programs")
	if err := os.WriteFile(file, b.ELF(), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("qemu-riscv32", "-cpu", "rv32,zba=true,zbb=true,zbs=true", file).Output()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// finished runs a batch in some way and returns what it writes and the hart.
func finished(t *testing.T, b *torture.Batch, run func(h *rv.Hart) rv.Why) ([]byte, *rv.Hart) {
	t.Helper()
	h, err := b.Hart()
	if err != nil {
		t.Fatal(err)
	}
	out, err := torture.Finish(h, func() rv.Why { return run(h) })
	if err != nil {
		t.Fatalf("batch of seed %d: %v", b.Seeds[0], err)
	}
	return out, h
}

// Random programs do the same as under qemu, whether run in one go, step by
// step, or with budgets of a few cycles.
func TestTorture(t *testing.T) {
	for first := 0; first < many(t, 2000); first += batch {
		b := torture.New(uint64(first), batch)
		want := oracle(t, b)
		got, whole := finished(t, b, func(h *rv.Hart) rv.Why { return h.Run(1 << 40) })
		if d := b.Diff(got, want); d != "" {
			t.Fatal("against qemu: ", d)
		}
		got, steps := finished(t, b, func(h *rv.Hart) rv.Why { return h.Step(nil) })
		if d := b.Diff(got, want); d != "" {
			t.Fatal("step by step: ", d)
		}
		r := rand.New(rand.NewPCG(uint64(first), 1))
		got, bits := finished(t, b, func(h *rv.Hart) rv.Why { return h.Run(1 + r.Int64N(50)) })
		if d := b.Diff(got, want); d != "" {
			t.Fatal("bit by bit: ", d)
		}
		for _, h := range []*rv.Hart{steps, bits} {
			if h.Instret != whole.Instret || h.Extra != whole.Extra || h.PC != whole.PC {
				t.Fatalf("%d instructions, %d more cycles to %#x; in one go %d, %d, %#x",
					h.Instret, h.Extra, h.PC, whole.Instret, whole.Extra, whole.PC)
			}
		}
	}
}

package sim

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSuite runs the programs of a directory in both tiers: each is to end with
// status 0, or to write 1 to its symbol tohost. It is for suites that are kept
// elsewhere, such as riscv-tests:
//
//	cd riscv-tests/isa
//	for d in rv32ui rv32um rv32ua rv32uc rv32uf rv32ud rv32mi; do for s in $d/*.S; do
//		riscv64-unknown-elf-gcc -march=rv32g -mabi=ilp32 -static -mcmodel=medany -nostdlib -nostartfiles \
//			-I../env/p -Imacros/scalar -T../env/p/link.ld $s -o $DIR/$d-$(basename $s .S)
//	done; done
//	WARREN_RISCV_TESTS=$DIR go test -run TestSuite ./cores/riscv/sim
//
// Of those all pass but rv32mi's pmpaddr, which takes for granted that memory
// protection is there.
func TestSuite(t *testing.T) {
	dir := os.Getenv("WARREN_RISCV_TESTS")
	if dir == "" {
		t.Skip("WARREN_RISCV_TESTS names no directory of programs")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no programs in %s: %v", dir, err)
	}
	for _, file := range files {
		elf, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			// What is compiled is found from where the core is: so it is compiled
			// at several places.
			for _, steps := range []uint64{0, 1, 60, 120, 200, 300} {
				compiled(t, elf, steps)
			}
			m := bring(t, "mesh=1x1", Options{NoHot: true})
			switch e := ended(t, launch(t, m, elf, 1, new(output))); {
			case e.Signal != 0:
				t.Errorf("interpreted: %s", e.Reason)
			case e.Code != 0:
				t.Errorf("interpreted: test %d failed", e.Code>>1)
			}
		})
	}
}

// compiled runs a program that is compiled after some instructions.
func compiled(t *testing.T, elf []byte, steps uint64) {
	t.Helper()
	m := bring(t, "mesh=1x1", Options{Quantum: MaxQuantum, Heat: -1})
	if err := m.Load([]int{0}, &Image{ELF: elf, Args: []string{"prog"}}); err != nil {
		t.Fatal(err)
	}
	if steps > 0 {
		if err := m.Step([]int{0}, steps); err != nil {
			t.Fatal(err)
		}
		until(t, "stepped", func() bool { return m.State(0) != Running })
	}
	if m.State(0) == Halted || steps == 0 {
		if err := m.Run([]int{0}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "ended", func() bool { return m.State(0) != Running })
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[0]
	if c.state == Faulted {
		t.Errorf("compiled after %d: %s", steps, m.faultText(c))
	} else if c.code != 0 {
		t.Errorf("compiled after %d: test %d failed", steps, c.code>>1)
	}
	if c.inst != nil {
		t.Logf("compiled after %d: %d cycles", steps, c.inst.Cycles)
	}
}

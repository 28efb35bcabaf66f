package rv_test

import (
	"testing"

	"warren/cores/riscv/rv"
)

// Code that is not in the image runs from memory, and changes with it.
func TestCodeInMemory(t *testing.T) {
	h := hart(t,
		typeI(0x13, 11, 11, 0),
		typeS(0x2023, 11, 12, 0),
		0x0000100f,            // fence.i
		typeI(0x67, 1, 11, 0), // jalr ra, (a1)
		typeS(0x2023, 11, 13, 0),
		0x0000100f,
		typeI(0x67, 1, 11, 0),
		0x73,
	)
	at := uint32(base + 1024)
	copy(h.Win[0].Mem[1028:], code(0x00008067)) // ret
	h.X[11], h.X[12], h.X[13] = at, typeI(0x13, 10, 10, 1), typeI(0x13, 10, 10, 100)
	if why := h.Run(100); why != rv.Call || h.X[10] != 101 {
		t.Errorf("%v %+v, a0 %d", why, h.Trap, h.X[10])
	}
}

func TestNamesOfTraps(t *testing.T) {
	seen := map[string]bool{}
	for _, cause := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 99} {
		seen[rv.Trap{Cause: cause}.String()] = true
	}
	if len(seen) != 10 || (rv.Trap{Cause: 11}).String() != (rv.Trap{Cause: 8}).String() {
		t.Errorf("%v", seen)
	}
}

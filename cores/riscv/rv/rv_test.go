package rv_test

import (
	"encoding/binary"
	"testing"

	"warren/cores/riscv/rv"
)

const base = 0x80000000

// code lays instructions out in memory.
func code(words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// hart returns a hart at the beginning of a program, which has 4 KiB of memory.
func hart(t *testing.T, words ...uint32) *rv.Hart {
	t.Helper()
	text := code(words...)
	im, err := rv.NewImage([]rv.Text{{Addr: base, Bytes: text}})
	if err != nil {
		t.Fatal(err)
	}
	mem := make([]byte, 4096)
	copy(mem, text)
	h := &rv.Hart{PC: base, Image: im}
	h.Win[0] = rv.Window{Base: base, RO: uint32(len(text)), Mem: mem}
	return h
}

// The sum of 1 to 10, by a loop, and a call at the end.
var sum = []uint32{
	0x00a00293, // addi t0, zero, 10
	0x00000513, // addi a0, zero, 0
	0x00550533, // add a0, a0, t0
	0xfff28293, // addi t0, t0, -1
	0xfe029ce3, // bnez t0, -8
	0x00000073, // ecall
}

func TestRun(t *testing.T) {
	h := hart(t, sum...)
	if why := h.Run(1000); why != rv.Call {
		t.Fatalf("%v, %+v", why, h.Trap)
	}
	if h.X[10] != 55 || h.PC != base+24 || h.Instret != 33 || h.Now() != 33 {
		t.Errorf("a0 %d, pc %#x, %d instructions, %d cycles", h.X[10], h.PC, h.Instret, h.Now())
	}
}

func TestBudgetIsExact(t *testing.T) {
	for n := int64(-1); n < 33; n++ {
		h := hart(t, sum...)
		if why := h.Run(n); why != rv.Budget || h.Instret != uint64(max(n, 0)) {
			t.Errorf("budget %d: %v after %d", n, why, h.Instret)
		}
	}
}

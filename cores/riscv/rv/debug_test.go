package rv_test

import (
	"testing"

	"warren/cores/riscv/rv"
)

// TestBreakpoints: a hart stops before them, at the first instruction too, and
// a step goes on.
func TestBreakpoints(t *testing.T) {
	h := hart(t, sum...)
	d := &rv.Debug{Breaks: map[uint32]bool{base + 8: true}}
	for turn := range uint32(10) {
		for range 2 { // it stays there
			if why := h.Debug(1000, d); why != rv.Stop || h.PC != base+8 || d.Hit != (rv.Hit{Watch: -1, Addr: base + 8}) {
				t.Fatalf("%v at %#x: %+v", why, h.PC, d.Hit)
			}
		}
		if h.X[5] != 10-turn {
			t.Errorf("turn %d: t0 is %d", turn, h.X[5])
		}
		if why := h.Step(d); why != rv.Budget || h.PC != base+12 {
			t.Fatalf("a step: %v at %#x", why, h.PC)
		}
	}
	if why := h.Debug(1000, d); why != rv.Call || h.X[10] != 55 || h.Instret != 33 {
		t.Errorf("%v, a0 %d, %d instructions", why, h.X[10], h.Instret)
	}
	if why := h.Debug(0, d); why != rv.Budget {
		t.Errorf("without a budget: %v", why)
	}
}

// TestWatchpoints: a hart stops before an instruction that accesses what is
// watched, and nothing of it is done.
func TestWatchpoints(t *testing.T) {
	const at = base + 0x800 // where a0 points to
	for _, c := range []struct {
		name        string
		word        uint32
		from, size  uint32 // from a0 on
		read, write bool
	}{
		{"lb a1, -1(a0)", 0xfff50583, 0xffffffff, 1, true, false},
		{"lh a1, 4(a0)", 0x00451583, 4, 2, true, false},
		{"lw a1, 4(a0)", 0x00452583, 4, 4, true, false},
		{"lhu a1, 4(a0)", 0x00455583, 4, 2, true, false},
		{"sb a1, -1(a0)", 0xfeb50fa3, 0xffffffff, 1, false, true},
		{"sw a1, 4(a0)", 0x00b52223, 4, 4, false, true},
		{"fld fa1, 4(a0)", 0x00453587, 4, 8, true, false},
		{"flw fa1, 4(a0)", 0x00452587, 4, 4, true, false},
		{"fsd fa1, 4(a0)", 0x00b53227, 4, 8, false, true},
		{"fsw fa1, 4(a0)", 0x00b52227, 4, 4, false, true},
		{"c.sw a1, 4(a0)", 0x0001c14c, 4, 4, false, true},
		{"lr.w a1, (a0)", 0x100525af, 0, 4, true, false},
		{"sc.w a1, a1, (a0)", 0x18b525af, 0, 4, false, true},
		{"amoadd.w a1, a1, (a0)", 0x00b525af, 0, 4, true, true},
		{"amomaxu.w a1, a1, (a0)", 0xe0b525af, 0, 4, true, true},
		{"add a1, a0, a0", 0x00a505b3, 0, 0, false, false},
		{"jalr a1, 16(a0)", 0x010505e7, 0, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			stops := func(w rv.Watch) bool {
				h := hart(t, c.word)
				h.X[10], h.X[11], h.F[11] = at, 7, 7
				before := *h
				d := &rv.Debug{Watches: []rv.Watch{{Addr: 4, Len: 4, Read: true, Write: true}, w}}
				why := h.Step(d)
				if why != rv.Stop {
					if why != rv.Budget || h.Instret != 1 {
						t.Fatalf("%v, %+v", why, h.Trap)
					}
					return false
				}
				if h.PC != before.PC || h.X != before.X || h.F != before.F || h.Instret != 0 || len(nonzero(h.Win[0].Mem[0x700:])) != 0 {
					t.Errorf("something was done")
				}
				if d.Hit != (rv.Hit{Watch: 1, Addr: at + c.from, Write: c.write}) {
					t.Errorf("hit %+v", d.Hit)
				}
				return true
			}
			for off := range c.size + 8 {
				addr := at + c.from + off - 4
				for n := range uint32(6) {
					over := n > 0 && off+n > 4 && off < 4+c.size
					for _, read := range []bool{false, true} {
						for _, write := range []bool{false, true} {
							want := over && (read && c.read || write && c.write)
							if got := stops(rv.Watch{Addr: addr, Len: n, Read: read, Write: write}); got != want {
								t.Errorf("%d bytes at %d, read %v, write %v: %v", n, off, read, write, got)
							}
						}
					}
				}
			}
		})
	}
}

func nonzero(mem []byte) (at []int) {
	for i, b := range mem {
		if b != 0 {
			at = append(at, i)
		}
	}
	return at
}

// TestWatchStays: a hart that is not stepped over what it watches stays there.
func TestWatchStays(t *testing.T) {
	h := hart(t, 0x00000013, 0x00b52023, 0x00000073) // nop; sw a1, 0(a0); ecall
	h.X[10] = base + 0x800
	d := &rv.Debug{Watches: []rv.Watch{{Addr: base + 0x800, Len: 1, Write: true}}}
	for range 2 {
		if why := h.Debug(1000, d); why != rv.Stop || h.PC != base+4 || h.Instret != 1 {
			t.Fatalf("%v at %#x", why, h.PC)
		}
	}
	if why := h.Step(nil); why != rv.Budget {
		t.Fatal(why)
	}
	if why := h.Debug(1000, d); why != rv.Call {
		t.Error(why)
	}
}

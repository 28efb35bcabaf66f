package rv_test

import (
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
)

// samples are instructions of each extension, and what they need.
var samples = map[uint32]isa.Set{
	typeI(0x13, 10, 11, 1): 0,             // addi
	0x02b50533:             isa.M,         // mul
	0x02b54533:             isa.M,         // div
	0x20b52533:             isa.Zba,       // sh1add
	0x40b57533:             isa.Zbb,       // andn
	0x60051513:             isa.Zbb,       // clz
	0x6985d513:             isa.Zbb,       // rev8
	0x48b51533:             isa.Zbs,       // bclr
	0x28b51513:             isa.Zbs,       // bseti
	0x0ff0000f:             0,             // fence
	0x0000100f:             isa.Zifencei,  // fence.i
	csrrs(10, 0x340, 0):    isa.Zicsr,     // mscratch
	csrrs(10, 0xb00, 0):    isa.Zicsr,     // mcycle
	csrrs(10, 0xc00, 0):    isa.Zicntr,    // cycle
	csrrs(10, 0xc82, 0):    isa.Zicntr,    // instreth
	0x1005252f:             isa.Zalrsc,    // lr.w
	0x18b5252f:             isa.Zalrsc,    // sc.w
	0x00b5252f:             isa.Zaamo,     // amoadd.w
	0xe0b5252f:             isa.Zaamo,     // amomaxu.w
	0x00052507:             isa.F,         // flw
	0x00a58553:             isa.F,         // fadd.s
	0xf0058553:             isa.F,         // fmv.w.x
	0xe0058553:             isa.F,         // fmv.x.w
	0x00053507:             isa.D,         // fld
	0x02a58553:             isa.D,         // fadd.d
	0x40158553:             isa.D,         // fcvt.s.d
	0x42058553:             isa.D,         // fcvt.d.s
	0x0505:                 isa.C,         // c.addi
	0x4108:                 isa.C,         // c.lw
	0x6108:                 isa.C | isa.F, // c.flw
	0x2108:                 isa.C | isa.D, // c.fld
	0x8082:                 isa.C,         // c.jr ra
}

func needy(s isa.Set) isa.Set {
	if s&isa.D != 0 {
		s |= isa.F
	}
	if s&(isa.F|isa.Zicntr) != 0 {
		s |= isa.Zicsr
	}
	return s
}

// having returns a hart with these extensions at a program of three
// instructions and ebreak, the second of which is the word.
func having(t *testing.T, has isa.Set, word uint32) *rv.Hart {
	t.Helper()
	words := []uint32{typeI(0x13, 9, 9, 1), word, typeI(0x13, 9, 9, 1), 0x00100073}
	if word&3 != 3 {
		words[1] |= 1 << 16 // c.nop behind it
	}
	h := hart(t, words...)
	im, err := rv.NewImageFor(h.Image.Texts(), has)
	if err != nil {
		t.Fatal(err)
	}
	h.Image = im
	h.X[1], h.X[10], h.X[11] = base+8, base+1024, 77
	return h
}

// TestLacking runs an instruction of each extension without it, and with
// little more than it, by the loop and one by one.
func TestLacking(t *testing.T) {
	for word, need := range samples {
		if got, ok := rv.Needs(word); !ok || needy(got) != needy(need) {
			t.Errorf("%#x needs %s, %v", word, got, ok)
			continue
		}
		for _, run := range []func(*rv.Hart) rv.Why{
			func(h *rv.Hart) rv.Why { return h.Run(40) },
			func(h *rv.Hart) rv.Why { return h.Debug(40, nil) },
		} {
			if h := having(t, needy(need), word); run(h) != rv.Break || h.Instret < 3 {
				t.Errorf("%#x with %s: %+v", word, needy(need), h.Trap)
			}
			for bit := isa.Set(1); bit < isa.All; bit <<= 1 {
				if need&bit == 0 {
					continue
				}
				h := having(t, isa.All&^bit, word)
				before := h.X
				before[9]++
				want := rv.Trap{Cause: rv.CauseIllegal, PC: base + 4, Addr: word, Word: word}
				if why := run(h); why != rv.Fault || h.Trap != want || h.Instret != 1 || h.PC != base+4 || [32]uint32(h.X[:32]) != [32]uint32(before[:32]) {
					t.Errorf("%#x without %s: %v %+v after %d", word, bit, why, h.Trap, h.Instret)
				}
			}
		}
	}
}

// TestMisa: it tells what there is.
func TestMisa(t *testing.T) {
	for has, want := range map[isa.Set]uint32{
		isa.All:                    0x4010112f,
		isa.Zicsr:                  0x40100100,
		isa.Zicsr | isa.M | isa.A:  0x40101101,
		isa.Zicsr | isa.Zaamo:      0x40100100,
		isa.All &^ isa.C:           0x4010112b,
		isa.All &^ (isa.F | isa.D): 0x40101107,
		isa.All &^ isa.Zbs:         0x4010112d,
	} {
		h := having(t, has, csrrs(5, 0x301, 0))
		if h.Run(3); h.X[5] != want {
			t.Errorf("misa of %s is %#x, not %#x", has, h.X[5], want)
		}
	}
}

// TestNoFloats: without F there is nothing of it in CSRs either, but debuggers
// are shown a zero.
func TestNoFloats(t *testing.T) {
	for _, num := range []uint32{1, 2, 3} {
		h := having(t, isa.All&^(isa.F|isa.D), csrrs(5, num, 0))
		if why := h.Run(3); why != rv.Fault || h.Trap.Cause != rv.CauseIllegal {
			t.Errorf("csr %d: %v %+v", num, why, h.Trap)
		}
		if v, ok := h.ReadCSR(uint16(num)); v != 0 || !ok {
			t.Errorf("csr %d is %d, %v", num, v, ok)
		}
	}
	h := having(t, isa.All&^(isa.F|isa.D), csrrw(5, 0x300, 11))
	h.X[11] = 3 << 13
	if h.Run(3); h.X[5]&(3<<13|1<<31) != 0 {
		t.Errorf("mstatus %#x", h.X[5])
	}
	if v, _ := h.ReadCSR(0x300); v&(3<<13|1<<31) != 0 {
		t.Errorf("mstatus %#x", v)
	}
}

// TestStrayJumps: without C the address of an instruction is a multiple of 4,
// and a jump to another one faults itself.
func TestStrayJumps(t *testing.T) {
	const jal, jalr, taken, not = 0x006000ef, 0x002500e7, 0x00000363, 0x00001363
	for word, to := range map[uint32]uint32{jal: base + 10, jalr: base + 1026, taken: base + 10, not: 0} {
		for _, run := range []func(*rv.Hart) rv.Why{
			func(h *rv.Hart) rv.Why { return h.Run(3) },
			func(h *rv.Hart) rv.Why { return h.Debug(3, nil) },
		} {
			h := having(t, isa.All&^isa.C, word)
			why := run(h)
			want := rv.Trap{Cause: rv.CauseFetchAlign, PC: base + 4, Addr: to, Word: word}
			if to == 0 && (why != rv.Budget || h.Instret != 3) || to != 0 && (why != rv.Fault || h.Trap != want || h.Instret != 1 || h.X[1] != base+8) {
				t.Errorf("%#x: %v %+v after %d, ra %#x", word, why, h.Trap, h.Instret, h.X[1])
			}
		}
	}
	h := having(t, isa.All&^isa.C, csrrw(0, 0x341, 11))
	h.X[11] = ones
	if h.Run(2); h.CSR.Epc != ones-3 {
		t.Errorf("mepc %#x", h.CSR.Epc)
	}
	h = having(t, isa.All&^isa.C, 0x13)
	h.PC += 2
	if why := h.Run(2); why != rv.Fault || h.Trap.Cause != rv.CauseFetchAlign || h.Trap.Addr != base+2 {
		t.Errorf("%v %+v", why, h.Trap)
	}
	// A text that begins between two instructions.
	im, err := rv.NewImageFor([]rv.Text{{Addr: base + 2, Bytes: code(0x13<<16, 0x13<<16, 0x13<<16)[:10]}}, isa.All&^isa.C)
	if err != nil {
		t.Fatal(err)
	}
	h = &rv.Hart{PC: base + 4, Image: im}
	if why := h.Run(2); why != rv.Budget || h.PC != base+12 {
		t.Errorf("%v %+v at %#x", why, h.Trap, h.PC)
	}
}

func TestUses(t *testing.T) {
	set, other := rv.Uses([]rv.Text{{Addr: base, Bytes: code(0x02b50533, 0x13, 0)}, {Addr: 2, Bytes: []byte{0x05, 0x05, 0, 0, 0x33}}})
	if set != isa.M|isa.C || other {
		t.Errorf("%s, %v", set, other)
	}
	if set, other = rv.Uses([]rv.Text{{Addr: base, Bytes: code(0x13, 0x04000053)}}); set != 0 || !other { // fadd.h
		t.Errorf("%s, %v", set, other)
	}
}

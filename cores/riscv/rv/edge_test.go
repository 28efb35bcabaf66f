package rv_test

import (
	"fmt"
	"testing"

	"warren/cores/riscv/rv"
)

// Encodings by format, without operands.
func typeR(op, rd, rs1, rs2 uint32) uint32 { return op | rd<<7 | rs1<<15 | rs2<<20 }

func typeI(op, rd, rs1 uint32, imm int32) uint32 { return op | rd<<7 | rs1<<15 | uint32(imm)<<20 }

func typeS(op, rs1, rs2 uint32, imm int32) uint32 {
	return op | uint32(imm)&31<<7 | rs1<<15 | rs2<<20 | uint32(imm)>>5<<25
}

const (
	low  = 1 << 31 // the lowest integer
	high = 1<<31 - 1
	ones = 1<<32 - 1
)

// state renders what programs see of a hart, and what counts for them.
func state(why rv.Why, h *rv.Hart) string {
	return fmt.Sprintf("%v pc %#x x %x f %x fcsr %#x retired %d cycles %d trap %+v csr %+v reserved %t %#x %#x", why, h.PC, h.X[:32], h.F, h.Fcsr,
		h.Instret, h.Now(), h.Trap, h.CSR, h.Reserved, h.ReservedAddr, h.ReservedWord)
}

// both runs one instruction by the loop and by Step, with what is behind it,
// and holds them to the same result.
func both(t *testing.T, word uint32, set func(*rv.Hart)) *rv.Hart {
	t.Helper()
	a, b := hart(t, word, 0x13, 0x13), hart(t, word, 0x13, 0x13)
	set(a)
	set(b)
	whyA, whyB := a.Run(2), b.Step(nil)
	if a.Instret == 1 && whyA == rv.Budget {
		whyA = a.Run(1) // the first took long
	}
	if whyB == rv.Budget {
		whyB = b.Run(1)
	}
	if got, want := state(whyA, a), state(whyB, b); got != want {
		t.Errorf("%#08x by Run: %s; by Step: %s", word, got, want)
	}
	return a
}

// Operations on two registers, and what they give.
func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		name       string
		op         uint32
		a, b, want uint32
	}{
		{"add", 0x33, ones, 1, 0},
		{"add", 0x33, high, 1, low},
		{"sub", 0x40000033, 0, 1, ones},
		{"sub", 0x40000033, low, 1, high},
		{"sll", 0x1033, 1, 31, low},
		{"sll", 0x1033, 1, 32, 1},
		{"sll", 0x1033, 1, ones, low},
		{"slt", 0x2033, low, high, 1},
		{"slt", 0x2033, high, low, 0},
		{"slt", 0x2033, 5, 5, 0},
		{"sltu", 0x3033, low, high, 0},
		{"sltu", 0x3033, 0, ones, 1},
		{"xor", 0x4033, 0xff00ff00, 0x0ff00ff0, 0xf0f0f0f0},
		{"srl", 0x5033, low, 31, 1},
		{"srl", 0x5033, low, 33, low >> 1},
		{"sra", 0x40005033, low, 31, ones},
		{"sra", 0x40005033, high, 30, 1},
		{"or", 0x6033, 0xf0, 0x0f, 0xff},
		{"and", 0x7033, 0xfc, 0x3f, 0x3c},
		{"mul", 0x2000033, low, ones, low},
		{"mul", 0x2000033, 0x10001, 0x10001, 0x20001},
		{"mulh", 0x2001033, low, low, 1 << 30},
		{"mulh", 0x2001033, ones, ones, 0},
		{"mulh", 0x2001033, ones, 1, ones},
		{"mulhsu", 0x2002033, ones, ones, ones},
		{"mulhsu", 0x2002033, low, ones, low},
		{"mulhsu", 0x2002033, 1, ones, 0},
		{"mulhu", 0x2003033, ones, ones, ones - 1},
		{"div", 0x2004033, 7, 0, ones},
		{"div", 0x2004033, low, ones, low},
		{"div", 0x2004033, ones - 6, 2, ones - 2},
		{"divu", 0x2005033, 7, 0, ones},
		{"divu", 0x2005033, low, ones, 0},
		{"rem", 0x2006033, 7, 0, 7},
		{"rem", 0x2006033, low, ones, 0},
		{"rem", 0x2006033, ones - 6, 2, ones},
		{"rem", 0x2006033, 7, ones - 1, 1},
		{"remu", 0x2007033, low, 0, low},
		{"remu", 0x2007033, ones, 16, 15},
		{"sh1add", 0x20002033, low, 3, 3},
		{"sh2add", 0x20004033, 3, ones, 11},
		{"sh3add", 0x20006033, 0x20000001, 0, 8},
		{"andn", 0x40007033, 0xff, 0x0f, 0xf0},
		{"orn", 0x40006033, 0, 0xf, ones - 15},
		{"xnor", 0x40004033, 0xff, 0xff, ones},
		{"max", 0xa006033, low, high, high},
		{"maxu", 0xa007033, low, high, low},
		{"min", 0xa004033, low, high, low},
		{"minu", 0xa005033, low, high, high},
		{"rol", 0x60001033, low | 1, 33, 3},
		{"ror", 0x60005033, 1, 1, low},
		{"ror", 0x60005033, 1, 0, 1},
		{"bclr", 0x48001033, ones, 63, high},
		{"bext", 0x48005033, low, 31, 1},
		{"binv", 0x68001033, 1, 32, 0},
		{"bset", 0x28001033, 0, 31, low},
		{"clz", 0x60001013, 0, 0, 32},
		{"clz", 0x60001013, 1, 0, 31},
		{"ctz", 0x60101013, 0, 0, 32},
		{"ctz", 0x60101013, low, 0, 31},
		{"cpop", 0x60201013, ones, 0, 32},
		{"sext.b", 0x60401013, 0x180, 0, 0xffffff80},
		{"sext.h", 0x60501013, 0x18000, 0, 0xffff8000},
		{"zext.h", 0x08004033, ones, 0, 0xffff},
		{"orc.b", 0x28705013, 0x00800100, 0, 0x00ffff00},
		{"orc.b", 0x28705013, 0x01000080, 0, 0xff0000ff},
		{"rev8", 0x69805013, 0x12345678, 0, 0x78563412},
	} {
		word := typeR(c.op, 10, 11, 12)
		if c.op&0x7f == 0x13 || c.name == "zext.h" {
			word = typeR(c.op, 10, 11, 0)
		}
		h := both(t, word, func(h *rv.Hart) { h.X[11], h.X[12] = c.a, c.b })
		if h.X[10] != c.want {
			t.Errorf("%s %#x, %#x: %#x, not %#x", c.name, c.a, c.b, h.X[10], c.want)
		}
		// x0 stays 0, and sources that are also the destination work.
		both(t, word&^0xf80, func(h *rv.Hart) { h.X[11], h.X[12] = c.a, c.b })
		h = both(t, word&^0xf80|11<<7, func(h *rv.Hart) { h.X[11], h.X[12] = c.a, c.b })
		if h.X[11] != c.want || h.X[0] != 0 {
			t.Errorf("%s %#x, %#x in place: %#x, not %#x", c.name, c.a, c.b, h.X[11], c.want)
		}
	}
}

func TestImmediates(t *testing.T) {
	for _, c := range []struct {
		name    string
		op      uint32
		a       uint32
		imm     int32
		want    uint32
		address bool // relative to that of the instruction
	}{
		{"addi", 0x13, 1, -2048, ones - 2046, false},
		{"slti", 0x2013, low, -1, 1, false},
		{"slti", 0x2013, 0, -1, 0, false},
		{"sltiu", 0x3013, 0, -1, 1, false},
		{"sltiu", 0x3013, ones, -1, 0, false},
		{"xori", 0x4013, 0, -1, ones, false},
		{"ori", 0x6013, 0, -2048, ones - 2047, false},
		{"andi", 0x7013, ones, -2, ones - 1, false},
		{"slli", 0x1013, 3, 31, low, false},
		{"srli", 0x5013, ones, 31, 1, false},
		{"srai", 0x40005013, low, 31, ones, false},
		{"rori", 0x60005013, 1, 31, 2, false},
		{"bclri", 0x48001013, ones, 0, ones - 1, false},
		{"bexti", 0x48005013, low, 31, 1, false},
		{"binvi", 0x68001013, 0, 31, low, false},
		{"bseti", 0x28001013, 0, 31, low, false},
		{"lui", 0x37, 0, 0, 0, false},
		{"auipc", 0x17, 0, 0, 0, true},
	} {
		word := typeI(c.op, 10, 11, c.imm)
		if c.op == 0x37 || c.op == 0x17 {
			word = c.op | 10<<7 | 0xfffff000
			c.want = 0xfffff000
		}
		if c.address {
			c.want += base
		}
		if h := both(t, word, func(h *rv.Hart) { h.X[11] = c.a }); h.X[10] != c.want {
			t.Errorf("%s %#x, %d: %#x, not %#x", c.name, c.a, c.imm, h.X[10], c.want)
		}
	}
}

func TestBranches(t *testing.T) {
	for _, c := range []struct {
		op    uint32
		a, b  uint32
		taken bool
	}{
		{0x63, 1, 1, true},
		{0x63, 1, 2, false},
		{0x1063, 1, 1, false},
		{0x1063, 1, 2, true},
		{0x4063, low, high, true},
		{0x4063, 1, 1, false},
		{0x5063, low, high, false},
		{0x5063, 1, 1, true},
		{0x6063, low, high, false},
		{0x6063, 0, ones, true},
		{0x7063, low, high, true},
		{0x7063, 0, ones, false},
	} {
		word := typeS(c.op, 11, 12, 8)
		want := uint32(base + 8)
		h := both(t, word, func(h *rv.Hart) { h.X[11], h.X[12] = c.a, c.b })
		if c.taken {
			want = base + 12 // and the instruction there
		}
		if h.PC != want {
			t.Errorf("%#x of %#x, %#x: at %#x", c.op, c.a, c.b, h.PC)
		}
	}
}

// A jump by a register clears its lowest bit, and takes its target before it
// links.
func TestJumpByRegister(t *testing.T) {
	h := both(t, typeI(0x67, 11, 11, 4), func(h *rv.Hart) { h.X[11] = base + 5 })
	if h.PC != base+12 || h.X[11] != base+4 {
		t.Errorf("at %#x, link %#x", h.PC, h.X[11])
	}
	// Out of the image: the jump retires, and then the fetch faults.
	h = both(t, typeI(0x67, 1, 11, 0), func(h *rv.Hart) { h.X[11] = 0x100 })
	if h.Trap.Cause != rv.CauseFetch || h.Trap.PC != 0x100 || h.Trap.Addr != 0x100 || h.X[1] != base+4 || h.Instret != 1 {
		t.Errorf("%+v, link %#x, %d retired", h.Trap, h.X[1], h.Instret)
	}
}

// The loop and Step end at the end of a text in the same way: with the fetch
// of what is in memory behind it.
func TestEndOfText(t *testing.T) {
	h := hart(t, 0x13)
	if why := h.Run(100); why != rv.Fault || h.Trap.Cause != rv.CauseIllegal || h.PC != base+4 || h.Instret != 1 {
		t.Errorf("%v %+v", why, h.Trap)
	}
	h.Win[0].Mem[4] = 0x13 // a nop, and then half an instruction
	h.Win[0].Mem = h.Win[0].Mem[:10]
	h.Win[0].Mem[8] = 3
	if why := h.Run(100); why != rv.Fault || h.Trap.Cause != rv.CauseFetch || h.PC != base+8 || h.Trap.Addr != base+10 {
		t.Errorf("%v %+v", why, h.Trap)
	}
}

package rv_test

import (
	"bytes"
	"testing"

	"warren/cores/riscv/rv"
)

// Instructions on CSRs.
func csrrw(rd, csr, rs1 uint32) uint32 { return typeI(0x1073, rd, rs1, int32(csr)) }
func csrrs(rd, csr, rs1 uint32) uint32 { return typeI(0x2073, rd, rs1, int32(csr)) }

func TestIllegal(t *testing.T) {
	for name, word := range map[string]uint32{
		"all zero":               0,
		"all ones":               ones,
		"branch 2":               0x2063,
		"load 3":                 0x3003,
		"load 6":                 0x6003,
		"store 3":                0x3023,
		"jalr 1":                 0x1067,
		"slli of 32":             0x02001013,
		"srai of 33":             0x42105013,
		"op with funct7 3":       0x06000033,
		"zext.h with rs2":        0x08104033,
		"clmul":                  0x0a001033,
		"unary 3":                0x60301013,
		"unary 6":                0x60601013,
		"gorci":                  0x28605013,
		"amo.d":                  0x0000302f,
		"lr with rs2":            0x1010202f,
		"amo 5":                  0x2800202f,
		"sret":                   0x10200073,
		"uret":                   0x00200073,
		"sfence.vma":             0x12000073,
		"ecall with rd":          0x000000f3,
		"ebreak with rs1":        0x00108073,
		"system 4":               0x00004073,
		"fence 2":                0x0000200f,
		"fadd mode 5":            0x00005053,
		"fadd mode 6":            0x00006053,
		"fmadd mode 5":           0x00005043,
		"fadd.h":                 0x04000053,
		"fadd.q":                 0x06000053,
		"fmadd.h":                0x04000043,
		"fsqrt with rs2":         0x58100053,
		"fcvt.s.s":               0x40000053,
		"fcvt.d.d":               0x42100053,
		"fcvt.l.s":               0xc0200053,
		"fmv.x.d":                0xe2000053,
		"fmv.d.x":                0xf2000053,
		"fmv.x.w with rs2":       0xe0100053,
		"fclass 2":               0xe0002053,
		"fsgnj 3":                0x20003053,
		"fmin 2":                 0x28002053,
		"feq 3":                  0xa0003053,
		"flh":                    0x00001007,
		"flq":                    0x00004007,
		"csr of supervisor mode": csrrs(5, 0x100, 0),
		"medeleg":                csrrs(5, 0x302, 0),
		"no csr":                 csrrs(5, 0x555, 0),
		"writing cycle":          csrrs(5, 0xc00, 5),
		"writing mhartid":        csrrw(0, 0xf14, 0),
		"hpmcounter3":            csrrs(5, 0xc03, 0),
		"c.addi4spn of 0":        0x0004,
		"quadrant 0, 4":          0x8000,
		"c.addi16sp of 0":        0x6101,
		"c.lui of 0":             0x6281,
		"c.srli of 32":           0x9001,
		"c.srai of 32":           0x9401,
		"c.slli of 32":           0x1282,
		"c.subw":                 0x9c01,
		"c.addw":                 0x9c21,
		"reserved arithmetic":    0x9c41,
		"c.lwsp to x0":           0x4002,
		"c.jr of x0":             0x8002,
		"48 bits long":           0x0000001f,
		"64 bits long":           0x0000003f,
		"custom-0":               0x0000000b,
		"op-32":                  0x0000003b,
		"op-imm-32":              0x0000001b,
		"vector":                 0x00000057,
	} {
		if word&3 != 3 {
			word |= 0x00010000 // c.nop
		}
		h := both(t, word, func(*rv.Hart) {})
		want := word
		if word&3 != 3 {
			want &= 0xffff
		}
		if h.Trap != (rv.Trap{Cause: rv.CauseIllegal, PC: base, Addr: want, Word: want}) || h.Instret != 0 {
			t.Errorf("%s, %#x: %+v", name, word, h.Trap)
		}
	}
}

// The bits of fcsr, by its three numbers.
func TestFloatCSRs(t *testing.T) {
	h := hart(t, csrrw(0, 3, 11), csrrs(5, 1, 0), csrrs(6, 2, 0), csrrs(7, 3, 0), csrrw(28, 2, 12), csrrw(29, 1, 12), csrrs(30, 3, 0))
	h.X[11], h.X[12] = ones, 2
	h.Run(7)
	if h.X[5] != 31 || h.X[6] != 7 || h.X[7] != 255 || h.X[28] != 7 || h.X[29] != 31 || h.X[30] != 0x42 {
		t.Errorf("%x, %+v", h.X[:32], h.Trap)
	}
	// With a reserved mode in frm what rounds by it is illegal, and nothing else.
	const fadd, fsgnj = 0x00007053, 0x20000053
	set := func(h *rv.Hart) { h.Fcsr = 5 << 5 }
	if h := both(t, fadd, set); h.Trap.Cause != rv.CauseIllegal {
		t.Errorf("%+v", h.Trap)
	}
	for _, word := range []uint32{fsgnj, fadd &^ 0x7000} {
		if h := both(t, word, set); h.Instret != 2 {
			t.Errorf("%#x: %+v", word, h.Trap)
		}
	}
}

// With mstatus.FS off floating point is illegal; what writes makes it dirty.
func TestFloatingPointOff(t *testing.T) {
	const fs = 3 << 13
	for _, word := range []uint32{0x00000053, 0x0005a007, 0x0005a027, csrrs(5, 3, 0), csrrs(5, 1, 0)} {
		h := hart(t, typeI(0x3073, 0, 10, 0x300), word)
		h.X[10], h.X[11] = fs, base+1024
		if why := h.Run(10); why != rv.Fault || h.Trap.Cause != rv.CauseIllegal || h.PC != base+4 {
			t.Errorf("%#x: %v %+v", word, why, h.Trap)
		}
	}
	h := hart(t, typeI(0x3073, 0, 10, 0x300), typeI(0x2073, 0, 11, 0x300), csrrs(5, 0x300, 0),
		typeS(0x2027, 12, 0, 0), csrrs(6, 0x300, 0), 0xf0000053, csrrs(7, 0x300, 0))
	h.X[10], h.X[11], h.X[12] = fs, 1<<13, base+1024
	why := h.Run(7)
	if h.X[5]&(fs|1<<31) != 1<<13 || h.X[6] != h.X[5] || h.X[7]&(fs|1<<31) != fs|1<<31 {
		t.Errorf("%v %+v, mstatus %#x, %#x, %#x", why, h.Trap, h.X[5], h.X[6], h.X[7])
	}
}

func TestCounters(t *testing.T) {
	h := hart(t,
		0x02c5c533,         // div a0, a1, a2
		csrrs(5, 0xc00, 0), // rdcycle t0
		csrrs(6, 0xc02, 0), // rdinstret t1
		csrrs(7, 0xc80, 0), // rdcycleh t2
		csrrw(0, 0xb02, 11),
		csrrs(28, 0xc02, 0),
		csrrw(0, 0xb80, 11),
		csrrs(29, 0xc80, 0),
		csrrs(30, 0xb00, 0),
		csrrs(31, 0xc01, 0),
	)
	h.Skew = 1<<32 + 100
	h.X[11] = 500
	if why := h.Run(29); why != rv.Budget || h.Instret != 10 {
		t.Fatal(why, h.Trap, h.Instret)
	}
	if h.X[5] != 120 || h.X[6] != 2 || h.X[7] != 1 || h.X[28] != 500 || h.X[29] != 500 || h.X[30] != 127 || h.X[31] != 128 {
		t.Errorf("%d", h.X[:32])
	}
}

// A write to either half of minstret keeps its own instruction from being counted.
func TestInstretWrites(t *testing.T) {
	h := hart(t, csrrw(0, 0xb02, 11), csrrw(0, 0xb82, 11), csrrs(5, 0xb02, 0), csrrs(6, 0xb02, 0), csrrs(7, 0xb82, 0))
	h.X[11] = ones
	if h.Run(5); h.X[5] != ones || h.X[6] != 0 || h.X[7] != 0 {
		t.Errorf("%#x, then %#x, %#x", h.X[5], h.X[6], h.X[7])
	}
}

// Where text may be written to, a fence.i makes the hart take what memory has.
func TestNewCode(t *testing.T) {
	const fencei = 0x0000100f
	for _, c := range []struct {
		fence     uint32
		ro, want  uint32
		otherwise bool // it ends with a fault
	}{
		{fencei, 0, 3, false},
		{0x13, 0, 1, false}, // the old instruction stays until there is a fence
		{fencei, 12, 0, true},
	} {
		h := hart(t,
			typeS(0x2023, 11, 12, 0), // sw a2, 0(a1)
			c.fence,
			typeI(0x13, 10, 10, 1),
			0x73,
		)
		h.Win[0].RO = c.ro
		first := h.Image
		h.X[11], h.X[12] = base+8, typeI(0x13, 10, 10, 3)
		why := h.Run(10)
		if (why == rv.Fault) != c.otherwise || h.X[10] != c.want {
			t.Errorf("%v, a0 is %d, not %d", why, h.X[10], c.want)
		}
		if got := first.Texts()[0].Bytes; !bytes.Equal(got[8:12], code(typeI(0x13, 10, 10, 1))) {
			t.Error("an image has changed")
		}
	}
}

// What changes all the time is not decoded anew for ever, but is right.
func TestNewCodeOften(t *testing.T) {
	text := make([]byte, 1<<20)
	copy(text, code(
		0x0000100f,               // L: fence.i
		typeI(0x13, 10, 10, 1),   // changes: addi a0, a0, 0…
		typeI(0x13, 12, 12, 1),   // addi a2, a2, 1
		typeI(0x7013, 14, 12, 7), // andi a4, a2, 7
		0x01471713,               // slli a4, a4, 20
		0x00d70733,               // add a4, a4, a3
		typeS(0x2023, 11, 14, 4), // sw a4, 4(a1)
		0xfe5ff06f,               // j L
	))
	im, err := rv.NewImage([]rv.Text{{Addr: base, Bytes: text}})
	if err != nil {
		t.Fatal(err)
	}
	h := &rv.Hart{PC: base, Image: im}
	h.Win[0] = rv.Window{Base: base, Mem: bytes.Clone(text)}
	h.X[11], h.X[13] = base, typeI(0x13, 10, 10, 0)
	if why := h.Run(8 * 40); why != rv.Budget || h.X[10] != 1+(39/8)*28+(39%8)*4 {
		t.Errorf("%v %+v, a0 is %d", why, h.Trap, h.X[10])
	}
	if n := len(h.Image.Texts()); n != 0 {
		t.Errorf("%d segments are decoded still", n)
	}
}

// A program sets up a handler, goes to user mode, and calls from there.
func TestTrapsAndUserMode(t *testing.T) {
	const handler, user = base + 64, base + 96
	prog := make([]uint32, 40)
	for i := range prog {
		prog[i] = 0x13
	}
	copy(prog, []uint32{
		csrrw(0, 0x305, 11), // mtvec
		csrrw(0, 0x341, 12), // mepc
		csrrw(0, 0x340, 13), // mscratch
		csrrw(0, 0x300, 0),  // mstatus: previous mode is user, FS off
		0x30200073,          // mret
	})
	copy(prog[16:], []uint32{
		csrrs(5, 0x342, 0), csrrs(6, 0x341, 0), csrrs(7, 0x343, 0), csrrs(28, 0x300, 0), 0x30200073,
	})
	copy(prog[24:], []uint32{0x73, csrrs(29, 0x340, 0), 0x13})
	h := hart(t, prog...)
	h.X[11], h.X[12], h.X[13] = handler+1, user, 77 // vectored mode is not kept
	if why := h.Run(100); why != rv.Call || h.PC != user+4 || h.Trap.Cause != rv.CauseUserCall || h.Trap.PC != user || !h.CSR.User {
		t.Fatalf("%v at %#x, %+v", why, h.PC, h.Trap)
	}
	if !h.TakeTrap() || h.PC != handler || h.CSR.User {
		t.Fatalf("at %#x", h.PC)
	}
	h.Run(5) // up to the return, which leads to the call again
	if h.X[5] != rv.CauseUserCall || h.X[6] != user || h.X[7] != 0 || h.X[28]&(3<<11) != 0 || h.PC != user || !h.CSR.User {
		t.Fatalf("at %#x, %x", h.PC, h.X[:32])
	}
	h.PC = user + 4
	if why := h.Run(5); why != rv.Fault || h.Trap.Cause != rv.CauseIllegal || h.Trap.PC != user+4 {
		t.Fatalf("mscratch in user mode: %v %+v", why, h.Trap)
	}
	h.TakeTrap()
	h.Run(3)
	if h.X[5] != rv.CauseIllegal || h.X[7] != csrrs(29, 0x340, 0) {
		t.Errorf("%x", h.X[:32])
	}
	// From machine mode the previous mode is machine mode.
	h = hart(t, 0x73)
	h.CSR.Tvec = handler
	if why := h.Run(5); why != rv.Call || h.Trap.Cause != rv.CauseMachineCall || !h.TakeTrap() {
		t.Fatalf("%v %+v", why, h.Trap)
	}
	h = hart(t, 0x00100073)
	if why := h.Run(5); why != rv.Break || h.PC != base || h.Instret != 0 || h.Trap.Cause != rv.CauseBreak || h.TakeTrap() {
		t.Errorf("%v at %#x, %+v", why, h.PC, h.Trap)
	}
}

// What exists for machine mode: identity, and what reads as 0.
func TestMachineCSRs(t *testing.T) {
	for num, want := range map[uint32]uint32{
		0x301: 0x40101000 | 0x12f, 0xf14: 9, 0xf11: 0, 0xf12: 0, 0xf13: 0, 0x3a0: 0, 0x3b0: 0, 0x310: 0, 0x344: 0, 0x7a0: 0, 0x7a1: 0, 0xb03: 0, 0x323: 0,
	} {
		h := both(t, csrrs(5, num, 0), func(h *rv.Hart) { h.ID = 9 })
		if h.Instret != 2 || h.X[5] != want {
			t.Errorf("csr %#x: %#x, %+v", num, h.X[5], h.Trap)
		}
		if num>>10 != 3 { // a write is ignored
			h := both(t, csrrw(5, num, 11), func(h *rv.Hart) { h.X[11] = ones })
			if h.Instret != 2 {
				t.Errorf("write to csr %#x: %+v", num, h.Trap)
			}
		}
	}
	for num, want := range map[uint32]uint32{0x304: 0x888, 0x305: ones - 3, 0x340: ones, 0x341: ones - 1, 0x342: ones, 0x343: ones, 0x306: 7, 0x320: 5} {
		h := hart(t, csrrw(0, num, 11), csrrs(5, num, 0))
		h.X[11] = ones
		if h.Run(2); h.X[5] != want {
			t.Errorf("csr %#x keeps %#x, not %#x", num, h.X[5], want)
		}
	}
}

// The barrier's CSR waits, and the machine ends that.
func TestWait(t *testing.T) {
	for _, word := range []uint32{csrrs(5, 0x7c2, 0), csrrw(5, 0x7c2, 11), typeI(0x7073, 5, 3, 0x7c2)} {
		h := hart(t, word, 0x13)
		for range 2 {
			if why := h.Run(9); why != rv.Wait || h.PC != base || h.Instret != 0 {
				t.Fatalf("%v at %#x", why, h.PC)
			}
		}
		h.EndWait(42)
		if h.X[5] != 42 || h.PC != base+4 || h.Instret != 1 {
			t.Errorf("%d at %#x", h.X[5], h.PC)
		}
		h.EndWait(43) // it does not wait any more
		if h.X[5] != 42 || h.PC != base+4 {
			t.Errorf("%d at %#x", h.X[5], h.PC)
		}
	}
}

// What mcountinhibit stops stands, and is written to, until it counts on.
func TestInhibit(t *testing.T) {
	const inhibit, instret, cycle = 0x320, 0xb02, 0xb00
	h := hart(t, csrrw(0, instret, 0), csrrw(0, inhibit, 11), csrrs(5, instret, 0), csrrs(6, instret, 0),
		csrrw(0, instret, 12), csrrs(7, instret, 0), csrrw(28, inhibit, 0), csrrs(29, instret, 0), csrrs(30, instret, 0))
	h.X[11], h.X[12] = 4, 100
	h.Run(9)
	if h.X[5] != 1 || h.X[6] != 1 || h.X[7] != 100 || h.X[28] != 4 || h.X[29] != 100 || h.X[30] != 101 {
		t.Errorf("minstret: %d, %+v", h.X[:32], h.Trap)
	}
	h = hart(t, csrrw(0, cycle, 0), csrrw(0, inhibit, 11), csrrs(5, cycle, 0), csrrs(6, cycle, 0),
		csrrw(28, inhibit, 0), csrrs(29, cycle, 0), csrrs(30, cycle, 0))
	h.X[11] = 1
	h.Run(7)
	if h.X[5] != h.X[6] || h.X[29] != h.X[5] || h.X[30] != h.X[5]+1 {
		t.Errorf("mcycle: %d, %+v", h.X[:32], h.Trap)
	}
}

// The barrier's CSR is machine mode's, as its number says.
func TestNoBarrierInUserMode(t *testing.T) {
	h := hart(t, csrrw(0, 0x341, 13), 0x30200073, csrrs(5, 0x7c2, 0))
	h.X[13] = base + 2*4
	h.CSR.Status &^= 3 << 11
	h.Run(2)
	if why := h.Run(1); !h.CSR.User || why != rv.Fault || h.Trap.Cause != rv.CauseIllegal {
		t.Errorf("%v, %+v", why, h.Trap)
	}
}

// User mode waits for no interrupt if machine mode forbids it.
func TestNoWaiting(t *testing.T) {
	const tw, mpp = 1 << 21, 3 << 11
	for _, forbidden := range []bool{false, true} {
		h := hart(t, csrrs(0, 0x300, 11), csrrw(0, 0x300, 12), csrrw(0, 0x341, 13), 0x10500073, 0x30200073, 0x10500073)
		h.X[13] = base + 5*4
		if forbidden {
			h.X[12] = tw
		}
		h.X[11] = mpp
		h.Run(5) // it may wait in machine mode
		if !h.CSR.User || h.PC != base+5*4 {
			t.Fatalf("pc %#x, %+v", h.PC, h.Trap)
		}
		switch why := h.Run(1); {
		case forbidden && (why != rv.Fault || h.Trap.Cause != rv.CauseIllegal || h.Trap.Addr != 0x10500073):
			t.Errorf("%v, %+v", why, h.Trap)
		case !forbidden && (why != rv.Budget || h.PC != base+6*4):
			t.Errorf("%v at %#x", why, h.PC)
		}
	}
}

// An ecall that traps is not counted by minstret.
func TestTrappedCallIsNotRetired(t *testing.T) {
	const handler = base + 8
	h := hart(t, csrrw(0, 0x305, 11), 0x00000073, csrrs(5, 0xb02, 0))
	h.X[11] = handler
	if why := h.Run(9); why != rv.Call || !h.TakeTrap() {
		t.Fatal(why)
	}
	if h.Run(1); h.X[5] != 1 {
		t.Errorf("minstret %d behind a csrrw and an ecall", h.X[5])
	}
}

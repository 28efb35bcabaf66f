package rv_test

import (
	"bytes"
	"testing"

	"warren/cores/riscv/rv"
)

// Two windows: 64 bytes at the end of the address space, and 32 at 0x100, of
// which 8 refuse stores.
func windows(h *rv.Hart) {
	top := make([]byte, 64)
	for i := range top {
		top[i] = 0x80 + byte(i)
	}
	near := make([]byte, 32)
	for i := range near {
		near[i] = byte(i)
	}
	h.Win = [2]rv.Window{{Base: 0xffffffc0, Mem: top}, {Base: 0x100, RO: 8, Mem: near}}
}

func TestLoadsAndStores(t *testing.T) {
	const lb, lh, lw, lbu, lhu, sb, sh, sw, fld, fsd, flw = 0x3, 0x1003, 0x2003, 0x4003, 0x5003, 0x23, 0x1023, 0x2023, 0x3007, 0x3027, 0x2007
	for _, c := range []struct {
		op, addr uint32
		cause    uint32 // 0 if it works
		want     uint32 // of loads
	}{
		{lb, 0xffffffff, 0, 0xffffffbf},
		{lbu, 0xffffffff, 0, 0xbf},
		{lh, 0xfffffffe, 0, 0xffffbfbe},
		{lhu, 0xfffffffe, 0, 0xbfbe},
		{lw, 0xfffffffc, 0, 0xbfbebdbc},
		{lw, 0xffffffc1, 0, 0x84838281},
		{lh, 0xffffffff, rv.CauseLoad, 0},
		{lw, 0xfffffffd, rv.CauseLoad, 0},
		{lw, 0xffffffbf, rv.CauseLoad, 0},
		{lb, 0, rv.CauseLoad, 0},
		{lb, 0xff, rv.CauseLoad, 0},
		{lb, 0x100, 0, 0},
		{lw, 0xff, rv.CauseLoad, 0},
		{lw, 0x11c, 0, 0x1f1e1d1c},
		{lw, 0x11d, rv.CauseLoad, 0},
		{lhu, 0x11f, rv.CauseLoad, 0},
		{lbu, 0x11f, 0, 0x1f},
		{lbu, 0x120, rv.CauseLoad, 0},
		{flw, 0x11c, 0, 0},
		{flw, 0x11d, rv.CauseLoad, 0},
		{fld, 0x118, 0, 0},
		{fld, 0x119, rv.CauseLoad, 0},
		{sb, 0x107, rv.CauseStore, 0},
		{sb, 0x108, 0, 0},
		{sh, 0x107, rv.CauseStore, 0},
		{sw, 0x105, rv.CauseStore, 0},
		{sw, 0x100, rv.CauseStore, 0},
		{sw, 0x108, 0, 0},
		{sw, 0x11c, 0, 0},
		{sw, 0x11d, rv.CauseStore, 0},
		{sh, 0x11f, rv.CauseStore, 0},
		{sb, 0x11f, 0, 0},
		{sw, 0xffffffc0, 0, 0},
		{sw, 0xfffffffd, rv.CauseStore, 0},
		{sb, 0xffffffff, 0, 0},
		{sw, 0xfffffffe, rv.CauseStore, 0},
		{fsd, 0x118, 0, 0},
		{fsd, 0x119, rv.CauseStore, 0},
		{fsd, 0x104, rv.CauseStore, 0},
	} {
		word := typeI(c.op, 10, 11, 0x55)
		store := c.op&0x20 != 0
		if store {
			word = typeS(c.op, 11, 10, 0x55)
		}
		h := both(t, word, func(h *rv.Hart) {
			windows(h)
			h.X[11], h.X[10] = c.addr-0x55, 0xa5a5a5a5
			h.F[10] = 0xa5a5a5a5a5a5a5a5
		})
		fresh := &rv.Hart{}
		windows(fresh)
		changed := !bytes.Equal(h.Win[0].Mem, fresh.Win[0].Mem) || !bytes.Equal(h.Win[1].Mem, fresh.Win[1].Mem)
		if c.cause != 0 {
			want := rv.Trap{Cause: c.cause, PC: base, Addr: c.addr, Word: word}
			if h.Trap != want || h.PC != base || h.Instret != 0 || h.X[10] != 0xa5a5a5a5 || changed {
				t.Errorf("%#x at %#x: %+v, pc %#x, a0 %#x, changed %t", c.op, c.addr, h.Trap, h.PC, h.X[10], changed)
			}
			continue
		}
		if h.Instret != 2 || changed != store || c.op&0x27 == 3 && h.X[10] != c.want {
			t.Errorf("%#x at %#x: %#x, changed %t, %+v", c.op, c.addr, h.X[10], changed, h.Trap)
		}
	}
}

// A window that hides part of another is tried first, and the other gets what
// it does not have all of.
func TestFirstWindowFirst(t *testing.T) {
	set := func(h *rv.Hart) {
		h.Win[0] = rv.Window{Base: 0x100, RO: 4, Mem: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
		h.Win[1] = rv.Window{Base: 0xf8, Mem: bytes.Repeat([]byte{0xee}, 32)}
	}
	for addr, want := range map[uint32]uint32{0x100: 0x04030201, 0x104: 0x08070605, 0x105: 0xeeeeeeee, 0xff: 0xeeeeeeee} {
		h := both(t, typeI(0x2003, 10, 11, 0), func(h *rv.Hart) { set(h); h.X[11] = addr })
		if h.X[10] != want {
			t.Errorf("at %#x: %#x", addr, h.X[10])
		}
	}
}

func TestAtomics(t *testing.T) {
	for _, c := range []struct {
		name      string
		op        uint32
		mem, v    uint32
		want, old uint32
	}{
		{"amoswap", 0x0800202f, 1, 2, 2, 1},
		{"amoadd", 0x0000202f, ones, 2, 1, ones},
		{"amoxor", 0x2000202f, 0xff, 0x0f, 0xf0, 0xff},
		{"amoand", 0x6000202f, 0xfc, 0x3f, 0x3c, 0xfc},
		{"amoor", 0x4000202f, 0xf0, 0x0f, 0xff, 0xf0},
		{"amomin", 0x8000202f, low, high, low, low},
		{"amomax", 0xa000202f, low, high, high, low},
		{"amominu", 0xc000202f, low, high, high, low},
		{"amomaxu", 0xe000202f, low, high, low, low},
	} {
		for _, rd := range []uint32{10, 11, 12} { // also where an operand is
			h := both(t, typeR(c.op, rd, 11, 12), func(h *rv.Hart) {
				windows(h)
				copy(h.Win[1].Mem[16:], code(c.mem))
				h.X[11], h.X[12] = 0x110, c.v
			})
			if !bytes.Equal(h.Win[1].Mem[16:20], code(c.want)) || h.X[rd] != c.old {
				t.Errorf("%s: %x, old %#x", c.name, h.Win[1].Mem[16:20], h.X[rd])
			}
		}
	}
	for _, c := range []struct{ op, addr, cause uint32 }{
		{0x0000202f, 0x111, rv.CauseStoreAlign},
		{0x1800202f, 0x112, rv.CauseStoreAlign},
		{0x1000202f, 0x112, rv.CauseLoadAlign},
		{0x0000202f, 0x104, rv.CauseStore},
		{0x0000202f, 0x120, rv.CauseStore},
		{0x1000202f, 0x120, rv.CauseLoad},
		{0x1800202f, 0x104, rv.CauseStore},
		{0x1000202f, 0x104, 0},
	} {
		h := both(t, typeR(c.op, 10, 11, 0), func(h *rv.Hart) { windows(h); h.X[11] = c.addr })
		if h.Trap.Cause != c.cause || c.cause != 0 && h.Trap.Addr != c.addr {
			t.Errorf("%#x at %#x: %+v", c.op, c.addr, h.Trap)
		}
	}
}

func TestReservation(t *testing.T) {
	h := hart(t,
		typeR(0x1000202f, 5, 11, 0),  // lr.w t0, (a1)
		typeR(0x1800202f, 6, 11, 12), // sc.w t1, a2, (a1): works
		typeR(0x1800202f, 7, 11, 12), // sc.w t2, a2, (a1): fails, nothing reserved
		typeR(0x1000202f, 5, 11, 0),
		typeS(0x2023, 11, 0, 0),       // another value
		typeR(0x1800202f, 28, 11, 12), // fails
		typeR(0x1000202f, 5, 11, 0),
		typeI(0x13, 11, 11, 4),
		typeR(0x1800202f, 29, 11, 12), // fails, another address
		0x73,
	)
	h.X[11], h.X[12] = base+1024, 7
	if why := h.Run(100); why != rv.Call {
		t.Fatal(why, h.Trap)
	}
	if h.X[6] != 0 || h.X[7] != 1 || h.X[28] != 1 || h.X[29] != 1 {
		t.Errorf("%d %d %d %d", h.X[6], h.X[7], h.X[28], h.X[29])
	}
}

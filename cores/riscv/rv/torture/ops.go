package torture

// Encodings by format, without operands.
var (
	regReg = []uint32{
		0x33, 0x40000033, 0x1033, 0x2033, 0x3033, 0x4033, 0x5033, 0x40005033, 0x6033, 0x7033, // base
		0x2000033, 0x2001033, 0x2002033, 0x2003033, 0x2004033, 0x2005033, 0x2006033, 0x2007033, // M
		0x20002033, 0x20004033, 0x20006033, // Zba
		0x40007033, 0x40006033, 0x40004033, 0xa004033, 0xa005033, 0xa006033, 0xa007033, 0x60001033, 0x60005033, // Zbb
		0x48001033, 0x48005033, 0x68001033, 0x28001033, // Zbs
	}
	regImm = []uint32{0x13, 0x2013, 0x3013, 0x4013, 0x6013, 0x7013}
	// Shifts and bit numbers, which take five bits.
	regBit = []uint32{0x1013, 0x5013, 0x40005013, 0x60005013, 0x48001013, 0x48005013, 0x68001013, 0x28001013}
	// CLZ, CTZ, CPOP, SEXT.B, SEXT.H, ORC.B, REV8, ZEXT.H
	unary  = []uint32{0x60001013, 0x60101013, 0x60201013, 0x60401013, 0x60501013, 0x28705013, 0x69805013, 0x8004033}
	loads  = []uint32{0x3, 0x1003, 0x2003, 0x4003, 0x5003}
	stores = []uint32{0x23, 0x1023, 0x2023}
	amos   = []uint32{
		0x0000202f, 0x0800202f, 0x2000202f, 0x6000202f, 0x4000202f, 0x8000202f, 0xa000202f, 0xc000202f, 0xe000202f,
	}
)

// any emits an instruction, or a few that belong together.
func (g *gen) any() {
	if g.floats && g.chance(70) {
		if g.chance(20) {
			g.fresh()
		}
		g.float()
		return
	}
	switch n := g.rand.IntN(100); {
	case n < 20:
		g.r(pick(g, regReg), g.rd(), g.rs(), g.rs())
	case n < 29:
		g.i(pick(g, regImm), g.rd(), g.rs(), g.rand.Int32N(4096)-2048)
	case n < 33:
		g.i(pick(g, regBit), g.rd(), g.rs(), g.rand.Int32N(32))
	case n < 36:
		g.r(pick(g, unary), g.rd(), g.rs(), 0)
	case n < 38:
		g.word(pick(g, []uint32{0x37, 0x17}) | g.rd()<<7 | g.rand.Uint32()&^0xfff)
	case n < 40:
		g.li(pick(g, free[1:]), g.value())
	case n < 46:
		base, imm := g.place()
		g.i(pick(g, loads), g.rd(), base, imm)
	case n < 52:
		base, imm := g.place()
		g.s(pick(g, stores), base, g.rs(), imm)
	case n < 54:
		g.indexed()
	case n < 56:
		g.atomic()
	case n < 58:
		g.flags()
	case n < 78:
		g.float()
	default:
		g.compressed()
	}
}

// place returns a base and an offset that lead into the memory of programs.
func (g *gen) place() (base uint32, imm int32) {
	return pick(g, []uint32{2, 3, 8}), g.rand.Int32N(4000) - 2000
}

// indexed accesses memory by an address made of a random register.
func (g *gen) indexed() {
	r := pick(g, free[1:])
	g.i(opANDI, r, g.rs(), 0x7ff)
	g.r(opADD, r, r, pick(g, []uint32{2, 3, 8}))
	if g.chance(50) {
		g.i(pick(g, loads), g.rd(), r, -8)
	} else {
		g.s(pick(g, stores), r, g.rs(), -8)
	}
}

func (g *gen) atomic() {
	r := pick(g, free[1:])
	order := g.rand.Uint32N(4) << 25
	g.i(opADDI, r, pick(g, []uint32{2, 8}), 4*(g.rand.Int32N(1000)-500))
	if g.chance(70) {
		g.r(pick(g, amos)|order, g.rd(), r, g.rs())
		return
	}
	g.r(0x1000202f|order, pick(g, without(free[1:], r)), r, 0)
	if g.chance(30) {
		g.s(opSW, r, g.rs(), 0) // SC fails, unless the value stays
	}
	if g.chance(20) {
		g.i(opADDI, r, r, 4)
	}
	g.r(0x1800202f|order, pick(g, without(free, r)), r, g.rs())
	if g.chance(20) {
		g.r(0x1800202f|order, g.rd(), r, g.rs()) // nothing is reserved any more
	}
}

func without(list []uint32, r uint32) []uint32 {
	var out []uint32
	for _, v := range list {
		if v != r {
			out = append(out, v)
		}
	}
	return out
}

// flags reads or writes fflags, frm or fcsr; the rounding mode stays valid.
func (g *gen) flags() {
	switch g.rand.IntN(6) {
	case 0:
		g.i(opCSRS, g.rd(), 0, 3)
	case 1:
		g.i(opCSRW|4<<12, g.rd(), g.rand.Uint32N(5), 2)
	case 2:
		g.i(pick(g, []uint32{0x1073, 0x2073, 0x3073}), g.rd(), g.rs(), 1)
	case 3:
		g.i(pick(g, []uint32{0x5073, 0x6073, 0x7073}), g.rd(), g.rs(), 1)
	case 4:
		g.i(opCSRS, g.rd(), 0, 2)
	default:
		g.i(0x7073, g.rd(), 31, 1)
	}
}

package torture

import "math"

// double returns 64 bits for a floating point register: a double or a boxed
// single, mostly at some edge, or neither.
func (g *gen) double() uint64 {
	if g.chance(45) {
		v := g.single()
		if g.chance(5) {
			return uint64(v) | uint64(g.rand.Uint32())<<32
		}
		return uint64(v) | 0xffffffff<<32
	}
	sign := uint64(g.rand.IntN(2)) << 63
	switch g.rand.IntN(8) {
	case 0:
		return sign | pick(g, []uint64{
			0, 1, 0x000fffffffffffff, 0x0010000000000000, 0x0010000000000001, 0x3ff0000000000000, 0x3ff0000000000001,
			0x3fefffffffffffff, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001, 0x7ff8000000000000, 0x41dfffffffc00000,
			0x41e0000000000000, 0x41efffffffe00000, 0x41f0000000000000, 0x3fe0000000000000, 0x380fffffffffffff, 0x47efffffffffffff,
		})
	case 1: // small integers and halves
		return sign | math.Float64bits(float64(g.rand.IntN(1000))/2)
	case 2: // few bits set, so that results are exact
		return sign | uint64(1023-40+g.rand.IntN(80))<<52 | uint64(g.rand.IntN(64))<<46
	case 3: // near to the smallest
		return sign | uint64(g.rand.IntN(60))<<52 | g.rand.Uint64()>>12
	case 4: // near to the largest
		return sign | uint64(2046-g.rand.IntN(60))<<52 | g.rand.Uint64()>>12
	case 5: // around those of singles
		return sign | uint64(1023-155+g.rand.IntN(40))<<52 | g.rand.Uint64()>>12
	case 6:
		return g.rand.Uint64()
	}
	return sign | uint64(1023-4+g.rand.IntN(8))<<52 | g.rand.Uint64()>>12
}

func (g *gen) single() uint32 {
	sign := uint32(g.rand.IntN(2)) << 31
	switch g.rand.IntN(7) {
	case 0:
		return sign | pick(g, []uint32{
			0, 1, 0x7fffff, 0x800000, 0x800001, 0x3f800000, 0x3f800001, 0x3f7fffff, 0x7f7fffff, 0x7f800000, 0x7f800001,
			0x7fc00000, 0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000, 0x3f000000,
		})
	case 1:
		return sign | math.Float32bits(float32(g.rand.IntN(1000))/2)
	case 2:
		return sign | uint32(127-20+g.rand.IntN(40))<<23 | uint32(g.rand.IntN(32))<<18
	case 3:
		return sign | uint32(g.rand.IntN(40))<<23 | g.rand.Uint32()>>9
	case 4:
		return sign | uint32(254-g.rand.IntN(40))<<23 | g.rand.Uint32()>>9
	case 5:
		return g.rand.Uint32()
	}
	return sign | uint32(127-4+g.rand.IntN(8))<<23 | g.rand.Uint32()>>9
}

// Operations of F, and of D with the bit wide: on two registers and a rounding
// mode, on two registers, and those that give integers from two.
var (
	rounded2 = []uint32{0x53, 0x8000053, 0x10000053, 0x18000053}
	plain2   = []uint32{0x20000053, 0x20001053, 0x20002053, 0x28000053, 0x28001053}
	compare  = []uint32{0xa0000053, 0xa0001053, 0xa0002053}
	fused    = []uint32{0x43, 0x47, 0x4b, 0x4f}
)

const wide = 1 << 25

// mode is a rounding mode in place.
func (g *gen) mode() uint32 { return pick(g, []uint32{0, 0, 1, 2, 3, 4, 7, 7}) << 12 }

func (g *gen) float() {
	d := g.rand.Uint32N(2) * wide
	switch g.rand.IntN(14) {
	case 0, 1, 2:
		g.r(pick(g, rounded2)|d|g.mode(), g.fr(), g.fr(), g.fr())
	case 3, 4:
		g.r(pick(g, fused)|d|g.mode()|g.fr()<<27, g.fr(), g.fr(), g.fr())
	case 5:
		g.r(0x58000053|d|g.mode(), g.fr(), g.fr(), 0)
	case 6:
		g.r(pick(g, plain2)|d, g.fr(), g.fr(), g.fr())
	case 7:
		g.r(pick(g, compare)|d, g.rd(), g.fr(), g.fr())
	case 8:
		g.r(0xe0001053|d, g.rd(), g.fr(), 0)
	case 9:
		g.r(0xc0000053|d|g.mode(), g.rd(), g.fr(), g.rand.Uint32N(2))
	case 10:
		g.r(0xd0000053|d|g.mode(), g.fr(), g.rs(), g.rand.Uint32N(2))
	case 11:
		if d != 0 {
			g.r(0x42000053|g.mode(), g.fr(), g.fr(), 0)
		} else {
			g.r(0x40100053|g.mode(), g.fr(), g.fr(), 1)
		}
	case 12:
		if d != 0 {
			g.r(0xe0000053, g.rd(), g.fr(), 0)
		} else {
			g.r(0xf0000053, g.fr(), g.rs(), 0)
		}
	case 13:
		g.floatMemory()
	}
}

// fresh loads numbers from the pool.
func (g *gen) fresh() {
	r := pick(g, free[1:])
	g.li(r, g.pool)
	for range 1 + g.rand.IntN(4) {
		g.i(opFLD, g.fr(), r, 8*g.rand.Int32N(32))
	}
	if g.chance(30) {
		g.i(opCSRW, g.rd(), 0, 1) // flags show the next operation's alone
	}
}

func (g *gen) floatMemory() {
	base, imm := g.place()
	if g.chance(40) { // where specials are
		base, imm = pick(g, []uint32{2, 8}), 56*g.rand.Int32N(32)
		if base == 8 {
			imm = imm / 56 * 60
		}
		imm -= area / 2
		if imm < -2048 || imm > 2000 {
			imm = -2048
		}
	}
	size := pick(g, []uint32{0x2000, 0x3000})
	if g.chance(70) {
		g.i(0x7|size, g.fr(), base, imm)
	} else {
		g.s(0x27|size, base, g.fr(), imm)
	}
}

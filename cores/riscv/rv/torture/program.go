package torture

import (
	"encoding/binary"
	"math/rand/v2"
)

// A gen makes one program. These registers are not written at random: x1
// links, x2 and x3 point into the far memory (x3 to an odd address), x8 into
// the near one, and x4 counts loops.
type gen struct {
	*asm
	rand *rand.Rand
	subs []uint32 // functions that may be called
	pool uint32   // address of the doubles it begins with
	// A program that floats has mostly floating point instructions, on few
	// registers, which get new numbers from the pool.
	floats bool
}

var free = []uint32{0, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}

func (g *gen) chance(percent int) bool { return g.rand.IntN(100) < percent }
func (g *gen) rd() uint32              { return free[g.rand.IntN(len(free))] }
func (g *gen) rs() uint32              { return g.rand.Uint32N(32) }

func (g *gen) fr() uint32 {
	if g.floats {
		return g.rand.Uint32N(10)
	}
	return g.rand.Uint32N(32)
}

func pick[T any](g *gen, list []T) T { return list[g.rand.IntN(len(list))] }

// value is a number with a bent for the edges.
func (g *gen) value() uint32 {
	switch g.rand.IntN(4) {
	case 0:
		return pick(g, []uint32{0, 1, 2, 31, 32, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff})
	case 1:
		return uint32(int32(g.rand.Uint32()) >> g.rand.IntN(32))
	case 2:
		return 1 << g.rand.IntN(32)
	}
	return g.rand.Uint32()
}

func (g *gen) program(init, finish uint32) {
	// The pool of doubles lies in front of the code, at 8-byte boundaries.
	for g.pc()&7 != 0 {
		g.short(0x0001)
	}
	over := g.pc()
	g.word(0x6f)
	g.word(0)
	g.floats = g.chance(40)
	g.pool = g.pc()
	for range 32 {
		g.text = binary.LittleEndian.AppendUint64(g.text, g.double())
	}
	for range g.rand.IntN(3) {
		g.subs = append(g.subs, g.function())
	}
	g.patch(over)
	g.li(5, g.rand.Uint32())
	g.li(7, g.pool)
	g.jal(1, init)
	g.start()
	for range 6 + g.rand.IntN(12) {
		g.block()
	}
	g.jal(1, finish)
}

// start sets all registers, and lets no reservation of the program before stay.
func (g *gen) start() {
	g.r(0x1000202f, 5, 2, 0)
	g.r(0x1800202f, 5, 2, 5)
	for _, r := range free[1:] {
		g.li(r, g.value())
	}
	g.li(2, farBase+area/2)
	g.li(3, farBase+area/2+1+2*g.rand.Uint32N(2))
	g.li(8, nearBase+area/2)
	g.i(opCSRW|4<<12, 0, g.rand.Uint32N(5)<<0, 2)
	g.i(opCSRW|4<<12, 0, g.rand.Uint32N(32), 1)
}

// function emits a function of straight code that ends with a return.
func (g *gen) function() uint32 {
	if g.chance(50) {
		g.short(0x0001)
	}
	entry := g.pc()
	g.straight(3 + g.rand.IntN(10))
	if g.chance(50) {
		g.short(0x8082)
	} else {
		g.i(opJALR, 0, 1, 0)
	}
	return entry
}

func (g *gen) straight(n int) {
	for range n {
		g.any()
	}
}

func (g *gen) block() {
	switch g.rand.IntN(8) {
	case 0, 1:
		g.straight(4 + g.rand.IntN(12))
	case 2:
		g.loop()
	case 3, 4:
		g.skip()
	case 5:
		g.call()
	case 6:
		g.computed()
	case 7:
		g.shortSkip()
	}
}

// loop runs a body up to 12 times.
func (g *gen) loop() {
	g.i(opADDI, 4, 0, 1+g.rand.Int32N(12))
	top := g.pc()
	g.straight(2 + g.rand.IntN(10))
	if g.chance(30) {
		g.skip()
	}
	g.i(opADDI, 4, 4, -1)
	if g.chance(50) {
		g.b(opBLTU, 0, 4, top)
	} else {
		g.b(opBNE, 4, 0, top)
	}
}

// skip branches over some code, if it does.
func (g *gen) skip() {
	at := g.pc()
	if g.chance(10) {
		g.word(0x6f)
	} else {
		g.r(pick(g, []uint32{0x63, 0x1063, 0x4063, 0x5063, 0x6063, 0x7063}), 0, g.rs(), g.rs())
	}
	g.straight(1 + g.rand.IntN(6))
	g.patch(at)
}

// shortSkip is skip by compressed instructions.
func (g *gen) shortSkip() {
	at := len(g.text)
	w := pick(g, []uint32{0xa001, 0xc001, 0xe001})
	r := g.rand.Uint32N(8)
	g.short(0)
	g.straight(1 + g.rand.IntN(5))
	imm := uint32(len(g.text) - at)
	if w == 0xa001 {
		w |= imm>>11&1<<12 | imm>>4&1<<11 | imm>>8&3<<9 | imm>>10&1<<8 | imm>>6&1<<7 | imm>>7&1<<6 | imm>>1&7<<3 | imm>>5&1<<2
	} else {
		w |= r<<7 | imm>>8&1<<12 | imm>>3&3<<10 | imm>>6&3<<5 | imm>>1&3<<3 | imm>>5&1<<2
	}
	binary.LittleEndian.PutUint16(g.text[at:], uint16(w))
}

func (g *gen) call() {
	if len(g.subs) == 0 {
		return
	}
	to := pick(g, g.subs)
	switch g.rand.IntN(3) {
	case 0:
		g.jal(1, to)
	case 1: // far, through a register
		r := pick(g, free[1:])
		g.li(r, to+16)
		g.i(opJALR, 1, r, -16)
	default:
		g.li(31, to|1) // the lowest bit is cleared
		if g.chance(50) {
			g.short(0x9002 | 31<<7)
		} else {
			g.i(opJALR, 1, 31, 0)
		}
	}
}

// computed jumps forward, over some code, by an address in a register.
func (g *gen) computed() {
	r := pick(g, free[1:])
	at := g.pc()
	g.word(0x17 | r<<7)
	g.word(0)
	if g.chance(50) {
		g.short(0x8002 | r<<7)
	} else {
		g.i(opJALR, g.rd(), r, 0)
	}
	g.straight(1 + g.rand.IntN(4))
	binary.LittleEndian.PutUint32(g.text[at+4-g.base:], opADDI|r<<7|r<<15|(g.pc()-at)<<20)
}

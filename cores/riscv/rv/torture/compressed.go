package torture

// compressed emits a 16-bit instruction.
func (g *gen) compressed() {
	rd := pick(g, free[1:])
	// Of the registers that three bits can name, x8 is not written.
	lo, any3 := 1+g.rand.Uint32N(7), g.rand.Uint32N(8)
	imm := g.rand.Uint32N(64)
	six := imm>>5<<12 | imm&31<<2
	five := imm & 31 << 2
	word := g.rand.Uint32N(32) // offset in words, of five bits
	clw := word>>1&7<<10 | word&1<<6 | word>>4<<5
	cfld := word&7<<10 | word>>3<<5
	// From x2 up there is half the area.
	lwsp := word&7<<4 | word>>3&1<<12 | word>>4<<2
	fldsp := word&3<<5 | word>>2&1<<12 | word>>3<<2
	swsp := word&15<<9 | word>>4<<7
	fsdsp := word&7<<10 | word>>3<<7
	switch g.rand.IntN(24) {
	case 0:
		g.short(0x0001 | rd<<7 | six) // c.addi
	case 1:
		g.short(0x4001 | rd<<7 | six) // c.li
	case 2:
		if imm != 0 {
			g.short(0x6001 | rd<<7 | six) // c.lui
		}
	case 3:
		g.short(0x8001 | lo<<7 | five) // c.srli
	case 4:
		g.short(0x8401 | lo<<7 | five) // c.srai
	case 5:
		g.short(0x8801 | lo<<7 | six) // c.andi
	case 6, 7, 8:
		g.short(0x8c01 | lo<<7 | any3<<2 | g.rand.Uint32N(4)<<5) // c.sub, xor, or, and
	case 9:
		g.short(0x0002 | rd<<7 | five) // c.slli
	case 10, 11:
		g.short(0x8002 | rd<<7 | (1+g.rand.Uint32N(31))<<2) // c.mv
	case 12, 13:
		g.short(0x9002 | rd<<7 | (1+g.rand.Uint32N(31))<<2) // c.add
	case 14:
		g.short(0x4000 | lo<<2 | clw) // c.lw from x8
	case 15:
		g.short(0xc000 | any3<<2 | clw) // c.sw
	case 16:
		g.short(pick(g, []uint32{0x6000, 0xe000}) | any3<<2 | clw) // c.flw, c.fsw
	case 17:
		g.short(pick(g, []uint32{0x2000, 0xa000}) | any3<<2 | cfld) // c.fld, c.fsd
	case 18:
		g.short(0x4002 | rd<<7 | lwsp) // c.lwsp
	case 19:
		g.short(0xc002 | g.rs()<<2 | swsp) // c.swsp
	case 20:
		g.short(0x6002 | g.fr()<<7 | lwsp) // c.flwsp
		g.short(0xe002 | g.fr()<<2 | swsp) // c.fswsp
	case 21:
		g.short(0x2002 | g.fr()<<7 | fldsp) // c.fldsp
		g.short(0xa002 | g.fr()<<2 | fsdsp) // c.fsdsp
	case 22:
		up := (1 + g.rand.Uint32N(255)) << 2
		g.short(lo<<2 | up>>4&3<<11 | up>>6&15<<7 | up>>2&1<<6 | up>>3&1<<5) // c.addi4spn
	case 23:
		g.short(0x6101 | 1<<6) // c.addi16sp 16, and back
		g.short(0x717d)
	}
}

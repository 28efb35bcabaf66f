package rv

// compressed decodes a 16-bit instruction of RV32 with F and D.
func compressed(w uint32) Inst {
	switch w & 3 {
	case 0:
		return quadrant0(w)
	case 1:
		return quadrant1(w)
	}
	return quadrant2(w)
}

// short returns one of x8 to x15 from a field of three bits.
func short(w uint32) uint8 { return uint8(w&7) + 8 }

// bit moves the bit from of w to the place to.
func bit(w uint32, from, to uint) uint32 { return w >> from & 1 << to }

func quadrant0(w uint32) Inst {
	rs1, r := short(w>>7), short(w>>2)
	word := int32(w>>10&7<<3 | bit(w, 6, 2) | bit(w, 5, 6))
	double := int32(w>>10&7<<3 | w>>5&3<<6)
	switch w >> 13 {
	case 0:
		imm := w>>11&3<<4 | w>>7&15<<6 | bit(w, 6, 2) | bit(w, 5, 3)
		if imm == 0 {
			return Inst{}
		}
		return Inst{Op: ADDI, Rd: r, Rs1: 2, Imm: int32(imm)}
	case 1:
		return Inst{Op: FLD, Rd: r, Rs1: rs1, Imm: double}
	case 2:
		return Inst{Op: LW, Rd: r, Rs1: rs1, Imm: word}
	case 3:
		return Inst{Op: FLW, Rd: r, Rs1: rs1, Imm: word}
	case 5:
		return Inst{Op: FSD, Rs1: rs1, Rs2: r, Imm: double}
	case 6:
		return Inst{Op: SW, Rs1: rs1, Rs2: r, Imm: word}
	case 7:
		return Inst{Op: FSW, Rs1: rs1, Rs2: r, Imm: word}
	}
	return Inst{}
}

// imm6 is the signed immediate of most of quadrant 1.
func imm6(w uint32) int32 { return int32(bit(w, 12, 31))>>26 | int32(w>>2&31) }

func jump(w uint32) int32 {
	return int32(bit(w, 12, 31))>>20 | int32(bit(w, 11, 4)|w>>9&3<<8|bit(w, 8, 10)|bit(w, 7, 6)|
		bit(w, 6, 7)|w>>3&7<<1|bit(w, 2, 5))
}

func quadrant1(w uint32) Inst {
	rd := uint8(w >> 7 & 31)
	branch := int32(bit(w, 12, 31))>>23 | int32(w>>10&3<<3|w>>5&3<<6|w>>3&3<<1|bit(w, 2, 5))
	switch w >> 13 {
	case 0:
		return Inst{Op: ADDI, Rd: rd, Rs1: rd, Imm: imm6(w)}
	case 1:
		return Inst{Op: JAL, Rd: 1, Imm: jump(w)}
	case 2:
		return Inst{Op: ADDI, Rd: rd, Imm: imm6(w)}
	case 3:
		return upper(w, rd)
	case 4:
		return compute(w)
	case 5:
		return Inst{Op: JAL, Imm: jump(w)}
	case 6:
		return Inst{Op: BEQ, Rs1: short(w >> 7), Imm: branch}
	}
	return Inst{Op: BNE, Rs1: short(w >> 7), Imm: branch}
}

// upper is C.LUI, or C.ADDI16SP.
func upper(w uint32, rd uint8) Inst {
	if imm6(w) == 0 {
		return Inst{}
	}
	if rd != 2 {
		return Inst{Op: LUI, Rd: rd, Imm: imm6(w) << 12}
	}
	imm := int32(bit(w, 12, 31))>>22 | int32(bit(w, 6, 4)|bit(w, 5, 6)|w>>3&3<<7|bit(w, 2, 5))
	return Inst{Op: ADDI, Rd: 2, Rs1: 2, Imm: imm}
}

func compute(w uint32) Inst {
	r := short(w >> 7)
	switch w >> 10 & 3 {
	case 0, 1:
		if w&(1<<12) != 0 {
			return Inst{} // shifts of RV64
		}
		return Inst{Op: [2]Op{SRLI, SRAI}[w>>10&1], Rd: r, Rs1: r, Imm: int32(w >> 2 & 31)}
	case 2:
		return Inst{Op: ANDI, Rd: r, Rs1: r, Imm: imm6(w)}
	}
	if w&(1<<12) != 0 {
		return Inst{}
	}
	return Inst{Op: [4]Op{SUB, XOR, OR, AND}[w>>5&3], Rd: r, Rs1: r, Rs2: short(w >> 2)}
}

func quadrant2(w uint32) Inst {
	r, rs2 := uint8(w>>7&31), uint8(w>>2&31)
	switch w >> 13 {
	case 0:
		if w&(1<<12) != 0 {
			return Inst{}
		}
		return Inst{Op: SLLI, Rd: r, Rs1: r, Imm: int32(w >> 2 & 31)}
	case 1:
		return Inst{Op: FLD, Rd: r, Rs1: 2, Imm: int32(bit(w, 12, 5) | w>>5&3<<3 | w>>2&7<<6)}
	case 2, 3:
		imm := int32(bit(w, 12, 5) | w>>4&7<<2 | w>>2&3<<6)
		if w>>13 == 3 {
			return Inst{Op: FLW, Rd: r, Rs1: 2, Imm: imm}
		}
		if r != 0 {
			return Inst{Op: LW, Rd: r, Rs1: 2, Imm: imm}
		}
	case 4:
		return jumpOrMove(w, r, rs2)
	case 5:
		return Inst{Op: FSD, Rs1: 2, Rs2: rs2, Imm: int32(w>>10&7<<3 | w>>7&7<<6)}
	case 6:
		return Inst{Op: SW, Rs1: 2, Rs2: rs2, Imm: int32(w>>9&15<<2 | w>>7&3<<6)}
	case 7:
		return Inst{Op: FSW, Rs1: 2, Rs2: rs2, Imm: int32(w>>9&15<<2 | w>>7&3<<6)}
	}
	return Inst{}
}

// jumpOrMove is C.JR, C.MV, C.EBREAK, C.JALR and C.ADD.
func jumpOrMove(w uint32, r, rs2 uint8) Inst {
	second := w&(1<<12) != 0
	switch {
	case rs2 != 0 && second:
		return Inst{Op: ADD, Rd: r, Rs1: r, Rs2: rs2}
	case rs2 != 0:
		return Inst{Op: ADD, Rd: r, Rs2: rs2}
	case r != 0 && second:
		return Inst{Op: JALR, Rd: 1, Rs1: r}
	case r != 0:
		return Inst{Op: JALR, Rs1: r}
	case second:
		return Inst{Op: EBREAK}
	}
	return Inst{}
}

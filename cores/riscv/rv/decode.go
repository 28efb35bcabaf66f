package rv

// Decode takes an instruction apart, given the 32 bits at its address, of
// which a compressed one uses the lower 16. What is not an instruction has
// the Op ILLEGAL, and its length is told by its lowest bits all the same.
func Decode(w uint32) Inst {
	if w&3 != 3 {
		in := compressed(w & 0xffff)
		in.Len, in.Word = 2, w&0xffff
		return in
	}
	in := wide(w)
	if in.Op == ILLEGAL {
		in = Inst{}
	}
	in.Len, in.Word = 4, w
	return in
}

func regs(w uint32) Inst {
	return Inst{Rd: uint8(w >> 7 & 31), Rs1: uint8(w >> 15 & 31), Rs2: uint8(w >> 20 & 31)}
}

func immI(w uint32) int32 { return int32(w) >> 20 }
func immS(w uint32) int32 { return int32(w)>>25<<5 | int32(w>>7&31) }

func immB(w uint32) int32 {
	return int32(w)>>31<<12 | int32(w>>7&1)<<11 | int32(w>>25&63)<<5 | int32(w>>8&15)<<1
}

func immJ(w uint32) int32 {
	return int32(w)>>31<<20 | int32(w&0xff000) | int32(w>>20&1)<<11 | int32(w>>21&1023)<<1
}

// typeI, typeS and so on give an instruction of that format; ILLEGAL stays.
func typeI(o Op, w uint32) Inst {
	in := regs(w)
	in.Op, in.Rs2, in.Imm = o, 0, immI(w)
	return in
}

func typeS(o Op, w uint32) Inst {
	in := regs(w)
	in.Op, in.Rd, in.Imm = o, 0, immS(w)
	return in
}

func typeR(o Op, w uint32) Inst {
	in := regs(w)
	in.Op = o
	return in
}

// unary is an R-type instruction whose second register field says which.
func unary(o Op, w uint32) Inst {
	in := regs(w)
	in.Op, in.Rs2 = o, 0
	return in
}

func wide(w uint32) Inst {
	f3 := w >> 12 & 7
	switch w & 0x7f {
	case 0x37:
		return Inst{Op: LUI, Rd: uint8(w >> 7 & 31), Imm: int32(w &^ 0xfff)}
	case 0x17:
		return Inst{Op: AUIPC, Rd: uint8(w >> 7 & 31), Imm: int32(w &^ 0xfff)}
	case 0x6f:
		return Inst{Op: JAL, Rd: uint8(w >> 7 & 31), Imm: immJ(w)}
	case 0x67:
		return typeI([8]Op{JALR}[f3], w)
	case 0x63:
		in := typeS([8]Op{BEQ, BNE, 0, 0, BLT, BGE, BLTU, BGEU}[f3], w)
		in.Imm = immB(w)
		return in
	case 0x03:
		return typeI([8]Op{LB, LH, LW, 0, LBU, LHU}[f3], w)
	case 0x23:
		return typeS([8]Op{SB, SH, SW}[f3], w)
	case 0x13:
		return opImm(w, f3)
	case 0x33:
		return typeR(opReg(w, f3), w)
	case 0x0f:
		return Inst{Op: [8]Op{FENCE, FENCEI}[f3]}
	case 0x73:
		return system(w, f3)
	case 0x2f:
		return atomic(w, f3)
	}
	return float(w, f3)
}

func opImm(w, f3 uint32) Inst {
	if f3 != 1 && f3 != 5 {
		return typeI([8]Op{ADDI, 0, SLTI, SLTIU, XORI, 0, ORI, ANDI}[f3], w)
	}
	f7, sh := w>>25, w>>20&31
	o := ILLEGAL
	switch f3<<8 | f7 {
	case 0x100:
		o = SLLI
	case 0x114:
		o = BSETI
	case 0x124:
		o = BCLRI
	case 0x134:
		o = BINVI
	case 0x130:
		if sh <= 5 {
			return unary([6]Op{CLZ, CTZ, CPOP, 0, SEXTB, SEXTH}[sh], w)
		}
	case 0x500:
		o = SRLI
	case 0x520:
		o = SRAI
	case 0x530:
		o = RORI
	case 0x524:
		o = BEXTI
	case 0x514:
		if sh == 7 {
			return unary(ORCB, w)
		}
	case 0x534:
		if sh == 24 {
			return unary(REV8, w)
		}
	}
	in := typeI(o, w)
	in.Imm = int32(sh)
	return in
}

func opReg(w, f3 uint32) Op {
	switch w >> 25 {
	case 0x00:
		return [8]Op{ADD, SLL, SLT, SLTU, XOR, SRL, OR, AND}[f3]
	case 0x20:
		return [8]Op{SUB, 0, 0, 0, XNOR, SRA, ORN, ANDN}[f3]
	case 0x01:
		return [8]Op{MUL, MULH, MULHSU, MULHU, DIV, DIVU, REM, REMU}[f3]
	case 0x10:
		return [8]Op{0, 0, SH1ADD, 0, SH2ADD, 0, SH3ADD}[f3]
	case 0x05:
		return [8]Op{0, 0, 0, 0, MIN, MINU, MAX, MAXU}[f3]
	case 0x30:
		return [8]Op{0, ROL, 0, 0, 0, ROR}[f3]
	case 0x24:
		return [8]Op{0, BCLR, 0, 0, 0, BEXT}[f3]
	case 0x34:
		return [8]Op{0, BINV}[f3]
	case 0x14:
		return [8]Op{0, BSET}[f3]
	case 0x04:
		if f3 == 4 && w>>20&31 == 0 {
			return ZEXTH
		}
	}
	return ILLEGAL
}

func system(w, f3 uint32) Inst {
	if f3 != 0 {
		in := typeI([8]Op{0, CSRRW, CSRRS, CSRRC, 0, CSRRWI, CSRRSI, CSRRCI}[f3], w)
		in.Imm &= 0xfff
		return in
	}
	switch w {
	case 0x00000073:
		return Inst{Op: ECALL}
	case 0x00100073:
		return Inst{Op: EBREAK}
	case 0x30200073:
		return Inst{Op: MRET}
	case 0x10500073:
		return Inst{Op: WFI}
	}
	return Inst{}
}

func atomic(w, f3 uint32) Inst {
	if f3 != 2 {
		return Inst{}
	}
	o := ILLEGAL
	switch w >> 27 {
	case 2:
		if w>>20&31 == 0 {
			o = LRW
		}
	case 3:
		o = SCW
	case 1:
		o = AMOSWAPW
	case 0:
		o = AMOADDW
	case 4:
		o = AMOXORW
	case 12:
		o = AMOANDW
	case 8:
		o = AMOORW
	case 16:
		o = AMOMINW
	case 20:
		o = AMOMAXW
	case 24:
		o = AMOMINUW
	case 28:
		o = AMOMAXUW
	}
	return typeR(o, w)
}

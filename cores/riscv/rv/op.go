package rv

// An Op names an instruction by its mnemonic, without dots. Compressed
// instructions have the Op of what they stand for.
type Op uint8

// All instructions. Those of F and of D are in the same order.
const (
	ILLEGAL Op = iota
	LUI
	AUIPC
	JAL
	JALR
	BEQ
	BNE
	BLT
	BGE
	BLTU
	BGEU
	LB
	LH
	LW
	LBU
	LHU
	SB
	SH
	SW
	ADDI
	SLTI
	SLTIU
	XORI
	ORI
	ANDI
	SLLI
	SRLI
	SRAI
	ADD
	SUB
	SLL
	SLT
	SLTU
	XOR
	SRL
	SRA
	OR
	AND
	MUL
	MULH
	MULHSU
	MULHU
	DIV
	DIVU
	REM
	REMU
	SH1ADD
	SH2ADD
	SH3ADD
	ANDN
	ORN
	XNOR
	CLZ
	CTZ
	CPOP
	MAX
	MAXU
	MIN
	MINU
	SEXTB
	SEXTH
	ZEXTH
	ROL
	ROR
	RORI
	ORCB
	REV8
	BCLR
	BCLRI
	BEXT
	BEXTI
	BINV
	BINVI
	BSET
	BSETI
	FENCE
	FENCEI
	ECALL
	EBREAK
	MRET
	WFI
	CSRRW
	CSRRS
	CSRRC
	CSRRWI
	CSRRSI
	CSRRCI
	LRW
	SCW
	AMOSWAPW
	AMOADDW
	AMOXORW
	AMOANDW
	AMOORW
	AMOMINW
	AMOMAXW
	AMOMINUW
	AMOMAXUW
	FLW
	FSW
	FMADDS
	FMSUBS
	FNMSUBS
	FNMADDS
	FADDS
	FSUBS
	FMULS
	FDIVS
	FSQRTS
	FSGNJS
	FSGNJNS
	FSGNJXS
	FMINS
	FMAXS
	FEQS
	FLTS
	FLES
	FCLASSS
	FCVTWS
	FCVTWUS
	FCVTSW
	FCVTSWU
	FLD
	FSD
	FMADDD
	FMSUBD
	FNMSUBD
	FNMADDD
	FADDD
	FSUBD
	FMULD
	FDIVD
	FSQRTD
	FSGNJD
	FSGNJND
	FSGNJXD
	FMIND
	FMAXD
	FEQD
	FLTD
	FLED
	FCLASSD
	FCVTWD
	FCVTWUD
	FCVTDW
	FCVTDWU
	FCVTSD
	FCVTDS
	FMVXW
	FMVWX
	ops
)

// toDouble is the distance from an Op of F to that of D.
const toDouble = FLD - FLW

// ofSingles is the Op of F that does with singles what one of D does; others stay.
func (o Op) ofSingles() Op {
	if o >= FLD && o < FLD+toDouble {
		return o - toDouble
	}
	return o
}

// extra is what an instruction takes beyond one cycle.
func (o Op) extra() uint64 {
	switch o {
	case DIV, DIVU, REM, REMU:
		return 19
	case FDIVS, FSQRTS, FDIVD, FSQRTD:
		return 15
	}
	return 0
}

// An Inst is an instruction taken apart. Registers that it does not have are
// 0, and Imm is sign-extended; it is the full offset of branches and jumps,
// the upper 20 bits in place of LUI and AUIPC, the shift amount or bit number,
// and the number of a CSR (whose immediate is in Rs1).
type Inst struct {
	Op                Op
	Rd, Rs1, Rs2, Rs3 uint8
	RM                uint8 // rounding mode: 7 is that of frm
	Len               uint8 // in bytes: 2 or 4
	Imm               int32
	Word              uint32 // as fetched; the upper half is 0 if Len is 2
}

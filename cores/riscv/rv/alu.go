package rv

import "math/bits"

// immediate reports whether an operation on integers takes Imm for its second
// operand.
func immediate(o Op) bool {
	switch o {
	case BCLRI, BEXTI, BINVI, BSETI, RORI:
		return true
	}
	return o >= ADDI && o <= SRAI
}

// alu returns the result of an operation on integers, from ADDI to BSETI.
func alu(o Op, a, b uint32) uint32 {
	switch {
	case o >= MUL && o <= REMU:
		return muldiv(o, a, b)
	case o > REMU:
		return bitwise(o, a, b)
	}
	switch o {
	case ADDI, ADD:
		return a + b
	case SUB:
		return a - b
	case SLLI, SLL:
		return a << (b & 31)
	case SLTI, SLT:
		return truth(int32(a) < int32(b))
	case SLTIU, SLTU:
		return truth(a < b)
	case XORI, XOR:
		return a ^ b
	case SRLI, SRL:
		return a >> (b & 31)
	case SRAI, SRA:
		return uint32(int32(a) >> (b & 31))
	case ORI, OR:
		return a | b
	}
	return a & b
}

func muldiv(o Op, a, b uint32) uint32 {
	switch o {
	case MUL:
		return a * b
	case MULH:
		return uint32(int64(int32(a)) * int64(int32(b)) >> 32)
	case MULHSU:
		return uint32(int64(int32(a)) * int64(b) >> 32)
	case MULHU:
		return uint32(uint64(a) * uint64(b) >> 32)
	case DIV:
		if b == 0 {
			return ^uint32(0)
		}
		return uint32(int64(int32(a)) / int64(int32(b)))
	case DIVU:
		if b == 0 {
			return ^uint32(0)
		}
		return a / b
	case REM:
		if b == 0 {
			return a
		}
		return uint32(int64(int32(a)) % int64(int32(b)))
	}
	if b == 0 {
		return a
	}
	return a % b
}

// bitwise does Zba, Zbb and Zbs.
func bitwise(o Op, a, b uint32) uint32 {
	one := uint32(1) << (b & 31)
	switch o {
	case SH1ADD:
		return a<<1 + b
	case SH2ADD:
		return a<<2 + b
	case SH3ADD:
		return a<<3 + b
	case ANDN:
		return a &^ b
	case ORN:
		return a | ^b
	case XNOR:
		return ^(a ^ b)
	case CLZ:
		return uint32(bits.LeadingZeros32(a))
	case CTZ:
		return uint32(bits.TrailingZeros32(a))
	case CPOP:
		return uint32(bits.OnesCount32(a))
	case MAX:
		return uint32(max(int32(a), int32(b)))
	case MAXU:
		return max(a, b)
	case MIN:
		return uint32(min(int32(a), int32(b)))
	case MINU:
		return min(a, b)
	case SEXTB:
		return uint32(int8(a))
	case SEXTH:
		return uint32(int16(a))
	case ZEXTH:
		return a & 0xffff
	case ROL:
		return bits.RotateLeft32(a, int(b&31))
	case ROR, RORI:
		return bits.RotateLeft32(a, -int(b&31))
	case ORCB:
		return orcb(a)
	case REV8:
		return bits.ReverseBytes32(a)
	case BCLR, BCLRI:
		return a &^ one
	case BEXT, BEXTI:
		return a >> (b & 31) & 1
	case BINV, BINVI:
		return a ^ one
	}
	return a | one
}

// orcb sets all bits of every byte that is not 0.
func orcb(a uint32) uint32 {
	low := (a&0x7f7f7f7f + 0x7f7f7f7f | a) >> 7 & 0x01010101
	return low * 0xff
}

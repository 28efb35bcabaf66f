package torture

import "encoding/binary"

// An asm is code that grows from an address on.
type asm struct {
	base uint32
	text []byte
}

func (a *asm) pc() uint32 { return a.base + uint32(len(a.text)) }

func (a *asm) word(w uint32)  { a.text = binary.LittleEndian.AppendUint32(a.text, w) }
func (a *asm) short(w uint32) { a.text = binary.LittleEndian.AppendUint16(a.text, uint16(w)) }

// r, i, s, b, u and j emit an instruction of that format. The first argument
// has all bits but those of the operands.
func (a *asm) r(op, rd, rs1, rs2 uint32) { a.word(op | rd<<7 | rs1<<15 | rs2<<20) }

func (a *asm) i(op, rd, rs1 uint32, imm int32) { a.word(op | rd<<7 | rs1<<15 | uint32(imm)<<20) }

func (a *asm) s(op, rs1, rs2 uint32, imm int32) {
	a.word(op | uint32(imm)&31<<7 | rs1<<15 | rs2<<20 | uint32(imm)>>5<<25)
}

func immB(imm int32) uint32 {
	v := uint32(imm)
	return v>>11&1<<7 | v>>1&15<<8 | v>>5&63<<25 | v>>12&1<<31
}

func immJ(imm int32) uint32 {
	v := uint32(imm)
	return v&0xff000 | v>>11&1<<20 | v>>1&1023<<21 | v>>20&1<<31
}

func (a *asm) b(op, rs1, rs2 uint32, to uint32) {
	a.word(op | rs1<<15 | rs2<<20 | immB(int32(to-a.pc())))
}

func (a *asm) jal(rd, to uint32) { a.word(0x6f | rd<<7 | immJ(int32(to-a.pc()))) }

// li loads a constant by two instructions.
func (a *asm) li(rd, v uint32) {
	a.word(0x37 | rd<<7 | (v+0x800)&^0xfff)
	a.i(opADDI, rd, rd, int32(v<<20)>>20)
}

// patch completes a branch at an address, to go to the end of the code.
func (a *asm) patch(at uint32) {
	p := a.text[at-a.base:]
	w := binary.LittleEndian.Uint32(p)
	if w&0x7f == 0x6f {
		w |= immJ(int32(a.pc() - at))
	} else {
		w |= immB(int32(a.pc() - at))
	}
	binary.LittleEndian.PutUint32(p, w)
}

// Encodings used by name.
const (
	opADDI = 0x13
	opANDI = 0x7013
	opADD  = 0x33
	opMUL  = 0x2000033
	opXOR  = 0x4033
	opLW   = 0x2003
	opSW   = 0x2023
	opFLD  = 0x3007
	opFSD  = 0x3027
	opBNE  = 0x1063
	opBLTU = 0x6063
	opJALR = 0x67
	opCSRW = 0x1073
	opCSRS = 0x2073
	opECAL = 0x73
)

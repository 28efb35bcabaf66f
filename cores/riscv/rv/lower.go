package rv

import "unsafe"

//go:generate go run ./gen

// An op is an instruction as the loop takes it: 8 bytes, its code an Op or
// one below. Writes to x0 go to the register sink.
type op struct {
	code, rd, rs1, rs2 uint8
	imm                int32 // of jumps and branches: from the next op, in bytes
}

const (
	codeJ     = uint8(AUIPC) // JAL without a link; AUIPC itself is done as LUI
	firstPair = uint8(ops)   // the first code of a pair
	sink      = 255
	nowhere   = ^uint32(0) // no op begins here
)

// A pair is two ops in a row that one case does. The first op has the pair's
// code; the second stays as it is, for jumps to it, and for the budget, which
// is a distance between ops.
type pair struct {
	first, second uint8
	chained       bool // the second's rs1 is the first's rd
}

// decode fills in what the loop needs. Instructions are found by going from
// one to the next: where data in between lead astray, code is executed slowly
// until it is at an op again.
func (s *segment) decode(im *Image) {
	size := uint32(len(s.raw))
	s.at = make([]uint32, size/2+1)
	var insts []Inst
	pc := -s.base & (im.Align() - 1)
	for i := range s.at {
		s.at[i] = nowhere
	}
	for pc < size {
		w, ok := s.word(s.base + pc)
		if !ok {
			break
		}
		in := im.Decode(w)
		s.at[pc/2] = uint32(len(insts)) * uint32(unsafe.Sizeof(op{}))
		s.pcs = append(s.pcs, s.base+pc)
		insts = append(insts, in)
		pc += max(uint32(in.Len), im.Align())
	}
	s.pcs = append(s.pcs, s.base+pc, s.base+pc)
	s.ins = insts
	// Two ops that do nothing but end the loop: one behind the last, and one
	// behind a pair that begins there.
	s.ops = make([]op, len(insts)+2)
	for i := range insts {
		s.ops[i] = s.lower(i, &insts[i])
	}
	for i := range insts {
		s.fuse(i)
	}
}

// lower makes the op of an instruction. What the loop does not do has the
// code of ILLEGAL, and is decoded anew when its turn comes.
func (s *segment) lower(i int, in *Inst) op {
	o := op{uint8(in.Op), in.Rd, in.Rs1, in.Rs2, in.Imm}
	if o.rd == 0 {
		o.rd = sink
	}
	switch {
	case in.Op == AUIPC:
		o.code, o.imm = uint8(LUI), int32(s.pcs[i])+in.Imm
	case in.Op == JAL, in.Op >= BEQ && in.Op <= BGEU:
		to := s.pcs[i] + uint32(in.Imm) - s.base
		if to >= uint32(len(s.raw)) || s.at[to/2] == nowhere {
			return op{}
		}
		o.imm = int32(s.at[to/2]) - int32(i+1)*int32(unsafe.Sizeof(op{}))
		if in.Op == JAL && in.Rd == 0 {
			o.code = codeJ
		}
	case in.Op >= FENCE && in.Op < FLW, in.RM != rne && in.RM != 7:
		return op{}
	case in.Op >= FLW:
		return lowerFloat(o, in)
	}
	return o
}

// lowerFloat puts rs3 into the immediate, and takes the register sink off.
func lowerFloat(o op, in *Inst) op {
	switch in.Op {
	case FMVXW, FEQS, FLTS, FLES, FEQD, FLTD, FLED:
		return o
	case FMADDS, FMSUBS, FNMSUBS, FNMADDS, FMADDD, FMSUBD, FNMSUBD, FNMADDD:
		o.imm = int32(in.Rs3)
	}
	o.rd = in.Rd
	return o
}

// commutes reports whether rs1 and rs2 may be swapped.
func commutes(code uint8) bool {
	switch Op(code) {
	case ADD, XOR, OR, AND, MUL, BEQ, BNE:
		return true
	}
	return false
}

// fuse makes op i the beginning of a pair, if it is one of the table's. The
// next op is not part of a pair yet.
func (s *segment) fuse(i int) {
	a, b := &s.ops[i], &s.ops[i+1]
	if b.rs2 == a.rd && commutes(b.code) {
		b.rs1, b.rs2 = b.rs2, b.rs1
	}
	for k, p := range pairs {
		if p.first == a.code && p.second == b.code && (!p.chained || a.rd == b.rs1) {
			a.code = firstPair + uint8(k)
			return
		}
	}
}

// A view is what the loop looks at beside registers. An access is within a
// window if its offset, as 32 bits, and its size add up to the length at most.
type view struct {
	rbase0, rbase1, wbase0, wbase1 uint32
	rlen0, rlen1, wlen0, wlen1     uint64
	rmem0, rmem1, wmem0, wmem1     unsafe.Pointer

	ops, pcs, at unsafe.Pointer // of the segment
	base, size   uint32
	extra        uint64

	// Floating point is on and its registers are dirty; and rounding is to
	// nearest; and NX is set already.
	floats, nearest, inexact bool
}

// look fills in a view of the hart's windows and a segment.
func (h *Hart) look(w *view, s *segment) {
	w.rbase0, w.rlen0, w.rmem0 = h.Win[0].readable()
	w.rbase1, w.rlen1, w.rmem1 = h.Win[1].readable()
	w.wbase0, w.wlen0, w.wmem0 = h.Win[0].writable()
	w.wbase1, w.wlen1, w.wmem1 = h.Win[1].writable()
	w.ops, w.pcs, w.at = unsafe.Pointer(&s.ops[0]), unsafe.Pointer(&s.pcs[0]), unsafe.Pointer(&s.at[0])
	w.base, w.size = s.base, uint32(len(s.raw))
	w.floats = h.CSR.Status&statusFS == 0
	w.nearest = w.floats && h.Fcsr>>5 == rne
	w.inexact = h.Fcsr&flagNX != 0
}

func (w *Window) readable() (base uint32, size uint64, mem unsafe.Pointer) {
	return w.Base, w.size(), unsafe.Pointer(unsafe.SliceData(w.Mem))
}

func (w *Window) writable() (base uint32, size uint64, mem unsafe.Pointer) {
	base, size, mem = w.readable()
	if uint64(w.RO) >= size {
		return base, 0, mem
	}
	return base + w.RO, size - uint64(w.RO), unsafe.Add(mem, w.RO)
}

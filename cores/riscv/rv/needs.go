package rv

import "warren/cores/riscv/isa"

// Needs returns what a hart must have for the instruction w, of which a
// compressed one uses the lower 16 bits. valid is false if it is none.
func Needs(w uint32) (s isa.Set, valid bool) {
	in := Decode(w)
	return needs(in), in.Op != ILLEGAL
}

func needs(in Inst) isa.Set {
	s := opNeeds[in.Op]
	if in.Len == 2 {
		s |= isa.C
	}
	if s == isa.Zicsr && in.Imm>>8 == 0xc {
		s |= isa.Zicntr
	}
	return s
}

// opNeeds is what each Op needs.
var opNeeds = func() (list [ops]isa.Set) {
	for o := range ops {
		list[o] = needsOf(o)
	}
	return list
}()

func needsOf(o Op) isa.Set {
	switch {
	case o >= MUL && o <= REMU:
		return isa.M
	case o >= SH1ADD && o <= SH3ADD:
		return isa.Zba
	case o >= ANDN && o <= REV8:
		return isa.Zbb
	case o >= BCLR && o <= BSETI:
		return isa.Zbs
	case o == FENCEI:
		return isa.Zifencei
	case o >= CSRRW && o <= CSRRCI:
		return isa.Zicsr
	case o == LRW, o == SCW:
		return isa.Zalrsc
	case o >= AMOSWAPW && o <= AMOMAXUW:
		return isa.Zaamo
	case o >= FLD && o <= FCVTDS:
		return isa.D
	case o >= FLW && o < FLD, o == FMVXW, o == FMVWX:
		return isa.F
	}
	return 0
}

// Uses returns what the instructions of texts need, from the beginning of each
// to its end. other says that some are none, and no zeros between functions.
func Uses(texts []Text) (s isa.Set, other bool) {
	for _, t := range texts {
		seg := segment{base: t.Addr, raw: t.Bytes}
		for pc := t.Addr; ; {
			w, ok := seg.word(pc)
			if !ok {
				break
			}
			in := Decode(w)
			switch {
			case in.Op != ILLEGAL:
				s |= needs(in)
			case w&0xffff != 0:
				other = true
			}
			pc += uint32(in.Len)
		}
	}
	return s, other
}

// Lacks is what the image's harts do not have.
func (im *Image) Lacks() isa.Set {
	if im == nil {
		return 0
	}
	return im.lacks
}

// Decode is Decode for the image's harts: what they lack is no instruction.
func (im *Image) Decode(w uint32) Inst {
	in := Decode(w)
	if im != nil && im.lacks != 0 && needs(in)&im.lacks != 0 {
		in = Inst{Len: in.Len, Word: in.Word}
	}
	return in
}

// Align is what the addresses of the harts' instructions are multiples of.
func (im *Image) Align() uint32 { return align(im.Lacks()) }

func align(lacks isa.Set) uint32 {
	if lacks&isa.C != 0 {
		return 4
	}
	return 2
}

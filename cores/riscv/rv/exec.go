package rv

// one executes the instruction at PC, and returns Budget if that was all.
func (h *Hart) one() Why {
	in, ok := h.fetch()
	if !ok {
		return Fault
	}
	return h.exec(in)
}

// exec executes an instruction, which was fetched from PC.
func (h *Hart) exec(in Inst) Why {
	next := h.PC + uint32(in.Len)
	switch o := in.Op; {
	case o == ILLEGAL:
		return h.trap(CauseIllegal, in.Word, in.Word)
	case o <= BGEU:
		to := h.flow(in, next)
		if to&(h.Image.Align()-1) != 0 {
			return h.trap(CauseFetchAlign, to, in.Word)
		}
		if o == JAL || o == JALR {
			h.set(in.Rd, next)
		}
		next = to
	case o <= LHU:
		if !h.load(in) {
			return Fault
		}
	case o <= SW:
		if !h.store(in) {
			return Fault
		}
	case o < FENCE:
		b := h.X[in.Rs2]
		if immediate(o) {
			b = uint32(in.Imm)
		}
		h.set(in.Rd, alu(o, h.X[in.Rs1], b))
	case o < LRW:
		return h.system(in, next)
	case o <= AMOMAXUW:
		if !h.atomic(in) {
			return Fault
		}
	default:
		if why := h.float(in); why != Budget {
			return why
		}
	}
	h.retire(in.Op, next)
	return Budget
}

// retire counts an instruction and goes on to the next.
func (h *Hart) retire(o Op, next uint32) {
	h.Instret++
	h.Extra += o.extra()
	h.PC = next
}

// set writes an integer register.
func (h *Hart) set(rd uint8, v uint32) {
	if rd != 0 {
		h.X[rd] = v
	}
}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// flow does LUI, AUIPC and branches, and returns the next PC; that of jumps, too.
func (h *Hart) flow(in Inst, next uint32) uint32 {
	a, b := h.X[in.Rs1], h.X[in.Rs2]
	to := h.PC + uint32(in.Imm)
	taken := false
	switch in.Op {
	case LUI:
		h.set(in.Rd, uint32(in.Imm))
	case AUIPC:
		h.set(in.Rd, to)
	case JAL:
		taken = true
	case JALR:
		to = (a + uint32(in.Imm)) &^ 1
		taken = true
	case BEQ:
		taken = a == b
	case BNE:
		taken = a != b
	case BLT:
		taken = int32(a) < int32(b)
	case BGE:
		taken = int32(a) >= int32(b)
	case BLTU:
		taken = a < b
	case BGEU:
		taken = a >= b
	}
	if taken {
		return to
	}
	return next
}

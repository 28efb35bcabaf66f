package rv

// box returns a single as registers hold it.
func box(v uint32) uint64 { return 0xffffffff<<32 | uint64(v) }

// float executes an instruction of F or D.
func (h *Hart) float(in Inst) Why {
	if !h.floating() {
		return h.trap(CauseIllegal, in.Word, in.Word)
	}
	switch in.Op {
	case FLW, FLD:
		if !h.load(in) {
			return Fault
		}
	case FSW, FSD:
		if !h.store(in) {
			return Fault
		}
		return Budget
	default:
		if in.RM == 7 {
			in.RM = uint8(h.Fcsr >> 5)
		}
		if in.RM > rmm {
			return h.trap(CauseIllegal, in.Word, in.Word)
		}
		flags := h.calculate(in)
		h.Fcsr |= flags
		if flags == 0 && in.toX() {
			return Budget
		}
	}
	h.CSR.Status &^= statusFS // dirty
	return Budget
}

// toX reports whether a calculation's result goes to an integer register.
func (in Inst) toX() bool {
	op := in.Op.ofSingles()
	return op == FMVXW || op >= FEQS && op <= FCVTWUS
}

// operand returns a register as a value of the format. A single that is not
// boxed counts as NaN.
func (h *Hart) operand(f *format, r uint8) uint64 {
	v := h.F[r]
	if f == &double {
		return v
	}
	if v>>32 != 0xffffffff {
		return single.nan
	}
	return v & 0xffffffff
}

// put sets a register to a value of the format.
func (h *Hart) put(f *format, r uint8, v uint64) {
	if f == &single {
		v = box(uint32(v))
	}
	h.F[r] = v
}

// calculate executes all but loads and stores, and returns the flags raised.
func (h *Hart) calculate(in Inst) uint32 {
	switch in.Op {
	case FCVTSD:
		v, flags := convert(in.RM, &double, &single, h.F[in.Rs1])
		h.put(&single, in.Rd, v)
		return flags
	case FCVTDS:
		v, flags := convert(in.RM, &single, &double, h.operand(&single, in.Rs1))
		h.F[in.Rd] = v
		return flags
	case FMVXW:
		h.set(in.Rd, uint32(h.F[in.Rs1]))
		return 0
	case FMVWX:
		h.F[in.Rd] = box(h.X[in.Rs1])
		return 0
	}
	f := &single
	if in.Op >= FLD {
		f = &double
		in.Op = in.Op.ofSingles()
	}
	if in.Op >= FEQS && in.Op <= FCVTWUS {
		v, flags := h.toInteger(f, in)
		h.set(in.Rd, v)
		return flags
	}
	v, flags := h.toFloat(f, in)
	h.put(f, in.Rd, v)
	return flags
}

// toInteger calculates what goes to an integer register.
func (h *Hart) toInteger(f *format, in Inst) (v, flags uint32) {
	a, b := h.operand(f, in.Rs1), h.operand(f, in.Rs2)
	var yes bool
	switch in.Op {
	case FCVTWS, FCVTWUS:
		return f.toInt(in.RM, a, in.Op == FCVTWS)
	case FCLASSS:
		return f.class(a), 0
	case FEQS:
		yes, flags = f.equal(a, b)
	default:
		yes, flags = f.less(a, b, in.Op == FLES)
	}
	return truth(yes), flags
}

// toFloat calculates what goes to a floating point register.
func (h *Hart) toFloat(f *format, in Inst) (uint64, uint32) {
	a, b := h.operand(f, in.Rs1), h.operand(f, in.Rs2)
	sign := f.sign()
	switch in.Op {
	case FCVTSW, FCVTSWU:
		return f.fromInt(in.RM, h.X[in.Rs1], in.Op == FCVTSW)
	case FADDS:
		return f.add(in.RM, a, b)
	case FSUBS:
		return f.add(in.RM, a, f.negated(b))
	case FMULS:
		return f.mul(in.RM, a, b)
	case FDIVS:
		return f.div(in.RM, a, b)
	case FSQRTS:
		return f.sqrt(in.RM, a)
	case FSGNJS:
		return a&^sign | b&sign, 0
	case FSGNJNS:
		return a&^sign | ^b&sign, 0
	case FSGNJXS:
		return a ^ b&sign, 0
	case FMINS, FMAXS:
		return f.extreme(a, b, in.Op == FMAXS)
	}
	c := h.operand(f, in.Rs3)
	if in.Op == FNMSUBS || in.Op == FNMADDS {
		a = f.negated(a)
	}
	if in.Op == FMSUBS || in.Op == FNMADDS {
		c = f.negated(c)
	}
	return f.fma(in.RM, a, b, c)
}

// negated flips the sign, of NaNs as well: they only count as such.
func (f *format) negated(v uint64) uint64 { return v ^ f.sign() }

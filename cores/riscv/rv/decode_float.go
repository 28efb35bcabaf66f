package rv

// float decodes what F and D have.
func float(w, f3 uint32) Inst {
	switch w & 0x7f {
	case 0x07:
		return typeI([8]Op{2: FLW, 3: FLD}[f3], w)
	case 0x27:
		return typeS([8]Op{2: FSW, 3: FSD}[f3], w)
	case 0x43, 0x47, 0x4b, 0x4f:
		return fused(w, f3)
	case 0x53:
		f7 := w >> 25
		if f7&3 > 1 {
			return Inst{}
		}
		in := arith(w, f3, f7>>2)
		if f7&1 != 0 {
			in.Op = ofD(in.Op)
		}
		return in
	}
	return Inst{}
}

// ofD returns the Op of D for one of F. What F alone has, D has not.
func ofD(o Op) Op {
	switch {
	case o >= FLW && o < FLD:
		return o + toDouble
	case o == FCVTSD:
		return FCVTDS
	}
	return ILLEGAL
}

// rounded gives an operation its rounding mode, unless that is reserved.
func rounded(in Inst, rm uint32) Inst {
	if rm == 5 || rm == 6 {
		return Inst{}
	}
	in.RM = uint8(rm)
	return in
}

func fused(w, f3 uint32) Inst {
	in := regs(w)
	in.Op, in.Rs3 = FMADDS+Op(w>>2&3), uint8(w>>27)
	switch w >> 25 & 3 {
	case 0:
	case 1:
		in.Op += toDouble
	default:
		return Inst{}
	}
	return rounded(in, f3)
}

// arith decodes the operations as those of F, by the upper five bits.
func arith(w, f3, f5 uint32) Inst {
	sub := w >> 20 & 31
	pick := func(f []Op, i uint32) Op {
		if i < uint32(len(f)) {
			return f[i]
		}
		return ILLEGAL
	}
	switch f5 {
	case 0, 1, 2, 3:
		return rounded(typeR(FADDS+Op(f5), w), f3)
	case 0x0b:
		return rounded(unary(pick([]Op{FSQRTS}, sub), w), f3)
	case 0x04:
		return typeR(pick([]Op{FSGNJS, FSGNJNS, FSGNJXS}, f3), w)
	case 0x05:
		return typeR(pick([]Op{FMINS, FMAXS}, f3), w)
	case 0x08:
		// The format converted from is the other one.
		if sub != 1-w>>25&3 {
			return Inst{}
		}
		return rounded(unary(FCVTSD, w), f3)
	case 0x14:
		return typeR(pick([]Op{FLES, FLTS, FEQS}, f3), w)
	case 0x18:
		return rounded(unary(pick([]Op{FCVTWS, FCVTWUS}, sub), w), f3)
	case 0x1a:
		return rounded(unary(pick([]Op{FCVTSW, FCVTSWU}, sub), w), f3)
	case 0x1c:
		if sub == 0 {
			return unary(pick([]Op{FMVXW, FCLASSS}, f3), w)
		}
	case 0x1e:
		if sub == 0 {
			return unary(pick([]Op{FMVWX}, f3), w)
		}
	}
	return Inst{}
}

package rv

import "math/bits"

// product returns the exact product of numbers that are finite.
func product(x, y num) (n num, low uint64) {
	n.neg = x.neg != y.neg
	if x.zero() || y.zero() {
		return n, 0
	}
	n.mant, low = bits.Mul64(x.mant, y.mant)
	n.exp = x.exp + y.exp + 1
	if n.mant>>63 == 0 {
		n.mant, low = n.mant<<1|low>>63, low<<1
		n.exp--
	}
	return n, low
}

// times is product for all numbers. It is false for 0 * infinity.
func times(x, y num) (n num, low uint64, ok bool) {
	if x.inf() || y.inf() {
		return num{x.neg != y.neg, infinite, 1 << 63}, 0, !x.zero() && !y.zero()
	}
	n, low = product(x, y)
	return n, low, true
}

// mul returns a*b.
func (f *format) mul(rm uint8, a, b uint64) (uint64, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return f.nan, f.invalid(a, b)
	}
	n, low, ok := times(f.unpack(a), f.unpack(b))
	if !ok {
		return f.nan, flagNV
	}
	if low != 0 {
		n.mant |= 1
	}
	return f.pack(rm, n)
}

// fma returns a*b+c, rounded once. 0 * infinity is invalid even if c is a NaN.
func (f *format) fma(rm uint8, a, b, c uint64) (uint64, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return f.nan, f.invalid(a, b, c)
	}
	n, low, ok := times(f.unpack(a), f.unpack(b))
	if !ok {
		return f.nan, flagNV
	}
	if f.isNaN(c) {
		return f.nan, f.invalid(c)
	}
	z := f.unpack(c)
	if n.inf() && z.inf() && n.neg != z.neg {
		return f.nan, flagNV
	}
	return f.pack(rm, sum(rm, n, low, z))
}

// div returns a/b.
func (f *format) div(rm uint8, a, b uint64) (uint64, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return f.nan, f.invalid(a, b)
	}
	x, y := f.unpack(a), f.unpack(b)
	n := num{neg: x.neg != y.neg}
	switch {
	case x.inf() && y.inf(), x.zero() && y.zero():
		return f.nan, flagNV
	case x.inf():
		n.exp, n.mant = infinite, 1<<63
	case y.zero():
		n.exp, n.mant = infinite, 1<<63
		v, _ := f.pack(rm, n)
		return v, flagDZ
	case x.zero(), y.inf():
	default:
		quo, rem := bits.Div64(x.mant>>1, x.mant<<63, y.mant)
		n = normal(n.neg, x.exp-y.exp, quo, 0)
		if rem != 0 {
			n.mant |= 1
		}
	}
	return f.pack(rm, n)
}

// sqrt returns the square root of a.
func (f *format) sqrt(rm uint8, a uint64) (uint64, uint32) {
	if f.isNaN(a) {
		return f.nan, f.invalid(a)
	}
	x := f.unpack(a)
	switch {
	case x.zero():
		return a, 0
	case x.neg:
		return f.nan, flagNV
	case x.inf():
		return a, 0
	}
	hi, lo := x.mant>>1, x.mant<<63
	if x.exp&1 != 0 {
		hi, lo = x.mant, 0
	}
	root, exact := root(hi, lo)
	if !exact {
		root |= 1
	}
	return f.pack(rm, num{false, x.exp >> 1, root})
}

// root returns the square root of 128 bits, rounded down.
func root(hi, lo uint64) (r uint64, exact bool) {
	for b := uint64(1) << 63; b != 0; b >>= 1 {
		t := r | b
		if h, l := bits.Mul64(t, t); h < hi || h == hi && l <= lo {
			r = t
		}
	}
	h, l := bits.Mul64(r, r)
	return r, h == hi && l == lo
}

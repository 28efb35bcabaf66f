package rv

import "math/bits"

// Arithmetic of IEEE 754 in integers, for all rounding modes and with exact
// flags. The interpreter uses the host's arithmetic where neither matters.

// Rounding modes.
const (
	rne = iota // to nearest, ties to even
	rtz        // towards zero
	rdn        // down
	rup        // up
	rmm        // to nearest, ties away from zero
)

// Flags of fcsr.
const (
	flagNX = 1 << iota // inexact
	flagUF             // underflow
	flagOF             // overflow
	flagDZ             // division by zero
	flagNV             // invalid
)

// A format is a binary floating point format of IEEE 754.
type format struct {
	frac uint // bits of the fraction
	bias int
	nan  uint64 // the canonical one
}

var (
	single = format{23, 127, 0x7fc00000}
	double = format{52, 1023, 0x7ff8000000000000}
)

func (f *format) sign() uint64 { return 1 << (f.frac + uint(bits.Len(uint(f.bias))) + 1) }
func (f *format) inf() uint64  { return uint64(2*f.bias+1) << f.frac }

func (f *format) isNaN(v uint64) bool { return v&^f.sign() > f.inf() }

// signals reports whether v is a NaN that signals.
func (f *format) signals(v uint64) bool { return f.isNaN(v) && v>>(f.frac-1)&1 == 0 }

// invalid returns NV if any of the operands is a NaN that signals.
func (f *format) invalid(vs ...uint64) uint32 {
	for _, v := range vs {
		if f.signals(v) {
			return flagNV
		}
	}
	return 0
}

// A num is a number other than a NaN: ±mant/2^63 * 2^exp, where mant has its
// top bit set, or is 0 for a zero. An infinity's exp is huge.
type num struct {
	neg  bool
	exp  int
	mant uint64
}

const infinite = 1 << 20

func (n num) zero() bool { return n.mant == 0 }
func (n num) inf() bool  { return n.exp == infinite }

// unpack takes apart a value that is not a NaN.
func (f *format) unpack(v uint64) num {
	n := num{neg: v&f.sign() != 0}
	v &^= f.sign()
	if v == f.inf() {
		n.exp, n.mant = infinite, 1<<63
		return n
	}
	exp, mant := int(v>>f.frac), v&(1<<f.frac-1)
	if exp > 0 {
		mant |= 1 << f.frac
	} else {
		exp = 1
	}
	return normal(n.neg, exp-f.bias+63-int(f.frac), mant, 0)
}

// normal shifts mant, which counts in 2^(exp-63), until its top bit is set.
// Bits come in from low.
func normal(neg bool, exp int, mant, low uint64) num {
	if mant == 0 {
		if low == 0 {
			return num{neg: neg}
		}
		mant, low, exp = low, 0, exp-64
	}
	s := bits.LeadingZeros64(mant)
	mant = mant<<s | low>>(64-s)
	if low<<s != 0 {
		mant |= 1
	}
	return num{neg, exp - s, mant}
}

// up reports whether to round up in magnitude, where rest is what is cut off,
// as a fraction of 2^64, and odd the last bit kept.
func up(rm uint8, neg, odd bool, rest uint64) bool {
	const half = 1 << 63
	switch rm {
	case rne:
		return rest > half || rest == half && odd
	case rdn:
		return neg && rest != 0
	case rup:
		return !neg && rest != 0
	case rmm:
		return rest >= half
	}
	return false
}

// cut shifts right, and returns what is left and what is cut off, as a
// fraction of 2^64 whose last bit is set if anything below was.
func cut(mant uint64, shift int) (keep, rest uint64) {
	switch {
	case shift == 0:
		return mant, 0
	case shift < 64:
		return mant >> shift, mant << (64 - shift)
	case shift == 64:
		return 0, mant
	}
	rest = 0
	if shift < 128 {
		rest = mant >> (shift - 64)
	}
	if rest<<(shift-64) != mant {
		rest |= 1
	}
	return 0, rest
}

// pack rounds a number to a format. Its mantissa's last bit stands for all
// that is below it, too.
func (f *format) pack(rm uint8, n num) (uint64, uint32) {
	sign := uint64(0)
	if n.neg {
		sign = f.sign()
	}
	switch {
	case n.zero():
		return sign, 0
	case n.inf():
		return sign | f.inf(), 0
	}
	shift, exp := 63-int(f.frac), n.exp+f.bias
	tiny := false
	if exp < 1 {
		tiny = exp < 0 || !f.reaches(rm, n)
		shift, exp = shift+1-exp, 1
	}
	keep, rest := cut(n.mant, shift)
	if up(rm, n.neg, keep&1 != 0, rest) {
		keep++
	}
	v := uint64(exp-1)<<f.frac + keep
	flags := uint32(0)
	if rest != 0 {
		flags = flagNX
		if tiny {
			flags |= flagUF
		}
	}
	if exp > 2*f.bias || v >= f.inf() {
		v, flags = f.overflow(rm, n.neg), flagOF|flagNX
	}
	return sign | v, flags
}

// reaches reports whether a number just below the smallest normal one rounds
// to it in a format without a smallest exponent: RISC-V finds out whether a
// result is tiny after rounding.
func (f *format) reaches(rm uint8, n num) bool {
	keep, rest := cut(n.mant, 63-int(f.frac))
	return up(rm, n.neg, keep&1 != 0, rest) && keep+1 == 2<<f.frac
}

func (f *format) overflow(rm uint8, neg bool) uint64 {
	if rm == rtz || rm == rdn && !neg || rm == rup && neg {
		return f.inf() - 1
	}
	return f.inf()
}

// add returns a+b.
func (f *format) add(rm uint8, a, b uint64) (uint64, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return f.nan, f.invalid(a, b)
	}
	x, y := f.unpack(a), f.unpack(b)
	if x.inf() && y.inf() && x.neg != y.neg {
		return f.nan, flagNV
	}
	return f.pack(rm, sum(rm, x, 0, y))
}

// sum adds y to x, which has 64 more bits of mantissa in low. The last bit of
// the result stands for all below.
func sum(rm uint8, x num, low uint64, y num) num {
	switch {
	case x.zero() && y.zero():
		if x.neg != y.neg {
			x.neg = rm == rdn
		}
		return x
	case x.zero() || y.inf():
		return y
	case x.inf():
		return x
	case y.zero():
		return normal(x.neg, x.exp, x.mant, low)
	}
	// A bit of room at the top; what x loses at the bottom is 0.
	x1, x0 := x.mant>>1, x.mant<<63|low>>1
	y1, y0 := y.mant>>1, y.mant<<63
	exp := max(x.exp, y.exp)
	x1, x0 = right(x1, x0, exp-x.exp)
	y1, y0 = right(y1, y0, exp-y.exp)
	if x.neg == y.neg {
		lo, carry := bits.Add64(x0, y0, 0)
		hi, _ := bits.Add64(x1, y1, carry)
		return normal(x.neg, exp+1, hi, lo)
	}
	neg := x.neg
	if x1 < y1 || x1 == y1 && x0 < y0 {
		x1, x0, y1, y0, neg = y1, y0, x1, x0, y.neg
	}
	lo, borrow := bits.Sub64(x0, y0, 0)
	hi, _ := bits.Sub64(x1, y1, borrow)
	if hi|lo == 0 {
		return num{neg: rm == rdn}
	}
	return normal(neg, exp+1, hi, lo)
}

// right shifts 128 bits, and keeps in the last bit whether any was lost.
func right(hi, lo uint64, n int) (uint64, uint64) {
	lost := uint64(0)
	if n >= 64 {
		lost = lo
		hi, lo, n = 0, hi, n-64
	}
	if n >= 64 {
		return 0, 1 // hi was not 0
	}
	lost |= lo << 1 << (63 - n)
	hi, lo = hi>>n, lo>>n|hi<<1<<(63-n)
	if lost != 0 {
		lo |= 1
	}
	return hi, lo
}

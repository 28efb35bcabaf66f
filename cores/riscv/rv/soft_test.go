package rv

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// The arithmetic is checked against math/big, whose results are exact or have
// a bit that stands for what is cut off, and which rounds by itself.

var modes = [...]big.RoundingMode{big.ToNearestEven, big.ToZero, big.ToNegativeInf, big.ToPositiveInf, big.ToNearestAway}

// toBig returns a finite value.
func toBig(f *format, v uint64) *big.Float {
	if f == &single {
		return big.NewFloat(float64(math.Float32frombits(uint32(v))))
	}
	return big.NewFloat(math.Float64frombits(v))
}

// round gives what an exact result that is not 0 is in a format, and flags.
func round(f *format, rm uint8, exact *big.Float) (uint64, uint32) {
	emin := 1 - f.bias
	prec := int(f.frac) + 1
	unbounded := new(big.Float).SetMode(modes[rm]).SetPrec(uint(prec)).Set(exact)
	tiny := unbounded.MantExp(nil)-1 < emin
	got := unbounded
	if exact.MantExp(nil)-1 < emin {
		// Adding the smallest normal number's neighbour aligns the fraction.
		unit := new(big.Float).SetMantExp(big.NewFloat(1), emin-int(f.frac))
		scaled := new(big.Float).SetPrec(6000).Quo(exact, unit)
		n := roundInt(rm, scaled)
		got = new(big.Float).SetPrec(100).Mul(new(big.Float).SetInt(n), unit)
		if n.Sign() == 0 && exact.Signbit() {
			got.Neg(got)
		}
	}
	flags := uint32(0)
	if got.Cmp(exact) != 0 {
		flags = flagNX
		if tiny {
			flags |= flagUF
		}
	}
	sign := uint64(0)
	if exact.Signbit() {
		sign = f.sign()
	}
	largest := toBig(f, f.inf()-1)
	if new(big.Float).Abs(got).Cmp(largest) > 0 {
		toInf := rm == rne || rm == rmm || rm == rup && sign == 0 || rm == rdn && sign != 0
		if toInf {
			return sign | f.inf(), flagOF | flagNX
		}
		return sign | (f.inf() - 1), flagOF | flagNX
	}
	if f == &single {
		v, _ := got.Float32()
		return uint64(math.Float32bits(v)), flags
	}
	v, _ := got.Float64()
	return math.Float64bits(v), flags
}

// roundInt rounds to an integer by comparing with the half.
func roundInt(rm uint8, x *big.Float) *big.Int {
	n, _ := x.Int(nil) // towards zero
	rest := new(big.Float).SetPrec(7000).Sub(x, new(big.Float).SetPrec(7000).SetInt(n))
	if rest.Sign() == 0 {
		return n
	}
	away := big.NewInt(int64(rest.Sign()))
	half := new(big.Float).Abs(rest).Cmp(big.NewFloat(0.5))
	switch {
	case rm == rne && (half > 0 || half == 0 && n.Bit(0) == 1),
		rm == rmm && half >= 0,
		rm == rup && rest.Sign() > 0,
		rm == rdn && rest.Sign() < 0:
		return n.Add(n, away)
	}
	return n
}

// randomFinite returns a value that is not infinite, close to others often.
func randomFinite(f *format, r *rand.Rand, near uint64) uint64 {
	v := r.Uint64() & (f.sign()<<1 - 1)
	max := uint64(2 * f.bias)
	exp := func(e uint64) uint64 { return v&(f.sign()|1<<f.frac-1) | min(e, max)<<f.frac }
	switch r.IntN(8) {
	case 0:
		v = near ^ f.sign()
	case 1:
		v = near ^ 1<<r.IntN(int(f.frac))
	case 2:
		v = exp(r.Uint64N(4))
	case 3:
		v = exp(max - r.Uint64N(3))
	case 4:
		v = exp(uint64(f.bias)-4+r.Uint64N(8)) &^ (1<<(f.frac-4) - 1)
	case 5:
		v = exp(uint64(f.bias)/2 + r.Uint64N(4))
	case 6:
		v = exp(near>>f.frac&(max|1) + r.Uint64N(60) - 30)
	}
	if v&^f.sign() >= f.inf() {
		v ^= 1 << (f.frac + 1)
	}
	return v
}

// exactly returns the exact result of an operation on finite values, or one
// that is so precise that it rounds alike.
func exactly(op int, a, b, c *big.Float) *big.Float {
	z := new(big.Float).SetPrec(8000)
	switch op {
	case 0:
		return z.Add(a, b)
	case 1:
		return z.Mul(a, b)
	case 2:
		z.SetPrec(200).SetMode(big.ToZero).Quo(a, b)
		return sticky(z)
	case 3:
		z.SetPrec(200).SetMode(big.ToZero).Sqrt(a)
		if new(big.Float).SetPrec(500).Mul(z, z).Cmp(a) == 0 {
			return z
		}
		return sticky(z)
	}
	z.Mul(a, b)
	return z.Add(z, c)
}

// sticky adds a little below the last bit to what is not exact.
func sticky(z *big.Float) *big.Float {
	if z.Acc() == big.Exact {
		return z
	}
	little := new(big.Float).SetMantExp(big.NewFloat(1), z.MantExp(nil)-250)
	if z.Signbit() {
		little.Neg(little)
	}
	return new(big.Float).SetPrec(400).Add(z, little)
}

func softly(f *format, op int, rm uint8, a, b, c uint64) (uint64, uint32) {
	switch op {
	case 0:
		return f.add(rm, a, b)
	case 1:
		return f.mul(rm, a, b)
	case 2:
		return f.div(rm, a, b)
	case 3:
		return f.sqrt(rm, a)
	}
	return f.fma(rm, a, b, c)
}

func TestArithmeticIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60000 {
		f, rm, op := &single, uint8(r.IntN(5)), i%5
		if r.IntN(2) == 0 {
			f = &double
		}
		a := randomFinite(f, r, r.Uint64()&(f.sign()-1))
		b := randomFinite(f, r, a)
		c := randomFinite(f, r, b)
		if op == 4 && r.IntN(2) == 0 {
			c, _ = f.mul(rm, a, b) // so that most of it is cancelled
			c ^= f.sign()
			if c&^f.sign() >= f.inf() {
				continue
			}
		}
		if op == 3 {
			a &^= f.sign()
		}
		if op == 2 && b&^f.sign() == 0 || op == 3 && a == 0 {
			continue
		}
		exact := exactly(op, toBig(f, a), toBig(f, b), toBig(f, c))
		if exact.Sign() == 0 {
			continue // the table of edges has these
		}
		want, wantFlags := round(f, rm, exact)
		got, flags := softly(f, op, rm, a, b, c)
		if got != want || flags != wantFlags {
			t.Fatalf("operation %d, mode %d, %d bits: %#x %#x %#x gave %#x flags %05b, not %#x %05b",
				op, rm, f.frac, a, b, c, got, flags, want, wantFlags)
		}
	}
}

func TestConversionsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100000 {
		rm := uint8(r.IntN(5))
		a := randomFinite(&double, r, r.Uint64()&(double.sign()-1))
		if r.IntN(2) == 0 { // with a part behind the point
			a = math.Float64bits(math.Ldexp(r.Float64()-0.5, r.IntN(36)))
			if r.IntN(2) == 0 {
				a = math.Float64bits(math.Round(math.Float64frombits(a)) + 0.5*float64(r.IntN(2)))
			}
		}
		x := toBig(&double, a)
		n := roundInt(rm, x)
		exact := new(big.Float).SetInt(n).Cmp(x) == 0
		for _, signed := range []bool{true, false} {
			low, high := int64(0), int64(math.MaxUint32)
			if signed {
				low, high = math.MinInt32, math.MaxInt32
			}
			want, wantFlags := uint32(n.Int64()), uint32(0)
			switch {
			case n.Cmp(big.NewInt(low)) < 0:
				want, wantFlags = uint32(low), flagNV
			case n.Cmp(big.NewInt(high)) > 0:
				want, wantFlags = uint32(high), flagNV
			case !exact:
				wantFlags = flagNX
			}
			if got, flags := double.toInt(rm, a, signed); got != want || flags != wantFlags {
				t.Fatalf("%v to an integer, signed %t, mode %d: %#x %05b, not %#x %05b", x, signed, rm, got, flags, want, wantFlags)
			}
		}
		if x.Sign() != 0 {
			want, wantFlags := round(&single, rm, x)
			if got, flags := convert(rm, &double, &single, a); got != want || flags != wantFlags {
				t.Fatalf("%v to a single, mode %d: %#x %05b, not %#x %05b", x, rm, got, flags, want, wantFlags)
			}
		}
		v := r.Uint32() >> r.IntN(32)
		if v != 0 {
			want, wantFlags := round(&single, rm, big.NewFloat(float64(int32(v))))
			if got, flags := single.fromInt(rm, v, true); got != want || flags != wantFlags {
				t.Fatalf("%d to a single, mode %d: %#x %05b, not %#x %05b", int32(v), rm, got, flags, want, wantFlags)
			}
		}
	}
}

// Zeros, infinities and NaNs, as hexadecimal digits of singles; those of
// doubles are the same values.
func TestSpecials(t *testing.T) {
	const (
		one, two, zero, inf = 0x3f800000, 0x40000000, 0, 0x7f800000
		qnan, snan, least   = 0x7fc00000, 0x7f800001, 1
		neg                 = 1 << 31
	)
	for _, c := range []struct {
		op          int
		rm          uint8
		a, b, c     uint64
		want, flags uint32
	}{
		{0, rne, one, one | neg, 0, zero, 0},
		{0, rdn, one, one | neg, 0, zero | neg, 0},
		{0, rne, zero, zero | neg, 0, zero, 0},
		{0, rdn, zero, zero | neg, 0, zero | neg, 0},
		{0, rdn, zero, zero, 0, zero, 0},
		{0, rne, zero | neg, zero | neg, 0, zero | neg, 0},
		{0, rne, inf, inf | neg, 0, qnan, flagNV},
		{0, rne, inf, one, 0, inf, 0},
		{0, rne, one, inf | neg, 0, inf | neg, 0},
		{0, rne, qnan | 1, one, 0, qnan, 0},
		{0, rne, snan, one, 0, qnan, flagNV},
		{0, rne, one, snan | neg, 0, qnan, flagNV},
		{1, rne, zero, inf, 0, qnan, flagNV},
		{1, rne, zero | neg, one, 0, zero | neg, 0},
		{1, rne, inf | neg, two, 0, inf | neg, 0},
		{1, rne, snan, zero, 0, qnan, flagNV},
		{1, rup, least, least, 0, least, flagNX | flagUF},
		{1, rne, least, least, 0, zero, flagNX | flagUF},
		{2, rne, one, zero, 0, inf, flagDZ},
		{2, rne, one, zero | neg, 0, inf | neg, flagDZ},
		{2, rtz, one, zero, 0, inf, flagDZ},
		{2, rne, zero, zero, 0, qnan, flagNV},
		{2, rne, inf, inf, 0, qnan, flagNV},
		{2, rne, inf, zero, 0, inf, 0},
		{2, rne, zero, one | neg, 0, zero | neg, 0},
		{2, rne, one, inf, 0, zero, 0},
		{2, rne, qnan, zero, 0, qnan, 0},
		{3, rne, zero | neg, 0, 0, zero | neg, 0},
		{3, rne, one | neg, 0, 0, qnan, flagNV},
		{3, rne, inf, 0, 0, inf, 0},
		{3, rne, inf | neg, 0, 0, qnan, flagNV},
		{3, rne, snan, 0, 0, qnan, flagNV},
		{4, rne, inf, zero, qnan, qnan, flagNV},
		{4, rne, inf, zero, one, qnan, flagNV},
		{4, rne, inf, one, inf | neg, qnan, flagNV},
		{4, rne, inf, one, inf, inf, 0},
		{4, rne, one, one, inf | neg, inf | neg, 0},
		{4, rne, one, one, snan, qnan, flagNV},
		{4, rne, qnan, one, snan, qnan, flagNV},
		{4, rne, one, one, one | neg, zero, 0},
		{4, rdn, one, one, one | neg, zero | neg, 0},
		{4, rne, zero | neg, one, zero | neg, zero | neg, 0},
		{4, rne, zero | neg, one, zero, zero, 0},
		{4, rne, zero, one, two, two, 0},
	} {
		if got, flags := softly(&single, c.op, c.rm, c.a, c.b, c.c); got != uint64(c.want) || flags != c.flags {
			t.Errorf("operation %d, mode %d: %#x %#x %#x gave %#x %05b, not %#x %05b", c.op, c.rm, c.a, c.b, c.c, got, flags, c.want, c.flags)
		}
	}
}

func TestExtremes(t *testing.T) {
	const (
		one, zero, inf = 0x3f800000, 0, 0x7f800000
		qnan, snan     = 0x7fc00000, 0x7f800001
		neg            = 1 << 31
	)
	for _, c := range []struct {
		a, b, min, max uint64
		flags          uint32
	}{
		{zero, zero | neg, zero | neg, zero, 0},
		{zero | neg, zero, zero | neg, zero, 0},
		{one, one | neg, one | neg, one, 0},
		{inf, one, one, inf, 0},
		{inf | neg, one | neg, inf | neg, one | neg, 0},
		{1, 1 | neg, 1 | neg, 1, 0},
		{qnan | 5, one, one, one, 0},
		{one, qnan | neg, one, one, 0},
		{snan, one, one, one, flagNV},
		{one, snan, one, one, flagNV},
		{qnan | 5, qnan | 6, qnan, qnan, 0},
		{snan, qnan | 6, qnan, qnan, flagNV},
	} {
		small, flagsSmall := single.extreme(c.a, c.b, false)
		large, flagsLarge := single.extreme(c.a, c.b, true)
		if small != c.min || large != c.max || flagsSmall != c.flags || flagsLarge != c.flags {
			t.Errorf("%#x and %#x: %#x %05b and %#x %05b", c.a, c.b, small, flagsSmall, large, flagsLarge)
		}
	}
}

func TestClassesAndOrder(t *testing.T) {
	const neg = 1 << 63
	// From the lowest to the highest, and the class of each.
	line := []struct {
		v     uint64
		class uint
	}{
		{0x7ff0000000000000 | neg, 0},
		{0x7fefffffffffffff | neg, 1},
		{0x0010000000000000 | neg, 1},
		{0x000fffffffffffff | neg, 2},
		{1 | neg, 2},
		{neg, 3},
		{0, 4},
		{1, 5},
		{0x000fffffffffffff, 5},
		{0x0010000000000000, 6},
		{0x7fefffffffffffff, 6},
		{0x7ff0000000000000, 7},
	}
	for i, a := range line {
		if got := double.class(a.v); got != 1<<a.class {
			t.Errorf("class of %#x: %#x", a.v, got)
		}
		for j, b := range line {
			same := i == j || (a.v|b.v)<<1 == 0
			less, f1 := double.less(a.v, b.v, false)
			most, f2 := double.less(a.v, b.v, true)
			equal, f3 := double.equal(a.v, b.v)
			if less != (i < j && !same) || most != (i < j || same) || equal != same || f1|f2|f3 != 0 {
				t.Errorf("%#x and %#x: %t %t %t", a.v, b.v, less, most, equal)
			}
		}
		for _, nan := range []uint64{0x7ff8000000000000, 0x7ff0000000000001} {
			less, f1 := double.less(nan, a.v, true)
			equal, f2 := double.equal(a.v, nan)
			if less || equal || f1 != flagNV || f2 != double.invalid(nan) {
				t.Errorf("%#x and %#x: %t %t %05b %05b", nan, a.v, less, equal, f1, f2)
			}
		}
	}
	if double.class(0x7ff0000000000001) != 1<<8 || double.class(0xfff8000000000000) != 1<<9 {
		t.Error("classes of NaNs")
	}
}

// Below the smallest normal number a result is tiny, unless rounding alone,
// with all bits of the fraction, takes it there.
func TestTinyAfterRounding(t *testing.T) {
	for _, c := range []struct {
		a, b        uint64
		rm          uint8
		want, flags uint32
	}{
		// (1 - 2^-24) * 2^-126 has 24 bits: to nearest it rounds up as a
		// subnormal, but would be exact with a wider exponent, so it is tiny.
		{0x3f7fffff, 0x00800000, rne, 0x00800000, flagNX | flagUF},
		{0x3f7fffff, 0x00800000, rtz, 0x007fffff, flagNX | flagUF},
		// (1 - 2^-46) * 2^-126 rounds to 24 bits, and is not tiny then.
		{0x3f800001, 0x007fffff, rne, 0x00800000, flagNX},
		{0x3f800001, 0x007fffff, rup, 0x00800000, flagNX},
		{0x3f800001, 0x007fffff, rtz, 0x007fffff, flagNX | flagUF},
	} {
		if got, flags := single.mul(c.rm, c.a, c.b); got != uint64(c.want) || flags != c.flags {
			t.Errorf("%#x * %#x, mode %d: %#x %05b, not %#x %05b", c.a, c.b, c.rm, got, flags, c.want, c.flags)
		}
	}
}

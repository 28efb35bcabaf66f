package rv_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"warren/cores/riscv/rv"
)

// operand returns a double or a boxed single that rounds, cancels, overflows
// or underflows together with the one it is near to.
func operand(r *rand.Rand, near uint64, double bool) uint64 {
	frac, bias := 23, uint64(127)
	if double {
		frac, bias = 52, 1023
	}
	sign := uint64(1) << 31
	if double {
		sign = 1 << 63
	}
	v := r.Uint64() & (sign<<1 - 1)
	exp := func(e uint64) uint64 { return v&(sign|1<<frac-1) | e<<frac }
	switch r.IntN(10) {
	case 0:
		v = near ^ sign
	case 1:
		v = near ^ 1<<r.IntN(frac)
	case 2:
		v = exp(r.Uint64N(4))
	case 3:
		v = exp(2*bias - r.Uint64N(3))
	case 4, 5: // few bits: exact, or ties
		v = exp(bias-14+r.Uint64N(28)) &^ (1<<(frac-r.IntN(8)) - 1)
	case 6: // products near to the smallest
		v = exp(bias/2 + r.Uint64N(4))
	case 7:
		v = exp(near&(sign-1)>>frac + r.Uint64N(60) - 30)
		v &= sign<<1 - 1
	case 8:
		v = [...]uint64{0, sign, (2*bias + 1) << frac, 1, (4*bias + 3) << (frac - 1)}[r.IntN(5)]
	}
	if !double && r.IntN(50) > 0 {
		v |= 0xffffffff << 32
	}
	return v
}

// The loop's floating point, on the host's, is that of Step, on integers.
func TestFloatsOfTheLoop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	ops := []uint32{
		0x53, 0x8000053, 0x10000053, 0x10000053, 0x43, 0x47, 0x4b, 0x4f, 0x43, 0x47, 0x4b, 0x4f,
		0xa0000053, 0xa0001053, 0xa0002053, 0x20000053, 0x20001053, 0x20002053, 0x28000053, 0x28001053,
	}
	words := make([]uint32, 0, 64)
	for range 6000 {
		words = words[:0]
		for range 40 {
			op := ops[r.IntN(len(ops))]
			if op < 0x18000053 { // rounded
				op |= [...]uint32{0, 0, 0x7000, 0x7000, 0x1000}[r.IntN(5)]
			}
			if op&0x7f != 0x53 {
				op |= r.Uint32N(32) << 27
			}
			// Doubles are in the lower registers, singles in the others.
			rd, rs1, rs2 := r.Uint32N(16), r.Uint32N(16), r.Uint32N(16)
			fused := op&0x7f != 0x53
			switch double := r.IntN(2) == 0; {
			case double && fused:
				op = op&^(1<<31) | 1<<25
			case double:
				op |= 1 << 25
			case fused:
				op |= 1 << 31
				fallthrough
			default:
				rd, rs1, rs2 = rd|16, rs1|16, rs2|16
			}
			if op>>28 == 0xa {
				rd = 5 + rd%8
			}
			words = append(words, typeR(op, rd, rs1, rs2))
		}
		a, b := hart(t, words...), hart(t, words...)
		for i := range 32 {
			a.F[i] = operand(r, a.F[max(i-1, 0)], i < 16)
		}
		b.F = a.F
		for a.Instret < 40 {
			a.Fcsr = [...]uint32{0, 0, 1, 1, 3 << 5}[r.IntN(5)]
			b.Fcsr = a.Fcsr
			whyA, whyB := a.Run(4), b.Debug(4, nil)
			if got, want := state(whyA, a), state(whyB, b); got != want {
				t.Fatalf("%#x\nby Run: %s\nby Debug: %s", words, got, want)
			}
		}
	}
}

// What rounds to the smallest normal number may be tiny, and then underflows,
// also when it is inexact anyway.
func TestTinyInTheLoop(t *testing.T) {
	for _, c := range []struct {
		op   uint32
		a, b uint64
	}{
		{0x10000053, 0xffffffff3f7fffff, 0xffffffff00800000},
		{0x12000053, 0x3fefffffffffffff, 0x0010000000000000},
	} {
		h := both(t, typeR(c.op, 0, 1, 2), func(h *rv.Hart) { h.F[1], h.F[2], h.Fcsr = c.a, c.b, 1 })
		if h.F[0] != c.b || h.Fcsr != 3 {
			t.Errorf("%#x * %#x: %#x, flags %05b", c.a, c.b, h.F[0], h.Fcsr)
		}
	}
}

// A sum that is just beside a tie of singles must not be rounded twice: the
// product of singles is added in double precision first.
func TestFusedSinglesRoundOnce(t *testing.T) {
	bits := math.Float32bits
	for _, c := range []struct{ a, b, c, want uint32 }{
		// 1 + 2^-23 + 2^-24 is the tie, and 2^-70 below it is lost in a double.
		{bits(0x1p-12 + 0x1p-35), bits(0x1p-12 - 0x1p-35), bits(1 + 0x1p-23), bits(1 + 0x1p-23)},
		{bits(0x1p-12), bits(0x1p-12), bits(1 + 0x1p-23), bits(1 + 0x1p-22)},
		{bits(0x1p-12), bits(0x1p-12), bits(1), bits(1)},
		{bits(0x1p-40), bits(0x1p-40), bits(1), bits(1)},
	} {
		for _, fcsr := range []uint32{0, 1} {
			h := both(t, typeR(0x43|3<<27, 0, 1, 2), func(h *rv.Hart) {
				h.Fcsr = fcsr
				for i, v := range []uint32{c.a, c.b, c.c} {
					h.F[i+1] = 0xffffffff<<32 | uint64(v)
				}
			})
			if got := uint32(h.F[0]); got != c.want || h.Fcsr != 1 {
				t.Errorf("%#x * %#x + %#x: %#x, flags %05b, not %#x", c.a, c.b, c.c, got, h.Fcsr, c.want)
			}
		}
	}
}

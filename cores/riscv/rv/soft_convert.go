package rv

import "math/bits"

// toInt converts to an integer of 32 bits, signed or not. What is out of range
// gives the nearest end, and NaN the upper one.
func (f *format) toInt(rm uint8, a uint64, signed bool) (uint32, uint32) {
	lowest, highest := int64(0), int64(1<<32-1)
	if signed {
		lowest, highest = -1<<31, 1<<31-1
	}
	if f.isNaN(a) {
		return uint32(highest), flagNV
	}
	n := f.unpack(a)
	v, rest := int64(1<<40), uint64(0)
	if n.exp < 40 {
		var keep uint64
		keep, rest = cut(n.mant, 63-n.exp)
		if up(rm, n.neg, keep&1 != 0, rest) {
			keep++
		}
		v = int64(keep)
	}
	if n.neg {
		v = -v
	}
	switch {
	case v < lowest:
		return uint32(lowest), flagNV
	case v > highest:
		return uint32(highest), flagNV
	case rest != 0:
		return uint32(v), flagNX
	}
	return uint32(v), 0
}

// fromInt converts from an integer of 32 bits.
func (f *format) fromInt(rm uint8, v uint32, signed bool) (uint64, uint32) {
	neg := signed && int32(v) < 0
	if neg {
		v = -v
	}
	return f.pack(rm, normal(neg, 63, uint64(v), 0))
}

// convert changes the format of a value.
func convert(rm uint8, from, to *format, a uint64) (uint64, uint32) {
	if from.isNaN(a) {
		return to.nan, from.invalid(a)
	}
	return to.pack(rm, from.unpack(a))
}

// extreme returns the smaller of a and b, or the larger one. A NaN counts only
// if both are.
func (f *format) extreme(a, b uint64, largest bool) (uint64, uint32) {
	flags := f.invalid(a, b)
	switch {
	case f.isNaN(a) && f.isNaN(b):
		return f.nan, flags
	case f.isNaN(a):
		return b, flags
	case f.isNaN(b):
		return a, flags
	}
	if (f.order(a) < f.order(b)) != largest {
		return a, flags
	}
	return b, flags
}

// order maps values that are no NaNs to integers in the same order, -0 just
// below 0.
func (f *format) order(a uint64) int64 {
	if a&f.sign() != 0 {
		return ^int64(a &^ f.sign())
	}
	return int64(a)
}

// less reports whether a < b, or a <= b. NaNs are invalid.
func (f *format) less(a, b uint64, orEqual bool) (bool, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return false, flagNV
	}
	if (a|b)&^f.sign() == 0 || a == b {
		return orEqual, 0
	}
	return f.order(a) < f.order(b), 0
}

// equal reports whether a = b. Only NaNs that signal are invalid.
func (f *format) equal(a, b uint64) (bool, uint32) {
	if f.isNaN(a) || f.isNaN(b) {
		return false, f.invalid(a, b)
	}
	return a == b || (a|b)&^f.sign() == 0, 0
}

// class returns what FCLASS does.
func (f *format) class(a uint64) uint32 {
	mag := a &^ f.sign()
	var i uint
	switch {
	case mag > f.inf():
		if f.signals(a) {
			return 1 << 8
		}
		return 1 << 9
	case mag == f.inf():
		i = 7
	case mag == 0:
		i = 4
	case bits.Len64(mag) <= int(f.frac):
		i = 5
	default:
		i = 6
	}
	if a&f.sign() != 0 {
		i = 7 - i
	}
	return 1 << i
}

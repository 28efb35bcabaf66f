package rv

import "math"

// exactProduct reports whether p, which is y*z rounded, has no error. It does
// not know of small numbers, where the error may be too small to be seen.
func exactProduct(y, z, p float64) bool {
	return math.Float64bits(p)>>52&0x7ff >= 64 && math.FMA(y, z, -p) == 0
}

// exactSum reports whether y*z+c is a double. It does not know if the product
// is none.
func exactSum(y, z, c float64) bool {
	p := y * z
	s := p + c
	d := s - p
	return exactProduct(y, z, p) && (p-(s-d))+(c-d) == 0
}

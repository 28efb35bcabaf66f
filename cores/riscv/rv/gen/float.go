package main

import "strings"

// Floating point instructions of the loop do the usual case: to nearest, of
// numbers, with a result that is far from overflow and underflow and that is
// exact, unless NX is set anyway. All else is left to the integers of soft.go.
// y and z are the operands, and r, or s, is the result.

const (
	// Leaves results that are small, infinite or NaNs: the smallest exponent,
	// too, as what rounds to it may be tiny.
	usualD = `if math.Float64bits(r)>>52&0x7ff-2 >= 0x7fd {
	goto leave
}
`
	usualS = `if math.Float32bits(s)>>23&0xff-2 >= 0xfd {
	goto leave
}
`
	operandsD = `if !w.nearest {
	goto leave
}
y, z = math.Float64frombits(h.F[o.rs1&31]), math.Float64frombits(h.F[o.rs2&31])
`
	operandsS = `if !w.nearest || h.F[o.rs1&31]&h.F[o.rs2&31]>>32 != 0xffffffff {
	goto leave
}
y, z = float64(math.Float32frombits(uint32(h.F[o.rs1&31]))), float64(math.Float32frombits(uint32(h.F[o.rs2&31])))
`
	putD = `h.F[o.rd&31] = math.Float64bits(r)
`
	putS = `h.F[o.rd&31] = box(math.Float32bits(s))
`
	// What the sum of y and z loses (Knuth's two-sum).
	lost = `e = r - y
e = (y - (r - e)) + (z - e)
`
	needExact = `if e != 0 && !w.inexact {
	goto leave
}
`
	// A sum of doubles is as good as exact when it is rounded to a single.
	needExactS = `s = float32(r)
if (e != 0 || float64(s) != r) && !w.inexact {
	goto leave
}
`
	on = `if !w.floats {
	goto leave
}
`
)

// floats returns the instructions and their code, two by two.
func floats() []string {
	var out []string
	add := func(op string, parts ...string) { out = append(out, op, strings.Join(parts, "")) }
	sum := func(op string) string { return "r = y " + op + " z\n" }
	for _, i := range [][2]string{{"FADD", "+"}, {"FSUB", "-"}} {
		minus := ""
		if i[1] == "-" {
			minus = "z = -z\n"
		}
		add(i[0]+"D", operandsD, minus, sum("+"), lost, needExact, usualD, putD)
		add(i[0]+"S", operandsS, minus, sum("+"), lost, needExactS, usualS, putS)
	}
	add("FMULD", operandsD, sum("*"), "if !w.inexact && !exactProduct(y, z, r) {\ngoto leave\n}\n", usualD, putD)
	add("FMULS", operandsS, "e = 0\n", sum("*"), needExactS, usualS, putS)
	const negateY, negateC = "y = -y\n", "c = -c\n"
	for _, i := range [][3]string{{"FMADDD"}, {"FMSUBD", negateC}, {"FNMSUBD", negateY}, {"FNMADDD", negateY, negateC}} {
		// Where the product has no error, that of the sum is the whole one.
		add(i[0], operandsD, "c = math.Float64frombits(h.F[o.imm&31])\n", i[1], i[2], "r = math.FMA(y, z, c)\n",
			"if !w.inexact && !exactSum(y, z, c) {\ngoto leave\n}\n", usualD, putD)
	}
	for _, i := range []struct{ op, product, addend string }{
		{"FMADD", "y * z", ""}, {"FMSUB", "y * z", "-"}, {"FNMSUB", "-(y * z)", ""}, {"FNMADD", "-(y * z)", "-"},
	} {
		// The product of singles is exact. If the sum is not, and looks like
		// a tie of singles, it must not be rounded twice.
		add(i.op+"S", operandsS, "if h.F[o.imm&31]>>32 != 0xffffffff {\ngoto leave\n}\n",
			"y = "+i.product+"\nz = "+i.addend+"float64(math.Float32frombits(uint32(h.F[o.imm&31])))\n",
			sum("+"), lost, "if e != 0 && math.Float64bits(r)<<35 == 1<<63 {\ngoto leave\n}\n", needExactS, usualS, putS)
	}
	for _, i := range [][2]string{{"FEQ", "=="}, {"FLT", "<"}, {"FLE", "<="}} {
		test := "if y != y || z != z {\ngoto leave\n}\nx[o.rd] = truth(y " + i[1] + " z)\n"
		add(i[0]+"D", operandsD, test)
		add(i[0]+"S", operandsS, test)
	}
	add("FSGNJD", on, "h.F[o.rd&31] = h.F[o.rs1&31]&^(1<<63) | h.F[o.rs2&31]&(1<<63)\n")
	add("FSGNJND", on, "h.F[o.rd&31] = h.F[o.rs1&31]&^(1<<63) | ^h.F[o.rs2&31]&(1<<63)\n")
	boxed := "if h.F[o.rs1&31]&h.F[o.rs2&31]>>32 != 0xffffffff {\ngoto leave\n}\n"
	add("FSGNJS", on, boxed, "h.F[o.rd&31] = h.F[o.rs1&31]&^(1<<31) | h.F[o.rs2&31]&(1<<31)\n")
	add("FSGNJNS", on, boxed, "h.F[o.rd&31] = h.F[o.rs1&31]&^(1<<31) | ^h.F[o.rs2&31]&(1<<31)\n")
	add("FMVWX", on, "h.F[o.rd&31] = box(A)\n")
	add("FMVXW", on, "x[o.rd] = uint32(h.F[o.rs1&31])\n")
	add("FCVTDW", on, "h.F[o.rd&31] = math.Float64bits(float64(int32(A)))\n")
	add("FCVTDWU", on, "h.F[o.rd&31] = math.Float64bits(float64(A))\n")
	add("FLW", on, window("r", 4), "h.F[o.rd&31] = box(*(*uint32)(unsafe.Add(q, d)))\n")
	add("FLD", on, window("r", 8), "h.F[o.rd&31] = *(*uint64)(unsafe.Add(q, d))\n")
	add("FSW", on, window("w", 4), "*(*uint32)(unsafe.Add(q, d)) = uint32(h.F[o.rs2&31])\n")
	add("FSD", on, window("w", 8), "*(*uint64)(unsafe.Add(q, d)) = h.F[o.rs2&31]\n")
	return out
}

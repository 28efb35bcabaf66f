// Gen writes fast.go, the loop of the interpreter in package rv: a case for
// each instruction that needs no call, and one for each pair of the table.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"strings"
)

// Pairs of instructions that programs often have in a row. In those with ">"
// the second takes the first one's result for its rs1.
const pairs = `
LUI>ADDI LUI>LW LUI>ADD
SLLI>ADD SLLI>SRLI SLLI>SRAI SRLI>ADD SRLI>SLLI SRLI>ANDI ANDI>SLLI
ADD>LW ADD>LBU ADD>LH ADD>LHU ADD>SW ADD>SB ADD>ADD ADD>ADDI
ADDI>LW ADDI>LBU ADDI>SW ADDI>ADD ADDI>ANDI ADDI>BNE ADDI>BEQ
MUL>ADD XOR>ANDI XOR>SRLI SLTU>ADD
LW>LW LW>XOR LW>ADD LW>ADDI LW>BEQ LW>BNE LBU>ADDI LBU>BEQ LBU>BNE LH>BNE
ANDI>BEQ ANDI>BNE
LW+LW LW+SW LW+ADD LW+ADDI LW+BEQ LW+BNE LW+JALR LBU+LBU LBU+ADDI LBU+SRLI LH+LH
SW+SW SW+ADD SW+ADDI SB+ADD SB+ADDI
ADD+ADD ADD+ADDI ADD+LW ADD+SW ADD+BNE ADD+BLTU ADD+BGEU
ADDI+ADDI ADDI+ADD ADDI+MUL ADDI+XOR ADDI+ANDI ADDI+LW ADDI+SW
ADDI+BEQ ADDI+BNE ADDI+BLT ADDI+BGE ADDI+BLTU ADDI+BGEU ADDI+codeJ ADDI+JAL ADDI+JALR
SRLI+ADDI ANDI+ADDI XOR+BNE
`

// The instructions of the loop. Pieces of Go: o is the op, p is behind it,
// A stands for x[o.rs1] and B for x[o.rs2]; what is assigned to R goes to rd.
var values = []struct{ op, expr string }{
	{"LUI", "uint32(o.imm)"},
	{"ADDI", "A + uint32(o.imm)"},
	{"SLTI", "truth(int32(A) < o.imm)"},
	{"SLTIU", "truth(A < uint32(o.imm))"},
	{"XORI", "A ^ uint32(o.imm)"},
	{"ORI", "A | uint32(o.imm)"},
	{"ANDI", "A & uint32(o.imm)"},
	{"SLLI", "A << (o.imm & 31)"},
	{"SRLI", "A >> (o.imm & 31)"},
	{"SRAI", "uint32(int32(A) >> (o.imm & 31))"},
	{"ADD", "A + B"},
	{"SUB", "A - B"},
	{"SLL", "A << (B & 31)"},
	{"SLT", "truth(int32(A) < int32(B))"},
	{"SLTU", "truth(A < B)"},
	{"XOR", "A ^ B"},
	{"SRL", "A >> (B & 31)"},
	{"SRA", "uint32(int32(A) >> (B & 31))"},
	{"OR", "A | B"},
	{"AND", "A & B"},
	{"MUL", "A * B"},
	{"MULH", "uint32(int64(int32(A)) * int64(int32(B)) >> 32)"},
	{"MULHSU", "uint32(int64(int32(A)) * int64(B) >> 32)"},
	{"MULHU", "uint32(uint64(A) * uint64(B) >> 32)"},
	{"SH1ADD", "A<<1 + B"},
	{"SH2ADD", "A<<2 + B"},
	{"SH3ADD", "A<<3 + B"},
	{"ANDN", "A &^ B"},
	{"ORN", "A | ^B"},
	{"XNOR", "^(A ^ B)"},
	{"CLZ", "uint32(bits.LeadingZeros32(A))"},
	{"CTZ", "uint32(bits.TrailingZeros32(A))"},
	{"MAX", "uint32(max(int32(A), int32(B)))"},
	{"MAXU", "max(A, B)"},
	{"MIN", "uint32(min(int32(A), int32(B)))"},
	{"MINU", "min(A, B)"},
	{"SEXTB", "uint32(int8(A))"},
	{"SEXTH", "uint32(int16(A))"},
	{"ZEXTH", "A & 0xffff"},
	{"ROL", "bits.RotateLeft32(A, int(B&31))"},
	{"ROR", "bits.RotateLeft32(A, -int(B&31))"},
	{"RORI", "bits.RotateLeft32(A, -int(o.imm&31))"},
	{"REV8", "bits.ReverseBytes32(A)"},
	{"BCLR", "A &^ (1 << (B & 31))"},
	{"BCLRI", "A &^ (1 << (o.imm & 31))"},
	{"BEXT", "A >> (B & 31) & 1"},
	{"BEXTI", "A >> (o.imm & 31) & 1"},
	{"BINV", "A ^ 1<<(B&31)"},
	{"BINVI", "A ^ 1<<(o.imm&31)"},
	{"BSET", "A | 1<<(B&31)"},
	{"BSETI", "A | 1<<(o.imm&31)"},
}

var branches = []struct{ op, cond string }{
	{"BEQ", "A == B"},
	{"BNE", "A != B"},
	{"BLT", "int32(A) < int32(B)"},
	{"BGE", "int32(A) >= int32(B)"},
	{"BLTU", "A < B"},
	{"BGEU", "A >= B"},
}

var loads = []struct {
	op   string
	size int
	expr string
}{
	{"LB", 1, "uint32(*(*int8)(unsafe.Add(q, d)))"},
	{"LH", 2, "uint32(*(*int16)(unsafe.Add(q, d)))"},
	{"LW", 4, "*(*uint32)(unsafe.Add(q, d))"},
	{"LBU", 1, "uint32(*(*uint8)(unsafe.Add(q, d)))"},
	{"LHU", 2, "uint32(*(*uint16)(unsafe.Add(q, d)))"},
}

var stores = []struct {
	op   string
	size int
}{{"SB", 1}, {"SH", 2}, {"SW", 4}}

var divisions = []struct{ op, zero, expr string }{
	{"DIV", "^uint32(0)", "uint32(int64(int32(a)) / int64(int32(b)))"},
	{"DIVU", "^uint32(0)", "a / b"},
	{"REM", "a", "uint32(int64(int32(a)) % int64(int32(b)))"},
	{"REMU", "a", "a % b"},
}

const access = `	a = A + uint32(o.imm)
	d, q = a-w.SBASE0, w.SMEM0
	if uint64(d)+SIZE > w.SLEN0 {
		d, q = a-w.SBASE1, w.SMEM1
		if uint64(d)+SIZE > w.SLEN1 {
			goto leave
		}
	}
`

// window gives the check of an access: which is "r" to read or "w" to write.
func window(which string, size int) string {
	s := access
	for _, part := range []string{"BASE", "MEM", "LEN"} {
		s = strings.ReplaceAll(s, "S"+part, which+strings.ToLower(part))
	}
	return strings.ReplaceAll(s, "SIZE", fmt.Sprint(size))
}

// bodies returns the Go code of each instruction. The result, if any, is in v
// and in rd after it.
func bodies() (order []string, body map[string]string) {
	body = map[string]string{}
	add := func(op, code string) {
		order = append(order, op)
		body[op] = code
	}
	for _, i := range values {
		add(i.op, "v = "+i.expr+"\nx[o.rd] = v\n")
	}
	for _, i := range loads {
		add(i.op, window("r", i.size)+"v = "+i.expr+"\nx[o.rd] = v\n")
	}
	for _, i := range stores {
		add(i.op, window("w", i.size)+fmt.Sprintf("*(*uint%d)(unsafe.Add(q, d)) = uint%d(B)\n", 8*i.size, 8*i.size))
	}
	for _, i := range branches {
		add(i.op, "if "+i.cond+" {\np = unsafe.Add(p, int(o.imm))\nstop += uintptr(o.imm)\n}\n")
	}
	add("codeJ", "p = unsafe.Add(p, int(o.imm))\nstop += uintptr(o.imm)\n")
	add("JAL", `	x[o.rd] = *(*uint32)(unsafe.Add(w.pcs, (uintptr(p)-uintptr(w.ops))/2))
	p = unsafe.Add(p, int(o.imm))
	stop += uintptr(o.imm)
`)
	add("JALR", `	a = (A+uint32(o.imm))&^1 - w.base
	if a >= w.size {
		goto leave
	}
	d = *(*uint32)(unsafe.Add(w.at, a*2))
	if d == nowhere {
		goto leave
	}
	x[o.rd] = *(*uint32)(unsafe.Add(w.pcs, (uintptr(p)-uintptr(w.ops))/2))
	q = unsafe.Add(w.ops, d)
	stop += uintptr(q) - uintptr(p)
	p = q
`)
	for _, i := range divisions {
		add(i.op, fmt.Sprintf(`	a, b := A, B
	if b == 0 {
		x[o.rd] = %s
	} else {
		x[o.rd] = %s
	}
	w.extra += 19
	stop -= 19 * unsafe.Sizeof(op{})
`, i.zero, i.expr))
	}
	list := floats()
	for i := 0; i < len(list); i += 2 {
		add(list[i], list[i+1])
	}
	return order, body
}

// operands puts the registers in place. In a chain A is the value in v.
func operands(code, a string) string {
	words := strings.NewReplacer("A", a, "B", "x[o.rs2]")
	var out strings.Builder
	for i, r := range code {
		alone := (i == 0 || !letter(code[i-1])) && (i+1 == len(code) || !letter(code[i+1]))
		if (r == 'A' || r == 'B') && alone {
			out.WriteString(words.Replace(string(r)))
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.'
}

const head = `// Code generated by cores/riscv/rv/gen; DO NOT EDIT.

package rv

import (
	"math"
	"math/bits"
	"unsafe"
)

// loop executes ops of a segment from the given one on, while the budget has
// room for two more. It returns at an op that it does not do, and what is left
// of the budget. It calls nothing but a few functions of floats, and has but
// three variables that live from op to op, so that these stay in registers.
//
//go:nocheckptr
func (h *Hart) loop(seg *segment, first uint32, budget int64) (next uint32, left int64, extra uint64) {
	x := &h.X
	var w view
	h.look(&w, seg)
	var a, d, v uint32
	var q unsafe.Pointer
	var r, y, z, c, e float64
	var s float32
	p := unsafe.Add(w.ops, first)
	// The budget is used up where stop is: it moves along with jumps.
	stop := uintptr(p) + uintptr(budget-1)*unsafe.Sizeof(op{})
	for uintptr(p) < stop {
		o := (*op)(p)
		p = unsafe.Add(p, unsafe.Sizeof(op{}))
		switch o.code {
`

const tail = `		default:
			goto leave
		}
	}
	return uint32(uintptr(p) - uintptr(w.ops)), (int64(stop)-int64(uintptr(p)))/int64(unsafe.Sizeof(op{})) + 1, w.extra
leave:
	return uint32(uintptr(p)-uintptr(w.ops)) - uint32(unsafe.Sizeof(op{})),
		(int64(stop)-int64(uintptr(p)))/int64(unsafe.Sizeof(op{})) + 2, w.extra
}
`

func source() ([]byte, error) {
	order, body := bodies()
	var out bytes.Buffer
	out.WriteString(head)
	for _, op := range order {
		fmt.Fprintf(&out, "case uint8(%s):\n%s", op, operands(body[op], "x[o.rs1]"))
	}
	var table bytes.Buffer
	for i, name := range strings.Fields(pairs) {
		first, second, chained := strings.Cut(name, ">")
		a := "v"
		if !chained {
			first, second, _ = strings.Cut(name, "+")
			a = "x[o.rs1]"
		}
		if body[first] == "" || body[second] == "" {
			return nil, fmt.Errorf("pair %s is of unknown instructions", name)
		}
		fmt.Fprintf(&table, "{uint8(%s), uint8(%s), %t},\n", first, second, chained)
		fmt.Fprintf(&out, "case firstPair + %d: // %s\n%s", i, name, operands(body[first], "x[o.rs1]"))
		fmt.Fprintf(&out, "o = (*op)(p)\np = unsafe.Add(p, unsafe.Sizeof(op{}))\n%s", operands(body[second], a))
	}
	out.WriteString(tail)
	fmt.Fprintf(&out, "\n// pairs are those that have a case of their own.\nvar pairs = [...]pair{\n%s}\n", table.String())
	return format.Source(out.Bytes())
}

func main() {
	src, err := source()
	if err == nil {
		err = os.WriteFile("fast.go", src, 0o666)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

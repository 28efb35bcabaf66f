package hot

import "warren/cores/riscv/rv"

// code writes the instructions of node i, without the one that ends it.
func (m *emitter) code(i int) {
	n := &m.f.nodes[i]
	list := n.code
	switch n.kind {
	case kBranch, kCall, kICall, kReturn, kSwitch, kTail:
		list = list[:len(list)-1]
	}
	m.writeBack(m.dirty & n.store)
	m.foresee(i)
	pc := n.pc
	for _, in := range list {
		m.inst(in, pc)
		m.p += cycles(in)
		m.dirty |= writes(in)
		pc += uint32(in.Len)
	}
	if n.kind != kCall && n.kind != kICall && len(list) < len(n.code) {
		m.p++
	}
	if n.kind == kCall || n.kind == kICall {
		m.p++
	}
}

// value puts a register's value on the stack.
func (m *emitter) value(r uint8) {
	if k := m.reg[r]; k.root == 0 {
		m.c.i32(k.delta)
		return
	}
	m.c.get(m.x + uint32(r))
}

// put takes a register's new value from the stack.
func (m *emitter) put(r uint8) { m.c.set(m.x + uint32(r)) }

// link sets a register to a return address.
func (m *emitter) link(r uint8, back uint32) {
	if r == 0 {
		return
	}
	m.c.i32(int32(back))
	m.put(r)
	m.reg[r] = fact{0, int32(back)}
	m.dirty |= reg(r)
}

// simple gives the operations that are one instruction in WebAssembly too.
var simple = [256]byte{
	rv.ADD: wI32Add, rv.SUB: wI32Sub, rv.SLL: wI32Shl, rv.SLT: wI32LtS, rv.SLTU: wI32LtU,
	rv.XOR: wI32Xor, rv.SRL: wI32ShrU, rv.SRA: wI32ShrS, rv.OR: wI32Or, rv.AND: wI32And, rv.MUL: wI32Mul,
	rv.ADDI: wI32Add, rv.SLTI: wI32LtS, rv.SLTIU: wI32LtU, rv.XORI: wI32Xor, rv.ORI: wI32Or, rv.ANDI: wI32And,
	rv.SLLI: wI32Shl, rv.SRLI: wI32ShrU, rv.SRAI: wI32ShrS, rv.ROL: wI32Rotl, rv.ROR: wI32Rotr, rv.RORI: wI32Rotr,
	rv.CLZ: wI32Clz, rv.CTZ: wI32Ctz, rv.CPOP: wI32Popcnt, rv.SEXTB: wI32Extend8S, rv.SEXTH: wI32Extend16S,
}

// access gives the loads and stores.
var access = [256]byte{
	rv.LB: wI32Load8S, rv.LBU: wI32Load8U, rv.LH: wI32Load16S, rv.LHU: wI32Load16U, rv.LW: wI32Load,
	rv.SB: wI32Store8, rv.SH: wI32Store16, rv.SW: wI32Store,
}

// inst writes one instruction.
func (m *emitter) inst(in rv.Inst, pc uint32) {
	switch {
	case in.Op == rv.FENCE:
		return
	case loads(in.Op):
		offset := m.address(in, pc)
		m.c.mem(access[in.Op], offset)
		if in.Rd == 0 {
			m.c.op(wDrop)
			return
		}
		m.put(in.Rd)
		m.forget(in.Rd)
		m.in[in.Rd] = m.bounds(in)
		return
	case stores(in.Op):
		offset := m.address(in, pc)
		m.value(in.Rs2)
		m.c.mem(access[in.Op], offset)
		return
	case divides(in.Op):
		m.extra(divExtra)
	}
	if in.Rd == 0 {
		return
	}
	known, bounds := m.result(in, pc), m.bounds(in)
	switch {
	case known.root == 0:
		m.c.i32(known.delta)
	case in.Op == rv.ADD && in.Rs1 == 0:
		m.value(in.Rs2)
	case in.Op == rv.ADD && in.Rs2 == 0:
		m.value(in.Rs1)
	default:
		m.compute(in)
	}
	m.put(in.Rd)
	m.reg[in.Rd], m.in[in.Rd] = known, bounds
}

// extra counts cycles beyond one.
func (m *emitter) extra(n int32) {
	m.c.globalGet(gExtra)
	m.c.i32(n)
	m.c.op(wI32Add)
	m.c.globalSet(gExtra)
}

// compute puts an instruction's result on the stack.
func (m *emitter) compute(in rv.Inst) {
	if op := simple[in.Op]; op != 0 {
		m.value(in.Rs1)
		switch {
		case in.Op >= rv.ADDI && in.Op <= rv.SRAI, in.Op == rv.RORI:
			if in.Op == rv.ADDI && in.Imm == 0 {
				return
			}
			m.c.i32(in.Imm)
		case in.Op >= rv.CLZ && in.Op <= rv.CPOP, in.Op == rv.SEXTB, in.Op == rv.SEXTH:
		default:
			m.value(in.Rs2)
		}
		m.c.op(op)
		return
	}
	switch {
	case divides(in.Op):
		m.divide(in)
	case in.Op >= rv.MULH && in.Op <= rv.MULHU:
		m.high(in)
	default:
		m.bits(in)
	}
}

// high writes the upper halves of products.
func (m *emitter) high(in rv.Inst) {
	a, b := byte(wI64ExtendI32S), byte(wI64ExtendI32S)
	if in.Op == rv.MULHU {
		a = wI64ExtendI32U
	}
	if in.Op != rv.MULH {
		b = wI64ExtendI32U
	}
	m.value(in.Rs1)
	m.c.op(a)
	m.value(in.Rs2)
	m.c.op(b)
	m.c.op(wI64Mul, wI64Const)
	m.c.s64(32)
	m.c.op(wI64ShrU, wI32WrapI64)
}

func divides(o rv.Op) bool { return o >= rv.DIV && o <= rv.REMU }

var division = [256]byte{rv.DIV: wI32DivS, rv.DIVU: wI32DivU, rv.REM: wI32RemS, rv.REMU: wI32RemU}

// divide writes divisions. By 0 the quotient is -1 and the remainder the
// dividend; the least number by -1 overflows to itself, remainder 0.
func (m *emitter) divide(in rv.Inst) {
	signed := in.Op == rv.DIV || in.Op == rv.REM
	m.value(in.Rs2)
	if signed {
		m.c.i32(1)
		m.c.op(wI32Add)
		m.c.i32(2)
		m.c.op(wI32LtU)
	} else {
		m.c.op(wI32Eqz)
	}
	m.c.op(wIf, wI32)
	switch in.Op {
	case rv.DIV: // by 0 or -1
		m.c.i32(-1)
		m.c.i32(0)
		m.value(in.Rs1)
		m.c.op(wI32Sub)
		m.value(in.Rs2)
		m.c.op(wI32Eqz, wSelect)
	case rv.DIVU:
		m.c.i32(-1)
	case rv.REM:
		m.value(in.Rs1)
		m.c.i32(0)
		m.value(in.Rs2)
		m.c.op(wI32Eqz, wSelect)
	case rv.REMU:
		m.value(in.Rs1)
	}
	m.c.op(wElse)
	m.value(in.Rs1)
	m.value(in.Rs2)
	m.c.op(division[in.Op])
	m.c.op(wEnd)
}

// bits writes what Zba, Zbb and Zbs have beyond simple operations.
func (m *emitter) bits(in rv.Inst) {
	switch in.Op {
	case rv.SH1ADD, rv.SH2ADD, rv.SH3ADD:
		m.value(in.Rs1)
		m.c.i32(int32(in.Op-rv.SH1ADD) + 1)
		m.c.op(wI32Shl)
		m.value(in.Rs2)
		m.c.op(wI32Add)
	case rv.ANDN, rv.ORN, rv.XNOR:
		m.value(in.Rs1)
		m.value(in.Rs2)
		m.c.i32(-1)
		m.c.op(wI32Xor, map[rv.Op]byte{rv.ANDN: wI32And, rv.ORN: wI32Or, rv.XNOR: wI32Xor}[in.Op])
	case rv.MAX, rv.MAXU, rv.MIN, rv.MINU:
		m.value(in.Rs1)
		m.value(in.Rs2)
		m.value(in.Rs1)
		m.value(in.Rs2)
		m.c.op(map[rv.Op]byte{rv.MAX: wI32GtS, rv.MAXU: wI32GtU, rv.MIN: wI32LtS, rv.MINU: wI32LtU}[in.Op], wSelect)
	case rv.ZEXTH:
		m.value(in.Rs1)
		m.c.i32(0xffff)
		m.c.op(wI32And)
	case rv.ORCB:
		m.orcb(in)
	case rv.REV8:
		m.rotated(in.Rs1, wI32Rotl, 0x00ff00ff)
		m.rotated(in.Rs1, wI32Rotr, -0xff0100)
		m.c.op(wI32Or)
	default:
		m.single(in)
	}
}

func (m *emitter) rotated(r uint8, op byte, mask int32) {
	m.value(r)
	m.c.i32(8)
	m.c.op(op)
	m.c.i32(mask)
	m.c.op(wI32And)
}

// orcb makes every byte that is not 0 be 255.
func (m *emitter) orcb(in rv.Inst) {
	m.value(in.Rs1)
	m.c.i32(0x7f7f7f7f)
	m.c.op(wI32And)
	m.c.i32(0x7f7f7f7f)
	m.c.op(wI32Add)
	m.value(in.Rs1)
	m.c.op(wI32Or)
	m.c.i32(7)
	m.c.op(wI32ShrU)
	m.c.i32(0x01010101)
	m.c.op(wI32And)
	m.c.i32(255)
	m.c.op(wI32Mul)
}

// single writes the operations on single bits.
func (m *emitter) single(in rv.Inst) {
	number := func() {
		switch in.Op {
		case rv.BCLRI, rv.BEXTI, rv.BINVI, rv.BSETI:
			m.c.i32(in.Imm)
		default:
			m.value(in.Rs2)
		}
	}
	m.value(in.Rs1)
	if in.Op == rv.BEXT || in.Op == rv.BEXTI {
		number()
		m.c.op(wI32ShrU)
		m.c.i32(1)
		m.c.op(wI32And)
		return
	}
	m.c.i32(1)
	number()
	m.c.op(wI32Shl)
	switch in.Op {
	case rv.BCLR, rv.BCLRI:
		m.c.i32(-1)
		m.c.op(wI32Xor, wI32And)
	case rv.BINV, rv.BINVI:
		m.c.op(wI32Xor)
	default:
		m.c.op(wI32Or)
	}
}

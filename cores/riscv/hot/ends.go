package hot

import "warren/cores/riscv/rv"

// end writes how node i ends.
func (m *emitter) end(i int, n *node) {
	switch n.kind {
	case kFall:
		m.settle(n)
		m.follow(i, n.succ[0])
	case kBranch:
		m.branch(i, n)
	case kCall, kICall:
		m.aligned(n)
		m.call(i, n)
	case kTail:
		m.tail(func() { m.callee(n.target) }, m.t.functionAt(n.target))
	case kReturn:
		in := n.code[len(n.code)-1]
		m.aligned(n)
		m.writeBack(m.dirty)
		m.target(in)
		m.left(m.p)
		m.c.br(len(m.labels))
	case kSwitch:
		m.aligned(n)
		m.table(i, n)
	case kLeave:
		m.leave(n.end)
	case kDoor:
		m.door(n)
	case kDesk:
		m.desk(n)
	}
}

// aligned leaves the function before an indirect jump to where no instruction
// can be, which is nowhere for harts that have C.
func (m *emitter) aligned(n *node) {
	in := n.code[len(n.code)-1]
	mask := m.t.image.Align() - 2 // bit 0 is cleared
	if mask == 0 || in.Op != rv.JALR {
		return
	}
	m.p-- // the jump itself was counted
	m.leaveIf(n.end-uint32(in.Len), func() {
		m.target(in)
		m.c.i32(int32(mask))
		m.c.op(wI32And)
	})
	m.p++
}

// target puts the address of an indirect jump on the stack.
func (m *emitter) target(in rv.Inst) {
	m.value(in.Rs1)
	if in.Imm != 0 {
		m.c.i32(in.Imm)
		m.c.op(wI32Add)
	}
	m.c.i32(-2)
	m.c.op(wI32And)
}

func (m *emitter) branch(i int, n *node) {
	in := n.code[len(n.code)-1]
	taken, not := n.succ[0], n.succ[1]
	farTaken, farNot := m.far(i, taken), m.far(i, not)
	if taken.state != 0 && not.state != 0 || !farTaken && !farNot {
		m.settle(n)
		m.compare(in, false)
		m.open(wIf, -1)
		saved := m.save()
		m.follow(i, taken)
		m.restore(saved)
		m.endIf()
		m.follow(i, not)
		return
	}
	if !farTaken {
		taken, not = not, taken
	}
	// A state that the other edge does not read may be set early. The budget is
	// settled on the way of the branch if what follows can do without.
	m.setState(taken)
	late := !m.flushes(not)
	if !late {
		m.settle(n)
	}
	m.compare(in, !farTaken)
	m.open(wIf, -1)
	if late {
		p := m.p
		m.flush()
		m.p = p
		m.pending[not.to] = p
	}
	m.c.br(m.label(taken.to))
	m.endIf()
	m.follow(i, not)
}

// A mark is what the emitter knew at a place.
type mark struct {
	facts *facts
	p     int32
	dirty regs
}

func (m *emitter) save() mark { return mark{m.facts, m.p, m.dirty} }

func (m *emitter) restore(k mark) { m.facts, m.p, m.dirty = k.facts, k.p, k.dirty }

var comparison = [256]byte{
	rv.BEQ: wI32Eq, rv.BNE: wI32Ne, rv.BLT: wI32LtS, rv.BGE: wI32GeS, rv.BLTU: wI32LtU, rv.BGEU: wI32GeU,
}

var opposite = [256]byte{
	wI32Eq: wI32Ne, wI32Ne: wI32Eq, wI32LtS: wI32GeS, wI32GeS: wI32LtS, wI32LtU: wI32GeU, wI32GeU: wI32LtU,
}

// compare puts a branch's condition on the stack, or its opposite.
func (m *emitter) compare(in rv.Inst, not bool) {
	op := comparison[in.Op]
	if not {
		op = opposite[op]
	}
	m.value(in.Rs1)
	m.value(in.Rs2)
	m.c.op(op)
}

// callee pushes what a known function wants beside the budget, and calls it.
func (m *emitter) callee(target uint32) {
	g := m.t.functionAt(target)
	if g.states > 0 {
		m.c.i32(0)
	}
	m.c.op(wCall)
	m.c.u32(g.index)
}

// call calls a function. The budget that it gets is less by what may be spent
// behind its return before the budget is checked again, and, if calls may
// form a circle, by a toll that bounds their depth. A function that was left,
// or returned elsewhere, returns another address than the one expected: so do
// its callers then.
func (m *emitter) call(i int, n *node) {
	in := n.code[len(n.code)-1]
	back := n.end
	callee := m.t.functionAt(n.target)
	if n.kind == kICall {
		callee = nil
		m.target(in)
		m.c.set(m.tmp)
	}
	m.link(in.Rd, back)
	reserve := m.f.beyond(n.succ[0]) + m.t.toll(m.f, callee)
	m.writeBack(m.dirty)
	if n.kind == kICall {
		m.c.get(m.tmp)
	}
	m.c.get(m.b)
	m.c.i32(m.p + reserve)
	m.c.op(wI32Sub)
	if callee != nil {
		m.callee(n.target)
	} else {
		m.c.op(wCall)
		m.c.u32(m.t.indirect)
	}
	m.c.set(m.b)
	m.c.tee(m.tmp)
	m.c.i32(int32(back))
	m.c.op(wI32Ne)
	m.open(wIf, -1)
	m.c.get(m.tmp)
	m.left(-reserve)
	m.c.br(len(m.labels))
	m.endIf()
	m.p = -reserve
	gone := m.t.clobbered(n)
	m.load(gone & m.f.liveOut(i))
	gone.each(m.forget)
	m.settle(n)
	m.follow(i, n.succ[0])
}

// tail leaves the function for another one that returns in its place.
func (m *emitter) tail(call func(), callee *function) {
	toll := m.t.toll(m.f, callee)
	m.writeBack(m.dirty)
	m.c.get(m.b)
	m.c.i32(m.p + toll)
	m.c.op(wI32Sub)
	call()
	if toll != 0 {
		m.c.i32(toll)
		m.c.op(wI32Add)
	}
	m.c.op(wReturn)
}

// table writes an indirect jump: to a node if its address is known, else to
// whatever function begins there.
func (m *emitter) table(i int, n *node) {
	in := n.code[len(n.code)-1]
	m.target(in)
	m.c.set(m.tmp)
	m.settle(n)
	m.flush()
	if len(n.succ) > 0 {
		m.open(wBlock, -1)
		m.jumpTable(i, n)
		m.close()
	}
	m.tail(func() {
		m.c.set(m.b)
		m.c.get(m.tmp)
		m.c.get(m.b)
		m.c.op(wCall)
		m.c.u32(m.t.indirect)
	}, nil)
}

// maxTable bounds the entries of a jump table.
const maxTable = 2048

func (m *emitter) jumpTable(i int, n *node) {
	pc := func(e edge) uint32 {
		to := &m.f.nodes[e.to]
		if to.kind == kFall && len(to.code) == 0 || to.kind == kDesk {
			return m.f.nodes[m.f.named(m.f.nodes[e.to].succ[0].state)].pc
		}
		return to.pc
	}
	first, last := pc(n.succ[0]), pc(n.succ[len(n.succ)-1])
	size := (last-first)/2 + 1
	if size > maxTable {
		return
	}
	to := make([]int, size)
	for _, e := range n.succ {
		to[(pc(e)-first)/2] = m.label(e.to) + 1
	}
	m.c.get(m.tmp)
	m.c.i32(int32(first))
	m.c.op(wI32Sub)
	m.c.i32(1)
	m.c.op(wI32ShrU, wBrTable)
	m.c.u32(size)
	for _, depth := range to {
		m.c.u32(uint32(max(depth-1, 0)))
	}
	m.c.u32(0)
}

// door writes the function's entry: it loads what is needed, and goes to the
// start or where the function is resumed.
func (m *emitter) door(n *node) {
	if m.f.states == 0 {
		m.load(m.f.live[n.succ[0].to])
		m.settle(n)
		m.follow(0, n.succ[0])
		return
	}
	m.c.get(m.e)
	m.c.op(wI32Eqz)
	m.open(wIf, -1)
	m.load(m.f.live[n.succ[0].to])
	m.follow(0, n.succ[0])
	m.endIf()
	var live regs
	for _, e := range n.succ[1:] {
		live |= m.f.live[e.to] | m.f.known[m.f.named(e.state)].set
	}
	m.load(live)
	m.c.get(m.e)
	m.c.set(m.state)
	m.route(m.e, n.succ[1:], func(e edge) { m.guard(m.f.named(e.state)) })
}

// desk goes to the node that the state names; the first is the likely one.
func (m *emitter) desk(n *node) {
	m.route(m.state, n.succ, func(edge) {})
}

// route branches to the edge that the local names, and does something before.
// There are few, and a table would cost wazero a block for each state.
func (m *emitter) route(local uint32, list []edge, before func(edge)) {
	for k, e := range list {
		if k == len(list)-1 {
			before(e)
			m.c.br(m.label(e.to))
			return
		}
		m.c.get(local)
		m.c.i32(int32(e.state))
		m.c.op(wI32Eq)
		// Not br_if: wazero does not fuse a comparison with a branch whose edge it
		// has to split.
		m.open(wIf, -1)
		before(e)
		m.c.br(m.label(e.to))
		m.endIf()
	}
	m.c.op(wUnreachable)
}

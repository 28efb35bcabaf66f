package hot

// Globals of a module: x1 to x31 are 0 to 30.
const (
	gShift   = 31 // offset of window 1 in the memory
	gExtra   = 32 // cycles beyond one an instruction
	nGlobals = 33
)

// An emitter writes one function.
type emitter struct {
	t *translator
	f *function
	c code

	labels []int // of the blocks around what is written; -1: none
	preds  []int // edges that lead to each node
	kids   [][]int

	nLocals uint32
	b, e    uint32 // budget; where to resume
	x       uint32 // x0's local, which does not exist: x1 follows
	state   uint32
	tmp     uint32
	zero    uint32

	roots   int32
	ends    []*facts // what is known at the end of a node
	pending []int32  // cycles not yet taken from the budget at its beginning

	*facts
	p     int32 // cycles not yet taken from the budget
	dirty regs
	plan  map[int32]span
}

// emit returns the body of the function: locals and code.
func (t *translator) emit(f *function) code {
	m := &emitter{t: t, f: f, ends: make([]*facts, len(f.nodes)), roots: 1}
	m.pending = make([]int32, len(f.nodes))
	m.b = 0
	m.nLocals = 1
	if f.states > 0 {
		m.e = 1
		m.nLocals = 2
	}
	params := m.nLocals
	m.x = m.nLocals - 1
	m.nLocals += 31
	for _, l := range []*uint32{&m.state, &m.tmp, &m.zero} {
		*l = m.local()
	}
	m.preds = make([]int, len(f.nodes))
	m.kids = make([][]int, len(f.nodes))
	for _, u := range f.order {
		for _, e := range f.nodes[u].succ {
			m.preds[e.to]++
		}
		if u != 0 {
			m.kids[f.idom[u]] = append(m.kids[f.idom[u]], u)
		}
	}
	m.tree(0)
	m.c.op(wUnreachable)
	return m.wrap(params)
}

func (m *emitter) local() uint32 {
	m.nLocals++
	return m.nLocals - 1
}

// wrap puts the block around the body at whose end the function is left, and
// declares the locals.
func (m *emitter) wrap(params uint32) code {
	var out code
	out.u32(1)
	out.u32(m.nLocals - params)
	out.op(wI32, wBlock)
	out.s64(tPair)
	out = append(out, m.c...)
	out.op(wEnd, wEnd)
	return out
}

// leaveIf leaves the function before the instruction at pc, for the
// interpreter, if the condition that cond puts on the stack holds.
func (m *emitter) leaveIf(pc uint32, cond func()) {
	cond()
	m.open(wIf, -1)
	m.leave(pc)
	m.endIf()
}

// leave leaves the function before the instruction at pc. Every exit writes
// the registers back itself: were they written at one place, registers and
// their copies would have to be moved there, and the host has too few.
func (m *emitter) leave(pc uint32) {
	m.store(m.dirty)
	m.c.i32(int32(pc | 1))
	m.left(m.p)
	m.c.br(len(m.labels))
}

// left puts the budget on the stack, less by n.
func (m *emitter) left(n int32) {
	m.c.get(m.b)
	if n != 0 {
		m.c.i32(n)
		m.c.op(wI32Sub)
	}
}

// label returns the depth of the block or loop of a node.
func (m *emitter) label(n int) int {
	for k := len(m.labels) - 1; k >= 0; k-- {
		if m.labels[k] == n {
			return len(m.labels) - 1 - k
		}
	}
	panic("hot: no label")
}

func (m *emitter) open(op byte, label int) {
	m.c.op(op, wVoid)
	m.labels = append(m.labels, label)
}

func (m *emitter) close() {
	m.c.op(wEnd)
	m.labels = m.labels[:len(m.labels)-1]
}

// endIf ends an if that has no else. It gets an empty one: else wazero forgets
// which addresses it has checked before.
func (m *emitter) endIf() {
	m.c.op(wElse)
	m.close()
}

// tree writes a node and all that it dominates, after Ramsey, "Beyond
// Relooper" (2022): the nodes where paths meet follow the blocks that branch
// to them, heads of loops are loops, and everything else is nested where it
// is branched to.
func (m *emitter) tree(i int) {
	head := m.f.heads[i]
	if head {
		m.open(wLoop, i)
	}
	var meet []int
	for _, k := range m.kids[i] {
		if m.f.merge[k] {
			meet = append(meet, k)
		}
	}
	for k := len(meet) - 1; k >= 0; k-- {
		m.open(wBlock, meet[k])
	}
	m.node(i)
	for _, k := range meet {
		m.close()
		m.tree(k)
	}
	if head {
		m.close()
	}
}

// node writes the code of node i and how it ends.
func (m *emitter) node(i int) {
	n := &m.f.nodes[i]
	m.begin(i)
	if n.check {
		m.leaveIf(n.pc, func() {
			m.c.get(m.b)
			m.c.i32(m.f.bound(i))
			m.c.op(wI32LtS)
		})
	}
	m.code(i)
	m.end(i, n)
	m.ends[i] = m.facts
}

// begin sets what is known at the beginning of node i.
func (m *emitter) begin(i int) {
	m.dirty = m.f.dirty[i]
	m.p = m.pending[i]
	known := m.ends[m.f.idom[i]]
	if m.preds[i] > 1 || known == nil || m.f.nodes[m.f.idom[i]].kind == kDoor {
		m.facts = m.nothing()
	} else {
		m.facts = known.copy()
	}
	k := &m.f.known[i]
	k.set.each(func(r uint8) { m.reg[r] = fact{0, k.value[r]} })
}

// flush takes the cycles spent from the budget.
func (m *emitter) flush() {
	if m.p == 0 {
		return
	}
	m.c.get(m.b)
	m.c.i32(m.p)
	m.c.op(wI32Sub)
	m.c.set(m.b)
	m.p = 0
}

// settle flushes if a path goes on where others do, and tells the next nodes.
func (m *emitter) settle(n *node) {
	for _, e := range n.succ {
		if m.flushes(e) {
			m.flush()
		}
	}
	for _, e := range n.succ {
		m.pending[e.to] = m.p
	}
}

// flushes says whether an edge leads to where the budget must be settled.
func (m *emitter) flushes(e edge) bool {
	return m.preds[e.to] > 1 || m.f.nodes[e.to].check || m.f.merge[e.to]
}

// far says whether an edge is a branch to a label, and not what comes next.
func (m *emitter) far(from int, e edge) bool {
	return m.f.rpo[e.to] <= m.f.rpo[from] || m.f.merge[e.to]
}

func (m *emitter) setState(e edge) {
	if e.state != 0 {
		m.c.i32(int32(e.state))
		m.c.set(m.state)
	}
}

// follow goes on at an edge.
func (m *emitter) follow(from int, e edge) {
	m.setState(e)
	if m.far(from, e) {
		m.c.br(m.label(e.to))
		return
	}
	m.ends[from] = m.facts
	m.tree(e.to)
}

// writeBack stores registers, which then are no longer dirty.
func (m *emitter) writeBack(set regs) {
	m.store(set)
	m.dirty &^= set
}

// store writes registers to the globals.
func (m *emitter) store(set regs) {
	set.each(func(r uint8) {
		m.value(r)
		m.c.globalSet(uint32(r) - 1)
	})
}

// load reads registers.
func (m *emitter) load(set regs) {
	set.each(func(r uint8) {
		m.c.globalGet(uint32(r) - 1)
		m.c.set(m.x + uint32(r))
	})
}

package hot

import (
	"math"

	"warren/cores/riscv/rv"
)

// A fact is what is known of a register: it holds a root, a value that has no
// name, plus a constant. Root 0 is the number 0.
type fact struct{ root, delta int32 }

// A span is the range of addresses from lo to hi relative to a root.
type span struct {
	lo, hi int32
	write  bool
	count  int
}

// covers says whether all of t lies in s, in the arithmetic of addresses.
func (s span) covers(t span) bool {
	size, off := uint32(s.hi-s.lo), uint32(t.lo-s.lo)
	return off <= size && size-off >= uint32(t.hi-t.lo) && (s.write || !t.write)
}

// join returns the least span around both, or s if that is too wide.
func (s span) join(t span) span {
	u := span{min(s.lo, t.lo), max(s.hi, t.hi), s.write || t.write, s.count + 1}
	if s.lo > s.hi || t.lo > t.hi || int64(u.hi)-int64(u.lo) > widest {
		return s
	}
	return u
}

// A proof says that the addresses of a span are in memory, and may be
// written if the span says so: lo is at the memory offset that the local holds,
// plus a constant.
type proof struct {
	span
	root  int32
	local uint32
	shift uint32
}

// facts are known at a place of the code.
type facts struct {
	reg    [32]fact
	in     [32]interval // what the register's number lies in
	proofs []proof
}

// An interval is the numbers from lo to hi, without a sign.
type interval struct{ lo, hi uint32 }

var anything = interval{0, math.MaxUint32}

// plus returns the interval of the sums, if none of them wraps around.
func (a interval) plus(b interval) interval {
	if uint64(a.hi)+uint64(b.hi) > math.MaxUint32 {
		return anything
	}
	return interval{a.lo + b.lo, a.hi + b.hi}
}

// interval returns what is known of a register's number.
func (m *emitter) interval(r uint8) interval {
	if k := m.reg[r]; k.root == 0 {
		return interval{uint32(k.delta), uint32(k.delta)}
	}
	return m.in[r]
}

// bounds returns the interval of what an instruction computes.
func (m *emitter) bounds(in rv.Inst) interval {
	a, b := m.interval(in.Rs1), m.interval(in.Rs2)
	shift := uint32(in.Imm) & 31
	switch in.Op {
	case rv.LBU:
		return interval{0, math.MaxUint8}
	case rv.LHU, rv.ZEXTH:
		return interval{0, math.MaxUint16}
	case rv.SLTI, rv.SLTIU, rv.SLT, rv.SLTU:
		return interval{0, 1}
	case rv.ANDI:
		if in.Imm >= 0 {
			return interval{0, min(a.hi, uint32(in.Imm))}
		}
	case rv.AND:
		return interval{0, min(a.hi, b.hi)}
	case rv.SRLI:
		return interval{a.lo >> shift, a.hi >> shift}
	case rv.SLLI:
		if a.hi<<shift>>shift == a.hi {
			return interval{a.lo << shift, a.hi << shift}
		}
	case rv.ADDI:
		return a.plus(interval{uint32(in.Imm), uint32(in.Imm)})
	case rv.ADD:
		return a.plus(b)
	case rv.SH1ADD, rv.SH2ADD, rv.SH3ADD:
		if by := uint32(in.Op-rv.SH1ADD) + 1; a.hi<<by>>by == a.hi {
			return interval{a.lo << by, a.hi << by}.plus(b)
		}
	}
	return anything
}

func (k *facts) copy() *facts {
	c := *k
	c.proofs = append([]proof(nil), k.proofs...)
	return &c
}

// nothing is known but that x0 is 0.
func (m *emitter) nothing() *facts {
	k := &facts{}
	for r := 1; r < 32; r++ {
		k.reg[r], k.in[r] = m.fresh(), anything
	}
	return k
}

func (m *emitter) fresh() fact {
	m.roots++
	return fact{root: m.roots}
}

func (m *emitter) forget(r uint8) {
	if r != 0 {
		m.reg[r], m.in[r] = m.fresh(), anything
	}
}

// linear returns what an instruction computes from what a and b say of its
// registers, if that is a root plus a constant.
func linear(in rv.Inst, pc uint32, a, b fact) (f fact, ok bool) {
	switch {
	case in.Op == rv.LUI:
		return fact{0, in.Imm}, true
	case in.Op == rv.AUIPC:
		return fact{0, int32(pc) + in.Imm}, true
	case in.Op == rv.JAL: // a call, or by another register than ra a jump
		return fact{0, int32(pc) + int32(in.Len)}, true
	case in.Op == rv.ADDI:
		return fact{a.root, a.delta + in.Imm}, true
	case in.Op == rv.ADD && b.root == 0:
		return fact{a.root, a.delta + b.delta}, true
	case in.Op == rv.ADD && a.root == 0:
		return fact{b.root, a.delta + b.delta}, true
	case in.Op == rv.SUB && b.root == 0:
		return fact{a.root, a.delta - b.delta}, true
	}
	return fact{}, false
}

// result returns what is known of what an instruction computes.
func (m *emitter) result(in rv.Inst, pc uint32) fact {
	if f, ok := linear(in, pc, m.reg[in.Rs1], m.reg[in.Rs2]); ok {
		return f
	}
	return m.fresh()
}

// widest bounds the spans that are proved at once.
const widest = 4096

// foresee proves at the beginning of a node what is accessed there relative to
// registers as they are now, and at the head of an unrolled loop what its copies
// access, too. That may be more than this round of the loop comes to: then the
// interpreter does the rest of it.
func (m *emitter) foresee(i int) {
	plan := m.survey(i)
	pc := m.f.nodes[i].pc
	var made []proof
	for r := uint8(1); r < 32; r++ {
		at := m.reg[r]
		s, ok := plan[at.root]
		if !ok || len(plan) == 1 && s.count == 1 || m.proved(at.root, s) != nil {
			continue
		}
		delete(plan, at.root)
		made = append(made, m.prove(at, r, s, pc))
	}
	// wazero forgets what it knows of addresses where paths meet, as they do in
	// proofs: so all of them first. What a local holds there has one name when it
	// is first read, and another from then on.
	for _, p := range made {
		m.c.get(p.local)
		m.c.op(wDrop)
		m.assure(p)
	}
}

// survey finds which addresses node i uses relative to each root, so that the
// first access of each can prove them all: that is the plan. The roots are those
// that the emitter will find: they are numbered in the same order. It returns what
// is used of them that there are already, in an unrolled loop also by its copies.
func (m *emitter) survey(i int) map[int32]span {
	m.plan = map[int32]span{}
	held := map[int32]span{}
	saved, roots := *m.facts, m.roots
	for at := i; at >= 0; {
		n := &m.f.nodes[at]
		pc := n.pc
		for _, in := range n.code {
			if loads(in.Op) || stores(in.Op) {
				base := m.reg[in.Rs1]
				if at == i {
					intend(m.plan, base, in)
				}
				if base.root != 0 && base.root <= roots {
					intend(held, base, in)
				}
			}
			if in.Rd != 0 {
				m.reg[in.Rd] = m.result(in, pc)
			}
			pc += uint32(in.Len)
		}
		at = m.only(n)
	}
	*m.facts, m.roots = saved, roots
	return held
}

// only returns the one node of an unrolled loop's copies that follows a node,
// or -1.
func (m *emitter) only(n *node) int {
	next := -1
	for _, e := range n.succ {
		if n.group == 0 || m.f.nodes[e.to].group != n.group || m.preds[e.to] != 1 {
			continue
		}
		if next >= 0 {
			return -1
		}
		next = e.to
	}
	return next
}

// intend adds an access to a plan.
func intend(plan map[int32]span, at fact, in rv.Inst) {
	lo := at.delta + in.Imm
	s := span{lo, lo + width(in.Op), stores(in.Op), 1}
	if old, ok := plan[at.root]; ok {
		s = old.join(s)
	}
	plan[at.root] = s
}

// assure makes wazero check the addresses of a proof once for all accesses: it
// checks those of one local only up to the greatest. The load is not done.
func (m *emitter) assure(p proof) {
	if p.count > 1 {
		m.c.get(p.local)
		m.c.mem(wI32Load8U, p.shift+uint32(p.hi-p.lo)-1)
		m.c.op(wDrop)
	}
}

// proved returns the proof of a span, if there is one.
func (m *emitter) proved(root int32, s span) *proof {
	for k := range m.proofs {
		if p := &m.proofs[k]; p.root == root && p.covers(s) {
			return p
		}
	}
	return nil
}

// address makes sure that an access is in memory, else leaves the function
// before it, and puts on the stack what, with the constant returned, is its
// place in memory.
func (m *emitter) address(in rv.Inst, pc uint32) uint32 {
	at := m.reg[in.Rs1]
	lo := at.delta + in.Imm
	want := span{lo: lo, hi: lo + width(in.Op), write: stores(in.Op)}
	if at.root == 0 {
		return m.constant(want, pc)
	}
	if w := m.holds(m.interval(in.Rs1).plus(interval{uint32(in.Imm), uint32(in.Imm)}), want); w >= 0 {
		m.value(in.Rs1)
		m.c.i32(in.Imm - int32(m.t.wins[w].Base))
		m.c.op(wI32Add)
		if w == 1 {
			m.c.globalGet(gShift)
			m.c.op(wI32Add)
		}
		return 0
	}
	p := m.proved(at.root, want)
	if p == nil {
		prove := want
		if s := m.plan[at.root]; s.covers(want) {
			prove = s
		}
		made := m.prove(at, in.Rs1, prove, pc)
		m.assure(made)
		p = &made
	}
	m.c.get(p.local)
	return p.shift + uint32(want.lo-p.lo)
}

// holds returns the window that has accesses at all of these addresses, or -1.
func (m *emitter) holds(at interval, want span) int {
	if at == anything {
		return -1
	}
	size := uint32(want.hi - want.lo)
	for k, w := range m.t.wins {
		base := w.Base
		if want.write {
			base += w.RO
		}
		room := w.Base + w.Size - base
		if w.Size > 0 && room >= size && at.lo >= base && at.hi-base <= room-size {
			return k
		}
	}
	return -1
}

// constant is address for an address known now.
func (m *emitter) constant(want span, pc uint32) uint32 {
	for k, w := range m.t.wins {
		base := w.Base
		if want.write {
			base += w.RO
		}
		size := uint32(want.hi - want.lo)
		room := w.Base + w.Size - base
		if w.Size == 0 || room < size || uint32(want.lo)-base > room-size {
			continue
		}
		if k == 0 {
			m.c.get(m.zero)
		} else {
			m.c.globalGet(gShift)
		}
		return uint32(want.lo) - w.Base
	}
	m.leaveIf(pc, func() { m.c.i32(1) })
	m.c.get(m.zero)
	return 0
}

// prove writes the check that a span around what register r holds is in
// memory.
func (m *emitter) prove(at fact, r uint8, s span, pc uint32) proof {
	p := proof{span: s, root: at.root, local: m.local()}
	size := uint32(s.hi - s.lo)
	w := &m.t.wins[0]
	ro := uint32(0)
	if s.write {
		ro = w.RO
	}
	p.shift = ro
	inside := func(w *Window, ro uint32) {
		m.c.get(m.x + uint32(r))
		m.c.i32(s.lo - at.delta - int32(w.Base+ro))
		m.c.op(wI32Add)
		m.c.tee(p.local)
		m.c.i32(int32(w.Size - ro - size))
		m.c.op(wI32GtU)
	}
	second := m.t.wins[1]
	if second.Size < size || w.Size-ro < size {
		m.leaveIf(pc, func() { inside(w, ro) })
	} else {
		inside(w, ro)
		m.open(wIf, -1)
		ro2 := uint32(0)
		if s.write {
			ro2 = second.RO
		}
		m.leaveIf(pc, func() { inside(&second, ro2) })
		m.c.get(p.local)
		m.c.globalGet(gShift)
		m.c.i32(int32(ro2 - ro))
		m.c.op(wI32Add, wI32Add)
		m.c.set(p.local)
		m.endIf()
	}
	m.proofs = append(m.proofs, p)
	return p
}

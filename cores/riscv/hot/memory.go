package hot

import "warren/cores/riscv/rv"

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
	proofs []proof
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
		k.reg[r] = m.fresh()
	}
	return k
}

func (m *emitter) fresh() fact {
	m.roots++
	return fact{root: m.roots}
}

func (m *emitter) forget(r uint8) {
	if r != 0 {
		m.reg[r] = m.fresh()
	}
}

// result returns what is known of what an instruction computes.
func (m *emitter) result(in rv.Inst, pc uint32) fact {
	a, b := m.reg[in.Rs1], m.reg[in.Rs2]
	switch {
	case in.Op == rv.LUI:
		return fact{0, in.Imm}
	case in.Op == rv.AUIPC:
		return fact{0, int32(pc) + in.Imm}
	case in.Op == rv.ADDI:
		return fact{a.root, a.delta + in.Imm}
	case in.Op == rv.ADD && b.root == 0:
		return fact{a.root, a.delta + b.delta}
	case in.Op == rv.ADD && a.root == 0:
		return fact{b.root, a.delta + b.delta}
	case in.Op == rv.SUB && b.root == 0:
		return fact{a.root, a.delta - b.delta}
	}
	return m.fresh()
}

// widest bounds the spans that are proved at once.
const widest = 4096

// survey finds which addresses the block uses relative to each root, so that
// the first access of each can prove them all. The roots are those that the
// emitter will find: they are numbered in the same order.
func (m *emitter) survey(code []rv.Inst, pc uint32) {
	m.plan = map[int32]span{}
	saved, roots := *m.facts, m.roots
	for _, in := range code {
		if loads(in.Op) || stores(in.Op) {
			at := m.reg[in.Rs1]
			lo := at.delta + in.Imm
			s := span{lo, lo + width(in.Op), stores(in.Op), 1}
			if old, ok := m.plan[at.root]; ok {
				s = old.join(s)
			}
			m.plan[at.root] = s
		}
		if in.Rd != 0 {
			m.reg[in.Rd] = m.result(in, pc)
		}
		pc += uint32(in.Len)
	}
	*m.facts, m.roots = saved, roots
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
	for _, p := range m.proofs {
		if p.root == at.root && p.covers(want) {
			m.c.get(p.local)
			return p.shift + uint32(want.lo-p.lo)
		}
	}
	prove := want
	if s := m.plan[at.root]; s.covers(want) {
		prove = s
	}
	p := m.prove(at, in.Rs1, prove, pc)
	m.c.get(p.local)
	return p.shift + uint32(want.lo-p.lo)
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
		m.close()
	}
	m.proofs = append(m.proofs, p)
	return p
}

package hot

import (
	"math/bits"

	"warren/cores/riscv/rv"
)

// regs is a set of the registers x1 to x31.
type regs uint32

const allRegs regs = 0xfffffffe

func reg(r uint8) regs { return 1 << r & allRegs }

// each calls do for the registers of the set in order.
func (s regs) each(do func(r uint8)) {
	for s != 0 {
		r := uint8(bits.TrailingZeros32(uint32(s)))
		do(r)
		s &= s - 1
	}
}

// uses returns the registers that an instruction reads, if it is translated.
func uses(in rv.Inst) regs { return reg(in.Rs1) | reg(in.Rs2) }

// writes returns the register that an instruction writes.
func writes(in rv.Inst) regs { return reg(in.Rd) }

func loads(o rv.Op) bool  { return o >= rv.LB && o <= rv.LHU }
func stores(o rv.Op) bool { return o >= rv.SB && o <= rv.SW }

// translated says whether the hot tier does an instruction itself. What is
// left to the interpreter ends a block.
func translated(o rv.Op) bool { return o > rv.ILLEGAL && o <= rv.FENCE }

// passes says whether the interpreter, left an instruction, is likely to go
// on behind it.
func passes(o rv.Op) bool {
	return o > rv.FENCE && o != rv.EBREAK && o != rv.MRET
}

// width returns how many bytes a load or store moves.
func width(o rv.Op) int32 {
	switch o {
	case rv.LB, rv.LBU, rv.SB:
		return 1
	case rv.LH, rv.LHU, rv.SH:
		return 2
	}
	return 4
}

// spread finds which registers may differ from the hart's own at the
// beginning of each node (dirty), where the hart's are those in globals.
func (f *function) spread() {
	f.dirty = make([]regs, len(f.nodes))
	for changed := true; changed; {
		changed = false
		for _, i := range f.order {
			n := &f.nodes[i]
			out := f.dirty[i]
			for _, in := range n.code {
				out |= writes(in)
			}
			out &^= n.store
			if n.kind == kCall || n.kind == kICall {
				out = 0
			}
			for _, e := range n.succ {
				if f.dirty[e.to]|out != f.dirty[e.to] {
					f.dirty[e.to] |= out
					changed = true
				}
			}
		}
	}
}

// liveness finds the registers whose values are needed at the beginning of
// each node. Where the function is left, those that are dirty are.
func (f *function) liveness(clobbers func(*node) regs) {
	f.live = make([]regs, len(f.nodes))
	for changed := true; changed; {
		changed = false
		for k := len(f.order) - 1; k >= 0; k-- {
			i := f.order[k]
			live := f.liveIn(i, clobbers)
			if live != f.live[i] {
				f.live[i], changed = live, true
			}
		}
	}
}

// liveOut returns the registers needed behind node i.
func (f *function) liveOut(i int) regs {
	var live regs
	for _, e := range f.nodes[i].succ {
		live |= f.live[e.to]
	}
	return live
}

func (f *function) liveIn(i int, clobbers func(*node) regs) regs {
	n := &f.nodes[i]
	if n.kind == kDoor {
		return 0
	}
	dirty := f.dirty[i]
	live := f.liveOut(i) | dirty&n.store
	for _, in := range n.code {
		dirty |= writes(in)
	}
	switch n.kind {
	case kCall, kICall:
		live = live&^clobbers(n) | dirty
	case kLeave, kReturn, kTail, kSwitch:
		live |= dirty
	}
	for k := len(n.code) - 1; k >= 0; k-- {
		in := n.code[k]
		live = live&^writes(in) | uses(in)
		if loads(in.Op) || stores(in.Op) {
			live |= f.dirtyAt(i, k)
		}
	}
	if n.check {
		live |= f.dirty[i]
	}
	return live
}

// dirtyAt returns the registers that are dirty before instruction k of node i.
func (f *function) dirtyAt(i, k int) regs {
	dirty := f.dirty[i]
	for _, in := range f.nodes[i].code[:k] {
		dirty |= writes(in)
	}
	return dirty
}

// bound returns the most cycles from the beginning of node i to where the
// budget is checked next, or the function is left.
func (f *function) bound(i int) int32 {
	if f.path == nil {
		f.path = make([]int32, len(f.nodes))
	}
	if f.path[i] > 0 {
		return f.path[i] - 1
	}
	n := &f.nodes[i]
	most := n.cost
	if n.kind != kCall && n.kind != kICall {
		for _, e := range n.succ {
			most = max(most, n.cost+f.beyond(e))
		}
	}
	f.path[i] = most + 1
	return most
}

// beyond returns the most cycles from an edge to where the budget is checked.
func (f *function) beyond(e edge) int32 {
	to := e.to
	if e.state != 0 {
		to = f.named(e.state)
	}
	if f.nodes[to].check {
		return 0
	}
	return f.bound(to)
}

// named returns the node that desks call sid.
func (f *function) named(sid int) int {
	if sid == 0 {
		return 0
	}
	return f.bySid[sid-1]
}

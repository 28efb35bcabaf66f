package hot

import "warren/cores/riscv/rv"

// known is which registers hold a constant at some place, whatever way led
// there. x0 is not among them.
type known struct {
	set   regs
	value [32]int32
}

// fact is what is known of a register: the constant, or a root that is no other's.
func (k *known) fact(r uint8) fact {
	if r == 0 || k.set&reg(r) != 0 {
		return fact{0, k.value[r]}
	}
	return fact{1 + int32(r), 0}
}

func (k *known) put(r uint8, v int32) {
	if r != 0 {
		k.set |= reg(r)
		k.value[r] = v
	}
}

// meet keeps what another place knows, too, and reports whether that is less.
func (k *known) meet(o *known) bool {
	was := k.set
	k.set &= o.set
	k.set.each(func(r uint8) {
		if k.value[r] != o.value[r] {
			k.set &^= reg(r)
		}
	})
	return k.set != was
}

// step does an instruction.
func (k *known) step(in rv.Inst, pc uint32) {
	if f, ok := linear(in, pc, k.fact(in.Rs1), k.fact(in.Rs2)); ok && f.root == 0 {
		k.put(in.Rd, f.delta)
		return
	}
	k.set &^= writes(in)
}

// preserved is the registers that calls leave as they are by convention. Where
// one does not, it is found out where the function is resumed.
const preserved = 1<<2 | 1<<3 | 1<<4 | 1<<8 | 1<<9 | 0x3ff<<18

// constants finds which registers hold constants at the beginning of each
// node. Ways that lead into a loop from the door, where the function is
// resumed, are left out: there it is checked that the registers do hold them.
func (f *function) constants(clobbers func(*node) regs) {
	f.known = make([]known, len(f.nodes))
	seen := make([]bool, len(f.nodes))
	work := []int{}
	flow := func(to int, k *known) {
		if !seen[to] {
			seen[to], f.known[to] = true, *k
			work = append(work, to)
		} else if f.known[to].meet(k) {
			work = append(work, to)
		}
	}
	// Behind what the interpreter did nothing is known.
	nothing := &known{}
	flow(f.nodes[0].succ[0].to, nothing)
	for _, i := range f.resumes {
		flow(i, nothing)
	}
	real := map[int]bool{}
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.kind == kDoor {
			real[n.succ[0].state] = true
		} else if n.kind != kDesk {
			for _, e := range n.succ {
				real[e.state] = true
			}
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		n := &f.nodes[i]
		k := f.known[i]
		pc := n.pc
		for _, in := range n.code {
			k.step(in, pc)
			pc += uint32(in.Len)
		}
		if n.kind == kCall || n.kind == kICall {
			k.put(n.code[len(n.code)-1].Rd, int32(n.end))
			k.set &^= clobbers(n)
		}
		for _, e := range n.succ {
			if n.kind != kDesk || real[e.state] {
				flow(e.to, &k)
			}
		}
		if n.back != 0 {
			// The interpreter goes on there, and comes back behind it.
			k.set &= preserved
			flow(n.back, &k)
		}
	}
	for i := range f.nodes {
		if !seen[i] || f.nodes[i].kind == kDesk || f.nodes[i].kind == kDoor {
			f.known[i].set = 0
		}
	}
}

// guard leaves the function instead of resuming it where registers do not hold
// what they always held so far: a debugger may have changed them.
func (m *emitter) guard(i int) {
	k := &m.f.known[i]
	if k.set == 0 {
		return
	}
	m.leaveIf(m.f.nodes[i].pc, func() {
		n := 0
		k.set.each(func(r uint8) {
			m.c.get(m.x + uint32(r))
			m.c.i32(k.value[r])
			m.c.op(wI32Xor)
			if n++; n > 1 {
				m.c.op(wI32Or)
			}
		})
	})
}

package hot

import (
	"math/bits"
	"slices"
)

// Bounds of what is unrolled: instructions of the loop, nodes of it, copies,
// and instructions of all copies.
const (
	maxRolled   = 24
	maxNodes    = 4
	maxCopies   = 4
	maxUnrolled = 64
)

// unroll writes the bodies of small innermost loops several times over, so that
// the budget is checked, and addresses that grow by constants are proved, once
// for all copies. The copies may be left as the loop may; it is resumed at the
// first one only.
func (f *function) unroll() {
	f.sort()
	var cut cuts
	work := [][]int{slices.Clone(f.order)}
	for len(work) > 0 {
		part := work[len(work)-1]
		work = work[:len(work)-1]
		for _, cycle := range f.cycles(part, cut) {
			head, ok := f.entered(cycle)
			if !ok {
				continue // several entries: left as it is, with what is in it
			}
			for _, u := range cycle {
				for _, e := range f.nodes[u].succ {
					if e.to == head {
						cut.add(u, head)
					}
				}
			}
			if inner := f.cycles(cycle, cut); len(inner) > 0 {
				work = append(work, cycle)
			} else {
				f.isolate(f.repeat(cycle, head), head)
			}
		}
	}
}

// entered returns the only node of a cycle that edges from elsewhere lead to.
func (f *function) entered(cycle []int) (head int, ok bool) {
	in := f.among(cycle)
	head = -1
	for _, u := range f.order {
		if in[u] {
			continue
		}
		for _, e := range f.nodes[u].succ {
			if e.to == head || !in[e.to] {
				continue
			}
			if head >= 0 {
				return 0, false
			}
			head = e.to
		}
	}
	return head, head >= 0
}

// repeat unrolls a loop, if it is one that gains by it, and returns its nodes.
func (f *function) repeat(cycle []int, head int) []int {
	size := 0
	for _, i := range cycle {
		switch f.nodes[i].kind {
		case kFall, kBranch:
			size += len(f.nodes[i].code)
		default:
			return cycle
		}
	}
	copies := min(maxCopies, maxUnrolled/max(size, 1))
	if len(cycle) > maxNodes || size > maxRolled || copies < 2 {
		return cycle
	}
	f.groups++
	slices.Sort(cycle)
	first := len(f.nodes)
	// place is where a copy has the node of the cycle with that number.
	place := func(round, k int) int {
		if round%copies == 0 {
			return cycle[k]
		}
		return first + (round%copies-1)*len(cycle) + k
	}
	for round := 1; round < copies; round++ {
		for _, i := range cycle {
			n := f.nodes[i]
			n.resume, n.sid, n.succ = 0, 0, slices.Clone(n.succ)
			f.nodes = append(f.nodes, n)
		}
	}
	for round := range copies {
		for k := range cycle {
			n := &f.nodes[place(round, k)]
			n.group = f.groups
			for j := range n.succ {
				to := slices.Index(cycle, n.succ[j].to)
				switch {
				case to < 0:
				case n.succ[j].to == head:
					n.succ[j].to = place(round+1, to)
				default:
					n.succ[j].to = place(round, to)
				}
			}
		}
	}
	for i := first; i < len(f.nodes); i++ {
		cycle = append(cycle, i)
	}
	return cycle
}

// manyRegs is how many registers a function may use before loops are isolated:
// the host has about as many to give.
const manyRegs = 8

// isolate frees the host's registers for an innermost loop: those that it does
// not use are stored before it, so that it need not have them where it is left.
func (f *function) isolate(cycle []int, head int) {
	var own, all regs
	for i := range f.nodes {
		for _, in := range f.nodes[i].code {
			all |= uses(in) | writes(in)
		}
	}
	for _, i := range cycle {
		n := &f.nodes[i]
		if n.kind != kFall && n.kind != kBranch {
			return
		}
		for _, in := range n.code {
			own |= uses(in) | writes(in)
		}
	}
	others := allRegs &^ own
	if bits.OnesCount32(uint32(all)) <= manyRegs || all&others == 0 {
		return
	}
	in := f.among(cycle)
	for i := range f.nodes {
		if f.nodes[i].kind != kSwitch {
			continue
		}
		for _, e := range f.nodes[i].succ {
			if in[e.to] {
				return // a table's edge has no place for a node
			}
		}
	}
	before := len(f.nodes)
	f.nodes = append(f.nodes, node{kind: kFall, pc: f.nodes[head].pc, end: f.nodes[head].pc, succ: []edge{{to: head}}, store: others})
	for i := 1; i < before; i++ {
		for k, e := range f.nodes[i].succ {
			if !in[i] && e.to == head {
				f.nodes[i].succ[k].to = before
			}
		}
	}
	if head == 1 {
		f.nodes[0].succ[0].to = before
	}
}

package hot

import "slices"

// arrange makes the graph of f reducible, with a door that leads to the start
// and to every place where the function may be resumed, and orders it.
//
// A first pass finds the loops' heads, where the budget is checked: with those
// the door would lead into the middle of loops. Desks put that right: a cycle
// that is entered at more than one node gets a desk, through which all edges
// into the cycle go, and those back to its head; each sets a state that tells
// the desk where to go on. An inner loop that is entered at its head alone, by
// the outer one and its desk, needs none, so that a desk costs its outer
// loop a comparison a round.
func (f *function) arrange() {
	f.sort()
	first := slices.Clone(f.rpo)
	probe := &function{nodes: make([]node, len(f.nodes))}
	for i, n := range f.nodes {
		probe.nodes[i] = node{kind: n.kind, succ: slices.Clone(n.succ)}
	}
	probe.nest(first)
	for i := range f.nodes {
		n := &f.nodes[i]
		n.check = i == 1 || probe.nodes[i].check
		if n.resume == 0 && i > 1 && n.check {
			f.open(i)
		}
	}
	f.nest(first)
	f.sort()
	f.dominators()
}

// open makes the door lead to node i as well.
func (f *function) open(i int) {
	f.nodes[i].resume = f.state(i)
	f.nodes[0].succ = append(f.nodes[0].succ, edge{to: i, state: f.nodes[i].sid})
}

// state returns what desks call node i.
func (f *function) state(i int) int {
	if f.nodes[i].sid == 0 {
		f.states++
		f.nodes[i].sid = f.states
	}
	return f.nodes[i].sid
}

// sort finds the reverse postorder of the nodes.
func (f *function) sort() {
	f.rpo = make([]int, len(f.nodes))
	for i := range f.rpo {
		f.rpo[i] = -1
	}
	f.order = f.order[:0]
	type frame struct{ node, next int }
	seen := make([]bool, len(f.nodes))
	seen[0] = true
	stack := []frame{{0, 0}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		succ := f.nodes[top.node].succ
		if top.next == len(succ) {
			f.order = append(f.order, top.node)
			stack = stack[:len(stack)-1]
			continue
		}
		// The last edge first: what a branch falls through to then follows it.
		to := succ[top.next].to
		top.next++
		if !seen[to] {
			seen[to] = true
			stack = append(stack, frame{to, 0})
		}
	}
	slices.Reverse(f.order)
	for i, n := range f.order {
		f.rpo[n] = i
	}
}

// nest finds the cycles of the graph, marks the head of each as a place to
// check the budget, and adds desks to those with several entries. Heads are
// the first of a cycle in the given order, which is that of the graph
// without resumption, so that both passes agree on them.
func (f *function) nest(first []int) {
	var all []int
	for i := range f.nodes {
		if first[i] >= 0 {
			all = append(all, i)
		}
	}
	cut := map[[2]int]bool{} // edges back to heads and desks of outer loops
	work := [][]int{all}
	for len(work) > 0 {
		part := work[len(work)-1]
		work = work[:len(work)-1]
		for _, cycle := range f.cycles(part, cut) {
			work = append(work, f.loop(cycle, first, cut))
		}
	}
}

// loop makes a cycle have one entry, and cuts the edges that lead back to it.
// It returns the nodes among which inner cycles may be.
func (f *function) loop(cycle []int, first []int, cut map[[2]int]bool) []int {
	in := make(map[int]bool, len(cycle))
	head := -1
	for _, i := range cycle {
		in[i] = true
		if i < len(first) && first[i] >= 0 && (head < 0 || first[i] < first[head]) {
			head = i
		}
	}
	if head < 0 {
		head = cycle[0]
	}
	f.nodes[head].check = true
	entries := map[int]bool{}
	for u := range f.nodes {
		if in[u] || u < len(first) && first[u] < 0 {
			continue
		}
		for _, e := range f.nodes[u].succ {
			if in[e.to] {
				entries[e.to] = true
			}
		}
	}
	delete(entries, head)
	if len(entries) == 0 {
		for _, u := range cycle {
			for _, e := range f.nodes[u].succ {
				if e.to == head {
					cut[[2]int{u, head}] = true
				}
			}
		}
		return cycle
	}
	return f.desk(cycle, in, head, entries, cut)
}

// desk adds a desk to a cycle.
func (f *function) desk(cycle []int, in map[int]bool, head int, entries map[int]bool, cut map[[2]int]bool) []int {
	d := len(f.nodes)
	desk := node{kind: kDesk, pc: f.nodes[head].pc, succ: []edge{{to: head, state: f.state(head)}}}
	for _, i := range cycle {
		if entries[i] && i != head {
			desk.succ = append(desk.succ, edge{to: i, state: f.state(i)})
		}
	}
	f.nodes = append(f.nodes, desk)
	for u := range d {
		for k := range f.nodes[u].succ {
			e := f.nodes[u].succ[k]
			if !in[e.to] || in[u] && e.to != head {
				continue
			}
			if e.state == 0 {
				e.state = f.state(e.to)
			}
			e.to = d
			from := u
			if f.nodes[u].kind == kSwitch {
				from = len(f.nodes)
				f.nodes = append(f.nodes, node{kind: kFall, pc: f.nodes[head].pc, succ: []edge{e}})
				f.nodes[u].succ[k] = edge{to: from}
				if in[u] {
					cycle = append(cycle, from)
				}
			} else {
				f.nodes[u].succ[k] = e
			}
			cut[[2]int{from, d}] = true
		}
	}
	return cycle
}

// cycles returns the strongly connected components of more than one node, or
// with an edge to itself, of a part of the graph, without the edges in cut.
// It is Tarjan's algorithm.
func (f *function) cycles(part []int, cut map[[2]int]bool) [][]int {
	in := make(map[int]bool, len(part))
	for _, i := range part {
		in[i] = true
	}
	s := scc{f: f, in: in, cut: cut, index: map[int]int{}, low: map[int]int{}, on: map[int]bool{}}
	for _, i := range part {
		if _, ok := s.index[i]; !ok {
			s.visit(i)
		}
	}
	return s.found
}

// An scc is the state of Tarjan's algorithm.
type scc struct {
	f          *function
	in         map[int]bool
	cut        map[[2]int]bool
	index, low map[int]int
	on         map[int]bool
	stack      []int
	found      [][]int
}

// visit searches from node i, with a stack of its own: graphs may be deep.
func (s *scc) visit(root int) {
	type frame struct{ node, next int }
	enter := func(i int) frame {
		s.index[i], s.low[i] = len(s.index), len(s.index)
		s.stack = append(s.stack, i)
		s.on[i] = true
		return frame{i, 0}
	}
	frames := []frame{enter(root)}
	for len(frames) > 0 {
		top := &frames[len(frames)-1]
		i := top.node
		if succ := s.f.nodes[i].succ; top.next < len(succ) {
			to := succ[top.next].to
			top.next++
			if !s.in[to] || s.cut[[2]int{i, to}] {
				continue
			}
			if _, ok := s.index[to]; !ok {
				frames = append(frames, enter(to))
			} else if s.on[to] {
				s.low[i] = min(s.low[i], s.index[to])
			}
			continue
		}
		frames = frames[:len(frames)-1]
		if len(frames) > 0 {
			up := frames[len(frames)-1].node
			s.low[up] = min(s.low[up], s.low[i])
		}
		if s.low[i] == s.index[i] {
			s.pop(i)
		}
	}
}

// pop takes a component off the stack.
func (s *scc) pop(root int) {
	k := slices.Index(s.stack, root)
	part := slices.Clone(s.stack[k:])
	s.stack = s.stack[:k]
	for _, i := range part {
		s.on[i] = false
	}
	if len(part) > 1 {
		s.found = append(s.found, part)
		return
	}
	for _, e := range s.f.nodes[root].succ {
		if e.to == root && !s.cut[[2]int{root, root}] {
			s.found = append(s.found, part)
			return
		}
	}
}

// dominators finds the immediate dominators (after Cooper, Harvey and Kennedy)
// and which nodes need a label to branch to.
func (f *function) dominators() {
	preds := make([][]int, len(f.nodes))
	forward := make([]int, len(f.nodes))
	f.merge = make([]bool, len(f.nodes))
	f.heads = make([]bool, len(f.nodes))
	for _, u := range f.order {
		n := &f.nodes[u]
		for _, e := range n.succ {
			preds[e.to] = append(preds[e.to], u)
			if f.rpo[e.to] > f.rpo[u] {
				forward[e.to]++
			}
			if n.kind == kDoor || n.kind == kSwitch || n.kind == kDesk {
				f.merge[e.to] = true
			}
		}
	}
	f.idom = make([]int, len(f.nodes))
	for i := range f.idom {
		f.idom[i] = -1
	}
	f.idom[0] = 0
	for changed := true; changed; {
		changed = false
		for _, i := range f.order[1:] {
			dom := -1
			for _, p := range preds[i] {
				if f.idom[p] < 0 {
					continue
				}
				if dom < 0 {
					dom = p
				}
				for a := p; dom != a; {
					for f.rpo[a] > f.rpo[dom] {
						a = f.idom[a]
					}
					for f.rpo[dom] > f.rpo[a] {
						dom = f.idom[dom]
					}
				}
			}
			if f.idom[i] != dom {
				f.idom[i], changed = dom, true
			}
		}
	}
	for i := range forward {
		f.heads[i] = forward[i] < len(preds[i])
		f.merge[i] = f.merge[i] || forward[i] > 1
	}
}

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
	f.unroll()
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
		f.bySid = append(f.bySid, i)
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
	var cut cuts // edges back to heads and desks of outer loops
	work := [][]int{all}
	for len(work) > 0 {
		part := work[len(work)-1]
		work = work[:len(work)-1]
		for _, cycle := range f.cycles(part, cut) {
			work = append(work, f.loop(cycle, first, &cut))
		}
	}
}

// loop makes a cycle have one entry, and cuts the edges that lead back to it.
// It returns the nodes among which inner cycles may be.
func (f *function) loop(cycle []int, first []int, cut *cuts) []int {
	in := f.among(cycle)
	head := -1
	for _, i := range cycle {
		if i < len(first) && first[i] >= 0 && (head < 0 || first[i] < first[head]) {
			head = i
		}
	}
	if head < 0 {
		head = cycle[0]
	}
	f.nodes[head].check = true
	entries := make([]bool, len(f.nodes))
	several := false
	for u := range f.nodes {
		if in[u] || u < len(first) && first[u] < 0 {
			continue
		}
		for _, e := range f.nodes[u].succ {
			if in[e.to] && e.to != head {
				entries[e.to], several = true, true
			}
		}
	}
	if !several {
		for _, u := range cycle {
			for _, e := range f.nodes[u].succ {
				if e.to == head {
					cut.add(u, head)
				}
			}
		}
		return cycle
	}
	return f.desk(cycle, in, head, entries, cut)
}

// among says of each node whether it is in a list.
func (f *function) among(list []int) []bool {
	in := make([]bool, len(f.nodes))
	for _, i := range list {
		in[i] = true
	}
	return in
}

// desk adds a desk to a cycle.
func (f *function) desk(cycle []int, in []bool, head int, entries []bool, cut *cuts) []int {
	d := len(f.nodes)
	desk := node{kind: kDesk, pc: f.nodes[head].pc, succ: []edge{{to: head, state: f.state(head)}}}
	for _, i := range cycle {
		if entries[i] {
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
			cut.add(from, d)
		}
	}
	return cycle
}

// cuts are edges that are left out: by the node that they come from, those that
// they lead to.
type cuts [][]int

func (c *cuts) add(from, to int) {
	for len(*c) <= from {
		*c = append(*c, nil)
	}
	(*c)[from] = append((*c)[from], to)
}

func (c cuts) has(from, to int) bool {
	return from < len(c) && slices.Contains(c[from], to)
}

// cycles returns the strongly connected components of more than one node, or
// with an edge to itself, of a part of the graph, without the edges in cut.
// It is Tarjan's algorithm.
func (f *function) cycles(part []int, cut cuts) [][]int {
	s := scc{f: f, cut: cut, at: make([]visited, len(f.nodes))}
	for _, i := range part {
		s.at[i].in = true
	}
	for _, i := range part {
		if s.at[i].index == 0 {
			s.visit(i)
		}
	}
	return s.found
}

// An scc is the state of Tarjan's algorithm.
type scc struct {
	f     *function
	cut   cuts
	at    []visited // by node
	count int
	stack []int
	found [][]int
}

// visited is what Tarjan's algorithm knows of a node.
type visited struct {
	index, low int  // index counts from 1; 0: not visited
	in, on     bool // it is of the part; it is on the stack
}

// visit searches from node i, with a stack of its own: graphs may be deep.
func (s *scc) visit(root int) {
	type frame struct{ node, next int }
	enter := func(i int) frame {
		s.count++
		s.at[i].index, s.at[i].low, s.at[i].on = s.count, s.count, true
		s.stack = append(s.stack, i)
		return frame{i, 0}
	}
	frames := []frame{enter(root)}
	for len(frames) > 0 {
		top := &frames[len(frames)-1]
		i := top.node
		if succ := s.f.nodes[i].succ; top.next < len(succ) {
			to := succ[top.next].to
			top.next++
			if !s.at[to].in || s.cut.has(i, to) {
				continue
			}
			if v := &s.at[to]; v.index == 0 {
				frames = append(frames, enter(to))
			} else if v.on {
				s.at[i].low = min(s.at[i].low, v.index)
			}
			continue
		}
		frames = frames[:len(frames)-1]
		if len(frames) > 0 {
			up := frames[len(frames)-1].node
			s.at[up].low = min(s.at[up].low, s.at[i].low)
		}
		if s.at[i].low == s.at[i].index {
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
		s.at[i].on = false
	}
	if len(part) > 1 {
		s.found = append(s.found, part)
		return
	}
	for _, e := range s.f.nodes[root].succ {
		if e.to == root && !s.cut.has(root, root) {
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

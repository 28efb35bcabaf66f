package hot

// functions explores the functions chosen and finds out what they do.
func (t *translator) functions(c Choice) {
	t.byEntry = map[uint32]*function{}
	for _, f := range t.choose(c) {
		f.index = uint32(len(t.funcs)) + firstFunc
		t.funcs = append(t.funcs, f)
		t.byEntry[f.entry] = f
	}
	for _, f := range t.funcs {
		t.resolve(f)
	}
	t.circles()
	t.effects()
	for _, f := range t.funcs {
		f.arrange()
		f.constants(t.clobbered)
		f.spread()
		f.liveness(t.clobbered)
	}
}

// resolve leaves calls of what is not translated to the interpreter, and notes
// the others.
func (t *translator) resolve(f *function) {
	var behind []int
	for i := range f.nodes {
		n := &f.nodes[i]
		for _, in := range n.code {
			f.writes |= writes(in)
		}
		if n.kind != kCall && n.kind != kTail {
			continue
		}
		g := t.byEntry[n.target]
		if g == nil {
			for _, e := range n.succ {
				behind = append(behind, e.to)
				n.back = e.to
			}
			n.leave()
			continue
		}
		f.calls = append(f.calls, int(g.index-firstFunc))
	}
	f.rejoin(behind)
}

// circles finds the functions that may come back to themselves.
func (t *translator) circles() {
	graph := &function{nodes: make([]node, len(t.funcs)+1)}
	wild := len(t.funcs)
	all := []int{wild}
	for k, f := range t.funcs {
		n := &graph.nodes[k]
		for _, c := range f.calls {
			n.succ = append(n.succ, edge{to: c})
		}
		if f.wild {
			n.succ = append(n.succ, edge{to: wild})
		}
		graph.nodes[wild].succ = append(graph.nodes[wild].succ, edge{to: k})
		all = append(all, k)
		f.group = -1
	}
	for g, part := range graph.cycles(all, nil) {
		for _, k := range part {
			if k != wild {
				t.funcs[k].group, t.funcs[k].circular = g, true
			}
		}
	}
}

// effects finds which registers calls may change.
func (t *translator) effects() {
	for _, f := range t.funcs {
		f.clobbers = f.writes
		if f.wild {
			f.clobbers = allRegs
		}
	}
	for changed := true; changed; {
		changed = false
		for _, f := range t.funcs {
			all := f.clobbers
			for _, k := range f.calls {
				all |= t.funcs[k].clobbers
			}
			if all != f.clobbers {
				f.clobbers, changed = all, true
			}
		}
	}
}

// Functions of a module.
const (
	fEnter = iota
	fIndirect
	firstFunc
)

// Types of a module's functions; the first is that of blocks, too.
const (
	tPair  = iota // () -> (pc, budget)
	tPlain        // (budget) -> (pc, budget)
	tDoor         // (budget, where to resume) -> (pc, budget), and (pc, budget) -> (pc, budget)
	tEnter
)

// module writes everything.
func (t *translator) module() code {
	t.pairType, t.indirect = tPair, fIndirect
	out := code{0, 'a', 's', 'm', 1, 0, 0, 0}
	out.section(1, t.types())
	var funcs code
	funcs.u32(uint32(len(t.funcs)) + firstFunc)
	funcs.u32(tEnter)
	funcs.u32(tDoor)
	for _, f := range t.funcs {
		if f.states > 0 {
			funcs.u32(tDoor)
		} else {
			funcs.u32(tPlain)
		}
	}
	out.section(3, funcs)
	out.section(5, code{1, 0, 0}) // a memory of no pages: the allocator gives more
	var globals code
	globals.u32(nGlobals)
	for range nGlobals {
		globals.op(wI32, 1)
		globals.i32(0)
		globals.op(wEnd)
	}
	out.section(6, globals)
	var exports code
	exports.u32(2)
	exports.str("enter")
	exports.op(0, fEnter)
	exports.str("shift")
	exports.op(3, gShift)
	out.section(7, exports)
	var bodies code
	bodies.u32(uint32(len(t.funcs)) + firstFunc)
	bodies.sized(t.enterBody())
	bodies.sized(t.indirectBody())
	for _, f := range t.funcs {
		bodies.sized(t.emit(f))
	}
	out.section(10, bodies)
	return out
}

func (t *translator) types() code {
	var c code
	fn := func(params, results int) {
		c.op(wFunc)
		c.u32(uint32(params))
		for range params {
			c.op(wI32)
		}
		c.u32(uint32(results))
		for range results {
			c.op(wI32)
		}
	}
	c.u32(4)
	fn(0, 2)
	fn(1, 2)
	fn(2, 2)
	fn(nParams, nParams)
	return c
}

// enterBody is the function that the host calls: the parameters are the number
// of a function, where to resume it, the budget, and x1 to x31; the results
// the pc, the budget left, the cycles beyond one an instruction, and x1 to x31.
func (t *translator) enterBody() code {
	var c code
	c.u32(1)
	c.u32(2)
	c.op(wI32)
	pc, b := uint32(nParams), uint32(nParams+1)
	for k := range uint32(31) {
		c.get(fixed + k)
		c.globalSet(k)
	}
	c.i32(0)
	c.globalSet(gExtra)
	c.op(wBlock, wVoid)
	for range t.funcs {
		c.op(wBlock, wVoid)
	}
	c.get(0)
	c.op(wBrTable)
	c.u32(uint32(len(t.funcs)))
	for k := range t.funcs {
		c.u32(uint32(k))
	}
	c.u32(uint32(len(t.funcs)))
	for k, f := range t.funcs {
		c.op(wEnd)
		c.get(2)
		if f.states > 0 {
			c.get(1)
		}
		c.op(wCall)
		c.u32(f.index)
		c.set(b)
		c.set(pc)
		c.br(len(t.funcs) - 1 - k)
	}
	c.op(wEnd)
	c.get(pc)
	c.get(b)
	c.globalGet(gExtra)
	for k := range uint32(31) {
		c.globalGet(k)
	}
	c.op(wEnd)
	return c
}

// indirectBody is the function that calls another by its address, found by
// bisection: (pc, budget) -> (pc, budget).
func (t *translator) indirectBody() code {
	var c code
	c.u32(0)
	t.bisect(&c, t.funcs)
	c.op(wEnd)
	return c
}

func (t *translator) bisect(c *code, list []*function) {
	if len(list) == 0 {
		c.get(0)
		c.i32(1)
		c.op(wI32Or)
		c.get(1)
		return
	}
	if len(list) > 1 {
		half := len(list) / 2
		c.get(0)
		c.i32(int32(list[half].entry))
		c.op(wI32LtU, wIf)
		c.s64(tPair)
		t.bisect(c, list[:half])
		c.op(wElse)
		t.bisect(c, list[half:])
		c.op(wEnd)
		return
	}
	c.get(0)
	c.i32(int32(list[0].entry))
	c.op(wI32Eq, wIf)
	c.s64(tPair)
	c.get(1)
	if list[0].states > 0 {
		c.i32(0)
	}
	c.op(wCall)
	c.u32(list[0].index)
	c.op(wElse)
	t.bisect(c, nil)
	c.op(wEnd)
}

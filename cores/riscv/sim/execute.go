package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"

	"warren/cores/riscv/hot"
	"warren/cores/riscv/rv"
)

const (
	// hotLeast is the budget from which on it pays to enter a compiled program.
	hotLeast = 5000
	// defaultHeat is how many instructions of a program are interpreted before it
	// is compiled: about as long as that takes.
	defaultHeat = 20_000_000
)

// execute runs a core, by the interpreter or compiled: that makes no
// difference but in speed.
func (w *worker) execute(c *core, budget int64) rv.Why {
	h, p := c.hart, c.prog
	if c.debug.active() {
		return w.executeDebug(c, budget)
	}
	before := h.Instret
	why := w.runTier(c, budget)
	p.heat.Add(int64(h.Instret - before))
	return why
}

func (w *worker) runTier(c *core, budget int64) rv.Why {
	if budget >= hotLeast && (c.inst != nil || !c.cold && w.m.warm(c)) {
		return c.inst.Run(c.hart, budget)
	}
	return c.hart.Run(budget)
}

// A shape is where the windows of a hart lie, and how much of them is
// read-only: a compiled program serves all harts of a shape.
type shape [2]struct{ base, ro, size uint32 }

func shapeOf(h *rv.Hart) (s shape) {
	for i, w := range h.Win {
		s[i].base, s[i].ro, s[i].size = w.Base, w.RO, uint32(len(w.Mem))
	}
	return s
}

// warm gives a core its program compiled, if that has run for long enough and
// nobody else compiles it now. It is called in the run phase, by the worker
// that has the core.
func (m *Machine) warm(c *core) bool {
	p := c.prog
	if m.opt.NoHot || p.heat.Load() < m.opt.Heat {
		return false
	}
	module := m.module(c)
	if module == nil {
		return false
	}
	_, off0 := m.private(c)
	off1 := m.arena.kinds[m.spec.Tiles[c.tile].Kind].sramAt()
	inst, err := module.Instance(m.arena.tile(int(c.tile)), int(off0), int(off1))
	if err != nil {
		m.interpretOnly(c, err)
		return false
	}
	c.inst = inst
	return true
}

func (m *Machine) interpretOnly(c *core, err error) {
	c.cold = true
	m.opt.Log.Warn("program is interpreted only", "core", m.shown(c.id), "err", err)
}

// module returns a core's program compiled; nil: not now, or not at all.
func (m *Machine) module(c *core) *hot.Module {
	p, s := c.prog, shapeOf(c.hart)
	if !p.compiling.TryLock() {
		return nil
	}
	defer p.compiling.Unlock()
	if module := p.modules[s]; module != nil {
		return module
	}
	m.engineOnce.Do(func() { m.engine = hot.New(context.Background()) })
	module, err := m.engine.Compile(c.hart)
	if err != nil {
		m.interpretOnly(c, err)
		return nil
	}
	if p.modules == nil {
		p.modules = make(map[shape]*hot.Module)
	}
	p.modules[s] = module
	return module
}

// lookAtHost ends a program that says so by its symbol tohost, as test programs
// do, and reports whether it did.
func (w *worker) lookAtHost(c *core) bool {
	b, _ := w.m.at(c, c.prog.tohost, 4)
	if b == nil {
		return false
	}
	v := binary.LittleEndian.Uint32(b)
	if v&1 == 0 {
		return false
	}
	putWord(b, 0)
	w.exit(c, int32(v>>1), true)
	return true
}

// fault ends a core whose program did what it may not, unless the program
// has a handler for that, or a debugger wants to see it.
func (w *worker) fault(c *core) {
	switch {
	case c.hart.TakeTrap():
	case c.debug.attached() && c.debug.refault != c.hart.Instret+1:
		c.debug.refault = c.hart.Instret + 1 // the same again ends it
		w.halt(c, Stop{Kind: AtFault})
	default:
		w.over(c, Faulted)
	}
}

// breakAt is what an ebreak does.
func (w *worker) breakAt(c *core) {
	c.hart.Trap = rv.Trap{Cause: rv.CauseBreak, PC: c.hart.PC, Addr: c.hart.PC}
	switch {
	case c.debug.attached():
		w.halt(c, Stop{Kind: AtEbreak})
	case c.hart.TakeTrap():
	default:
		w.over(c, Faulted)
	}
}

// faultSignal is what Linux sends for such a fault.
func (c *core) faultSignal() syscall.Signal {
	switch c.hart.Trap.Cause {
	case rv.CauseFetch, rv.CauseLoad, rv.CauseStore:
		return syscall.SIGSEGV
	case rv.CauseIllegal:
		return syscall.SIGILL
	case rv.CauseBreak:
		return syscall.SIGTRAP
	}
	return syscall.SIGBUS
}

var causes = map[uint32]string{
	rv.CauseFetchAlign: "misaligned fetch", rv.CauseFetch: "fetch where there is no memory",
	rv.CauseIllegal: "illegal instruction", rv.CauseBreak: "ebreak",
	rv.CauseLoadAlign: "misaligned atomic load", rv.CauseLoad: "load where there is no memory",
	rv.CauseStoreAlign: "misaligned atomic", rv.CauseStore: "store where there is no memory, or it is read-only",
}

// faultText tells of a core's fault in a line: which core, what, where.
func (m *Machine) faultText(c *core) string {
	t := &c.hart.Trap
	text := fmt.Sprintf("%s: %s", m.coreName(c.id), causes[t.Cause])
	switch t.Cause {
	case rv.CauseIllegal:
		text += fmt.Sprintf(" 0x%08x", t.Word)
	case rv.CauseBreak:
	default:
		text += fmt.Sprintf(", address 0x%08x", t.Addr)
	}
	return text + fmt.Sprintf(", pc 0x%08x %s", t.PC, c.symbol(t.PC))
}

// symbol names a place in the core's program: "main+0x12 (main.c:14)".
func (c *core) symbol(pc uint32) string {
	if c.prog == nil {
		return "-"
	}
	name := c.prog.exe.Name(pc)
	if name == "" {
		name = "-"
	}
	if file, line := c.prog.exe.Line(pc); file != "" {
		name += fmt.Sprintf(" (%s:%d)", file, line)
	}
	return name
}

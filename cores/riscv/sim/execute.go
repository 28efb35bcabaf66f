package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"

	"warren/cores/riscv/hot"
	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
)

const (
	// hotLeast is the budget from which on it pays to enter a compiled program: what
	// is done between its places of entry is interpreted.
	hotLeast = 800
	// hotLeastOfMany is the same where more than manyCores run: what is compiled has
	// some 4 KB for each core, and is in no cache when its turn comes.
	hotLeastOfMany = 1500
	manyCores      = 512
	// defaultHeat is how many instructions of a program are interpreted, in
	// slices that would do for it, before it is compiled: about as long as that
	// takes.
	defaultHeat = 20_000_000
	// The cycles from one sample of where a hart is to the next are random: so
	// they do not fall in with a loop's.
	sampleLeast, sampleMore = 4000, 16_000
	mostSamples             = 8192
	// mostCompiled is how often a program is compiled: as often as the heat, which
	// doubles each time, has been lost by what was not compiled. The last time all
	// of it is compiled.
	mostCompiled = 5
)

// execute runs a core, by the interpreter or compiled: that makes no
// difference but in speed.
func (w *worker) execute(c *core, budget int64) rv.Why {
	h, p := c.hart, c.prog
	if c.debug.active() {
		return w.executeDebug(c, budget)
	}
	if budget < w.m.hotLeast || c.cold || w.m.opt.NoHot {
		return h.Run(budget)
	}
	if c.inst == nil && p.heat.Load() >= w.m.opt.Heat || c.inst != nil && c.inst.Module().Lost() >= c.bearable {
		w.m.warm(c)
	}
	if c.inst != nil && !c.cold {
		c.inst.Lend(&w.regs)
		return c.inst.Run(h, budget)
	}
	before := h.Instret
	why := c.sample(budget)
	p.heat.Add(int64(h.Instret - before))
	return why
}

// leastHot is the least budget for which a core runs compiled, where as many run as in
// the last epoch.
func (m *Machine) leastHot() int64 {
	n := 0
	for _, w := range m.workers {
		n += w.ran
	}
	if n > manyCores {
		return hotLeastOfMany
	}
	return hotLeast
}

// A shape is where the windows of a hart lie, and how much of them is
// read-only, and what it lacks: a compiled program serves all harts of a shape.
type shape struct {
	lacks isa.Set
	win   [2]struct{ base, ro, size uint32 }
}

func shapeOf(h *rv.Hart) (s shape) {
	s.lacks = h.Image.Lacks()
	for i, w := range h.Win {
		s.win[i].base, s.win[i].ro, s.win[i].size = w.Base, w.RO, uint32(len(w.Mem))
	}
	return s
}

// changed reports whether a core's program has changed its code, which is then
// interpreted.
func (m *Machine) changed(c *core) bool {
	return c.hart.Image != c.prog.image(m.extensions(int(c.id)))
}

// warm gives a core its program compiled, or compiled better, if nobody else
// compiles it now. It is called in the run phase, by the worker that has the core.
func (m *Machine) warm(c *core) {
	if m.changed(c) {
		c.cold = true
		return
	}
	module, bearable := m.compile(c)
	if module == nil {
		return
	}
	_, off0 := m.private(c)
	off1 := m.arena.kinds[m.spec.Tiles[c.tile].Kind].sramAt()
	inst, err := module.Instance(m.arena.tile(int(c.tile)), int(off0), int(off1))
	if err != nil {
		m.interpretOnly(c, err)
		return
	}
	c.drop()
	c.inst, c.bearable = inst, bearable
}

func (m *Machine) interpretOnly(c *core, err error) {
	c.cold = true
	m.opt.Log.Warn("program is interpreted only", "core", m.shown(c.id), "err", err)
}

// compile returns a core's program compiled, better than the core has it now, and
// how many cycles may be lost until it is to be compiled again. nil: not now, or
// not at all. What was compiled before is kept, as long as the program is: other
// cores may have it.
func (m *Machine) compile(c *core) (*hot.Module, int64) {
	p, s := c.prog, shapeOf(c.hart)
	if !p.compiling.TryLock() {
		return nil, 0
	}
	defer p.compiling.Unlock()
	list := p.modules[s]
	if len(list) == 0 || c.inst != nil && c.inst.Module() == list[len(list)-1] {
		m.engineOnce.Do(func() { m.engine = hot.New(context.Background()) })
		module, err := m.engine.Compile(c.hart, p.choice(list))
		if err != nil {
			m.interpretOnly(c, err)
			return nil, 0
		}
		if p.modules == nil {
			p.modules = make(map[shape][]*hot.Module)
		}
		list = append(list, module)
		p.modules[s] = list
	}
	if len(list) >= mostCompiled {
		return list[len(list)-1], math.MaxInt64
	}
	return list[len(list)-1], max(1, m.opt.Heat) << (len(list) - 1)
}

// Compiled returns what it has cost to compile the program of a core, each time.
func (m *Machine) Compiled(id int) []hot.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	if c.prog == nil {
		return nil
	}
	c.prog.compiling.Lock()
	defer c.prog.compiling.Unlock()
	var list []hot.Stats
	for _, module := range c.prog.modules[shapeOf(c.hart)] {
		list = append(list, module.Stats())
	}
	return list
}

// choice says what of a program is to be compiled: what harts were seen at, and
// what it was compiled without before and should not have been.
func (p *program) choice(before []*hot.Module) hot.Choice {
	p.sampling.Lock()
	c := hot.Choice{Places: slices.Clone(p.samples)}
	p.sampling.Unlock()
	if n := len(before); n > 0 {
		c.Entries = before[n-1].Entries()
	}
	c.Only = len(c.Places) > 0 && len(before) < mostCompiled-1
	return c
}

// sample is the hart's Run, and notes where the hart is now and then.
func (c *core) sample(budget int64) rv.Why {
	h := c.hart
	for budget > 0 {
		from := h.Now()
		why := h.Run(min(budget, max(c.sampleIn, 1)))
		used := int64(h.Now() - from)
		budget -= used
		if c.sampleIn -= used; c.sampleIn <= 0 {
			c.sampleIn = sampleLeast + rand.Int64N(sampleMore)
			c.prog.seen(h.PC, h.X[1])
		}
		if why != rv.Budget {
			return why
		}
	}
	return rv.Budget
}

// seen notes where a hart is, and where it returns to.
func (p *program) seen(at ...uint32) {
	p.sampling.Lock()
	defer p.sampling.Unlock()
	if len(p.samples) < mostSamples {
		p.samples = append(p.samples, at...)
	}
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
	case c.debug.attached() && c.debug.passed != c.hart.Instret+1:
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
	rv.CauseStoreAlign: "misaligned atomic", rv.CauseStore: "store where there is no memory",
}

// causeName says what a core's fault was.
func (c *core) causeName() string {
	t := &c.hart.Trap
	if t.Cause == rv.CauseStore {
		for _, w := range c.hart.Win {
			if t.Addr-w.Base < w.RO {
				return "store to text or constants, which are read-only"
			}
		}
	}
	return causes[t.Cause]
}

// faultText tells of a core's fault in a line: which core, what, where.
func (m *Machine) faultText(c *core) string {
	t := &c.hart.Trap
	text := fmt.Sprintf("%s: %s", m.coreName(c.id), c.causeName())
	switch t.Cause {
	case rv.CauseIllegal:
		text += fmt.Sprintf(" 0x%08x", t.Word) + m.illegalText(c, t.Word)
	case rv.CauseBreak:
	default:
		text += fmt.Sprintf(", address 0x%08x", t.Addr)
	}
	return strings.TrimSuffix(text+fmt.Sprintf(", pc 0x%08x %s", t.PC, c.symbol(t.PC)), " -")
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

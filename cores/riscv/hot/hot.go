package hot

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// An Engine compiles images. It may be used by many goroutines.
type Engine struct{ rt wazero.Runtime }

// New returns an Engine. Close frees it.
func New(ctx context.Context) *Engine {
	cfg := wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(false).WithDebugInfoEnabled(false)
	return &Engine{wazero.NewRuntimeWithConfig(ctx, cfg)}
}

// Close frees the engine, its modules and their instances.
func (e *Engine) Close() error { return e.rt.Close(context.Background()) }

// A Module is an image in the host's code, for harts with windows at the same
// addresses. It is immutable and may be shared.
type Module struct {
	engine  *Engine
	image   *rv.Image
	code    wazero.CompiledModule
	wins    [2]Window
	tables  []table
	entries []entry
	chunk   int64 // the largest budget that may be given at once
	lacking lacking
	stats   Stats
}

// A table is the places of a segment, by half-word.
type table struct {
	lo uint32
	at []place
}

// A place may be an entry: entry is 1 plus its number, else 0.
type place struct {
	entry uint32
	way   way
}

// A way is how many instructions there are from a place to the next entry, or up to
// and with the next jump, if that is nearer; 0 if no instruction begins there.
type way uint8

const (
	farthest way = 100
	jumps    way = 0x80 // the last of them is a jump
)

// An entry is a place where the module's code may be entered.
type entry struct {
	fn, sid uint32
	need    int64 // the least budget
}

// Stats says what a module costs.
type Stats struct {
	Functions, Instructions int
	Found                   int // functions of the program, translated or not
	Entries                 int
	Wasm                    int // bytes of WebAssembly
	Translate, Compile      time.Duration
}

// Stats returns what the module has cost.
func (m *Module) Stats() Stats { return m.stats }

// Entry says whether the module's code may be entered at pc.
func (m *Module) Entry(pc uint32) bool { return m.entry(pc) != nil }

func (m *Module) entry(pc uint32) *entry {
	if p := m.place(pc); p != nil && p.entry != 0 {
		return &m.entries[p.entry-1]
	}
	return nil
}

// place returns what the tables have of pc, or nil.
func (m *Module) place(pc uint32) *place {
	for k := range m.tables {
		t := &m.tables[k]
		if o := (pc - t.lo) / 2; o < uint32(len(t.at)) && pc&1 == 0 {
			return &t.at[o]
		}
	}
	return nil
}

// Compile translates the image of a hart, for all harts of the same image
// whose windows are at the same addresses, of the same size and as much of
// them read-only. The hart's PC and what its memory has now help to find
// functions; nothing else depends on them. It takes as many processors as there
// are, and errors, of errno EINVAL, are for harts that no module can be made for.
func (e *Engine) Compile(h *rv.Hart, c Choice) (*Module, error) {
	if h.Image == nil || len(h.Image.Texts()) == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "no code to translate")
	}
	m := &Module{engine: e, image: h.Image}
	t := &translator{image: h.Image, texts: h.Image.Texts()}
	for k := range h.Win {
		t.wins[k] = window(&h.Win[k])
		t.mem[k] = h.Win[k].Mem[:t.wins[k].Size]
	}
	m.wins = t.wins
	if a, b := t.wins[0], t.wins[1]; a.Size > 0 && b.Size > 0 && (b.Base-a.Base < a.Size || a.Base-b.Base < b.Size) {
		return nil, sys.Errorf(syscall.EINVAL, "windows overlap")
	}
	defer makeRoom()()
	start := time.Now()
	c.Places = slices.Compact(slices.Sorted(slices.Values(c.Places)))
	t.find(h.PC, c)
	t.functions(c)
	wasm := t.module()
	m.index(t)
	m.stats.Wasm = len(wasm)
	m.stats.Translate = time.Since(start)
	start = time.Now()
	// The code is the same, whatever the number of workers.
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	code, err := e.rt.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("translated image: %w", err)
	}
	m.code = code
	m.stats.Compile = time.Since(start)
	return m, nil
}

// window returns what the translator knows of a window.
func window(w *rv.Window) Window {
	size := uint32(min(uint64(len(w.Mem)), 1<<32-uint64(w.Base), math.MaxInt32))
	return Window{w.Base, size, min(w.RO, size)}
}

// Fits says whether the module is one for h: of its image, with its windows.
func (m *Module) Fits(h *rv.Hart) bool {
	return h.Image == m.image && window(&h.Win[0]) == m.wins[0] && window(&h.Win[1]) == m.wins[1]
}

// Close frees the module's code. Its instances must be closed before.
func (m *Module) Close() error { return m.code.Close(context.Background()) }

// index notes where the module may be entered.
func (m *Module) index(t *translator) {
	for _, s := range t.texts {
		m.tables = append(m.tables, table{s.Addr, make([]place, len(s.Bytes)/2)})
	}
	m.chunk = math.MaxInt32 / 2
	for k, f := range t.funcs {
		if f.circular {
			m.chunk = stackBudget
		}
		for _, i := range f.order {
			n := &f.nodes[i]
			if i != 1 && n.resume == 0 || i == 0 {
				continue
			}
			p := m.place(n.pc)
			if p == nil || p.entry != 0 && i != 1 {
				continue
			}
			sid := uint32(n.resume)
			if i == 1 {
				sid = 0
			}
			m.entries = append(m.entries, entry{uint32(k), sid, int64(f.bound(i))})
			p.entry = uint32(len(m.entries))
		}
		for _, n := range f.nodes {
			m.stats.Instructions += len(n.code)
		}
	}
	for _, s := range t.texts {
		m.measure(t, s)
	}
	m.stats.Functions, m.stats.Found, m.stats.Entries = len(t.funcs), len(t.entries), len(m.entries)
	m.lacking.note(t)
}

// measure fills in the ways of a segment whose entries are known.
func (m *Module) measure(t *translator, s rv.Text) {
	var pcs []uint32
	var ops []rv.Op
	for pc, in := range t.instructions(s) {
		pcs, ops = append(pcs, pc), append(ops, in.Op)
	}
	var next *place
	for k := len(pcs) - 1; k >= 0; k-- {
		p := m.place(pcs[k])
		switch o := ops[k]; {
		case o >= rv.JAL && o <= rv.BGEU, o == rv.ILLEGAL, o >= rv.FENCE && o < rv.FLW:
			p.way = 1 | jumps
		case next == nil, next.entry != 0, next.way&^jumps >= farthest:
			p.way = 1
		default:
			p.way = next.way + 1
		}
		next = p
	}
}

// way returns how far it is from pc to the next entry, and whether a jump is there.
func (m *Module) way(pc uint32) (n int64, jump bool) {
	if p := m.place(pc); p != nil {
		return int64(p.way &^ jumps), p.way&jumps != 0
	}
	return 0, false
}

// An Instance runs harts whose memory lies at the same place. It belongs to
// one goroutine at a time.
type Instance struct {
	m     *Module
	mod   api.Module
	enter api.Function
	mem   [2][]byte // the windows
	regs  *Registers
	lack  int   // the function, not translated, for which the code was left last; -1: for another reason
	poor  int   // entries that did little
	rest  int64 // cycles that the interpreter is to do
	rests int64 // how many that will be the next time
	least int64 // the budget for which the code is entered

	// Entered counts how often the module's code was entered, Cycles what it did.
	Entered, Cycles uint64
}

// The parameters of the module's entry, and its results.
const (
	nParams = 3 + 31
	fixed   = 3
)

// Registers are memory in which a hart's go into code and come out of it.
type Registers [nParams]uint64

// Lend gives the instance such memory, which those that a goroutine runs in turn may
// share: it then stays in the processor's cache. Without, it takes its own.
func (i *Instance) Lend(r *Registers) { i.regs = r }

// memory lends a slice to wazero.
type memory struct{ mem []byte }

func (m memory) Reallocate(uint64) []byte { return m.mem }
func (m memory) Free()                    {}

// instanceConfig is what wazero is to know of instances. They have no use for random
// numbers; without a source of its own each would be given one, which takes longer
// than all else.
var instanceConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(strings.NewReader(""))

// Instance makes an instance over mem, in which the windows lie at the offsets
// off0 and, behind the first, off1. It does not copy mem, which harts may use
// and change as long as the instance does not run.
func (m *Module) Instance(mem []byte, off0, off1 int) (*Instance, error) {
	if m.wins[1].Size == 0 {
		off1 = off0
	}
	size := func(off, k int) bool {
		return off >= 0 && off <= len(mem) && uint64(len(mem)-off) >= uint64(m.wins[k].Size)
	}
	if !size(off0, 0) || !size(off1, 1) || m.wins[1].Size > 0 && uint64(off1-off0) < uint64(m.wins[0].Size) || off1 < off0 {
		return nil, sys.Errorf(syscall.EINVAL, "windows at %d and %d do not fit a memory of %d bytes in this order",
			off0, off1, len(mem))
	}
	mem = mem[off0:]
	mem = mem[:min(len(mem), math.MaxUint32)]
	ctx := experimental.WithMemoryAllocator(context.Background(),
		experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return memory{mem} }))
	mod, err := m.engine.rt.InstantiateModule(ctx, m.code, instanceConfig)
	if err != nil {
		return nil, fmt.Errorf("translated image: %w", err)
	}
	shift := mod.ExportedGlobal("shift").(api.MutableGlobal)
	shift.Set(uint64(uint32(off1 - off0)))
	i := &Instance{m: m, mod: mod, lack: -1, rests: restFor, least: worth, enter: mod.ExportedFunction("enter")}
	i.mem = [2][]byte{mem, mem[off1-off0:]}
	return i, nil
}

// Module returns what the instance is of.
func (i *Instance) Module() *Module { return i.m }

// Close frees the instance.
func (i *Instance) Close() error { return i.mod.Close(context.Background()) }

// walk bounds the instructions that are interpreted in pieces in search of an
// entry.
const walk = 200

// serves says whether the instance may run h.
func (i *Instance) serves(h *rv.Hart) bool {
	for k := range h.Win {
		if w := h.Win[k].Mem; len(w) > 0 && (len(i.mem[k]) == 0 || &w[0] != &i.mem[k][0]) {
			return false
		}
	}
	return i.m.Fits(h)
}

// Run does what h.Run does, with the whole of the budget. A hart that the
// instance is not made for, or no longer since a window has changed, is
// interpreted.
func (i *Instance) Run(h *rv.Hart, budget int64) rv.Why {
	if i.rest >= budget || !i.serves(h) {
		return i.interpret(h, budget)
	}
	end := h.Instret + h.Extra + uint64(max(budget, 0))
	for {
		left := int64(end - h.Instret - h.Extra)
		if left <= 0 {
			return rv.Budget
		}
		if h.Image != i.m.image {
			return h.Run(left) // a fence.i found other code
		}
		var why rv.Why
		if i.rest > 0 {
			why = i.interpret(h, min(left, i.rest))
		} else {
			cost := int64(0)
			if e := i.m.entry(h.PC); e != nil && left >= max(e.need, i.least) {
				i.judge(i.call(h, e, min(left, i.m.chunk)))
				cost = costExit
			}
			why = i.search(h, end, cost)
		}
		if why != rv.Budget {
			return why
		}
	}
}

// worth is the least budget for which the code is entered: to interpret less takes no
// longer than to enter it and to leave it again.
const worth = 400

// interpret is h.Run; what it does is rest.
func (i *Instance) interpret(h *rv.Hart, budget int64) rv.Why {
	start := h.Instret + h.Extra
	why := h.Run(budget)
	i.rest = max(0, i.rest-int64(h.Instret+h.Extra-start))
	return why
}

// What judge goes by.
const (
	poorEntry = 150   // cycles that are not worth an entry
	goodEntry = 400   // cycles that pay for some that were not
	poorMany  = 64    // poor entries in a row that are too many
	restFor   = 50000 // cycles that the interpreter then does, and twice as many each time
	restMost  = 64 * restFor
)

// judge makes the interpreter go on for a while where the code is left as
// soon as it is entered, as by a loop of floating point, or of messages.
func (i *Instance) judge(used uint64) {
	switch {
	case used >= goodEntry:
		i.poor, i.rests = 0, restFor
	case used >= poorEntry:
		i.poor = max(0, i.poor-1)
	default:
		i.poor++
	}
	if i.poor > poorMany {
		i.rest, i.poor = i.rests, poorMany/2
		i.rests = min(2*i.rests, restMost)
		i.m.lacking.add(i.lack, i.rest*costCycle)
	}
}

// search interprets until the code may be entered. cost is what it has cost to
// come here.
func (i *Instance) search(h *rv.Hart, end uint64, cost int64) rv.Why {
	lack := -1
	for n := int64(0); n < walk; {
		left := int64(end - h.Instret - h.Extra)
		if left <= 0 {
			return rv.Budget
		}
		why := rv.Budget
		switch k, jump := i.m.way(h.PC); {
		case n == 0 || k == 0:
			why = h.Step(nil)
			n++
		case k >= left:
			return h.Run(left)
		case jump:
			why = h.Most(k + 1)
			n += k
		default:
			why = h.Run(k)
			n += k
		}
		if cost >= 0 {
			// By now a call that was left is done.
			lack = i.m.lacking.at(h.PC)
			i.m.lacking.add(lack, cost)
			i.lack, cost = lack, -1
		}
		if why != rv.Budget {
			return why
		}
		if e := i.m.entry(h.PC); e != nil {
			i.m.lacking.add(lack, n*costStep)
			if left = int64(end - h.Instret - h.Extra); left < max(e.need, i.least) && left > 0 {
				return h.Run(left)
			}
			return rv.Budget
		}
	}
	n := min(int64(end-h.Instret-h.Extra), 2000)
	why := h.Run(n)
	if at := i.m.lacking.at(h.PC); at >= 0 {
		lack = at
	}
	i.m.lacking.add(lack, walk*costStep+n*costCycle)
	return why
}

// call enters the module's code, and returns the cycles that it did.
func (i *Instance) call(h *rv.Hart, e *entry, budget int64) uint64 {
	if i.regs == nil {
		i.regs = new(Registers)
	}
	r := i.regs
	r[0], r[1], r[2] = uint64(e.fn), uint64(e.sid), uint64(uint32(budget))
	for k := range 31 {
		r[fixed+k] = uint64(h.X[k+1])
	}
	if err := i.enter.CallWithStack(context.Background(), r[:]); err != nil {
		panic(err) // the translator's own fault: guest code cannot make WebAssembly trap
	}
	h.PC = uint32(r[0]) &^ 1
	used := uint64(budget - int64(int32(r[1])))
	extra := uint64(uint32(r[2]))
	h.Extra += extra
	h.Instret += used - extra
	i.Entered++
	i.Cycles += used
	for k := range 31 {
		h.X[k+1] = uint32(r[fixed+k])
	}
	return used
}

// stackBudget bounds the host's stack where calls may form circles: each
// takes a toll of about a fourth of the bytes of its frame in cycles.
const stackBudget = 1 << 16

func (t *translator) functionAt(pc uint32) *function { return t.byEntry[pc] }

// toll is what a call takes from the budget while it lasts.
func (t *translator) toll(f, callee *function) int32 {
	if !f.circular || callee != nil && callee.group != f.group {
		return 0
	}
	return 16 + int32(bits.OnesCount32(uint32(f.writes)))
}

// clobbered returns the registers that may be different behind a call.
func (t *translator) clobbered(n *node) regs {
	if n.kind == kICall {
		return allRegs
	}
	return t.functionAt(n.target).clobbers
}

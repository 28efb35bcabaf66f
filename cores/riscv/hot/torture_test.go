package hot

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
)

// Where random programs find what.
const (
	codeSize  = 8 << 10
	tableBase = privBase + codeSize // of jump tables, read-only
	tableSize = 1 << 10
	tortPriv  = 64 << 10
	tortSRAM  = 8 << 10
	sramBase  = 0x10000000
)

// A generator writes random programs: functions full of loops, jumps into
// their middle and into others', calls, jump tables, and all that may fault.
type generator struct {
	*rand.Rand
	code   []byte
	starts []int // where each function begins
	tables []uint32
}

func (g *generator) word(w uint32) { g.code = binary.LittleEndian.AppendUint32(g.code, w) }

func (g *generator) half(w uint32) { g.code = binary.LittleEndian.AppendUint16(g.code, uint16(w)) }

func encI(op, f3, rd, rs1 uint32, imm int32) uint32 {
	return op | rd<<7 | f3<<12 | rs1<<15 | uint32(imm)<<20
}

func encR(op, f3, f7, rd, rs1, rs2 uint32) uint32 {
	return op | rd<<7 | f3<<12 | rs1<<15 | rs2<<20 | f7<<25
}

func encS(f3, rs1, rs2 uint32, imm int32) uint32 {
	u := uint32(imm)
	return 0x23 | u&31<<7 | f3<<12 | rs1<<15 | rs2<<20 | u>>5<<25
}

func encB(f3, rs1, rs2 uint32, imm int32) uint32 {
	u := uint32(imm)
	return 0x63 | u>>11&1<<7 | u>>1&15<<8 | f3<<12 | rs1<<15 | rs2<<20 | u>>5&63<<25 | u>>12<<31
}

func encJ(rd uint32, imm int32) uint32 {
	u := uint32(imm)
	return 0x6f | rd<<7 | u>>12&255<<12 | u>>11&1<<20 | u>>1&1023<<21 | u>>20<<31
}

// pick returns a register: mostly those of data, at times any.
func (g *generator) pick() uint32 {
	if g.IntN(12) == 0 {
		return g.Uint32N(32)
	}
	return 10 + g.Uint32N(8)
}

// base returns a register that mostly points somewhere.
func (g *generator) base() uint32 {
	if g.IntN(25) == 0 {
		return g.pick()
	}
	return []uint32{2, 8, 9, 8, 9, 3}[g.IntN(6)]
}

// near returns an offset from here to a place of a function, at times of
// another one, where mostly an instruction begins.
func (g *generator) near(from int) int32 {
	lo := g.starts[len(g.starts)-1]
	if g.IntN(15) == 0 {
		lo = g.starts[g.IntN(len(g.starts))]
	}
	to := lo + g.IntN(160)&^3
	if g.IntN(10) == 0 {
		to += 2
	}
	return int32(to - from)
}

func (g *generator) some() {
	here := len(g.code)
	switch g.IntN(40) {
	case 0, 1, 2, 3, 4, 5, 6:
		f7 := []uint32{0, 0, 0x20, 1, 1, 0x10, 5, 0x30, 0x24, 0x34, 0x14, 4}[g.IntN(12)]
		w := encR(0x33, g.Uint32N(8), f7, g.pick(), g.pick(), g.pick())
		if rv.Decode(w).Op == rv.ILLEGAL && g.IntN(10) > 0 {
			w = encR(0x33, 0, 0, g.pick(), g.pick(), g.pick())
		}
		g.word(w)
	case 7, 8, 9, 10, 11:
		f3 := []uint32{0, 0, 0, 2, 3, 4, 6, 7}[g.IntN(8)]
		g.word(encI(0x13, f3, g.pick(), g.pick(), g.Int32N(4096)-2048))
	case 12:
		f := []uint32{0, 0x20, 0x30, 0x24, 0x14, 0x34}[g.IntN(6)]
		g.word(encI(0x13, 1+4*g.Uint32N(2), g.pick(), g.pick(), int32(f<<5|g.Uint32N(32))))
	case 13:
		g.word(0x37 | g.pick()<<7 | []uint32{0x80000, 0x80001, 0x80002, 0x10000, g.Uint32N(1 << 20)}[g.IntN(5)]<<12)
	case 14:
		g.word(0x17 | g.pick()<<7 | g.Uint32N(4)<<12)
	case 15, 16, 17, 18, 19, 20:
		g.word(encI(0x03, []uint32{0, 1, 2, 4, 5, 2, 2}[g.IntN(7)], g.pick(), g.base(), g.Int32N(256)-64))
	case 21, 22, 23, 24, 25:
		g.word(encS(g.Uint32N(3), g.base(), g.pick(), g.Int32N(256)-64))
	case 26, 27, 28, 29:
		g.word(encB([]uint32{0, 1, 4, 5, 6, 7}[g.IntN(6)], g.pick(), g.pick(), g.near(here)))
	case 30:
		g.word(encJ([]uint32{0, 0, 0, g.pick()}[g.IntN(4)], g.near(here)))
	case 31, 32:
		g.word(encJ([]uint32{1, 1, 1, 5}[g.IntN(4)], int32(g.starts[g.IntN(len(g.starts))]-here)))
	case 33:
		g.pointer()
	case 34:
		g.table()
	case 35:
		g.word([]uint32{
			0x73, 0x00100073, 0xc0002573, 0xc0202573, 0x0000100f, 0x0ff0000f, 0x00000000, 0x7c2025f3,
			0x1004252f, 0x18b4262f, 0x00b4252f, 0x08c4a52f, 0x00042507, 0x00a42027, 0x00a58553, 0x10b5f553, 0x30200073,
		}[g.IntN(17)])
	case 36:
		g.half([]uint32{0x0001, 0x4501, 0x8532, 0x95b2, 0x4522, 0xc42a, 0x8082, 0x0505}[g.IntN(8)])
	case 37:
		g.word(encI(0x13, 0, []uint32{8, 9, 2, 3}[g.IntN(4)], []uint32{8, 9, 2, 3}[g.IntN(4)], g.Int32N(64)-32))
	case 38:
		g.word(encR(0x33, g.Uint32N(8), 1, g.pick(), g.pick(), g.pick()))
	default:
		g.word(0x00008067) // ret
	}
}

// pointer calls or jumps by an address made in a register.
func (g *generator) pointer() {
	to := uint32(privBase + g.starts[g.IntN(len(g.starts))])
	if g.IntN(6) == 0 {
		to += 4
	}
	lo := int32(to) << 20 >> 20
	g.word(0x37 | 6<<7 | (to-uint32(lo))&0xfffff000)
	g.word(encI(0x13, 0, 6, 6, lo))
	g.word(encI(0x67, 0, []uint32{1, 1, 0, 5}[g.IntN(4)], 6, 0))
}

// table jumps by a table.
func (g *generator) table() {
	at := int32(tableBase + 4*len(g.tables))
	for range 4 {
		g.tables = append(g.tables, uint32(privBase+len(g.code)+int(g.near(len(g.code)))))
	}
	g.word(encI(0x13, 7, 6, g.pick(), 12))
	lo := at << 20 >> 20
	g.word(0x37 | 7<<7 | uint32(at-lo)&0xfffff000)
	g.word(encR(0x33, 0, 0, 6, 6, 7))
	g.word(encI(0x03, 2, 6, 6, lo))
	g.word(encI(0x67, 0, 0, 6, 0))
}

// loop writes a loop such as compilers make: pointers that grow by constants
// or by a register, some of them near the ends of windows, a counter or a
// pointer's end, now and then a branch within and loops inside.
func (g *generator) loop(counter uint32, depth int) {
	pointers := []uint32{8, 9, 8 + g.Uint32N(2)}
	if g.IntN(3) == 0 {
		edge := []uint32{privBase, privBase + codeSize + tableSize, privBase + tortPriv, sramBase, sramBase + 64, sramBase + tortSRAM}[g.IntN(6)]
		edge += g.Uint32N(256) - 128
		lo := int32(edge) << 20 >> 20
		g.word(0x37 | 8<<7 | (edge-uint32(lo))&0xfffff000)
		g.word(encI(0x13, 0, 8, 8, lo))
	}
	g.word(encI(0x13, 0, counter, 0, 1+g.Int32N(20)))
	top := len(g.code)
	for range 1 + g.IntN(6) {
		at := pointers[g.IntN(3)]
		off := g.Int32N(64) - 16
		switch g.IntN(8) {
		case 0, 1, 2:
			g.word(encI(0x03, []uint32{0, 1, 2, 4, 5, 2, 2}[g.IntN(7)], g.pick(), at, off))
		case 3, 4:
			g.word(encS(g.Uint32N(3), at, g.pick(), off))
		case 5:
			g.word(encB(g.Uint32N(2), g.pick(), g.pick(), 8)) // over the next
			g.word(encI(0x13, 0, at, at, g.Int32N(32)-8))
		default:
			g.word(encR(0x33, g.Uint32N(8), g.Uint32N(2), g.pick(), g.pick(), g.pick()))
		}
	}
	if depth > 0 {
		g.loop(counter+1, depth-1)
	}
	for _, r := range pointers[:1+g.IntN(2)] {
		if g.IntN(5) == 0 {
			g.word(encR(0x33, 0, 0, r, r, 5))
		} else {
			g.word(encI(0x13, 0, r, r, []int32{1, 2, 4, 4, 8, -4, 64, 1024, 2047}[g.IntN(9)]))
		}
	}
	g.word(encI(0x13, 0, counter, counter, -1))
	g.word(encB(1, counter, 0, int32(top-len(g.code))))
}

func (g *generator) program() {
	for range 2 + g.IntN(6) {
		g.starts = append(g.starts, len(g.code))
		frame := g.IntN(3) > 0
		if frame {
			g.word(encI(0x13, 0, 2, 2, -16))
			g.word(encS(2, 2, 1, 12))
		}
		for range 5 + g.IntN(45) {
			g.some()
			if g.IntN(25) == 0 {
				g.loop(28, g.IntN(3))
			}
		}
		if frame {
			g.word(encI(0x03, 2, 1, 2, 12))
			g.word(encI(0x13, 0, 2, 2, 16))
		}
		g.word(0x00008067)
	}
}

// A twin is a hart with memory of its own.
func twin(g *generator, image *rv.Image, second bool) (*rv.Hart, []byte) {
	mem := make([]byte, tortPriv+tortSRAM)
	copy(mem, g.code)
	for k, w := range g.tables {
		binary.LittleEndian.PutUint32(mem[codeSize+4*k:], w)
	}
	h := &rv.Hart{Image: image, PC: privBase}
	h.Win[0] = rv.Window{Base: privBase, RO: codeSize + tableSize, Mem: mem[:tortPriv]}
	if second {
		h.Win[1] = rv.Window{Base: sramBase, RO: 64, Mem: mem[tortPriv:]}
	}
	for r := range 32 {
		h.X[r] = uint32(r) * 0x01234567
	}
	h.X[0], h.X[1] = 0, privBase+uint32(g.starts[len(g.starts)-1])
	h.X[2], h.X[3] = privBase+tortPriv-256, privBase+codeSize+tableSize+16
	h.X[8], h.X[9] = privBase+0x8000, sramBase+0x1000
	return h, mem
}

// same says whether two harts are in the same state.
func same(a, b *rv.Hart) bool {
	return slices.Equal(a.X[:32], b.X[:32]) && a.F == b.F && a.PC == b.PC && a.Fcsr == b.Fcsr && a.Instret == b.Instret &&
		a.Extra == b.Extra && a.Trap == b.Trap && a.CSR == b.CSR &&
		a.Reserved == b.Reserved && a.ReservedAddr == b.ReservedAddr && a.ReservedWord == b.ReservedWord
}

// twins are two harts in the same state, one of them run by the hot tier.
type twins struct {
	want, got       *rv.Hart
	wantMem, gotMem []byte
	inst            *Instance
}

// pair makes twins of what g wrote.
func pair(t testing.TB, e *Engine, g *generator, second bool) *twins {
	t.Helper()
	return pairOf(t, e, g, second, isa.All, Choice{})
}

// pairOf is pair for harts with these extensions, and some of the functions.
func pairOf(t testing.TB, e *Engine, g *generator, second bool, has isa.Set, c Choice) *twins {
	t.Helper()
	image, err := rv.NewImageFor([]rv.Text{{Addr: privBase, Bytes: g.code}}, has)
	if err != nil {
		t.Fatal(err)
	}
	p := &twins{}
	p.want, p.wantMem = twin(g, image, second)
	p.got, p.gotMem = twin(g, image, second)
	m, err := e.Compile(p.got, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if p.inst, err = m.Instance(p.gotMem, 0, tortPriv); err != nil {
		t.Fatal(err)
	}
	p.inst.least = 0 // so that the code is left in the middle of anything
	t.Cleanup(func() { p.inst.Close() })
	return p
}

// run runs both, and compares everything when they stop.
func (p *twins) run(t testing.TB, budget int64) rv.Why {
	t.Helper()
	p.inst.poor, p.inst.rest = 0, 0
	a, b := p.want.Run(budget), p.inst.Run(p.got, budget)
	if a != b || !same(p.want, p.got) || !bytes.Equal(p.wantMem, p.gotMem) {
		t.Fatalf("want %v at %#x after %d+%d %+v, got %v at %#x after %d+%d %+v\n%x\n%x",
			a, p.want.PC, p.want.Instret, p.want.Extra, p.want.Trap,
			b, p.got.PC, p.got.Instret, p.got.Extra, p.got.Trap, p.want.X[:32], p.got.X[:32])
	}
	return a
}

// both does something with both harts.
func (p *twins) both(do func(h *rv.Hart)) {
	do(p.want)
	do(p.got)
}

// differ runs a random program in both tiers with random budgets, and compares
// everything whenever they stop. It returns the cycles, and how many of them
// were the hot tier's.
func differ(t *testing.T, e *Engine, seed uint64) (all, hot uint64) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.program()
	has := isa.All
	switch seed % 16 {
	case 5:
		has = isa.All &^ isa.C
	case 9:
		has = isa.Set(g.Uint32()) & isa.All
	}
	var c Choice
	if seed%3 == 0 {
		c.Only = true
		for _, at := range g.starts {
			if g.IntN(2) == 0 {
				c.Places = append(c.Places, privBase+uint32(at)+g.Uint32N(16)&^3)
			}
		}
	}
	p := pairOf(t, e, g, seed%4 != 0, has, c)
	for n := range uint32(60) {
		budget := int64(g.IntN(1000))
		if g.IntN(4) == 0 {
			budget = int64(g.IntN(30))
		}
		why := p.run(t, budget)
		switch why {
		case rv.Budget, rv.Call:
			continue
		case rv.Wait:
			p.both(func(h *rv.Hart) { h.EndWait(n) })
			continue
		}
		to := privBase + uint32(g.starts[g.IntN(len(g.starts))])
		if g.IntN(2) == 0 {
			to = p.want.PC + 4
		}
		p.both(func(h *rv.Hart) {
			h.PC = to
			h.X[2], h.X[8], h.X[9] = privBase+tortPriv-256, privBase+0x8000, sramBase+0x1000
		})
	}
	return p.got.Instret + p.got.Extra, p.inst.Cycles
}

func TestTorture(t *testing.T) {
	e := New(context.Background())
	defer e.Close()
	var all, hot uint64
	for seed := range uint64(400) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			a, b := differ(t, e, seed)
			all, hot = all+a, hot+b
		})
	}
	t.Logf("%d of %d cycles in the hot tier", hot, all)
	if hot < all/4 {
		t.Error("the hot tier did too little to be tested")
	}
}

func FuzzTiers(f *testing.F) {
	e := New(context.Background())
	f.Cleanup(func() { e.Close() })
	for seed := range uint64(20) {
		f.Add(1000 + seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { differ(t, e, seed) })
}

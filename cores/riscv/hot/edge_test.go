package hot

import (
	"context"
	"runtime"
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
)

// words is a generator that has written these instructions, as one function.
func words(list ...uint32) *generator {
	g := &generator{starts: []int{0}}
	for _, w := range list {
		g.word(w)
	}
	return g
}

const ret = 0x00008067

func engine(t testing.TB) *Engine {
	e := New(context.Background())
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestWindowEdges accesses all widths at and around every border.
func TestWindowEdges(t *testing.T) {
	e := engine(t)
	borders := []uint32{
		0, privBase, privBase + codeSize + tableSize, privBase + tortPriv, sramBase, sramBase + 64, sramBase + tortSRAM, 1 << 31,
	}
	for _, second := range []bool{true, false} {
		for _, in := range []uint32{
			encI(0x03, 0, 10, 11, 0), encI(0x03, 1, 10, 11, 0), encI(0x03, 2, 10, 11, 0), encI(0x03, 4, 10, 11, 0), encI(0x03, 5, 10, 11, 0),
			encS(0, 11, 12, 0), encS(1, 11, 12, 0), encS(2, 11, 12, 0), encI(0x03, 2, 0, 11, -4), encI(0x03, 2, 10, 11, 2047),
		} {
			// Beside the access alone, one that is proved together with others.
			for _, code := range [][]uint32{
				{in, ret},
				{encI(0x13, 0, 12, 12, 1), encI(0x03, 2, 13, 11, 4), in, encI(0x03, 0, 14, 11, -3), ret},
				{encI(0x13, 0, 12, 12, 1), in, encS(2, 11, 12, 8), encI(0x13, 0, 11, 11, 4), encS(2, 11, 12, -8), ret},
			} {
				p := pair(t, e, words(code...), second)
				for _, b := range borders {
					for d := uint32(0); d < 24; d++ {
						p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[11] = privBase, privBase+2048, b+d-12 })
						p.run(t, 20)
					}
				}
			}
		}
	}
}

// TestConstantAddresses accesses borders at addresses that the code makes.
func TestConstantAddresses(t *testing.T) {
	e := engine(t)
	for _, page := range []uint32{privBase, privBase + codeSize, privBase + tortPriv, sramBase, sramBase + tortSRAM, 0, 0xfffff000} {
		for _, imm := range []int32{-5, -4, -3, -2, -1, 0, 1, 60, 62, 64, 1020, 1022, 1024} {
			for _, in := range []uint32{encI(0x03, 2, 10, 11, imm), encS(2, 11, 12, imm), encI(0x03, 5, 10, 11, imm), encS(0, 11, 12, imm)} {
				p := pair(t, e, words(0x37|11<<7|page, in, encI(0x13, 0, 12, 12, 1), ret), true)
				p.run(t, 40)
			}
		}
	}
}

// TestIrreducible runs a loop of two blocks, which is entered at both.
func TestIrreducible(t *testing.T) {
	p := pair(t, engine(t), words(
		encB(0, 10, 0, 12),           // beqz a0, B
		encI(0x13, 0, 11, 11, 1),     // A: addi a1, a1, 1
		encI(0x13, 0, 12, 12, 3),     // addi a2, a2, 3
		encR(0x33, 4, 0, 13, 13, 11), // B: xor a3, a3, a1
		encI(0x13, 0, 14, 14, -1),    // addi a4, a4, -1
		encB(1, 14, 0, -16),          // bnez a4, A
		ret,
	), true)
	for n := range uint32(2000) {
		p.both(func(h *rv.Hart) {
			h.PC, h.X[1], h.X[10], h.X[14] = privBase, privBase+2048, n%2, n%70+1
		})
		for p.want.PC-privBase < 2048 && p.run(t, int64(n%97+1)) == rv.Budget {
		}
	}
	if p.inst.Cycles < 20000 {
		t.Errorf("only %d cycles in the hot tier", p.inst.Cycles)
	}
}

// TestOddLink jumps with a link in another register than ra and t0, to a place
// of the same function and to another function.
func TestOddLink(t *testing.T) {
	p := pair(t, engine(t), words(
		encR(0x33, 0, 0, 9, 1, 0), // mv s1, ra
		encJ(1, 36),               // jal F
		encJ(4, 12),               // jal tp, A
		ret,
		ret,
		encJ(11, 20),                 // A: jal a1, F
		encR(0x33, 0, 0, 1, 9, 0),    // not reached
		encI(0x13, 0, 12, 12, 1),     // nor this
		encR(0x33, 4, 0, 13, 13, 11), // nor this
		ret,
		encR(0x33, 0, 0, 10, 11, 4), // F: add a0, a1, tp
		encI(0x13, 0, 14, 14, -1),   // addi a4, a4, -1
		encB(1, 14, 0, -8),          // bnez a4, F
		ret,
	), true)
	for budget := int64(1); budget < 60; budget += 7 {
		p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[14] = privBase, privBase+2048, 4 })
		p.run(t, budget)
	}
	p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[4], h.X[11], h.X[14] = privBase, privBase+2048, 0, 0, 4 })
	p.run(t, 100)
	if h := p.want; h.X[4] != privBase+12 || h.X[11] != privBase+24 || p.inst.Cycles < 10 {
		t.Errorf("tp %#x, a1 %#x, %d cycles in the hot tier", h.X[4], h.X[11], p.inst.Cycles)
	}
}

// TestLacking runs instructions that the hart does not have, and jumps that lead
// to none without C, behind others that the hot tier does.
func TestLacking(t *testing.T) {
	e := engine(t)
	for word, lacks := range map[uint32]isa.Set{
		encR(0x33, 0, 1, 10, 11, 12):    isa.M,
		encR(0x33, 2, 0x10, 10, 11, 12): isa.Zba,
		encR(0x33, 7, 0x20, 10, 11, 12): isa.Zbb,
		encR(0x33, 1, 0x24, 10, 11, 12): isa.Zbs,
		0x1005252f:                      isa.Zalrsc,
		0x00b5252f:                      isa.Zaamo,
		0x00a58553:                      isa.F,
		0x02a58553:                      isa.D,
		0x00010505:                      isa.C,        // c.addi, c.nop
		csrr(0x340):                     isa.Zicsr,    // mscratch
		csrr(0xc00):                     isa.Zicntr,   // cycle
		0x0000100f:                      isa.Zifencei, // fence.i
		encJ(1, 6):                      isa.C,
		encJ(0, 6):                      isa.C,
		encB(0, 0, 0, 6):                isa.C,
		encI(0x67, 0, 1, 13, 2):         isa.C,
		encI(0x67, 0, 0, 13, 2):         isa.C,
		encI(0x67, 0, 0, 1, 6):          isa.C,
	} {
		p := pairOf(t, e, words(
			encI(0x13, 0, 10, 10, 1), // L: addi a0, a0, 1
			encI(0x13, 0, 14, 14, -1),
			encB(1, 14, 0, -8), // bnez a4, L
			word,
			encI(0x13, 0, 12, 12, 1),
			ret,
		), true, isa.All&^lacks, Choice{})
		p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[13], h.X[14] = privBase, privBase+2048, privBase+16, 100 })
		if why := p.run(t, 1000); why != rv.Fault || p.want.PC != privBase+12 || p.want.Instret != 300 || p.inst.Cycles < 250 {
			t.Errorf("%#x without %s: %v %+v, %d instructions, %d of them in the hot tier", word, lacks, why, p.want.Trap, p.want.Instret, p.inst.Cycles)
		}
	}
}

func csrr(num int32) uint32 { return encI(0x73, 2, 10, 0, num) }

// TestPointerAhead calls a leaf that lies behind the code that makes its address.
func TestPointerAhead(t *testing.T) {
	p := pair(t, engine(t), words(
		0x17|6<<7,                 // auipc t1, 0
		encI(0x13, 0, 7, 6, 36),   // addi t2, t1, leaf
		encR(0x33, 0, 0, 8, 1, 0), // mv s0, ra
		encR(0x33, 0, 0, 9, 7, 0), // mv s1, t2
		encI(0x67, 0, 1, 9, 0),    // L: jalr s1
		encI(0x13, 0, 14, 14, -1), // addi a4, a4, -1
		encB(1, 14, 0, -8),        // bnez a4, L
		encR(0x33, 0, 0, 1, 8, 0), // mv ra, s0
		ret,
		encI(0x13, 0, 10, 10, 1), // leaf
		ret,
	), true)
	if !p.inst.m.Entry(privBase + 36) {
		t.Error("the leaf is not an entry")
	}
	p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[14] = privBase, privBase+2048, 5000 })
	p.run(t, 20_000)
	if p.inst.Cycles < 19_000 || p.inst.Entered > 10 {
		t.Errorf("%d cycles in the hot tier, entered %d times", p.inst.Cycles, p.inst.Entered)
	}
}

// TestCompiledInLoop compiles for a hart that is within a loop, which is
// nevertheless entered at its head alone; a place that nothing leads to is an
// entry of its own.
func TestCompiledInLoop(t *testing.T) {
	image, err := rv.NewImage([]rv.Text{{Addr: privBase, Bytes: words(
		encJ(1, 8), // jal L
		ret,
		encI(0x13, 0, 10, 10, 1),  // L: addi a0, a0, 1
		encI(0x13, 0, 14, 14, -1), // addi a4, a4, -1
		encB(1, 14, 0, -8),        // bnez a4, L
		ret,
		encI(0x13, 0, 11, 11, 1), // not reached
		encI(0x13, 0, 12, 12, 1),
		ret,
	).code}})
	if err != nil {
		t.Fatal(err)
	}
	e := engine(t)
	for pc, want := range map[uint32]bool{12: false, 28: true} {
		h, _ := twin(words(), image, true)
		h.PC = privBase + pc
		m, err := e.Compile(h, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Entry(h.PC); got != want {
			t.Errorf("%d is an entry: %v, want %v", pc, got, want)
		}
	}
}

// TestRecursion calls without an end: the host's stack must not follow.
func TestRecursion(t *testing.T) {
	for name, code := range map[string][]uint32{
		"itself":   {encJ(1, 0)},
		"frames":   {encI(0x13, 0, 10, 10, 1), encI(0x13, 0, 11, 10, 1), encR(0x33, 0, 0, 12, 11, 10), encJ(1, -12), encR(0x33, 0, 0, 10, 11, 12), ret},
		"each":     {encI(0x13, 0, 10, 10, 1), encJ(1, 8), ret, encI(0x13, 0, 11, 11, 1), encJ(1, -16), ret},
		"pointer":  {0x17 | 5<<7, encI(0x13, 0, 10, 10, 1), encI(0x67, 0, 1, 5, 0)},
		"tail":     {encJ(1, 8), ret, encI(0x13, 0, 10, 10, 1), encJ(0, -12)},
		"by table": {0x17 | 6<<7, encI(0x13, 0, 10, 10, 1), encI(0x67, 0, 0, 6, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			p := pair(t, engine(t), words(code...), true)
			before := heap()
			p.run(t, 3_000_000)
			p.run(t, 1_000_000)
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			if p.inst.Cycles < 1000 {
				t.Errorf("only %d cycles in the hot tier", p.inst.Cycles)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestInstances opens and closes instances by the thousand, of two images.
func TestInstances(t *testing.T) {
	e := engine(t)
	var before int64
	add := []*twins{
		pair(t, e, words(encI(0x13, 0, 10, 10, 1), ret), true),
		pair(t, e, words(encI(0x13, 0, 10, 10, 2), ret), true),
	}
	for n := range 10_000 {
		if n == 100 {
			before = heap()
		}
		p := add[n%2]
		i, err := p.inst.m.Instance(p.gotMem, 0, tortPriv)
		if err != nil {
			t.Fatal(err)
		}
		h := p.got
		h.PC, h.X[1], h.X[10] = privBase, privBase+2048, 7
		i.least = 0
		i.Run(h, 2)
		if h.X[10] != 8+uint32(n%2) || i.Entered != 1 {
			t.Fatalf("a0 is %d, %d entries", h.X[10], i.Entered)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// TestMisfit runs harts that an instance is not made for: all alike, but not
// in the hot tier.
func TestMisfit(t *testing.T) {
	for name, change := range map[string]func(h *rv.Hart){
		"read-only": func(h *rv.Hart) { h.Win[0].RO = tortPriv },
		"base":      func(h *rv.Hart) { h.Win[1].Base += 4096 },
		"size":      func(h *rv.Hart) { h.Win[1].Mem = h.Win[1].Mem[:4096] },
		"memory":    func(h *rv.Hart) { h.Win[0].Mem = append([]byte(nil), h.Win[0].Mem...) },
		"image":     func(h *rv.Hart) { h.Image = nil },
	} {
		p := pair(t, engine(t), words(encS(2, 8, 10, 0), encI(0x13, 0, 10, 10, 1), encB(1, 10, 0, -8)), true)
		if !p.inst.m.Fits(p.got) {
			t.Error("a module does not fit the hart it was made for")
		}
		p.both(change)
		p.run(t, 1000)
		if p.inst.Cycles != 0 {
			t.Errorf("%s: the hot tier ran", name)
		}
	}
}

// TestNewCode changes an instruction that the hot tier has, with a fence.i
// behind that and without.
func TestNewCode(t *testing.T) {
	g := words(
		encI(0x13, 0, 10, 10, 1), // L: addi a0, a0, 1
		encI(0x13, 0, 12, 12, 1), // addi a2, a2, 1
		encB(1, 12, 13, -8),      // bne a2, a3, L
		encS(2, 14, 15, 0),       // sw a5, 0(a4)
		0x0000100f,               // fence.i
		encI(0x13, 0, 12, 0, 0),  // li a2, 0
		encJ(0, -24),             // j L
	)
	for _, fence := range []bool{true, false} {
		if !fence {
			copy(g.code[16:], words(encI(0x13, 0, 0, 0, 0)).code)
		}
		image, err := rv.NewImage([]rv.Text{{Addr: privBase, Bytes: g.code}})
		if err != nil {
			t.Fatal(err)
		}
		p := &twins{}
		p.want, p.wantMem = twin(g, image, true)
		p.got, p.gotMem = twin(g, image, true)
		p.both(func(h *rv.Hart) { h.Win[0].RO = 0 })
		m, err := engine(t).Compile(p.got, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		if p.inst, err = m.Instance(p.gotMem, 0, tortPriv); err != nil {
			t.Fatal(err)
		}
		p.both(func(h *rv.Hart) {
			h.PC, h.X[10], h.X[12], h.X[13] = privBase, 0, 0, 1000
			h.X[14], h.X[15] = privBase, encI(0x13, 0, 10, 10, 3)
		})
		p.run(t, 5000)
		if want := uint32(1000 + 666*3); fence && p.want.X[10] != want || !fence && p.want.X[10] != 1000+666 || p.inst.Cycles < 2900 {
			t.Errorf("fence.i %v: a0 is %d after %d cycles in the hot tier", fence, p.want.X[10], p.inst.Cycles)
		}
	}
}

// TestSegments runs code of two segments, far apart.
func TestSegments(t *testing.T) {
	g := words(encI(0x13, 0, 10, 10, 1), encB(1, 10, 11, -4), 0x37|5<<7|sramBase, encI(0x67, 0, 0, 5, 0))
	other := words(encI(0x13, 0, 12, 12, 1), encB(1, 12, 13, -4), 0x37|5<<7|privBase, encI(0x67, 0, 0, 5, 0))
	image, err := rv.NewImage([]rv.Text{{Addr: privBase, Bytes: g.code}, {Addr: sramBase, Bytes: other.code}})
	if err != nil {
		t.Fatal(err)
	}
	p := &twins{}
	p.want, p.wantMem = twin(g, image, true)
	p.got, p.gotMem = twin(g, image, true)
	m, err := engine(t).Compile(p.got, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if p.inst, err = m.Instance(p.gotMem, 0, tortPriv); err != nil {
		t.Fatal(err)
	}
	p.both(func(h *rv.Hart) { h.X[10], h.X[11], h.X[12], h.X[13] = 0, 5000, 0, 5000 })
	for range 20 {
		p.run(t, 1777)
	}
	if !m.Entry(privBase) || !m.Entry(sramBase) || m.Entry(privBase+1) || m.Entry(0) || p.inst.Cycles < 30000 {
		t.Errorf("only %d cycles in the hot tier", p.inst.Cycles)
	}
}

// TestRefused gives what cannot be translated, or run.
func TestRefused(t *testing.T) {
	e := engine(t)
	if _, err := e.Compile(&rv.Hart{}, Choice{}); err == nil {
		t.Error("a hart without an image was translated")
	}
	p := pair(t, e, words(ret), true)
	h := *p.got
	h.Win[1].Base = privBase + 8
	if _, err := e.Compile(&h, Choice{}); err == nil {
		t.Error("windows that overlap were accepted")
	}
	for _, off := range [][2]int{{-1, tortPriv}, {0, tortPriv + 1}, {1, tortPriv}, {1 << 40, 1 << 40}, {tortSRAM, 0}} {
		if _, err := p.inst.m.Instance(p.gotMem, off[0], off[1]); err == nil {
			t.Errorf("windows at %v were accepted", off)
		}
	}
	empty, err := rv.NewImage(nil)
	if err != nil {
		t.Fatal(err)
	}
	h = *p.got
	h.Image = empty
	if _, err := e.Compile(&h, Choice{}); err == nil {
		t.Error("an image without code was translated")
	}
}

// TestLittleBetweenCalls has a loop that calls the system each time around, so that
// the code does little for what it costs to enter it: it is let be for longer and
// longer. When the calls end it is entered again.
func TestLittleBetweenCalls(t *testing.T) {
	p := pair(t, engine(t), words(
		encI(0x13, 0, 10, 10, 1), // L: addi a0, a0, 1
		encB(0, 11, 0, 8),        // beqz a1, S
		0x73,                     // ecall
		encI(0x13, 0, 14, 14, -1),
		encB(1, 14, 0, -16), // S: bnez a4, L
		ret,
	), true)
	p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[11], h.X[14] = privBase, privBase+2048, 1, 1<<31 })
	p.inst.least = worth
	slices := func(n int) {
		for range n {
			for _, run := range []func(int64) rv.Why{p.want.Run, func(b int64) rv.Why { return p.inst.Run(p.got, b) }} {
				run(1000)
			}
		}
		if !same(p.want, p.got) {
			t.Fatalf("want pc %#x, %d instructions, got pc %#x, %d", p.want.PC, p.want.Instret, p.got.PC, p.got.Instret)
		}
	}
	slices(2_000_000)
	if n := p.inst.Entered; n == 0 || n > 500 {
		t.Errorf("entered %d times for 2,000,000 calls", n)
	}
	p.both(func(h *rv.Hart) { h.X[11] = 0 })
	before := p.inst.Cycles
	slices(10_000)
	if done := p.inst.Cycles - before; done < 7_000_000 {
		t.Errorf("%d of 10,000,000 cycles in the hot tier after the calls", done)
	}
}

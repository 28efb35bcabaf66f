package hot

import (
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
)

// chosen makes twins of what g wrote with some functions only.
func chosen(t *testing.T, g *generator, at ...uint32) *twins {
	t.Helper()
	c := Choice{Only: true}
	for _, pc := range at {
		c.Places = append(c.Places, privBase+pc)
	}
	return pairOf(t, engine(t), g, true, isa.All, c)
}

// TestChoice translates a function and what it calls in its loop. What it calls
// before is left to the interpreter; the loop is entered nevertheless, even
// though it looks as if a register held a constant there that the call changes.
func TestChoice(t *testing.T) {
	p := chosen(t, words(
		encR(0x33, 0, 0, 9, 1, 0),  // mv s1, ra
		encI(0x13, 0, 6, 0, 1),     // li t1, 1
		encB(0, 10, 0, 12),         // beqz a0, L
		encJ(1, 36),                // jal cold
		encR(0x33, 0, 0, 6, 10, 0), // mv t1, a0
		encJ(1, 40),                // L: jal small
		encR(0x33, 0, 0, 11, 11, 6),
		encI(0x13, 0, 14, 14, -1), // addi a4, a4, -1
		encB(1, 14, 0, -12),       // bnez a4, L
		encR(0x33, 0, 0, 1, 9, 0), // mv ra, s1
		ret,
		ret,
		encI(0x13, 0, 10, 10, 1), // cold
		encI(0x13, 0, 15, 15, 1),
		ret,
		encI(0x13, 0, 12, 12, 1), // small
		ret,
	), 24)
	if s := p.inst.m.Stats(); s.Functions != 2 || s.Found != 3 {
		t.Errorf("%d of %d functions, want 2 of 3", s.Functions, s.Found)
	}
	p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[10], h.X[14] = privBase, privBase+2048, 6, 5000 })
	p.run(t, 25_000)
	if p.inst.Cycles < 24_900 || p.inst.Entered > 10 {
		t.Errorf("%d cycles in the hot tier, entered %d times", p.inst.Cycles, p.inst.Entered)
	}
}

// TestRejoin has loops on both sides of a call that is left to the interpreter.
func TestRejoin(t *testing.T) {
	p := chosen(t, words(
		encR(0x33, 0, 0, 9, 1, 0), // mv s1, ra
		encJ(1, 40),               // jal cold
		encI(0x13, 0, 14, 14, -1), // K: addi a4, a4, -1
		encB(1, 14, 0, -4),        // bnez a4, K
		encJ(1, 28),               // jal cold
		encI(0x13, 0, 13, 13, -1), // L: addi a3, a3, -1
		encB(1, 13, 0, -4),        // bnez a3, L
		encR(0x33, 0, 0, 1, 9, 0), // mv ra, s1
		ret,
		ret,
		ret,
		encI(0x13, 0, 10, 10, 1), // cold
		ret,
	), 8)
	if s := p.inst.m.Stats(); s.Functions != 1 {
		t.Errorf("%d functions, want 1", s.Functions)
	}
	p.both(func(h *rv.Hart) { h.PC, h.X[1], h.X[13], h.X[14] = privBase, privBase+2048, 5000, 5000 })
	p.run(t, 20_000)
	if p.inst.Cycles < 19_900 || p.inst.Entered > 10 {
		t.Errorf("%d cycles in the hot tier, entered %d times", p.inst.Cycles, p.inst.Entered)
	}
}

// TestLackingFunction runs a function that calls one which is not translated, and
// then is because it was found to be lacking.
func TestLackingFunction(t *testing.T) {
	code := []uint32{
		encR(0x33, 0, 0, 9, 1, 0), // mv s1, ra
		encJ(1, 20),               // L: jal big
		encI(0x13, 0, 14, 14, -1), // addi a4, a4, -1
		encB(1, 14, 0, -8),        // bnez a4, L
		encR(0x33, 0, 0, 1, 9, 0), // mv ra, s1
		ret,
	}
	for range smallFunction + 1 {
		code = append(code, encI(0x13, 0, 12, 12, 1))
	}
	p := chosen(t, words(append(code, ret)...), 4)
	start := func(h *rv.Hart) { h.PC, h.X[1], h.X[14] = privBase, privBase+2048, 500 }
	p.both(start)
	p.run(t, 50_000)
	m := p.inst.m
	if lost := m.Lost(); m.Stats().Functions != 1 || lost < 100_000 || lost > 1_000_000 {
		t.Errorf("%d functions, lost %d", m.Stats().Functions, lost)
	}
	better, err := m.engine.Compile(p.got, Choice{Entries: m.Entries(), Only: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.inst, err = better.Instance(p.gotMem, 0, tortPriv); err != nil {
		t.Fatal(err)
	}
	p.both(start)
	p.run(t, 50_000)
	if better.Stats().Functions != 2 || better.Lost() != 0 || p.inst.Cycles < 49_900 {
		t.Errorf("%d functions, lost %d, %d cycles in the hot tier", better.Stats().Functions, better.Lost(), p.inst.Cycles)
	}
}

package rv_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"warren/cores/riscv/rv"
	"warren/cores/riscv/rv/torture"
)

// An arena is memory for a hart with a fence around each of its windows.
type arena struct {
	h    *rv.Hart
	near []byte
	far  []byte
}

const fence = 64

func newArena(t *testing.T, text []byte, seed uint64) *arena {
	t.Helper()
	im, err := rv.NewImage([]rv.Text{{Addr: base, Bytes: text}})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 7))
	a := &arena{near: bytes.Repeat([]byte{0xcc}, len(text)+1024+2*fence), far: bytes.Repeat([]byte{0xcc}, 512+2*fence)}
	a.h = &rv.Hart{PC: base, Image: im}
	// The far window ends where the address space does.
	a.h.Win[0] = rv.Window{Base: base, RO: uint32(len(text)), Mem: a.near[fence : len(a.near)-fence : len(a.near)-fence]}
	a.h.Win[1] = rv.Window{Base: 1<<32 - 512, RO: 16, Mem: a.far[fence : fence+512 : fence+512]}
	copy(a.h.Win[0].Mem, text)
	for i := 1; i < 32; i++ {
		a.h.X[i] = [...]uint32{base + uint32(len(text)) + r.Uint32N(1024), -r.Uint32N(600), r.Uint32N(64), base + r.Uint32N(uint32(len(text))+8)}[r.IntN(4)]
		a.h.F[i] = r.Uint64()
	}
	return a
}

// sound fails if anything was written that no store may reach.
func (a *arena) sound(t *testing.T, text []byte) {
	t.Helper()
	guard := bytes.Repeat([]byte{0xcc}, fence)
	for _, part := range [][]byte{a.near[:fence], a.near[len(a.near)-fence:], a.far[:fence], a.far[len(a.far)-fence:]} {
		if !bytes.Equal(part, guard) {
			t.Fatal("a store outside of the windows")
		}
	}
	if !bytes.Equal(a.near[fence:fence+len(text)], text) || !bytes.Equal(a.far[fence:fence+16], guard[:16]) {
		t.Fatal("a store where stores are refused")
	}
	if a.h.X[0] != 0 {
		t.Fatal("x0 is not 0")
	}
}

// run lets the hart go on for n cycles by way of f, and does what the machine
// does about traps.
func (a *arena) run(n uint64, f func(left int64) rv.Why) rv.Why {
	for {
		used := a.h.Instret + a.h.Extra
		if used >= n {
			return rv.Budget
		}
		why := f(int64(n - used))
		switch {
		case why == rv.Wait:
			a.h.EndWait(5)
		case why == rv.Budget, why == rv.Call:
		case !a.h.TakeTrap():
			return why
		default:
			a.h.Extra++ // so that a handler which faults comes to an end
		}
	}
}

// Random bytes as text: nothing is touched that must not be, and Run does as
// Step, whatever the budgets.
func FuzzRun(f *testing.F) {
	f.Add(uint64(1), uint64(3), code(sum...))
	f.Add(uint64(2), uint64(1), torture.New(1, 1).ELF()[4096:])
	f.Add(uint64(3), uint64(2), code(0x30529073, 0x7c2022f3, 0x02b54533, 0x00100073, 0xfe5ff06f, 0x1005252f, 0x02052407))
	f.Add(uint64(4), uint64(9), bytes.Repeat([]byte{0x93, 0x82, 0x12, 0x00, 0x85, 0x02, 0xe3, 0x9c, 0x02, 0xfe}, 8))
	f.Fuzz(func(t *testing.T, seed, chop uint64, text []byte) {
		const cycles = 500
		text = text[:min(len(text), 1<<14)]
		steps, whole, parts := newArena(t, text, seed), newArena(t, text, seed), newArena(t, text, seed)
		want := steps.run(cycles, func(int64) rv.Why { return steps.h.Step(nil) })
		gotWhole := whole.run(cycles, func(left int64) rv.Why { return whole.h.Run(left) })
		r := rand.New(rand.NewPCG(chop, 0))
		gotParts := parts.run(cycles, func(left int64) rv.Why {
			n := min(left, 1+r.Int64N(1+int64(chop%40)))
			before := parts.h.Instret + parts.h.Extra
			why := parts.h.Run(n)
			if used := int64(parts.h.Instret + parts.h.Extra - before); why == rv.Budget && (used < n || used > n+19) || used > n+19 {
				t.Fatalf("%d cycles of a budget of %d", used, n)
			}
			return why
		})
		steps.sound(t, text)
		for _, a := range []*arena{whole, parts} {
			a.sound(t, text)
			got := state(gotWhole, a.h)
			if a == parts {
				got = state(gotParts, a.h)
			}
			if want := state(want, steps.h); got != want {
				t.Fatalf("by Run: %s\nby Step: %s", got, want)
			}
			if !bytes.Equal(a.near, steps.near) || !bytes.Equal(a.far, steps.far) {
				t.Fatal("memory differs")
			}
		}
	})
}

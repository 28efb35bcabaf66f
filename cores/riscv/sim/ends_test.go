package sim

import "testing"

// leaves puts, gets and sends to the farthest core, and does not wait until it arrives.
const leaves = `#include <warren.h>
int main(void)
{
	static uint32_t there[64], here[64];
	uint32_t far = warren_size() - 1 - warren_rank();
	warren_put(far, there, here, sizeof here);
	warren_get(far, here, there, sizeof here);
	warren_send(far, 3, here, sizeof here);
	return 0;
}
`

// TestEndIsRest: when a program is said to have ended and none can run, nothing of it
// is on its way any more, so that what begins then does so at the same time always.
func TestEndIsRest(t *testing.T) {
	for _, resident := range []bool{false, true} {
		testEndIsRest(t, resident)
	}
}

func testEndIsRest(t *testing.T, resident bool) {
	t.Helper()
	image := &Image{ELF: buildText(t, leaves), Args: []string{"leaves"}}
	for _, quantum := range []uint64{minQuantum, 1000} {
		var want string
		for _, workers := range []int{1, 3} {
			m := bring(t, "mesh=8x9", Options{Workers: workers, Quantum: quantum})
			if resident { // it waits for a file
				waits := build(t, "small.c")
				load(t, m, waits, []int{71}, "echo")
				at(t, m, 71, Parked)
				hash(t, m)
			}
			for range 8 {
				j, err := m.Launch(Launch{
					Name: "leaves", Cores: first(64), Image: func(string) (*Image, error) { return image, nil },
					Write: new(output).write,
				})
				if err != nil {
					t.Fatal(err)
				}
				if e := ended(t, j); e.Code != 0 || e.Signal != 0 {
					t.Fatalf("%+v", e)
				}
				if !m.Resting() {
					t.Fatal("the program has ended, and the machine goes on")
				}
			}
			if h := m.Hash(); want == "" {
				want = h
			} else if h != want {
				t.Errorf("quantum %d, %d workers: hash %s, before %s", quantum, workers, h, want)
			}
		}
	}
}

// TestLoneCoreWaits: the long epochs of a core that runs alone end when it waits,
// whatever for.
func TestLoneCoreWaits(t *testing.T) {
	for _, c := range []struct{ file, what string }{{"small.c", "echo"}, {"wait.c", "word"}, {"wait.c", "input"}} {
		m := bring(t, "mesh=4x4", Options{})
		load(t, m, build(t, c.file), []int{5}, c.what)
		until(t, "at rest", func() bool { return m.Resting() && m.State(5) != Running })
		if now, _ := m.Now(); now > 20*m.Quantum() {
			t.Errorf("%s: it waited after %s, and the machine is at cycle %d", c.what, m.AppendHart(nil, 5), now)
		}
	}
}

// TestLoneCoreEnds: the long epochs of a core that runs alone end where short ones do in
// which it begins what ends it.
func TestLoneCoreEnds(t *testing.T) {
	elf := build(t, "small.c")
	for _, quantum := range []uint64{minQuantum, 2, 7, 1000} {
		for _, what := range []string{"load", "text", "illegal", "exit"} {
			m := bring(t, "mesh=2x2", Options{Quantum: quantum})
			ended(t, launch(t, m, elf, 1, new(output), what, "0"))
			began := m.cores[0].now()
			if what == "exit" {
				began-- // its call has retired
			}
			if now, _ := m.Now(); now != (began/quantum+1)*quantum {
				t.Errorf("%s, quantum %d: what ended it began at %d, the epoch ended at %d", what, quantum, began, now)
			}
		}
	}
}

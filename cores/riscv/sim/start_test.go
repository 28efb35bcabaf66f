package sim

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestManyStart starts a program on so many cores that the workers share the work,
// twice in the same place: what comes of it does not depend on how many there are.
func TestManyStart(t *testing.T) {
	elf := build(t, "small.c")
	var want string
	for _, workers := range []int{1, 4} {
		m := bring(t, "mesh=20x20", Options{Workers: workers, Quantum: MaxQuantum})
		for _, word := range []string{"first", "second"} {
			var out output
			calls := 0
			image := &Image{ELF: elf, Args: []string{"prog", "args", word}, Env: []string{"COLOUR=green"}}
			j, err := m.Launch(Launch{
				Name: "test", Cores: first(400), Image: func(string) (*Image, error) { return image, nil },
				Write: func(fd int, p []byte) error { calls++; return out.write(fd, p) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if e := ended(t, j); e.Code != 0 || e.Signal != 0 {
				t.Fatalf("%+v", e)
			}
			if n := strings.Count(out.String(), word); n != 400 {
				t.Errorf("%d of 400 cores had the word %q:\n%.500s", n, word, out.String())
			}
			if calls > 40 {
				t.Errorf("%d calls wrote what 400 cores wrote at once", calls)
			}
		}
		h := hash(t, m)
		if want == "" {
			want = h
		}
		if h != want {
			t.Errorf("%d workers: hash %s, with 1 worker %s", workers, h, want)
		}
	}
}

// TestStartIsLinear compares what is allocated to start and to clear away few
// cores and many: for each core it must be the same.
func TestStartIsLinear(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=64x64", Options{Workers: 2})
	image := &Image{ELF: elf, Args: []string{"prog", "wait"}}
	cost := func(n int, do func()) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	}
	start := func(n int) func() {
		return func() {
			j, err := m.Launch(Launch{Name: "test", Cores: first(n), Held: true, Image: func(string) (*Image, error) { return image, nil }})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Signal(9); err != nil {
				t.Fatal(err)
			}
		}
	}
	load := func(n int) func() {
		return func() {
			if err := m.Load(first(n), image); err != nil {
				t.Fatal(err)
			}
			if err := m.Reset(first(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, do := range map[string]func(int) func(){"launch": start, "load": load} {
		do(4096)() // what is made once is there
		few, many := cost(512, do(512)), cost(4096, do(4096))
		t.Logf("%s: %.0f and %.0f bytes a core", name, few, many)
		if many > few*1.5 {
			t.Errorf("%s: %.0f bytes a core for 512 cores, %.0f for 4096", name, few, many)
		}
	}
}

// TestWiper wipes pieces that lie next to each other, or not, and that do not
// begin and end at pages.
func TestWiper(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	mem := m.arena.mem
	dirty := func(from, to uint64) {
		for i := from; i < to; i++ {
			mem[i] = 1
		}
	}
	for _, pieces := range [][][2]uint64{
		{{0, 8192}, {8192, 12288}, {12288, 20480}},
		{{100, 300}},
		{{100, 5000}, {5000, 16000}},
		{{4096, 8192}, {12288, 16384}},
		{{4000, 12300}, {16000, 16001}, {16001, 17000}},
	} {
		dirty(0, 24<<10)
		in := make([]bool, 24<<10)
		w := wiper{a: &m.arena}
		for _, p := range pieces {
			w.add(p[0], p[1])
			for i := p[0]; i < p[1]; i++ {
				in[i] = true
			}
		}
		w.flush()
		for i, wiped := range in {
			if wiped != (mem[i] == 0) {
				t.Fatalf("%v: byte %d is %d", pieces, i, mem[i])
			}
		}
	}
	w := wiper{a: &m.arena}
	for i := range m.tiles {
		w.add(m.privateIn(&m.cores[i]))
		w.add(m.sramIn(int32(i)))
	}
	if w.from != 0 || w.to != uint64(len(mem)) {
		t.Errorf("the memory of all tiles is not one piece: %d-%d of %d", w.from, w.to, len(mem))
	}
}

// TestResetSleepers resets some of the cores that sleep, more than once, and has
// the others wake.
func TestResetSleepers(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=4x4", Options{})
	load := func(ids []int, word string) {
		if err := m.Load(ids, &Image{ELF: elf, Args: []string{"prog", word}}); err != nil {
			t.Fatal(err)
		}
		if err := m.Run(ids); err != nil {
			t.Fatal(err)
		}
	}
	asleep := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.sleepers)
	}
	reset := func(ids []int) {
		if err := m.Reset(ids); err != nil {
			t.Fatal(err)
		}
	}
	all, some := first(16), first(8)
	load(all[15:], "spin") // while it runs, time does not go on to where the others wake
	load(all[8:15], "sleep")
	for range 3 {
		load(some, "sleep")
		until(t, "all asleep", func() bool { return asleep() == 15 })
		reset(some)
		if n := asleep(); n != 7 {
			t.Fatalf("%d cores are listed as asleep, and 7 are", n)
		}
	}
	reset(all[15:])
	for _, id := range all[8:15] {
		until(t, "awake", func() bool { return m.State(id) == Exited })
	}
	if n := asleep(); n != 0 {
		t.Errorf("%d cores are listed as asleep", n)
	}
}

// TestPages finds what is not zero in memory, with and without what the host
// knows of its pages.
func TestPages(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	a := &m.arena
	from, to := m.privateIn(&m.cores[1])
	to -= 100 // not at a page
	for _, at := range []uint64{from, from + 1, from + 3*savePage - 1, from + 40*savePage + 7, to - 1} {
		a.mem[at] = 7
	}
	a.mem[from+9*savePage] = 0 // touched, and zero
	a.mem[from-1], a.mem[to] = 7, 7
	find := func() string {
		var b strings.Builder
		for _, p := range a.pages(from, to, nil) {
			fmt.Fprintf(&b, "%d: %d bytes, %d\n", p.At/savePage, len(p.Data), bytes.Count(p.Data, []byte{7}))
		}
		return b.String()
	}
	want := "0: 4096 bytes, 2\n2: 4096 bytes, 1\n40: 4096 bytes, 1\n255: 3996 bytes, 1\n"
	if got := find(); got != want {
		t.Errorf("pages:\n%swant\n%s", got, want)
	}
	known := a.pagemap
	a.pagemap = nil
	if got := find(); got != want {
		t.Errorf("without pagemap:\n%swant\n%s", got, want)
	}
	a.pagemap = known
	if known == nil {
		t.Log("the host has no pagemap")
		return
	}
	if touched := a.touched(to/savePage+2, 4); touched(0, 3) {
		t.Error("pages that were never touched are not known as such")
	}
}

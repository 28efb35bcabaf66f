package sim

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// stuckMachine is a machine of which a deadlock is told.
func stuckMachine(t *testing.T) (m *Machine, told chan string) {
	told = make(chan string, 100)
	return bringSmall(t, Options{Tell: func(s string) { told <- s }}), told
}

func heard(t *testing.T, told chan string) string {
	t.Helper()
	select {
	case s := <-told:
		return s
	case <-time.After(patience):
		t.Fatal("no deadlock was told")
	}
	return ""
}

// TestWhoWaitsForWhom: blocked names the cores that are waited for.
func TestWhoWaitsForWhom(t *testing.T) {
	elf := build(t, "stuck.c")
	for _, c := range []struct {
		what  string
		cores []int
		said  string
		lines []string // of blocked: each has these words
	}{
		{"pair", []int{0, 4}, "2 cores wait for each other: 0,4, of core/0", []string{"'a message on channel 3 from core 4'", " 4\n", "'a message on channel 3 from core 0'", " 0\n"}},
		{"pair", []int{0, 1, 2, 7}, "4 cores wait for each other: 0-2,7,", []string{"from one of cores 1-2,7'", " 1-2,7\n", "from one of cores 0,2,7'", " 0,2,7\n"}},
		{"missing", []int{3, 5, 6}, "3 cores wait", []string{"where 2 of 3 are: core 6 is not'", " 6\n"}},
		{"full", []int{0, 1}, "2 cores wait", []string{"(circular buffer 5), which is 0, to be at or past 1, by core 1'", " 1\n"}},
	} {
		m, told := stuckMachine(t)
		load(t, m, elf, c.cores, c.what)
		if s := heard(t, told); !strings.HasPrefix(s, c.said) {
			t.Errorf("%s: told %q", c.what, s)
		}
		blocked := string(m.AppendBlocked(nil))
		for _, want := range c.lines {
			if !strings.Contains(blocked, want) {
				t.Errorf("%s: no %q in\n%s", c.what, want, blocked)
			}
		}
	}
}

// TestStuckBesideOthers: what runs, sleeps or sends elsewhere hides no deadlock,
// and is none.
func TestStuckBesideOthers(t *testing.T) {
	small, elf := build(t, "small.c"), build(t, "stuck.c")
	m, told := stuckMachine(t)
	load(t, m, elf, []int{3, 6}, "chat")
	load(t, m, elf, []int{4, 7}, "sleep")
	load(t, m, elf, []int{8}, "word")
	load(t, m, small, []int{9}, "spin")
	load(t, m, elf, []int{0, 5}, "pair")
	if s := heard(t, told); !strings.HasPrefix(s, "2 cores wait for each other: 0,5, of core/0 ") {
		t.Errorf("told %q", s)
	}
	_, epochs := m.Now()
	until(t, "many looks later", func() bool { _, now := m.Now(); return now > epochs+20*lookEvery })
	select {
	case s := <-told:
		t.Errorf("told %q, too", s)
	default:
	}
}

// TestHostIsNoDeadlock: who waits for files, by its own words or as there is
// nobody else, is not stuck, and a message lets it go on.
func TestHostIsNoDeadlock(t *testing.T) {
	elf := build(t, "stuck.c")
	for _, c := range []struct {
		what string
		n    int
		num  uint8
	}{{"host", 3, 0}, {"pair", 1, 3}} {
		m, told := stuckMachine(t)
		j := launchOn(t, m, elf, first(c.n), c.what)
		for id := range c.n {
			at(t, m, id, Parked)
		}
		hash(t, m) // at rest
		select {
		case s := <-told:
			t.Errorf("%s: told %q", c.what, s)
		default:
		}
		for _, line := range lines(string(m.AppendBlocked(nil))) {
			if !strings.HasSuffix(line, " -") { // no core is waited for
				t.Errorf("%s: blocked: %s", c.what, line)
			}
		}
		for id := range c.n {
			put(t, m, id, c.num, "word")
		}
		if e := ended(t, j); e.Code != 4 {
			t.Errorf("%s: %+v", c.what, e)
		}
	}
}

// TestHaltedWaits: a core that is halted in a wait says so still, and is stuck
// no more while it is halted.
func TestHaltedWaits(t *testing.T) {
	m, told := stuckMachine(t)
	load(t, m, build(t, "stuck.c"), []int{0, 5}, "pair")
	heard(t, told)
	if err := m.Halt([]int{5}); err != nil {
		t.Fatal(err)
	}
	if text := string(m.AppendHart(nil, 5)); !strings.Contains(text, "state halted\n") || !strings.Contains(text, "wait 'a message on channel 3 from core 0'\n") {
		t.Error(text)
	}
}

// TestLastOneStuck: a core that waits for those that have ended is told of.
func TestLastOneStuck(t *testing.T) {
	m, told := stuckMachine(t)
	j := launchOn(t, m, build(t, "wait.c"), []int{0, 3}, "one")
	if s := heard(t, told); s != "core 3 of test waits for what cannot come (see cores/blocked)" {
		t.Errorf("told %q", s)
	}
	if err := j.Signal(int(syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
}

func TestCast(t *testing.T) {
	on := newCast([]int{8, 3, 1, 2, 12, 9})
	if on.String() != "1-3,8-9,12" {
		t.Fatal(on)
	}
	for n, want := range map[int]string{1: "2-3,8-9,12", 2: "1,3,8-9,12", 9: "1-3,8,12", 12: "1-3,8-9", 5: "1-3,8-9,12"} {
		if got := on.but(n).String(); got != want {
			t.Errorf("but %d: %s", n, got)
		}
	}
}

// TestScatteredCast: what would be told of all that cores wait for is bounded.
func TestScatteredCast(t *testing.T) {
	even := func(n int) (list []int) {
		for i := 0; i < n; i += 2 {
			list = append(list, i)
		}
		return list
	}
	for _, n := range []int{10, 752, 2048} {
		if on := bounded(even(n), n); len(on) != n/2 {
			t.Errorf("%d of %d ranges of a job of %d cores are told", len(on), n/2, n)
		}
	}
	if on := bounded(first(100_000), 100_000); on.String() != "0-99999" {
		t.Errorf("all of 100000 cores are %q", on)
	}
	if on := bounded(even(100_000), 100_000); on != nil {
		t.Errorf("%d ranges are told for each of 100000 cores", len(on))
	}
}

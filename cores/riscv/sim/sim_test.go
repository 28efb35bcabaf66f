package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// TestDeterministic runs a program with all kinds of traffic: what comes of it
// must be the same whatever the number of workers and the tier, and cores must
// end at the same cycle.
func TestDeterministic(t *testing.T) {
	elf := build(t, "mixed.c")
	for _, quantum := range []uint64{19, 1000, 20_000} {
		var want, said string
		for _, workers := range []int{1, 2, 8} {
			for _, cold := range []bool{true, false} {
				m := bring(t, "mesh=6x5", Options{Quantum: quantum, Workers: workers, NoHot: cold, Heat: 1})
				var out output
				j := launch(t, m, elf, 30, &out, "12")
				if e := ended(t, j); e.Code != 0 || e.Signal != 0 {
					t.Fatalf("%+v", e)
				}
				if compiled := m.Compiled(0); cold != (len(compiled) == 0) && quantum >= hotLeast {
					t.Errorf("quantum %d, cold %t: compiled %v", quantum, cold, compiled)
				}
				h := hash(t, m)
				if want == "" {
					want, said = h, out.String()
				}
				if h != want || out.String() != said {
					t.Errorf("quantum %d, %d workers, cold %t: hash %s, with 1 worker %s; output is the same: %t", quantum, workers, cold, h, want, out.String() == said)
				}
			}
		}
		if !strings.Contains(said, "counter 5580\n") {
			t.Errorf("quantum %d: the adds are not all there:\n%s", quantum, said)
		}
	}
}

// TestWorkersWork looks at the processor time of the threads: several must
// have had a good part of it.
func TestWorkersWork(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor")
	}
	elf := build(t, "small.c")
	m := bring(t, "mesh=8x8", Options{Workers: 2})
	var out output
	before := threadTimes(t)
	j := launch(t, m, elf, 64, &out, "spin")
	until(t, "two threads at work", func() bool {
		var used []int
		for id, now := range threadTimes(t) {
			if n := now - before[id]; n > 0 {
				used = append(used, n)
			}
		}
		slices.Sort(used)
		return len(used) >= 2 && used[len(used)-2] >= 10 && used[len(used)-2]*4 >= used[len(used)-1]
	})
	if err := j.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, j); e.Signal != int(syscall.SIGTERM) {
		t.Errorf("%+v", e)
	}
}

// threadTimes is the processor time of this process's threads, in ticks.
func threadTimes(t *testing.T) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		var user, system int
		fmt.Sscan(fields[11], &user)
		fmt.Sscan(fields[12], &system)
		times[f] = user + system
	}
	return times
}

func TestExit(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=4x4", Options{})
	for _, test := range []struct {
		args []string
		want Exit
	}{
		{[]string{"exit", "0"}, Exit{}},
		{[]string{"exit", "42"}, Exit{Code: 42}},
		{[]string{"abort"}, Exit{Code: 7}},
		{[]string{"load"}, Exit{Signal: int(syscall.SIGSEGV)}},
		{[]string{"text"}, Exit{Signal: int(syscall.SIGSEGV)}},
		{[]string{"illegal"}, Exit{Signal: int(syscall.SIGILL)}},
		{[]string{"bad"}, Exit{}},
	} {
		var out output
		e := ended(t, launch(t, m, elf, 3, &out, test.args...))
		reason := e.Reason
		e.Reason = ""
		if e != test.want || (reason != "") != (e.Signal != 0) {
			t.Errorf("%v: %+v %q, want %+v\n%s", test.args, e, reason, test.want, out.String())
		}
		if test.args[0] == "load" {
			for _, part := range []string{"core 0 (0,0)", "address 0x70000000", "main+0x", "small.c:"} {
				if !strings.Contains(reason, part) {
					t.Errorf("%q is not in %q", part, reason)
				}
			}
			if fault := string(m.AppendFault(nil, 0)); !strings.Contains(fault, "cause 5\n") {
				t.Errorf("fault:\n%s", fault)
			}
		}
	}
}

func TestArguments(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	var out output
	ended(t, launch(t, m, build(t, "small.c"), 1, &out, "args", "two words", ""))
	if got, want := out.String(), "0 prog\n0 args\n0 two words\n0 \ngreen\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestInput(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	var (
		out  output
		job  atomic.Pointer[Job]
		text = strings.Repeat("the quick brown fox\n", 500)
		left = text
		wait = make(chan struct{})
	)
	image := &Image{ELF: elf, Args: []string{"prog", "copy"}}
	j, err := m.Launch(Launch{
		Name: "in", Cores: []int{0, 1}, Write: out.write,
		Image: func(string) (*Image, error) { return image, nil },
		More: func() {
			go func() {
				<-wait
				n := min(len(left), 700)
				piece := left[:n]
				left = left[n:]
				job.Load().Feed([]byte(piece), n == 0)
			}()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	job.Store(j)
	close(wait)
	ended(t, j)
	if len(out.String()) != len(text) {
		t.Errorf("%d bytes came out of %d", len(out.String()), len(text))
	}
}

func TestDeadlock(t *testing.T) {
	told := make(chan string, 10)
	m := bring(t, "mesh=3x1", Options{Tell: func(s string) { told <- s }})
	var out output
	j := launch(t, m, build(t, "small.c"), 3, &out, "deadlock")
	if s := <-told; !strings.Contains(s, "3 cores wait for each other") {
		t.Errorf("told %q", s)
	}
	list := lines(string(m.AppendBlocked(nil)))
	if len(list) != 3 || !strings.HasPrefix(list[2], "2 parked 2 test ") || !strings.Contains(list[2], "'a message on channel 2 from one of cores 0-1' ") {
		t.Errorf("blocked:\n%s", strings.Join(list, "\n"))
	}
	if err := j.Signal(int(syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
}

// TestInputIsNoDeadlock: who waits at a channel that a file writes to, waits for people.
func TestInputIsNoDeadlock(t *testing.T) {
	told := make(chan string, 10)
	m := bring(t, "mesh=3x1", Options{Tell: func(s string) { told <- s }})
	in := m.Chan(0, 0, true)
	defer in.Close()
	results := m.Chan(0, 1, false)
	defer results.Close()
	var out output
	j := launch(t, m, build(t, "small.c"), 1, &out, "echo")
	for _, word := range []string{"hello", "world"} {
		put, take := newCall(), newCall()
		in.Put(put, []byte(word))
		results.Take(take)
		if got := put.wait(t); got != "done" {
			t.Fatal(got)
		}
		if got := take.wait(t); got != strings.ToUpper(word) {
			t.Errorf("got %q", got)
		}
	}
	end := newCall()
	in.Put(end, nil)
	if e := ended(t, j); e.Code != 0 {
		t.Errorf("%+v", e)
	}
	select {
	case s := <-told:
		t.Errorf("told %q", s)
	default:
	}
}

// TestCredits: senders wait while their receiver takes nothing, and nothing is lost.
func TestCredits(t *testing.T) {
	elf := build(t, "small.c")
	var want string
	for _, workers := range []int{1, 3} {
		m := bring(t, "mesh=4x2", Options{Workers: workers})
		var out output
		ended(t, launch(t, m, elf, 8, &out, "flood"))
		if got := out.String(); got != "sum 5600\n" {
			t.Errorf("%q", got)
		}
		if h := hash(t, m); want == "" {
			want = h
		} else if h != want {
			t.Error("it depends on the workers")
		}
	}
}

func TestFreeze(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	var out output
	j := launch(t, m, build(t, "small.c"), 4, &out, "spin")
	var retired uint64
	for range 50 { // at another moment each time
		until(t, "running", func() bool { return m.Retired(3) > retired })
		if err := j.Freeze(true); err != nil {
			t.Fatal(err)
		}
		retired = m.Retired(3)
		until(t, "at rest", m.Resting)
		if now := m.Retired(3); now != retired {
			t.Fatalf("%d instructions after it stood, then %d", retired, now)
		}
		if err := j.Freeze(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Signal(9); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
	if err := j.Freeze(true); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("freeze after the end: %v", err)
	}
}

func TestBusy(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x2", Options{})
	var out output
	j := launch(t, m, elf, 2, &out, "spin")
	image := &Image{ELF: elf, Args: []string{"x"}}
	_, err := m.Launch(Launch{Name: "other", Cores: []int{3, 1}, Image: func(string) (*Image, error) { return image, nil }})
	if sys.Errno(err) != syscall.EBUSY || m.State(3) != Idle {
		t.Errorf("launch: %v, core 3 is %s", err, m.State(3))
	}
	if err := m.Load([]int{1}, image); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("load: %v", err)
	}
	if err := j.Signal(9); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
}

// TestSnapshot continues a snapshot on another machine, to the same end.
func TestSnapshot(t *testing.T) {
	elf := build(t, "mixed.c")
	var saved []byte
	m := bring(t, "mesh=4x4", Options{Workers: 2})
	var out output
	j := launch(t, m, elf, 16, &out, "400")
	until(t, "half way", func() bool { return m.Retired(5) > 100_000 })
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	ended(t, j)
	other := bring(t, "mesh=4x4", Options{Workers: 1})
	if err := other.Restore(saved); err != nil {
		t.Fatal(err)
	}
	until(t, "at its end", func() bool { return other.State(0) == Exited && other.State(15) == Exited })
	if a, b := hash(t, m), hash(t, other); a != b {
		t.Errorf("the machine ended at %s, the restored one at %s", a, b)
	}
	if err := bring(t, "mesh=5x4", Options{}).Restore(saved); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("restored on another machine: %v", err)
	}
	read, err := other.readSnapshot(saved)
	if err != nil {
		t.Fatal(err)
	}
	known := func(p savedPage) bool { return len(p.Data) == 0 }
	for i := range read.Cores {
		if pages := read.Cores[i].Memory; !slices.ContainsFunc(pages, known) || !slices.ContainsFunc(pages, func(p savedPage) bool { return !known(p) }) {
			t.Errorf("core %d: pages that are the program's are kept, or all are: %d", i, len(pages))
		}
	}
	for _, cut := range []int{0, 1, 100, len(saved) / 2} {
		if err := other.Restore(saved[:cut]); sys.Errno(err) != syscall.EINVAL {
			t.Errorf("restored from %d bytes: %v", cut, err)
		}
	}
}

// TestPlace: ranks lose their cores and go on elsewhere with their memory.
func TestPlace(t *testing.T) {
	m := bring(t, "mesh=4x2", Options{})
	var out output
	j := launch(t, m, build(t, "small.c"), 3, &out, "spin")
	until(t, "running", func() bool { return m.Retired(2) > 1000 })
	if err := j.Place(map[int]int{0: 0, 1: 1}); err != nil {
		t.Fatal(err)
	}
	if s := m.State(2); s != Idle {
		t.Errorf("core 2 is %s", s)
	}
	if err := j.Place(map[int]int{0: 0, 1: 1, 2: 7, 3: 5}); err != nil {
		t.Fatal(err)
	}
	if n := m.Retired(7); n <= 1000 {
		t.Errorf("rank 2 went on with %d instructions", n)
	}
	until(t, "running", func() bool { return m.Retired(5) > 1000 && m.Retired(7) > 2000 })
	if err := j.Place(map[int]int{0: 0, 1: 0}); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("two ranks on one core: %v", err)
	}
	if err := j.Signal(9); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
	if err := j.Place(map[int]int{0: 0}); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("after the end: %v", err)
	}
}

func TestStepAndBreak(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	if err := m.Run([]int{0}); sys.Errno(err) != syscall.ENXIO {
		t.Errorf("run of nothing: %v", err)
	}
	if err := m.Load([]int{0}, &Image{ELF: elf, Args: []string{"prog", "exit", "3"}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Break([]int{0}, "nowhere"); sys.Errno(err) != syscall.ENOENT {
		t.Errorf("break nowhere: %v", err)
	}
	if err := m.Step([]int{0}, 7); err != nil {
		t.Fatal(err)
	}
	until(t, "halted", func() bool { return m.State(0) == Halted })
	if n := m.Retired(0); n != 7 {
		t.Errorf("%d instructions", n)
	}
	if err := m.Break([]int{0}, "main"); err != nil {
		t.Fatal(err)
	}
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	until(t, "halted", func() bool { return m.State(0) == Halted && m.Retired(0) > 7 })
	want, _ := m.cores[0].prog.exe.Addr("main")
	if pc, err := m.Register(0, 0); err != nil || uint32(pc) != want {
		t.Errorf("pc %x, %v, main is at %x", pc, err, want)
	}
	w := m.Ended(0)
	take := newCall()
	w.Take(take)
	if got := take.wait(t); !strings.HasPrefix(got, "0 halted 0 'halted at main") {
		t.Errorf("wait: %q", got)
	}
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	until(t, "at its end", func() bool { return m.State(0) == Exited })
	if err := m.Reset([]int{0}); err != nil || m.State(0) != Idle {
		t.Errorf("reset: %v, %s", err, m.State(0))
	}
}

// TestRubbish: nothing that is no program of ours is loaded, and nothing of it stays.
func TestRubbish(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	host, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"empty": nil, "text": []byte("#!/bin/sh\n"), "cut": elf[:len(elf)/20], "host": host} {
		if err := m.Load([]int{0}, &Image{ELF: raw}); err == nil || sys.Errno(err) == syscall.EIO {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.State(0) != Idle {
		t.Errorf("core 0 is %s", m.State(0))
	}
}

// patched builds patch.S with these segments in memory, in order: p has .init,
// d .data and t .text.
func patched(t *testing.T, segments string) []byte {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script.ld")
	text := `PHDRS { ` + segments + ` }
ENTRY(_start) SECTIONS { . = 0x80000000; .init : { *(.init) } :p . = ALIGN(4096); .data : { *(.data) } :d . = ALIGN(4096); .text : { *(.text) } :t }`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, "patch.S", "-nostdlib", "-Wl,--no-gc-sections,--no-warn-rwx-segments", "-T"+script)
}

// TestPatch runs a program that changes its code, where that may be written to:
// flags that say nothing allow everything, and what lies behind data that may
// be written is not read-only.
func TestPatch(t *testing.T) {
	for segments, want := range map[string]Exit{
		"p PT_LOAD FLAGS(0); d PT_LOAD FLAGS(0); t PT_LOAD FLAGS(0);": {},
		"p PT_LOAD FLAGS(5); d PT_LOAD FLAGS(6); t PT_LOAD FLAGS(7);": {},
		"p PT_LOAD FLAGS(5); d PT_LOAD FLAGS(6); t PT_LOAD FLAGS(5);": {},
		"p PT_LOAD FLAGS(5); d PT_LOAD FLAGS(4); t PT_LOAD FLAGS(6);": {Signal: int(syscall.SIGSEGV)},
	} {
		elf := patched(t, segments)
		for _, o := range []Options{{NoHot: true}, {Heat: -1, Quantum: MaxQuantum}} {
			m := bring(t, "mesh=1x1", o)
			if e := ended(t, launch(t, m, elf, 1, new(output))); e.Code != want.Code || e.Signal != want.Signal {
				t.Errorf("%s: %+v", segments, e)
			}
		}
	}
}

// TestPatchedRestored takes a snapshot of a program that has changed its code.
func TestPatchedRestored(t *testing.T) {
	m := bring(t, "mesh=1x1", Options{})
	if err := m.Load([]int{0}, &Image{ELF: patched(t, "p PT_LOAD FLAGS(7); d PT_LOAD FLAGS(7); t PT_LOAD FLAGS(7);")}); err != nil {
		t.Fatal(err)
	}
	if err := m.Break([]int{0}, "place"); err != nil {
		t.Fatal(err)
	}
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 0, Halted)
	m = again(t, m)
	m.NoBreaks([]int{0})
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 0, Exited)
	if m.cores[0].code != 0 {
		t.Errorf("it ended with %d", m.cores[0].code)
	}
}

package sim

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"warren/cores/riscv/gdb"
	"warren/fs/sys"
)

// A debugging is a debugger that does what gdb does.
type debugging struct {
	*testing.T
	d     *Debugger
	stops chan gdb.Stop
}

// debug attaches to a job.
func debugOf(t *testing.T, j *Job) *debugging {
	t.Helper()
	d, err := j.Debugger()
	if err != nil {
		t.Fatal(err)
	}
	b := &debugging{t, d, make(chan gdb.Stop, 9)}
	if err := d.Attach(func(s gdb.Stop) { b.stops <- s }); err != nil {
		t.Fatal(err)
	}
	if s := b.stop(); s.Why != gdb.Interrupted {
		t.Fatalf("attached: %+v", s)
	}
	return b
}

// stop waits for a stop.
func (b *debugging) stop() gdb.Stop {
	b.Helper()
	select {
	case s := <-b.stops:
		return s
	case <-time.After(patience):
		b.Fatalf("no stop: %s", b.d.m.AppendBlocked(nil))
	}
	return gdb.Stop{}
}

// resume lets threads go and waits for the stop.
func (b *debugging) resume(actions ...gdb.Action) gdb.Stop {
	b.Helper()
	if err := b.d.Resume(actions); err != nil {
		b.Fatal(err)
	}
	return b.stop()
}

// brk sets or removes a breakpoint.
func (b *debugging) brk(addr uint32, on bool) {
	b.Helper()
	if err := b.d.SetBreak(addr, on); err != nil {
		b.Fatal(err)
	}
}

// over steps a thread over the breakpoint at which it stands: alone, as gdb does.
func (b *debugging) over(thread int, addr uint32) {
	b.Helper()
	b.brk(addr, false)
	if s := b.resume(gdb.Action{ID: thread, Step: true}); s.Why != gdb.Stepped || s.Thread != thread {
		b.Fatalf("a step of thread %d: %+v", thread, s)
	}
	b.brk(addr, true)
}

// hit wants a stop to be that of a breakpoint, and returns its thread.
func (b *debugging) hit(s gdb.Stop) int {
	b.Helper()
	if s.Why != gdb.Break {
		b.Fatalf("not at the breakpoint: %+v", s)
	}
	return s.Thread
}

var (
	goOn = gdb.Action{ID: gdb.All}
	loop = `#include <warren.h>
volatile int sum;
__attribute__((noinline)) void work(int n) { sum += n; }
int main(void)
{
	if (warren_rank() == 3)
		return 7;
	for (int n = 0;; n++)
		work(n);
}
`
)

// symbol returns the address of a symbol of what a core runs.
func symbol(t *testing.T, m *Machine, core int, name string) uint32 {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	addr, ok := m.cores[core].prog.exe.Addr(name)
	if !ok {
		t.Fatal("no " + name)
	}
	return addr
}

// TestStopsInTurn: where all threads come to a breakpoint at once, gdb is told of all, in turn;
// of what it did not let go, and of what is no more, it is told nothing.
func TestStopsInTurn(t *testing.T) {
	for _, quantum := range []uint64{1, 19, 1000} {
		m := bring(t, "mesh=2x2", Options{Workers: 2})
		if err := m.SetQuantum(quantum); err != nil {
			t.Fatal(err)
		}
		j := launchOn(t, m, buildText(t, loop), []int{1, 2, 0})
		for id := range 3 {
			until(t, "all run", func() bool { return m.Retired(id) > 1000 })
		}
		work := symbol(t, m, 0, "work")
		b := debugOf(t, j)
		b.brk(work, true)
		hits := map[int]int{}
		last := -1
		for range 30 {
			last = b.hit(b.resume(goOn))
			hits[last]++
			b.over(last, work)
		}
		if len(hits) != 3 || hits[0] != 10 || hits[1] != 10 || hits[2] != 10 {
			t.Errorf("quantum %d: %v", quantum, hits)
		}

		// Each thread can be stepped, whoever else is at the breakpoint.
		for id := range 3 {
			for range 20 {
				s := b.resume(gdb.Action{ID: id, Step: true}, goOn)
				for s.Why != gdb.Stepped {
					b.over(b.hit(s), work)
					s = b.resume(gdb.Action{ID: id, Step: true}, goOn)
				}
				if s.Thread != id {
					t.Fatalf("a step of %d: %+v", id, s)
				}
			}
		}

		// Of what did not go it is told nothing: 2 has a stop that was not told.
		for b.hit(b.resume(goOn)) != 1 {
			b.over(int(b.d.last), work)
		}
		b.over(1, work)
		if got := b.hit(b.resume(gdb.Action{ID: 0})); got != 0 {
			t.Errorf("%d stopped, and 0 was let go", got)
		}
		b.over(0, work)
		if got := b.hit(b.resume(gdb.Action{ID: 1})); got != 1 {
			t.Errorf("%d stopped, and 1 was let go", got)
		}

		// Nor of a breakpoint that is no more: they all run on.
		b.brk(work, false)
		if err := b.d.Resume([]gdb.Action{goOn}); err != nil {
			t.Fatal(err)
		}
		for id := range 3 {
			now := m.Retired(id)
			until(t, "they run on", func() bool { return m.Retired(id) > now+1000 })
		}
		b.d.Interrupt()
		if s := b.stop(); s.Why != gdb.Interrupted {
			t.Errorf("%+v", s)
		}
		b.d.Detach(true)
		if e := ended(t, j); e.Signal != int(syscall.SIGKILL) {
			t.Errorf("%+v", e)
		}
	}
}

// TestFaultsInTurn: faults of several threads are told, and do not end the program before.
func TestFaultsInTurn(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	j := launchOn(t, m, buildText(t, `#include <warren.h>
volatile int go;
int main(void)
{
	while (!go) ;
	*(volatile int *)0xfffffff0 = 1;
}
`), first(3))
	b := debugOf(t, j)
	for id := range 3 {
		if err := b.d.WriteMem(id, symbol(t, m, id, "go"), []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	var told []int
	for range 3 {
		s := b.resume(goOn)
		if s.Why != gdb.Fault {
			t.Fatalf("%+v", s)
		}
		told = append(told, s.Thread)
	}
	if !slices.Equal(told, []int{0, 1, 2}) {
		t.Errorf("told of %v", told)
	}

	// What the program does not get is told again; what was mended, or is another fault, too.
	one := gdb.Action{ID: 1}
	if s := b.resume(one); s.Why != gdb.Fault || s.Thread != 1 {
		t.Errorf("the same again: %+v", s)
	}
	var regs [1]uint64
	if err := b.d.Regs(1, []int{gdb.PC}, regs[:]); err != nil {
		t.Fatal(err)
	}
	fault := regs[0]
	if err := b.d.SetReg(1, gdb.PC, 0x40); err != nil { // where there is no text
		t.Fatal(err)
	}
	if s := b.resume(gdb.Action{ID: 1, Signal: true}); s.Why != gdb.Fault || s.Thread != 1 {
		t.Errorf("another: %+v", s)
	}
	if err := b.d.SetReg(1, gdb.PC, fault); err != nil {
		t.Fatal(err)
	}
	if s := b.resume(one); s.Why != gdb.Fault || s.Thread != 1 {
		t.Errorf("back at the first: %+v", s)
	}
	if s := b.resume(gdb.Action{ID: 1, Signal: true}); s.Why != gdb.Killed || s.Status != int(syscall.SIGSEGV) {
		t.Errorf("%+v", s)
	}
}

// TestInterruptOfThose: a stop that somebody wants is one of a thread that was let go.
func TestInterruptOfThose(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	j := launchOn(t, m, buildText(t, loop), first(3))
	b := debugOf(t, j)
	for _, c := range []struct {
		actions []gdb.Action
		want    []int
	}{
		{[]gdb.Action{{ID: 2}}, []int{2}},
		{[]gdb.Action{{ID: 1}}, []int{1}},
		{[]gdb.Action{goOn}, []int{1}}, // where the user is
		{[]gdb.Action{{ID: 0, Step: true, Start: 0, End: 0xffffffff}, goOn}, []int{0}},
		{[]gdb.Action{{ID: 2}, {ID: 1}}, []int{1, 2}},
	} {
		if err := b.d.Resume(c.actions); err != nil {
			t.Fatal(err)
		}
		b.d.Interrupt()
		if s := b.stop(); s.Why != gdb.Interrupted || !slices.Contains(c.want, s.Thread) {
			t.Errorf("%+v: %+v", c.actions, s)
		}
	}
	if err := j.Freeze(true); err != nil { // a process that was stopped runs nothing, and can be interrupted
		t.Fatal(err)
	}
	if err := b.d.Resume([]gdb.Action{{ID: 2, Step: true}}); err != nil {
		t.Fatal(err)
	}
	b.d.Interrupt()
	if s := b.stop(); s.Why != gdb.Interrupted || s.Thread != 2 {
		t.Errorf("of a process that was stopped: %+v", s)
	}
}

// TestCtlUnderDebugger: a breakpoint of a core's ctl is a stop that gdb shows; stop is refused
// while a debugger has the core run.
func TestCtlUnderDebugger(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	j := launchOn(t, m, buildText(t, loop), first(3))
	work := symbol(t, m, 0, "work")
	b := debugOf(t, j)
	if err := m.Break([]int{1}, "work"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if s := b.resume(goOn); s.Why != gdb.Ebreak || s.Thread != 1 {
			t.Errorf("%+v", s)
		}
	}
	b.brk(work, true)
	m.NoBreaks([]int{1})
	for range 3 {
		b.over(b.hit(b.resume(goOn)), work)
	}
	b.brk(work, false)
	if err := b.d.Resume([]gdb.Action{goOn}); err != nil {
		t.Fatal(err)
	}
	if err := m.Halt([]int{2}); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("stop of a core that a debugger has: %v", err)
	}
	b.d.Interrupt()
	b.stop()
	if err := m.Halt([]int{2}); err != nil {
		t.Errorf("it stands: %v", err)
	}
}

// TestDebuggerOfTheDead: the debugger of a process that was ended sees nothing of what runs on
// its cores after it, and holds nothing of it.
func TestDebuggerOfTheDead(t *testing.T) {
	m := bring(t, "mesh=2x2", Options{})
	elf := buildText(t, loop)
	j := launchOn(t, m, elf, first(2))
	sum := symbol(t, m, 0, "sum")
	b := debugOf(t, j)
	var p [4]byte
	if _, err := b.d.ReadMem(0, sum, p[:]); err != nil {
		t.Fatal(err)
	}
	if err := j.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	var pc [1]uint64
	if err := b.d.Regs(1, []int{gdb.PC}, pc[:]); err != nil || pc[0] == 0 {
		t.Errorf("registers of one that has ended: %v, %#x", err, pc)
	}
	if _, err := b.d.ReadMem(0, sum, p[:]); err != nil {
		t.Error(err)
	}
	if n := len(b.d.Threads()); n != 2 {
		t.Errorf("%d threads", n)
	}
	next := launchOn(t, m, elf, first(2))
	if _, err := b.d.ReadMem(0, sum, p[:]); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("it reads what the next has: %v", err)
	}
	if err := b.d.WriteMem(0, sum, p[:]); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("it writes what the next has: %v", err)
	}
	if err := b.d.SetReg(0, 10, 1); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("it sets the next's registers: %v", err)
	}
	if err := b.d.Regs(1, []int{gdb.PC}, pc[:]); err != nil {
		t.Error(err)
	}
	b.brk(symbol(t, m, 0, "work"), true) // of nobody
	until(t, "the next runs", func() bool { return m.Retired(0) > 1000 })
	c := debugOf(t, next)
	if s := c.resume(gdb.Action{ID: 0, Step: true}); s.Why != gdb.Stepped {
		t.Errorf("%+v", s)
	}
	c.d.Detach(false)
	place(t, next, map[int]int{0: 0})
	if s := b.resume(goOn); s.Why != gdb.Killed || s.Status != int(syscall.SIGTERM) {
		t.Errorf("%+v", s)
	}
	if n := len(b.d.Threads()); n != 0 {
		t.Errorf("%d threads", n)
	}
	b.d.Detach(true)
	now := m.Retired(0)
	until(t, "the next runs on", func() bool { return m.Retired(0) > now+1000 })
}

// TestNewThreads: cores that a process gets are its debugger's, and at rest while the others are.
// When all that were let go have ended, that is told.
func TestNewThreads(t *testing.T) {
	m := bring(t, "mesh=4x2", Options{})
	j := launchOn(t, m, buildText(t, loop), first(2))
	b := debugOf(t, j)
	place(t, j, map[int]int{0: 0, 1: 1, 2: 2, 3: 3})
	if n := len(b.d.Threads()); n != 4 {
		t.Errorf("%d threads", n)
	}
	for _, id := range []int{2, 3} {
		if s := m.State(id); s != Halted {
			t.Errorf("core %d is %s", id, s)
		}
	}
	if s := b.resume(gdb.Action{ID: 3}); s.Why != gdb.NoneLeft || s.Thread == 3 {
		t.Errorf("%+v", s)
	}
	if err := b.d.Resume([]gdb.Action{goOn}); err != nil {
		t.Fatal(err)
	}
	place(t, j, map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 4: 4})
	until(t, "the new one runs", func() bool { return m.Retired(4) > 1000 })
	b.d.Interrupt()
	b.stop()
	if s := m.State(4); s != Halted {
		t.Errorf("core 4 is %s", s)
	}
	b.brk(symbol(t, m, 4, "work"), true)
	if got := b.hit(b.resume(gdb.Action{ID: 4})); got != 4 {
		t.Errorf("thread %d", got)
	}
	if err := j.Place(map[int]int{0: 0}); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("a core that a debugger holds was taken: %v", err)
	}
	b.d.Detach(false)
	now := m.Retired(4)
	until(t, "it runs on", func() bool { return m.Retired(4) > now+1000 })
}

// TestLoadUnderDebugger: what is started on a core whose debugger stands, waits for it.
func TestLoadUnderDebugger(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	elf := buildText(t, loop)
	if err := m.Load([]int{0}, &Image{ELF: elf, Args: []string{"prog"}}); err != nil {
		t.Fatal(err)
	}
	d := m.Debugger(0)
	b := &debugging{t, d, make(chan gdb.Stop, 9)}
	if err := d.Attach(func(s gdb.Stop) { b.stops <- s }); err != nil {
		t.Fatal(err)
	}
	b.stop()
	if err := m.Run([]int{0}); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("run of what a debugger holds: %v", err)
	}
	launchOn(t, m, elf, []int{0})
	if s := m.State(0); s != Halted {
		t.Errorf("it is %s", s)
	}
	var pc [1]uint64
	if err := d.Regs(0, []int{gdb.PC}, pc[:]); err != nil || uint32(pc[0]) != symbol(t, m, 0, "_start") {
		t.Errorf("at %#x, %v", pc, err)
	}
	b.brk(symbol(t, m, 0, "work"), true)
	b.hit(b.resume(goOn))
	d.Detach(false)
	now := m.Retired(0)
	until(t, "it runs on", func() bool { return m.Retired(0) > now+1000 })
}

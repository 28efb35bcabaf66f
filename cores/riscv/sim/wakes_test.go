package sim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"warren/cores/riscv/gdb"
	"warren/fs/sys"
)

// small is a machine of few tiles with several cores each.
const small = `machine small
grid 2 2
network mesh
clock 1000
overhead 10
hop 9
flit 64
kind k
core A rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
core B rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
core C rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
sram 0 32K
private 256K
tiles k x=0-1,y=0-1
`

func bringSmall(t testing.TB, o Options) *Machine {
	t.Helper()
	return bringFile(t, small, o)
}

// load loads and runs a program on cores, as by their ctl.
func load(t testing.TB, m *Machine, elf []byte, ids []int, args ...string) {
	t.Helper()
	if err := m.Load(ids, &Image{ELF: elf, Args: append([]string{"prog"}, args...)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(ids); err != nil {
		t.Fatal(err)
	}
}

// launchOn starts a program on these cores.
func launchOn(t testing.TB, m *Machine, elf []byte, ids []int, args ...string) *Job {
	t.Helper()
	image := &Image{ELF: elf, Args: append([]string{"prog"}, args...)}
	j, err := m.Launch(Launch{Name: "test", Cores: ids, Image: func(string) (*Image, error) { return image, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// at waits until a core is in this state.
func at(t testing.TB, m *Machine, id int, s State) {
	t.Helper()
	until(t, fmt.Sprintf("core %d %s", id, s), func() bool { return m.State(id) == s })
}

func put(t testing.TB, m *Machine, core int, num uint8, text string) {
	t.Helper()
	ch := m.Chan(core, num, true)
	defer ch.Close()
	c := newCall()
	ch.Put(c, []byte(text))
	if got := c.wait(t); got != "done" {
		t.Fatal(got)
	}
}

// TestHaltedSleeper: a core that was halted while it slept still wakes.
func TestHaltedSleeper(t *testing.T) {
	elf := build(t, "wait.c")
	m := bring(t, "mesh=2x1", Options{NoHot: true})
	load(t, m, build(t, "small.c"), []int{1}, "spin") // or time would be over at once
	load(t, m, elf, []int{0}, "sleep", "2000000000")
	at(t, m, 0, Parked)
	if err := m.Halt([]int{0}); err != nil {
		t.Fatal(err)
	}
	now, _ := m.Now()
	until(t, "later", func() bool { later, _ := m.Now(); return later > now+10*DefaultQuantum })
	if err := m.Reset([]int{1}); err != nil {
		t.Fatal(err)
	}
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 0, Exited)
}

// TestOneEnds: wait and gdb tell of a core that ended while others of its process go on.
func TestOneEnds(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	elf := build(t, "wait.c")
	if err := m.Load([]int{0, 1}, &Image{ELF: elf, Args: []string{"prog", "one"}}); err != nil {
		t.Fatal(err)
	}
	w := m.Ended(0)
	take := newCall()
	w.Take(take)
	stops := make(chan gdb.Stop, 9)
	d := m.Debugger(0)
	if err := m.Step([]int{0, 1}, 1); err != nil { // they are processes of their own
		t.Fatal(err)
	}
	at(t, m, 0, Halted)
	if got := take.wait(t); !strings.HasPrefix(got, "0 halted") {
		t.Error(got)
	}
	if err := m.Reset([]int{0, 1}); err != nil {
		t.Fatal(err)
	}
	load(t, m, elf, []int{0, 1}, "one")
	at(t, m, 1, Parked)
	w = m.Ended(0)
	take = newCall()
	w.Take(take)
	if got := take.wait(t); got != "0 exited 3 'exit 3'\n" {
		t.Errorf("%q", got)
	}
	if err := m.Reset([]int{0, 1}); err != nil {
		t.Fatal(err)
	}
	if err := m.Load([]int{0, 1}, &Image{ELF: elf, Args: []string{"prog", "one"}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Break([]int{0}, "main"); err != nil {
		t.Fatal(err)
	}
	if err := m.Run([]int{0, 1}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 0, Halted)
	if err := d.Attach(func(s gdb.Stop) { stops <- s }); err != nil {
		t.Fatal(err)
	}
	<-stops
	if err := m.Run([]int{0}); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("run of what a debugger holds: %v", err)
	}
	if err := d.Resume([]gdb.Action{{ID: gdb.All}}); err != nil {
		t.Fatal(err)
	}
	if s := <-stops; s.Why != gdb.Exited || s.Status != 3 {
		t.Errorf("%+v", s)
	}
	d.Detach(false)
}

// TestRegistersOfParked: what a core waits in a call with stays as it is, also while it is halted.
func TestRegistersOfParked(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	launchOn(t, m, buildText(t, `#include <warren.h>
int main(void)
{
	char text[8];
	return warren_recv_host(3, text, sizeof text, 0);
}
`), []int{0})
	at(t, m, 0, Parked)
	const pc, a0, s1, fcsr = 0, 10, 9, 64
	for _, halted := range []bool{false, true} {
		if halted {
			if err := m.Halt([]int{0}); err != nil {
				t.Fatal(err)
			}
		}
		for _, reg := range []int{pc, a0, s1} {
			v, err := m.Register(0, reg)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.SetRegister(0, reg, v); err != nil {
				t.Errorf("set to what it is: %v", err)
			}
			if err := m.SetRegister(0, reg, v+8); sys.Errno(err) != syscall.EBUSY || !strings.Contains(err.Error(), "channel 3") {
				t.Errorf("register %d of a parked core: %v", reg, err)
			}
			if now, _ := m.Register(0, reg); now != v {
				t.Errorf("register %d is %#x, was %#x", reg, now, v)
			}
		}
	}
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 0, Parked)
	put(t, m, 0, 3, "hello")
	at(t, m, 0, Exited)
	if err := m.SetRegister(0, a0, 7); err != nil {
		t.Error(err)
	}
	for reg, v := range map[int]uint64{fcsr: 0x100, a0: 1 << 32} {
		if err := m.SetRegister(0, reg, v); sys.Errno(err) != syscall.ERANGE {
			t.Errorf("register %d set to %#x: %v", reg, v, err)
		}
	}
	if err := m.SetRegister(0, fcsr, 0xff); err != nil {
		t.Error(err)
	}
}

// TestOtherCoresMemory: SRAM is the tile's, through whichever core it is written.
func TestOtherCoresMemory(t *testing.T) {
	m := bringSmall(t, Options{})
	load(t, m, build(t, "wait.c"), []int{1}, "word")
	at(t, m, 1, Parked)
	if err := m.WriteMemory(2, []byte{9}, 1024); err != nil {
		t.Fatal(err)
	}
	at(t, m, 1, Exited)
}

// TestTileBarrier: two processes in one tile do not meet each other, and a third that begins
// there disturbs nobody.
func TestTileBarrier(t *testing.T) {
	elf := build(t, "wait.c")
	m := bringSmall(t, Options{})
	one := launchOn(t, m, elf, []int{0, 3}, "tile", "then wait")
	two := launchOn(t, m, elf, []int{1, 4}, "tile", "then wait")
	for _, id := range []int{0, 1, 3, 4} {
		at(t, m, id, Parked)
	}
	three := launchOn(t, m, elf, []int{2, 5}, "tile")
	for range 2 { // not before all
		at(t, m, 2, Exited)
	}
	for _, id := range []int{0, 1, 3, 4} {
		put(t, m, id, 0, "go on")
	}
	for _, j := range []*Job{one, two, three} {
		if e := ended(t, j); e != (Exit{}) {
			t.Errorf("%+v", e)
		}
	}
	four := launchOn(t, m, elf, []int{0, 1, 2}, "tile", "then wait")
	put(t, m, 0, 0, "x")
	put(t, m, 1, 0, "x")
	until(t, "two at the barrier", func() bool { return strings.Count(string(m.AppendBlocked(nil)), "where 2 of 3 are") == 2 })
	put(t, m, 2, 0, "x")
	ended(t, four)
}

// TestOrder: messages arrive in the order in which they were sent, short ones behind long ones.
func TestOrder(t *testing.T) {
	m := bring(t, "mesh=4x4", Options{Quantum: 10})
	if e := ended(t, launchOn(t, m, build(t, "wait.c"), []int{0, 15}, "order")); e != (Exit{}) {
		t.Errorf("%+v", e)
	}
}

// TestTransfersAreBounded: a core that copies without a pause waits for the network.
func TestTransfersAreBounded(t *testing.T) {
	elf := build(t, "wait.c")
	var hash string
	for _, workers := range []int{1, 2} {
		m := bring(t, "mesh=4x4", Options{Workers: workers})
		j := launchOn(t, m, elf, []int{0, 15}, "puts")
		most := int64(0)
		until(t, "ended", func() bool {
			m.mu.Lock()
			if a := m.cores[0].account; a != nil {
				most = max(most, a.flying.Load())
			}
			m.mu.Unlock()
			select {
			case <-j.Done():
				return true
			default:
				return false
			}
		})
		if e := j.Exit(); e != (Exit{}) {
			t.Errorf("%+v", e)
		}
		if most == 0 || most > maxFlying+65536 {
			t.Errorf("%d bytes were on their way", most)
		}
		if h := m.Hash(); hash != "" && h != hash {
			t.Error("it depends on the workers")
		} else {
			hash = h
		}
	}
}

// TestNothingComesLate: what a program that was killed had sent does not change the memory
// of the one after it.
func TestNothingComesLate(t *testing.T) {
	elf := build(t, "wait.c")
	m := bring(t, "mesh=8x1", Options{Quantum: 2})
	for range 30 {
		j := launchOn(t, m, elf, []int{0, 7}, "poison")
		until(t, "running", func() bool { return m.Retired(0) > 3000 })
		if err := j.Signal(9); err != nil {
			t.Fatal(err)
		}
		if e := ended(t, launchOn(t, m, elf, []int{7}, "clean")); e.Code != 0 {
			t.Fatalf("%+v: a transfer of the program before it came", e)
		}
	}
}

// TestSameDeadlockAgain: it is told each time.
func TestSameDeadlockAgain(t *testing.T) {
	told := make(chan string, 10)
	elf := build(t, "small.c")
	m := bring(t, "mesh=3x1", Options{Tell: func(s string) { told <- s }})
	for range 2 {
		load(t, m, elf, []int{0, 1, 2}, "deadlock")
		if s := <-told; !strings.Contains(s, "3 cores wait") {
			t.Errorf("%q", s)
		}
		if err := m.Reset([]int{0}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEndSendsAway: writers who wait for room in a channel are sent away when the program
// ends, however it does.
func TestEndSendsAway(t *testing.T) {
	elf := buildText(t, `#include <warren.h>
int main(void)
{
	if (warren_rank() == 1)
		warren_wait((void *)&errno, WARREN_NOT_EQUAL, 0);
	char c;
	warren_recv(4, &c, 1, 0);
	return c == 'f' ? *(volatile int *)0xfffffff0 : 0;
}
`)
	for name, end := range map[string]func(m *Machine, j *Job) error{
		"exit":   func(m *Machine, _ *Job) error { put(t, m, 0, 4, "e"); return nil },
		"fault":  func(m *Machine, _ *Job) error { put(t, m, 0, 4, "f"); return nil },
		"signal": func(_ *Machine, j *Job) error { return j.Signal(9) },
		"reset":  func(m *Machine, _ *Job) error { return m.Reset([]int{0, 1}) },
		"shrink": func(_ *Machine, j *Job) error { return j.Place(map[int]int{1: 1}) },
	} {
		m := bring(t, "mesh=2x1", Options{})
		var j *Job
		if name == "reset" {
			load(t, m, elf, []int{0, 1})
		} else {
			j = launchOn(t, m, elf, []int{0, 1})
		}
		at(t, m, 0, Parked)
		ch := m.Chan(0, 3, true)
		var calls []*call
		for range boxRoom + 5 {
			c := newCall()
			ch.Put(c, []byte("x"))
			calls = append(calls, c)
		}
		for i, c := range calls[:boxRoom] {
			if got := c.wait(t); got != "done" {
				t.Fatalf("%s: %d %s", name, i, got)
			}
		}
		if len(calls[boxRoom].answer) != 0 {
			t.Fatal("there was room")
		}
		if err := end(m, j); err != nil {
			t.Fatal(err)
		}
		for _, c := range calls[boxRoom:] {
			if got := c.wait(t); !strings.HasPrefix(got, "error chan: ") {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// TestCloseAnswers: all who wait are answered when the machine closes, and nothing that is
// done after that does harm.
func TestCloseAnswers(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	j := launchOn(t, m, elf, []int{0}, "spin")
	ch := m.Chan(0, 3, true)
	var calls []*call
	park := func(do func(*call)) {
		c := newCall()
		do(c)
		calls = append(calls, c)
	}
	for range boxRoom + 1 {
		park(func(c *call) { ch.Put(c, []byte("x")) })
	}
	park(func(c *call) { ch.Take(c) })
	park(func(c *call) { m.Ended(1).Take(c) })
	park(func(c *call) { m.Ended(0).Take(c) })
	park(func(c *call) { m.Cons(1).Take(c) })
	park(func(c *call) { m.Console().Take(c) })
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls[boxRoom:] {
		got = append(got, c.wait(t))
	}
	if want := []string{"error closed", "", "", "0 exited 137 'signal 9'\n", "", ""}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if e := ended(t, j); e.Signal != 9 {
		t.Errorf("%+v", e)
	}
	for name, do := range map[string]func() error{
		"load": func() error { return m.Load([]int{0}, &Image{ELF: elf}) },
		"run":  func() error { return m.Run([]int{0}) },
		"step": func() error { return m.Step([]int{0}, 1) },
		"launch": func() error {
			_, err := m.Launch(Launch{Cores: []int{0}, Image: func(string) (*Image, error) { return &Image{ELF: elf}, nil }})
			return err
		},
		"read":   func() error { _, err := m.ReadMemory(0, make([]byte, 9), PrivateBase); return err },
		"write":  func() error { return m.WriteMemory(0, []byte{1}, PrivateBase+0x8000) },
		"regs":   func() error { _, err := m.Register(0, 0); return err },
		"attach": func() error { return m.Debugger(0).Attach(func(gdb.Stop) {}) },
	} {
		if err := do(); err == nil {
			t.Errorf("%s after the end is no error", name)
		}
	}
	if err := m.Reset([]int{0}); err != nil {
		t.Error(err)
	}
	m.AppendHart(nil, 0)
	m.AppendMap(nil, 0)
	m.AppendBlocked(nil)
}

// TestConsoleIsBounded: what nobody reads does not stay in memory.
func TestConsoleIsBounded(t *testing.T) {
	var b broadcast
	r := b.reader()
	defer r.Close()
	record := make([]byte, 1<<20)
	for range 100 {
		b.emit(record)
	}
	kept, queued := 0, 0
	for _, p := range b.kept {
		kept += len(p)
	}
	for _, p := range r.queue {
		queued += len(p)
	}
	if kept == 0 || kept > keepBytes || queued == 0 || queued > readerBytes {
		t.Errorf("%d bytes are kept, %d wait for a reader", kept, queued)
	}
	runtime.KeepAlive(record)
}

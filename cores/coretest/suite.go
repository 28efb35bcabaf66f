package coretest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"warren/cores"
)

// Programs says how the suite's programs are written for a driver's machine.
type Programs struct {
	Exit func(code int) []string // ends with this status
	Die  func(sig int) []string  // ends by this signal
	Run  []string                // runs until it is ended
	// Hide starts something that leaves the program's session and group, and
	// then runs until it is ended; Leave does the same and ends with status 0.
	Hide, Leave []string
	// Hidden counts what Hide and Leave have running.
	Hidden func() int
	// Affinity tells where a thread may run, by Info.CPU.
	Affinity func(tid int) cores.Set
	// Where launches a program that tells the same of its first instruction.
	Where func(t *testing.T, d cores.Driver, slots []cores.Slot) cores.Set
	// Left lists what the driver has on the machine outside of its memory:
	// processes, descriptors, groups. It is compared before and after.
	Left func() []string
	// Switch says that cores can be switched without disturbing others.
	Switch bool
	// Inside says that programs run in the driver, and end with it.
	Inside bool
}

// patience is how long the suite waits for what must come; it is no measure.
const patience = 30 * time.Second

// Run holds a driver to what cores.Driver promises. open returns a new driver,
// which Run closes. What a driver's machine does not have, its Programs leave out.
func Run(t *testing.T, open func(t *testing.T) cores.Driver, p Programs) {
	tests := []struct {
		name string
		run  func(*testing.T, cores.Driver, Programs)
	}{
		{"Cores", testCores},
		{"Stats", testStats},
		{"Exit", testExit},
		{"Refusals", testRefusals},
		{"Switch", testSwitch},
		{"Where", testWhere},
		{"Place", testPlace},
		{"Freeze", testFreeze},
		{"Signal", testSignal},
		{"Ended", testEnded},
		{"KillFindsAll", testKill},
		{"EndLeavesNothing", testLeave},
		{"ManyLeaveNothing", testMany},
		{"JobsOutliveClose", testClose},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := opened(t, open, p)
			test.run(t, d, p)
		})
	}
}

// opened opens a driver, and in the end closes it and looks at what it left.
func opened(t *testing.T, open func(t *testing.T) cores.Driver, p Programs) cores.Driver {
	t.Helper()
	left := func() []string { return nil }
	if p.Left != nil {
		left = p.Left
	}
	before := left()
	d := open(t)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		eventually(t, func() bool { return slices.Equal(left(), before) }, func() {
			t.Errorf("left on the machine:\n%q\nbefore:\n%q", left(), before)
		})
	})
	return d
}

// eventually polls for what the kernel brings about in its own time.
func eventually(t *testing.T, ok func() bool, fail func()) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			fail()
			t.FailNow()
		}
	}
}

// slotsOn is a vcore on each of these cores.
func slotsOn(ids ...cores.ID) []cores.Slot {
	out := make([]cores.Slot, len(ids))
	for i, id := range ids {
		out[i] = cores.Slot{VCore: i, Core: id}
	}
	return out
}

func launch(t *testing.T, d cores.Driver, args []string, slots []cores.Slot) cores.Job {
	t.Helper()
	j, err := d.Launch(cores.Program{Name: "test", Args: args, Dir: "/"}, slots)
	if err != nil {
		t.Fatalf("Launch %q on %v: %v", args, slots, err)
	}
	t.Cleanup(func() { j.Kill() })
	return j
}

// wait waits for the end of a job.
func wait(t *testing.T, j cores.Job) cores.Exit {
	t.Helper()
	select {
	case <-j.Done():
	case <-time.After(patience):
		t.Fatal("the program has not ended")
	}
	return j.Exit()
}

func running(j cores.Job) bool {
	select {
	case <-j.Done():
		return false
	default:
		return true
	}
}

func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func testCores(t *testing.T, d cores.Driver, _ Programs) {
	infos := d.Cores()
	if len(infos) == 0 || d.Name() == "" {
		t.Fatalf("%q has %d cores", d.Name(), len(infos))
	}
	seats := map[[2]int]bool{}
	for i, info := range infos {
		if info.ID != cores.ID(i) || info.Kind == "" {
			t.Errorf("core %d: %+v", i, info)
		}
		seat := [2]int{info.Core, info.SMT}
		if info.Core >= 0 && seats[seat] {
			t.Errorf("core %d is a second one with core %d smt %d", i, info.Core, info.SMT)
		}
		seats[seat] = true
		if n := d.Distance(info.ID, info.ID); n != 0 {
			t.Errorf("core %d is %d from itself", i, n)
		}
		if a, b := d.Distance(0, info.ID), d.Distance(info.ID, 0); a != b || (i > 0 && a <= 0) {
			t.Errorf("distance of 0 and %d: %d and %d", i, a, b)
		}
	}
	if d.Online(-1) || d.Online(cores.ID(len(infos))) {
		t.Error("a core that is not there is online")
	}
}

func testStats(t *testing.T, d cores.Driver, _ Programs) {
	n := len(d.Cores())
	first, second := make([]cores.Stat, n), make([]cores.Stat, n)
	before := d.Stats(first)
	after := d.Stats(second)
	if after.Before(before) {
		t.Errorf("a later sample is of %v, the earlier of %v", after, before)
	}
	for i := range first {
		a, b := first[i], second[i]
		if b.User < a.User || b.Sys < a.Sys || b.Idle < a.Idle || b.Interrupts < a.Interrupts || b.Ticks < a.Ticks {
			t.Errorf("core %d counts backwards: %+v then %+v", i, a, b)
		}
	}
	rates := make([]cores.Rate, n)
	d.Rates(rates)
	for i, r := range rates {
		if sum := r.User + r.Sys + r.IRQ + r.Idle; sum < 0 || sum > 1002 {
			t.Errorf("core %d: %+v adds up to %d permille", i, r, sum)
		}
	}
	if _, err := d.Noise(0); err != nil {
		t.Errorf("Noise: %v", err)
	}
	if _, err := d.Noise(cores.ID(n)); err == nil {
		t.Error("Noise of a core that is not there")
	}
}

func testExit(t *testing.T, d cores.Driver, p Programs) {
	for _, code := range []int{0, 1, 3, 127, 255} {
		if e := wait(t, launch(t, d, p.Exit(code), slotsOn(0))); e.Code != code || e.Signal != 0 {
			t.Errorf("exit %d: %+v", code, e)
		}
	}
	if p.Die == nil {
		return
	}
	for _, sig := range []int{int(syscall.SIGTERM), int(syscall.SIGKILL), int(syscall.SIGHUP)} {
		if e := wait(t, launch(t, d, p.Die(sig), slotsOn(0))); e.Signal != sig {
			t.Errorf("signal %d: %+v", sig, e)
		}
	}
}

func testRefusals(t *testing.T, d cores.Driver, p Programs) {
	none := func(what string, args []string, slots []cores.Slot, want syscall.Errno) {
		t.Helper()
		j, err := d.Launch(cores.Program{Name: "test", Args: args, Dir: "/"}, slots)
		wantErrno(t, what, err, want)
		if j != nil {
			t.Errorf("%s: a job with an error", what)
		}
	}
	beyond := cores.ID(len(d.Cores()))
	none("no program", nil, slotsOn(0), syscall.EINVAL)
	none("no slots", p.Run, nil, syscall.EINVAL)
	none("core beyond", p.Run, slotsOn(0, beyond), syscall.ENXIO)
	none("core -1", p.Run, slotsOn(-1), syscall.ENXIO)
	wantErrno(t, "switch of a core beyond", d.Do(beyond, cores.Offline), syscall.ENXIO)
}

func testSwitch(t *testing.T, d cores.Driver, p Programs) {
	last := cores.ID(len(d.Cores()) - 1)
	if !p.Switch || last < 1 {
		t.Skip("needs two cores that can be switched")
	}
	for _, op := range []cores.Op{cores.Online, cores.Offline, cores.Offline} {
		if err := d.Do(last, op); err != nil || d.Online(last) != (op == cores.Online) {
			t.Fatalf("op %d: %v, online %v", op, err, d.Online(last))
		}
	}
	_, err := d.Launch(cores.Program{Name: "test", Args: p.Run, Dir: "/"}, slotsOn(last))
	wantErrno(t, "launch on an offline core", err, syscall.EBUSY)
	j := launch(t, d, p.Run, slotsOn(0))
	wantErrno(t, "move to an offline core", j.Place(slotsOn(0, last)), syscall.EBUSY)
	if err := d.Do(last, cores.Online); err != nil || !d.Online(last) {
		t.Fatalf("online: %v", err)
	}
	if err := j.Place(slotsOn(0, last)); err != nil {
		t.Errorf("move to a core that is back: %v", err)
	}
	j.Kill()
	wait(t, j)
}

// cpus is the CPUs of cores.
func cpus(d cores.Driver, ids ...cores.ID) cores.Set {
	var out []cores.ID
	for _, id := range ids {
		out = append(out, cores.ID(d.Cores()[id].CPU))
	}
	return cores.NewSet(out...)
}

func testWhere(t *testing.T, d cores.Driver, p Programs) {
	if p.Where == nil {
		t.Skip("programs of this driver cannot tell")
	}
	var all []cores.ID
	for _, info := range d.Cores() {
		all = append(all, info.ID)
		if got, want := p.Where(t, d, slotsOn(info.ID)), cpus(d, info.ID); !slices.Equal(got, want) {
			t.Errorf("on core %d a program finds itself on CPUs %s, want %s", info.ID, got, want)
		}
	}
	if got, want := p.Where(t, d, slotsOn(all...)), cpus(d, all...); !slices.Equal(got, want) {
		t.Errorf("on all cores a program finds itself on CPUs %s, want %s", got, want)
	}
}

func testPlace(t *testing.T, d cores.Driver, p Programs) {
	j := launch(t, d, p.Run, slotsOn(0))
	if ths := j.Threads(); len(ths) != 1 || ths[0].VCore != 0 {
		t.Errorf("threads on one core: %+v", ths)
	}
	for _, info := range d.Cores() {
		if err := j.Place(slotsOn(info.ID)); err != nil {
			t.Fatalf("Place on %d: %v", info.ID, err)
		}
		for _, th := range j.Threads() {
			if p.Affinity == nil {
				break
			}
			if got := p.Affinity(th.TID); !slices.Equal(got, cpus(d, info.ID)) {
				t.Errorf("moved to core %d a thread is on CPUs %s", info.ID, got)
			}
		}
	}
	here := j.Threads()
	wantErrno(t, "Place on no slots", j.Place(nil), syscall.EINVAL)
	wantErrno(t, "Place on a core beyond", j.Place(slotsOn(0, cores.ID(len(d.Cores())))), syscall.ENXIO)
	if p.Affinity != nil {
		last := d.Cores()[len(d.Cores())-1].ID
		if got := p.Affinity(here[0].TID); !slices.Equal(got, cpus(d, last)) {
			t.Errorf("a refused move has moved to %s", got)
		}
	}
	j.Kill()
	wait(t, j)
}

func testFreeze(t *testing.T, d cores.Driver, p Programs) {
	j := launch(t, d, p.Run, slotsOn(0))
	for _, on := range []bool{true, true, false, false, true} {
		if err := j.Freeze(on); err != nil {
			t.Fatalf("Freeze %v: %v", on, err)
		}
	}
	if err := j.Kill(); err != nil {
		t.Fatalf("Kill of a frozen program: %v", err)
	}
	if e := wait(t, j); e.Signal != int(syscall.SIGKILL) {
		t.Errorf("killed while frozen: %+v", e)
	}
}

func testSignal(t *testing.T, d cores.Driver, p Programs) {
	j := launch(t, d, p.Run, slotsOn(0))
	if err := j.Signal(0); err != nil {
		t.Errorf("Signal 0: %v", err)
	}
	if err := j.Signal(int(syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, j); e.Signal != int(syscall.SIGKILL) {
		t.Errorf("after SIGKILL: %+v", e)
	}
}

func testEnded(t *testing.T, d cores.Driver, p Programs) {
	j := launch(t, d, p.Exit(0), slotsOn(0))
	wait(t, j)
	wantErrno(t, "Signal", j.Signal(int(syscall.SIGTERM)), syscall.ESRCH)
	wantErrno(t, "Freeze", j.Freeze(true), syscall.ESRCH)
	wantErrno(t, "Place", j.Place(slotsOn(0)), syscall.ESRCH)
	if err := j.Kill(); err != nil {
		t.Errorf("Kill of what has ended: %v", err)
	}
	if ths := j.Threads(); len(ths) != 0 {
		t.Errorf("threads of what has ended: %+v", ths)
	}
	if j.Usage() != j.Exit().Usage {
		t.Errorf("usage %+v, at exit %+v", j.Usage(), j.Exit().Usage)
	}
}

func testKill(t *testing.T, d cores.Driver, p Programs) {
	if p.Hide == nil {
		t.Skip("programs of this driver cannot hide")
	}
	before := p.Hidden()
	j := launch(t, d, p.Hide, slotsOn(0))
	eventually(t, func() bool { return p.Hidden() > before }, func() { t.Error("nothing hides") })
	if err := j.Kill(); err != nil {
		t.Fatal(err)
	}
	wait(t, j)
	if n := p.Hidden(); n != before {
		t.Errorf("%d still hide after Kill, %d before", n, before)
	}
}

func testLeave(t *testing.T, d cores.Driver, p Programs) {
	if p.Leave == nil {
		t.Skip("programs of this driver leave nothing")
	}
	before := p.Hidden()
	if e := wait(t, launch(t, d, p.Leave, slotsOn(0))); e.Code != 0 || e.Signal != 0 {
		t.Errorf("exit: %+v", e)
	}
	if n := p.Hidden(); n != before {
		t.Errorf("%d are left after the end, %d before", n, before)
	}
}

func testMany(t *testing.T, d cores.Driver, p Programs) {
	workers, each := 8, 25
	if p.Inside {
		workers = min(workers, len(d.Cores())) // a core runs one program at a time
	}
	var wg sync.WaitGroup
	for w := range workers {
		on := cores.ID(0)
		if p.Inside {
			on = cores.ID(w)
		}
		wg.Go(func() {
			for i := range each {
				code := (w*each + i) % 200
				j, err := d.Launch(cores.Program{Name: "many" + strconv.Itoa(w), Args: p.Exit(code), Dir: "/"}, slotsOn(on))
				if err != nil {
					t.Errorf("launch %d of worker %d: %v", i, w, err)
					return
				}
				<-j.Done()
				if e := j.Exit(); e.Code != code {
					t.Errorf("exit %d: %+v", code, e)
				}
			}
		})
	}
	wg.Wait()
}

func testClose(t *testing.T, d cores.Driver, p Programs) {
	j := launch(t, d, p.Run, slotsOn(0))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if p.Inside {
		wait(t, j)
	} else if !running(j) {
		t.Error("the program ended with the driver")
	}
	if j, err := d.Launch(cores.Program{Name: "late", Args: p.Run, Dir: "/"}, slotsOn(0)); err == nil {
		j.Kill()
		t.Error("a closed driver launches")
	}
	j.Kill()
	if e := wait(t, j); e.Signal != int(syscall.SIGKILL) {
		t.Errorf("exit: %+v", e)
	}
}

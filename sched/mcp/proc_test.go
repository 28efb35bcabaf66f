package mcp_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/sched"
	"warren/sched/mcp"
)

func TestLife(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.proc("db", "server", "-v")
	r.ok(p.SetEnv("GOMAXPROCS=9"))
	r.ok(p.SetEnv("A=1"))
	r.ok(p.SetEnv("A=2"))
	r.ok(p.SetCores(2, 2))
	if s := p.Status(); s.State != mcp.New || s.PID != 0 || len(s.Cores) != 0 {
		t.Errorf("a new process: %+v", s)
	}
	r.ok(p.Start(true))
	j := r.job(p)
	s := p.Status()
	if s.State != mcp.Running || s.PID != j.PID() || len(s.Cores) != 2 || s.Tier == "" || s.Started.IsZero() {
		t.Errorf("a running process: %+v", s)
	}
	prog := j.Program()
	if !slices.Equal(prog.Args, []string{"server", "-v"}) || prog.Dir != "/" || prog.User.UID != me.UID {
		t.Errorf("launched %+v", prog)
	}
	for _, want := range []string{
		"WARREN=/mnt/x", "WARREN_ADDR=unix!/x", "WARREN_PROC=db", "WARREN_CORES=" + s.Cores.String(),
		"OMP_NUM_THREADS=2", "GOMAXPROCS=9", "A=2", "USER=me",
	} {
		if n := count(prog.Env, want); n != 1 {
			t.Errorf("%d times %s in %q", n, want, prog.Env)
		}
	}
	if i := slices.IndexFunc(prog.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=/") }); i < 0 {
		t.Errorf("no HOME in %q", prog.Env)
	}
	j.End(cores.Exit{Code: 3, Usage: cores.Usage{User: 5 * time.Millisecond, Sys: 7 * time.Microsecond, Real: time.Second}})
	if got, want := r.wait(p), "db 3 5000 7 1000000 'exit 3'\n"; got != want {
		t.Errorf("wait gave %q, want %q", got, want)
	}
	s = p.Status()
	if s.State != mcp.Done || s.PID != 0 || len(s.Cores) != 0 || s.Exit != "exit 3" || s.Usage.Real != time.Second {
		t.Errorf("a process that is done: %+v", s)
	}
	if held := r.sched.Alloc(); len(held) > 0 {
		t.Errorf("after the end, claimed: %v", held)
	}
	r.ok(r.Remove("db"))
	if _, ok := r.Get("db"); ok || !p.Meta().Gone() {
		t.Error("it is still there after rm")
	}
	if err := r.Remove("db"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a second rm: %v", err)
	}
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

// inState returns a fresh process in a state, and what lets it go on.
func (r *rig) inState(state mcp.State, name string) *mcp.Proc {
	r.t.Helper()
	p := r.proc(name, "x")
	if state == mcp.New {
		return p
	}
	if state == mcp.Waiting {
		r.ok(p.SetClass(sched.Exclusive))
		r.ok(p.SetOn(cores.NewSet(3)))
	}
	r.ok(p.Start(false))
	switch state {
	case mcp.Stopped:
		r.ok(p.Stop())
	case mcp.Done:
		r.job(p).End(cores.Exit{})
		r.wait(p)
	}
	if p.State() != state {
		r.t.Fatalf("%s is %s, want %s", name, p.State(), state)
	}
	return p
}

// TestActions has each action in each state: what it says and where it leads.
func TestActions(t *testing.T) {
	const (
		ok    = syscall.Errno(0)
		busy  = syscall.EBUSY
		srch  = syscall.ESRCH
		inval = syscall.EINVAL
	)
	states := []mcp.State{mcp.New, mcp.Waiting, mcp.Running, mcp.Stopped, mcp.Done}
	type result struct {
		errno syscall.Errno
		then  mcp.State
	}
	for _, test := range []struct {
		name string
		do   func(*mcp.Proc) error
		want [5]result // in the order of states
	}{
		{"start", func(p *mcp.Proc) error { return p.Start(false) }, [5]result{{ok, mcp.Running}, {busy, mcp.Waiting}, {busy, mcp.Running}, {busy, mcp.Stopped}, {busy, mcp.Done}}},
		{"stop", (*mcp.Proc).Stop, [5]result{{srch, mcp.New}, {srch, mcp.Waiting}, {ok, mcp.Stopped}, {ok, mcp.Stopped}, {srch, mcp.Done}}},
		{"cont", (*mcp.Proc).Cont, [5]result{{srch, mcp.New}, {srch, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Running}, {srch, mcp.Done}}},
		{"usr1", func(p *mcp.Proc) error { return p.Kill(10) }, [5]result{{srch, mcp.New}, {ok, mcp.Done}, {ok, mcp.Running}, {ok, mcp.Stopped}, {srch, mcp.Done}}},
		{"term", func(p *mcp.Proc) error { return p.Kill(15) }, [5]result{{srch, mcp.New}, {ok, mcp.Done}, {ok, mcp.Running}, {ok, mcp.Running}, {srch, mcp.Done}}},
		{"kill", func(p *mcp.Proc) error { return p.Kill(9) }, [5]result{{srch, mcp.New}, {ok, mcp.Done}, {ok, mcp.Done}, {ok, mcp.Done}, {srch, mcp.Done}}},
		{"sigstop", func(p *mcp.Proc) error { return p.Kill(19) }, [5]result{{srch, mcp.New}, {srch, mcp.Waiting}, {ok, mcp.Stopped}, {ok, mcp.Stopped}, {srch, mcp.Done}}},
		{"sigcont", func(p *mcp.Proc) error { return p.Kill(18) }, [5]result{{srch, mcp.New}, {srch, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Running}, {srch, mcp.Done}}},
		{"yield", func(p *mcp.Proc) error { return p.Yield(1) }, [5]result{{srch, mcp.New}, {srch, mcp.Waiting}, {inval, mcp.Running}, {inval, mcp.Stopped}, {srch, mcp.Done}}},
		{"exec", func(p *mcp.Proc) error { return p.SetExec([]string{"y"}) }, [5]result{{ok, mcp.New}, {busy, mcp.Waiting}, {busy, mcp.Running}, {busy, mcp.Stopped}, {busy, mcp.Done}}},
		{"same exec", func(p *mcp.Proc) error { return p.SetExec([]string{"x"}) }, [5]result{{ok, mcp.New}, {ok, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Stopped}, {ok, mcp.Done}}},
		{"env", func(p *mcp.Proc) error { return p.SetEnv("K=") }, [5]result{{ok, mcp.New}, {busy, mcp.Waiting}, {busy, mcp.Running}, {busy, mcp.Stopped}, {busy, mcp.Done}}},
		{"pin", func(p *mcp.Proc) error { return p.SetPin(cores.PinNone) }, [5]result{{ok, mcp.New}, {busy, mcp.Waiting}, {busy, mcp.Running}, {busy, mcp.Stopped}, {busy, mcp.Done}}},
		{"same dir", func(p *mcp.Proc) error { return p.SetDir("/") }, [5]result{{ok, mcp.New}, {ok, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Stopped}, {ok, mcp.Done}}},
		{"cores", func(p *mcp.Proc) error { return p.SetCores(1, 2) }, [5]result{{ok, mcp.New}, {ok, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Stopped}, {busy, mcp.Done}}},
		{"same cores", func(p *mcp.Proc) error { return p.SetCores(1, 1) }, [5]result{{ok, mcp.New}, {ok, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Stopped}, {ok, mcp.Done}}},
		{"note", func(p *mcp.Proc) error { return p.Note("n") }, [5]result{{ok, mcp.New}, {ok, mcp.Waiting}, {ok, mcp.Running}, {ok, mcp.Stopped}, {syscall.EPIPE, mcp.Done}}},
	} {
		r := fakeRig(t, 4)
		hog := r.proc("hog", "x")
		r.ok(hog.SetClass(sched.Exclusive))
		r.ok(hog.SetOn(cores.NewSet(3)))
		r.ok(hog.Start(true))
		for i, state := range states {
			p := r.inState(state, state.String()+"-"+strings.ReplaceAll(test.name, " ", "-"))
			err := test.do(p)
			if got := sys.Errno(err); got != test.want[i].errno {
				t.Errorf("%s when %s: %v, want %v", test.name, state, err, test.want[i].errno)
			}
			if test.want[i].then == mcp.Done {
				r.wait(p)
			}
			if got := p.State(); got != test.want[i].then {
				t.Errorf("%s when %s leads to %s, want %s", test.name, state, got, test.want[i].then)
			}
		}
	}
}

func TestRemoveRefused(t *testing.T) {
	r := fakeRig(t, 4)
	for _, state := range []mcp.State{mcp.Running, mcp.Stopped} {
		p := r.inState(state, "p-"+state.String())
		want := fmt.Sprintf("p-%s is %s (pid %d): kill it first", state, state, r.job(p).PID())
		if err := p.Remove(); !errors.Is(err, syscall.EBUSY) || err.Error() != want {
			t.Errorf("rm: %v, want %s", err, want)
		}
	}
	// One that is removed while its streams are open: they end.
	p := r.proc("gone", "x")
	wait, events := p.OpenWait(), p.OpenEvents()
	w, e := take(wait), take(events)
	in := p.OpenStdin()
	r.ok(p.Remove())
	if w.text(t) != "" || e.text(t) != "" {
		t.Errorf("streams of a removed process gave %q and %q", w.data, e.data)
	}
	c := put(in, "x")
	if c.wait(t); !errors.Is(c.err, syscall.ENOENT) {
		t.Errorf("stdin of a removed process: %v", c.err)
	}
	if err := p.Start(false); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("start of a removed process: %v", err)
	}
}

// TestLaunchFails: the process is as it was, and so are the cores.
func TestLaunchFails(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.proc("p", "nosuch")
	r.ok(p.SetClass(sched.Exclusive))
	in := p.OpenStdin()
	put(in, "kept").wait(t)
	fault := sys.Errorf(syscall.ENOENT, "exec: nosuch: not there")
	r.fake.FailLaunch(func(cores.Program, []cores.Slot) error { return fault })
	if err := p.Start(false); err != fault {
		t.Errorf("start: %v", err)
	}
	if p.State() != mcp.New || len(r.sched.Alloc()) > 0 || p.StdoutSize() != 0 {
		t.Errorf("after a failed start: %s, claimed %v", p.State(), r.sched.Alloc())
	}
	if entries, _ := filepath.Glob(filepath.Join(r.dir, "procs", "*.stdout")); len(entries) > 3 { // two of them made ahead
		t.Errorf("a failed start left %v", entries)
	}
	stdin := r.catchStdin()
	r.ok(p.SetExec([]string{"such"}))
	r.ok(p.Start(false))
	p.EOF()
	if got := readAll(t, <-stdin); got != "kept" {
		t.Errorf("the program's stdin has %q", got)
	}
}

// catchStdin gives the stdin of the programs launched from now on.
func (r *rig) catchStdin() <-chan *os.File {
	files := make(chan *os.File, 10)
	r.fake.FailLaunch(func(p cores.Program, _ []cores.Slot) error {
		fd, err := syscall.Dup(int(p.Stdin.Fd()))
		if err != nil {
			return err
		}
		files <- os.NewFile(uintptr(fd), "stdin")
		return nil
	})
	return files
}

// TestQueue: processes wait for cores, are started when they come free, and
// those whose launch fails then are done.
func TestQueue(t *testing.T) {
	r := fakeRig(t, 2)
	exclusive := func(name string) *mcp.Proc {
		p := r.proc(name, name)
		r.ok(p.SetClass(sched.Exclusive))
		r.ok(p.SetOn(cores.NewSet(1)))
		return p
	}
	a, b, c, d := exclusive("a"), exclusive("b"), exclusive("c"), exclusive("d")
	r.ok(a.Start(true))
	if err := b.Start(true); !errors.Is(err, syscall.EBUSY) || b.State() != mcp.New {
		t.Errorf("start now without cores: %v, %s", err, b.State())
	}
	for _, p := range []*mcp.Proc{b, c, d} {
		r.ok(p.Start(false))
		if p.State() != mcp.Waiting || p.WaitReason() == "" {
			t.Errorf("%s: %+v, want waiting and a reason", p.Meta().Name, p.Status())
		}
	}
	r.ok(b.Kill(int(syscall.SIGTERM)))
	if got := r.ended(b); got != "signal 15 TERM" || !strings.Contains(b.Status().Reason, "waited") {
		t.Errorf("one killed while waiting: %s, reason %q", got, b.Status().Reason)
	}
	r.fake.FailLaunch(func(p cores.Program, _ []cores.Slot) error {
		if p.Name == "c" {
			return sys.Errorf(syscall.ENOENT, "exec: c: not there")
		}
		return nil
	})
	r.job(a).End(cores.Exit{})
	if got := r.wait(c); got != "c 127 0 0 0 'exit 127'\n" || c.Status().Reason != "start: exec: c: not there" {
		t.Errorf("one whose queued start failed: %s, reason %q", got, c.Status().Reason)
	}
	r.eventually(d, mcp.Running)
	if alloc := r.sched.Alloc(); len(alloc) != 1 || alloc[0].Owner.Proc != "d" {
		t.Errorf("claimed: %v, want d's", alloc)
	}
}

// eventually waits for a state that others bring about.
func (r *rig) eventually(p *mcp.Proc, want mcp.State) {
	r.t.Helper()
	events := r.feed.Open(100, "")
	defer events.Close()
	for p.State() != want {
		take(events).text(r.t)
	}
}

// TestKillWhileStarting: the signal waits for the program, and the writer for nothing.
func TestKillWhileStarting(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.proc("p", "x")
	launching, goOn := make(chan bool), make(chan bool)
	r.fake.FailLaunch(func(cores.Program, []cores.Slot) error {
		launching <- true
		<-goOn
		return nil
	})
	started := make(chan error)
	go func() { started <- p.Start(false) }()
	<-launching
	r.ok(p.Kill(int(syscall.SIGUSR1)))
	r.ok(p.Kill(int(syscall.SIGTERM)))
	_ = p.Status() // nor do readers wait
	_, _ = p.VCores(), p.Env()
	goOn <- true
	r.ok(<-started)
	if got := r.job(p).Signals(); !slices.Equal(got, []int{10, 15}) {
		t.Errorf("the program got %v", got)
	}
}

// TestResize: a running process grows and shrinks, its vcores keep their
// numbers, and a refusal changes nothing.
func TestResize(t *testing.T) {
	r := fakeRig(t, 8)
	p := r.proc("p", "x")
	r.ok(p.SetClass(sched.Exclusive))
	r.ok(p.SetGang(false))
	r.ok(p.SetCores(1, 2))
	r.ok(p.Start(true))
	events := p.OpenEvents()
	defer events.Close()
	first := p.VCores()
	r.ok(p.SetCores(1, 4))
	if got := len(r.job(p).Slots()); got != 4 || len(p.VCores()) != 4 {
		t.Fatalf("grown to 4: %d slots", got)
	}
	for i, v := range p.VCores() {
		if i < 2 && (v.Core != first[i].Core || v.Generation != 1) {
			t.Errorf("vcore %d went from %+v to %+v", i, first[i], v)
		}
	}
	for range 2 {
		if got := take(events).text(t); !strings.HasPrefix(got, "granted ") {
			t.Errorf("event %q", got)
		}
	}
	// Of a hole, the next core that comes takes the number.
	gone := p.VCores()[1]
	r.ok(p.YieldVCore(1))
	if got, want := take(events).text(t), fmt.Sprintf("preempted 1 %d\n", gone.Core); got != want {
		t.Errorf("event %q, want %q", got, want)
	}
	if v := p.VCores()[1]; v.Core != -1 || v.State != "none" || v.Generation != 2 {
		t.Errorf("the vcore without a core: %+v", v)
	}
	if got := p.Request(); got.Max != 3 || got.Min != 1 {
		t.Errorf("after yield it asks for %d..%d", got.Min, got.Max)
	}
	for _, s := range r.job(p).Slots() {
		if s.VCore == 1 {
			t.Errorf("the program still has vcore 1: %v", r.job(p).Slots())
		}
	}
	if err := p.YieldVCore(1); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("yield of a vcore without a core: %v", err)
	}
	r.ok(p.SetCores(1, 4))
	if v := p.VCores()[1]; v.Core < 0 || v.Generation != 3 {
		t.Errorf("the vcore that has a core again: %+v", v)
	}
	// A move that fails changes nothing.
	before := p.VCores()
	fault := sys.Errorf(syscall.EPERM, "place: no")
	r.fake.FailPlace(func(j *coretest.FakeJob, slots []cores.Slot) error {
		if len(slots) != 4 {
			return fault
		}
		return nil
	})
	if err := p.SetCores(1, 6); err != fault {
		t.Errorf("resize: %v", err)
	}
	if got := p.Request(); got.Max != 4 || len(r.sched.Alloc()) != 4 || !slices.EqualFunc(p.VCores(), before, sameVCore) {
		t.Errorf("after a failed move: wants %d, claimed %v, %v", got.Max, r.sched.Alloc(), p.VCores())
	}
	if err := p.Yield(2); err != fault || p.Request().Max != 4 || len(r.sched.Alloc()) != 4 {
		t.Errorf("yield: %v, claimed %v", err, r.sched.Alloc())
	}
	r.fake.FailPlace(nil)
	r.ok(p.Yield(2))
	if err := p.Yield(2); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("yield below the least: %v", err)
	}
}

func sameVCore(a, b mcp.VCore) bool { return a.Num == b.Num && a.Core == b.Core }

func TestGangEvents(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.proc("p", "x")
	events := p.OpenEvents()
	defer events.Close()
	r.ok(p.SetGang(true))
	r.ok(p.SetCores(2, 2))
	r.ok(p.Start(true))
	r.ok(p.Note("hello"))
	r.job(p).End(cores.Exit{Signal: 11, Core: true})
	r.wait(p)
	vs := ""
	for _, s := range r.job(p).Slots() {
		vs += fmt.Sprintf("granted %d %d\n", s.VCore, s.Core)
	}
	if got, want := drain(t, events), vs+"gang 2\nnote hello\nexit signal 11 SEGV core\n"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	late := p.OpenEvents()
	defer late.Close()
	if got := drain(t, late); got != "exit signal 11 SEGV core\n" {
		t.Errorf("a late reader of events got %q", got)
	}
}

// TestSlowEvents: who does not read loses notes, and is told, but not the exit.
func TestSlowEvents(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.run("p", "x")
	events := p.OpenEvents()
	defer events.Close()
	for range 1100 {
		r.ok(p.Note("n"))
	}
	r.job(p).End(cores.Exit{})
	r.wait(p)
	got := drain(t, events)
	if want := strings.Repeat("note n\n", 1024) + "lost 76\nexit exit 0\n"; got != want {
		t.Errorf("got %d notes and %q", strings.Count(got, "note"), got[len(got)-40:])
	}
	if err := p.Note(strings.Repeat("x", 5000)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("a long note: %v", err)
	}
}

func TestWaitReaders(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.run("p", "x")
	const record = "p 137 0 0 0 'signal 9 KILL'\n"
	var readers []*mcp.Waiter
	var calls []*call
	for range 50 {
		w := p.OpenWait()
		readers, calls = append(readers, w), append(calls, take(w))
	}
	calls[7].interrupt()
	again := &call{done: make(chan struct{}), nonblock: true}
	readers[8].Take(again)
	if !errors.Is(again.err, syscall.EAGAIN) {
		t.Errorf("a wait that must not wait: %v", again.err)
	}
	r.ok(p.Kill(9))
	for i, c := range calls {
		if i == 7 {
			continue
		}
		if got := c.text(t); got != record {
			t.Errorf("reader %d got %q", i, got)
		}
		if got := take(readers[i]).text(t); got != "" {
			t.Errorf("reader %d got %q after the record", i, got)
		}
	}
	if got := take(readers[7]).text(t); got != record {
		t.Errorf("the reader that was interrupted got %q", got)
	}
	calls[3].lost() // its front end could not deliver it
	if got := take(readers[3]).text(t); got != record {
		t.Errorf("given back and read again: %q", got)
	}
	for _, w := range readers {
		w.Close()
	}
	if got := r.wait(p); got != record {
		t.Errorf("a late reader got %q", got)
	}
}

// TestClones: of processes that clone made, the newest 1,000 that are done stay.
func TestClones(t *testing.T) {
	r := fakeRig(t, 2)
	named := r.run("named", "x")
	r.job(named).End(cores.Exit{})
	r.wait(named)
	for i := range 1010 {
		p := r.proc("", "x")
		if got, want := p.Meta().Name, fmt.Sprint(i); got != want || !p.Meta().Cloned() {
			t.Fatalf("clone made %q, want %q", got, want)
		}
		if i == 3 {
			p.Keep()
		}
		r.ok(p.Start(true))
		r.job(p).End(cores.Exit{})
		r.wait(p)
	}
	var have []string
	r.List(0, func(p *mcp.Proc) bool {
		have = append(have, p.Meta().Name)
		return true
	})
	if len(have) != 1002 || !slices.Equal(have[:4], []string{"named", "3", "10", "11"}) {
		t.Errorf("%d are left: %q …", len(have), have[:4])
	}
}

func TestProvision(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.proc("p", "x")
	r.ok(p.SetProv(root, cores.NewSet(2, 3)))
	r.ok(p.SetProv(root, cores.NewSet(2, 3)))
	if got := p.Prov().String(); got != "2-3" || len(r.sched.Prov()) != 2 {
		t.Errorf("provisioned %s, %v", got, r.sched.Prov())
	}
	r.ok(p.Start(true))
	r.job(p).End(cores.Exit{})
	r.wait(p)
	if len(r.sched.Prov()) > 0 || p.Prov().String() != "2-3" {
		t.Errorf("one that is done still has %v (and says %s)", r.sched.Prov(), p.Prov())
	}
	q := r.proc("q", "x")
	r.ok(q.SetProv(root, cores.NewSet(2)))
	r.ok(q.Remove())
	if len(r.sched.Prov()) > 0 {
		t.Errorf("one that was removed still has %v", r.sched.Prov())
	}
}

var root = &sys.User{Name: "root"}

func TestRefusals(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.proc("p")
	for _, test := range []struct {
		err   error
		errno syscall.Errno
		text  string
	}{
		{p.Start(false), syscall.EINVAL, "nothing to run"},
		{p.SetExec([]string{""}), syscall.EINVAL, "empty"},
		{p.SetExec([]string{"a", strings.Repeat("x", 1<<20)}), syscall.E2BIG, "at most"},
		{p.SetEnv("noequals"), syscall.EINVAL, "K=V"},
		{p.SetEnv("=v"), syscall.EINVAL, "K=V"},
		{p.SetEnv("K=" + strings.Repeat("x", 1<<20)), syscall.E2BIG, "at most"},
		{p.SetDir("here"), syscall.EINVAL, "absolute"},
		{p.SetDir("/" + strings.Repeat("x", 5000)), syscall.ENAMETOOLONG, "at most"},
		{p.SetCores(5, 5), syscall.ENOSPC, "want 5, this machine has 4"},
		{p.SetNear(4), syscall.ENXIO, "no core 4"},
		{p.SetNode(9), syscall.ENXIO, "no node 9"},
		{p.SetKind("quantum"), syscall.ENXIO, "no cores of kind"},
	} {
		if sys.Errno(test.err) != test.errno || !strings.Contains(fmt.Sprint(test.err), test.text) {
			t.Errorf("%v, want %v and %q", test.err, test.errno, test.text)
		}
	}
	if _, err := r.Make(me, "p"); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("a second p: %v", err)
	}
	for _, word := range []string{"TERM", "sigterm", "15", "SIGTERM"} {
		if sig, err := mcp.ParseSignal(word); sig != 15 || err != nil {
			t.Errorf("signal %q is %d, %v", word, sig, err)
		}
	}
	for _, word := range []string{"", "0", "65", "-1", "FROB", "SIG"} {
		if sig, err := mcp.ParseSignal(word); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("signal %q is %d, %v", word, sig, err)
		}
	}
}

// TestStrangerStarts: a server that is not root runs programs only as itself.
func TestStrangerStarts(t *testing.T) {
	if me.UID == 0 {
		t.Skip("root may run programs as anybody")
	}
	r := fakeRig(t, 2)
	p, err := r.Make(&sys.User{UID: me.UID + 1, Name: "other"}, "p")
	r.ok(err)
	r.ok(p.SetExec([]string{"x"}))
	if err := p.Start(false); !errors.Is(err, syscall.EPERM) {
		t.Errorf("start: %v", err)
	}
}

func TestHalt(t *testing.T) {
	r := fakeRig(t, 4)
	p := r.run("p", "x") // minds TERM
	q := r.run("q", "x") // does not
	r.proc("new", "x")
	w, e := p.OpenWait(), q.OpenEvents()
	end := take(w)
	halted := make(chan bool)
	go func() {
		r.Halt()
		close(halted)
	}()
	j := r.job(p)
	for len(j.Signals()) == 0 {
		_ = r.job(q).Signals()
	}
	j.End(cores.Exit{Signal: 15})
	<-halted
	if end.text(t) != "p 143 0 0 0 'signal 15 TERM'\n" || q.State() != mcp.Done || q.Status().Exit != "signal 9 KILL" {
		t.Errorf("halted: %q, %+v", end.data, q.Status())
	}
	if got := drain(t, e); !strings.HasSuffix(got, "exit signal 9 KILL\n") {
		t.Errorf("events %q", got)
	}
}

package mcp_test

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/kern"
	"warren/kern/feed"
	"warren/sched"
	"warren/sched/mcp"
)

// me is the user whom the tests run as.
var me = &sys.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Name: "me"}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// A rig is a machine with processes. Its end checks that nothing is left.
type rig struct {
	*mcp.Set
	t     testing.TB
	sched *sched.Scheduler
	fake  *coretest.FakeDriver // nil on a real machine
	dir   string
	feed  feed.Feed
}

func fakeRig(t *testing.T, n int) *rig {
	r := fakeRigIn(t, n, t.TempDir())
	t.Cleanup(r.end)
	return r
}

// fakeRigIn is a rig that its user ends.
func fakeRigIn(t testing.TB, n int, dir string) *rig {
	d := coretest.Fake(n)
	r := newRig(t, d, dir)
	r.fake = d
	return r
}

func newRig(t testing.TB, d cores.Driver, dir string) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir}
	m := kern.New(d, kern.Options{})
	r.sched = sched.New(m, sched.Options{Self: me, Users: new(sys.Users)})
	set, err := mcp.NewSet(mcp.Config{
		Sched: r.sched, Machine: m, Driver: d, StateDir: dir, Events: &r.feed,
		Addr: func() string { return "unix!/x" }, Mount: func() string { return "/mnt/x" },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Set = set
	return r
}

func (r *rig) end() {
	r.List(0, func(p *mcp.Proc) bool {
		_ = p.Kill(9) // of those that nothing runs for
		return true
	})
	r.Halt()
	if held := r.sched.Alloc(); len(held) > 0 {
		r.t.Errorf("cores are still claimed: %v", held)
	}
	if r.Len() > 0 {
		r.t.Errorf("%d processes are left", r.Len())
	}
	if entries, _ := os.ReadDir(r.dir); len(entries) > 0 {
		r.t.Errorf("left in the state directory: %v", entries)
	}
}

// proc makes a process with a program.
func (r *rig) proc(name string, args ...string) *mcp.Proc {
	r.t.Helper()
	p, err := r.Make(me, name)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(args) > 0 {
		r.ok(p.SetExec(args))
	}
	return p
}

// run makes a process and starts it.
func (r *rig) run(name string, args ...string) *mcp.Proc {
	r.t.Helper()
	p := r.proc(name, args...)
	r.ok(p.Start(false))
	return p
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// job is the fake job of a process.
func (r *rig) job(p *mcp.Proc) *coretest.FakeJob {
	r.t.Helper()
	j := r.fake.Job(p.Meta().Name)
	if j == nil {
		r.t.Fatalf("%s was not launched", p.Meta().Name)
	}
	return j
}

// wait returns the record of a process's end.
func (r *rig) wait(p *mcp.Proc) string {
	r.t.Helper()
	w := p.OpenWait()
	defer w.Close()
	return take(w).text(r.t)
}

// ended waits for a process's end and returns how it ended.
func (r *rig) ended(p *mcp.Proc) string {
	r.t.Helper()
	_, text, _ := strings.Cut(strings.TrimSuffix(r.wait(p), "'\n"), "'")
	return text
}

// A call is a sys.Call of a test.
type call struct {
	nonblock bool
	answered atomic.Bool
	done     chan struct{}
	data     string
	n        int
	err      error
	lost     func()

	mu     sync.Mutex
	cancel func()
}

func newCall() *call { return &call{done: make(chan struct{})} }

func (c *call) answer(set func()) bool {
	if !c.answered.CompareAndSwap(false, true) {
		return false
	}
	set()
	close(c.done)
	return true
}

func (c *call) Deliver(p []byte, lost func()) bool {
	return c.answer(func() { c.data, c.lost = string(p), lost })
}
func (c *call) Done(n int) bool     { return c.answer(func() { c.n = n }) }
func (c *call) Fail(err error) bool { return c.answer(func() { c.err = err }) }
func (c *call) Nonblock() bool      { return c.nonblock }

func (c *call) Park(cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
}

// interrupt cancels a parked call.
func (c *call) interrupt() {
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	cancel()
	c.Fail(sys.ErrInterrupted)
}

// text waits for what a read gets.
func (c *call) text(t testing.TB) string {
	t.Helper()
	c.wait(t)
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.data
}

func (c *call) wait(t testing.TB) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

// take reads from a stream.
func take(src interface{ Take(sys.Call) }) *call {
	c := newCall()
	src.Take(c)
	return c
}

// put writes to a process's input.
func put(in *mcp.Input, data string) *call {
	c := newCall()
	in.Put(c, []byte(data))
	return c
}

// drain reads a stream to its end.
func drain(t *testing.T, src interface{ Take(sys.Call) }) string {
	t.Helper()
	var b strings.Builder
	for {
		text := take(src).text(t)
		if text == "" {
			return b.String()
		}
		b.WriteString(text)
	}
}

package sched_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched"
)

var (
	root  = &sys.User{Name: "root"}
	glen  = &sys.User{UID: 1001, GID: 1001, Name: "glen"}
	users = new(sys.Users)
)

// rig is a machine of n cores, core 0 for the system, with a scheduler.
type rig struct {
	t      testing.TB
	driver *coretest.FakeDriver
	m      *kern.Machine
	s      *sched.Scheduler
	serial uint64
}

func newRig(t testing.TB, n int) *rig {
	return newRigOn(t, coretest.Fake(n), kern.Options{Mgmt: cores.Set{0}})
}

func newRigOn(t testing.TB, d *coretest.FakeDriver, o kern.Options) *rig {
	m := kern.New(d, o)
	return &rig{t: t, driver: d, m: m, s: sched.New(m, sched.Options{Users: users})}
}

// proc is a claimant that does as sched/mcp does: it holds its own lock while
// it calls the scheduler and takes the same in Granted.
type proc struct {
	s     *sched.Scheduler
	owner kern.Owner
	user  *sys.User

	op   sync.Mutex
	last sched.Grant // what it runs with
	fail error       // of the next Granted
	told int         // how often Granted was called
	in   func()      // called in Granted, without op
	done bool        // released, and not started again
}

func (r *rig) proc(name string) *proc {
	r.serial++
	return &proc{s: r.s, owner: kern.Owner{Proc: name, Serial: r.serial}, user: root}
}

func (p *proc) Owner() kern.Owner { return p.owner }
func (p *proc) User() *sys.User   { return p.user }

func (p *proc) Granted(g sched.Grant) error {
	if p.in != nil {
		p.in()
	}
	p.op.Lock()
	defer p.op.Unlock()
	p.told++
	if p.done {
		return sys.Errorf(syscall.ESRCH, "%s has ended", p.owner)
	}
	if err := p.fail; err != nil {
		p.fail = nil
		return err
	}
	p.take(g)
	return nil
}

func (p *proc) take(g sched.Grant) {
	if g.Serial > p.last.Serial {
		p.last = g
	}
}

func (p *proc) start(r sched.Request, now bool) (bool, error) {
	p.op.Lock()
	defer p.op.Unlock()
	p.done = false
	g, ok, err := p.s.Start(p, r, now)
	if ok {
		p.take(g)
	}
	return ok, err
}

func (p *proc) resize(r sched.Request) (bool, error) {
	p.op.Lock()
	defer p.op.Unlock()
	g, changed, err := p.s.Resize(p, r)
	if changed {
		p.take(g)
	}
	return changed, err
}

func (p *proc) yield(give ...cores.ID) error {
	p.op.Lock()
	defer p.op.Unlock()
	g, err := p.s.Yield(p, give)
	if err == nil {
		p.take(g)
	}
	return err
}

func (p *proc) release() {
	p.op.Lock()
	defer p.op.Unlock()
	p.done, p.last.Cores = true, nil
	p.s.Release(p)
}

// has returns the cores that the process runs on, in vcore order: "2 3 1".
func (p *proc) has() string {
	p.op.Lock()
	defer p.op.Unlock()
	return strings.Trim(fmt.Sprint(p.last.Cores), "[]")
}

// want makes a request out of words: "1..4 exclusive gang on 0-3 near 2 node 1".
func want(words string) sched.Request {
	r := sched.Request{Near: -1, Node: -1}
	f := strings.Fields(words)
	if n, _ := fmt.Sscanf(f[0], "%d..%d", &r.Min, &r.Max); n == 1 {
		r.Max = r.Min
	}
	for i := 1; i < len(f); i++ {
		next := func() string { i++; return f[i] }
		switch f[i] {
		case "shared":
		case "exclusive":
			r.Class = sched.Exclusive
		case "gang":
			r.Gang = true
		case "on":
			r.On = must(cores.ParseSet(next(), 1<<20))
		case "near":
			r.Near = must(cores.ParseSet(next(), 1<<20))[0]
		case "node":
			r.Node = int(must(cores.ParseSet(next(), 1<<20))[0])
		case "kind":
			r.Kind = next()
		default:
			panic("bad word " + f[i])
		}
	}
	return r
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// run starts a process that must get its cores at once.
func (r *rig) run(name, words string) *proc {
	r.t.Helper()
	p := r.proc(name)
	if ok, err := p.start(want(words), true); !ok || err != nil {
		r.t.Fatalf("start %s (%s): %v, %v", name, words, ok, err)
	}
	return p
}

// wait starts a process that must be queued.
func (r *rig) wait(name, words string) *proc {
	r.t.Helper()
	p := r.proc(name)
	if ok, err := p.start(want(words), false); ok || err != nil {
		r.t.Fatalf("start %s (%s) did not wait: %v, %v", name, words, ok, err)
	}
	return p
}

// on checks where processes run; it lets what goes on in the background end first.
func (r *rig) on(p *proc, want string) {
	r.t.Helper()
	synctest.Wait()
	if got := p.has(); got != want {
		r.t.Errorf("%s has cores %q, want %q", p.owner, got, want)
	}
	r.check()
}

// queue checks who waits.
func (r *rig) queue(want string) {
	r.t.Helper()
	synctest.Wait()
	var names []string
	for _, w := range r.s.Queue() {
		names = append(names, w.Owner.Proc)
	}
	if got := strings.Join(names, " "); got != want {
		r.t.Errorf("queue %q, want %q", got, want)
	}
}

// refused checks an error's text and that errors.Is finds the errno in it.
func (r *rig) refused(err error, errno error, text string) {
	r.t.Helper()
	if err == nil || sys.Errno(err) != errno || err.Error() != text {
		r.t.Errorf("got %v (%v)\nwant %s (%v)", err, sys.Errno(err), text, errno)
	}
}

// check compares the scheduler's books, and what it would tell kernels, with the kernels'.
func (r *rig) check() {
	r.t.Helper()
	exclusive := make(map[cores.ID]kern.Owner)
	for c := range r.m.View().All() {
		if owner, prov := r.s.Holder(c.ID); owner != c.Owner || prov != c.Prov {
			r.t.Errorf("core %d is %s's and provisioned to %s, and kernels would hear %s and %s", c.ID, c.Owner, c.Prov, owner, prov)
		}
		if c.Owner != (kern.Owner{}) {
			exclusive[c.ID] = c.Owner
		}
	}
	if wrong := r.s.Rebuild(); len(wrong) > 0 {
		r.t.Errorf("the kernels say something else of cores %s", wrong)
	}
	for _, h := range r.s.Alloc() {
		if o, ok := exclusive[h.Core]; ok && o != h.Owner {
			r.t.Errorf("core %d is claimed by %s and used by %s", h.Core, o, h.Owner)
		}
	}
}

// alloc prints who runs where: "db: 1 2, web: 3".
func (r *rig) alloc() string {
	has := make(map[string][]string)
	for _, h := range r.s.Alloc() {
		has[h.Owner.Proc] = append(has[h.Owner.Proc], fmt.Sprint(h.Core))
	}
	var parts []string
	for name, at := range has {
		parts = append(parts, name+": "+strings.Join(at, " "))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

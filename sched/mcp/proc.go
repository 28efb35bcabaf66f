// Package mcp is the many-core process: what a user asks for it, the program
// that runs for it, its vcores, its input and output, its events and its end.
//
// A process asks the scheduler for cores and has the driver launch its program
// on them. The program is a process of the host that knows nothing of this: it
// reads a pipe, appends to files under the state directory, and goes on when
// the server that started it is gone.
//
// State: each Proc owns its own; a Set owns which there are, and the state
// directory. Lock order: Proc.standing (one change of the standing claim at a
// time), Proc.op (one change of the process at a time), Set.mu, Proc.mu (what
// the process is; held for moments, and while events are sent), then the locks
// of its parts: input, ending, feed, and for output Follow, Log, output,
// watcher; then the front end's.
//
// The first two are held while the scheduler is asked. It calls Granted, which
// takes Proc.op, with no lock held; but a call of one process may wait for
// Granted of others that must get out of its way. For changes of its cores the
// scheduler sees to it that such waits form no ring; of a change of the
// standing claim it need not know whose it is, as Proc.op is never held then.
// Nothing that a reader of files needs is behind either lock, so a program may
// be launched from a path on our own mount.
package mcp

import (
	"slices"
	"sync"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
	"warren/kern/feed"
	"warren/sched"
)

// A State is where a process is in its life.
type State uint8

// The states, in order: a process is new until it is started, waits for cores
// if there are too few, runs (and may be stopped), and ends: its remains are
// being cleared away, then it is done.
const (
	New State = iota
	Waiting
	Running
	Stopped
	Ending
	Done
)

// String returns the state as status prints it.
func (s State) String() string {
	return [...]string{"new", "waiting", "running", "stopped", "ending", "done"}[s]
}

// live reports whether there is a program.
func (s State) live() bool { return s == Running || s == Stopped }

// A Proc is one many-core process: a sched.Claimant.
type Proc struct {
	set   *Set
	meta  *sys.Meta
	owner kern.Owner
	user  *sys.User // who made it

	stdin input
	out   output
	end   ending
	feed  feed.Feed

	standing sync.Mutex

	op       sync.Mutex
	serial   uint64 // of the last grant that was applied
	slot     int    // of the state directory; -1: none
	slotUser uint32

	mu      sync.Mutex
	state   State
	removed bool
	keep    bool
	conf    config
	job     cores.Job // nil until the program runs
	vcores  []vcore
	tier    string
	reason  string // why it is in this state, where that is not plain
	exit    string // how it ended; "": it has not
	usage   cores.Usage
	started time.Time
	load    load

	launching bool  // the driver is starting the program
	signals   []int // sent while launching
}

// config is what the user can set.
type config struct {
	args  []string
	roles map[string][]string // programs of cores of these roles; replaced, never changed
	env   []string            // K=V, in the order in which the keys were first set
	dir   string
	req   sched.Request
	pin   cores.Pin
	grace time.Duration
	prov  cores.Set // what was last asked for, for when the scheduler has forgotten
}

// The defaults of settings.
const (
	defaultDir   = "/"
	defaultGrace = 10 * time.Millisecond
)

func newProc(s *Set, meta *sys.Meta, u *sys.User) *Proc {
	p := &Proc{set: s, meta: meta, user: u, slot: -1, owner: kern.Owner{Proc: meta.Name, Serial: meta.Serial}}
	p.conf = config{
		dir:   defaultDir,
		req:   sched.Request{Min: 1, Max: 1, Near: -1, Node: -1},
		grace: defaultGrace,
	}
	p.out.watcher = &s.watcher
	return p
}

// Meta returns the process's identity and owner.
func (p *Proc) Meta() *sys.Meta { return p.meta }

// Owner returns the process as the kernels know it.
func (p *Proc) Owner() kern.Owner { return p.owner }

// User returns whose the process is: the program runs as this user.
func (p *Proc) User() *sys.User {
	uid, gid := p.meta.Owner()
	if uid == p.user.UID {
		return p.user
	}
	return p.set.users.ByUID(uid, gid)
}

// State returns where the process is in its life.
func (p *Proc) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Keep makes a process that clone made stay until it is removed, though nobody
// uses it, and however many have ended since.
func (p *Proc) Keep() {
	p.meta.Use()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = true
}

// Kept reports whether anybody asked for the process to stay.
func (p *Proc) Kept() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keep
}

// A Status is what a process's status file shows, all of one moment.
type Status struct {
	State   State
	PID     int // 0: none
	Args    []string
	Request sched.Request
	Cores   cores.Set
	Tier    string
	Prov    cores.Set
	Exit    string // "exit 3", "signal 9 KILL"; "": it has not ended
	Reason  string // why it did not start, or ended before
	Grace   time.Duration
	Pin     cores.Pin
	Started time.Time // zero: it was not
	Usage   cores.Usage
	Load    int // permille of one core that it used lately
}

// Status returns the process's state.
func (p *Proc) Status() Status {
	p.mu.Lock()
	s := Status{
		State: p.state, Args: slices.Clone(p.conf.args), Request: p.conf.req,
		Cores: p.cores(), Tier: p.tier, Exit: p.exit, Reason: p.reason,
		Grace: p.conf.grace, Pin: p.conf.pin, Started: p.started, Usage: p.usage,
	}
	job := p.job
	p.mu.Unlock()
	s.Prov = p.Prov()
	if job == nil || !s.State.live() {
		return s
	}
	s.PID, s.Usage = job.PID(), job.Usage()
	s.Load = p.measure(s.Usage)
	return s
}

// Foreign tells of busy tasks of others on cores that the process asked to
// have for itself.
func (p *Proc) Foreign() []string {
	p.mu.Lock()
	on, class := p.cores(), p.conf.req.Class
	p.mu.Unlock()
	if class == sched.Shared || len(on) == 0 {
		return nil
	}
	return p.set.Driver.Foreign(on)
}

// WaitReason says why the process waits for cores; "" if it does not.
func (p *Proc) WaitReason() string {
	for _, w := range p.set.Sched.Queue() {
		if w.Owner == p.owner {
			return w.Reason
		}
	}
	return ""
}

// Explain says in words what the process would get now, and why.
func (p *Proc) Explain() string {
	p.mu.Lock()
	r := p.conf.req
	p.mu.Unlock()
	return p.set.Sched.Explain(p, r)
}

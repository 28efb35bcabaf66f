// Package kern has a kernel for each core. It owns what was agreed about the
// core: who has it and since which epoch, whether it is on, what it is for.
// Several cores change together, or not at all, by agreement: messages between
// their kernels, in two phases.
//
// State: a kernel's is touched by its drain only (see kernel.go). What the
// machine shares is said here and is all: the present View, the word of
// decision in each agreement, the inboxes, counters and feeds. A kernel's own
// state after a commit is the very value that the View has, which never changes.
//
// Lock order: none is held while a kernel handles a message. A kernel's inbox
// lock and Machine.pub are never held together; feeds are told under pub.
//
// Rationale. An agreement's lowest core coordinates it (after Barrelfish's
// monitors, whose agreement has no vote of no and no deadline; this has both).
// Questions go out in core order, one at a time: a kernel that is bound to
// another agreement says no instead of making the asker wait, so nothing can
// deadlock, and two gangs that compete meet at their lowest common core before
// either has got far. The decision is one compare-and-swap in a record that
// messages point to, made together with the View's new version: that is the
// commit point, and it is how a reader never sees half a gang, how a kernel
// that was rebuilt learns the outcome, and how the client, which watches the
// deadline, aborts without asking a coordinator that may be dead.
package kern

import (
	"cmp"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"warren/cores"
	"warren/kern/feed"
)

// Options of a machine.
type Options struct {
	// Mgmt are the cores that start as mgmt cores.
	Mgmt cores.Set
	// Only are the cores that this server may touch; nil: all.
	Only cores.Set
	// Deadline is how long a kernel may be silent before it counts as a no; 0: 2 s.
	Deadline time.Duration
	// Work is Deadline for an agreement that has a core switched, which is as
	// slow as the hardware; 0: Deadline, or 15 s if that is 0, too.
	Work time.Duration
	// Holders tells what the processes know of a core, to make or rebuild its
	// kernel from. Kernels call it, so it must not wait for an agreement.
	Holders func(cores.ID) (owner, prov Owner)
	// Log is told of kernels that are rebuilt; nil: nobody is.
	Log *slog.Logger
	// Fault is called by kernels at named phases, in tests; it may block or panic.
	Fault func(core cores.ID, phase string)
}

// defaultWork is more than the ten seconds that Linux waits for a processor.
const (
	defaultDeadline = 2 * time.Second
	defaultWork     = 15 * time.Second
)

// A Machine is the kernels of one machine's cores.
type Machine struct {
	driver  cores.Driver
	opt     Options
	holders atomic.Pointer[func(cores.ID) (owner, prov Owner)]
	start   time.Time
	ids     atomic.Uint64 // of agreements
	kernels []kernel
	events  feed.Feed

	view atomic.Pointer[View]
	pub  sync.Mutex // held while the next version is made
}

// New makes a kernel for each of the driver's cores.
func New(d cores.Driver, o Options) *Machine {
	o.Work = cmp.Or(o.Work, o.Deadline, defaultWork)
	if o.Deadline == 0 {
		o.Deadline = defaultDeadline
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Machine{driver: d, opt: o, start: time.Now()}
	if o.Holders != nil {
		m.SetHolders(o.Holders)
	}
	n := len(d.Cores())
	first := make([]Core, n)
	m.kernels = make([]kernel, n)
	for i := range first {
		first[i] = m.firstState(cores.ID(i))
		m.kernels[i].init(m, &first[i])
	}
	m.view.Store(newView(first))
	return m
}

// firstState is that of a core before any agreement.
func (m *Machine) firstState(id cores.ID) Core {
	c := Core{
		ID: id, Alive: true, Epoch: 1, Mgmt: m.opt.Mgmt.Has(id),
		Outside: m.opt.Only != nil && !m.opt.Only.Has(id),
		Since:   m.start, ProvSince: m.start,
	}
	c.Online = !c.Outside && m.driver.Online(id)
	c.Owner, c.Prov = m.held(id)
	if c.Owner != (Owner{}) {
		c.OwnEpoch = c.Epoch
	}
	return c
}

// View returns the present version of the machine.
func (m *Machine) View() *View { return m.view.Load() }

// Driver returns the driver of the machine's cores.
func (m *Machine) Driver() cores.Driver { return m.driver }

// SetHolders sets Options.Holders, for those who are made after the machine.
func (m *Machine) SetHolders(f func(cores.ID) (owner, prov Owner)) { m.holders.Store(&f) }

// held asks the processes who has a core.
func (m *Machine) held(id cores.ID) (owner, prov Owner) {
	if f := m.holders.Load(); f != nil {
		return (*f)(id)
	}
	return Owner{}, Owner{}
}

// Events tells of every change: `time kind object detail`.
func (m *Machine) Events() *feed.Feed { return &m.events }

// Look has a core's kernel see whether somebody else switched the core, as
// root may on Linux. Agreements look at their own cores.
func (m *Machine) Look(id cores.ID) {
	if c := m.View().at(id); !c.Outside && c.Online != m.driver.Online(id) {
		m.order(id, message{kind: look})
	}
}

// commit decides that the agreement holds, and publishes what it changed, in
// one step. It is false if the agreement was aborted before.
func (m *Machine) commit(a *agreement, next []*Core) bool {
	m.pub.Lock()
	defer m.pub.Unlock()
	if !a.outcome.CompareAndSwap(undecided, committed) {
		return false
	}
	m.publish(next)
	return true
}

// publish makes the version in which these cores, in order of ID, are as
// given, and tells of what changed. pub is held.
func (m *Machine) publish(next []*Core) {
	old := m.view.Load()
	changed := make([]*Core, 0, len(next))
	for _, c := range next {
		if old.at(c.ID) != c {
			changed = append(changed, c)
		}
	}
	if len(changed) == 0 {
		return
	}
	m.view.Store(old.with(changed))
	if m.events.Active() {
		for _, c := range changed {
			m.tellChanges(old.at(c.ID), c)
		}
	}
}

// setAlive publishes whether a core's kernel answers.
func (m *Machine) setAlive(id cores.ID, alive bool) {
	m.pub.Lock()
	defer m.pub.Unlock()
	m.kernels[id].silent.Store(!alive)
	c := *m.view.Load().at(id)
	c.Alive = alive
	m.publish([]*Core{&c})
}

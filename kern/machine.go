// Package kern has a kernel for each core, which owns what was agreed about it:
// who has it and since when, whether it is on, what it is for.
package kern

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
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
	// Holders tells what the processes know of a core, to rebuild its kernel
	// from. It is called from kernels and must not wait for an agreement.
	Holders func(cores.ID) (owner, prov Owner)
	Log     *slog.Logger
	// Fault is called by kernels at named phases, in tests; it may block or panic.
	Fault func(core cores.ID, phase string)
}

// A Machine is the kernels of one machine's cores.
type Machine struct {
	driver cores.Driver
	opt    Options
	events feed.Feed
	traces sync.Map

	mu   sync.Mutex
	view atomic.Pointer[View]
}

// New starts a kernel on each of the driver's cores.
func New(d cores.Driver, o Options) *Machine {
	m := &Machine{driver: d, opt: o}
	infos := d.Cores()
	list := make([]Core, len(infos))
	for i := range list {
		id := cores.ID(i)
		out := o.Only != nil && !o.Only.Has(id)
		list[i] = Core{ID: id, Online: !out && d.Online(id), Mgmt: o.Mgmt.Has(id), Alive: true, Outside: out, Epoch: 1}
		if o.Holders != nil {
			list[i].Owner, list[i].Prov = o.Holders(id)
		}
	}
	m.view.Store(newView(list))
	return m
}

// View returns the present version of the machine.
func (m *Machine) View() *View { return m.view.Load() }

// Driver returns the driver of the machine's cores.
func (m *Machine) Driver() cores.Driver { return m.driver }

// SetHolders sets Options.Holders.
func (m *Machine) SetHolders(f func(cores.ID) (owner, prov Owner)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opt.Holders = f
}

// Events is what the kernels agreed to: `time kind object detail`.
func (m *Machine) Events() *feed.Feed { return &m.events }

// Trace opens the feed of what a core's kernel sends and takes.
func (m *Machine) Trace(id cores.ID) *feed.Queue {
	f, _ := m.traces.LoadOrStore(id, new(feed.Feed))
	return f.(*feed.Feed).Open(1024, "")
}

// Messages counts what a core's kernel took and sent.
func (m *Machine) Messages(id cores.ID) (in, out int64) { return 0, 0 }

// Agree makes the moves, all or none. A *Refusals says who said no and why.
func (m *Machine) Agree(moves []Move) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	moves = slices.Clone(moves)
	slices.SortStableFunc(moves, func(a, b Move) int { return int(a.Core - b.Core) })
	v, now := m.View(), time.Now()
	var (
		changed []*Core
		no      Refusals
		undo    []Move
	)
	for _, mv := range moves {
		if mv.Core < 0 || int(mv.Core) >= v.Len() {
			return sys.Errorf(syscall.ENXIO, "no core %d", mv.Core)
		}
		if len(changed) == 0 || changed[len(changed)-1].ID != mv.Core {
			next := v.Core(mv.Core)
			changed = append(changed, &next)
		}
		next := changed[len(changed)-1]
		if r := next.move(mv, now); r != nil {
			no.List = append(no.List, *r)
		}
		next.Epoch++
	}
	if no.List == nil {
		for _, mv := range moves {
			if op, ok := map[MoveOp]cores.Op{Online: cores.Online, Offline: cores.Offline, QuietOn: cores.QuietOn, QuietOff: cores.QuietOff}[mv.Op]; ok {
				if err := m.driver.Do(mv.Core, op); err != nil {
					no.List = append(no.List, Refusal{mv.Core, sys.Errno(err), err.Error()})
					break
				}
				undo = append(undo, mv)
			}
		}
	}
	if no.List != nil {
		var errs error
		for _, mv := range undo {
			inverse := map[MoveOp]cores.Op{Online: cores.Offline, Offline: cores.Online, QuietOn: cores.QuietOff, QuietOff: cores.QuietOn}[mv.Op]
			errs = errors.Join(errs, m.driver.Do(mv.Core, inverse))
		}
		return errors.Join(&no, errs)
	}
	m.view.Store(v.with(changed))
	return nil
}

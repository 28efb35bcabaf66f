package mcp

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
	"warren/kern/feed"
	"warren/sched"
)

// The bounds of a set.
const (
	maxProcs     = 1 << 14 // processes, of any state
	keepFinished = 1000    // done processes that clone made and nobody keeps
)

// Config is what processes are made of.
type Config struct {
	Sched   *sched.Scheduler
	Machine *kern.Machine
	Driver  cores.Driver
	// StateDir is where output goes: its folder procs is ours.
	StateDir string
	// Events takes what happens to processes: `time kind proc/NAME detail`. May be nil.
	Events *feed.Feed
	// Addr and Mount are where programs find the tree; "": nowhere. May be nil.
	Addr, Mount func() string
	Users       *sys.Users   // may be nil
	Log         *slog.Logger // may be nil
}

// A Set is the processes of a machine, by name.
type Set struct {
	Config
	users   *sys.Users
	watcher watcher
	homes   homes
	halting atomic.Bool // no process is started any more
	state   stateDir

	index sys.Index[*Proc]

	mu     sync.Mutex
	clones []*Proc // of clone, and done, oldest first
}

// NewSet returns a set with no processes. It takes the state directory, and
// fails if another server has it.
func NewSet(cfg Config) (*Set, error) {
	if cfg.Addr == nil {
		cfg.Addr = func() string { return "" }
	}
	if cfg.Mount == nil {
		cfg.Mount = func() string { return "" }
	}
	if cfg.Users == nil {
		cfg.Users = new(sys.Users)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{Config: cfg, users: cfg.Users}
	if err := s.state.open(cfg.StateDir); err != nil {
		return nil, err
	}
	return s, nil
}

// Make makes a process that u owns; with no name it gets the next number.
// ErrExist if there is one of this name, ENOSPC if there are too many.
func (s *Set) Make(u *sys.User, name string) (*Proc, error) {
	p, err := s.add(u, name)
	if err == nil {
		s.tell("made", p, "")
	}
	return p, err
}

func (s *Set) add(u *sys.User, name string) (*Proc, error) {
	return s.index.Add(u, name, maxProcs, func(n int) error {
		return sys.Errorf(syscall.ENOSPC, "there are %d processes, the most there can be: remove some that are done", n)
	}, func(m *sys.Meta) *Proc {
		if name == "" {
			m.SetCloned()
		}
		return newProc(s, m, u)
	})
}

// Get returns the process of this name.
func (s *Set) Get(name string) (*Proc, bool) { return s.index.Get(name) }

// List yields the processes whose serial is at least from, in that order,
// until yield says no.
func (s *Set) List(from uint64, yield func(*Proc) bool) { s.index.List(from, yield) }

// Len returns how many processes there are.
func (s *Set) Len() int { return s.index.Len() }

// Remove removes a process that is new or done, with its output. EBUSY if it
// is neither, ENOENT if there is none.
func (s *Set) Remove(name string) error {
	p, ok := s.Get(name)
	if !ok {
		return sys.ErrNotExist
	}
	return p.Remove()
}

// Remove removes the process; see Set.Remove.
func (p *Proc) Remove() error {
	if err := p.remove(); err != nil {
		return err
	}
	p.giveUp()
	p.set.drop(p)
	p.set.tell("removed", p, "")
	return nil
}

func (s *Set) drop(p *Proc) {
	_ = s.index.Drop(p, func() error { return nil }) // nothing is against it any more
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.clones, p); i >= 0 {
		s.clones = slices.Delete(s.clones, i, i+1)
	}
}

// ended is called when a process is done: of those that clone made, only the
// newest are kept.
func (s *Set) ended(p *Proc, text string) {
	s.tell("ended", p, "'"+text+"'")
	if !p.meta.Cloned() {
		return
	}
	s.mu.Lock()
	var old *Proc
	if s.clones = append(s.clones, p); len(s.clones) > keepFinished {
		old, s.clones = s.clones[0], s.clones[1:]
	}
	s.mu.Unlock()
	if old == nil || old.Kept() {
		return
	}
	if err := old.Remove(); err != nil {
		s.Log.Debug("finished process stays", "proc", old.meta.Name, "err", err)
	}
}

// tell sends a record of the tree's events: time kind object detail.
func (s *Set) tell(kind string, p *Proc, detail string) {
	if s.Events == nil || !s.Events.Active() {
		return
	}
	now := time.Now()
	line := fmt.Appendf(nil, "%d.%06d %s proc/%s", now.Unix(), now.Nanosecond()/1000, kind, p.meta.Name)
	if detail != "" {
		line = append(append(line, ' '), detail...)
	}
	s.Events.Emit(append(line, '\n'))
}

// haltGrace is what programs get at a halt between the request to end and
// the end, and once more until their remains are gone.
const haltGrace = 2 * time.Second

// Halt ends all programs and waits for them, then removes what is left of
// the processes. Nothing can be started any more.
func (s *Set) Halt() {
	s.halting.Store(true)
	s.killAll(syscall.SIGTERM)
	s.killAll(syscall.SIGKILL)
	for _, p := range s.all() {
		if err := p.Remove(); err != nil {
			s.Log.Warn("halt", "proc", p.meta.Name, "err", err)
		}
	}
	s.watcher.close()
	s.state.clear()
}

func (s *Set) all() []*Proc { return s.index.All() }

// killAll sends a signal to all that run, and waits for their end for a while.
func (s *Set) killAll(sig syscall.Signal) {
	procs := s.all()
	for _, p := range procs {
		if err := p.Kill(int(sig)); err != nil && p.State() < Ending && p.State() != New {
			s.Log.Warn("halt", "proc", p.meta.Name, "err", err)
		}
	}
	late := time.NewTimer(haltGrace)
	defer late.Stop()
	for _, p := range procs {
		if p.State() == New {
			continue
		}
		select {
		case <-p.end.passed():
		case <-late.C:
			return
		}
	}
}

// Close gives the state directory up. Programs go on; their output flows, and
// those that read their input find its end.
func (s *Set) Close() {
	s.halting.Store(true)
	s.watcher.close()
	s.state.close()
}

// Leftovers tells, a line each, what an earlier server left running.
func (s *Set) Leftovers() []string { return s.state.leftovers }

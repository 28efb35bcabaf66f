// Package sched is the owner of what is promised and of who waits: which
// process has which cores, who has a standing claim on which, who may, and
// who is next. Where a process goes is the policy's to say (sched/policy), who
// has a core the kernels' (kern): the scheduler claims only by their agreement,
// all or nothing, keeps in its books what follows, and can make them anew at
// any time by asking the kernels.
//
// What a request gets:
//   - An exclusive request (quiet is placed likewise) gets application cores
//     that nobody has and that are provisioned to nobody else. Shared work that
//     runs there is moved out of the way first; cores that it needs for its
//     minimum are not taken from it.
//   - A shared request claims nothing: it is laid on the least loaded online
//     cores that nobody has exclusively or provisioned, its own provision
//     excepted, each vcore on a core of its own. When cores come free, work on
//     crowded ones is moved there.
//   - With gang on, a request gets its maximum or nothing, at the start and at
//     every change; it never grows or shrinks in part.
//   - A minimum is met from the start to the end. What is missing to the
//     maximum is queued for, and given as cores come free.
//
// Who waits is served in the order of coming. A later request may start
// before an earlier one only on cores that the earlier one cannot use. Shared
// requests do not compete with each other; one that comes after an exclusive
// one which waits may start if that leaves enough for both.
//
// A standing claim (provision) may be made on cores that others have: they
// keep them until they end, and then the cores are kept for their holder. It
// lasts until it is replaced, whatever the process does meanwhile.
//
// State: all of Scheduler under its mu. Lock order: a claimant's own lock, mu,
// what the kernels lock, holders.mu, feeds. Granted is called without mu. A call
// may wait for others to move, who may have to wait for their own lock; while it
// does its claimant is busy. As nobody begins to wait for one who is busy, the
// last to begin in a ring of those who wait for each other would have begun
// wrongly: there is none.
package sched

import (
	"log/slog"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
	"warren/kern/feed"
	"warren/sched/policy"
)

// Options are what a Scheduler starts with.
type Options struct {
	Policy string     // by name; "": compact
	Self   *sys.User  // whom the server runs as, who may do everything; nil: root only
	Users  *sys.Users // for grants; nil: its own
	Events *feed.Feed // told of every change; nil: the machine's
	Log    *slog.Logger
}

// A Scheduler shares the cores of a machine out.
type Scheduler struct {
	m       *kern.Machine
	machine *policy.Machine
	// namedKind is a kind of cores that only those get who name them; "": none is.
	namedKind string
	opt       Options
	holders   holders

	mu      sync.Mutex
	policy  policy.Policy
	grace   time.Duration
	quantum time.Duration

	view   *kern.View     // that the books follow
	state  []policy.State // by core
	shared [][]place      // by core
	claims map[kern.Owner]*claim
	provs  map[kern.Owner]cores.Set
	queue  []*claim         // in order of coming
	gate   *gate            // what those in the queue keep from who comes now
	hold   map[cores.ID]int // being switched: not to be given to anybody
	rights map[uint32]right // by uid
	debts  []kern.Move      // what is given back, and a kernel has yet to agree to
	lost   []cores.ID       // gone offline since the queue was served

	settled  *sync.Cond // a claim is being moved no more
	thinning int        // plans that even the loads out, under way

	serial  uint64 // of the last grant
	tickets uint64 // of the last who queued up
}

// The settings' defaults. The grace is what mcp gives a preempted process that
// says nothing else. The quantum is kept for time slices of gangs that share
// cores; gangs do not share cores yet, so nothing reads it but sched/ctl.
const (
	defaultGrace   = 10 * time.Millisecond
	defaultQuantum = 50 * time.Millisecond
)

// New returns the scheduler of a machine, which nothing else may have agree to
// claims and provisions. What the kernels already hold is kept.
func New(m *kern.Machine, o Options) *Scheduler {
	if o.Users == nil {
		o.Users = new(sys.Users)
	}
	if o.Events == nil {
		o.Events = m.Events()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	infos := m.Driver().Cores()
	facts := make([]policy.Core, len(infos))
	sim, _ := m.Driver().(cores.Simulator)
	namedKind := ""
	for i, c := range infos {
		sole := sim != nil && sim.Simulated(c.ID)
		named := sole && !sim.Simulated(0) // beside a host, which comes first
		if named && namedKind == "" {
			namedKind = c.Kind
		}
		facts[i] = policy.Core{Sole: sole, Named: named, Kind: c.Kind, Node: c.Node, Socket: c.Socket, LLC: c.LLC, Core: c.Core}
	}
	machine := policy.NewMachine(facts)
	if sim != nil {
		machine.Measure(func(a, b int) int { return m.Driver().Distance(cores.ID(a), cores.ID(b)) })
	}
	s := &Scheduler{
		m: m, machine: machine, namedKind: namedKind, opt: o,
		grace: defaultGrace, quantum: defaultQuantum,
		state:  make([]policy.State, len(infos)),
		shared: make([][]place, len(infos)),
		claims: make(map[kern.Owner]*claim),
		provs:  make(map[kern.Owner]cores.Set),
		hold:   make(map[cores.ID]int),
		rights: make(map[uint32]right),
	}
	s.settled = sync.NewCond(&s.mu)
	s.policy, _ = policy.Parse(o.Policy)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	s.gate = s.newGate()
	s.holders.load(s.view)
	m.SetHolders(s.holders.of)
	return s
}

// Rebuild makes the books anew from what the kernels say now, and returns the
// cores of which they had said something else.
func (s *Scheduler) Rebuild() cores.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.serve()
	return s.rebuild()
}

func (s *Scheduler) rebuild() cores.Set {
	was := s.state
	s.state = make([]policy.State, len(was))
	s.view, s.provs = nil, make(map[kern.Owner]cores.Set)
	s.sync()
	s.holders.load(s.view)
	var wrong cores.Set
	for id := range was {
		s.state[id].Load = len(s.shared[id])
		if was[id].Online && !s.state[id].Online {
			s.lost = append(s.lost, cores.ID(id))
		}
		if s.state[id] != was[id] {
			wrong = append(wrong, cores.ID(id))
		}
	}
	return wrong
}

// Policy returns the name of the placement policy.
func (s *Scheduler) Policy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy.String()
}

// SetPolicy chooses how cores are picked from now on; what is placed stays.
func (s *Scheduler) SetPolicy(name string) error {
	p, ok := policy.Parse(name)
	if !ok {
		return sys.Errorf(syscall.EINVAL, "no policy %q (%s)", name, policy.Names())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = p
	return nil
}

// Grace returns what a preempted process gets unless it says otherwise.
func (s *Scheduler) Grace() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grace
}

// SetGrace sets what Grace returns.
func (s *Scheduler) SetGrace(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grace = d
}

// Quantum returns the time slice of gangs that share cores.
func (s *Scheduler) Quantum() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quantum
}

// SetQuantum sets what Quantum returns.
func (s *Scheduler) SetQuantum(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quantum = d
}

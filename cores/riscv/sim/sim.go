// Package sim is a simulated many-core machine: RISC-V cores in tiles that
// share SRAM, on a network-on-chip.
//
// Time goes in epochs of a quantum of cycles. In an epoch each tile is run by
// one worker, its cores one after another in order, so cores that share memory
// never run at once. What leaves a tile is an op, with the time at which it
// arrives; at the end of an epoch the ops that are due are applied, tile by
// tile, in the order of (arrival, source, sequence). Nothing of that depends on
// how many workers there are, or on which of them runs a tile: the same inputs
// give the same cycles and the same output. Inputs from files are taken between
// epochs only, stamped with the epoch, and can be recorded and replayed.
//
// A machine that has nothing to run has no goroutine, and its time stands.
//
// # Who owns what
//
// Machine.mu guards the whole machine between epochs; the conductor holds it
// while an epoch runs. In the run phase a worker owns the tiles that it runs,
// with their cores; in the delivery phase it owns the tiles of its part. What
// crosses is in outboxes, which are read by others in the next phase only.
// Machine.retired is published for readers that must not wait for an epoch.
//
// # Rationale
//
// A core that waits is parked with the call it waits in, which is tried again
// whenever its tile has seen a change: one mechanism for messages, memory
// words, barriers and input. Waiting for a change in another tile costs up to a
// quantum of simulated time; a quantum of at most spec.Machine's least latency
// is exact.
package sim

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"warren/cores/riscv/hot"
	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// DefaultQuantum is the cycles of an epoch.
const DefaultQuantum = 1000

// The bounds of a quantum.
const (
	minQuantum = 1
	// MaxQuantum is small, as files are served between epochs.
	MaxQuantum = 100_000
)

// Options of a machine.
type Options struct {
	Quantum uint64       // 0: DefaultQuantum
	Workers int          // 0: as many as the host has processors
	First   int          // the number of the first core, for those who read
	NoHot   bool         // interpret only
	Heat    int64        // instructions of a program that are interpreted before it is compiled; 0: defaultHeat
	Tell    func(string) // is told of deadlocks and faults, a line each; nil: nobody
	Log     *slog.Logger
}

// A Machine is a simulated machine.
type Machine struct {
	spec         *spec.Machine
	opt          Options
	arena        arena
	roles        map[string]uint32 // their numbers, in the order of spec.Machine.Roles
	retired      []atomic.Uint64   // per core: exact when it does not run, a few slices old when it does
	states       []atomic.Uint32   // per core: its State
	engineOnce   sync.Once
	engine       *hot.Engine // made when a program is first compiled
	passedCycles atomic.Uint64

	mu       sync.Mutex
	quantum  uint64
	now      uint64 // cycles: the end of the last epoch
	epochs   uint64
	looked   uint64 // the epoch in which stuck jobs were looked for last
	running  bool   // the conductor runs
	closed   bool
	cores    []core
	tiles    []tile
	active   []int32   // tiles with something to run or to look at
	stilled  bool      // somebody halted or ended something: a tile of active may have nothing to do
	pending  int       // ops that are on their way
	late     [][]int32 // per part: tiles with ops in their inbox
	sleepers []int32   // cores that sleep, the first to wake first
	jobs     map[*Job]struct{}
	programs map[[32]byte]*program
	workers  []*worker
	crew     *crew // of the conductor that runs
	telling  bool  // this epoch publishes what running cores have retired
	hotLeast int64 // the least budget in this epoch for which what is compiled is run
	console  broadcast
	log      recorder
	waiters  map[*Waiter]struct{}
	passed   chan struct{} // closed at the end of each epoch, if somebody wants to know
}

// New returns a machine of this description. It takes address space for all
// memory of it, and memory only for what is touched.
func New(s *spec.Machine, o Options) (*Machine, error) {
	if o.Quantum == 0 {
		o.Quantum = DefaultQuantum
	}
	if err := checkQuantum(o.Quantum); err != nil {
		return nil, err
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Heat == 0 {
		o.Heat = defaultHeat
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := s.Cores()
	m := &Machine{
		spec: s, opt: o, quantum: o.Quantum,
		retired: make([]atomic.Uint64, n), states: make([]atomic.Uint32, n),
		cores: make([]core, n), tiles: make([]tile, len(s.Tiles)),
		jobs: make(map[*Job]struct{}), programs: make(map[[32]byte]*program), roles: make(map[string]uint32),
	}
	for i, role := range s.Roles() {
		m.roles[role] = uint32(i)
	}
	if err := m.arena.reserve(s); err != nil {
		return nil, err
	}
	for t := range m.tiles {
		m.tiles[t].id = int32(t)
		for i := range m.tileCores(int32(t)) {
			id := int(s.Tiles[t].First) + i
			m.cores[id].id, m.cores[id].tile, m.cores[id].rank = int32(id), int32(t), -1
		}
	}
	m.late = make([][]int32, o.Workers)
	for i := range o.Workers {
		m.workers = append(m.workers, newWorker(m, i))
	}
	return m, nil
}

func checkQuantum(q uint64) error {
	if q < minQuantum || q > MaxQuantum {
		return sys.Errorf(syscall.EINVAL, "quantum: want %d to %d cycles, not %d", minQuantum, MaxQuantum, q)
	}
	return nil
}

// Spec returns the machine's description.
func (m *Machine) Spec() *spec.Machine { return m.spec }

// Quantum returns the cycles of an epoch.
func (m *Machine) Quantum() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.quantum
}

// SetQuantum sets the cycles of the epochs to come.
func (m *Machine) SetQuantum(q uint64) error {
	if err := checkQuantum(q); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case q == m.quantum:
	case m.log.replaying():
		return sys.Errorf(syscall.EBUSY, "quantum: a record of epochs of %d cycles is being replayed (replay /dev/null ends that)", m.quantum)
	case m.log.on:
		return sys.Errorf(syscall.EBUSY, "quantum: a record of epochs of %d cycles is being made (record off ends that)", m.quantum)
	}
	m.quantum = q
	return nil
}

// Now returns the machine's time, in cycles, and how many epochs there were.
func (m *Machine) Now() (cycles, epochs uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now, m.epochs
}

// Resting reports whether time stands: nothing runs, and nothing is on its way.
func (m *Machine) Resting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.running
}

// Retired returns how many instructions a core has retired, as of its last slice.
func (m *Machine) Retired(id int) uint64 { return m.retired[id].Load() }

// State returns what a core does, as of its last slice.
func (m *Machine) State(id int) State { return State(m.states[id].Load()) }

// Close ends all programs and gives the memory back.
func (m *Machine) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	for j := range m.jobs {
		m.endJob(j, Exit{Signal: int(syscall.SIGKILL)})
	}
	for m.running {
		done := m.notice()
		m.mu.Unlock()
		<-done
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	m.tellWaiters()
	m.closePorts()
	m.console.close()
	for i := range m.cores {
		c := &m.cores[i]
		c.drop()
		c.hart, c.prog, c.state = nil, nil, Idle // what they point to goes
		if c.cons != nil {
			c.cons.close()
		}
	}
	if m.engine != nil {
		if err := m.engine.Close(); err != nil {
			m.opt.Log.Warn("compiled programs", "err", err)
		}
	}
	return m.arena.release()
}

func errClosed() error { return sys.Errorf(syscall.ESHUTDOWN, "the machine is going down") }

// notice returns what is closed at the end of the epoch. m.mu is held.
func (m *Machine) notice() <-chan struct{} {
	if m.passed == nil {
		m.passed = make(chan struct{})
	}
	return m.passed
}

// lull waits, where nothing can run, for what is on its way to arrive: as when all was halted
// a moment ago. m.mu is held, and given back meanwhile.
func (m *Machine) lull() {
	for m.running && m.waits() {
		done := m.notice()
		m.mu.Unlock()
		<-done
		m.mu.Lock()
	}
}

// Passed is the machine's time, in cycles, for readers that must not wait for an epoch.
func (m *Machine) Passed() uint64 { return m.passedCycles.Load() }

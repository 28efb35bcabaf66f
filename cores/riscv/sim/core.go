package sim

import (
	"sync"
	"sync/atomic"

	"warren/cores/riscv/hot"
	"warren/cores/riscv/rv"
)

// A State is what a core does.
type State uint32

// The states of a core. A ready core has a program and was not started; a
// halted one was stopped by its ctl, a breakpoint or a debugger.
const (
	Idle State = iota
	Ready
	Running
	Parked
	Halted
	Exited
	Faulted
)

var stateNames = [...]string{"idle", "ready", "running", "parked", "halted", "exited", "faulted"}

func (s State) String() string { return stateNames[s] }

// core is a core: its hart, and what it waits for. A core that never ran has
// neither hart nor boxes. What each epoch looks at lies together.
type core struct {
	id, tile int32
	rank     int32 // in its job; -1
	state    State
	resume   State  // what a halted core goes on as
	cold     bool   // the compiled tier refused: interpret
	asked    bool   // the call that it is parked in has sent what it had to send
	met      bool   // all are at the barrier of the tile that it waits at
	listed   bool   // it is in the list of sleepers
	all      bool   // it exited for its whole job
	csr      bool   // it waits at the tile's barrier by the CSR
	written  bool   // its program memory was written to by files
	marks    uint32 // set so far: the last ringSize are in ring
	wait     waiting
	hart     *rv.Hart
	prog     *program
	job      *Job
	debug    *debug
	inst     *hot.Instance
	image    *Image // what it was loaded with by its ctl
	bearable int64  // what may be lost until a better instance is to be had
	sampleIn int64  // cycles to the next sample
	boxes    *boxes
	code     int32 // exit status
	brk      uint32
	account  *account // nil: it has no program
	seq      uint32   // of its ops
	sent     uint64   // when its last op will have left the tile
	answer   uint32   // of an add or a host's answer, once answered
	answered bool
	mark     uint32
	since    uint64 // when it was parked
	until    uint64 // when it goes on, if it sleeps
	began    uint64 // when it was started
	ring     *[ringSize]markRecord
	cons     *broadcast
}

// ringSize is how many waypoints a core remembers.
const ringSize = 32

type markRecord struct {
	at uint64
	n  uint32
}

// A waiting is the reason why a core is parked.
type waiting uint8

const (
	noWait waiting = iota
	forMessage
	forCredit
	forWord
	forFence
	forRoom // transfers of it are to be done before there are more
	forAnswer
	forBarrier
	forTile // the barrier of a tile
	forTime
	forInput
	forReader // the host, to read what it was sent
)

// runnable reports whether the core has something to run now.
func (c *core) runnable() bool { return c.state == Running && (c.job == nil || !c.job.stands()) }

// hears reports whether a message to the core may be taken by it, or stand in the
// way of others.
func (c *core) hears() bool { return c.state == Ready || c.job != nil && !c.job.ended }

// now is the core's own time.
func (c *core) now() uint64 { return c.hart.Now() }

// lift brings the core's time forward: it did nothing meanwhile.
func (c *core) lift(to uint64) {
	if now := c.now(); to > now {
		c.hart.Skew += to - now
	}
}

// park makes the core wait.
func (c *core) park(w waiting) bool {
	if c.state != Parked || c.wait != w {
		c.since = c.now()
	}
	c.state, c.wait = Parked, w
	return false
}

// An account is how ops find the program of a core, also when it is moved to
// another, and what it is owed.
type account struct {
	core    int32        // that has it; -1: none has it now. Changed between epochs only
	gone    bool         // the program is no more: what comes for it is dropped
	pending atomic.Int32 // puts, gets and adds that are not done
	flying  atomic.Int64 // bytes of them
	credits atomic.Int32 // messages of it that no box has accepted

	mu   sync.Mutex
	held []op // what came while no core had it
}

// drop gives up what the core holds outside of Go's memory.
func (c *core) drop() {
	if c.inst != nil {
		c.inst.Close()
		c.inst = nil
	}
}

// publish tells readers that do not wait what the core does.
func (m *Machine) publish(c *core) {
	m.states[c.id].Store(uint32(c.state))
	if c.hart != nil {
		m.retired[c.id].Store(c.hart.Instret)
	}
}

// tile is the cores that share SRAM, and what is on its way to them.
type tile struct {
	id      int32
	queued  bool        // it is in the list of active tiles
	dirty   atomic.Bool // something changed that a parked core may wait for
	changed uint64      // the latest time at which one of its cores stopped running in this epoch
	inbox   []op        // ops that arrive later, in no order
	written bool        // its SRAM was, by others than its cores
	life    uint32      // grows when its SRAM is cleared: what was on its way there is dropped
	ro      uint32      // bytes at the beginning of its SRAM that refuse stores
	shared  *shared     // circular buffers and allocations
}

// Package cores says what a core is, whatever it is made of, and what a driver
// must do with cores: tell about them, switch them, launch programs on them.
//
// Drivers own their state; nothing here is shared but values.
package cores

import (
	"os"
	"time"

	"warren/fs/sys"
)

// An ID is a core's number: the N of cores/N.
type ID int

// Info is what never changes about a core. A number that the machine does not
// tell is -1, a text "".
type Info struct {
	ID     ID
	Kind   string // "cpu"; on hybrid machines "P", "E"; simulated cores their own
	Node   int    // NUMA node
	Socket int
	Die    int
	LLC    int // index of the last-level cache, machine-wide
	Core   int // physical core, machine-wide: SMT siblings share it
	SMT    int // number among the siblings
	MHz    int // highest clock
	ISA    string
	CPU    int // the driver's own number: of a host core the Linux CPU
}

// Stat counts since boot. A value that the machine does not tell is -1.
type Stat struct {
	User, Sys, IRQ, SoftIRQ, Steal, Idle time.Duration
	Switches, Interrupts, Ticks          int64
}

// An Op is a switch of a core.
type Op uint8

// The switches. What a driver cannot do it refuses with EOPNOTSUPP and the reason.
const (
	Online Op = iota
	Offline
	QuietOn
	QuietOff
)

// A Slot is a place of a vcore.
type Slot struct {
	VCore int
	Core  ID
}

// Pin says how threads are laid on vcores.
type Pin uint8

// The layouts. The threads of a program that is one process, and has two or
// more but no more than vcores, are pinned one to one, in vcore order
// (PinCompact) or with neighbours as far apart as can be (PinSpread). Otherwise,
// and always with PinNone, each may run on every core of the process: a pinned
// thread would leave its one core to all that it makes.
const (
	PinCompact Pin = iota
	PinSpread
	PinNone
)

// A Program is what to launch.
type Program struct {
	Name string // of the process, for groups and messages
	Args []string
	// Roles are the programs of cores of these roles, in the place of Args, each
	// with its arguments; for drivers whose cores have roles.
	Roles map[string][]string
	Env   []string
	Dir   string
	User  *sys.User
	Pin   Pin
	// Files 0, 1 and 2 of the program; the driver does not close them.
	Stdin, Stdout, Stderr *os.File
	// Pending reports whether more of the input has come than is in Stdin yet, or
	// its end; nil: that is not known.
	Pending func() bool
}

// Usage is what a job has used, with its waited-for children.
type Usage struct{ User, Sys, Real time.Duration }

// Exit is how a job ended.
type Exit struct {
	Code   int // exit status, when Signal is 0
	Signal int
	Core   bool // dumped core
	Usage
}

// A Thread is a thread of a job: VCore is -1 unless threads are pinned one to one.
type Thread struct {
	TID   int
	VCore int
}

// A Driver has the cores of one machine.
type Driver interface {
	// Name is the machine's, as status prints it.
	Name() string
	// Cores lists the cores, in order of ID, which are 0 … n-1.
	Cores() []Info
	// Online reports whether the core can run programs now.
	Online(ID) bool
	// Distance is how far two cores are apart: 0 the same core, then growing;
	// 1 siblings, 2 same last-level cache, 3 same socket, 10 and more: NUMA distances.
	Distance(a, b ID) int
	// Stats fills dst, of length len(Cores()), with the counters of the last
	// sample, and says when it was taken.
	Stats(dst []Stat) time.Time
	// Rates is the share of the last sampling period, in permille, of each core.
	Rates(dst []Rate) time.Time
	// Noise is what interrupts a program on this core.
	Noise(ID) (Noise, error)
	// Measure starts a program of fixed work on the core, which takes this
	// long and returns at once: its figures appear in Noise. EBUSY while one
	// runs there.
	Measure(ID, time.Duration) error
	// Do switches a core.
	Do(ID, Op) error
	// Launch starts a program with its threads on these slots from their
	// first instruction on.
	Launch(Program, []Slot) (Job, error)
	// Foreign tells of busy tasks on these cores that the driver did not start: text for users.
	Foreign(ids []ID) []string
	// Close stops sampling; jobs go on.
	Close() error
}

// A Rate is permille of the last period.
type Rate struct{ User, Sys, IRQ, Idle int }

// Noise is what interrupts a program on a core, per second over the last
// sampling period; -1 is unknown.
type Noise struct {
	Ticks, Interrupts, SoftIRQs, Reschedules, Calls, TLB, Switches float64
	Steal                                                          int // permille
	Probe                                                          Probe
}

// A Probe is what a program of fixed work found on a core: it did the same
// small piece of work again and again, and timed each. The zero Probe is none.
type Probe struct {
	Began       time.Time
	Took        time.Duration // 0: it still runs
	Pieces      int
	Least, Most time.Duration // that a piece took
	Hits        int           // pieces that took half as long again as the least, or longer
	Lost        time.Duration // what the pieces took beyond the least, all together
}

// A Job is a launched program. Its methods may be called from any goroutine.
type Job interface {
	// PID is the program's, 0 if it has none.
	PID() int
	// Place moves the program to these slots, all or nothing.
	Place([]Slot) error
	// Signal sends a signal to the whole process group; ESRCH when it ended.
	Signal(sig int) error
	// Freeze stops or continues the whole group.
	Freeze(bool) error
	// Kill ends everything that the program started, however it hides.
	Kill() error
	Threads() []Thread
	Usage() Usage
	// Done is closed when the program has ended, its remains are gone and
	// Exit is known.
	Done() <-chan struct{}
	Exit() Exit
}

package gdb

// A Target is what a session debugs: one core, or all vcores of a process. A
// session calls it from one goroutine at a time; its methods return promptly,
// and those that read or change a thread are called only while all threads are
// at rest. They may take locks of their own.
type Target interface {
	// Threads returns the threads there are now: cores, or vcores.
	Threads() []Thread
	// Attach brings all threads to rest and then calls stopped, which it
	// keeps: it is called once for Attach, and once for each Resume, with all
	// threads at rest. stopped never blocks and calls nothing of the target,
	// so it may be called from any goroutine, with locks held, even before
	// Attach or Resume has returned. Its first Stop says what the target is
	// found in: Interrupted, a Fault that a thread is in, or Exited.
	// An error (EBUSY: another session holds it) is the answer to the first
	// write of the session; stopped is then never called.
	Attach(stopped func(Stop)) error
	// Detach ends what Attach began, at any time: kill ends the program, else
	// the threads that Attach brought to rest, or a Resume began, go on. The
	// session has removed its breakpoints and watchpoints before.
	Detach(kill bool)

	// Resume lets threads go and returns. The first action that fits a thread
	// is its own; a thread that none fits stays at rest. When one of those
	// that run stops, all are brought to rest, and it is told to the function
	// that Attach got. After an error nothing runs, and nothing is told.
	Resume([]Action) error
	// Interrupt brings the threads that run to rest soon; the stop is
	// Interrupted, of one of those that the last Resume let go, unless there
	// was another first. Nothing if none runs.
	Interrupt()

	// FLen is the width of the floating-point registers in bits: 32 or 64, or
	// 0 for a target without.
	FLen() int
	// Regs reads the registers nums of a thread into vals, of equal length.
	// With no nums it says whether there is such a thread: ESRCH if not.
	Regs(id int, nums []int, vals []uint64) error
	// SetReg sets a register of a thread; EINVAL for one that is only read.
	SetReg(id, num int, val uint64) error
	// ReadMem reads memory as the thread sees it and returns how much could
	// be read from addr on; EFAULT if nothing. addr+len(p) is at most 1<<32.
	ReadMem(id int, addr uint32, p []byte) (int, error)
	// WriteMem writes memory as the thread sees it: all of it or, with an
	// error, nothing.
	WriteMem(id int, addr uint32, p []byte) error

	// SetBreak sets or removes the breakpoint at addr, for all threads: a
	// thread stops before the instruction there, also if it is resumed or
	// stepped there, as gdb lifts breakpoints to get over them. Memory keeps
	// its contents. Also called while threads run, as is SetWatch.
	SetBreak(addr uint32, on bool) error
	// SetWatch sets or removes a watchpoint on n bytes at addr, for all
	// threads: a thread stops before the instruction that is about to touch
	// them so, as at a breakpoint. gdb expects that of RISC-V: it lifts the
	// watchpoint, steps, and then looks at what has changed.
	SetWatch(addr, n uint32, kind Watch, on bool) error
}

// Numbers of registers are gdb's own: x0 to x31 have 0 to 31. Beside these and
// the floating-point ones, a Target is asked for CSRs: fcsr (if FLen is not 0)
// and those of machineCSRs. All are 32 bits, but f0 to f31 of FLen 64.
const (
	PC   = 32
	F0   = 33
	CSR0 = 65 // and the number of the CSR added
)

// A Thread is a core or vcore. IDs are from 0 to 1<<30; gdb sees them plus one.
type Thread struct {
	ID   int
	Name string // "core 5 (3,1) T0"
}

// All, as the ID of an Action, fits every thread.
const All = -1

// An Action is what a thread is to do: go on, or step: one instruction, and
// then on while its pc is in [Start, End), which is empty for a single step. A
// breakpoint ends a step as it ends a run.
type Action struct {
	ID         int // or All
	Step       bool
	Start, End uint32
	// Signal: the program gets the signal of what the thread stopped for. A
	// fault then ends it, if the instruction faults again; else it is a stop
	// each time.
	Signal bool
}

// Watch is what a watchpoint waits for. The numbers are those of gdb's Z.
type Watch int

const (
	WatchWrite  Watch = 2
	WatchRead   Watch = 3
	WatchAccess Watch = 4
)

// Why says why a thread stopped.
type Why int

const (
	Interrupted Why = iota // by Interrupt or Attach; after Attach Thread is any
	Stepped                // the step is done
	Break                  // at a breakpoint of SetBreak, before its instruction
	Watched                // before touching Addr, which a watchpoint of Kind covers
	Ebreak                 // at an ebreak of the program, or where somebody else wants it to stop, before it
	Fault                  // at an instruction that cannot be done; Cause says why
	Exited                 // the last thread has ended, with Status
	Killed                 // somebody else killed the program, with signal Status
	NoneLeft               // all threads that were let go have ended, and others are at rest
)

// A Stop is why, with all threads at rest, one of them is.
type Stop struct {
	Thread int
	Why    Why
	Addr   uint32 // Watched: an address in the watchpoint that would be touched
	Kind   Watch  // Watched: of the watchpoint
	Cause  uint32 // Fault: as mcause has it
	Status int    // Exited, Killed
}

// A Commander is a Target with commands of its own for gdb's monitor.
type Commander interface{ Commands() []Command }

// A Command is one that users call by "monitor Name args…". Do gets the
// selected thread and returns text, of any number of lines.
type Command struct {
	Name, Args, Doc string
	Do              func(id int, args []string) (string, error)
}

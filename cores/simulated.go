package cores

import (
	"strings"

	"warren/fs/sys"
)

// Channels is how many channel files a simulated core has.
const Channels = 16

// Tier says how well a core is kept for who has it. The host's are pinned to,
// until there are partitions; on a simulated core nothing but its program runs.
func Tier(d Driver, id ID) string {
	if s, ok := d.(Simulator); ok && s.Simulated(id) {
		return "tickless"
	}
	return "pinned"
}

// Registers names the registers of a simulated core that can be set: pc, x1 to
// x31 and f0 to f31 by their ABI names, fcsr.
func Registers() []string {
	return strings.Fields("pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6 " +
		"ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11 fcsr")
}

// A Port is one open stream file: an fs.Source that can be written to as well.
type Port interface {
	// Take answers with one message, or parks.
	Take(sys.Call)
	// Put takes a message, or parks.
	Put(sys.Call, []byte)
	Close()
}

// A Simulator is a driver some of whose cores it simulates: what a Linux
// processor keeps to itself can be read and set there. Methods that take a core
// need one that Simulated knows; what a user's files are needed for is done as
// that user.
type Simulator interface {
	Driver
	// Simulated reports whether the driver simulates this core.
	Simulated(ID) bool
	// Select returns the simulated cores that an expression means, such as
	// "x=0-13,y=0-9" or "role=T1". EINVAL if it is none; a plain set is not.
	Select(expr string) (Set, error)

	// Texts of a core's files.
	AppendHart(b []byte, id ID) []byte
	AppendFault(b []byte, id ID) []byte
	AppendMap(b []byte, id ID) []byte
	AppendRing(b []byte, id ID) []byte
	// AppendBlocked is a line for each core that waits for something.
	AppendBlocked(b []byte) []byte

	// Register reads a register, by its place in Registers; ENXIO while nothing
	// is loaded.
	Register(id ID, reg int) (uint64, error)
	// SetRegister sets a register.
	SetRegister(id ID, reg int, value uint64) error
	// ReadMemory and WriteMemory are for memory as the core sees it. EFAULT if
	// there is none at addr; a write is whole or nothing.
	ReadMemory(id ID, p []byte, addr uint32) (int, error)
	WriteMemory(id ID, p []byte, addr uint32) error

	// LoadProgram loads an executable, which is opened as u, with arguments.
	LoadProgram(u *sys.User, on Set, args []string) error
	// RunLoaded starts what was loaded, as one process of these cores, or lets
	// halted cores go on.
	RunLoaded(Set) error
	// Halt stops cores where they are; Step runs n instructions and halts.
	Halt(Set) error
	Step(on Set, n uint64) error
	// Break sets a breakpoint at an address or symbol; "none" removes all.
	Break(on Set, where string) error
	// Breaks are the breakpoints of a core, as Break takes them.
	Breaks(ID) []string
	// Reset makes cores what they were before anything was loaded.
	Reset(Set) error

	// The streams of a core, and the console of all.
	Cons(ID) Port
	Console() Port
	Chan(id ID, channel int, write bool) Port
	// Ended opens the stream of a record when the core's program ends, faults or halts.
	Ended(ID) Port
	// Debug opens a session of gdb's remote protocol; of all cores of a
	// process's job, or of one core.
	Debug(ID) (Port, error)

	// Machine-wide settings and actions.
	Quantum() uint64
	SetQuantum(uint64) error
	Snapshot(u *sys.User, file string) error
	Restore(u *sys.User, file string) error
	// Record begins a record of all input from files. EndRecord ends it, and writes it
	// there, or to another file, as who then asks for it; DropRecord writes nothing.
	Record(u *sys.User, file string) error
	EndRecord(u *sys.User, file string) error
	DropRecord()
	Recording() string
	Replay(u *sys.User, file string) error
	// AppendTime is the machine's time, in cycles and epochs.
	AppendTime(b []byte) []byte
}

// A DebugJob is a Job that a debugger can be attached to.
type DebugJob interface {
	Job
	Debug() (Port, error)
}

// Package rv is one RISC-V hart: RV32IMAFDC with Zicsr, Zicntr, Zifencei, Zba,
// Zbb and Zbs, or less of that, as its Image is made; and the machine and user
// modes of the privileged architecture.
// It is pure: no files, no goroutines, and nothing known of the machine around
// it. A Hart belongs to one goroutine at a time; an Image never changes and
// is shared by any number of them.
//
// The machine gives a hart two windows of memory and an image of its code,
// calls Run with a budget of cycles, and acts on the Why it gets:
//
//	Budget  the budget is used up. Run again whenever the hart's turn comes.
//	Call    an ecall has retired, PC is behind it and Trap describes it. Do
//	        the call: registers a0 to a7 are X[10] to X[17]. Or TakeTrap.
//	Break   an ebreak is at PC and has not retired; Trap describes it. Stop,
//	        or TakeTrap, or set PC behind it.
//	Fault   Trap says what; PC is at the instruction, and nothing of it was
//	        done. Stop the hart, or TakeTrap if the program handles faults.
//	Wait    a read of the barrier's CSR is at PC and has not retired. Keep the
//	        hart until the barrier opens, then call EndWait.
//	Stop    Debug only: a breakpoint or watchpoint; the Debug's Hit says which.
//
// Time: an instruction takes one cycle, DIV and REM 20, FDIV and FSQRT 16. An
// instruction begins only while the budget is above 0, so that a run in many
// small budgets and one in a large one do the same.
//
// # Rationale
//
// Loads and stores that are not aligned work, as they do under qemu-user; LR,
// SC and AMOs that are not fault. The reservation of LR is by address and
// value, as in qemu: it then needs no notice of what other harts store, and is
// safe because harts that share memory run one after another.
package rv

// A Window is a range of guest memory backed by the host's. Stores into its
// first RO bytes fault. It ends at the top of the address space at the latest:
// what is longer is cut there.
type Window struct {
	Base, RO uint32
	Mem      []byte
}

// A Hart is the state of one hart. The zero value with an Image, windows and
// a PC is ready to run, in machine mode and with its floating point unit on.
type Hart struct {
	// X holds x0 to x31. X[0] is always 0, and what lies behind X[31] is
	// scratch for the interpreter.
	X    [256]uint32
	F    [32]uint64 // singles are boxed in NaNs
	PC   uint32
	Fcsr uint32 // frm and fflags; other bits are 0

	Instret uint64 // instructions retired
	Extra   uint64 // cycles that they took beyond one each
	Skew    uint64 // cycles spent otherwise: added by the machine

	ID    uint32    // mhartid
	Win   [2]Window // the first is tried first
	Image *Image    // nil: all code is fetched from the windows
	Trap  Trap      // the last one
	CSR   CSR

	Reserved     bool // a reservation of LR
	ReservedAddr uint32
	ReservedWord uint32
}

// A CSR holds the machine-mode registers that are neither constant nor kept
// elsewhere in the Hart.
type CSR struct {
	Tvec, Epc, Cause, Tval, Scratch uint32
	Status                          uint32 // mstatus with FS inverted, so that 0 is "on"
	Enable                          uint32 // mie: kept, but nothing interrupts
	Counteren, Inhibit              uint32 // Inhibit is mcountinhibit
	User                            bool   // in user mode
	CycleOff, InstretOff            uint64 // mcycle and minstret, minus Now and Instret unless they are inhibited
}

// A Trap is an exception as machine mode describes it.
type Trap struct {
	Cause uint32 // as in mcause
	PC    uint32 // of the instruction
	Addr  uint32 // as in mtval: the address, or the word if it is illegal
	Word  uint32 // the instruction, 16 or 32 bits; 0 if it could not be fetched
}

// Causes of traps.
const (
	CauseFetchAlign  = 0
	CauseFetch       = 1
	CauseIllegal     = 2
	CauseBreak       = 3
	CauseLoadAlign   = 4 // LR only
	CauseLoad        = 5
	CauseStoreAlign  = 6 // SC and AMOs only
	CauseStore       = 7
	CauseUserCall    = 8
	CauseMachineCall = 11
)

// String returns the words that faults are reported with.
func (t Trap) String() string {
	switch t.Cause {
	case CauseFetchAlign:
		return "misaligned fetch"
	case CauseFetch:
		return "fetch access fault"
	case CauseIllegal:
		return "illegal instruction"
	case CauseBreak:
		return "breakpoint"
	case CauseLoadAlign:
		return "misaligned load"
	case CauseLoad:
		return "load access fault"
	case CauseStoreAlign:
		return "misaligned store"
	case CauseStore:
		return "store access fault"
	case CauseUserCall, CauseMachineCall:
		return "environment call"
	}
	return "unknown trap"
}

// A Why is the reason that Run, Step or Debug returned.
type Why uint8

// The package's comment says what each means and what is to be done.
const (
	Budget Why = iota
	Call
	Break
	Fault
	Wait
	Stop
)

// String returns the reason in a word.
func (w Why) String() string {
	return [...]string{"budget", "call", "break", "fault", "wait", "stop"}[w]
}

// Now returns the hart's time in cycles: the CSR cycle, until mcycle is set.
func (h *Hart) Now() uint64 { return h.Instret + h.Extra + h.Skew }

// used returns the cycles that budgets count.
func (h *Hart) used() uint64 { return h.Instret + h.Extra }

// trap records an exception of the instruction in at PC.
func (h *Hart) trap(cause, addr, word uint32) Why {
	h.Trap = Trap{Cause: cause, PC: h.PC, Addr: addr, Word: word}
	return Fault
}

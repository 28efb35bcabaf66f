package rv

import "warren/cores/riscv/isa"

// Bits of mstatus that are kept.
const (
	statusMIE  = 1 << 3
	statusMPIE = 1 << 7
	statusMPP  = 3 << 11
	statusFS   = 3 << 13
	statusMPRV = 1 << 17
	statusTW   = 1 << 21 // user mode must not wait
	statusKept = statusMIE | statusMPIE | statusMPP | statusFS | statusMPRV | statusTW
)

// status returns mstatus.
func (h *Hart) status() uint32 {
	s := h.CSR.Status ^ statusFS
	if h.Image.Lacks()&isa.F != 0 {
		s &^= statusFS
	}
	if s&statusFS == statusFS {
		s |= 1 << 31 // SD: the floating point registers are dirty
	}
	return s
}

func (h *Hart) setStatus(v uint32) {
	v &= statusKept
	// Of the modes there are but machine and user.
	if v&statusMPP != statusMPP {
		v &^= statusMPP
	}
	if h.Image.Lacks()&isa.F != 0 {
		v |= statusFS // kept as it was at first, and shown as off
	}
	h.CSR.Status = v ^ statusFS
}

// floating reports whether the floating point unit is on.
func (h *Hart) floating() bool { return h.status()&statusFS != 0 }

// TakeTrap enters the program's handler with the last Trap, after Call, Break
// or Fault. It is false, and nothing is done, if mtvec is 0.
func (h *Hart) TakeTrap() bool {
	if h.CSR.Tvec == 0 {
		return false
	}
	s := h.status() &^ (statusMPP | statusMPIE)
	if s&statusMIE != 0 {
		s |= statusMPIE
	}
	if !h.CSR.User {
		s |= statusMPP
	}
	h.setStatus(s &^ statusMIE)
	if c := h.Trap.Cause; (c == CauseUserCall || c == CauseMachineCall) && h.CSR.Inhibit&inhibitInstret == 0 {
		h.CSR.InstretOff-- // what traps does not retire
	}
	h.CSR.User = false
	h.CSR.Epc, h.CSR.Cause, h.CSR.Tval = h.Trap.PC, h.Trap.Cause, h.Trap.Addr
	h.PC = h.CSR.Tvec
	return true
}

// mret returns from a handler, and gives the next PC.
func (h *Hart) mret() uint32 {
	s := h.status()
	h.CSR.User = s&statusMPP == 0
	if h.CSR.User {
		s &^= statusMPRV
	}
	s &^= statusMIE | statusMPP
	if s&statusMPIE != 0 {
		s |= statusMIE
	}
	h.setStatus(s | statusMPIE)
	return h.CSR.Epc
}

// system does fences, calls, and what concerns CSRs.
func (h *Hart) system(in Inst, next uint32) Why {
	switch in.Op {
	case ECALL:
		cause := uint32(CauseMachineCall)
		if h.CSR.User {
			cause = CauseUserCall
		}
		h.trap(cause, 0, in.Word)
		h.retire(in.Op, next)
		return Call
	case EBREAK:
		h.trap(CauseBreak, h.PC, in.Word)
		return Break
	case MRET:
		if h.CSR.User {
			return h.trap(CauseIllegal, in.Word, in.Word)
		}
		next = h.mret()
	case FENCEI:
		h.SyncCode()
	case WFI:
		if h.CSR.User && h.CSR.Status&statusTW != 0 {
			return h.trap(CauseIllegal, in.Word, in.Word)
		}
	case FENCE:
	default:
		if why := h.csr(in); why != Budget {
			return why
		}
	}
	h.retire(in.Op, next)
	return Budget
}

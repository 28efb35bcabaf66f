package rv

// A Debug holds what stops a hart that is debugged, and what has stopped it.
type Debug struct {
	Breaks  map[uint32]bool // addresses of instructions; all true
	Watches []Watch
	Hit     Hit
}

// A Watch is a range of guest memory, and the accesses that stop the hart.
type Watch struct {
	Addr, Len   uint32
	Read, Write bool
}

// A Hit says what a Stop was for.
type Hit struct {
	Watch int    // index into Watches, or -1 for a breakpoint
	Addr  uint32 // of the first byte of the access; of the instruction at a breakpoint
	Write bool
}

// Step executes one instruction, whatever breakpoints there are, and returns
// Budget. If it is about to access what is watched, Step does nothing and
// returns Stop: so gdb takes RISC-V harts to stop, and lifts the watchpoint to
// get over it. d may be nil.
func (h *Hart) Step(d *Debug) Why {
	h.X[0] = 0
	in, ok := h.fetch()
	switch {
	case !ok:
		return Fault
	case d != nil && d.watched(h.touching(in)):
		return Stop
	}
	return h.exec(in)
}

// Debug is Run, but slow, and it stops before an instruction with a
// breakpoint and before an access that is watched, the first one included.
// To go on from a breakpoint, Step first; from a watchpoint, Step(nil).
func (h *Hart) Debug(budget int64, d *Debug) Why {
	start := h.used()
	for budget > 0 && h.used()-start < uint64(budget) {
		if d != nil && d.Breaks[h.PC] {
			d.Hit = Hit{Watch: -1, Addr: h.PC}
			return Stop
		}
		if why := h.Step(d); why != Budget {
			return why
		}
	}
	return Budget
}

// A touch is what an instruction does to memory.
type touch struct {
	addr, size  uint32 // no access if size is 0
	read, write bool
}

// touching returns what an instruction will do to memory, unless it faults.
func (h *Hart) touching(in Inst) touch {
	t := touch{addr: h.X[in.Rs1], size: accessSize(in.Op)}
	switch o := in.Op; {
	case o >= LB && o <= LHU, o == FLW, o == FLD:
		t.addr, t.read = t.addr+uint32(in.Imm), true
	case o >= SB && o <= SW, o == FSW, o == FSD:
		t.addr, t.write = t.addr+uint32(in.Imm), true
	case o >= LRW && o <= AMOMAXUW:
		t.read, t.write = o != SCW, o != LRW
	default:
		t.size = 0
	}
	return t
}

// watched reports whether an access is one that stops, and notes it.
func (d *Debug) watched(t touch) bool {
	if t.size == 0 {
		return false
	}
	for i, w := range d.Watches {
		apart := t.addr-w.Addr >= w.Len && w.Addr-t.addr >= t.size
		if !apart && w.Len > 0 && (t.write && w.Write || t.read && w.Read) {
			d.Hit = Hit{Watch: i, Addr: t.addr, Write: t.write}
			return true
		}
	}
	return false
}

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
	Addr  uint32 // of the first byte accessed; of the instruction at a breakpoint
	Write bool
}

// Step executes one instruction, whatever breakpoints there are. It returns
// Budget after it, or Stop if it accessed what is watched. An access that
// faulted was none. d may be nil.
func (h *Hart) Step(d *Debug) Why {
	h.X[0] = 0
	why := h.one()
	if why == Budget && d.watched(h.touch) {
		return Stop
	}
	return why
}

// Debug is Run, but slow, and it stops before an instruction with a
// breakpoint, the first one included, and after an access that is watched.
// To go on from a breakpoint, Step first.
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

// watched reports whether an access is one that stops, and notes it.
func (d *Debug) watched(t touch) bool {
	if d == nil || t.size == 0 {
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

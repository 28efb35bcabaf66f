package sim

import (
	"maps"
	"slices"

	"warren/cores/riscv/rv"
)

// debug is what can stop a core: breakpoints of its ctl and of a debugger,
// watchpoints, and a number of steps. The nil debug is none.
type debug struct {
	rv      rv.Debug
	ctl     map[uint32]string // breakpoints of the ctl, as they were written
	steps   uint64            // instructions until it halts; 0: as many as there are
	from    uint32            // it steps on while its pc is in [from, to)
	to      uint32
	ranging bool
	past    bool // the breakpoint at its pc is the one that it halted at
	session *Debugger
	last    Stop
	untold  bool   // last is yet to be told to the session
	passed  uint64 // Instret, plus one, of the fault that is the program's if it comes again
}

// A Stop is why a core halted.
type Stop struct {
	Kind  StopKind
	PC    uint32 // where it halted
	Hit   rv.Hit
	Watch rv.Watch // AtWatch: which
}

// A StopKind is a reason to halt.
type StopKind uint8

// The reasons.
const (
	Interrupted StopKind = iota
	Stepped
	AtBreak
	AtWatch
	AtEbreak
	AtFault
)

// active reports whether the core must be run with care.
func (d *debug) active() bool {
	return d != nil && (len(d.rv.Breaks) > 0 || len(d.rv.Watches) > 0 || d.steps > 0 || d.ranging)
}

func (d *debug) attached() bool { return d != nil && d.session != nil }

// faulted reports whether the core stands at a fault, for a debugger to see.
func (d *debug) faulted() bool { return d != nil && d.last.Kind == AtFault }

func (c *core) debugging() *debug {
	if c.debug == nil {
		c.debug = &debug{}
	}
	return c.debug
}

// executeDebug is execute for a core that something can stop.
func (w *worker) executeDebug(c *core, budget int64) rv.Why {
	h, d := c.hart, c.debug
	if d.past || d.steps > 0 || d.ranging {
		if !d.past && d.rv.Breaks[h.PC] {
			d.rv.Hit = rv.Hit{Watch: -1, Addr: h.PC}
			return rv.Stop
		}
		d.past = false
		return h.Step(&d.rv)
	}
	return h.Debug(budget, &d.rv)
}

// stepped halts a core that has done its steps; before is what it had retired.
func (w *worker) stepped(c *core, before uint64) {
	d := c.debug
	if d == nil || c.state != Running && c.state != Parked || c.hart.Instret == before {
		return
	}
	switch {
	case d.ranging:
		if pc := c.hart.PC; pc >= d.from && pc < d.to {
			return
		}
		d.ranging = false
		w.halt(c, Stop{Kind: Stepped})
	case d.steps > 0:
		if d.steps--; d.steps == 0 {
			w.halt(c, Stop{Kind: Stepped})
		}
	}
}

// stopped halts a core at a breakpoint or watchpoint.
func (w *worker) stopped(c *core) {
	stop := Stop{Kind: AtBreak, Hit: c.debug.rv.Hit}
	if stop.Hit.Watch >= 0 {
		stop.Kind, stop.Watch = AtWatch, c.debug.rv.Watches[stop.Hit.Watch]
	}
	w.halt(c, stop)
}

// halt stops a core until it is told to go on.
func (w *worker) halt(c *core, s Stop) {
	d := c.debugging()
	s.PC = c.hart.PC
	d.last, d.steps, d.ranging = s, 0, false
	c.resume, c.state = c.state, Halted
	w.ended = append(w.ended, c.id)
	w.heard()
}

// hold halts a core that runs, between epochs. m.mu is held.
func (m *Machine) hold(c *core) {
	if c.state != Running && c.state != Parked {
		return
	}
	c.resume, c.state = c.state, Halted
	m.stilled = true
	d := c.debugging()
	d.last, d.steps, d.ranging = Stop{}, 0, false
	m.publish(c)
}

// letGo lets a halted core go on. m.mu is held.
func (m *Machine) letGo(c *core) {
	if c.state != Halted {
		return
	}
	d := c.debugging()
	d.last, d.untold = Stop{}, false
	c.state = c.resume
	if c.state == Running {
		c.lift(m.now)
	}
	m.publish(c)
	m.tiles[c.tile].dirty.Store(true)
	m.wake(c.tile)
}

// parkedFor reports whether the core waits for this, also while it is halted.
func (c *core) parkedFor(w waiting) bool {
	return c.wait == w && (c.state == Parked || c.state == Halted && c.resume == Parked)
}

// setBreaks makes the core stop where its ctl and its debugger say. m.mu is held.
func (m *Machine) setBreaks(c *core) {
	d := c.debugging()
	breaks := make(map[uint32]bool)
	for addr := range d.ctl {
		breaks[addr] = true
	}
	d.rv.Watches = nil
	if s := d.session; s != nil {
		maps.Copy(breaks, s.breaks)
		for _, w := range s.watches {
			d.rv.Watches = append(d.rv.Watches, w.Watch)
		}
	}
	d.rv.Breaks = breaks
}

// Breaks are the breakpoints of a core's ctl, as they were written.
func (m *Machine) Breaks(id int) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.cores[id].debug
	if d == nil {
		return nil
	}
	return slices.Sorted(maps.Values(d.ctl))
}

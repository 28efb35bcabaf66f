package sim

import (
	"cmp"
	"slices"
	"syscall"

	"warren/cores/riscv/gdb"
	"warren/fs/sys"
)

// Resume lets cores go. Those that stopped while another's stop was told are told
// first, one for each call, with nothing run, as gdb expects it of threads that stop
// at once; all of them in turn.
func (d *Debugger) Resume(actions []gdb.Action) error {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.over() {
		d.running = true
		d.stop(d.overStop())
		return nil
	}
	var list []int32
	var does []gdb.Action
	for _, id := range d.cores {
		c := &m.cores[id]
		i := slices.IndexFunc(actions, func(a gdb.Action) bool { return a.ID == gdb.All || a.ID == int(id) })
		if i < 0 || !d.has(c) || c.state != Halted && c.state != Ready {
			continue
		}
		list, does = append(list, id), append(does, actions[i])
		c.debug.untold = c.debug.untold && c.stopHolds(actions[i].Step)
	}
	if len(list) == 0 {
		return sys.Errorf(syscall.ESRCH, "no thread can go on")
	}
	d.running = true
	if d.tell(list); !d.running {
		return nil
	}
	for i, a := range does {
		c := &m.cores[list[i]]
		if c.state == Ready {
			m.startAlone(c)
			m.hold(c)
		}
		d.held[c.id] = true
		c.debug.passed = 0
		if last := c.debug.last; a.Signal && last.Kind == AtFault && last.PC == c.hart.PC {
			c.debug.passed = c.hart.Instret + 1
		}
		if a.Step {
			c.debug.steps, c.debug.from, c.debug.to = 1, a.Start, a.End
			c.debug.ranging = a.End > a.Start
			if c.debug.ranging {
				c.debug.steps = 0
			}
		}
		// One of the ctl where it stands has been told; gdb steps over its own.
		_, own := c.debug.ctl[c.hart.PC]
		c.debug.past = own && !d.breaks[c.hart.PC]
		m.letGo(c)
	}
	return nil
}

// stopHolds reports whether what a core stopped for is still so, when it is to step or
// to go on: gdb may have moved it, or taken the breakpoint away.
func (c *core) stopHolds(step bool) bool {
	d := c.debug
	switch {
	case d.last.PC != c.hart.PC:
		return false
	case d.last.Kind == Stepped:
		return step
	case d.last.Kind == AtBreak:
		return d.rv.Breaks[c.hart.PC]
	case d.last.Kind == AtWatch:
		return slices.Contains(d.rv.Watches, d.last.Watch)
	}
	return true
}

// tell tells of one of the stops of these cores that were not told, if there is one: of
// a step that is done, as that is what gdb waits for, and else of the next core after
// that of which it was told last. m.mu is held.
func (d *Debugger) tell(ids []int32) {
	var first, after, stepped *core
	for _, id := range ids {
		c := &d.m.cores[id]
		switch {
		case !d.has(c) || c.state != Halted || !c.debug.untold:
		case c.debug.last.Kind == Stepped:
			stepped = cmp.Or(stepped, c)
		case id > d.last:
			after = cmp.Or(after, c)
		default:
			first = cmp.Or(first, c)
		}
	}
	c := cmp.Or(stepped, after, first)
	if c == nil {
		return
	}
	c.debug.untold, d.last = false, c.id
	d.stop(d.stopOf(c))
}

// Interrupt halts the cores.
func (d *Debugger) Interrupt() {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.running {
		d.stop(gdb.Stop{Thread: int(d.cores[0]), Why: gdb.Interrupted})
	}
}

// stop brings all cores to rest and tells of it. m.mu is held.
func (d *Debugger) stop(s gdb.Stop) {
	if s.Why == gdb.Interrupted || s.Why == gdb.NoneLeft {
		s.Thread = d.oneToShow()
	}
	for _, id := range d.cores {
		if c := &d.m.cores[id]; d.has(c) {
			d.m.hold(c)
		}
	}
	if d.running && d.told != nil {
		d.running, d.ended = false, d.over()
		d.told(s)
	}
}

// oneToShow is a thread that stops for no reason of its own: one that steps, if it was let
// go, else the one that was shown last, else the first; where none was, one that lives.
func (d *Debugger) oneToShow() int {
	best, rank := d.cores[0], 0
	for _, id := range d.cores {
		c := &d.m.cores[id]
		r := 0
		switch goes := d.has(c) && (c.state == Running || c.state == Parked); {
		case goes && (c.debug.steps > 0 || c.debug.ranging):
			r = 4
		case goes && id == d.last:
			r = 3
		case goes:
			r = 2
		case d.has(c) && c.state == Halted:
			r = 1
		}
		if r > rank {
			best, rank = id, r
		}
	}
	d.last = best
	return int(best)
}

// stopOf says why a core halted, as gdb has it.
func (d *Debugger) stopOf(c *core) gdb.Stop {
	stop, last := gdb.Stop{Thread: int(c.id)}, c.debug.last
	switch last.Kind {
	case Interrupted:
	case Stepped:
		stop.Why = gdb.Stepped
	case AtBreak:
		stop.Why = gdb.Break
		if !d.breaks[last.PC] { // gdb would go on from what it does not know
			stop.Why = gdb.Ebreak
		}
	case AtEbreak:
		stop.Why = gdb.Ebreak
	case AtFault:
		stop.Why, stop.Cause = gdb.Fault, c.hart.Trap.Cause
	case AtWatch:
		stop.Why = gdb.Watched
		if i := slices.IndexFunc(d.watches, func(w watch) bool { return w.Watch == last.Watch }); i >= 0 {
			stop.Addr, stop.Kind = max(last.Hit.Addr, last.Watch.Addr), d.watches[i].kind
		}
	}
	return stop
}

// halted takes note of a core's halt, for its debugger, or tells those who wait. m.mu
// is held.
func (m *Machine) halted(c *core) {
	if c.debug.attached() {
		c.debug.untold = true
		return
	}
	m.line(m.now, c.id, m.coreName(c.id)+" halted at "+c.symbol(c.hart.PC))
	m.tellWaiters()
}

// tellHalts tells debuggers when some of these cores have halted: of no others, as
// gdb expects of threads only what it let go. m.mu is held.
func (m *Machine) tellHalts(ids []int32) {
	for _, id := range ids {
		if c := &m.cores[id]; c.state == Halted && c.debug.attached() && c.debug.session.running {
			c.debug.session.tell(ids)
		}
	}
}

// tellDebugger tells a core's debugger if nothing of what it debugs runs any more. m.mu is held.
func (m *Machine) tellDebugger(c *core) {
	if !c.debug.attached() {
		return
	}
	d := c.debug.session
	switch {
	case !d.running:
	case d.over():
		d.stop(d.overStop())
	case !slices.ContainsFunc(d.cores, func(id int32) bool {
		c := &m.cores[id]
		return d.has(c) && (c.state == Running || c.state == Parked)
	}): // how its process ended is known when its last core was seen to end
		d.stop(gdb.Stop{Why: gdb.NoneLeft})
	}
}

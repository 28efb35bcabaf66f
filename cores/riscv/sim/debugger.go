package sim

import (
	"fmt"
	"slices"
	"syscall"

	"warren/cores/riscv/gdb"
	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A Debugger is the machine as gdb sees it: a gdb.Target of one core, or of all
// vcores of a process. Thread numbers are those of cores.
type Debugger struct {
	m     *Machine
	cores []int32
	job   *Job

	// Under Machine.mu:
	told    func(gdb.Stop) // nil: not attached
	running bool           // a stop is owed
	held    map[int32]bool // cores that it has brought to rest, or let go
	breaks  map[uint32]bool
	watches []watch
}

type watch struct {
	rv.Watch
	kind gdb.Watch
}

// Debugger returns a debugger of a core, which need not run anything.
func (m *Machine) Debugger(id int) *Debugger {
	return &Debugger{m: m, cores: []int32{int32(id)}, breaks: make(map[uint32]bool)}
}

// Debugger returns a debugger of all the job's cores; ESRCH if it has none.
func (j *Job) Debugger() (*Debugger, error) {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	var list []int32
	for c := range j.all() {
		list = append(list, c.id)
	}
	if len(list) == 0 {
		return nil, sys.Errorf(syscall.ESRCH, "%s has no cores", j.name)
	}
	return &Debugger{m: j.m, cores: list, job: j, breaks: make(map[uint32]bool)}, nil
}

// Threads lists the cores that have a program.
func (d *Debugger) Threads() []gdb.Thread {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	var list []gdb.Thread
	for _, id := range d.cores {
		if c := &d.m.cores[id]; c.hart != nil && (c.live() || c.state == Ready || c.state == Faulted || len(d.cores) == 1) {
			list = append(list, gdb.Thread{ID: int(id), Name: d.m.coreName(id)})
		}
	}
	return list
}

// Attach halts the cores.
func (d *Debugger) Attach(stopped func(gdb.Stop)) error {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range d.cores {
		c := &m.cores[id]
		switch {
		case c.hart == nil:
			return sys.Errorf(syscall.ENXIO, "%s: nothing is loaded", m.coreName(id))
		case c.debug.attached():
			return sys.Errorf(syscall.EBUSY, "%s: another debugger holds it", m.coreName(id))
		case d.job != nil && c.job != d.job:
			return sys.Errorf(syscall.ESRCH, "the process has ended")
		}
	}
	d.told, d.held = stopped, make(map[int32]bool)
	for _, id := range d.cores {
		c := &m.cores[id]
		c.debugging().session = d
		d.held[id] = c.state == Running || c.state == Parked
		m.hold(c)
	}
	stopped(d.found())
	return nil
}

// found is what the cores are found in.
func (d *Debugger) found() gdb.Stop {
	for _, id := range d.cores {
		if c := &d.m.cores[id]; c.state == Faulted || c.debug.faulted() {
			return gdb.Stop{Thread: int(id), Why: gdb.Fault, Cause: c.hart.Trap.Cause}
		}
	}
	if d.over() {
		return d.overStop()
	}
	return gdb.Stop{Thread: int(d.cores[0]), Why: gdb.Interrupted}
}

// over reports whether no core can ever go on.
func (d *Debugger) over() bool {
	return !slices.ContainsFunc(d.cores, func(id int32) bool {
		c := &d.m.cores[id]
		return c.live() || c.state == Ready
	})
}

func (d *Debugger) overStop() gdb.Stop {
	c := &d.m.cores[d.cores[0]]
	if j := c.job; j != nil && j.ended {
		if j.exit.Signal != 0 {
			return gdb.Stop{Thread: int(c.id), Why: gdb.Killed, Status: j.exit.Signal}
		}
		return gdb.Stop{Thread: int(c.id), Why: gdb.Exited, Status: j.exit.Code}
	}
	return gdb.Stop{Thread: int(c.id), Why: gdb.Exited, Status: int(c.code) & 0xff}
}

// Detach lets the cores go on, or ends their program.
func (d *Debugger) Detach(kill bool) {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.told == nil {
		return
	}
	d.told, d.running = nil, false
	clear(d.breaks)
	d.watches = nil
	for _, id := range d.cores {
		c := &m.cores[id]
		if c.debug == nil || c.debug.session != d {
			continue
		}
		c.debug.session = nil
		c.debug.steps, c.debug.ranging = 0, false
		m.setBreaks(c)
		switch {
		case kill && c.job != nil:
			m.endJob(c.job, Exit{Signal: int(syscall.SIGKILL)})
		case kill:
			m.reset(c)
		case d.held[id]: // else its ctl had halted it, and it stays so
			m.letGo(c)
		}
	}
	m.tellWaiters() // of what stays halted
}

// Resume lets cores go.
func (d *Debugger) Resume(actions []gdb.Action) error {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	going := 0
	for _, id := range d.cores {
		c := &m.cores[id]
		i := slices.IndexFunc(actions, func(a gdb.Action) bool { return a.ID == gdb.All || a.ID == int(id) })
		if i < 0 || c.hart == nil || c.debug == nil || c.debug.session != d {
			continue
		}
		if c.state == Ready {
			m.startAlone(c)
			m.hold(c)
		}
		if c.state != Halted {
			continue
		}
		going++
		d.held[id], c.debug.past = true, false
		if a := actions[i]; a.Step {
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
	if going == 0 {
		return sys.Errorf(syscall.ESRCH, "no thread can go on")
	}
	d.running = true
	return nil
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
	for _, id := range d.cores {
		if c := &d.m.cores[id]; c.debug != nil && c.debug.session == d {
			d.m.hold(c)
		}
	}
	if s.Why == gdb.Interrupted { // one that lives, to look at
		for _, id := range d.cores {
			if d.m.cores[id].state == Halted {
				s.Thread = int(id)
				break
			}
		}
	}
	if d.running && d.told != nil {
		d.running = false
		d.told(s)
	}
}

// halted passes a core's halt on to its debugger, or to those who wait. m.mu is held.
func (m *Machine) halted(c *core) {
	d := c.debug
	s := d.session
	if s == nil {
		m.line(m.now, c.id, m.coreName(c.id)+" halted at "+c.symbol(c.hart.PC))
		m.tellWaiters()
		return
	}
	stop := gdb.Stop{Thread: int(c.id)}
	switch d.last.Kind {
	case Interrupted:
	case Stepped:
		stop.Why = gdb.Stepped
	case AtBreak:
		stop.Why = gdb.Break
	case AtEbreak:
		stop.Why = gdb.Ebreak
	case AtFault:
		stop.Why, stop.Cause = gdb.Fault, c.hart.Trap.Cause
	case AtWatch:
		stop.Why = gdb.Watched
		if i := d.last.Hit.Watch; i < len(s.watches) {
			stop.Addr, stop.Kind = max(d.last.Hit.Addr, s.watches[i].Addr), s.watches[i].kind
		}
	}
	s.stop(stop)
}

// tellDebugger tells a core's debugger if nothing of what it debugs runs any more. m.mu is held.
func (m *Machine) tellDebugger(c *core) {
	if !c.debug.attached() {
		return
	}
	s := c.debug.session
	if s.job != nil && !s.job.ended {
		return // how it ended is known when its last core was seen to end
	}
	if s.running && s.over() {
		s.stop(s.overStop())
	}
}

// FLen is the width of the registers of floating point.
func (d *Debugger) FLen() int {
	switch has := d.m.extensions(int(d.cores[0])); {
	case has&isa.D != 0:
		return 64
	case has&isa.F != 0:
		return 32
	}
	return 0
}

// thread returns a core that the debugger holds. m.mu is held.
func (d *Debugger) thread(id int) (*core, error) {
	if !slices.Contains(d.cores, int32(id)) || d.m.cores[id].hart == nil {
		return nil, sys.Errorf(syscall.ESRCH, "no thread %d", id)
	}
	return &d.m.cores[id], nil
}

// Regs reads registers.
func (d *Debugger) Regs(id int, nums []int, vals []uint64) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.thread(id)
	if err != nil {
		return err
	}
	for i, n := range nums {
		v, err := readRegister(c.hart, n)
		if err != nil {
			return err
		}
		vals[i] = v
	}
	return nil
}

// SetReg sets a register.
func (d *Debugger) SetReg(id, num int, val uint64) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.thread(id)
	if err != nil {
		return err
	}
	return writeRegister(c.hart, num, val)
}

func readRegister(h *rv.Hart, n int) (uint64, error) {
	switch {
	case n < gdb.PC:
		return uint64(h.X[n]), nil
	case n == gdb.PC:
		return uint64(h.PC), nil
	case n < gdb.CSR0:
		return h.F[n-gdb.F0], nil
	}
	v, ok := h.ReadCSR(uint16(n - gdb.CSR0))
	if !ok {
		return 0, sys.Errorf(syscall.EINVAL, "no register %d", n)
	}
	return uint64(v), nil
}

func writeRegister(h *rv.Hart, n int, v uint64) error {
	switch {
	case n == 0:
		return sys.Errorf(syscall.EINVAL, "x0 is always 0")
	case n < gdb.PC:
		h.X[n] = uint32(v)
	case n == gdb.PC:
		if v%2 != 0 {
			return sys.Errorf(syscall.EINVAL, "pc: want an even address, not 0x%x", v)
		}
		h.PC = uint32(v)
	case n < gdb.CSR0:
		h.F[n-gdb.F0] = v
	case !h.WriteCSR(uint16(n-gdb.CSR0), uint32(v)):
		return sys.Errorf(syscall.EINVAL, "register %d is only read", n)
	}
	return nil
}

// ReadMem reads memory as a thread sees it.
func (d *Debugger) ReadMem(id int, addr uint32, p []byte) (int, error) {
	return d.m.ReadMemory(id, p, addr)
}

// WriteMem writes memory as a thread sees it.
func (d *Debugger) WriteMem(id int, addr uint32, p []byte) error {
	return d.m.WriteMemory(id, p, addr)
}

// SetBreak sets or removes a breakpoint, for all threads.
func (d *Debugger) SetBreak(addr uint32, on bool) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if on {
		d.breaks[addr] = true
	} else {
		delete(d.breaks, addr)
	}
	d.renew()
	return nil
}

// SetWatch sets or removes a watchpoint, for all threads.
func (d *Debugger) SetWatch(addr, n uint32, kind gdb.Watch, on bool) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	w := watch{rv.Watch{Addr: addr, Len: n, Read: kind != gdb.WatchWrite, Write: kind != gdb.WatchRead}, kind}
	if i := slices.Index(d.watches, w); !on && i >= 0 {
		d.watches = slices.Delete(d.watches, i, i+1)
	} else if on && i < 0 {
		d.watches = append(d.watches, w)
	}
	d.renew()
	return nil
}

// renew passes the stops on to the cores. m.mu is held.
func (d *Debugger) renew() {
	for _, id := range d.cores {
		if c := &d.m.cores[id]; c.debug != nil && c.debug.session == d {
			d.m.setBreaks(c)
		}
	}
}

// Commands are what gdb's monitor knows.
func (d *Debugger) Commands() []gdb.Command {
	show := func(text func([]byte, int) []byte) func(int, []string) (string, error) {
		return func(id int, _ []string) (string, error) { return string(text(nil, id)), nil }
	}
	return []gdb.Command{
		{Name: "where", Doc: "what the core does", Do: show(d.m.AppendHart)},
		{Name: "fault", Doc: "why it faulted", Do: show(d.m.AppendFault)},
		{Name: "map", Doc: "what lies where in its memory", Do: show(d.m.AppendMap)},
		{Name: "ring", Doc: "the waypoints it set", Do: show(d.m.AppendRing)},
		{Name: "blocked", Doc: "who waits for what", Do: func(int, []string) (string, error) { return string(d.m.AppendBlocked(nil)), nil }},
		{Name: "time", Doc: "the machine's time", Do: func(int, []string) (string, error) {
			cycles, epochs := d.m.Now()
			return fmt.Sprintf("cycles %d\nepochs %d\n", cycles, epochs), nil
		}},
	}
}

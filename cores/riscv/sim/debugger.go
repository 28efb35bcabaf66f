package sim

import (
	"cmp"
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
	told    func(gdb.Stop)     // nil: not attached
	running bool               // a stop is owed
	last    int32              // the core whose stop was told last
	ended   bool               // it was told that all is over
	held    map[int32]bool     // cores that it has brought to rest, or let go
	was     map[int32]*rv.Hart // the registers of a process that has ended
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
	d := &Debugger{m: j.m, job: j, breaks: make(map[uint32]bool)}
	if err := d.find(); err != nil {
		return nil, err
	}
	return d, nil
}

// find looks up the cores that the debugger's job has. m.mu is held.
func (d *Debugger) find() error {
	j := d.job
	if j == nil {
		return nil
	}
	if j.ended {
		return sys.Errorf(syscall.ESRCH, "the process has ended")
	}
	d.cores = d.cores[:0]
	for c := range j.all() {
		d.cores = append(d.cores, c.id)
	}
	if len(d.cores) == 0 {
		return sys.Errorf(syscall.ESRCH, "%s has no cores", j.name)
	}
	return nil
}

// debugger is the one that is attached to the job; nil: none. m.mu is held.
func (j *Job) debugger() *Debugger {
	for c := range j.all() {
		if d := c.debug; d != nil && d.session != nil && d.session.job == j {
			return d.session
		}
	}
	return nil
}

// join makes a core one of the debugger's: it is at rest while the others are.
// m.mu is held.
func (d *Debugger) join(c *core) {
	if !slices.Contains(d.cores, c.id) {
		d.cores = append(d.cores, c.id)
	}
	c.debugging().session = d
	d.m.setBreaks(c)
	d.found(c)
}

// found brings a core to rest that was found running. m.mu is held.
func (d *Debugger) found(c *core) {
	if d.running {
		return
	}
	d.held[c.id] = d.held[c.id] || c.state == Running || c.state == Parked
	d.m.hold(c)
}

// leave lets go of the cores of a process that has ended: what else is to run there is
// not the debugger's. Its registers are kept, without which gdb does not even ask how it
// ended. m.mu is held.
func (d *Debugger) leave() {
	d.was = make(map[int32]*rv.Hart)
	for _, id := range d.cores {
		if c := &d.m.cores[id]; d.has(c) {
			c.debug.session, d.was[id] = nil, c.hart
			d.m.setBreaks(c)
		}
	}
}

// Threads lists the cores that have a program, and of one that has ended those
// that it had, until gdb has been told.
func (d *Debugger) Threads() []gdb.Thread {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	var list []gdb.Thread
	for _, id := range d.cores {
		c, err := d.thread(int(id))
		there := err == nil && (c.live() || c.state == Ready || c.state == Faulted || len(d.cores) == 1)
		if there || d.over() && !d.ended {
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
	if err := d.find(); err != nil {
		return err
	}
	for _, id := range d.cores {
		switch c := &m.cores[id]; {
		case c.hart == nil:
			return sys.Errorf(syscall.ENXIO, "%s: nothing is loaded", m.coreName(id))
		case c.debug.attached():
			return sys.Errorf(syscall.EBUSY, "%s: another debugger holds it", m.coreName(id))
		}
	}
	d.told, d.held, d.last, d.ended = stopped, make(map[int32]bool), -1, false
	for _, id := range d.cores {
		d.join(&m.cores[id])
	}
	stopped(d.first())
	return nil
}

// first is what the cores are found in.
func (d *Debugger) first() gdb.Stop {
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
	if d.job != nil {
		return d.job.ended
	}
	return !slices.ContainsFunc(d.cores, func(id int32) bool {
		c := &d.m.cores[id]
		return c.live() || c.state == Ready
	})
}

func (d *Debugger) overStop() gdb.Stop {
	c, j := &d.m.cores[d.cores[0]], d.job
	if j == nil {
		j = c.job
	}
	if j != nil && j.ended {
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

// has reports whether a core is the debugger's. m.mu is held.
func (d *Debugger) has(c *core) bool { return c.debug != nil && c.debug.session == d }

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

// FLen is the width of the registers of floating point.
func (d *Debugger) FLen() int {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	switch has := d.m.extensions(int(d.cores[0])); {
	case has&isa.D != 0:
		return 64
	case has&isa.F != 0:
		return 32
	}
	return 0
}

// thread returns a core that the debugger may look at: it has what it debugs, or had
// it last. m.mu is held.
func (d *Debugger) thread(id int) (*core, error) {
	if !slices.Contains(d.cores, int32(id)) || d.m.cores[id].hart == nil {
		return nil, sys.Errorf(syscall.ESRCH, "no thread %d", id)
	}
	c := &d.m.cores[id]
	if d.job != nil && c.job != d.job {
		return nil, sys.Errorf(syscall.ESRCH, "the process has ended")
	}
	return c, nil
}

// Regs reads registers.
func (d *Debugger) Regs(id int, nums []int, vals []uint64) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	h := d.was[int32(id)]
	if h == nil {
		c, err := d.thread(id)
		if err != nil {
			return err
		}
		h = c.hart
	}
	for i, n := range nums {
		v, err := readRegister(h, n)
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
	return d.m.setRegister(c, num, val)
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
	case n == gdb.CSR0+csrFcsr && v > 0xff:
		return sys.Errorf(syscall.ERANGE, "0x%x is more than the 8 bits of fcsr", v)
	case !h.WriteCSR(uint16(n-gdb.CSR0), uint32(v)):
		return sys.Errorf(syscall.EINVAL, "register %d is only read", n)
	}
	return nil
}

// ReadMem reads memory as a thread sees it.
func (d *Debugger) ReadMem(id int, addr uint32, p []byte) (int, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.thread(id)
	if err != nil {
		return 0, err
	}
	return d.m.readMemory(c, p, addr)
}

// WriteMem writes memory as a thread sees it.
func (d *Debugger) WriteMem(id int, addr uint32, p []byte) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.thread(id)
	if err != nil {
		return err
	}
	return d.m.writeMemory(c, p, addr)
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

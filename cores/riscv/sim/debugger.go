package sim

import (
	"slices"
	"syscall"

	"warren/cores/riscv/gdb"
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
		if !d.has(c) {
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

// has reports whether a core is the debugger's. m.mu is held.
func (d *Debugger) has(c *core) bool { return c.debug != nil && c.debug.session == d }

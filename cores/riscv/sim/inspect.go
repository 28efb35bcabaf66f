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
		if c := &d.m.cores[id]; d.has(c) {
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

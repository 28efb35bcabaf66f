package sim

import (
	"strconv"
	"syscall"

	"warren/cores/riscv/gdb"
	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// Load loads an executable on cores on which no process runs, all or none. args
// are what it is started with.
func (m *Machine) Load(ids []int, image *Image) error {
	if len(ids) == 0 {
		return nil
	}
	p, err := m.prepare(image, ids[0])
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed()
	}
	p = m.sharedProgram(p)
	all := make(coreSet, len(ids))
	for _, id := range ids {
		all[int32(id)] = true
	}
	for _, id := range ids {
		if err := m.fits(int32(id), p, image, all); err != nil {
			return err
		}
	}
	cl := m.cleaner()
	for t, list := range m.byTile(numbers(ids)) {
		unused := !m.tileBusy(t) && !m.tileLoaded(t)
		for _, id := range list {
			cl.core(&m.cores[id])
		}
		if unused {
			cl.sram(t)
		}
	}
	cl.end()
	loaded := make([]start, len(ids))
	for i, id := range ids {
		loaded[i].c = &m.cores[id]
		m.install(loaded[i].c, p)
		loaded[i].c.image = image
	}
	m.fill(loaded)
	return nil
}

func numbers(ids []int) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// tileLoaded reports whether a core of the tile has a program that was not started.
func (m *Machine) tileLoaded(t int32) bool {
	list := m.tileCores(t)
	for i := range list {
		if list[i].state == Ready {
			return true
		}
	}
	return false
}

// Run starts what was loaded on cores as one process of these cores, and lets
// those go on that were halted. Nothing is done if one of them has nothing to run.
func (m *Machine) Run(ids []int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed()
	}
	var ready []int32
	for _, id := range ids {
		switch c := &m.cores[id]; c.state {
		case Ready, Halted:
			if c.debug.attached() {
				return sys.Errorf(syscall.EBUSY, "run: a debugger holds core %d", m.shown(int32(id)))
			}
			if c.state == Ready {
				ready = append(ready, c.id)
			}
		case Running, Parked:
		case Idle:
			return sys.Errorf(syscall.ENXIO, "run: nothing is loaded on core %d (load FILE first)", m.shown(int32(id)))
		default:
			return sys.Errorf(syscall.ESRCH, "run: core %d has %s (load FILE again)", m.shown(int32(id)), c.state)
		}
	}
	if len(ready) > 0 {
		m.startOn(ready)
	}
	for _, id := range ids {
		c := &m.cores[id]
		if c.state == Halted {
			d := c.debugging()
			d.past = d.rv.Breaks[c.hart.PC]
			m.letGo(c)
		}
	}
	return nil
}

// startOn starts loaded cores as one process without files. m.mu is held.
func (m *Machine) startOn(ids []int32) {
	j := &Job{m: m, name: "core/" + strconv.Itoa(m.shown(ids[0])), cores: ids, live: len(ids), eof: true, done: make(chan struct{})}
	m.jobs[j] = struct{}{}
	begun := make([]start, len(ids))
	for rank, id := range ids {
		begun[rank] = start{&m.cores[id], m.cores[id].image}
		if begun[rank].image == nil {
			begun[rank].image = new(Image)
		}
	}
	m.push(begun)
	for rank := range begun {
		m.enter(begun[rank].c, j, int32(rank))
	}
	m.noteStart(j)
}

func (m *Machine) startAlone(c *core) { m.startOn([]int32{c.id}) }

// Halt stops cores where they are; those that do not run stay as they are.
func (m *Machine) Halt(ids []int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if c := &m.cores[id]; c.debug.attached() && (c.state == Running || c.state == Parked) {
			return sys.Errorf(syscall.EBUSY, "stop: a debugger holds core %d (its gdb stops it)", m.shown(c.id))
		}
	}
	for _, id := range ids {
		m.hold(&m.cores[id])
	}
	m.tellWaiters()
	return nil
}

// Step lets cores that were loaded or halted run n instructions.
func (m *Machine) Step(ids []int, n uint64) error {
	if n == 0 {
		return sys.Errorf(syscall.EINVAL, "step: want at least 1 instruction")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		switch c := &m.cores[id]; {
		case c.state == Idle:
			return sys.Errorf(syscall.ENXIO, "step: nothing is loaded on core %d (load FILE first)", m.shown(int32(id)))
		case c.state == Exited, c.state == Faulted:
			return sys.Errorf(syscall.ESRCH, "step: core %d has %s (load FILE again)", m.shown(int32(id)), c.state)
		case c.state != Ready && c.state != Halted:
			return sys.Errorf(syscall.EBUSY, "step: core %d is %s (stop halts it)", m.shown(int32(id)), c.state)
		case c.debug.attached():
			return sys.Errorf(syscall.EBUSY, "step: a debugger holds core %d", m.shown(int32(id)))
		}
	}
	for _, id := range ids {
		c := &m.cores[id]
		if c.state == Ready {
			m.startAlone(c)
			m.hold(c)
		}
		m.letGo(c)
		d := c.debugging()
		d.steps, d.past = n, true
	}
	return nil
}

// Break sets a breakpoint at an address (0x80000010) or symbol (main) of what is
// loaded on cores.
func (m *Machine) Break(ids []int, where string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := make([]uint32, len(ids))
	for i, id := range ids {
		addr, err := m.address(&m.cores[id], where)
		if err != nil {
			return err
		}
		at[i] = addr
	}
	for i, id := range ids {
		if d := m.cores[id].debug; d != nil && len(d.ctl) >= maxBreaks && d.ctl[at[i]] == "" {
			return sys.Errorf(syscall.ENOSPC, "break: core %d has %d breakpoints (break none removes them)", m.shown(int32(id)), maxBreaks)
		}
	}
	for i, id := range ids {
		c := &m.cores[id]
		d := c.debugging()
		if d.ctl == nil {
			d.ctl = make(map[uint32]string)
		}
		d.ctl[at[i]] = where
		m.setBreaks(c)
	}
	return nil
}

// maxBreaks bounds the breakpoints of a core's ctl.
const maxBreaks = 1024

// NoBreaks removes all breakpoints of cores.
func (m *Machine) NoBreaks(ids []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if c := &m.cores[id]; c.debug != nil {
			c.debug.ctl = nil
			m.setBreaks(c)
		}
	}
}

func (m *Machine) address(c *core, where string) (uint32, error) {
	if c.prog == nil {
		return 0, sys.Errorf(syscall.ENXIO, "break: nothing is loaded on core %d (load FILE first)", m.shown(c.id))
	}
	if n, err := strconv.ParseUint(where, 0, 32); err == nil {
		if n%2 != 0 {
			return 0, sys.Errorf(syscall.EINVAL, "break: want an even address, not %s", where)
		}
		return uint32(n), nil
	}
	if addr, ok := c.prog.exe.Addr(where); ok {
		return addr, nil
	}
	return 0, sys.Errorf(syscall.ENOENT, "break: the program of core %d has no symbol %q (want one, or an address such as 0x80000010)", m.shown(c.id), where)
}

// Reset makes cores what they were before anything was loaded: EBUSY where a
// process of procs runs.
func (m *Machine) Reset(ids []int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		c := &m.cores[id]
		switch {
		case c.job != nil && !c.job.ended && c.job.write != nil:
			return sys.Errorf(syscall.EBUSY, "reset: core %d runs %s (kill it in procs)", m.shown(int32(id)), c.job.name)
		case c.debug.attached():
			return sys.Errorf(syscall.EBUSY, "reset: a debugger holds core %d", m.shown(int32(id)))
		}
	}
	for _, id := range ids {
		if j := m.cores[id].job; j != nil && !j.ended {
			m.logJob(j, "signal", "9")
			m.endJob(j, Exit{Signal: int(syscall.SIGKILL)})
		}
	}
	m.vacate(numbers(ids))
	return nil
}

// csrFcsr is the number of fcsr.
const csrFcsr = 3

// number is gdb's for the register at a place of cores.Registers: pc, x1 to
// x31, f0 to f31, fcsr.
func number(i int) int {
	switch {
	case i == 0:
		return gdb.PC
	case i < 32:
		return i
	case i < 64:
		return gdb.F0 + i - 32
	}
	return gdb.CSR0 + csrFcsr
}

// Register reads a register of a core. ENXIO if nothing is loaded.
func (m *Machine) Register(id, reg int) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	if c.hart == nil {
		return 0, m.nothingLoaded(id)
	}
	return readRegister(c.hart, number(reg))
}

func (m *Machine) nothingLoaded(id int) error {
	return sys.Errorf(syscall.ENXIO, "nothing is loaded on core %d (load FILE in its ctl)", m.shown(int32(id)))
}

// SetRegister sets a register of a core: ENXIO if nothing is loaded, ERANGE for more
// bits than it has, EBUSY while the core waits in a call.
func (m *Machine) SetRegister(id, reg int, v uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	if c.hart == nil {
		return m.nothingLoaded(id)
	}
	if wide := reg >= 32 && reg < 64; !wide && v > 1<<32-1 {
		return sys.Errorf(syscall.ERANGE, "0x%x is more than 32 bits", v)
	}
	if m.log.replaying() {
		return errReplays("regs")
	}
	if err := m.setRegister(c, number(reg), v); err != nil {
		return err
	}
	m.logReg(c, number(reg), v)
	return nil
}

// errReplays is for what files would give to a machine meanwhile.
func errReplays(file string) error {
	return sys.Errorf(syscall.EBUSY, "%s: the machine replays a record, which is its only input until it ends", file)
}

// setRegister sets a register, by gdb's number, of a core that has a program. One that
// is parked in a call has its arguments in them, and comes back from it by pc: EBUSY
// for any other value. m.mu is held.
func (m *Machine) setRegister(c *core, n int, v uint64) error {
	if c.state == Parked || c.state == Halted && c.resume == Parked {
		if now, err := readRegister(c.hart, n); err != nil || now == v {
			return err
		}
		return sys.Errorf(syscall.EBUSY, "core %d waits in a call (%s): its registers are the call's until that is done", m.shown(c.id), m.waitText(c, m.castOf(c)))
	}
	return writeRegister(c.hart, n, v)
}

// ReadMemory reads memory as a core sees it, as far as there is some. EFAULT if
// there is none at addr.
func (m *Machine) ReadMemory(id int, p []byte, addr uint32) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readMemory(&m.cores[id], p, addr)
}

func (m *Machine) readMemory(c *core, p []byte, addr uint32) (int, error) {
	for _, w := range m.windows(c) {
		if off := addr - w.Base; uint64(off) < uint64(len(w.Mem)) {
			return copy(p, w.Mem[off:]), nil
		}
	}
	return 0, m.noMemory(int(c.id), addr)
}

// windows are what a core sees, also when nothing is loaded.
func (m *Machine) windows(c *core) []rv.Window {
	if c.hart != nil {
		return c.hart.Win[:]
	}
	private, _ := m.private(c)
	return []rv.Window{{Base: PrivateBase, Mem: private}, {Base: m.sramBase(c.tile), RO: m.tiles[c.tile].ro, Mem: m.sram(c.tile)}}
}

func (m *Machine) noMemory(id int, addr uint32) error {
	k := &m.spec.Kinds[m.spec.Tiles[m.cores[id].tile].Kind]
	return sys.Errorf(syscall.EFAULT, "core %d has no memory at 0x%x: program memory is 0x%x-0x%x, SRAM 0x%x-0x%x (%d bytes)",
		m.shown(int32(id)), addr, uint32(PrivateBase), uint64(PrivateBase)+uint64(k.PrivateSize)-1, k.SRAMBase, uint64(k.SRAMBase)+uint64(k.SRAMSize)-1, k.SRAMSize)
}

// WriteMemory writes memory as a core sees it: all or, with an error, nothing.
// EPERM for text and constants.
func (m *Machine) WriteMemory(id int, p []byte, addr uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.replaying() {
		return errReplays("mem")
	}
	c := &m.cores[id]
	if err := m.writeMemory(c, p, addr); err != nil {
		return err
	}
	m.logMem(c, addr, p)
	return nil
}

func (m *Machine) writeMemory(c *core, p []byte, addr uint32) error {
	for i, w := range m.windows(c) {
		off := addr - w.Base
		if uint64(off)+uint64(len(p)) > uint64(len(w.Mem)) {
			continue
		}
		if off < w.RO {
			return sys.Errorf(syscall.EPERM, "core %d: 0x%x is text or a constant, up to 0x%x, and is not written (load another program)", m.shown(c.id), addr, w.Base+w.RO-1)
		}
		copy(w.Mem[off:], p)
		if i == 0 {
			c.written = true
		} else {
			m.tiles[c.tile].written = true
		}
		m.syncTile(c.tile)
		if m.tileBusy(c.tile) { // another core of the tile may wait for the word
			m.tiles[c.tile].dirty.Store(true)
			m.wake(c.tile)
		}
		return nil
	}
	return m.noMemory(int(c.id), addr)
}

// syncTile makes the cores of a tile execute what their memories have now.
func (m *Machine) syncTile(t int32) {
	list := m.tileCores(t)
	for i := range list {
		if h := list[i].hart; h != nil {
			h.SyncCode()
		}
	}
}

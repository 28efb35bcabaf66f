package riscv

import (
	"fmt"
	"syscall"

	"warren/cores"
	"warren/cores/riscv/gdb"
	"warren/cores/riscv/sim"
	"warren/fs/sys"
)

// Simulated reports whether it is one of the machine's cores: all are simulated.
func (d *Driver) Simulated(id cores.ID) bool { return d.has(id) }

// Select returns the cores that an expression means, in which cores have the
// numbers that are shown.
func (d *Driver) Select(expr string) (cores.Set, error) {
	list, err := d.m.Spec().SelectFrom(d.first, expr)
	if err != nil {
		return nil, err
	}
	set := make(cores.Set, len(list))
	for i, id := range list {
		set[i] = cores.ID(id)
	}
	return set, nil
}

func ints(set cores.Set) []int {
	out := make([]int, len(set))
	for i, id := range set {
		out[i] = int(id)
	}
	return out
}

// AppendHart appends what a core does.
func (d *Driver) AppendHart(b []byte, id cores.ID) []byte { return d.m.AppendHart(b, int(id)) }

// AppendFault appends why a core faulted.
func (d *Driver) AppendFault(b []byte, id cores.ID) []byte { return d.m.AppendFault(b, int(id)) }

// AppendMap appends what lies where in the memory of a core.
func (d *Driver) AppendMap(b []byte, id cores.ID) []byte { return d.m.AppendMap(b, int(id)) }

// AppendRing appends the waypoints that a core set last.
func (d *Driver) AppendRing(b []byte, id cores.ID) []byte { return d.m.AppendRing(b, int(id)) }

// AppendBlocked appends a line for each core that waits for something.
func (d *Driver) AppendBlocked(b []byte) []byte { return d.m.AppendBlocked(b) }

// AppendTime appends the machine's time.
func (d *Driver) AppendTime(b []byte) []byte {
	cycles, epochs := d.m.Now()
	return fmt.Appendf(b, "cycles %d\nepochs %d\nquantum %d\n", cycles, epochs, d.m.Quantum())
}

// Register reads a register of a core.
func (d *Driver) Register(id cores.ID, reg int) (uint64, error) { return d.m.Register(int(id), reg) }

// SetRegister sets a register of a core.
func (d *Driver) SetRegister(id cores.ID, reg int, value uint64) error {
	return d.m.SetRegister(int(id), reg, value)
}

// ReadMemory reads memory as the core sees it.
func (d *Driver) ReadMemory(id cores.ID, p []byte, addr uint32) (int, error) {
	return d.m.ReadMemory(int(id), p, addr)
}

// WriteMemory writes memory as the core sees it.
func (d *Driver) WriteMemory(id cores.ID, p []byte, addr uint32) error {
	return d.m.WriteMemory(int(id), p, addr)
}

// LoadProgram loads an executable on cores, with its arguments.
func (d *Driver) LoadProgram(u *sys.User, on cores.Set, args []string) error {
	for _, id := range on {
		if !d.Online(id) {
			return sys.Errorf(syscall.EBUSY, "load: core %d is offline", d.shown(id))
		}
	}
	elf, err := readAs(u, "/", args[0], maxELF)
	if err != nil {
		return err
	}
	return d.m.Load(ints(on), &sim.Image{ELF: elf, Args: args})
}

// RunLoaded starts what was loaded, as one process of these cores, or lets
// halted cores go on.
func (d *Driver) RunLoaded(on cores.Set) error { return d.m.Run(ints(on)) }

// Halt stops cores where they are.
func (d *Driver) Halt(on cores.Set) error {
	return d.m.Halt(ints(on))
}

// Step runs n instructions on each core.
func (d *Driver) Step(on cores.Set, n uint64) error { return d.m.Step(ints(on), n) }

// Break sets a breakpoint; "none" removes all.
func (d *Driver) Break(on cores.Set, where string) error {
	if where == "none" {
		d.m.NoBreaks(ints(on))
		return nil
	}
	return d.m.Break(ints(on), where)
}

// Breaks are the breakpoints of a core.
func (d *Driver) Breaks(id cores.ID) []string { return d.m.Breaks(int(id)) }

// Reset makes cores what they were before anything was loaded.
func (d *Driver) Reset(on cores.Set) error { return d.m.Reset(ints(on)) }

// Cons opens the console of a core.
func (d *Driver) Cons(id cores.ID) cores.Port { return d.m.Cons(int(id)) }

// Console opens the console of the machine.
func (d *Driver) Console() cores.Port { return d.m.Console() }

// Chan opens a channel of a core.
func (d *Driver) Chan(id cores.ID, channel int, write bool) cores.Port {
	return d.m.Chan(int(id), uint8(channel), write)
}

// Ended opens the stream that tells how a core stopped.
func (d *Driver) Ended(id cores.ID) cores.Port { return d.m.Ended(int(id)) }

// Debug opens a debugger's session with a core.
func (d *Driver) Debug(id cores.ID) (cores.Port, error) {
	return session{gdb.New(d.m.Debugger(int(id)))}, nil
}

// Debug opens a debugger's session with all cores of the program.
func (j *job) Debug() (cores.Port, error) {
	if err := j.job.Alive(); err != nil {
		return nil, err
	}
	d, err := j.job.Debugger()
	if err != nil {
		return nil, err
	}
	return session{gdb.New(d)}, nil
}

// session is a debugger's session as a file.
type session struct{ *gdb.Session }

// Put passes bytes of gdb on.
func (s session) Put(c sys.Call, p []byte) {
	if _, err := s.Write(p); err != nil {
		c.Fail(err)
		return
	}
	c.Done(len(p))
}

// Close ends the session.
func (s session) Close() { s.Session.Close() }

// Quantum is the cycles of an epoch.
func (d *Driver) Quantum() uint64 { return d.m.Quantum() }

// SetQuantum sets the cycles of an epoch.
func (d *Driver) SetQuantum(q uint64) error { return d.m.SetQuantum(q) }

// maxSnapshot bounds a snapshot that is read, in bytes.
const maxSnapshot = 1 << 30

// Snapshot writes the state of the whole machine to a file.
func (d *Driver) Snapshot(u *sys.User, file string) error {
	b, err := d.m.Snapshot()
	if err != nil {
		return err
	}
	return writeAs(u, file, b)
}

// Restore makes the machine what a snapshot says.
func (d *Driver) Restore(u *sys.User, file string) error {
	b, err := readAs(u, "/", file, maxSnapshot)
	if err != nil {
		return err
	}
	return d.m.Restore(b)
}

// record is where inputs are kept, and for whom.
type record struct {
	user *sys.User
	file string
	done []byte // the record, ended, that could not be written yet
}

// waysOut are what can be done about a record that could not be written.
const waysOut = "record off tries again, record off FILE elsewhere, record drop gives it up"

// Record begins a record.
func (d *Driver) Record(u *sys.User, file string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch old := d.record; {
	case old.done != nil:
		return sys.Errorf(syscall.EBUSY, "record: %s has ended and could not be written (%s)", old.file, waysOut)
	case file == old.file:
		return nil
	case old.file != "":
		return sys.Errorf(syscall.EBUSY, "record: %s is being recorded (record off ends that)", old.file)
	}
	if err := writableAs(u, file); err != nil { // most of what cannot be written is told now
		return err
	}
	d.record = record{user: u, file: file}
	d.m.Record(true)
	return nil
}

// EndRecord ends the record and writes it to its file, or to another, for this user. If
// that fails it is kept, to be written when it is ended again.
func (d *Driver) EndRecord(u *sys.User, file string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &d.record
	switch {
	case r.file == "" && file == "":
		return nil
	case r.file == "":
		return sys.Errorf(syscall.EINVAL, "record: nothing is being recorded")
	}
	return d.endRecord(u, file)
}

func (d *Driver) endRecord(u *sys.User, file string) error {
	r := &d.record
	if r.done == nil {
		r.done = d.m.Record(false)
	}
	if file == "" {
		u, file = r.user, r.file
	}
	if err := writeAs(u, file, r.done); err != nil {
		return sys.Errorf(sys.Errno(err), "record: %v (it has ended and is kept: %s)", err, waysOut)
	}
	d.record = record{}
	return nil
}

// DropRecord ends the record and writes nothing; its file is left as it is.
func (d *Driver) DropRecord() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.record.file != "" && d.record.done == nil {
		d.m.Record(false)
	}
	d.record = record{}
}

// Recording is the file that a record goes to; "": none.
func (d *Driver) Recording() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.record.file
}

// maxRecord bounds the file of a record, in bytes: more than sim keeps.
const maxRecord = 300 << 20

// Replay gives the machine the inputs of a record.
func (d *Driver) Replay(u *sys.User, file string) error {
	b, err := readAs(u, "/", file, maxRecord)
	if err != nil {
		return err
	}
	return d.m.Replay(b)
}

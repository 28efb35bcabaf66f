package sim

import (
	"crypto/sha256"
	"fmt"
	"syscall"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A roleRun is what the cores of a role run.
type roleRun struct {
	p     *program
	image *Image
}

// roleRuns finds out what the cores of a job run: once for each role, and with one
// program for all that have the same.
type roleRuns struct {
	m       *Machine
	image   func(role string) (*Image, error)
	prepare func(image *Image, id int) (*program, error)
	byRole  map[string]roleRun
	bySum   map[[32]byte]*program
}

func (m *Machine) runs(image func(role string) (*Image, error), prepare func(*Image, int) (*program, error)) *roleRuns {
	return &roleRuns{m, image, prepare, make(map[string]roleRun), make(map[[32]byte]*program)}
}

// on is what a core runs.
func (r *roleRuns) on(id int) (roleRun, error) {
	role := r.m.spec.Role(id)
	run, ok := r.byRole[role]
	if ok {
		return run, nil
	}
	var err error
	if run.image, err = r.image(role); err != nil {
		return run, err
	}
	sum := sha256.Sum256(run.image.ELF)
	if run.p = r.bySum[sum]; run.p != nil {
		_, err = run.p.decode(r.m.extensions(id))
	} else {
		run.p, err = r.prepare(run.image, id)
	}
	if err != nil {
		return run, err
	}
	r.bySum[sum] = run.p
	r.byRole[role] = run
	return run, nil
}

// share takes the programs that cores have already: others may have begun while
// these were prepared. m.mu is held.
func (r *roleRuns) share() {
	for role, run := range r.byRole {
		run.p = r.m.sharedProgram(run.p)
		r.byRole[role] = run
	}
}

// clash says why programs that are to begin together cannot. m.mu is held, and
// all of the cores were asked for before.
func (r *roleRuns) clash(ids []int32) error {
	if len(r.bySum) < 2 {
		return nil
	}
	return r.m.clashWithin(ids, func(i int) *program { return r.byRole[r.m.spec.Role(int(ids[i]))].p })
}

// A coreSet is cores that a program is loaded on at once, each true.
type coreSet map[int32]bool

// fits says why a program cannot be loaded on a core, one of ids, where it is
// loaded at once. m.mu is held.
func (m *Machine) fits(id int32, p *program, image *Image, ids coreSet) error {
	c := &m.cores[id]
	if c.job != nil && !c.job.ended {
		return m.taken(c)
	}
	return m.fitsThere(id, p, image, ids)
}

// taken is the error that a core runs something already.
func (m *Machine) taken(c *core) error {
	id, job := m.shown(c.id), c.job
	if job.write == nil { // as its ctl said, or a snapshot
		return sys.Errorf(syscall.EBUSY, "core %d runs %s, which is no process of procs (reset in its ctl ends that; on SET keeps off it)", id, job.name)
	}
	return sys.Errorf(syscall.EBUSY, "core %d runs %s (a process: kill it, or take other cores)", id, job.name)
}

// fitsThere says why a core's memory cannot take a program. What is on the cores
// of ids is to go; nil: all that is on any.
func (m *Machine) fitsThere(id int32, p *program, image *Image, ids coreSet) error {
	c := &m.cores[id]
	name := "the program"
	if len(image.Args) > 0 {
		name = image.Args[0]
	}
	if err := m.lacking(c, p, name); err != nil {
		return err
	}
	kind := &m.spec.Kinds[m.spec.Tiles[c.tile].Kind]
	stack := 0
	for _, s := range [][]string{image.Args, image.Env} {
		for _, word := range s {
			stack += len(word) + 5
		}
	}
	for _, s := range p.exe.Segments {
		private := inRange(s.Addr, s.MemSize, PrivateBase, kind.PrivateSize)
		if !private && !inRange(s.Addr, s.MemSize, kind.SRAMBase, kind.SRAMSize) {
			return sys.Errorf(syscall.ENOMEM, "core %d (%s) has no memory at 0x%x-0x%x, where the program is to lie: program memory is 0x%x-0x%x, SRAM 0x%x-0x%x (build it with warren cc)",
				m.shown(id), m.spec.Role(int(id)), s.Addr, uint64(s.Addr)+uint64(s.MemSize)-1, uint32(PrivateBase), uint64(PrivateBase)+uint64(kind.PrivateSize)-1, kind.SRAMBase, uint64(kind.SRAMBase)+uint64(kind.SRAMSize)-1)
		}
		if private && uint64(s.Addr-PrivateBase)+uint64(s.MemSize)+uint64(stack)+leastStack > uint64(kind.PrivateSize) {
			return sys.Errorf(syscall.ENOMEM, "core %d: the program ends at 0x%x, which leaves less than %d bytes of its %d for the stack", m.shown(id), uint64(s.Addr)+uint64(s.MemSize), leastStack, kind.PrivateSize)
		}
		if !private && ids != nil {
			if err := m.clash(c, p, s, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastStack is the stack that a program must have room for.
const leastStack = 1024

func inRange(addr, n, base, size uint32) bool {
	off := uint64(addr - base)
	return off+uint64(n) <= uint64(size)
}

// tileBusy reports whether a job that has begun and not ended has a core in the tile.
func (m *Machine) tileBusy(t int32) bool {
	list := m.tileCores(t)
	for i := range list {
		if j := list[i].job; j != nil && !j.ended && !j.held {
			return true
		}
	}
	return false
}

// install makes a program that of a core, which was reset: what is left to do is
// to fill its program memory. m.mu is held.
func (m *Machine) install(c *core, p *program) {
	if p.users == 0 {
		m.programs[p.sum] = p
	}
	p.users++
	h := new(rv.Hart)
	private, _ := m.private(c)
	h.Win[0] = rv.Window{Base: PrivateBase, Mem: private}
	h.Win[1] = rv.Window{Base: m.sramBase(c.tile), Mem: m.sram(c.tile)}
	h.ID, h.Image = uint32(c.id), p.image(m.extensions(int(c.id)))
	c.hart, c.prog = h, p
	for _, s := range p.exe.Segments {
		if inRange(s.Addr, s.MemSize, PrivateBase, uint32(len(private))) {
			continue
		}
		b, _ := m.at(c, s.Addr, int(s.MemSize))
		n := copy(b, s.Data)
		clear(b[n:])
		m.shared(c.tile).lay(part{addr: s.Addr, size: s.MemSize, what: fmt.Sprintf("program (core %d)", m.shown(c.id)), prog: p, text: p.constant(s, uint32(len(private)))})
	}
	m.protectProgram(c, h, p)
	h.Win[1].RO = m.tiles[c.tile].ro
	c.account = &account{core: c.id}
	c.state, c.resume = Ready, Ready
	h.PC = p.exe.Entry
	h.X[2] = PrivateBase + uint32(len(private))
	c.brk = p.exe.End()
	m.publish(c)
}

// protectProgram makes what a program must not change read-only.
func (m *Machine) protectProgram(c *core, h *rv.Hart, p *program) {
	size := uint32(len(h.Win[0].Mem))
	for _, s := range p.exe.Segments { // by address
		switch private := inRange(s.Addr, s.MemSize, PrivateBase, size); {
		case !p.constant(s, size):
		case private:
			h.Win[0].RO = s.Addr + s.MemSize - PrivateBase
		default:
			m.protect(c.tile)
		}
	}
}

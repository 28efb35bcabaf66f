package sim

import (
	"maps"
	"slices"
	"syscall"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A lost rank is what a core ran that its job gave away, with its memory.
type lost struct {
	was     core // the fields that a rank takes along
	private []byte
	ro      uint32
}

// Alive fails with ESRCH if the job has ended.
func (j *Job) Alive() error {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	return j.alive()
}

func (j *Job) alive() error {
	if j.ended {
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	}
	return nil
}

// Place says which cores the ranks of a job have: all that are named run on
// that core, new ranks begin at the program's entry, and ranks that are not
// named lose their cores. A rank takes its program memory along, and its
// messages, but not what it keeps in its tile's SRAM. Nothing changes on an
// error: EBUSY where something else runs or a debugger holds a core, ENOMEM
// where the program does not fit.
func (j *Job) Place(ranks map[int]int) error {
	m := j.m
	if err := j.fetch(ranks); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	order := slices.Sorted(maps.Keys(ranks))
	next := len(j.cores)
	for _, rank := range order {
		if rank > next || rank < 0 {
			return sys.Errorf(syscall.EINVAL, "cores: rank %d would come before %d", rank, next)
		}
		next = max(next, rank+1)
	}
	if err := j.mayMove(ranks); err != nil {
		return err
	}
	for rank, id := range j.cores {
		if to, ok := ranks[rank]; id >= 0 && (!ok || to != int(id)) {
			m.lose(j, rank)
		}
	}
	for _, rank := range order {
		m.gain(j, rank, int32(ranks[rank]))
	}
	m.redirect()
	m.input()
	m.thaw(j)
	m.start()
	return nil
}

// fetch has the executables read that new ranks may need, before locks are taken.
func (j *Job) fetch(ranks map[int]int) error {
	for _, id := range ranks {
		if id < 0 || id >= len(j.m.cores) {
			return sys.Errorf(syscall.ENXIO, "no core %d", j.m.shown(int32(id)))
		}
		if j.image == nil {
			return sys.Errorf(syscall.EOPNOTSUPP, "%s stays on its cores", j.name)
		}
		if _, err := j.image(j.m.spec.Role(id)); err != nil {
			return err
		}
	}
	return nil
}

// mayMove says why ranks cannot have these cores.
func (j *Job) mayMove(ranks map[int]int) error {
	m := j.m
	for rank, id := range j.cores {
		if to, ok := ranks[rank]; id >= 0 && (!ok || to != int(id)) && m.cores[id].debug.attached() {
			return sys.Errorf(syscall.EBUSY, "a debugger holds core %d", m.shown(id))
		}
	}
	seen := make(map[int]bool, len(ranks))
	for rank, id := range ranks {
		if seen[id] {
			return sys.Errorf(syscall.EINVAL, "core %d is named twice", m.shown(int32(id)))
		}
		seen[id] = true
		c := &m.cores[id]
		if c.job != nil && !c.job.ended && c.job != j {
			return sys.Errorf(syscall.EBUSY, "core %d runs %s", m.shown(int32(id)), c.job.name)
		}
		if c.debug.attached() && c.job != j {
			return sys.Errorf(syscall.EBUSY, "a debugger holds core %d", m.shown(int32(id)))
		}
		var err error
		switch {
		case j.lost[rank] != nil:
			err = m.mayGo(&j.lost[rank].was, len(j.lost[rank].private), c)
		case rank >= len(j.cores) || j.cores[rank] < 0:
			err = j.mayBegin(c)
		case int(j.cores[rank]) != id:
			from := &m.cores[j.cores[rank]]
			private, _ := m.private(from)
			err = m.mayGo(from, len(private), c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayBegin says why a new rank cannot begin on a core.
func (j *Job) mayBegin(c *core) error {
	image, err := j.image(j.m.spec.Role(int(c.id)))
	if err != nil {
		return err
	}
	p, err := j.m.preparedLocked(image.ELF)
	if err != nil {
		return err
	}
	return j.m.fitsThere(c.id, p, image)
}

// mayGo says why what a core runs, with so much program memory, cannot go on on another.
func (m *Machine) mayGo(from *core, size int, to *core) error {
	private, _ := m.private(to)
	if len(private) != size {
		return sys.Errorf(syscall.ENOMEM, "core %d has %d bytes of program memory, and what is to go on there has %d", m.shown(to.id), len(private), size)
	}
	for _, s := range from.prog.exe.Segments {
		if !inRange(s.Addr, s.MemSize, PrivateBase, uint32(size)) {
			return sys.Errorf(syscall.ENOMEM, "core %d: a program that lies in its tile's SRAM (0x%x) stays there", m.shown(to.id), s.Addr)
		}
	}
	return nil
}

// lose takes a rank off its core. m.mu is held.
func (m *Machine) lose(j *Job, rank int) {
	c := &m.cores[j.cores[rank]]
	private, _ := m.private(c)
	l := &lost{private: slices.Clone(private), ro: c.hart.Win[0].RO}
	l.was.take(c)
	l.was.account.core = -1
	if j.lost == nil {
		j.lost = make(map[int]*lost)
	}
	j.lost[rank] = l
	j.cores[rank] = -1
	j.askers = slices.DeleteFunc(j.askers, func(id int32) bool { return id == c.id })
	c.prog.users++ // the rank's
	m.reset(c)
	m.tiles[c.tile].dirty.Store(true) // others may have waited for it
	m.wake(c.tile)
}

// take makes the core go on with what another did.
func (c *core) take(from *core) {
	c.state, c.resume, c.wait = from.state, from.resume, from.wait
	c.asked, c.met, c.csr, c.answered, c.answer = from.asked, from.met, from.csr, from.answered, from.answer
	c.hart, c.prog, c.account = from.hart, from.prog, from.account
	c.code, c.brk, c.since, c.until, c.began = from.code, from.brk, from.since, from.until, from.began
	c.seq, c.sent = from.seq, from.sent
	c.mark, c.marks, c.ring = from.mark, from.marks, from.ring
	from.account = nil
	if from.boxes == nil {
		return
	}
	for n := range from.boxes { // the files of its channels stay where they are
		old := &from.boxes[n]
		if len(old.in)+len(old.out) == 0 {
			continue
		}
		b := c.box(uint8(n))
		b.in, b.accepted, b.bytes, b.out = old.in, old.accepted, old.bytes, old.out
		old.empty()
	}
}

// gain gives a rank a core. m.mu is held, and mayMove found nothing against it.
func (m *Machine) gain(j *Job, rank int, id int32) {
	if rank < len(j.cores) && j.cores[rank] == id {
		return
	}
	c := &m.cores[id]
	l := j.lost[rank]
	if l == nil {
		m.begin(j, rank, c)
		return
	}
	delete(j.lost, rank)
	m.reset(c)
	c.take(&l.was)
	c.account.core = id
	c.hart.ID = uint32(id)
	private, _ := m.private(c)
	copy(private, l.private)
	c.hart.Win[0] = rv.Window{Base: PrivateBase, RO: l.ro, Mem: private}
	c.hart.Win[1] = rv.Window{Base: m.sramBase(c.tile), RO: m.tiles[c.tile].ro, Mem: m.sram(c.tile)}
	c.job, c.rank = j, int32(rank)
	j.cores[rank] = id
	if c.state == Parked && c.wait == forTime {
		m.addSleepers(id)
	}
	if c.parkedFor(forInput) {
		j.askers = append(j.askers, id)
	}
	m.servePorts(c)
	m.publish(c)
}

// begin starts a new rank of a job.
func (m *Machine) begin(j *Job, rank int, c *core) {
	image, err := j.image(m.spec.Role(int(c.id)))
	if err != nil {
		return // mayMove has read it
	}
	p, err := m.preparedLocked(image.ELF)
	if err != nil {
		return // mayMove has prepared it
	}
	m.reset(c)
	if !m.tileBusy(c.tile) && !m.tileLoaded(c.tile) {
		m.clearSRAM(c.tile)
	}
	m.put(c, p)
	for len(j.cores) <= rank {
		j.cores = append(j.cores, -1)
	}
	j.cores[rank] = c.id
	j.live++
	m.enter(c, j, int32(rank), image)
}

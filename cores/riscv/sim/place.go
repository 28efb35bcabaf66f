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
	was    core // the fields that a rank takes along
	memory []savedPage
	size   int // of its program memory
	ro     uint32
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
	var fresh []int32 // the cores of new ranks, in order
	for _, rank := range order {
		if rank > next || rank < 0 {
			return sys.Errorf(syscall.EINVAL, "cores: rank %d would come before %d", rank, next)
		}
		if rank == next {
			fresh = append(fresh, int32(ranks[rank]))
		}
		next = max(next, rank+1)
	}
	runs := m.runs(j.image, m.preparedLocked)
	if err := j.mayMove(ranks); err != nil {
		return err
	}
	if err := m.mayBegin(fresh, runs); err != nil {
		return err
	}
	cl := m.cleaner()
	for rank, id := range j.cores {
		if to, ok := ranks[rank]; id >= 0 && (!ok || to != int(id)) {
			m.lose(j, rank, cl)
		}
	}
	cl.end()
	j.askers = slices.DeleteFunc(j.askers, func(id int32) bool { return m.cores[id].job != j })
	for _, rank := range order {
		if j.lost[rank] != nil {
			m.gain(j, rank, int32(ranks[rank]))
		}
	}
	m.begin(j, fresh, runs)
	m.redirect()
	m.input()
	m.thaw(j)
	m.start()
	return nil
}

// fetch has the executables read that new ranks may need, before locks are taken.
func (j *Job) fetch(ranks map[int]int) error {
	known := make(map[string]bool)
	for _, id := range ranks {
		if id < 0 || id >= len(j.m.cores) {
			return sys.Errorf(syscall.ENXIO, "no core %d", j.m.shown(int32(id)))
		}
		if j.image == nil {
			return sys.Errorf(syscall.EOPNOTSUPP, "%s stays on its cores", j.name)
		}
		role := j.m.spec.Role(id)
		if known[role] {
			continue
		}
		known[role] = true
		if _, err := j.image(role); err != nil {
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
			return sys.Errorf(syscall.EBUSY, "a debugger holds core %d (its gdb detaches first)", m.shown(id))
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
			return m.taken(c)
		}
		if c.debug.attached() && c.job != j {
			return sys.Errorf(syscall.EBUSY, "a debugger holds core %d (its gdb detaches first)", m.shown(int32(id)))
		}
		var err error
		switch {
		case j.lost[rank] != nil:
			err = m.mayGo(&j.lost[rank].was, j.lost[rank].size, c)
		case rank < len(j.cores) && j.cores[rank] >= 0 && int(j.cores[rank]) != id:
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

// mayBegin says why new ranks cannot begin on these cores.
func (m *Machine) mayBegin(fresh []int32, runs *roleRuns) error {
	for _, id := range fresh {
		run, err := runs.on(int(id))
		if err != nil {
			return err
		}
		if err := m.fitsThere(id, run.p, run.image, coreSet{id: true}); err != nil {
			return err
		}
	}
	return runs.clash(fresh)
}

// mayGo says why what a core runs, with so much program memory, cannot go on on another.
func (m *Machine) mayGo(from *core, size int, to *core) error {
	if err := m.lacking(to, from.prog, "the program"); err != nil {
		return err
	}
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
func (m *Machine) lose(j *Job, rank int, cl *cleaner) {
	c := &m.cores[j.cores[rank]]
	private, _ := m.private(c)
	from, to := m.privateIn(c)
	l := &lost{memory: m.arena.pages(from, to, nil), size: len(private), ro: c.hart.Win[0].RO}
	l.was.take(c)
	l.was.account.core = -1
	if j.lost == nil {
		j.lost = make(map[int]*lost)
	}
	j.lost[rank] = l
	j.cores[rank] = -1
	c.prog.users++ // the rank's
	cl.core(c)
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
		if len(old.in)+len(old.out)+len(old.taken) == 0 {
			continue
		}
		b := c.box(uint8(n))
		b.in, b.accepted, b.bytes, b.out, b.taken, b.unread = old.in, old.accepted, old.bytes, old.out, old.taken, old.unread
		old.empty()
	}
}

// gain gives a rank that lost its core another. m.mu is held, and mayMove found
// nothing against it.
func (m *Machine) gain(j *Job, rank int, id int32) {
	c, l := &m.cores[id], j.lost[rank]
	delete(j.lost, rank)
	m.reset(c)
	c.take(&l.was)
	c.account.core = id
	c.hart.ID = uint32(id)
	private, _ := m.private(c)
	fill(private, l.memory, nil)
	c.hart.Win[0] = rv.Window{Base: PrivateBase, RO: l.ro, Mem: private}
	c.hart.Win[1] = rv.Window{Base: m.sramBase(c.tile), RO: m.tiles[c.tile].ro, Mem: m.sram(c.tile)}
	if image := c.prog.image(m.extensions(int(id))); image.Lacks() != c.hart.Image.Lacks() {
		c.hart.Image = image
		c.hart.SyncCode()
	}
	c.job, c.rank = j, int32(rank)
	j.cores[rank] = id
	if c.state == Parked && c.wait == forTime {
		m.addSleepers(id)
	}
	if c.parkedFor(forInput) {
		j.askers = append(j.askers, id)
	}
	if d := j.debugger(); d != nil {
		d.join(c)
	}
	m.servePorts(c)
	m.publish(c)
}

// begin starts new ranks of a job, which follow those that there are, on these
// cores. m.mu is held, and mayBegin found nothing against it.
func (m *Machine) begin(j *Job, fresh []int32, runs *roleRuns) {
	d := j.debugger()
	m.vacate(fresh)
	begun := make([]start, len(fresh))
	for i, id := range fresh {
		run, err := runs.on(int(id))
		if err != nil {
			return // mayBegin has asked
		}
		begun[i] = start{&m.cores[id], run.image}
		m.install(begun[i].c, run.p)
	}
	m.fill(begun)
	for i, id := range fresh {
		j.cores = append(j.cores, id)
		j.live++
		m.enter(begun[i].c, j, int32(len(j.cores)-1))
		if d != nil {
			d.join(begun[i].c)
		}
	}
}

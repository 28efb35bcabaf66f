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
// named lose their cores. A rank takes its program memory along, but not what
// it keeps in its tile's SRAM. Nothing changes on an error: EBUSY where
// something else runs, ENOMEM where the program does not fit.
func (j *Job) Place(ranks map[int]int) error {
	m := j.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	order := slices.Sorted(maps.Keys(ranks))
	for i, rank := range order {
		if rank >= len(j.cores) && i > 0 && rank > max(len(j.cores), order[i-1]+1) || rank < 0 {
			return sys.Errorf(syscall.EINVAL, "cores: rank %d would come before %d", rank, rank-1)
		}
	}
	if err := j.mayMove(ranks); err != nil {
		return err
	}
	for rank, id := range j.cores {
		if c := id; c >= 0 && m.cores[c].pending.Load()+m.cores[c].credits.Load() > 0 {
			if to, ok := ranks[rank]; !ok || to != int(id) {
				return sys.Errorf(syscall.EBUSY, "cores: rank %d has transfers on their way (try again)", rank)
			}
		}
	}
	for rank, id := range j.cores {
		if to, ok := ranks[rank]; id >= 0 && (!ok || to != int(id)) {
			m.lose(j, rank)
		}
	}
	for _, rank := range order {
		m.gain(j, rank, int32(ranks[rank]))
	}
	m.thaw(j)
	return nil
}

// mayMove says why ranks cannot have these cores.
func (j *Job) mayMove(ranks map[int]int) error {
	m := j.m
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
		if rank < len(j.cores) && int(j.cores[rank]) == id {
			continue
		}
		image, err := j.image(m.spec.Role(id))
		if err != nil {
			return err
		}
		p, err := m.preparedLocked(image.ELF)
		if err != nil {
			return err
		}
		if err := m.fitsThere(c.id, p, image); err != nil {
			return err
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
	if j.lost == nil {
		j.lost = make(map[int]*lost)
	}
	j.lost[rank] = l
	j.cores[rank] = -1
	c.prog.users++ // the rank's
	m.reset(c)
}

// take makes the core go on with what another did.
func (c *core) take(from *core) {
	c.state, c.resume, c.wait = from.state, from.resume, from.wait
	c.asked, c.answered, c.answer = from.asked, from.answered, from.answer
	c.hart, c.prog, c.boxes = from.hart, from.prog, from.boxes
	c.code, c.brk, c.until, c.began, c.seq = from.code, from.brk, from.until, from.began, from.seq
	c.mark, c.marks, c.ring = from.mark, from.marks, from.ring
	from.boxes = nil
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
	c.hart.ID = uint32(id)
	private, _ := m.private(c)
	copy(private, l.private)
	c.hart.Win[0] = rv.Window{Base: PrivateBase, RO: l.ro, Mem: private}
	c.hart.Win[1] = rv.Window{Base: m.sramBase(c.tile), RO: m.protected(c.tile), Mem: m.sram(c.tile)}
	c.job, c.rank = j, int32(rank)
	j.cores[rank] = id
	m.publish(c)
}

// begin starts a new rank of a job.
func (m *Machine) begin(j *Job, rank int, c *core) {
	image, _ := j.image(m.spec.Role(int(c.id)))
	p, err := m.preparedLocked(image.ELF)
	if err != nil {
		return // mayMove has prepared it
	}
	if !m.tileBusy(c.tile) {
		clearMemory(m.sram(c.tile))
		m.tiles[c.tile].shared = nil
	}
	m.put(c, p)
	for len(j.cores) <= rank {
		j.cores = append(j.cores, -1)
	}
	j.cores[rank] = c.id
	j.live++
	m.enter(c, j, int32(rank), image)
}

package sim

import (
	"cmp"
	"slices"
	"syscall"
)

// barrier makes the core wait for the others of its process, or for those of
// them that are in its tile.
func (w *worker) barrier(c *core, scope uint32) bool {
	switch scope {
	case scopeTile:
		return w.meetTile(c)
	case scopeProcess:
		w.meets = append(w.meets, c.id)
		w.heard()
		return c.park(forBarrier)
	}
	return w.fail(c, syscall.EINVAL)
}

// meetTile is the barrier of a tile: the cores of one process in it. A core is
// parked until all are there that still run.
func (w *worker) meetTile(c *core) bool {
	if !c.met {
		if met, live := w.m.atTile(c); met < live {
			return c.park(forTile)
		}
		list := w.m.tileCores(c.tile)
		for i := range list {
			if o := &list[i]; o.job == c.job && o.parkedFor(forTile) {
				o.met = true
			}
		}
	}
	c.met = false
	if !c.csr {
		return w.ret(c, 0)
	}
	c.csr = false
	c.state, c.wait = Running, noWait
	c.hart.EndWait(0)
	return true
}

// atTile is how many cores of a core's process in its tile are at the tile's
// barrier, itself among them, and how many have not ended.
func (m *Machine) atTile(c *core) (met, live int) {
	list := m.tileCores(c.tile)
	for i := range list {
		o := &list[i]
		if o.job != c.job || !o.live() {
			continue
		}
		live++
		if o == c || o.parkedFor(forTile) && !o.met {
			met++
		}
	}
	return met, live
}

// live reports whether the core runs a program that has not ended.
func (c *core) live() bool { return c.state >= Running && c.state <= Halted }

// meet lets the cores go on whose process is all at its barrier.
func (m *Machine) meet() {
	for _, id := range m.gather(func(w *worker) *[]int32 { return &w.meets }) {
		m.cores[id].job.arrived++
	}
	for j := range m.jobs {
		if j.arrived == 0 || j.arrived < j.live {
			continue
		}
		j.arrived = 0
		for c := range j.all() {
			if c.parkedFor(forBarrier) {
				m.resume(c, 0)
			}
		}
		for _, l := range j.lost {
			if l.was.parkedFor(forBarrier) {
				l.was.answerCall(0)
			}
		}
	}
}

// resume answers the call of a parked core, between epochs. m.mu is held.
func (m *Machine) resume(c *core, value uint32) {
	c.lift(m.now)
	c.answerCall(value)
	m.publish(c)
	m.queue(c.tile)
}

// answerCall answers the call that a core is parked in, also while it is halted.
func (c *core) answerCall(value uint32) {
	c.hart.X[registerArg0] = value
	c.wait, c.asked = noWait, false
	if c.state == Halted {
		c.resume = Running
		return
	}
	c.state = Running
}

// wakeSleepers looks at the tiles of the cores whose time comes in the next epoch.
func (m *Machine) wakeSleepers() {
	fresh := m.gather(func(w *worker) *[]int32 { return &w.sleeps })
	if len(fresh) > 0 {
		m.addSleepers(fresh...)
	}
	m.dropSleepers()
}

func (m *Machine) addSleepers(fresh ...int32) {
	for _, id := range fresh {
		m.cores[id].listed = true
	}
	m.sleepers = append(m.sleepers, fresh...)
	slices.SortFunc(m.sleepers, func(a, b int32) int {
		return cmp.Or(cmp.Compare(m.cores[a].until, m.cores[b].until), cmp.Compare(a, b))
	})
}

func (m *Machine) dropSleepers() {
	for len(m.sleepers) > 0 {
		c := &m.cores[m.sleepers[0]]
		asleep := c.state == Parked && c.wait == forTime
		if asleep && c.until >= m.now+m.quantum {
			return
		}
		c.listed = false
		if asleep {
			m.tiles[c.tile].dirty.Store(true)
			m.queue(c.tile)
		}
		m.sleepers = m.sleepers[1:]
	}
	m.sleepers = nil
}

// skipTime moves the machine's time on to the epoch in which the next thing
// happens, when nothing runs.
func (m *Machine) skipTime() {
	if len(m.active) > 0 || m.pending == 0 && len(m.sleepers) == 0 {
		return
	}
	next := ^uint64(0)
	if len(m.sleepers) > 0 {
		next = m.cores[m.sleepers[0]].until
	}
	for _, list := range m.late {
		for _, t := range list {
			for i := range m.tiles[t].inbox {
				next = min(next, m.tiles[t].inbox[i].at-1)
			}
		}
	}
	for _, w := range m.workers {
		for _, list := range w.out {
			for i := range list {
				next = min(next, list[i].at-1)
			}
		}
	}
	if next < m.now+m.quantum {
		return
	}
	n := (next - m.now) / m.quantum
	if at, ok := m.log.nextInput(); ok {
		n = min(n, max(at, m.epochs)-m.epochs)
	}
	m.now += n * m.quantum
	m.epochs += n
	m.dropSleepers()
}

package sim

import (
	"iter"
	"slices"
)

// A cleaner makes cores and tiles what they were before anything was loaded.
// What is to be done once for all of them, and memory, is done at the end.
// Machine.mu is held from the first to that.
type cleaner struct {
	m     *Machine
	wiper wiper
	slept bool // one of the cores is in the list of sleepers
}

func (m *Machine) cleaner() *cleaner { return &cleaner{m: m, wiper: wiper{a: &m.arena}} }

// core makes a core what it was before anything was loaded.
func (cl *cleaner) core(c *core) {
	m := cl.m
	c.drop()
	if c.prog != nil {
		m.release(c.prog)
	}
	if c.hart != nil || c.written {
		cl.wiper.add(m.privateIn(c))
		c.written = false
	}
	prog := c.prog
	c.hart, c.prog, c.job, c.rank = nil, nil, nil, -1
	if prog != nil {
		m.forgetProgram(c.tile, prog)
	}
	if c.account != nil {
		c.account.gone = true
		c.account = nil
	}
	if c.listed {
		cl.slept = true
	}
	c.state, c.resume, c.wait, c.asked, c.met, c.csr, c.answered = Idle, Idle, noWait, false, false, false, false
	c.listed, c.cold = false, false
	c.code, c.all, c.mark, c.marks, c.ring, c.image = 0, false, 0, 0, nil, nil
	c.seq, c.sent, c.answer, c.since, c.until, c.began = 0, 0, 0, 0, 0, 0 // its time may go back, by a snapshot
	if c.debug != nil {
		c.debug = &debug{session: c.debug.session}
		m.setBreaks(c)
	}
	m.emptyBoxes(c)
	c.cons.forget()
	m.publish(c)
	m.retired[c.id].Store(0)
}

// sram makes the SRAM of a tile what it was at first.
func (cl *cleaner) sram(t int32) {
	cl.wiper.add(cl.m.sramIn(t))
	tl := &cl.m.tiles[t]
	tl.shared, tl.ro, tl.written = nil, 0, false
	tl.life++
}

func (cl *cleaner) end() {
	cl.wiper.flush()
	if m := cl.m; cl.slept {
		m.sleepers = slices.DeleteFunc(m.sleepers, func(id int32) bool { return !m.cores[id].listed })
	}
}

// reset makes a core what it was before anything was loaded. m.mu is held.
func (m *Machine) reset(c *core) {
	cl := m.cleaner()
	cl.core(c)
	cl.end()
}

// vacate resets cores, and clears the SRAM of their tiles where nothing else uses
// it. m.mu is held.
func (m *Machine) vacate(ids []int32) {
	cl := m.cleaner()
	for t, list := range m.byTile(ids) {
		for _, id := range list {
			cl.core(&m.cores[id])
		}
		if !m.tileBusy(t) && !m.tileLoaded(t) {
			cl.sram(t)
		}
	}
	cl.end()
}

// byTile yields the tiles of cores, in order, with those of the cores that are there.
func (m *Machine) byTile(ids []int32) iter.Seq2[int32, []int32] {
	ids = slices.Sorted(slices.Values(ids))
	return func(yield func(int32, []int32) bool) {
		for len(ids) > 0 {
			t, n := m.cores[ids[0]].tile, 1
			for n < len(ids) && m.cores[ids[n]].tile == t {
				n++
			}
			if !yield(t, ids[:n]) {
				return
			}
			ids = ids[n:]
		}
	}
}

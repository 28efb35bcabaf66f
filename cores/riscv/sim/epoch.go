package sim

import (
	"cmp"
	"slices"

	"warren/cores/riscv/hot"
	"warren/cores/riscv/rv"
)

// A worker runs tiles in an epoch. What its tiles send is kept by the part
// that is to take it.
type worker struct {
	m      *Machine
	num    int
	end    uint64 // of the epoch; a lone core may move it
	lone   bool
	at     uint64     // when the instruction began at which the core stopped that runs
	out    [][]op     // per part
	stays  []int32    // tiles of those that it ran which are to be looked at again
	wakes  []int32    // tiles that were made dirty by the worker in the delivery phase
	acks   []*account // whose messages were accepted when others were taken out
	says   []saying
	ended  []int32   // cores that stopped for good, or for a debugger
	meets  []int32   // cores that came to their job's barrier
	asks   []int32   // cores that want input
	bytes  []byte    // where messages are kept
	work   []op      // scratch
	made   []op      // answers, to be sent in the next epoch
	sleeps []int32   // cores that went to sleep
	roomy  []portRef // channels that have room again
	moved  int       // ops that it sent, less those that it applied
	ran    int       // how often a core in this epoch
	regs   hot.Registers
}

func newWorker(m *Machine, num int) *worker {
	w := &worker{m: m, num: num, out: make([][]op, max(1, m.opt.Workers))}
	return w
}

// keep copies bytes for an op.
func (w *worker) keep(p []byte) []byte {
	const chunk = 64 << 10
	if len(p) > chunk/4 {
		return append([]byte(nil), p...)
	}
	if len(w.bytes)+len(p) > cap(w.bytes) {
		w.bytes = make([]byte, 0, chunk)
	}
	n := len(w.bytes)
	w.bytes = append(w.bytes, p...)
	return w.bytes[n:len(w.bytes):len(w.bytes)]
}

// wake sees to it that a tile is looked at in the next epoch. m.mu is held.
func (m *Machine) wake(t int32) {
	if tl := &m.tiles[t]; !tl.queued {
		tl.queued = true
		m.active = append(m.active, t)
	}
	m.start()
}

// start lets the conductor run. m.mu is held.
func (m *Machine) start() {
	if !m.running && !m.closed {
		m.running = true
		go m.conduct()
	}
}

// conduct runs epochs while there is something to do.
func (m *Machine) conduct() {
	crew := newCrew(m.workers, looksFor(len(m.workers)))
	defer crew.end()
	for {
		m.mu.Lock()
		m.crew = crew
		more := !m.closed && m.step()
		for ran := false; more && !ran && m.waits(); {
			more, ran = m.step(), m.ran()
		}
		if m.passed != nil {
			close(m.passed)
			m.passed = nil
		}
		if !more {
			m.running = false
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
	}
}

// waits reports whether no core can run when the next epoch begins. What is on its
// way then arrives, and what sleeps wakes up, before anybody outside can do anything:
// as what does so does not depend on the host, neither should the time.
func (m *Machine) waits() bool {
	return !m.closed && !slices.ContainsFunc(m.active, m.tileRunnable)
}

// ran reports whether a core ran in the last epoch.
func (m *Machine) ran() bool {
	return slices.ContainsFunc(m.workers, func(w *worker) bool { return w.ran > 0 })
}

// step runs one epoch, and reports whether there is more to do.
func (m *Machine) step() bool {
	if m.replay() {
		return false
	}
	if m.stilled {
		m.dropIdle()
	}
	if len(m.active) == 0 && m.pending == 0 && len(m.sleepers) == 0 {
		if m.awaitReplay() {
			return true
		}
		m.rest()
		return false
	}
	start := m.now
	end := start + m.quantum
	list := m.active
	lone := m.lone(list)
	if lone {
		end = m.far(end)
	}
	m.telling = m.tells(len(list), end-start)
	m.hotLeast = m.leastHot()
	m.run(list, end, lone)
	if lone {
		end = m.workers[0].end
	}
	m.deliver(end)
	m.now = end
	m.passedCycles.Store(end)
	m.epochs += (end - start) / m.quantum
	m.settle()
	m.look()
	return true
}

// dropIdle leaves out the tiles that have nothing to do any more, as somebody has halted
// or ended what they did: no time is to pass for them.
func (m *Machine) dropIdle() {
	m.stilled = false
	m.active = slices.DeleteFunc(m.active, func(t int32) bool {
		if m.tileRuns(t) {
			return false
		}
		m.tiles[t].queued = false
		return true
	})
}

// tells reports whether an epoch of so many tiles and cycles publishes the
// counts of cores that run on. To do it for each core in each short epoch
// would cost more than all else that is done between two cores.
func (m *Machine) tells(tiles int, cycles uint64) bool {
	const every, short, few = 8, 8000, 1000
	return m.epochs%every == 0 || cycles >= short || tiles > few
}

// far is how far a core may run that nobody else can disturb: to where a record
// that is replayed has its next input, at most.
func (m *Machine) far(end uint64) uint64 {
	const most = 1 << 20
	n := max(1, most/m.quantum)
	if at, ok := m.log.nextInput(); ok {
		n = min(n, max(1, at-m.epochs))
	}
	return end + (n-1)*m.quantum
}

// lone reports whether one core alone runs in the machine, with nobody that waits for
// what it does to its memory, and nothing on its way to it.
func (m *Machine) lone(list []int32) bool {
	if len(list) != 1 || m.pending != 0 || len(m.sleepers) != 0 {
		return false
	}
	t := list[0]
	runs := 0
	for i := range m.tileCores(t) {
		switch c := &m.tileCores(t)[i]; {
		case c.runnable():
			if c.debug.active() || c.prog.tohost != 0 { // which is looked at between epochs
				return false
			}
			runs++
		case c.state == Parked:
			return false
		}
	}
	return runs == 1
}

// tileCores are the cores of a tile.
func (m *Machine) tileCores(t int32) []core {
	tl := &m.spec.Tiles[t]
	first := int(tl.First)
	return m.cores[first : first+len(m.spec.Kinds[tl.Kind].Cores)]
}

// fewTiles is how many tiles are run without help: waking others costs more.
const fewTiles = 4

// run is the run phase: each tile by one worker.
func (m *Machine) run(list []int32, end uint64, lone bool) {
	for _, w := range m.workers {
		w.end, w.lone, w.ran = end, lone, 0
	}
	m.spread(len(list), func(w *worker, i int) { w.runTile(&m.tiles[list[i]]) })
}

// spread does n pieces of work, each by one of the workers.
func (m *Machine) spread(n int, do func(*worker, int)) {
	if n <= fewTiles || len(m.workers) == 1 {
		for i := n - 1; i >= 0; i-- { // as a crew does
			do(m.workers[0], i)
		}
		return
	}
	m.crew.spread(m.workers[0], n, do)
}

// runTile runs the cores of a tile to the end of the epoch, again and again
// while one of them brings another on.
func (w *worker) runTile(t *tile) {
	t.dirty.Store(false)
	t.changed = w.m.now
	list := w.m.tileCores(t.id)
	for again := true; again; {
		again = false
		for i := range list {
			c := &list[i]
			if c.state == Parked && (c.job == nil || !c.job.stands()) {
				w.retry(c, t.changed)
			}
			if c.runnable() && c.now() < w.end {
				again = true
				w.ran++
				w.runCore(c)
				t.changed = max(t.changed, c.now())
			}
			if w.m.telling || !c.runnable() {
				w.m.publish(c)
			}
		}
	}
	if w.m.tileRuns(t.id) {
		w.stays = append(w.stays, t.id)
	} else {
		t.queued = false
	}
}

// retry tries the call again that a core is parked in: at is when its tile
// last saw a change. What the machine decides between epochs is not tried.
func (w *worker) retry(c *core, at uint64) {
	wait := c.wait
	if wait == forInput || wait == forBarrier {
		return
	}
	was := c.hart.Skew
	c.lift(at)
	if c.csr {
		w.meetTile(c)
	} else {
		w.call(c)
	}
	if c.state == Parked && c.wait == wait {
		c.hart.Skew = was // it waits on: its time stands
	}
}

// runCore runs a core until the end of the epoch, or until it cannot go on.
func (w *worker) runCore(c *core) {
	for c.state == Running {
		now := c.now()
		if now >= w.end {
			return
		}
		before := c.hart.Instret
		why := w.execute(c, int64(w.end-now))
		if w.lone {
			if w.at = c.now(); why == rv.Call {
				w.at-- // it has retired
			}
		}
		if c.prog.tohost != 0 && why != rv.Fault && (why != rv.Budget || c.now() >= w.end) && w.lookAtHost(c) {
			return
		}
		switch why {
		case rv.Budget:
		case rv.Call:
			w.call(c)
		case rv.Wait:
			c.csr = true
			w.meetTile(c)
		case rv.Break:
			w.breakAt(c)
		case rv.Fault:
			w.fault(c)
		case rv.Stop:
			w.stopped(c)
		}
		w.stepped(c, before)
	}
	if c.state != Running {
		w.heard() // others may be what it waits for
	}
}

// settle is the last phase, alone: what concerns more than one tile. It looks at no
// tile that only goes on: that would take its memory from the processor which runs it.
func (m *Machine) settle() {
	m.active = m.active[:0]
	for _, w := range m.workers {
		m.active = append(m.active, w.stays...)
		w.stays = w.stays[:0]
	}
	for _, w := range m.workers {
		for _, t := range w.wakes {
			m.queue(t)
		}
		w.wakes = w.wakes[:0]
		m.pending += w.moved
		w.moved = 0
	}
	m.speak()
	m.finish()
	m.meet()
	m.input()
	m.takeWriters()
	m.wakeSleepers()
	m.skipTime()
}

func (m *Machine) queue(t int32) {
	if tl := &m.tiles[t]; !tl.queued {
		tl.queued = true
		m.active = append(m.active, t)
	}
}

// tileRuns reports whether there is something to run in a tile, or to look at.
func (m *Machine) tileRuns(t int32) bool { return m.tileRunnable(t) || m.tiles[t].dirty.Load() }

// tileRunnable reports whether a core of a tile has something to run.
func (m *Machine) tileRunnable(t int32) bool {
	list := m.tileCores(t)
	for i := range list {
		if list[i].runnable() {
			return true
		}
	}
	return false
}

// gather takes a list of cores from all workers, in order.
func (m *Machine) gather(of func(*worker) *[]int32) []int32 {
	var all []int32
	for _, w := range m.workers {
		list := of(w)
		all = append(all, *list...)
		*list = (*list)[:0]
	}
	slices.SortFunc(all, cmp.Compare[int32])
	return slices.Compact(all)
}

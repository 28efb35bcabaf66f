package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A cast is the cores, one of which a parked core waits for: their numbers as
// people know them, as runs in order. It is empty where that is not known.
type cast []run

// run is the numbers from first to last.
type run struct{ first, last int }

// newCast makes runs of numbers.
func newCast(list []int) cast {
	slices.Sort(list)
	var on cast
	for _, n := range list {
		if k := len(on) - 1; k >= 0 && on[k].last+1 >= n {
			on[k].last = n
			continue
		}
		on = append(on, run{n, n})
	}
	return on
}

// but is the cast without a core.
func (on cast) but(n int) cast {
	var out cast
	for _, r := range on {
		if n < r.first || n > r.last {
			out = append(out, r)
			continue
		}
		if r.first < n {
			out = append(out, run{r.first, n - 1})
		}
		if n < r.last {
			out = append(out, run{n + 1, r.last})
		}
	}
	return out
}

// String is the set as everywhere: 0-3,8; "" if it is empty.
func (on cast) String() string {
	var b strings.Builder
	for i, r := range on {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.first))
		if r.last > r.first {
			b.WriteString("-" + strconv.Itoa(r.last))
		}
	}
	return b.String()
}

// one reports whether it is one core.
func (on cast) one() bool { return len(on) == 1 && on[0].first == on[0].last }

// oneOf names it in a text: "core 3", "one of cores 0-3,8"; "" if it is empty.
func (on cast) oneOf() string {
	switch {
	case len(on) == 0:
		return ""
	case on.one():
		return "core " + on.String()
	}
	return "one of cores " + on.String()
}

// missing says that they are not where others wait for them.
func (on cast) missing() string {
	switch {
	case len(on) == 0:
		return ""
	case on.one():
		return ": core " + on.String() + " is not"
	}
	return ": cores " + on.String() + " are not"
}

// casts finds out for whom the cores of a job wait.
type casts struct {
	m       *Machine
	alive   cast // cores that have not ended
	outside cast // those of them that are not at the barrier of all
}

// casts looks at a job once, for all of its cores. m.mu is held.
func (m *Machine) casts(j *Job) *casts {
	all := &casts{m: m}
	if j == nil {
		return all
	}
	var alive, outside []int
	for c := range j.all() {
		if !c.live() {
			continue
		}
		alive = append(alive, m.shown(c.id))
		if !c.parkedFor(forBarrier) {
			outside = append(outside, m.shown(c.id))
		}
	}
	all.alive, all.outside = bounded(alive, len(j.cores)), bounded(outside, len(j.cores))
	return all
}

// mostRuns bounds what is told in all of for whom the cores of a job wait: each
// of them may wait for all the others, which may lie scattered.
const mostRuns = 1 << 21

// bounded is the cast of a list for a job of n cores; it is not known if to tell it
// for each of them would be too much.
func bounded(list []int, n int) cast {
	on := newCast(list)
	if len(on)*n > mostRuns {
		return nil
	}
	return on
}

// mostCast is the largest job that is looked through for the file of one core.
const mostCast = 4096

// castOf is for whom one core waits. m.mu is held.
func (m *Machine) castOf(c *core) cast {
	if c.job == nil || len(c.job.cores) > mostCast || !c.parkedFor(c.wait) {
		return nil
	}
	return m.casts(c.job).of(c)
}

// of is for whom a parked core waits.
func (all *casts) of(c *core) cast {
	if !c.parkedFor(c.wait) || c.job == nil {
		return nil
	}
	m, a := all.m, c.hart.X[registerArg0:]
	switch c.wait {
	case forMessage:
		if a[3]&flagHost != 0 {
			return nil // from a file
		}
		return all.alive.but(m.shown(c.id))
	case forCredit, forAnswer:
		if rank := a[0]; int64(rank) < int64(len(c.job.cores)) && c.job.cores[rank] >= 0 {
			return newCast([]int{m.shown(c.job.cores[rank])})
		}
	case forBarrier:
		return all.outside
	case forTile:
		return m.inTileBut(c, func(o *core) bool { return !o.parkedFor(forTile) })
	case forWord:
		if users := m.circularUsers(c.tile, a[0]); users != 0 {
			return m.inTileBut(c, func(o *core) bool {
				_, index := m.place(o)
				return users&(1<<index) != 0
			})
		}
	}
	return nil
}

// inTileBut are the other cores of a core's process in its tile that have not
// ended, and are such.
func (m *Machine) inTileBut(c *core, such func(*core) bool) cast {
	var list []int
	cores := m.tileCores(c.tile)
	for i := range cores {
		if o := &cores[i]; o != c && o.job == c.job && o.live() && such(o) {
			list = append(list, m.shown(o.id))
		}
	}
	return newCast(list)
}

// rest is when nothing in the machine can go on by itself. m.mu is held.
func (m *Machine) rest() {
	for _, j := range m.allJobs() {
		m.tellDeadlock(j, false)
	}
}

// lookEvery is how many epochs pass before the jobs of a machine that does not
// rest are looked at again: what runs must not hide what is stuck.
const lookEvery = 256

// look tells of jobs that are stuck while others go on. m.mu is held, between
// epochs.
func (m *Machine) look() {
	if len(m.jobs) < 2 || m.epochs-m.looked < lookEvery {
		return
	}
	m.looked = m.epochs
	for _, j := range m.allJobs() {
		if m.pending == 0 || !m.inFlight(j) {
			m.tellDeadlock(j, true)
		}
	}
}

// inFlight reports whether something is on its way that the cores of a job
// sent: it may yet reach one of them.
func (m *Machine) inFlight(j *Job) bool {
	credits, waiting := 0, 0 // messages that no box accepted: those of the job, and those of them that are in boxes
	for c := range j.all() {
		if c.account == nil {
			continue
		}
		if c.account.pending.Load() > 0 {
			return true
		}
		credits += int(c.account.credits.Load())
		if c.boxes == nil {
			continue
		}
		for i := range c.boxes {
			b := &c.boxes[i]
			for k := b.accepted; k < len(b.in); k++ {
				if b.in[k].from != nil {
					waiting++
				}
			}
		}
	}
	return credits > waiting
}

// tellDeadlock tells who waits for whom in a job that is stuck, once. beside
// says that others go on.
func (m *Machine) tellDeadlock(j *Job, beside bool) {
	if j.stands() || !m.deadlocked(j, beside) {
		return
	}
	ran := uint64(0)
	for c := range j.all() {
		ran += c.hart.Instret
	}
	if j.stuck && j.stuckAt == ran {
		return
	}
	j.stuck, j.stuckAt = true, ran
	var list []string
	var cores []int
	all := m.casts(j)
	for c := range j.all() {
		if c.state != Parked {
			continue
		}
		cores = append(cores, m.shown(c.id))
		if len(list) < mostStuck {
			list = append(list, fmt.Sprintf("deadlock: %s, rank %d of %s, waits for %s", m.coreName(c.id), c.rank, word(j.name), m.waitText(c, all.of(c))))
		}
	}
	if len(cores) == 1 {
		m.opt.Tell(fmt.Sprintf("core %d of %s waits for what cannot come (see cores/blocked)", cores[0], word(j.name)))
	} else {
		m.opt.Tell(fmt.Sprintf("%d cores wait for each other: %s, of %s (see cores/blocked)", len(cores), newCast(cores), word(j.name)))
	}
	for _, line := range list {
		m.line(m.now, -1, line)
	}
}

// mostStuck is how many cores of a deadlock the console tells of.
const mostStuck = 64

// deadlocked reports whether no core of a job can go on by itself or by input
// from files. One that waits for a message counts as waiting for input if it is
// the only one that there ever was, if the program says so, or if a file of that
// channel was opened to write to it.
func (m *Machine) deadlocked(j *Job, beside bool) bool {
	if len(j.lost) > 0 {
		return false // they may wait for what has no core now
	}
	parked := false
	for c := range j.all() {
		switch c.state {
		case Halted, Running:
			return false
		case Parked:
			if m.goesOn(c) || beside && m.othersMay(c) {
				return false
			}
			parked = true
		}
	}
	return parked
}

// othersMay reports whether a core waits for a word of SRAM that the cores of
// other jobs may change: all words there but those of circular buffers that
// only its own job has.
func (m *Machine) othersMay(c *core) bool {
	if c.wait != forWord {
		return false
	}
	addr := c.hart.X[registerArg0]
	if m.inTile(c.tile, addr, 4) == nil {
		return false
	}
	users := m.circularUsers(c.tile, addr)
	cores := m.tileCores(c.tile)
	for i := range cores {
		if users&(1<<i) != 0 && cores[i].job != c.job {
			return true
		}
	}
	return users == 0
}

// goesOn reports whether a parked core will go on by itself, or by a file.
func (m *Machine) goesOn(c *core) bool {
	a := c.hart.X[registerArg0 : registerArg0+6]
	switch c.wait {
	case forInput, forReader, forTime:
		return true
	case forMessage:
		if a[0] >= Channels || a[3]&flagHost != 0 || len(c.job.cores) == 1 {
			return true
		}
		return c.boxes != nil && (c.boxes[a[0]].open > 0 || len(c.boxes[a[0]].in) > 0)
	case forCredit:
		return c.account.credits.Load() < maxCredits
	case forFence:
		return c.account.pending.Load() == 0
	case forRoom:
		return !c.crowded()
	case forAnswer:
		return c.answered
	case forBarrier:
		return c.job.arrived >= c.job.live
	case forTile:
		met, live := m.atTile(c)
		return c.met || met == live
	case forWord:
		b, _ := m.at(c, a[0], 4)
		return b == nil || compare(binary.LittleEndian.Uint32(b), a[1], a[2])
	}
	return true
}

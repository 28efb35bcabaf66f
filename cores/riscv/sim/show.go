package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// quoteWord is a text as one word of a record.
func quoteWord(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// waitText says what a parked core waits for.
func (m *Machine) waitText(c *core) string {
	if c.state != Parked {
		return "-"
	}
	a := c.hart.X[registerArg0 : registerArg0+6]
	switch c.wait {
	case forMessage:
		return fmt.Sprintf("a message on channel %d", a[0])
	case forCredit:
		return fmt.Sprintf("%s to take one of its %d messages on channel %d", m.rankName(c, a[0]), maxCredits, a[1])
	case forWord:
		word := "?"
		if b, _ := m.at(c, a[0], 4); b != nil {
			word = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b)), 10)
		}
		how := "?"
		if a[1] < uint32(len(comparisons)) {
			how = comparisons[a[1]]
		}
		return fmt.Sprintf("the word at 0x%08x %s, which is %s, to be %s %d", a[0], m.partName(c, a[0]), word, how, a[2])
	case forFence:
		return fmt.Sprintf("%d of its transfers", c.account.pending.Load())
	case forRoom:
		return fmt.Sprintf("some of its %d transfers, as more than %d bytes are on their way", c.account.pending.Load(), maxFlying)
	case forAnswer:
		return "the answer of an atomic add"
	case forBarrier:
		return fmt.Sprintf("the barrier of its process, where %d of %d are", m.waiting(c.job, forBarrier), c.job.live)
	case forTile:
		met, live := m.atTile(c)
		return fmt.Sprintf("the barrier of its tile, where %d of %d are", met, live)
	case forTime:
		return fmt.Sprintf("cycle %d", c.until)
	case forInput:
		return "input"
	case forReader:
		return "a reader of its file chan"
	}
	return "-"
}

var comparisons = [...]string{waitEqual: "equal to", waitOther: "other than", waitLeast: "at least", waitBelow: "below", waitPassed: "at or past"}

// partName says what lies at an address of a tile's SRAM.
func (m *Machine) partName(c *core, addr uint32) string {
	if s := m.tiles[c.tile].shared; s != nil {
		for _, p := range s.parts {
			if addr-p.addr < p.size {
				return "(" + p.what + ")"
			}
		}
	}
	return "(" + c.symbol(addr) + ")"
}

func (m *Machine) rankName(c *core, rank uint32) string {
	if c.job != nil && int64(rank) < int64(len(c.job.cores)) && c.job.cores[rank] < 0 {
		return fmt.Sprintf("rank %d, which has no core now,", rank)
	}
	if c.job == nil || int64(rank) >= int64(len(c.job.cores)) {
		return "nobody"
	}
	return m.coreName(c.job.cores[rank])
}

// waiting counts the cores of a job that are parked for this.
func (m *Machine) waiting(j *Job, what waiting) int {
	n := 0
	for c := range j.all() {
		if c.parkedFor(what) {
			n++
		}
	}
	return n
}

// AppendBlocked appends a line for each core that waits: `core state rank process since_cycles 'what for' 'where'`.
func (m *Machine) AppendBlocked(b []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.allJobs() {
		for c := range j.all() {
			if c.state == Parked {
				b = fmt.Appendf(b, "%d parked %d %s %d %s %s\n", m.shown(c.id), c.rank, word(j.name), c.since, quoteWord(m.waitText(c)), quoteWord(c.symbol(c.hart.PC)))
			}
		}
	}
	return b
}

// allJobs are the jobs that have not ended, in the order of their first cores.
func (m *Machine) allJobs() []*Job {
	list := make([]*Job, 0, len(m.jobs))
	for j := range m.jobs {
		list = append(list, j)
	}
	slices.SortFunc(list, func(a, b *Job) int { return int(a.cores[0] - b.cores[0]) })
	return list
}

func word(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// rest is when nothing can go on by itself: if that is because cores wait for
// each other, it is told at once.
func (m *Machine) rest() {
	var stuck []string
	for _, j := range m.allJobs() {
		if j.frozen || !m.deadlocked(j) {
			continue
		}
		var list []string
		for c := range j.all() {
			if c.state == Parked {
				list = append(list, fmt.Sprintf("%s of %s waits for %s", m.coreName(c.id), word(j.name), m.waitText(c)))
			}
		}
		if text := strings.Join(list, "\n"); text != j.told {
			j.told = text
			stuck = append(stuck, list...)
		}
	}
	for i, line := range stuck {
		if i == 0 {
			m.opt.Tell(strconv.Itoa(len(stuck)) + " cores wait for each other (see cores/blocked)")
		}
		if i < mostStuck {
			m.line(m.now, -1, "deadlock: "+line)
		}
	}
}

// mostStuck is how many cores of a deadlock the console tells of.
const mostStuck = 64

// deadlocked reports whether no core of a job can go on by itself or by input
// from files. One that waits for a message counts as waiting for input if the
// program says so, or if a file of that channel was opened to write to it.
func (m *Machine) deadlocked(j *Job) bool {
	if len(j.lost) > 0 {
		return false // they may wait for what has no core now
	}
	parked := false
	for c := range j.all() {
		switch {
		case c.state == Halted || c.state == Running:
			return false
		case c.state != Parked:
			continue
		case c.wait == forInput || c.wait == forReader:
			return false
		case c.wait == forMessage:
			a := c.hart.X[registerArg0:]
			if a[3]&flagHost != 0 || c.boxes != nil && a[0] < Channels && c.boxes[a[0]].open > 0 {
				return false
			}
		}
		parked = true
	}
	return parked
}

// AppendHart appends what a core does, as `key value` lines.
func (m *Machine) AppendHart(b []byte, id int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	t := &m.spec.Tiles[c.tile]
	_, index := m.place(c)
	line := func(key, value string) { b = append(append(append(append(b, key...), ' '), value...), '\n') }
	number := func(key string, v uint64) { line(key, strconv.FormatUint(v, 10)) }
	line("state", m.stateText(c))
	number("x", uint64(t.X))
	number("y", uint64(t.Y))
	number("tile", uint64(c.tile))
	number("index", uint64(index))
	line("kind", m.spec.Kinds[t.Kind].Name)
	line("role", word(m.spec.Role(id)))
	if c.hart == nil {
		for _, key := range [...]string{"process", "rank", "pc", "at", "retired", "cycles", "parked_cycles", "wait", "mark", "tier"} {
			line(key, "-")
		}
		return b
	}
	name, rank := "-", "-"
	if c.job != nil {
		name, rank = word(c.job.name), strconv.Itoa(int(c.rank))
	}
	line("process", name)
	line("rank", rank)
	line("pc", fmt.Sprintf("0x%08x", c.hart.PC))
	line("at", quoteWord(c.symbol(c.hart.PC)))
	number("retired", c.hart.Instret)
	number("cycles", c.hart.Now())
	number("parked_cycles", c.hart.Skew)
	line("wait", quoteWord(m.waitText(c)))
	number("mark", uint64(c.mark))
	tier := "interpreted"
	if c.inst != nil {
		tier = "compiled"
	}
	line("tier", tier)
	return b
}

func (m *Machine) stateText(c *core) string {
	if c.job != nil && c.job.frozen && c.live() {
		return "frozen"
	}
	return c.state.String()
}

// AppendFault appends why a core faulted: `key value` lines, and "none" if it did not.
func (m *Machine) AppendFault(b []byte, id int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	if c.hart == nil || c.state != Faulted && !c.debug.faulted() {
		return append(b, "none\n"...)
	}
	t := &c.hart.Trap
	b = fmt.Appendf(b, "cause %d\nname %s\npc 0x%08x\naddress 0x%08x\ninstruction 0x%08x\nat %s\n",
		t.Cause, quoteWord(causes[t.Cause]), t.PC, t.Addr, t.Word, quoteWord(c.symbol(t.PC)))
	return fmt.Appendf(b, "text %s\n", quoteWord(m.faultText(c)))
}

// AppendRing appends the waypoints that a core's program set last, oldest first: `cycles mark`.
func (m *Machine) AppendRing(b []byte, id int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	if c.ring == nil {
		return b
	}
	for i := c.marks - min(c.marks, ringSize); i != c.marks; i++ {
		r := &c.ring[i%ringSize]
		b = fmt.Appendf(b, "%d %d\n", r.at, r.n)
	}
	return b
}

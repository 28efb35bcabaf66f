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

// waitText says what a parked core, halted or not, waits for, and from whom, as far as that is
// known.
func (m *Machine) waitText(c *core, on cast) string {
	if !c.parkedFor(c.wait) {
		return "-"
	}
	a := c.hart.X[registerArg0 : registerArg0+6]
	switch c.wait {
	case forMessage:
		text := fmt.Sprintf("a message on channel %d", a[0])
		if a[3]&flagHost != 0 {
			return text + " from its file"
		}
		if one := on.oneOf(); one != "" {
			text += " from " + one
		}
		return text
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
		text := fmt.Sprintf("the word at 0x%08x %s, which is %s, to be %s %d", a[0], m.partName(c, a[0]), word, how, a[2])
		if one := on.oneOf(); one != "" {
			text += ", by " + one
		}
		return text
	case forFence:
		return fmt.Sprintf("%d of its transfers", c.account.pending.Load())
	case forRoom:
		return fmt.Sprintf("some of its %d transfers, as more than %d bytes are on their way", c.account.pending.Load(), maxFlying)
	case forAnswer:
		return "the answer of an atomic add"
	case forBarrier:
		return fmt.Sprintf("the barrier of its process, where %d of %d are", c.job.arrived, c.job.live) + on.missing()
	case forTile:
		met, live := m.atTile(c)
		return fmt.Sprintf("the barrier of its tile, where %d of %d are", met, live) + on.missing()
	case forTime:
		return fmt.Sprintf("cycle %d", c.until)
	case forInput:
		return "input"
	case forReader:
		return fmt.Sprintf("a reader of its file chan/%d", a[0])
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

// AppendBlocked appends a line for each core that waits: `core state rank process since_cycles 'what for' 'where' for-whom`.
func (m *Machine) AppendBlocked(b []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.allJobs() {
		all := m.casts(j)
		for c := range j.all() {
			if c.state == Parked {
				on := all.of(c)
				b = fmt.Appendf(b, "%d parked %d %s %d %s %s %s\n", m.shown(c.id), c.rank, word(j.name), c.since,
					quoteWord(m.waitText(c, on)), quoteWord(c.symbol(c.hart.PC)), word(on.String()))
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
		line("extra", m.extraText())
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
	line("wait", quoteWord(m.waitText(c, m.castOf(c))))
	number("mark", uint64(c.mark))
	tier := "interpreted"
	if c.inst != nil && !m.changed(c) {
		tier = "compiled"
	}
	line("tier", tier)
	line("extra", m.extraText())
	return b
}

func (m *Machine) stateText(c *core) string {
	if c.job != nil && c.job.stands() && c.live() {
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
		t.Cause, quoteWord(c.causeName()), t.PC, t.Addr, t.Word, quoteWord(c.symbol(t.PC)))
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

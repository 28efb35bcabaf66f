package sim

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"warren/fs/sys"
)

// Restore makes the machine what a snapshot of a machine of this name says.
// EBUSY while programs run, EINVAL if it is not such a snapshot; then nothing changes.
func (m *Machine) Restore(data []byte) error {
	s, err := m.readSnapshot(data)
	if err != nil {
		return err
	}
	if s.Name != m.spec.Name {
		return sys.Errorf(syscall.EINVAL, "restore: this is a snapshot of %q, and the machine is %s", clip(s.Name), m.spec.Name)
	}
	programs := make([]*program, len(s.Programs))
	for i, raw := range s.Programs {
		if programs[i], err = newProgram(sha256.Sum256(raw), raw, m.extensions(0)); err != nil {
			return sys.Errorf(syscall.EINVAL, "restore: %v", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.mayRestore(); err != nil {
		return err
	}
	if err := m.checkSnapshot(s, programs); err != nil {
		return sys.Errorf(sys.Errno(err), "restore: %v", err)
	}
	m.load(s, programs)
	return nil
}

// mayRestore says why nothing can be restored now. m.mu is held.
func (m *Machine) mayRestore() error {
	switch {
	case m.closed:
		return errClosed()
	case m.log.replaying():
		return sys.Errorf(syscall.EBUSY, "restore: a record is being replayed (restore first, then replay)")
	case len(m.jobs) > 0:
		j := m.allJobs()[0]
		return sys.Errorf(syscall.EBUSY, "restore: %s runs on %d cores, and %d others: end them first", word(j.name), j.live, len(m.jobs)-1)
	}
	for i := range m.cores {
		if m.cores[i].debug.attached() {
			return sys.Errorf(syscall.EBUSY, "restore: a debugger holds core %d", m.shown(int32(i)))
		}
	}
	return nil
}

// maxSaved is what a snapshot of a machine may have, unpacked, beside its memory.
const maxSaved = 512 << 20

func (m *Machine) readSnapshot(data []byte) (s *savedMachine, err error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "restore: this is no snapshot: %v", err)
	}
	s = new(savedMachine)
	r := io.LimitReader(z, m.arena.total+maxSaved)
	if err := s.read(r, len(m.cores), len(m.tiles)); err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "restore: this is no snapshot: %v", err)
	}
	// The checksum stands at the end, which Decode need not have come to.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, damaged("%v", err)
	}
	return s, nil
}

// checkSnapshot says what is wrong with a snapshot. m.mu is held.
func (m *Machine) checkSnapshot(s *savedMachine, programs []*program) error {
	if checkQuantum(s.Quantum) != nil || s.Epochs > maxEpochs || s.Now > maxNow {
		return damaged("quantum %d, epoch %d, cycle %d", s.Quantum, s.Epochs, s.Now)
	}
	seen := make(map[int32]*savedCore)
	for i := range s.Cores {
		c := &s.Cores[i]
		if c.ID < 0 || c.ID >= len(m.cores) || seen[int32(c.ID)] != nil || c.Program < 0 || c.Program >= len(programs) {
			return damaged("core %d", c.ID)
		}
		seen[int32(c.ID)] = c
		if err := m.checkCore(s, c, programs[c.Program]); err != nil {
			return err
		}
	}
	for _, c := range s.Idle {
		if c.ID < 0 || c.ID >= len(m.cores) || seen[int32(c.ID)] != nil {
			return damaged("core %d", c.ID)
		}
		if private, _ := m.private(&m.cores[c.ID]); !pagesFit(c.Memory, len(private), nil) {
			return damaged("memory of core %d", c.ID)
		}
	}
	for i, j := range s.Jobs {
		if !plain(j.Name) || strings.Contains(j.Name, " ") {
			return damaged("name of process %d", i)
		}
		for rank, id := range j.Cores {
			if j.Ended && id >= -1 && int(id) < len(m.cores) {
				continue
			}
			if c := seen[id]; c == nil || c.Job != i || c.Rank != rank {
				return damaged("rank %d of %s", rank, j.Name)
			}
		}
		if len(j.Cores) == 0 {
			return damaged("process %s", j.Name)
		}
	}
	for i := range s.Cores {
		for _, b := range s.Cores[i].Boxes {
			for _, msg := range b.In {
				if msg.Src >= 0 && seen[msg.Src] == nil || len(msg.Data) > maxMessage {
					return damaged("message of core %d", msg.Src)
				}
			}
		}
	}
	for i := range s.Tiles {
		if err := m.checkTile(&s.Tiles[i], len(programs)); err != nil {
			return err
		}
	}
	for i := range s.Ops {
		if o := &s.Ops[i]; !m.opFits(s, o) || o.From >= 0 && seen[o.From] == nil || o.Core >= 0 && !o.Stale && seen[o.Core] == nil {
			return damaged("transfer of core %d", o.Src)
		}
	}
	return nil
}

// What a snapshot may say of time: nothing overflows, and no core is so far
// ahead of its machine that this would never come there.
const (
	maxNow   = maxEpochs * MaxQuantum
	maxAhead = 1 << 33
)

// maxWord bounds what a snapshot says that users read, in bytes.
const maxWord = 4096

// plain reports whether a text of a snapshot is one line.
func plain(s string) bool {
	return len(s) <= maxWord && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// clip shortens a text of a snapshot for a message.
func clip(s string) string { return s[:min(len(s), 100)] }

func damaged(format string, args ...any) error {
	return sys.Errorf(syscall.EINVAL, "damaged: "+format, args...)
}

func (m *Machine) checkCore(s *savedMachine, c *savedCore, p *program) error {
	state, resume := State(c.State), State(c.Resume)
	live := state >= Running && state <= Halted
	switch {
	case state == Idle || state > Faulted || resume > Faulted || waiting(c.Wait) > forReader,
		state == Halted && resume != Running && resume != Parked,
		state == Parked && waiting(c.Wait) == noWait,
		len(c.Ring) != int(min(c.Marks, ringSize)), c.Pending < 0, c.Credits < 0, c.Flying < 0, len(c.Breaks) > maxBreaks,
		slices.ContainsFunc(c.Breaks, func(b savedBreak) bool { return !plain(b.Where) }):
		return damaged("state of core %d", c.ID)
	case live && (c.Job < 0 || c.Job >= len(s.Jobs) || s.Jobs[c.Job].Ended || c.Rank < 0 || c.Rank >= len(s.Jobs[c.Job].Cores) || int(s.Jobs[c.Job].Cores[c.Rank]) != c.ID),
		c.Job < -1 || c.Job >= len(s.Jobs) || c.Rank < -1:
		return damaged("core %d is no rank of its process", c.ID)
	case max(c.Instret, c.Extra, c.Skew) > maxNow, c.Instret+c.Extra+c.Skew > s.Now+maxAhead, c.Until > s.Now+maxAhead, c.Sent > s.Now+maxAhead:
		return damaged("time of core %d", c.ID)
	case c.PC%2 != 0 || c.X[0] != 0:
		return damaged("registers of core %d", c.ID)
	}
	private, _ := m.private(&m.cores[c.ID])
	if !pagesFit(c.Memory, len(private), p.pages(uint32(len(private)))) || uint64(c.RO) > uint64(len(private)) {
		return damaged("memory of core %d", c.ID)
	}
	for _, b := range c.Boxes {
		if b.Channel < 0 || b.Channel >= Channels || b.Unread < 0 || b.Unread > len(b.Out) || len(b.Out)-b.Unread > boxRoom {
			return damaged("channel %d of core %d", b.Channel, c.ID)
		}
	}
	if err := m.lacking(&m.cores[c.ID], p, "a program"); err != nil {
		return err
	}
	if err := m.fitsThere(int32(c.ID), p, &Image{Args: c.Args, Env: c.Env}, nil); err != nil {
		return damaged("%v", err)
	}
	return nil
}

func (m *Machine) checkTile(t *savedTile, programs int) error {
	if t.ID < 0 || t.ID >= len(m.tiles) || !pagesFit(t.Memory, len(m.sram(int32(t.ID))), nil) || len(t.Parts) > maxParts {
		return damaged("tile %d", t.ID)
	}
	for _, at := range t.Bufs {
		if at != 0 && m.inTile(int32(t.ID), at, controlBytes) == nil {
			return damaged("circular buffer at 0x%x", at)
		}
	}
	for _, p := range t.Parts {
		if m.inTile(int32(t.ID), p.Addr, int(p.Size)) == nil || !plain(p.What) || p.Program < -1 || p.Program >= programs {
			return damaged("part of SRAM at 0x%x", p.Addr)
		}
	}
	return nil
}

// opFits reports whether an op is one that this machine could have.
func (m *Machine) opFits(s *savedMachine, o *savedOp) bool {
	kind := opKind(o.Kind)
	switch {
	case o.Tile < 0 || int(o.Tile) >= len(m.tiles), o.Core < -1 || int(o.Core) >= len(m.cores), o.Src < 0 || int(o.Src) >= len(m.cores),
		o.Core >= 0 && m.cores[o.Core].tile != o.Tile, kind > opAdded, o.From < 0 && (o.From != -1 || kind.answer()), o.Channel >= Channels, o.At > s.Now+maxAhead,
		kind == opGet && o.Value > maxTransfer, len(o.Data) > maxTransfer, kind == opMessage && len(o.Data) > maxMessage:
		return false
	}
	return o.Core >= 0 || kind != opMessage && kind != opGot && kind != opAdded
}

// pagesFit reports whether pages lie in a memory of that size, and are known where
// they have no data.
func pagesFit(list []savedPage, size int, known pageSet) bool {
	return !slices.ContainsFunc(list, func(p savedPage) bool {
		return uint64(p.At)+uint64(len(p.Data)) > uint64(size) || len(p.Data) == 0 && known[p.At] == nil
	})
}

// load makes the machine what a checked snapshot says. m.mu is held.
func (m *Machine) load(s *savedMachine, programs []*program) {
	cl := m.cleaner()
	for i := range m.tiles {
		t := &m.tiles[i]
		for _, id := range m.coreNumbers(t.id) {
			cl.core(&m.cores[id])
		}
		t.inbox, t.queued = nil, false
		cl.sram(t.id)
	}
	cl.end()
	m.forget()
	m.quantum, m.now, m.epochs = s.Quantum, s.Now, s.Epochs
	m.passedCycles.Store(m.now)
	m.looked = m.epochs
	if m.log.on {
		m.record() // anew: what came before is of another past
	}
	jobs := make([]*Job, len(s.Jobs))
	for i, j := range s.Jobs {
		jobs[i] = &Job{m: m, name: j.Name, cores: j.Cores, input: j.Input, eof: true, ended: j.Ended, exit: j.Exit, done: make(chan struct{})}
		if j.Ended {
			close(jobs[i].done)
			continue
		}
		m.jobs[jobs[i]] = struct{}{}
	}
	for i := range s.Cores {
		m.loadCore(&s.Cores[i], programs, jobs)
	}
	for _, c := range s.Idle {
		private, _ := m.private(&m.cores[c.ID])
		fill(private, c.Memory, nil)
		m.cores[c.ID].written = true
	}
	for i := range s.Cores {
		m.loadBoxes(&s.Cores[i])
	}
	for i := range s.Tiles { // after the programs, whose data may have changed since
		m.loadTile(&s.Tiles[i], programs)
	}
	for i := range s.Cores { // programs may have changed their text
		m.cores[s.Cores[i].ID].hart.SyncCode()
	}
	m.loadOps(s.Ops)
	m.input()
	m.start()
}

func (m *Machine) loadTile(s *savedTile, programs []*program) {
	t := &m.tiles[s.ID]
	sh := m.shared(t.id)
	sh.bufs, sh.users, sh.parts = s.Bufs, s.Users, nil
	for _, p := range s.Parts {
		add := part{addr: p.Addr, size: p.Size, what: p.What, text: p.Text}
		if p.Program >= 0 {
			add.prog = programs[p.Program]
		}
		sh.add(add)
	}
	t.written = true
	m.protect(t.id)
	m.arena.wipe(m.sramIn(t.id))
	fill(m.sram(t.id), s.Memory, nil)
	if !s.Rests {
		t.dirty.Store(true)
		m.queue(t.id)
	}
}

// forget drops what is on its way.
func (m *Machine) forget() {
	m.active, m.sleepers, m.pending = nil, nil, 0
	for _, w := range m.workers {
		*w = *newWorker(m, w.num)
	}
	for i := range m.late {
		m.late[i] = nil
	}
}

// fill copies pages into memory; what has no data is known.
func fill(mem []byte, list []savedPage, known pageSet) {
	for _, p := range list {
		data := p.Data
		if len(data) == 0 {
			data = known[p.At]
		}
		copy(mem[p.At:], data)
	}
}

func (m *Machine) loadCore(s *savedCore, programs []*program, jobs []*Job) {
	c := &m.cores[s.ID]
	m.reset(c)
	m.install(c, programs[s.Program])
	h := c.hart
	private, _ := m.private(c)
	fill(private, s.Memory, c.prog.pages(uint32(len(private))))
	copy(h.X[:], s.X[:])
	h.F, h.PC, h.Fcsr, h.Instret, h.Extra, h.Skew = s.F, s.PC, s.Fcsr, s.Instret, s.Extra, s.Skew
	h.CSR, h.Trap, h.Win[0].RO = s.CSRs, s.Trap, s.RO
	h.Reserved, h.ReservedAddr, h.ReservedWord = s.Reserved, s.ReservedAddr, s.ReservedWord
	c.state, c.resume, c.wait = State(s.State), State(s.Resume), waiting(s.Wait)
	c.rank, c.asked, c.answered, c.csr, c.all, c.met = int32(s.Rank), s.Asked, s.Answered, s.CSR, s.All, s.Met
	c.answer, c.brk, c.mark, c.marks, c.seq, c.sent = s.Answer, s.Break, s.Mark, s.Marks, s.Seq, s.Sent
	c.code, c.since, c.until, c.began = s.Code, s.Since, s.Until, s.Began
	c.account.pending.Store(s.Pending)
	c.account.credits.Store(s.Credits)
	c.account.flying.Store(s.Flying)
	if c.state == Ready {
		c.image = &Image{Args: s.Args, Env: s.Env}
	}
	if len(s.Ring) > 0 {
		c.ring = new([ringSize]markRecord)
		for i, r := range s.Ring {
			c.ring[(s.Marks-uint32(len(s.Ring))+uint32(i))%ringSize] = markRecord{r.At, r.N}
		}
	}
	if s.Steps > 0 || len(s.Breaks) > 0 {
		d := c.debugging()
		d.steps, d.ctl = s.Steps, make(map[uint32]string)
		for _, b := range s.Breaks {
			d.ctl[b.Addr] = b.Where
		}
		m.setBreaks(c)
	}
	if s.Job >= 0 {
		c.job = jobs[s.Job]
		c.job.take(c)
	}
	if c.state == Running {
		c.lift(m.now) // it may have been stopped for long
	}
	m.publish(c)
}

// take counts a core that was restored among those of its job.
func (j *Job) take(c *core) {
	if !c.live() {
		return
	}
	j.live++
	switch {
	case c.parkedFor(forBarrier):
		j.arrived++
	case c.parkedFor(forInput):
		j.askers = append(j.askers, c.id)
	case c.state == Parked && c.wait == forTime:
		j.m.addSleepers(c.id)
	}
}

func (m *Machine) loadBoxes(s *savedCore) {
	c := &m.cores[s.ID]
	for _, saved := range s.Boxes {
		b := c.box(uint8(saved.Channel))
		for i, data := range saved.Out {
			if b.put(data); i < saved.Unread {
				b.free()
			}
		}
		for _, msg := range saved.In {
			var from *account
			if msg.Src >= 0 {
				from = m.cores[msg.Src].account
			}
			b.in = append(b.in, message{from: from, rank: msg.Rank, data: msg.Data})
		}
		b.accept(func(*account) {}) // their senders know
	}
	m.servePorts(c)
}

func (m *Machine) loadOps(list []savedOp) {
	w := m.workers[0]
	for _, s := range list {
		from := &account{core: -1, gone: true}
		if s.From >= 0 {
			from = m.cores[s.From].account
		}
		o := op{
			at: s.At, src: s.Src, seq: s.Seq, from: from, life: m.tiles[s.Tile].life, tile: s.Tile, core: s.Core,
			kind: opKind(s.Kind), channel: s.Channel, addr: s.Addr, back: s.Back, value: s.Value, data: s.Data,
		}
		switch {
		case s.Core >= 0 && s.Stale:
			o.to = &account{core: -1, gone: true}
		case s.Core >= 0:
			o.to = m.cores[s.Core].account
		case s.Stale:
			o.life--
		}
		w.emit(o)
	}
	m.pending, w.moved = w.moved, 0
}

package sim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"syscall"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// savedMachine is a snapshot: gob, compressed. Programs that procs started go
// on as programs of their cores: their files are not the machine's to keep.
type savedMachine struct {
	Version  int
	Name     string
	Quantum  uint64
	Now      uint64
	Epochs   uint64
	Programs [][]byte
	Cores    []savedCore
	Jobs     []savedJob
	Tiles    []savedTile
	Ops      []savedOp
}

const snapshotVersion = 1

type savedCore struct {
	ID, Program, Job, Rank     int
	State, Resume, Wait        uint8
	Asked, Answered, CSR, All  bool
	Answer, Meeting, Break     uint32
	Mark, Marks, Seq           uint32
	Code                       int32
	Pending, Credits           int32
	Since, Until, Began        uint64
	X                          [32]uint32
	F                          [32]uint64
	PC, Fcsr, RO               uint32
	Instret, Extra, Skew       uint64
	CSRs                       rv.CSR
	Trap                       rv.Trap
	Reserved                   bool
	ReservedAddr, ReservedWord uint32
	Ring                       []savedMark
	Memory                     []savedPage
	Boxes                      []savedBox
}

type savedMark struct {
	At uint64
	N  uint32
}

type savedPage struct {
	At   uint32
	Data []byte
}

type savedBox struct {
	Channel int
	In      []savedMessage
	Out     [][]byte
}

type savedMessage struct {
	Src      int32
	Rank     uint32
	Accepted bool
	Data     []byte
}

type savedJob struct {
	Name    string
	Cores   []int32
	Live    int
	Arrived int
	Input   []byte
}

type savedTile struct {
	ID, Arrived int
	Meeting, RO uint32
	Bufs        [circulars]uint32
	Parts       []savedPart
	Memory      []savedPage
}

type savedPart struct {
	Addr, Size uint32
	What       string
}

type savedOp struct {
	At            uint64
	Src           int32
	Seq           uint32
	Tile, Core    int32
	Kind, Channel uint8
	Addr, Back    uint32
	Value         uint32
	Data          []byte
}

// Snapshot returns the state of the whole machine, between two epochs. EBUSY
// while a process is without some of its cores.
func (m *Machine) Snapshot() ([]byte, error) {
	m.mu.Lock()
	s, err := m.save()
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := gob.NewEncoder(z).Encode(s); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (m *Machine) save() (*savedMachine, error) {
	s := &savedMachine{Version: snapshotVersion, Name: m.spec.Name, Quantum: m.quantum, Now: m.now, Epochs: m.epochs}
	jobs := make(map[*Job]int)
	for _, j := range m.allJobs() {
		if len(j.lost) > 0 {
			return nil, sys.Errorf(syscall.EBUSY, "snapshot: %s is without some of its cores", j.name)
		}
		jobs[j] = len(s.Jobs)
		s.Jobs = append(s.Jobs, savedJob{j.name, j.cores, j.live, j.arrived, j.input})
	}
	programs := make(map[*program]int)
	for i := range m.cores {
		c := &m.cores[i]
		if c.hart == nil {
			continue
		}
		if _, ok := programs[c.prog]; !ok {
			programs[c.prog] = len(s.Programs)
			s.Programs = append(s.Programs, c.prog.raw)
		}
		job, ok := jobs[c.job]
		if !ok {
			job = -1
		}
		s.Cores = append(s.Cores, m.saveCore(c, programs[c.prog], job))
	}
	for i := range m.tiles {
		t := &m.tiles[i]
		saved := savedTile{ID: i, Arrived: t.arrived, Meeting: t.meeting}
		if t.shared != nil {
			saved.RO, saved.Bufs = t.shared.ro, t.shared.bufs
			for _, p := range t.shared.parts {
				saved.Parts = append(saved.Parts, savedPart{p.addr, p.size, p.what})
			}
		}
		if t.shared == nil && !m.tileUsed(int32(i)) {
			continue
		}
		saved.Memory = pages(m.sram(int32(i)))
		s.Tiles = append(s.Tiles, saved)
	}
	s.Ops = m.saveOps()
	return s, nil
}

func (m *Machine) tileUsed(t int32) bool {
	return slices.ContainsFunc(m.coreNumbers(t), func(id int32) bool { return m.cores[id].hart != nil })
}

func (m *Machine) coreNumbers(t int32) []int32 {
	list := m.tileCores(t)
	ids := make([]int32, len(list))
	for i := range list {
		ids[i] = list[i].id
	}
	return ids
}

// savePage is the unit in which memory is saved: pages of zeros are left out.
const savePage = 4096

func pages(mem []byte) []savedPage {
	var list []savedPage
	for at := 0; at < len(mem); at += savePage {
		p := mem[at:min(at+savePage, len(mem))]
		if !allZero(p) {
			list = append(list, savedPage{uint32(at), bytes.Clone(p)})
		}
	}
	return list
}

var zeros [savePage]byte

func allZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }

func (m *Machine) saveCore(c *core, program, job int) savedCore {
	h := c.hart
	s := savedCore{
		ID: int(c.id), Program: program, Job: job, Rank: int(c.rank), State: uint8(c.state), Resume: uint8(c.resume), Wait: uint8(c.wait),
		Asked: c.asked, Answered: c.answered, CSR: c.csr, All: c.all, Answer: c.answer, Meeting: c.meeting, Break: c.brk,
		Mark: c.mark, Marks: c.marks, Seq: c.seq, Code: c.code, Pending: c.pending.Load(), Credits: c.credits.Load(),
		Since: c.since, Until: c.until, Began: c.began, F: h.F, PC: h.PC, Fcsr: h.Fcsr, RO: h.Win[0].RO,
		Instret: h.Instret, Extra: h.Extra, Skew: h.Skew, CSRs: h.CSR, Trap: h.Trap,
		Reserved: h.Reserved, ReservedAddr: h.ReservedAddr, ReservedWord: h.ReservedWord,
	}
	copy(s.X[:], h.X[:])
	for i := c.marks - min(c.marks, ringSize); i != c.marks; i++ {
		s.Ring = append(s.Ring, savedMark{c.ring[i%ringSize].at, c.ring[i%ringSize].n})
	}
	private, _ := m.private(c)
	s.Memory = pages(private)
	if c.boxes == nil {
		return s
	}
	for n := range c.boxes {
		b := &c.boxes[n]
		if len(b.in)+len(b.out) == 0 {
			continue
		}
		saved := savedBox{Channel: n, Out: b.out}
		for _, msg := range b.in {
			saved.In = append(saved.In, savedMessage{msg.src, msg.rank, msg.accepted, msg.data})
		}
		s.Boxes = append(s.Boxes, saved)
	}
	return s
}

func (m *Machine) saveOps() []savedOp {
	var all []op
	for _, w := range m.workers {
		for _, list := range w.out {
			all = append(all, list...)
		}
	}
	for _, list := range m.late {
		for _, t := range list {
			all = append(all, m.tiles[t].inbox...)
		}
	}
	slices.SortFunc(all, byArrival)
	var out []savedOp
	for _, o := range all {
		if m.cores[o.src].gen != o.gen {
			continue // what sent it is not there any more
		}
		out = append(out, savedOp{o.at, o.src, o.seq, o.tile, o.core, uint8(o.kind), o.channel, o.addr, o.back, o.value, o.data})
	}
	return out
}

// Restore makes the machine what a snapshot of a machine of this name says.
// EBUSY while programs run, EINVAL if it is not such a snapshot; then nothing changes.
func (m *Machine) Restore(data []byte) error {
	s, err := readSnapshot(data)
	if err != nil {
		return err
	}
	if s.Name != m.spec.Name {
		return sys.Errorf(syscall.EINVAL, "restore: this is a snapshot of %s, and the machine is %s", s.Name, m.spec.Name)
	}
	programs := make([]*program, len(s.Programs))
	for i, raw := range s.Programs {
		if programs[i], err = newProgram(sha256.Sum256(raw), raw); err != nil {
			return sys.Errorf(syscall.EINVAL, "restore: %v", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkSnapshot(s); err != nil {
		return sys.Errorf(sys.Errno(err), "restore: %v", err)
	}
	m.load(s, programs)
	return nil
}

// maxSaved bounds a snapshot, unpacked.
const maxSaved = 8 << 30

func readSnapshot(data []byte) (s *savedMachine, err error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "restore: this is no snapshot: %v", err)
	}
	s = new(savedMachine)
	if err := gob.NewDecoder(io.LimitReader(z, maxSaved)).Decode(s); err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "restore: this is no snapshot: %v", err)
	}
	if s.Version != snapshotVersion {
		return nil, sys.Errorf(syscall.EINVAL, "restore: this is a snapshot of version %d, and %d is read", s.Version, snapshotVersion)
	}
	return s, nil
}

// checkSnapshot says why a snapshot cannot be loaded. m.mu is held.
func (m *Machine) checkSnapshot(s *savedMachine) error {
	bad := func(format string, args ...any) error {
		return sys.Errorf(syscall.EINVAL, "damaged: "+format, args...)
	}
	if len(m.jobs) > 0 {
		return sys.Errorf(syscall.EBUSY, "%d programs run: end them first", len(m.jobs))
	}
	for i := range m.cores {
		if m.cores[i].debug.attached() {
			return sys.Errorf(syscall.EBUSY, "a debugger holds core %d", m.shown(int32(i)))
		}
	}
	if checkQuantum(s.Quantum) != nil {
		return bad("quantum %d", s.Quantum)
	}
	seen := make(map[int]bool)
	for i := range s.Cores {
		c := &s.Cores[i]
		if c.ID < 0 || c.ID >= len(m.cores) || seen[c.ID] || c.Program < 0 || c.Program >= len(s.Programs) || c.Job < -1 || c.Job >= len(s.Jobs) {
			return bad("core %d", c.ID)
		}
		seen[c.ID] = true
		if State(c.State) > Faulted || State(c.Resume) > Faulted || waiting(c.Wait) > forReader || len(c.Ring) > ringSize || c.Rank < -1 {
			return bad("state of core %d", c.ID)
		}
		if live := State(c.State) >= Running && State(c.State) <= Halted; live && c.Job < 0 {
			return bad("core %d runs nothing", c.ID)
		}
		private, _ := m.private(&m.cores[c.ID])
		if !pagesFit(c.Memory, len(private)) || uint64(c.RO) > uint64(len(private)) {
			return bad("memory of core %d", c.ID)
		}
		for _, b := range c.Boxes {
			if b.Channel < 0 || b.Channel >= Channels {
				return bad("channel %d", b.Channel)
			}
		}
	}
	for _, j := range s.Jobs {
		for rank, id := range j.Cores {
			if !seen[int(id)] {
				return bad("rank %d of %s", rank, j.Name)
			}
		}
		if len(j.Cores) == 0 {
			return bad("process %s", j.Name)
		}
	}
	for _, t := range s.Tiles {
		if t.ID < 0 || t.ID >= len(m.tiles) || !pagesFit(t.Memory, len(m.sram(int32(t.ID)))) || len(t.Parts) > maxParts {
			return bad("tile %d", t.ID)
		}
		for _, at := range t.Bufs {
			if at != 0 && m.inTile(int32(t.ID), at, controlBytes) == nil {
				return bad("circular buffer at 0x%x", at)
			}
		}
	}
	for _, o := range s.Ops {
		if o.Tile < 0 || int(o.Tile) >= len(m.tiles) || o.Core < -1 || int(o.Core) >= len(m.cores) || o.Src < 0 || !seen[int(o.Src)] ||
			opKind(o.Kind) > opAdded || o.Channel >= Channels || o.Value > maxTransfer && opKind(o.Kind) == opGet ||
			o.Core < 0 && (opKind(o.Kind) == opMessage || opKind(o.Kind) == opGot || opKind(o.Kind) == opAdded) {
			return bad("transfer of core %d", o.Src)
		}
	}
	return nil
}

func pagesFit(list []savedPage, size int) bool {
	return !slices.ContainsFunc(list, func(p savedPage) bool { return uint64(p.At)+uint64(len(p.Data)) > uint64(size) })
}

// load makes the machine what a checked snapshot says. m.mu is held.
func (m *Machine) load(s *savedMachine, programs []*program) {
	for i := range m.cores {
		m.reset(&m.cores[i])
	}
	for i := range m.tiles {
		t := &m.tiles[i]
		t.shared, t.arrived, t.inbox, t.queued = nil, 0, nil, false
		clearMemory(m.sram(int32(i)))
	}
	m.forget()
	m.quantum, m.now, m.epochs = s.Quantum, s.Now, s.Epochs
	for _, t := range s.Tiles {
		tl := &m.tiles[t.ID]
		tl.arrived, tl.meeting = t.Arrived, t.Meeting
		sh := m.shared(int32(t.ID))
		sh.ro, sh.bufs = t.RO, t.Bufs
		for _, p := range t.Parts {
			sh.add(part{addr: p.Addr, size: p.Size, what: p.What})
		}
	}
	jobs := make([]*Job, len(s.Jobs))
	for i, j := range s.Jobs {
		jobs[i] = &Job{m: m, name: j.Name, cores: j.Cores, live: j.Live, arrived: j.Arrived, input: j.Input, eof: true, done: make(chan struct{})}
		m.jobs[jobs[i]] = struct{}{}
	}
	for i := range s.Cores {
		m.loadCore(&s.Cores[i], programs, jobs)
	}
	for _, t := range s.Tiles { // after the programs, whose data may have changed since
		fill(m.sram(int32(t.ID)), t.Memory)
	}
	w := m.workers[0]
	for _, o := range s.Ops {
		w.emit(op{o.At, o.Src, m.cores[o.Src].gen, o.Seq, o.Tile, o.Core, opKind(o.Kind), o.Channel, o.Addr, o.Back, o.Value, o.Data})
	}
	m.pending, w.moved = w.moved, 0
	m.start()
}

// forget drops what is on its way.
func (m *Machine) forget() {
	m.active, m.sleepers, m.pending, m.stuck = nil, nil, 0, ""
	for _, w := range m.workers {
		*w = *newWorker(m, w.num)
	}
	for i := range m.late {
		m.late[i] = nil
	}
}

func fill(mem []byte, list []savedPage) {
	for _, p := range list {
		copy(mem[p.At:], p.Data)
	}
}

func (m *Machine) loadCore(s *savedCore, programs []*program, jobs []*Job) {
	c := &m.cores[s.ID]
	m.put(c, programs[s.Program])
	h := c.hart
	private, _ := m.private(c)
	clearMemory(private)
	fill(private, s.Memory)
	copy(h.X[:], s.X[:])
	h.F, h.PC, h.Fcsr, h.Instret, h.Extra, h.Skew = s.F, s.PC, s.Fcsr, s.Instret, s.Extra, s.Skew
	h.CSR, h.Trap, h.Win[0].RO = s.CSRs, s.Trap, s.RO
	h.Reserved, h.ReservedAddr, h.ReservedWord = s.Reserved, s.ReservedAddr, s.ReservedWord
	c.state, c.resume, c.wait = State(s.State), State(s.Resume), waiting(s.Wait)
	c.rank, c.asked, c.answered, c.csr, c.all = int32(s.Rank), s.Asked, s.Answered, s.CSR, s.All
	c.answer, c.meeting, c.brk, c.mark, c.marks, c.seq = s.Answer, s.Meeting, s.Break, s.Mark, s.Marks, s.Seq
	c.code, c.since, c.until, c.began = s.Code, s.Since, s.Until, s.Began
	c.pending.Store(s.Pending)
	c.credits.Store(s.Credits)
	if s.Job >= 0 {
		c.job = jobs[s.Job]
	}
	if len(s.Ring) > 0 {
		c.ring = new([ringSize]markRecord)
		for i, r := range s.Ring {
			c.ring[(s.Marks-uint32(len(s.Ring))+uint32(i))%ringSize] = markRecord{r.At, r.N}
		}
	}
	for _, b := range s.Boxes {
		box := c.box(uint8(b.Channel))
		box.out = b.Out
		for _, msg := range b.In {
			box.in = append(box.in, message{src: msg.Src, rank: msg.Rank, accepted: msg.Accepted, data: msg.Data})
		}
	}
	if c.state == Parked && c.wait == forTime {
		m.sleepers = append(m.sleepers, c.id)
		slices.SortFunc(m.sleepers, func(a, b int32) int { return cmp.Compare(m.cores[a].until, m.cores[b].until) })
	}
	if c.state == Parked && c.wait == forInput && c.job != nil {
		c.job.askers = append(c.job.askers, c.id)
	}
	m.tiles[c.tile].dirty.Store(true)
	m.queue(c.tile)
	m.publish(c)
}

// Hash is of all that a program can see or bring about: memory, registers,
// time, messages. Machines of one description that have done the same have the same.
func (m *Machine) Hash() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := fnv.New128a()
	s, err := m.save()
	if err != nil {
		return err.Error()
	}
	fmt.Fprintf(h, "%d %d", s.Now, s.Epochs)
	for i := range s.Cores {
		c := &s.Cores[i]
		fmt.Fprintf(h, "core %+v", *c)
	}
	for _, t := range s.Tiles {
		fmt.Fprintf(h, "tile %+v", t)
	}
	_ = binary.Write(h, binary.LittleEndian, uint64(len(s.Ops)))
	for _, o := range s.Ops {
		fmt.Fprintf(h, "op %+v", o)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

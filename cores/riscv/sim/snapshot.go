package sim

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"syscall"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// savedMachine is a snapshot. Programs that procs started go on as programs of
// their cores: their files are not the machine's to keep, and nobody has stopped
// them. A file has it as gob, compressed: first without cores and tiles, then
// these one by one, as gob keeps the whole of a value in memory.
type savedMachine struct {
	Version              int
	Name                 string
	Quantum              uint64
	Now                  uint64
	Epochs               uint64
	Programs             [][]byte
	Idle                 []savedIdle
	Jobs                 []savedJob
	Ops                  []savedOp
	CoreCount, TileCount int // that follow

	Cores []savedCore // that have a program
	Tiles []savedTile
}

const snapshotVersion = 4

// write writes the snapshot as a file has it, before it is compressed.
func (s *savedMachine) write(w io.Writer) error {
	head := *s
	head.CoreCount, head.TileCount, head.Cores, head.Tiles = len(s.Cores), len(s.Tiles), nil, nil
	e := gob.NewEncoder(w)
	if err := e.Encode(&head); err != nil {
		return err
	}
	for i := range s.Cores {
		if err := e.Encode(&s.Cores[i]); err != nil {
			return err
		}
	}
	for i := range s.Tiles {
		if err := e.Encode(&s.Tiles[i]); err != nil {
			return err
		}
	}
	return nil
}

// read reads what write wrote, of a machine with at most so many cores and tiles.
func (s *savedMachine) read(r io.Reader, cores, tiles int) error {
	d := gob.NewDecoder(r)
	if err := d.Decode(s); err != nil {
		return err
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("it is of version %d, and %d is read", s.Version, snapshotVersion)
	}
	if len(s.Cores)+len(s.Tiles) > 0 || s.CoreCount < 0 || s.CoreCount > cores || s.TileCount < 0 || s.TileCount > tiles {
		return fmt.Errorf("%d cores and %d tiles, for a machine of %d and %d", s.CoreCount, s.TileCount, cores, tiles)
	}
	s.Cores, s.Tiles = make([]savedCore, s.CoreCount), make([]savedTile, s.TileCount)
	for i := range s.Cores {
		if err := d.Decode(&s.Cores[i]); err != nil {
			return err
		}
	}
	for i := range s.Tiles {
		if err := d.Decode(&s.Tiles[i]); err != nil {
			return err
		}
	}
	return nil
}

type savedCore struct {
	ID, Program, Job, Rank     int
	State, Resume, Wait        uint8
	Asked, Answered, CSR, All  bool
	Met                        bool
	Answer, Break              uint32
	Mark, Marks, Seq           uint32
	Code                       int32
	Pending, Credits           int32
	Flying                     int64
	Since, Until, Began, Sent  uint64
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
	Args, Env                  []string // of one that was not started
	Steps                      uint64   // until it halts
	Breaks                     []savedBreak
}

// savedIdle is a core without a program whose memory was written to.
type savedIdle struct {
	ID     int
	Memory []savedPage
}

type savedBreak struct {
	Addr  uint32
	Where string
}

type savedMark struct {
	At uint64
	N  uint32
}

// savedPage is a piece of memory.
type savedPage struct {
	At   uint32
	Data []byte // none: what the program has there at first
}

type savedBox struct {
	Channel int
	In      []savedMessage
	Out     [][]byte
	Unread  int // the first of out, which take no room
}

type savedMessage struct {
	Src  int32 // core; -1: the host, or none that is left
	Rank uint32
	Data []byte
}

type savedJob struct {
	Name  string
	Cores []int32
	Input []byte
	Ended bool
	Exit  Exit
}

type savedTile struct {
	ID     int
	Rests  bool // no core of it has anything to do
	Bufs   [circulars]uint32
	Users  [circulars]uint64
	Parts  []savedPart
	Memory []savedPage
}

type savedPart struct {
	Addr, Size uint32
	What       string
	Program    int // whose it is; -1: of none
	Text       bool
}

type savedOp struct {
	At            uint64
	Src, From     int32 // the core that sent it, and where its program is now; -1: it is gone
	Seq           uint32
	Tile, Core    int32
	Stale         bool // what it is for is not there any more
	Kind, Channel uint8
	Addr, Back    uint32
	Value         uint32
	Data          []byte
}

// Snapshot returns the state of the whole machine, between two epochs. EBUSY
// while a process is without some of its cores.
func (m *Machine) Snapshot() ([]byte, error) {
	m.mu.Lock()
	m.lull()
	s, err := m.save()
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed) // most of it are the same few pages of each core
	if err != nil {
		return nil, err
	}
	if err := s.write(z); err != nil {
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
		s.Jobs = append(s.Jobs, savedJob{Name: j.name, Cores: slices.Clone(j.cores), Input: slices.Clone(j.input)})
	}
	programs := make(map[*program]int)
	number := func(p *program) int {
		n, ok := programs[p]
		if !ok {
			n = len(s.Programs)
			programs[p] = n
			s.Programs = append(s.Programs, p.raw)
		}
		return n
	}
	for i := range m.cores {
		c := &m.cores[i]
		if c.hart == nil {
			if c.written {
				from, to := m.privateIn(c)
				s.Idle = append(s.Idle, savedIdle{i, m.arena.pages(from, to, nil)})
			}
			continue
		}
		job, ok := jobs[c.job]
		switch {
		case c.job == nil:
			job = -1
		case !ok: // it has ended, and its cores are looked at
			job = len(s.Jobs)
			jobs[c.job] = job
			s.Jobs = append(s.Jobs, savedJob{Name: c.job.name, Cores: slices.Clone(c.job.cores), Ended: true, Exit: c.job.exit})
		}
		s.Cores = append(s.Cores, m.saveCore(c, number(c.prog), job))
	}
	for i := range m.tiles {
		t := &m.tiles[i]
		saved := savedTile{ID: i, Rests: m.tileRests(int32(i))}
		if t.shared != nil {
			saved.Bufs, saved.Users = t.shared.bufs, t.shared.users
			for _, p := range t.shared.parts {
				saved.Parts = append(saved.Parts, savedPart{p.addr, p.size, p.what, -1, p.text})
				if p.prog != nil {
					saved.Parts[len(saved.Parts)-1].Program = number(p.prog)
				}
			}
		}
		if t.shared == nil && !t.written && !m.tileUsed(int32(i)) {
			continue
		}
		from, _ := m.sramIn(int32(i))
		saved.Memory = m.arena.pages(from, from+uint64(len(m.sram(int32(i)))), nil)
		s.Tiles = append(s.Tiles, saved)
	}
	s.Ops = m.saveOps()
	return s, nil
}

// tileRests reports whether nothing happens in a tile by itself, and will not
// when all that was stopped is let go.
func (m *Machine) tileRests(t int32) bool {
	tl := &m.tiles[t]
	return !tl.queued && !tl.dirty.Load() && !slices.ContainsFunc(m.tileCores(t), func(c core) bool { return c.live() && c.job.stands() })
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

var zeros [savePage]byte

func allZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }

func (m *Machine) saveCore(c *core, program, job int) savedCore {
	h := c.hart
	s := savedCore{
		ID: int(c.id), Program: program, Job: job, Rank: int(c.rank), State: uint8(c.state), Resume: uint8(c.resume), Wait: uint8(c.wait),
		Asked: c.asked, Answered: c.answered, CSR: c.csr, All: c.all, Met: c.met, Answer: c.answer, Break: c.brk,
		Mark: c.mark, Marks: c.marks, Seq: c.seq, Code: c.code,
		Pending: c.account.pending.Load(), Credits: c.account.credits.Load(), Flying: c.account.flying.Load(),
		Since: c.since, Until: c.until, Began: c.began, Sent: c.sent, F: h.F, PC: h.PC, Fcsr: h.Fcsr, RO: h.Win[0].RO,
		Instret: h.Instret, Extra: h.Extra, Skew: h.Skew, CSRs: h.CSR, Trap: h.Trap,
		Reserved: h.Reserved, ReservedAddr: h.ReservedAddr, ReservedWord: h.ReservedWord,
	}
	copy(s.X[:], h.X[:])
	for i := c.marks - min(c.marks, ringSize); i != c.marks; i++ {
		s.Ring = append(s.Ring, savedMark{c.ring[i%ringSize].at, c.ring[i%ringSize].n})
	}
	if c.image != nil && c.state == Ready {
		s.Args, s.Env = c.image.Args, c.image.Env
	}
	if d := c.debug; d != nil {
		if !d.attached() {
			s.Steps = d.steps
		}
		for _, addr := range slices.Sorted(maps.Keys(d.ctl)) {
			s.Breaks = append(s.Breaks, savedBreak{addr, d.ctl[addr]})
		}
	}
	from, to := m.privateIn(c)
	s.Memory = m.arena.pages(from, to, c.prog.pages(uint32(len(h.Win[0].Mem))))
	if c.boxes == nil {
		return s
	}
	for n := range c.boxes {
		b := &c.boxes[n]
		in := b.in
		if !c.hears() {
			in = nil
		}
		if len(in)+len(b.out) == 0 {
			continue
		}
		saved := savedBox{Channel: n, Out: slices.Clone(b.out), Unread: max(0, len(b.out)-len(b.taken))}
		for _, msg := range in {
			src := int32(-1)
			if msg.from != nil && !msg.from.gone {
				src = msg.from.core
			}
			saved.In = append(saved.In, savedMessage{src, msg.rank, msg.data})
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
		from := o.from.core
		if o.from.gone {
			if o.kind.answer() {
				continue // nobody waits for it
			}
			from = -1
		}
		out = append(out, savedOp{o.at, o.src, from, o.seq, o.tile, o.core, m.stale(&o), uint8(o.kind), o.channel, o.addr, o.back, o.value, o.data})
	}
	return out
}

// Hash is of all that a program can see or bring about: memory, registers,
// time, messages. Machines of one description that have done the same have the
// same. When no program runs it waits for what is still on its way.
func (m *Machine) Hash() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.running && len(m.jobs) == 0 {
		done := m.notice()
		m.mu.Unlock()
		<-done
		m.mu.Lock()
	}
	h := fnv.New128a()
	s, err := m.save()
	if err != nil {
		return err.Error()
	}
	fmt.Fprintf(h, "%d %d", s.Now, s.Epochs)
	for _, raw := range s.Programs {
		fmt.Fprintf(h, "program %x", sha256.Sum256(raw))
	}
	write := func(list []savedPage) {
		for _, p := range list {
			fmt.Fprintf(h, "at %d", p.At)
			h.Write(p.Data)
		}
	}
	for i := range s.Cores {
		c := &s.Cores[i]
		write(c.Memory)
		c.Memory = nil
		fmt.Fprintf(h, "core %+v", *c)
	}
	for _, c := range s.Idle {
		fmt.Fprintf(h, "core %d", c.ID)
		write(c.Memory)
	}
	for _, t := range s.Tiles {
		write(t.Memory)
		t.Memory = nil
		fmt.Fprintf(h, "tile %+v", t)
	}
	_ = binary.Write(h, binary.LittleEndian, uint64(len(s.Ops)))
	for _, o := range s.Ops {
		fmt.Fprintf(h, "op %+v", o)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

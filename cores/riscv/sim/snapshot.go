package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"syscall"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// savedMachine is a snapshot: gob, compressed. Programs that procs started go
// on as programs of their cores: their files are not the machine's to keep, and
// nobody has stopped them.
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

const snapshotVersion = 2

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

type savedBreak struct {
	Addr  uint32
	Where string
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
	Src  int32 // core; -1: the host, or none that is left
	Rank uint32
	Data []byte
}

type savedJob struct {
	Name  string
	Cores []int32
	Input []byte
}

type savedTile struct {
	ID     int
	Bufs   [circulars]uint32
	Parts  []savedPart // without those of programs
	Memory []savedPage
}

type savedPart struct {
	Addr, Size uint32
	What       string
}

type savedOp struct {
	At            uint64
	Src, From     int32 // the core that sent it, and where its program is now
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
		s.Jobs = append(s.Jobs, savedJob{j.name, slices.Clone(j.cores), slices.Clone(j.input)})
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
		saved := savedTile{ID: i}
		if t.shared != nil {
			saved.Bufs = t.shared.bufs
			for _, p := range t.shared.parts {
				if p.prog == nil {
					saved.Parts = append(saved.Parts, savedPart{p.addr, p.size, p.what})
				}
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
		saved := savedBox{Channel: n, Out: slices.Clone(b.out)}
		for _, msg := range b.in {
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
		if o.from.gone {
			continue
		}
		out = append(out, savedOp{o.at, o.src, o.from.core, o.seq, o.tile, o.core, m.stale(&o), uint8(o.kind), o.channel, o.addr, o.back, o.value, o.data})
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

package gdb

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// toy is a machine for transcripts: threads with a memory of a page each, at
// 0x1000, whose words are instructions of our own. It runs inside Resume, a
// turn each; spinning threads run until Interrupt.
type toy struct {
	threads []*toyThread
	flen    int
	stopped func(Stop)
	running bool
	busy    error // what Attach says
	log     []string

	breaks  map[uint32]bool
	watches map[toyWatch]bool
}

type toyThread struct {
	name string
	regs map[int]uint64
	mem  [4096]byte
	gone bool
}

type toyWatch struct {
	addr, n uint32
	kind    Watch
}

const (
	toyNop   = iota
	toyStore // x11 to where x10 says
	toyLoad  // x11 from there
	toyExit  // with x10
	toyBreak
	toyBad
	toySpin
)

const toyBase = 0x1000

func newToy(threads, flen int, program ...uint32) *toy {
	m := &toy{flen: flen, breaks: map[uint32]bool{}, watches: map[toyWatch]bool{}}
	for i := range threads {
		t := &toyThread{name: fmt.Sprintf("core %d (%d,0) <T&0>", i, i), regs: map[int]uint64{PC: toyBase, CSR0 + 0xf14: uint64(i)}}
		for j, word := range program {
			binary.LittleEndian.PutUint32(t.mem[4*j:], word)
		}
		m.threads = append(m.threads, t)
	}
	return m
}

func (m *toy) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *toy) Threads() []Thread {
	var list []Thread
	for i, t := range m.threads {
		if !t.gone {
			list = append(list, Thread{i, t.name})
		}
	}
	return list
}

func (m *toy) Attach(stopped func(Stop)) error {
	if m.busy != nil {
		return m.busy
	}
	m.note("attach")
	m.stopped = stopped
	stopped(Stop{})
	return nil
}

func (m *toy) Detach(kill bool) {
	m.note("detach kill=%v breaks=%d watches=%d", kill, len(m.breaks), len(m.watches))
	m.running = false
}

func (m *toy) Resume(actions []Action) error {
	m.running = true
	for range 1000 {
		idle := true
		for id, t := range m.threads {
			a, ok := pick(actions, id)
			if !ok || t.gone {
				continue
			}
			if stop, stops := m.turn(id, a); stops {
				m.running = false
				m.stopped(stop)
				return nil
			}
			idle = idle && t.word() == toySpin
		}
		if idle {
			return nil
		}
	}
	return sys.Errorf(syscall.EDEADLK, "toy: it runs too long")
}

func pick(actions []Action, id int) (Action, bool) {
	for _, a := range actions {
		if a.ID == id || a.ID == All {
			return a, true
		}
	}
	return Action{}, false
}

func (t *toyThread) pc() uint32 { return uint32(t.regs[PC]) }

func (t *toyThread) word() uint32 {
	if t.pc() < toyBase || t.pc() > toyBase+4092 {
		return toyBad
	}
	return binary.LittleEndian.Uint32(t.mem[t.pc()-toyBase:])
}

// turn does one instruction.
func (m *toy) turn(id int, a Action) (Stop, bool) {
	t := m.threads[id]
	stop := Stop{Thread: id}
	if m.breaks[t.pc()] {
		stop.Why = Break
		return stop, true
	}
	if stop, stops := m.execute(t, stop); stops {
		return stop, true
	}
	if a.Step && (t.pc() < a.Start || t.pc() >= a.End) {
		stop.Why = Stepped
		return stop, true
	}
	return stop, false
}

func (m *toy) execute(t *toyThread, stop Stop) (Stop, bool) {
	switch t.word() {
	case toySpin:
		return stop, false
	case toyExit:
		t.gone = true
		if stop.Why, stop.Status = Exited, int(t.regs[10]); len(m.Threads()) > 0 {
			return stop, false
		}
		return stop, true
	case toyBreak:
		stop.Why = Ebreak
		return stop, true
	case toyBad:
		stop.Why, stop.Cause = Fault, 2
		return stop, true
	case toyStore, toyLoad:
		return m.access(t, stop)
	}
	t.regs[PC] += 4
	return stop, false
}

func (m *toy) access(t *toyThread, stop Stop) (Stop, bool) {
	at, store := uint32(t.regs[10]), t.word() == toyStore
	if at < toyBase || at > toyBase+4092 {
		stop.Why, stop.Cause = Fault, 5
		return stop, true
	}
	for w := range m.watches {
		if at < w.addr+w.n && w.addr < at+4 && (w.kind == WatchAccess || store == (w.kind == WatchWrite)) {
			stop.Why, stop.Addr, stop.Kind = Watched, w.addr, w.kind
			return stop, true
		}
	}
	if word := t.mem[at-toyBase:]; store {
		binary.LittleEndian.PutUint32(word, uint32(t.regs[11]))
	} else {
		t.regs[11] = uint64(binary.LittleEndian.Uint32(word))
	}
	t.regs[PC] += 4
	return stop, false
}

func (m *toy) Interrupt() {
	if m.running {
		m.running = false
		m.stopped(Stop{Thread: len(m.threads) - 1})
	}
}

func (m *toy) FLen() int { return m.flen }

func (m *toy) thread(id int) (*toyThread, error) {
	if id < 0 || id >= len(m.threads) || m.threads[id].gone {
		return nil, sys.Errorf(syscall.ESRCH, "toy: no thread %d", id)
	}
	return m.threads[id], nil
}

func (m *toy) Regs(id int, nums []int, vals []uint64) error {
	t, err := m.thread(id)
	if err != nil {
		return err
	}
	for i, n := range nums {
		vals[i] = t.regs[n]
	}
	return nil
}

func (m *toy) SetReg(id, num int, val uint64) error {
	t, err := m.thread(id)
	if err != nil {
		return err
	}
	if num >= CSR0+0xc00 || num == 0 {
		return sys.Errorf(syscall.EINVAL, "toy: register %d is only read", num)
	}
	t.regs[num] = val
	return nil
}

// at returns the part of a thread's memory from addr on.
func (m *toy) at(id int, addr uint32) ([]byte, error) {
	t, err := m.thread(id)
	if err != nil {
		return nil, err
	}
	if addr < toyBase || addr >= toyBase+4096 {
		return nil, sys.Errorf(syscall.EFAULT, "toy: no memory at %#x", addr)
	}
	return t.mem[addr-toyBase:], nil
}

func (m *toy) ReadMem(id int, addr uint32, p []byte) (int, error) {
	mem, err := m.at(id, addr)
	return copy(p, mem), err
}

func (m *toy) WriteMem(id int, addr uint32, p []byte) error {
	mem, err := m.at(id, addr)
	if err == nil && len(p) > len(mem) {
		err = sys.Errorf(syscall.EFAULT, "toy: no memory")
	}
	copy(mem, p)
	return err
}

func (m *toy) SetBreak(addr uint32, on bool) error {
	m.note("break %#x %v", addr, on)
	if addr%2 != 0 {
		return sys.Errorf(syscall.EINVAL, "toy: odd")
	}
	if delete(m.breaks, addr); on {
		m.breaks[addr] = true
	}
	return nil
}

func (m *toy) SetWatch(addr, n uint32, kind Watch, on bool) error {
	m.note("watch %#x %d %d %v", addr, n, kind, on)
	w := toyWatch{addr, n, kind}
	if delete(m.watches, w); on {
		m.watches[w] = true
	}
	return nil
}

func (m *toy) Commands() []Command {
	return []Command{
		{"where", "", "where the thread is", func(id int, _ []string) (string, error) {
			return fmt.Sprintf("%s at %#x", m.threads[id].name, m.threads[id].pc()), nil
		}},
		{"fill", "N", "print N letters", func(_ int, args []string) (string, error) {
			var n int
			if _, err := fmt.Sscan(strings.Join(args, " "), &n); err != nil || n < 0 || n > 1<<20 {
				return "", sys.Errorf(syscall.EINVAL, "fill: want a number")
			}
			return string(make([]byte, n)), nil
		}},
	}
}

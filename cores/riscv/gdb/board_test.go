package gdb

import (
	"debug/elf"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A board is a target of real harts, each with a private memory and a program
// of its own in it, which run by turns in a goroutine of each Resume.
type board struct {
	mu       sync.Mutex // of all, while harts run: a turn at a time
	harts    []*rv.Hart
	ended    []bool
	steps    int // that gdb asked for, and those of ranges among them
	ranges   int
	debug    rv.Debug
	kinds    []Watch // of debug.Watches
	stopped  func(Stop)
	halt     bool // somebody wants it to rest
	detached chan bool
	spinning chan struct{} // closed after a million instructions of one Resume
}

const (
	boardBase = 0x80000000
	boardSize = 64 << 10
)

// newBoard loads the program on harts whose ranks are given.
func newBoard(t *testing.T, program string, ranks ...uint32) *board {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem := make([]byte, boardSize)
	var text rv.Text
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		data, err := s.Data()
		if err != nil || s.Addr < boardBase || s.Addr+s.Size > boardBase+boardSize {
			t.Fatalf("section %s at %#x: %v", s.Name, s.Addr, err)
		}
		copy(mem[s.Addr-boardBase:], data)
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			text = rv.Text{Addr: uint32(s.Addr), Bytes: data}
		}
	}
	image, err := rv.NewImage([]rv.Text{text})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{
		ended:    make([]bool, len(ranks)),
		debug:    rv.Debug{Breaks: map[uint32]bool{}},
		detached: make(chan bool, 1),
		spinning: make(chan struct{}),
	}
	for i, rank := range ranks {
		h := &rv.Hart{ID: uint32(i), PC: uint32(f.Entry), Image: image}
		h.Win[0] = rv.Window{Base: boardBase, RO: uint32(len(text.Bytes)), Mem: append([]byte(nil), mem...)}
		h.X[2], h.X[10] = boardBase+boardSize, rank
		b.harts = append(b.harts, h)
	}
	return b
}

func (b *board) Threads() []Thread {
	var list []Thread
	for i := range b.harts {
		if !b.ended[i] {
			list = append(list, Thread{i, fmt.Sprintf("core %d (%d,1) T0", i+5, i)})
		}
	}
	return list
}

func (b *board) Attach(stopped func(Stop)) error {
	b.stopped = stopped
	stopped(Stop{})
	return nil
}

func (b *board) Detach(kill bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.halt = true
	b.detached <- kill
}

func (b *board) Interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.halt = true
}

func (b *board) Resume(actions []Action) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.halt = false
	for _, a := range actions {
		if a.Step {
			b.steps++
		}
		if a.End > a.Start {
			b.ranges++
		}
	}
	go func() {
		for turns := 0; ; turns++ {
			if stop, ok := b.turn(actions); ok {
				b.stopped(stop)
				return
			}
			if turns == 1000 {
				close(b.spinning)
			}
		}
	}()
	return nil
}

// turn runs each hart that has something to do for a while.
func (b *board) turn(actions []Action) (Stop, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.halt {
		return Stop{}, true
	}
	for id := range b.harts {
		a, ok := pick(actions, id)
		if !ok || b.ended[id] {
			continue
		}
		if stop, ok := b.run(id, a); ok {
			return stop, true
		}
	}
	return Stop{}, false
}

// run gives a hart a thousand instructions, or its step.
func (b *board) run(id int, a Action) (Stop, bool) {
	h := b.harts[id]
	for range 1000 {
		if b.debug.Breaks[h.PC] {
			return Stop{Thread: id, Why: Break}, true
		}
		if stop, ok := b.why(id, h.Step(&b.debug)); ok || b.ended[id] {
			return stop, ok
		}
		if a.Step && (h.PC < a.Start || h.PC >= a.End) {
			return Stop{Thread: id, Why: Stepped}, true
		}
	}
	return Stop{}, false
}

// why says what a hart's return means to gdb.
func (b *board) why(id int, why rv.Why) (Stop, bool) {
	h := b.harts[id]
	st := Stop{Thread: id}
	switch why {
	case rv.Budget:
		return st, false
	case rv.Call: // there is but exit
		b.ended[id] = true
		st.Why, st.Status = Exited, int(h.X[10])
		return st, len(b.Threads()) == 0
	case rv.Break:
		st.Why = Ebreak
	case rv.Fault:
		st.Why, st.Cause = Fault, h.Trap.Cause
	case rv.Stop:
		i := b.debug.Hit.Watch
		st.Why, st.Addr, st.Kind = Watched, b.debug.Watches[i].Addr, b.kinds[i]
	}
	return st, true
}

func (b *board) FLen() int { return 64 }

func (b *board) hart(id int) (*rv.Hart, error) {
	if id < 0 || id >= len(b.harts) || b.ended[id] {
		return nil, sys.Errorf(syscall.ESRCH, "no hart %d", id)
	}
	return b.harts[id], nil
}

func (b *board) Regs(id int, nums []int, vals []uint64) error {
	h, err := b.hart(id)
	if err != nil {
		return err
	}
	for i, n := range nums {
		switch {
		case n < PC:
			vals[i] = uint64(h.X[n])
		case n == PC:
			vals[i] = uint64(h.PC)
		case n < CSR0:
			vals[i] = h.F[n-F0]
		case n == CSR0+3:
			vals[i] = uint64(h.Fcsr)
		case n == CSR0+0xc02:
			vals[i] = h.Instret & 0xffffffff
		case n == CSR0+0xf14:
			vals[i] = uint64(h.ID)
		default:
			vals[i] = 0
		}
	}
	return nil
}

func (b *board) SetReg(id, n int, val uint64) error {
	h, err := b.hart(id)
	if err != nil {
		return err
	}
	switch {
	case n > 0 && n < PC:
		h.X[n] = uint32(val)
	case n == PC:
		h.PC = uint32(val)
	case n >= F0 && n < CSR0:
		h.F[n-F0] = val
	case n == CSR0+3:
		h.Fcsr = uint32(val)
	default:
		return sys.Errorf(syscall.EINVAL, "register %d is only read", n)
	}
	return nil
}

// at returns a hart's memory from addr on.
func (b *board) at(id int, addr uint32) ([]byte, error) {
	h, err := b.hart(id)
	if err == nil && (addr < boardBase || addr-boardBase >= boardSize) {
		err = sys.Errorf(syscall.EFAULT, "no memory at %#x", addr)
	}
	if err != nil {
		return nil, err
	}
	return h.Win[0].Mem[addr-boardBase:], nil
}

func (b *board) ReadMem(id int, addr uint32, p []byte) (int, error) {
	mem, err := b.at(id, addr)
	return copy(p, mem), err
}

func (b *board) WriteMem(id int, addr uint32, p []byte) error {
	mem, err := b.at(id, addr)
	if err == nil && len(p) > len(mem) {
		err = sys.Errorf(syscall.EFAULT, "no memory at %#x", boardBase+boardSize)
	}
	if err == nil {
		copy(mem, p)
	}
	return err
}

func (b *board) SetBreak(addr uint32, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if delete(b.debug.Breaks, addr); on {
		b.debug.Breaks[addr] = true
	}
	return nil
}

func (b *board) SetWatch(addr, n uint32, kind Watch, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := rv.Watch{Addr: addr, Len: n, Read: kind != WatchWrite, Write: kind != WatchRead}
	if on {
		b.debug.Watches, b.kinds = append(b.debug.Watches, w), append(b.kinds, kind)
		return nil
	}
	for i, have := range b.debug.Watches {
		if have == w && b.kinds[i] == kind {
			b.debug.Watches = append(b.debug.Watches[:i], b.debug.Watches[i+1:]...)
			b.kinds = append(b.kinds[:i], b.kinds[i+1:]...)
			break
		}
	}
	return nil
}

func (b *board) Commands() []Command {
	return []Command{{"fault", "", "print the last fault", func(id int, _ []string) (string, error) {
		h, err := b.hart(id)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s at %#x", h.Trap, h.Trap.PC), nil
	}}}
}

package sim

import (
	"bytes"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// PrivateBase is where the program memory of each core begins, which it has for
// itself alone: silicon has no such memory, but stock programs need a place.
const PrivateBase = 0x8000_0000

// An arena is the memory of a machine: one reservation, sliced. A tile's part is
// the private memory of each of its cores, then its SRAM, the order that compiled
// programs want; its size is a multiple of a page of WebAssembly.
type arena struct {
	mem   []byte
	kinds []layout // per kind of tile
	first []uint64 // per tile: offset of its part
	total int64

	pagemap *os.File // tells which pages there are; nil: the host does not
	entries []byte   // scratch, of pagemap
}

// layout is how the part of a tile lies.
type layout struct {
	sram, private, cores, size uint64
}

// sramAt is where the SRAM lies.
func (l *layout) sramAt() uint64 { return l.cores * l.private }

// wasmPage is the unit of a linear memory.
const wasmPage = 64 << 10

func (a *arena) reserve(s *spec.Machine) error {
	for i := range s.Kinds {
		k := &s.Kinds[i]
		l := layout{sram: uint64(k.SRAMSize), private: uint64(k.PrivateSize), cores: uint64(len(k.Cores))}
		l.size = roundUp(l.cores*l.private+l.sram, wasmPage)
		a.kinds = append(a.kinds, l)
	}
	a.first = make([]uint64, len(s.Tiles)+1)
	for i, t := range s.Tiles {
		a.first[i+1] = a.first[i] + a.kinds[t.Kind].size
	}
	total := a.first[len(s.Tiles)]
	if total == 0 || total > 1<<46 {
		return sys.Errorf(syscall.EINVAL, "machine %s has %d bytes of memory: want 1 to %d", s.Name, total, uint64(1)<<46)
	}
	mem, err := unix.Mmap(-1, 0, int(total), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return sys.Errorf(syscall.ENOMEM, "machine %s: no address space for %d bytes of memory: %v", s.Name, total, err)
	}
	a.mem, a.total = mem, int64(total)
	// Pages are touched here and there: huge ones would cost memory.
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
	a.pagemap, _ = os.Open("/proc/self/pagemap") // without it memory is looked through
	return nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

func (a *arena) release() error {
	if a.mem == nil {
		return nil
	}
	if a.pagemap != nil {
		a.pagemap.Close()
		a.pagemap = nil
	}
	mem := a.mem
	a.mem = nil
	return unix.Munmap(mem)
}

// tile returns a tile's whole part.
func (a *arena) tile(t int) []byte {
	return a.mem[a.first[t]:a.first[t+1]:a.first[t+1]]
}

// A wiper makes memory of an arena read as zeros and gives its pages back: what
// lies next to each other at once, as it is the calls that cost. Nothing is as it
// is to be before flush.
type wiper struct {
	a        *arena
	from, to uint64 // what is to be wiped
}

// add adds a piece of the arena.
func (w *wiper) add(from, to uint64) {
	if from == w.to {
		w.to = to
		return
	}
	w.flush()
	w.from, w.to = from, to
}

// flush wipes what was added.
func (w *wiper) flush() {
	page := uint64(os.Getpagesize())
	from, to := w.from, w.to
	w.from, w.to = 0, 0
	if from == to || w.a.mem == nil {
		return
	}
	mem := w.a.mem
	first, last := roundUp(from, page), to&^(page-1)
	if first >= last || unix.Madvise(mem[first:last], unix.MADV_DONTNEED) != nil {
		clear(mem[from:to])
		return
	}
	clear(mem[from:first])
	clear(mem[last:to])
}

// wipe wipes a piece of the arena.
func (a *arena) wipe(from, to uint64) {
	w := wiper{a: a}
	w.add(from, to)
	w.flush()
}

// pages returns copies of what is not zero in a piece of the arena, by pages from
// its beginning on; of those that are known only where they are. Pages that were
// never touched are not read, as that would be slow, and would cost memory.
func (a *arena) pages(from, to uint64, known pageSet) []savedPage {
	page := uint64(os.Getpagesize())
	first := from / page
	touched := a.touched(first, (to+page-1)/page-first)
	var list []savedPage
	for at := from; at < to; at += savePage {
		end := min(at+savePage, to)
		p := a.mem[at:end]
		if !touched(at/page-first, (end-1)/page-first) || allZero(p) {
			continue
		}
		saved := savedPage{At: uint32(at - from)}
		if first := known[saved.At]; !bytes.HasPrefix(first, p) {
			saved.Data = bytes.Clone(p)
		}
		list = append(list, saved)
	}
	return list
}

// A pageSet is pages of savePage bytes of a memory, by where they are in it.
type pageSet map[uint32][]byte

// touched looks at n pages, and returns what tells whether there is any from one
// to another of them. It is true where that is not known.
func (a *arena) touched(first, n uint64) func(from, to uint64) bool {
	const (
		entry = 8    // bytes of a page in pagemap
		there = 0xc0 // of the last of them: it is in memory, or swapped out
	)
	if uint64(len(a.entries)) < n*entry {
		a.entries = make([]byte, n*entry)
	}
	b := a.entries[:n*entry]
	known := false
	if a.pagemap != nil {
		at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(a.mem))))/uint64(os.Getpagesize()) + first
		_, err := a.pagemap.ReadAt(b, int64(at*entry))
		known = err == nil
	}
	return func(from, to uint64) bool {
		for i := from; known && i <= to; i++ {
			if b[i*entry+entry-1]&there != 0 {
				return true
			}
		}
		return !known
	}
}

// privateIn and sramIn are where in the arena the program memory of a core lies,
// and the SRAM of a tile, with what is unused behind it.
func (m *Machine) privateIn(c *core) (from, to uint64) {
	t, index := m.place(c)
	l := &m.arena.kinds[m.spec.Tiles[t].Kind]
	from = m.arena.first[t] + uint64(index)*l.private
	return from, from + l.private
}

func (m *Machine) sramIn(t int32) (from, to uint64) {
	l := &m.arena.kinds[m.spec.Tiles[t].Kind]
	return m.arena.first[t] + l.sramAt(), m.arena.first[t+1]
}

// sram returns a tile's SRAM.
func (m *Machine) sram(t int32) []byte {
	if m.arena.mem == nil {
		return nil // the machine is closed
	}
	l := &m.arena.kinds[m.spec.Tiles[t].Kind]
	at := l.sramAt()
	return m.arena.tile(int(t))[at : at+l.sram : at+l.sram]
}

// private returns the program memory of a core, and its offset in its tile's part.
func (m *Machine) private(c *core) ([]byte, uint64) {
	t, index := m.place(c)
	if m.arena.mem == nil {
		return nil, 0 // the machine is closed
	}
	l := &m.arena.kinds[m.spec.Tiles[t].Kind]
	off := uint64(index) * l.private
	return m.arena.tile(int(t))[off : off+l.private : off+l.private], off
}

// sramBase is the guest address of the SRAM of a tile.
func (m *Machine) sramBase(t int32) uint32 { return m.spec.Kinds[m.spec.Tiles[t].Kind].SRAMBase }

// place returns the tile of a core, and its number in it.
func (m *Machine) place(c *core) (tile int32, index int) {
	t := c.tile
	return t, int(c.id) - int(m.spec.Tiles[t].First)
}

// inTile returns the bytes of a tile's SRAM at a guest address; nil: they are not all there.
func (m *Machine) inTile(t int32, addr uint32, n int) []byte {
	return slice(m.sram(t), m.sramBase(t), addr, n)
}

// at returns the bytes of what a core sees at a guest address, and whether
// they may be stored to; nil: they are not all there.
func (m *Machine) at(c *core, addr uint32, n int) (b []byte, writable bool) {
	for i := range c.hart.Win {
		w := &c.hart.Win[i]
		if b = slice(w.Mem, w.Base, addr, n); b != nil {
			return b, addr-w.Base >= w.RO
		}
	}
	return nil, false
}

func slice(mem []byte, base, addr uint32, n int) []byte {
	off := uint64(addr - base)
	if n < 0 || off > uint64(len(mem)) || uint64(n) > uint64(len(mem))-off {
		return nil
	}
	return mem[off : off+uint64(n) : off+uint64(n)]
}

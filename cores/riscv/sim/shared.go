package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"warren/cores/riscv/exe"
	"warren/fs/sys"
)

// shared is what lies in a tile's SRAM: programs, circular buffers,
// allocations.
type shared struct {
	parts []part
	bufs  [circulars]uint32 // addresses of control blocks; 0: not made
	users [circulars]uint64 // the cores that made themselves a handle, by their index in the tile
}

// A part is a piece of a tile's SRAM that something uses.
type part struct {
	addr, size uint32
	what       string
	prog       *program // whose segment it is
	text       bool     // it is of a program, and only read
}

const (
	circulars    = 32 // buffers of a tile
	controlBytes = 32 // of a buffer's control block
	maxParts     = 4096
)

func (m *Machine) shared(t int32) *shared {
	tl := &m.tiles[t]
	if tl.shared == nil {
		tl.shared = new(shared)
	}
	return tl.shared
}

// protect makes the SRAM of a tile read-only up to the end of the last text in it.
func (m *Machine) protect(t int32) {
	tl := &m.tiles[t]
	tl.ro = 0
	for _, p := range tl.shared.parts {
		if p.text {
			tl.ro = max(tl.ro, p.addr+p.size-m.sramBase(t))
		}
	}
	list := m.tileCores(t)
	for i := range list {
		if c := &list[i]; c.hart != nil && c.hart.Win[1].RO != tl.ro {
			c.hart.Win[1].RO = tl.ro
			c.drop() // what is compiled knows the old one
		}
	}
}

func (m *Machine) readOnly(t int32, addr uint32) bool {
	return addr-m.sramBase(t) < m.tiles[t].ro
}

// clash says why a segment cannot lie where it is linked to in a tile's SRAM,
// with what lies there. What is on the cores of ids is to go.
func (m *Machine) clash(c *core, prog *program, seg exe.Segment, ids coreSet) error {
	s := m.tiles[c.tile].shared
	private, _ := m.private(c)
	text, busy := prog.constant(seg, uint32(len(private))), m.tileBusy(c.tile)
	if s == nil || !busy && !m.tileLoaded(c.tile) {
		return nil
	}
	for _, p := range s.parts {
		switch {
		case p.prog == prog: // cores that run the same share it
		case p.prog == nil && !busy || p.prog != nil && !m.used(c.tile, p.prog, ids):
		case p.addr < seg.Addr+seg.MemSize && seg.Addr < p.addr+p.size:
			return sys.Errorf(syscall.EADDRINUSE, "%s: 0x%x-0x%x of its tile's SRAM is taken by %s (0x%x-0x%x); see map",
				m.coreName(c.id), seg.Addr, seg.Addr+seg.MemSize-1, p.what, p.addr, p.addr+p.size-1)
		case text && !p.text && p.addr < seg.Addr:
			return sys.Errorf(syscall.EADDRINUSE, "%s: all below 0x%x of its tile's SRAM would be read-only, with %s (0x%x-0x%x): load it before that is there; see map",
				m.coreName(c.id), seg.Addr+seg.MemSize, p.what, p.addr, p.addr+p.size-1)
		}
	}
	return nil
}

// used reports whether a core of a tile, other than these, runs a program or is
// loaded with it.
func (m *Machine) used(t int32, prog *program, but coreSet) bool {
	list := m.tileCores(t)
	for i := range list {
		c := &list[i]
		if c.prog == prog && !but[c.id] && (c.state == Ready || c.job != nil && !c.job.ended) {
			return true
		}
	}
	return false
}

// clashWithin says which segments of programs that are to be started together
// would lie in one place of a tile's SRAM.
func (m *Machine) clashWithin(cores []int32, prog func(rank int) *program) error {
	first := make(map[int32][]int) // of each program in a tile, a rank that runs it
	for rank, id := range cores {
		t := m.cores[id].tile
		known := false
		for _, other := range first[t] {
			a, b := prog(rank), prog(other)
			if a == b {
				known = true
				continue
			}
			if one, two, ok := m.overlap(t, a, b); ok {
				return sys.Errorf(syscall.EADDRINUSE, "%s: its program would lie at 0x%x-0x%x of its tile's SRAM, and that of %s at 0x%x-0x%x (warren cc -role links for a role's place)",
					m.coreName(id), one.Addr, one.Addr+one.MemSize-1, m.coreName(cores[other]), two.Addr, two.Addr+two.MemSize-1)
			}
		}
		if !known {
			first[t] = append(first[t], rank)
		}
	}
	return nil
}

// overlap finds segments of two programs that overlap in a tile's SRAM.
func (m *Machine) overlap(t int32, a, b *program) (one, two exe.Segment, ok bool) {
	for _, one := range a.exe.Segments {
		if !inRange(one.Addr, one.MemSize, m.sramBase(t), uint32(len(m.sram(t)))) {
			continue
		}
		for _, two := range b.exe.Segments {
			if one.Addr < two.Addr+two.MemSize && two.Addr < one.Addr+one.MemSize {
				return one, two, true
			}
		}
	}
	return one, two, false
}

// take finds room in a tile's SRAM: behind what lies there, or in a gap of it.
func (m *Machine) take(t int32, size, align uint32, what string) uint32 {
	s := m.shared(t)
	base := uint64(m.sramBase(t))
	if align == 0 {
		align = 16
	}
	if align&(align-1) != 0 || size == 0 || len(s.parts) >= maxParts {
		return 0
	}
	at := roundUp(max(base+uint64(m.tiles[t].ro), base+firstFree), uint64(align))
	for _, p := range s.parts {
		if at+uint64(size) <= uint64(p.addr) {
			break
		}
		at = roundUp(max(at, uint64(p.addr)+uint64(p.size)), uint64(align))
	}
	if at+uint64(size) > base+uint64(len(m.sram(t))) {
		return 0
	}
	s.add(part{addr: uint32(at), size: size, what: what})
	return uint32(at)
}

// firstFree keeps the address 0 of an SRAM that begins there from being given out.
const firstFree = 64

func (s *shared) add(p part) {
	s.parts = append(s.parts, p)
	slices.SortFunc(s.parts, func(a, b part) int { return cmp.Compare(a.addr, b.addr) })
}

// forgetProgram takes the segments of a program out that no core of the tile has any
// more.
func (m *Machine) forgetProgram(t int32, prog *program) {
	s := m.tiles[t].shared
	if s == nil || m.has(t, prog) {
		return
	}
	n := len(s.parts)
	s.parts = slices.DeleteFunc(s.parts, func(p part) bool { return p.prog == prog })
	if len(s.parts) < n {
		m.protect(t)
	}
}

// has reports whether a core of a tile has a program, ended or not.
func (m *Machine) has(t int32, prog *program) bool {
	list := m.tileCores(t)
	for i := range list {
		if list[i].prog == prog {
			return true
		}
	}
	return false
}

// lay takes note of a program's segment, once.
func (s *shared) lay(p part) {
	if !slices.ContainsFunc(s.parts, func(o part) bool { return o.prog == p.prog && o.addr == p.addr }) {
		s.add(p)
	}
}

// alloc gives a core a piece of its tile's SRAM.
func (w *worker) alloc(c *core, size, align, name uint32) bool {
	what := "allocation"
	if text := w.m.text(c, name); text != "" {
		what = text
	}
	return w.ret(c, w.m.take(c.tile, size, align, fmt.Sprintf("%s (core %d)", what, w.m.shown(c.id))))
}

// text reads a short string of a core's memory.
func (m *Machine) text(c *core, addr uint32) string {
	const most = 64
	var out []byte
	for addr != 0 && len(out) < most {
		b, _ := m.at(c, addr, 1)
		if b == nil || b[0] < ' ' || b[0] > '~' {
			break
		}
		out = append(out, b[0])
		addr++
	}
	return string(out)
}

// The words of a circular buffer's control block.
const (
	circularBase = iota * 4
	circularPage
	circularPages
	circularPushed
	circularPopped
)

// circular makes a circular buffer of the tile, or finds it.
func (w *worker) circular(c *core, id, page, pages uint32) bool {
	if id >= circulars || page == 0 || pages == 0 || uint64(page)*uint64(pages) > 1<<30 {
		return w.fail(c, syscall.EINVAL)
	}
	m := w.m
	s := m.shared(c.tile)
	_, index := m.place(c)
	if at := s.bufs[id]; at != 0 {
		b := m.inTile(c.tile, at, controlBytes)
		if binary.LittleEndian.Uint32(b[circularPage:]) != page || binary.LittleEndian.Uint32(b[circularPages:]) != pages {
			return w.fail(c, syscall.EINVAL)
		}
		s.users[id] |= 1 << index
		return w.ret(c, at)
	}
	at := m.take(c.tile, controlBytes+page*pages, 64, "circular buffer "+strconv.Itoa(int(id)))
	if at == 0 {
		return w.fail(c, syscall.ENOMEM)
	}
	b := m.inTile(c.tile, at, controlBytes)
	clear(b)
	putWord(b[circularBase:], at+controlBytes)
	putWord(b[circularPage:], page)
	putWord(b[circularPages:], pages)
	s.bufs[id], s.users[id] = at, 1<<index
	return w.ret(c, at)
}

// circularUsers are the cores that have a handle of the circular buffer whose
// counters lie at an address, by their index in the tile; 0: there are none.
func (m *Machine) circularUsers(t int32, addr uint32) uint64 {
	s := m.tiles[t].shared
	if s == nil {
		return 0
	}
	for id, at := range s.bufs {
		if at != 0 && addr-at < controlBytes {
			return s.users[id]
		}
	}
	return 0
}

// AppendMap tells what lies where in the memories of a core: `from to bytes access what`.
func (m *Machine) AppendMap(b []byte, id int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	kind := &m.spec.Kinds[m.spec.Tiles[c.tile].Kind]
	line := func(addr, size uint32, access, what string) {
		b = fmt.Appendf(b, "0x%08x 0x%08x %d %s %s\n", addr, uint64(addr)+uint64(size)-1, size, access, quoteWord(what))
	}
	if kind.SRAMSize > 0 {
		at := kind.SRAMBase
		if s := m.tiles[c.tile].shared; s != nil {
			for _, p := range s.parts {
				if p.addr > at {
					line(at, p.addr-at, "rw", "free")
				}
				access := "rw"
				if p.addr-kind.SRAMBase < m.tiles[c.tile].ro {
					access = "r"
				}
				line(p.addr, p.size, access, p.what)
				at = p.addr + p.size
			}
		}
		if end := kind.SRAMBase + kind.SRAMSize; at < end {
			line(at, end-at, "rw", "free")
		}
	}
	if c.hart == nil {
		line(PrivateBase, kind.PrivateSize, "rw", "program memory of this core, free")
		return b
	}
	c.mapPrivate(line)
	return b
}

// mapPrivate tells what lies in a core's program memory.
func (c *core) mapPrivate(line func(addr, size uint32, access, what string)) {
	w := &c.hart.Win[0]
	if w.RO > 0 {
		line(w.Base, w.RO, "r", "text and constants")
	}
	end := max(c.prog.exe.End(), w.Base+w.RO)
	if end < w.Base || end-w.Base > uint32(len(w.Mem)) {
		end = w.Base + w.RO
	}
	if end > w.Base+w.RO {
		line(w.Base+w.RO, end-w.Base-w.RO, "rw", "data")
	}
	if c.brk > end {
		line(end, c.brk-end, "rw", "heap")
		end = c.brk
	}
	line(end, uint32(len(w.Mem))-(end-w.Base), "rw", "stack, and free")
}

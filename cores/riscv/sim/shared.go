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
}

// A part is a piece of a tile's SRAM that something uses.
type part struct {
	addr, size uint32
	what       string
	prog       *program // whose segment it is
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

// protect makes the SRAM of a tile read-only up to an address.
func (m *Machine) protect(t int32, end uint32) {
	tl := &m.tiles[t]
	tl.ro = max(tl.ro, end-m.sramBase(t))
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
// with what lies there; and takes note of it if it can.
func (m *Machine) clash(c *core, prog *program, seg exe.Segment) error {
	s := m.tiles[c.tile].shared
	if !m.tileBusy(c.tile) || s == nil {
		return nil
	}
	for _, p := range s.parts {
		if p.prog == prog {
			continue // cores that run the same share it
		}
		if p.addr < seg.Addr+seg.MemSize && seg.Addr < p.addr+p.size {
			return sys.Errorf(syscall.EADDRINUSE, "%s: 0x%x-0x%x of its tile's SRAM is taken by %s (0x%x-0x%x); see map",
				m.coreName(c.id), seg.Addr, seg.Addr+seg.MemSize-1, p.what, p.addr, p.addr+p.size-1)
		}
	}
	return nil
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
	if at := s.bufs[id]; at != 0 {
		b := m.inTile(c.tile, at, controlBytes)
		if binary.LittleEndian.Uint32(b[circularPage:]) != page || binary.LittleEndian.Uint32(b[circularPages:]) != pages {
			return w.fail(c, syscall.EINVAL)
		}
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
	s.bufs[id] = at
	return w.ret(c, at)
}

// AppendMap tells what lies where in the memories of a core: `from to bytes access what`.
func (m *Machine) AppendMap(b []byte, id int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.cores[id]
	kind := &m.spec.Kinds[m.spec.Tiles[c.tile].Kind]
	line := func(addr uint32, size uint32, access, what string) {
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
	return m.appendPrivate(b, c, line)
}

func (m *Machine) appendPrivate(b []byte, c *core, line func(uint32, uint32, string, string)) []byte {
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
	return b
}

// Package exe reads executables for RV32: what is to lie where, where to begin,
// and what an address is called. It trusts nothing in a file: sizes are
// bounded, what overlaps or lies outside is refused, and debug information that
// is damaged is as good as none.
//
// A Program never changes after Parse, but for lines of source, which are read
// when they are first asked for.
package exe

import (
	"cmp"
	"debug/elf"
	"slices"
	"sync"
	"syscall"

	"warren/fs/sys"
)

// The bounds of an executable.
const (
	maxFile     = 64 << 20
	maxSegments = 64
	maxSymbols  = 1 << 20
)

// A Segment is a piece of memory that a program is loaded into. What Data does
// not reach of MemSize is zero.
type Segment struct {
	Addr, MemSize uint32
	Data          []byte
	Exec, Write   bool
}

// A Program is an executable.
type Program struct {
	Segments []Segment // by address
	Entry    uint32
	Built    Built

	symbols []symbol // by address
	byName  map[string]uint32
	raw     []byte

	once  sync.Once
	lines []line // by address
}

// build is what would be right.
const build = "build it with warren cc"

func refuse(format string, args ...any) error {
	return sys.Errorf(syscall.ENOEXEC, format, args...)
}

// Parse reads an executable: statically linked, for RV32. ENOEXEC says what is
// wrong, EFBIG that it is too large.
func Parse(raw []byte) (*Program, error) {
	if len(raw) > maxFile {
		return nil, sys.Errorf(syscall.EFBIG, "an executable of %d bytes: %d are the most", len(raw), maxFile)
	}
	f, err := open(raw)
	if err != nil {
		return nil, err
	}
	p := &Program{Entry: f.entry, raw: raw}
	if err := p.load(f); err != nil {
		return nil, err
	}
	p.name(f)
	p.tell(f)
	return p, nil
}

// load reads the segments.
func (p *Program) load(f *file) error {
	programs, err := f.programs()
	if err != nil {
		return err
	}
	for ; len(programs) > 0; programs = programs[programSize:] {
		switch kind := elf.ProgType(word(programs, 0)); {
		case kind == elf.PT_INTERP || kind == elf.PT_DYNAMIC:
			return refuse("it is linked dynamically: link it with -static")
		case kind != elf.PT_LOAD || word(programs, 20) == 0:
			continue
		}
		if err := p.loadSegment(f, programs); err != nil {
			return err
		}
	}
	p.open()
	return p.checkSegments()
}

// open makes everything executable and writable where the file says of nothing
// that it may be executed: linker scripts of bare machines, where nothing looks
// at flags, leave them out or get them wrong.
func (p *Program) open() {
	if slices.ContainsFunc(p.Segments, func(s Segment) bool { return s.Exec }) {
		return
	}
	for i := range p.Segments {
		p.Segments[i].Exec, p.Segments[i].Write = true, true
	}
}

// loadSegment reads the segment of a program header.
func (p *Program) loadSegment(f *file, h []byte) error {
	off, addr, inFile, inMemory := word(h, 4), word(h, 8), word(h, 16), word(h, 20)
	data := f.piece(uint64(off), uint64(inFile))
	switch {
	case len(p.Segments) == maxSegments:
		return refuse("it has more than %d segments", maxSegments)
	case inFile > inMemory:
		return refuse("damaged executable: the segment at 0x%x has %d bytes in the file and %d in memory", addr, inFile, inMemory)
	case uint64(addr)+uint64(inMemory) > 1<<32:
		return refuse("damaged executable: the segment at 0x%x has %d bytes, beyond 32 bits", addr, inMemory)
	case data == nil:
		return refuse("the executable is cut off: the segment at 0x%x ends behind the file's %d bytes", addr, len(p.raw))
	}
	flags := elf.ProgFlag(word(h, 24))
	p.Segments = append(p.Segments, Segment{
		Addr: addr, MemSize: inMemory, Data: data, Exec: flags&elf.PF_X != 0, Write: flags&elf.PF_W != 0,
	})
	return nil
}

// checkSegments puts the segments in order.
func (p *Program) checkSegments() error {
	slices.SortFunc(p.Segments, func(a, b Segment) int { return cmp.Compare(a.Addr, b.Addr) })
	inside := false
	for i, s := range p.Segments {
		if i > 0 {
			if last := p.Segments[i-1]; uint64(last.Addr)+uint64(last.MemSize) > uint64(s.Addr) {
				return refuse("damaged executable: the segments at 0x%x and 0x%x overlap", last.Addr, s.Addr)
			}
		}
		inside = inside || s.Exec && p.Entry >= s.Addr && p.Entry-s.Addr < uint32(len(s.Data))
	}
	switch {
	case len(p.Segments) == 0:
		return refuse("the executable has nothing to load")
	case !inside:
		return refuse("it begins at 0x%x, where it has no code", p.Entry)
	}
	return nil
}

// segment returns the number of the segment that has an address, -1 if none has.
func (p *Program) segment(addr uint32) int {
	return slices.IndexFunc(p.Segments, func(s Segment) bool { return addr-s.Addr < s.MemSize })
}

// End returns the first address behind what a program has in the memory where
// its last data is, rounded up to 16: where its heap begins.
func (p *Program) End() uint32 {
	last := p.Segments[len(p.Segments)-1]
	return (last.Addr + last.MemSize + 15) &^ 15
}

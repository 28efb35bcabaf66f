// Package exe reads executables for RV32: what is to lie where, where to begin,
// and what an address is called. It trusts nothing in a file: sizes are
// bounded, what overlaps or lies outside is refused, and debug information that
// is damaged is as good as none.
//
// A Program never changes after Parse, but for lines of source, which are read
// when they are first asked for.
package exe

import (
	"bytes"
	"cmp"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"
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

	symbols []symbol // by address
	byName  map[string]uint32
	raw     []byte

	once  sync.Once
	lines []line // by address
}

type symbol struct {
	addr, size uint32
	name       string
}

// line is where the code from an address on comes from.
type line struct {
	addr uint32
	file string
	num  int // 0: from nowhere
}

// build is what would be right.
const build = "build it with warren cc"

func refuse(format string, args ...any) error {
	return sys.Errorf(syscall.ENOEXEC, format, args...)
}

// Parse reads an executable: statically linked, for RV32. ENOEXEC says what is
// wrong, EFBIG that it is too large.
func Parse(raw []byte) (p *Program, err error) {
	if len(raw) > maxFile {
		return nil, sys.Errorf(syscall.EFBIG, "an executable of %d bytes: %d are the most", len(raw), maxFile)
	}
	if !bytes.HasPrefix(raw, []byte(elf.ELFMAG)) {
		return nil, refuse("this is no ELF executable: %s", build)
	}
	defer func() { // debug/elf is not made for hostile files
		if cause := recover(); cause != nil {
			p, err = nil, refuse("damaged executable: %v", cause)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, refuse("damaged executable: %v", err)
	}
	if err := check(f); err != nil {
		return nil, err
	}
	p = &Program{Entry: uint32(f.Entry), raw: raw}
	if err := p.load(f); err != nil {
		return nil, err
	}
	p.name(f)
	return p, nil
}

// check says why a file is not a program for these cores.
func check(f *elf.File) error {
	switch {
	case f.Machine == elf.EM_RISCV && f.Class == elf.ELFCLASS64:
		return refuse("this is for RV64, and the cores are RV32: %s", build)
	case f.Machine != elf.EM_RISCV:
		return refuse("this is for %s, and the cores are RISC-V: %s", strings.TrimPrefix(f.Machine.String(), "EM_"), build)
	case f.Class != elf.ELFCLASS32 || f.Data != elf.ELFDATA2LSB:
		return refuse("this is %v %v: want ELFCLASS32, little-endian", f.Class, f.Data)
	case f.Type == elf.ET_REL:
		return refuse("this is an object file, not linked yet: %s", build)
	case f.Type != elf.ET_EXEC:
		return refuse("this is %v: want a statically linked executable (-static -no-pie)", f.Type)
	case f.Entry > 1<<32-1 || f.Entry%2 != 0:
		return refuse("it begins at the odd address 0x%x", f.Entry)
	}
	for _, ph := range f.Progs {
		if ph.Type == elf.PT_INTERP || ph.Type == elf.PT_DYNAMIC {
			return refuse("it is linked dynamically: link it with -static")
		}
	}
	return nil
}

// load reads the segments.
func (p *Program) load(f *elf.File) error {
	for _, ph := range f.Progs {
		if ph.Type != elf.PT_LOAD || ph.Memsz == 0 {
			continue
		}
		switch {
		case len(p.Segments) == maxSegments:
			return refuse("it has more than %d segments", maxSegments)
		case ph.Filesz > ph.Memsz:
			return refuse("damaged executable: the segment at 0x%x has %d bytes in the file and %d in memory", ph.Vaddr, ph.Filesz, ph.Memsz)
		case ph.Memsz > 1<<32-1 || ph.Vaddr+ph.Memsz > 1<<32:
			return refuse("damaged executable: the segment at 0x%x has %d bytes, beyond 32 bits", ph.Vaddr, ph.Memsz)
		case ph.Off > uint64(len(p.raw)) || ph.Filesz > uint64(len(p.raw))-ph.Off:
			return refuse("the executable is cut off: the segment at 0x%x ends behind the file's %d bytes", ph.Vaddr, len(p.raw))
		}
		p.Segments = append(p.Segments, Segment{
			Addr: uint32(ph.Vaddr), MemSize: uint32(ph.Memsz), Data: p.raw[ph.Off : ph.Off+ph.Filesz],
			Exec: ph.Flags&elf.PF_X != 0, Write: ph.Flags&elf.PF_W != 0,
		})
	}
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

// name reads the symbols; a program may have none.
func (p *Program) name(f *elf.File) {
	p.byName = make(map[string]uint32)
	list, err := f.Symbols()
	if err != nil || len(list) > maxSymbols {
		return
	}
	for _, s := range list {
		kind := elf.ST_TYPE(s.Info)
		if s.Name == "" || s.Section == elf.SHN_UNDEF || kind == elf.STT_FILE || kind == elf.STT_SECTION || s.Value > 1<<32-1 {
			continue
		}
		if _, ok := p.byName[s.Name]; !ok || elf.ST_BIND(s.Info) != elf.STB_LOCAL {
			p.byName[s.Name] = uint32(s.Value)
		}
		if strings.HasPrefix(s.Name, "$") || strings.HasPrefix(s.Name, ".L") || s.Section == elf.SHN_ABS || kind != elf.STT_FUNC && kind != elf.STT_OBJECT && kind != elf.STT_NOTYPE {
			continue // marks of the assembler, and numbers of the linker
		}
		p.symbols = append(p.symbols, symbol{uint32(s.Value), uint32(min(s.Size, 1<<32-1)), s.Name})
	}
	// Of several at an address the one with a size says most.
	slices.SortStableFunc(p.symbols, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.size, b.size))
	})
}

// Addr returns the address of a symbol.
func (p *Program) Addr(name string) (uint32, bool) {
	addr, ok := p.byName[name]
	return addr, ok
}

// Name names an address by the symbol that holds it: "main+0x12", "main"; ""
// outside of all segments and where no symbol goes before.
func (p *Program) Name(addr uint32) string {
	i := slices.IndexFunc(p.Segments, func(s Segment) bool { return addr-s.Addr < s.MemSize })
	if i < 0 {
		return ""
	}
	for n := p.before(addr); n >= 0 && p.symbols[n].addr >= p.Segments[i].Addr; n-- {
		s := &p.symbols[n]
		off := addr - s.addr
		if s.size > 0 && off >= s.size {
			continue // it ends before
		}
		if off == 0 {
			return s.name
		}
		return fmt.Sprintf("%s+0x%x", s.name, off)
	}
	return ""
}

// before is the place of the last symbol that is not behind an address; -1: none.
func (p *Program) before(addr uint32) int {
	return sort.Search(len(p.symbols), func(n int) bool { return p.symbols[n].addr > addr }) - 1
}

// End returns the first address behind what a program has in the memory where
// its last data is, rounded up to 16: where its heap begins.
func (p *Program) End() uint32 {
	last := p.Segments[len(p.Segments)-1]
	return (last.Addr + last.MemSize + 15) &^ 15
}

// Line returns the source of the instruction at an address: the name of a file
// without its folders, and a line; "" if the program does not tell.
func (p *Program) Line(addr uint32) (file string, num int) {
	p.once.Do(p.readLines)
	i, found := slices.BinarySearchFunc(p.lines, addr, func(l line, addr uint32) int { return cmp.Compare(l.addr, addr) })
	if !found {
		i--
	}
	if i < 0 || p.lines[i].num == 0 {
		return "", 0
	}
	// A linker that makes code shorter leaves ends of tables too far behind:
	// what they say of the function that follows there is wrong.
	if n := p.before(addr); n >= 0 && p.lines[i].addr < p.symbols[n].addr {
		return "", 0
	}
	return p.lines[i].file, p.lines[i].num
}

// maxLines bounds the table of lines.
const maxLines = 1 << 20

// readLines reads the table of lines, as far as it is whole.
func (p *Program) readLines() {
	defer func() {
		if recover() != nil {
			p.lines = nil // damaged: there are none then
		}
		slices.SortStableFunc(p.lines, func(a, b line) int {
			// Where code ends and other code begins the latter counts.
			return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(min(a.num, 1), min(b.num, 1)))
		})
		p.lines = lastOfEach(p.lines)
	}()
	f, err := elf.NewFile(bytes.NewReader(p.raw))
	if err != nil || !p.plainSections(f) {
		return
	}
	d, err := f.DWARF()
	if err != nil {
		return
	}
	for r := d.Reader(); ; r.SkipChildren() {
		unit, err := r.Next()
		if err != nil || unit == nil {
			return
		}
		if unit.Tag == dwarf.TagCompileUnit && !p.readUnit(d, unit) {
			return
		}
	}
}

// plainSections reports whether debug sections are no larger than the file: a
// compressed one could be anything.
func (p *Program) plainSections(f *elf.File) bool {
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_COMPRESSED != 0 || strings.HasPrefix(s.Name, ".zdebug") || s.Type != elf.SHT_NOBITS && s.FileSize > uint64(len(p.raw)) {
			return false
		}
	}
	return true
}

func (p *Program) readUnit(d *dwarf.Data, unit *dwarf.Entry) bool {
	r, err := d.LineReader(unit)
	if err != nil || r == nil {
		return true // other units may be whole
	}
	for len(p.lines) < maxLines {
		var e dwarf.LineEntry
		if r.Next(&e) != nil {
			return true // the end of its table, or of what is whole of it
		}
		l := line{addr: uint32(e.Address)}
		if !e.EndSequence && e.File != nil {
			l.file, l.num = e.File.Name[strings.LastIndexByte(e.File.Name, '/')+1:], e.Line
		}
		p.lines = append(p.lines, l)
	}
	return false
}

// lastOfEach keeps the last entry of each address.
func lastOfEach(list []line) []line {
	var out []line
	for i, l := range list {
		if i+1 == len(list) || list[i+1].addr != l.addr {
			out = append(out, l)
		}
	}
	return out
}

package exe

import (
	"cmp"
	"slices"
	"strings"
)

// Bounds of the table of lines.
const (
	maxLines = 1 << 20
	maxFiles = 1 << 16 // of one unit
)

// line is where the code from an address on comes from.
type line struct {
	addr uint32
	file string
	num  int // 0: from nowhere
}

// Line returns the source of the instruction at an address: the name of a file
// without its folders, and a line; "" if the program does not tell.
func (p *Program) Line(addr uint32) (file string, num int) {
	if i := p.segment(addr); i < 0 || !p.Segments[i].Exec {
		return "", 0
	}
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

// readLines reads the line programs of all units, one after another, as DWARF 2
// to 5 have them, as far as they are whole. debug/dwarf would look for each by
// way of the units, which may lead to the same one again and again.
func (p *Program) readLines() {
	f := &file{raw: p.raw}
	t := lineTable{p: p, local: texts(f.debug("line_str")), shared: texts(f.debug("str"))}
	for c := (cursor{b: f.debug("line")}); !c.short && len(c.b) > 0; {
		t.unit(cursor{b: c.take(uint64(c.u32()))})
	}
	slices.SortStableFunc(p.lines, func(a, b line) int {
		// Where code ends and other code begins the latter counts.
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(min(a.num, 1), min(b.num, 1)))
	})
	p.lines = lastOfEach(p.lines)
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

// A lineTable is the line program of a unit, half run.
type lineTable struct {
	p             *Program
	local, shared texts // where names of version 5 lie

	files    []string // by number
	step     uint32   // bytes of the least instruction
	base     int      // of a special opcode's lines
	span     int      // how many lines those know
	operands []byte   // of each standard opcode, from 1
}

// state is what the opcodes work on.
type state struct {
	addr uint32
	file uint64
	line int
}

func newState() state { return state{file: 1, line: 1} }

// unit reads a unit's header and runs its program.
func (t *lineTable) unit(c cursor) {
	version := c.u16()
	if version < 2 || version > 5 {
		return
	}
	if version == 5 && (c.u8() != 4 || c.u8() != 0) {
		return // addresses of another size, or in segments
	}
	head := cursor{b: c.take(uint64(c.u32()))}
	t.step = uint32(head.u8())
	if version >= 4 {
		head.u8() // operations an instruction
	}
	head.u8() // whether a line is a statement to begin with
	t.base, t.span = int(int8(head.u8())), int(head.u8())
	t.operands = head.take(uint64(max(1, head.u8()) - 1))
	if t.files = nil; version == 5 {
		t.entries(&head) // folders
		t.files = t.entries(&head)
	} else {
		t.oldFiles(&head)
	}
	if !head.short && t.span > 0 {
		t.run(&c)
	}
}

// oldFiles reads the folders and files of versions 2 to 4, whose first is 1.
func (t *lineTable) oldFiles(c *cursor) {
	for c.text() != "" && !c.short {
	}
	t.files = append(t.files, "")
	for name := c.text(); name != "" && !c.short; name = c.text() {
		c.uleb()
		c.uleb()
		c.uleb()
		t.addFile(name)
	}
}

func (t *lineTable) addFile(name string) {
	if len(t.files) < maxFiles {
		t.files = append(t.files, name[strings.LastIndexByte(name, '/')+1:])
	}
}

// Forms of what version 5 says of a file, and the content that is its name.
const (
	formBlock   = 0x09
	formData1   = 0x0b
	formData2   = 0x05
	formData4   = 0x06
	formData8   = 0x07
	formData16  = 0x1e
	formString  = 0x08
	formStrp    = 0x0e
	formUdata   = 0x0f
	formLineStr = 0x1f

	contentPath = 1
)

// entries reads a list of folders or files of version 5.
func (t *lineTable) entries(c *cursor) []string {
	t.files = nil
	formats := make([][2]uint64, c.u8())
	for i := range formats {
		formats[i] = [2]uint64{c.uleb(), c.uleb()}
	}
	n := c.uleb()
	if len(formats) == 0 && n > 0 {
		c.short = true // entries of nothing have no end
	}
	for ; n > 0 && !c.short; n-- {
		name := ""
		for _, f := range formats {
			if s := t.value(c, f[1]); f[0] == contentPath {
				name = s
			}
		}
		t.addFile(name)
	}
	return t.files
}

// value reads a value, and returns it if it is text.
func (t *lineTable) value(c *cursor, form uint64) string {
	switch form {
	case formString:
		return c.text()
	case formLineStr:
		return t.local.at(uint64(c.u32()))
	case formStrp:
		return t.shared.at(uint64(c.u32()))
	case formUdata:
		c.uleb()
	case formData1:
		c.take(1)
	case formData2:
		c.take(2)
	case formData4:
		c.take(4)
	case formData8:
		c.take(8)
	case formData16:
		c.take(16)
	case formBlock:
		c.take(c.uleb())
	default:
		c.short = true // of unknown length
	}
	return ""
}

// The opcodes that have a meaning here.
const (
	opExtended = 0
	opCopy     = 1
	opPC       = 2
	opLine     = 3
	opFile     = 4
	opConstPC  = 8
	opFixedPC  = 9

	extEnd     = 1
	extAddress = 2
	extFile    = 3
)

// run runs a line program, until it ends or is not whole.
func (t *lineTable) run(c *cursor) {
	s := newState()
	for !c.short && len(c.b) > 0 && len(t.p.lines) < maxLines {
		switch op := int(c.u8()); {
		case op > len(t.operands): // special: address and line at once, and a row
			op -= len(t.operands) + 1
			s.addr += uint32(op/t.span) * t.step
			s.line += t.base + op%t.span
			t.row(s)
		case op == opExtended:
			t.extended(&s, cursor{b: c.take(c.uleb())})
		case op == opCopy:
			t.row(s)
		case op == opPC:
			s.addr += uint32(c.uleb()) * t.step
		case op == opLine:
			s.line += int(c.sleb())
		case op == opFile:
			s.file = c.uleb()
		case op == opConstPC:
			s.addr += uint32((254-len(t.operands))/t.span) * t.step
		case op == opFixedPC:
			s.addr += uint32(c.u16())
		default:
			for range t.operands[op-1] {
				c.uleb()
			}
		}
	}
}

// extended does an opcode that has its length before it.
func (t *lineTable) extended(s *state, c cursor) {
	switch c.u8() {
	case extEnd:
		t.add(line{addr: s.addr})
		*s = newState()
	case extAddress:
		s.addr = c.u32()
	case extFile:
		t.addFile(c.text())
	}
}

// row adds the line that the state says.
func (t *lineTable) row(s state) {
	if s.file < uint64(len(t.files)) && s.line > 0 {
		t.add(line{s.addr, t.files[s.file], s.line})
	}
}

// add adds a line if it is of code that is loaded, or ends some: what the
// linker left out it puts at 0.
func (t *lineTable) add(l line) {
	i := t.p.segment(l.addr)
	if i < 0 && l.num == 0 {
		i = t.p.segment(l.addr - 1)
	}
	if i >= 0 && t.p.Segments[i].Exec {
		t.p.lines = append(t.p.lines, l)
	}
}

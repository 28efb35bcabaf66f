package exe

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"syscall"
	"testing"

	"warren/cores/riscv/isa"
	"warren/fs/sys"
)

// draft is an executable in the making: header, program headers, data, and then
// sections, if it has any, with the one that has their names and its header.
type draft struct {
	class    byte
	machine  elf.Machine
	kind     elf.Type
	entry    uint32
	flags    uint32
	segments []elf.Prog32
	data     []byte
	sections []draftSection
}

type draftSection struct {
	name  string
	kind  elf.SectionType
	flags elf.SectionFlag
	link  uint32
	data  []byte
}

func sound() *draft {
	return &draft{
		class: byte(elf.ELFCLASS32), machine: elf.EM_RISCV, kind: elf.ET_EXEC, entry: 0x8000_0000,
		segments: []elf.Prog32{
			{Type: uint32(elf.PT_LOAD), Off: 256, Vaddr: 0x8000_0000, Filesz: 16, Memsz: 16, Flags: uint32(elf.PF_R | elf.PF_X)},
			{Type: uint32(elf.PT_LOAD), Off: 272, Vaddr: 0x8000_1000, Filesz: 4, Memsz: 100, Flags: uint32(elf.PF_R | elf.PF_W)},
		},
		data: make([]byte, 20),
	}
}

func (f *draft) bytes() []byte {
	b := make([]byte, 52, 256)
	copy(b, elf.ELFMAG)
	b[4], b[5], b[6] = f.class, byte(elf.ELFDATA2LSB), 1
	le := binary.LittleEndian
	le.PutUint16(b[16:], uint16(f.kind))
	le.PutUint16(b[18:], uint16(f.machine))
	le.PutUint32(b[20:], 1)
	le.PutUint32(b[24:], f.entry)
	le.PutUint32(b[28:], 52) // of program headers
	le.PutUint32(b[36:], f.flags)
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], uint16(len(f.segments)))
	le.PutUint16(b[46:], 40)
	for _, s := range f.segments {
		for _, v := range []uint32{s.Type, s.Off, s.Vaddr, s.Vaddr, s.Filesz, s.Memsz, s.Flags, 4} {
			b = le.AppendUint32(b, v)
		}
	}
	b = append(append(b, make([]byte, max(0, 256-len(b)))...), f.data...)
	return f.appendSections(b)
}

// appendSections appends the sections, a table of their headers, and where it is.
func (f *draft) appendSections(b []byte) []byte {
	if f.sections == nil {
		return b
	}
	names := []byte{0}
	var table []byte
	le := binary.LittleEndian
	all := append([]draftSection{{}}, f.sections...)
	for _, s := range append(all, draftSection{name: ".shstrtab", kind: elf.SHT_STRTAB}) {
		name := len(names)
		names = append(append(names, s.name...), 0)
		data := s.data
		if s.name == ".shstrtab" {
			data = names
		}
		for _, v := range []uint32{uint32(name), uint32(s.kind), uint32(s.flags), 0, uint32(len(b)), uint32(len(data)), s.link, 0, 1, 16} {
			table = le.AppendUint32(table, v)
		}
		b = append(b, data...)
	}
	le.PutUint32(b[32:], uint32(len(b)))
	le.PutUint16(b[46:], 40)
	le.PutUint16(b[48:], uint16(len(all)+1))
	le.PutUint16(b[50:], uint16(len(all)))
	return append(b, table...)
}

// withSymbols has three symbols and a line program of version 5.
func withSymbols() *draft {
	f := sound()
	var table []byte
	le := binary.LittleEndian
	for _, s := range []elf.Sym32{
		{},
		{Name: 1, Value: 0x8000_0000, Size: 8, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1},
		{Name: 6, Value: 0x8000_0008, Info: elf.ST_INFO(elf.STB_LOCAL, elf.STT_NOTYPE), Shndx: 1},
		{Name: 11, Value: 0x1234, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_NOTYPE), Shndx: uint16(elf.SHN_ABS)},
		{Name: 1 << 30, Value: 0x8000_0004, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1},
	} {
		table = le.AppendUint32(le.AppendUint32(le.AppendUint32(table, s.Name), s.Value), s.Size)
		table = le.AppendUint16(append(table, s.Info, s.Other), s.Shndx)
	}
	f.sections = []draftSection{
		{name: ".symtab", kind: elf.SHT_SYMTAB, link: 2, data: table},
		{name: ".strtab", kind: elf.SHT_STRTAB, data: []byte("\x00main\x00loop\x00size\x00")},
		{name: ".debug_line", kind: elf.SHT_PROGBITS, data: lineUnit(5)},
		{name: ".debug_line_str", kind: elf.SHT_PROGBITS, data: []byte("/src\x00/src/main.c\x00part.c\x00")},
	}
	return f
}

// lineUnit is a line program: line 7 of the first file at the entry, line 9 of
// the second 4 bytes on, and the end 8 bytes after that.
func lineUnit(version byte) []byte {
	le := binary.LittleEndian
	head := []byte{2, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1} // from the least instruction on
	if version < 4 {
		head = append(head[:1], head[2:]...)
	}
	if version == 5 {
		head = append(head, 1, contentPath, formLineStr, 1, 0, 0, 0, 0)    // one folder
		head = append(head, 2, contentPath, formLineStr, 5, formData16, 3) // three files
		for _, name := range []byte{5, 5, 17} {                            // the first is named twice, as gcc does
			head = append(append(head, name, 0, 0, 0), make([]byte, 16)...)
		}
	} else {
		head = append(head, "/src\x00\x00/src/main.c\x00\x01\x00\x00part.c\x00\x01\x00\x00\x00"...)
	}
	code := []byte{
		0, 5, extAddress, 0, 0, 0, 0x80, // the entry
		opLine, 6, opCopy,
		opFile, 2, 13 + 7 + 14*2, // two instructions and two lines on
		opPC, 2, opFixedPC, 4, 0,
		opConstPC, opPC, 0xef, 0xff, 0xff, 0xff, 0x0f, // 17 instructions on, and back
		0, 1, extEnd,
	}
	unit := []byte{version, 0}
	if version == 5 {
		unit = append(unit, 4, 0)
	}
	unit = append(append(le.AppendUint32(unit, uint32(len(head))), head...), code...)
	return append(le.AppendUint32(nil, uint32(len(unit))), unit...)
}

func TestParse(t *testing.T) {
	p, err := Parse(sound().bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Segments) != 2 || p.Entry != 0x8000_0000 || !p.Segments[0].Exec || p.Segments[0].Write || !p.Segments[1].Write || len(p.Segments[1].Data) != 4 {
		t.Errorf("%+v", p)
	}
	if p.End() != 0x8000_1070 {
		t.Errorf("it ends at %x", p.End())
	}
	if _, num := p.Line(p.Entry); num != 0 || p.Name(p.Entry) != "" {
		t.Errorf("a program without symbols has %q, line %d", p.Name(p.Entry), num)
	}
}

// Flags that make nothing executable mean nothing.
func TestFlagsThatSayNothing(t *testing.T) {
	for _, flags := range []elf.ProgFlag{0, elf.PF_R | elf.PF_W, elf.PF_R} {
		f := sound()
		for i := range f.segments {
			f.segments[i].Flags = uint32(flags)
		}
		p, err := Parse(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Segments {
			if !s.Exec || !s.Write {
				t.Errorf("flags %v: %+v", flags, s)
			}
		}
	}
}

// attributesOf is the section of a file that was compiled for an ISA.
func attributesOf(arch string) []byte {
	le := binary.LittleEndian
	tags := append(append([]byte{4, 16, arch0}, arch...), 0, 6, 1) // a number, the ISA, a number
	part := append(le.AppendUint32([]byte{1}, uint32(len(tags)+5)), tags...)
	part = append([]byte{2, 6, 0, 0, 0, 0}, part...) // a part that is of a section alone
	vendor := append([]byte("riscv\x00"), part...)
	other := append(le.AppendUint32(nil, 4+4+2), "gnu\x00ab"...)
	return append(append(append([]byte{'A'}, other...), le.AppendUint32(nil, uint32(len(vendor)+4))...), vendor...)
}

const arch0 = 5

func TestBuilt(t *testing.T) {
	for _, test := range []struct {
		flags uint32
		arch  string
		want  isa.Set
		other string
	}{
		{0, "", 0, ""},
		{flagRVC, "", isa.C, ""},
		{floatSingle, "", isa.F, ""},
		{floatDouble | flagRVC, "", isa.F | isa.D | isa.C, ""},
		{0, "rv32i2p1_m2p0_zba1p0_zfh1p0", isa.M | isa.Zba, "zfh"},
		{floatSingle, "rv32im", isa.M | isa.F, ""},
		{0, strings.Repeat("x", 2000), 0, ""},
	} {
		f := sound()
		f.flags = test.flags
		if test.arch != "" {
			f.sections = []draftSection{{name: ".riscv.attributes", kind: attributes, data: attributesOf(test.arch)}}
		}
		p, err := Parse(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		if p.Built.Has != test.want || strings.Join(p.Built.Other, " ") != test.other {
			t.Errorf("flags %#x, %q: %s %q", test.flags, test.arch, p.Built.Has, p.Built.Other)
		}
	}
	whole := attributesOf("rv32im")
	if archOf(whole) != "rv32im" {
		t.Errorf("%q", archOf(whole))
	}
	for n := range whole {
		if got := archOf(whole[:n]); got != "" && got != "rv32im" {
			t.Errorf("%d bytes of attributes are %q", n, got)
		}
	}
}

func TestCode(t *testing.T) {
	f := sound()
	p, err := Parse(f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if c := p.Code(); len(c) != 1 || c[0].Addr != p.Entry || len(c[0].Data) != 16 {
		t.Errorf("%+v", c)
	}
	f.sections = []draftSection{
		{name: ".rodata", kind: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: make([]byte, 8)},
		{name: ".text", kind: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, data: []byte{1, 2, 3, 4}},
	}
	if p, err = Parse(f.bytes()); err != nil {
		t.Fatal(err)
	}
	if c := p.Code(); len(c) != 1 || string(c[0].Data) != "\x01\x02\x03\x04" {
		t.Errorf("%+v", c)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		say  string
		edit func(*draft)
	}{
		{"this is for X86_64", func(f *draft) { f.machine = elf.EM_X86_64 }},
		{"an object file", func(f *draft) { f.kind = elf.ET_REL }},
		{"statically linked", func(f *draft) { f.kind = elf.ET_DYN }},
		{"linked dynamically", func(f *draft) { f.segments[1].Type = uint32(elf.PT_INTERP) }},
		{"where it has no code", func(f *draft) { f.entry = 0x8000_1000 }},
		{"where it has no code", func(f *draft) { f.entry = 0x8000_0010 }},
		{"odd address", func(f *draft) { f.entry++ }},
		{"RV64", func(f *draft) { f.class = byte(elf.ELFCLASS64) }},
		{"want ELFCLASS32", func(f *draft) { f.class = 7 }},
		{"RV32E", func(f *draft) { f.flags = flagRVE }},
		{"numbers of 128 bits", func(f *draft) { f.flags = floatQuad }},
		{"overlap", func(f *draft) { f.segments[1].Vaddr = 0x8000_000c }},
		{"16 bytes in the file and 8 in memory", func(f *draft) { f.segments[0].Memsz = 8 }},
		{"beyond 32 bits", func(f *draft) { f.segments[1].Vaddr = 0xffff_fff0 }},
		{"cut off", func(f *draft) { f.data = f.data[:10] }},
		{"nothing to load", func(f *draft) { f.segments = nil }},
		{"more than 64 segments", func(f *draft) {
			for i := range 70 {
				f.segments = append(f.segments, elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: uint32(i) * 16, Memsz: 16})
			}
		}},
	} {
		f := sound()
		test.edit(f)
		p, err := Parse(f.bytes())
		if p != nil || sys.Errno(err) != syscall.ENOEXEC || !strings.Contains(err.Error(), test.say) {
			t.Errorf("want %q: %v", test.say, err)
		}
	}
	for what, raw := range map[string][]byte{"nothing": nil, "a script": []byte("#!/bin/sh\n"), "four bytes": []byte(elf.ELFMAG), "half a header": sound().bytes()[:51]} {
		if _, err := Parse(raw); sys.Errno(err) != syscall.ENOEXEC {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Parse(make([]byte, maxFile+1)); sys.Errno(err) != syscall.EFBIG {
		t.Errorf("too large: %v", err)
	}
	host, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(host[:min(len(host), maxFile)]); sys.Errno(err) != syscall.ENOEXEC || !strings.Contains(err.Error(), "warren cc") {
		t.Errorf("a program of the host: %v", err)
	}
}

func TestNames(t *testing.T) {
	p := &Program{
		Segments: []Segment{{Addr: 0x100, MemSize: 0x100}},
		symbols:  []symbol{{0x100, 0, "start"}, {0x110, 0x20, "main"}, {0x140, 0, "end"}},
	}
	for addr, want := range map[uint32]string{
		0x0: "", 0x100: "start", 0x104: "start+0x4", 0x110: "main", 0x12f: "main+0x1f",
		0x130: "start+0x30", 0x140: "end", 0x150: "end+0x10", 0x200: "",
	} {
		if got := p.Name(addr); got != want {
			t.Errorf("0x%x is %q, want %q", addr, got, want)
		}
	}
}

// FuzzParse: whatever it is given, it refuses or returns what lies in memory.
func FuzzParse(f *testing.F) {
	f.Add(sound().bytes())
	f.Add(withSymbols().bytes())
	built := withSymbols()
	built.sections = append(built.sections, draftSection{name: ".riscv.attributes", kind: attributes, data: attributesOf("rv32i2p1_m2p0")})
	f.Add(built.bytes())
	for _, version := range []byte{2, 4} {
		old := withSymbols()
		old.sections[2].data = lineUnit(version)
		f.Add(old.bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err != nil {
			if e := sys.Errno(err); e != syscall.ENOEXEC && e != syscall.EFBIG {
				t.Errorf("%v", err)
			}
			return
		}
		for i, s := range p.Segments {
			if uint64(s.Addr)+uint64(s.MemSize) > 1<<32 || len(s.Data) > int(s.MemSize) {
				t.Errorf("segment %d: %+v", i, s)
			}
			if i > 0 && p.Segments[i-1].Addr+p.Segments[i-1].MemSize > s.Addr && s.Addr != 0 {
				t.Errorf("segments %d and %d overlap", i-1, i)
			}
		}
		if file, num := p.Line(p.Entry); num < 0 || (file == "") != (num == 0) && num == 0 || strings.Contains(file, "/") {
			t.Errorf("line %d of %q", num, file)
		}
		n := 0
		for _, c := range p.Code() {
			n += len(c.Data)
		}
		if n > 2*len(raw) {
			t.Errorf("%d bytes have %d of code", len(raw), n)
		}
		if name := p.Name(p.Entry); strings.Contains(name, "\x00") {
			t.Errorf("a name of %q", name)
		}
	})
}

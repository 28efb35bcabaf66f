package exe

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// file is an executable in the making: header, program headers, data.
type file struct {
	class    byte
	machine  elf.Machine
	kind     elf.Type
	entry    uint32
	segments []elf.Prog32
	data     []byte
}

func sound() *file {
	return &file{
		class: byte(elf.ELFCLASS32), machine: elf.EM_RISCV, kind: elf.ET_EXEC, entry: 0x8000_0000,
		segments: []elf.Prog32{
			{Type: uint32(elf.PT_LOAD), Off: 256, Vaddr: 0x8000_0000, Filesz: 16, Memsz: 16, Flags: uint32(elf.PF_R | elf.PF_X)},
			{Type: uint32(elf.PT_LOAD), Off: 272, Vaddr: 0x8000_1000, Filesz: 4, Memsz: 100, Flags: uint32(elf.PF_R | elf.PF_W)},
		},
		data: make([]byte, 20),
	}
}

func (f *file) bytes() []byte {
	b := make([]byte, 52, 256)
	copy(b, elf.ELFMAG)
	b[4], b[5], b[6] = f.class, byte(elf.ELFDATA2LSB), 1
	le := binary.LittleEndian
	le.PutUint16(b[16:], uint16(f.kind))
	le.PutUint16(b[18:], uint16(f.machine))
	le.PutUint32(b[20:], 1)
	le.PutUint32(b[24:], f.entry)
	le.PutUint32(b[28:], 52) // of program headers
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], uint16(len(f.segments)))
	le.PutUint16(b[46:], 40)
	for _, s := range f.segments {
		for _, v := range []uint32{s.Type, s.Off, s.Vaddr, s.Vaddr, s.Filesz, s.Memsz, s.Flags, 4} {
			b = le.AppendUint32(b, v)
		}
	}
	return append(append(b, make([]byte, max(0, 256-len(b)))...), f.data...)
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

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		say  string
		edit func(*file)
	}{
		{"this is for X86_64", func(f *file) { f.machine = elf.EM_X86_64 }},
		{"an object file", func(f *file) { f.kind = elf.ET_REL }},
		{"statically linked", func(f *file) { f.kind = elf.ET_DYN }},
		{"linked dynamically", func(f *file) { f.segments[1].Type = uint32(elf.PT_INTERP) }},
		{"where it has no code", func(f *file) { f.entry = 0x8000_1000 }},
		{"where it has no code", func(f *file) { f.entry = 0x8000_0010 }},
		{"odd address", func(f *file) { f.entry++ }},
		{"overlap", func(f *file) { f.segments[1].Vaddr = 0x8000_000c }},
		{"16 bytes in the file and 8 in memory", func(f *file) { f.segments[0].Memsz = 8 }},
		{"beyond 32 bits", func(f *file) { f.segments[1].Vaddr = 0xffff_fff0 }},
		{"cut off", func(f *file) { f.data = f.data[:10] }},
		{"nothing to load", func(f *file) { f.segments = nil }},
		{"more than 64 segments", func(f *file) {
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
	for what, raw := range map[string][]byte{"nothing": nil, "a script": []byte("#!/bin/sh\n"), "four bytes": []byte(elf.ELFMAG)} {
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
		p.Line(p.Entry)
		p.Name(p.Entry)
	})
}

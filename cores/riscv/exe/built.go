package exe

import (
	"debug/elf"

	"warren/cores/riscv/isa"
)

// Built is what a file says that it was compiled for.
type Built struct {
	Has   isa.Set
	Other []string // extensions that are not simulated
}

// A Code is a piece of memory with instructions alone, as far as is known.
type Code struct {
	Addr uint32
	Data []byte
}

// Flags in the header of a RISC-V file: it has compressed instructions, and
// passes numbers in registers of floating point.
const (
	flagRVC     = 0x1
	floatSingle = 0x2
	floatDouble = 0x4
)

// attributes is the type of the section that tells what a file was compiled for.
const attributes elf.SectionType = 0x7000_0003

// tell takes what the file says of what it was compiled for.
func (p *Program) tell(f *file) {
	data, _ := f.find(func(s section) bool { return s.kind == attributes })
	p.Built.Has, p.Built.Other = isa.Compiled(archOf(data))
	flags := word(f.raw, 36)
	if flags&flagRVC != 0 {
		p.Built.Has |= isa.C
	}
	switch flags & flagFloat {
	case floatSingle:
		p.Built.Has |= isa.F
	case floatDouble:
		p.Built.Has |= isa.F | isa.D
	}
}

// archOf returns the string of what a file was compiled for, of its attributes:
// the letter A, and then sections with their length first, of which that named
// riscv has parts, also with lengths, of tags and values. "" if there is none.
func archOf(data []byte) string {
	const wholeFile, arch = 1, 5
	c := cursor{b: data}
	if c.u8() != 'A' {
		return ""
	}
	for len(c.b) > 0 {
		n := uint64(c.u32())
		vendor := cursor{b: c.take(max(n, 4) - 4)}
		if vendor.text() != "riscv" {
			continue
		}
		for len(vendor.b) > 0 {
			before := len(vendor.b)
			tag := vendor.uleb()
			n := uint64(vendor.u32())
			head := uint64(before - len(vendor.b))
			part := cursor{b: vendor.take(max(n, head) - head)}
			for tag == wholeFile && len(part.b) > 0 {
				switch tag := part.uleb(); {
				case tag == arch:
					return part.text()
				case tag%2 == 1:
					part.text()
				default:
					part.uleb()
				}
			}
		}
	}
	return ""
}

// Code returns the sections of code, or the segments if the file tells of none.
func (p *Program) Code() []Code {
	f := &file{raw: p.raw}
	var list []Code
	room := len(p.raw) // sections may lie upon each other, but not to make much of little
	for i := uint32(0); ; i++ {
		s, ok := f.section(i)
		if !ok {
			break
		}
		if s.exec && !s.packed && len(s.data) <= room {
			room -= len(s.data)
			list = append(list, Code{s.addr, s.data})
		}
	}
	if list != nil {
		return list
	}
	for _, s := range p.Segments {
		if s.Exec {
			list = append(list, Code{s.Addr, s.Data})
		}
	}
	return list
}

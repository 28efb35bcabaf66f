package exe

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"io"
	"strings"
)

// Sizes in a 32-bit ELF file.
const (
	headerSize  = 52
	programSize = 32
	sectionSize = 40
	symbolSize  = 16
)

// Flags in the header of a RISC-V file: registers x16 to x31 are missing (RVE),
// and how floating-point arguments go.
const (
	flagRVE   = 0x8
	flagFloat = 0x6
	floatQuad = 0x6
)

// A file is the bytes of an ELF file with its header checked. What else it says
// is looked at where it lies, within bounds: debug/elf copies a name for each
// section and symbol, which can be millions of times the file.
type file struct {
	raw   []byte
	entry uint32
}

// open says why a file is not a program for these cores.
func open(raw []byte) (*file, error) {
	if !bytes.HasPrefix(raw, []byte(elf.ELFMAG)) {
		return nil, refuse("this is no ELF executable: %s", build)
	}
	if len(raw) < headerSize {
		return nil, refuse("the executable is cut off in its header, after %d bytes: %s", len(raw), build)
	}
	class, data := elf.Class(raw[elf.EI_CLASS]), elf.Data(raw[elf.EI_DATA])
	machine, kind := elf.Machine(half(raw, 18)), elf.Type(half(raw, 16))
	if data == elf.ELFDATA2MSB {
		machine = elf.Machine(binary.BigEndian.Uint16(raw[18:]))
	}
	entry, flags := word(raw, 24), word(raw, 36)
	switch {
	case machine == elf.EM_RISCV && class == elf.ELFCLASS64:
		return nil, refuse("this is for RV64, and the cores are RV32: %s", build)
	case machine != elf.EM_RISCV:
		return nil, refuse("this is for %s, and the cores are RISC-V: %s", strings.TrimPrefix(machine.String(), "EM_"), build)
	case class != elf.ELFCLASS32 || data != elf.ELFDATA2LSB:
		return nil, refuse("this is %v %v: want ELFCLASS32, little-endian", class, data)
	case kind == elf.ET_REL:
		return nil, refuse("this is an object file, not linked yet: %s", build)
	case kind != elf.ET_EXEC:
		return nil, refuse("this is %v: want a statically linked executable (-static -no-pie)", kind)
	case flags&flagRVE != 0:
		return nil, refuse("this is for RV32E: want the ABI ilp32, ilp32f or ilp32d (-mabi=ilp32)")
	case flags&flagFloat == floatQuad:
		return nil, refuse("it passes numbers of 128 bits: want the ABI ilp32, ilp32f or ilp32d (-mabi=ilp32)")
	case entry%2 != 0:
		return nil, refuse("it begins at the odd address 0x%x", entry)
	}
	return &file{raw, entry}, nil
}

func half(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func word(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

// piece returns n bytes of the file, nil if it has not got them.
func (f *file) piece(at, n uint64) []byte {
	if at > uint64(len(f.raw)) || n > uint64(len(f.raw))-at {
		return nil
	}
	return f.raw[at : at+n]
}

// table returns the table of n entries that the header has at an offset.
func (f *file) table(offset, sizeAt int, n uint16, size uint64) ([]byte, bool) {
	if n == 0 {
		return nil, true
	}
	t := f.piece(uint64(word(f.raw, offset)), uint64(n)*size)
	return t, t != nil && uint64(half(f.raw, sizeAt)) == size
}

// programs returns the table of program headers.
func (f *file) programs() ([]byte, error) {
	t, ok := f.table(28, 42, half(f.raw, 44), programSize)
	if !ok {
		return nil, refuse("damaged executable: it has no room for its %d program headers of %d bytes", half(f.raw, 44), half(f.raw, 42))
	}
	return t, nil
}

// A section is what a file says of one; data is nil if it has none.
type section struct {
	kind   elf.SectionType
	name   uint32
	link   uint32
	addr   uint32
	exec   bool // it is of instructions
	data   []byte
	packed bool // data is compressed, behind a header
}

// section returns a section by its number.
func (f *file) section(i uint32) (section, bool) {
	t, ok := f.table(32, 46, half(f.raw, 48), sectionSize)
	if !ok || i >= uint32(len(t)/sectionSize) {
		return section{}, false
	}
	h := t[i*sectionSize:]
	s := section{kind: elf.SectionType(word(h, 4)), name: word(h, 0), link: word(h, 24), addr: word(h, 12)}
	flags := elf.SectionFlag(word(h, 8))
	s.exec, s.packed = flags&elf.SHF_EXECINSTR != 0, flags&elf.SHF_COMPRESSED != 0
	if s.kind != elf.SHT_NOBITS {
		s.data = f.piece(uint64(word(h, 16)), uint64(word(h, 20)))
	}
	return s, true
}

// find returns the data of the first section that is wanted, and its link.
func (f *file) find(want func(section) bool) (data []byte, link uint32) {
	for i := uint32(0); ; i++ {
		s, ok := f.section(i)
		switch {
		case !ok:
			return nil, 0
		case !want(s):
		case s.packed:
			return unpack(s.data), s.link
		default:
			return s.data, s.link
		}
	}
}

// Compressed sections begin with an Elf32_Chdr; old ones, whose names begin
// with .zdebug, with "ZLIB" and their size, big-endian.
const (
	packedHeader = 12
	oldHeader    = 12
	oldMagic     = "ZLIB"
)

// unpack returns what a compressed section holds; nil if it is damaged, packed
// in another way than by zlib, or too large.
func unpack(b []byte) []byte {
	if len(b) < packedHeader || elf.CompressionType(word(b, 0)) != elf.COMPRESS_ZLIB {
		return nil
	}
	return inflate(b[packedHeader:], uint64(word(b, 4)))
}

func unpackOld(b []byte) []byte {
	if len(b) < oldHeader || !bytes.HasPrefix(b, []byte(oldMagic)) {
		return nil
	}
	return inflate(b[oldHeader:], binary.BigEndian.Uint64(b[len(oldMagic):]))
}

// inflate returns the n bytes that were compressed to b.
func inflate(b []byte, n uint64) []byte {
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil || n > maxFile {
		return nil
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(n)+1))
	if err != nil || uint64(len(out)) != n {
		return nil
	}
	return out
}

// debug returns the data of a section of debug information, .debug_ and this
// name, compressed or not.
func (f *file) debug(name string) []byte {
	if data := f.named(".debug_" + name); data != nil {
		return data
	}
	return unpackOld(f.named(".zdebug_" + name))
}

// named returns the data of the section of this name.
func (f *file) named(name string) []byte {
	names, ok := f.section(uint32(half(f.raw, 50)))
	if !ok {
		return nil
	}
	data, _ := f.find(func(s section) bool {
		return uint64(s.name) < uint64(len(names.data)) && bytes.HasPrefix(names.data[s.name:], []byte(name+"\x00"))
	})
	return data
}

// texts are the strings of a section, each by its offset.
type texts string

// maxName is the longest name of a symbol or a file that is taken.
const maxName = 1024

// at returns the string at an offset; "" if it is too long, or outside.
func (t texts) at(offset uint64) string {
	if offset >= uint64(len(t)) {
		return ""
	}
	s := string(t[offset:min(uint64(len(t)), offset+maxName)])
	return s[:max(0, strings.IndexByte(s, 0))]
}

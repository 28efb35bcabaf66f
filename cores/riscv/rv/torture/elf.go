package torture

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// ELF returns the batch as an executable for Linux.
func (b *Batch) ELF() []byte {
	const headers = 4096 // the code begins in a page of its own
	progs := []elf.Prog32{
		{
			Type: uint32(elf.PT_LOAD), Off: headers, Vaddr: textBase, Filesz: uint32(len(b.text)), Memsz: uint32(len(b.text)),
			Flags: uint32(elf.PF_R | elf.PF_X), Align: 4096,
		},
		{Type: uint32(elf.PT_LOAD), Vaddr: nearBase, Memsz: 2 * area, Flags: uint32(elf.PF_R | elf.PF_W), Align: 4096},
		{Type: uint32(elf.PT_LOAD), Vaddr: farBase, Memsz: area, Flags: uint32(elf.PF_R | elf.PF_W), Align: 4096},
	}
	h := elf.Header32{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_RISCV), Version: 1, Entry: textBase, Phoff: 52,
		Flags:  5, // compressed instructions, doubles in registers
		Ehsize: 52, Phentsize: 32, Phnum: uint16(len(progs)),
	}
	copy(h.Ident[:], "\x7fELF\x01\x01\x01")
	var out bytes.Buffer
	for _, v := range []any{h, progs} {
		if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
			panic(err) // a buffer takes all
		}
	}
	out.Write(make([]byte, headers-out.Len()))
	out.Write(b.text)
	return out.Bytes()
}

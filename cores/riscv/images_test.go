package riscv

import (
	"debug/elf"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"warren/cores/riscv/sim"
)

// An asm is the text of a small program in the making. Places in it are offsets.
type asm []byte

func (a *asm) word(w uint32) { *a = binary.LittleEndian.AppendUint32(*a, w) }
func (a *asm) here() int     { return len(*a) }

// Registers by their ABI names.
const (
	t0 = 5
	t1 = 6
	s0 = 8
	s1 = 9
	a0 = 10
	a2 = 12
	a7 = 17
	s2 = 18
)

func (a *asm) addi(rd, rs uint32, n int32) { a.word(0x13 | rd<<7 | rs<<15 | uint32(n)<<20) }
func (a *asm) move(rd, rs uint32)          { a.addi(rd, rs, 0) }
func (a *asm) lw(rd, rs uint32, n int32)   { a.word(0x2003 | rd<<7 | rs<<15 | uint32(n)<<20) }
func (a *asm) jump(to int)                 { a.branch(0, 0, 0, to) }

func (a *asm) li(rd, v uint32) {
	a.word(0x37 | rd<<7 | (v+0x800)&^0xfff)
	a.addi(rd, rd, int32(v<<20)>>20)
}

// branch goes to a place if the comparison (0 equal, 1 not equal) of two registers is true.
func (a *asm) branch(how, rs1, rs2 uint32, to int) {
	v := uint32(to - a.here())
	a.word(0x63 | how<<12 | rs1<<15 | rs2<<20 | v>>11&1<<7 | v>>1&15<<8 | v>>5&63<<25 | v>>12&1<<31)
}

// call asks the machine for something.
func (a *asm) call(number uint32, args ...uint32) {
	for i, v := range args {
		a.li(a0+uint32(i), v)
	}
	a.li(a7, number)
	a.word(0x73)
}

// Where programs lie, and what they use.
const (
	textAt  = sim.PrivateBase
	dataAt  = sim.PrivateBase + 0x1000
	bufAt   = dataAt + 0x800
	wordAt  = 0x400  // in SRAM
	sramAt  = 0x1000 // a program there
	sysRead = 63
	sysTell = 64
	sysExit = 93
)

// Calls of the machine by number.
const (
	askInfo = iota + 2000
	askSend
	askRecv
	askPut
	askGet
	askAdd
	askFence
	askWait
	askBarrier
	askMark
	askSleep
	askMulticast
	askAlloc
	askCircular
	askHost
)

// An image is a program for the tests of files.
type image struct {
	name    string
	at      uint32 // 0: textAt
	endless bool   // it runs for ever, if nobody stops it
	reads   bool   // its input
	code    func(a *asm)
}

// callAt is call with a register for its first argument.
func (a *asm) callAt(rs, number uint32, args ...uint32) {
	a.move(a0, rs)
	for i, v := range args {
		a.li(a0+1+uint32(i), v)
	}
	a.li(a7, number)
	a.word(0x73)
}

// next makes s0 the next rank of the process.
func next(a *asm) {
	a.call(askInfo, 1)
	a.move(s1, a0)
	a.call(askInfo, 0)
	a.addi(s0, a0, 1)
	a.branch(1, s0, s1, a.here()+3*4)
	a.li(s0, 0)
}

func exit(a *asm, code uint32) { a.call(sysExit, code) }

var programs = []image{
	{name: "exit", code: func(a *asm) { exit(a, 7) }},
	{name: "hello", code: func(a *asm) {
		a.call(sysTell, 1, dataAt, 6)
		exit(a, 0)
	}},
	{name: "count", code: func(a *asm) {
		a.li(t0, 3000)
		loop := a.here()
		a.addi(t0, t0, -1)
		a.branch(1, t0, 0, loop)
		exit(a, 3)
	}},
	{name: "echo", code: func(a *asm) {
		a.call(askRecv, 0, bufAt, 64, 2)
		a.move(a2, a0)
		a.li(a0, 1)
		a.li(a0+1, bufAt)
		a.li(a7, askHost)
		a.word(0x73)
		a.jump(0)
	}},
	{name: "ring", code: func(a *asm) {
		next(a)
		a.callAt(s0, askSend, 3, dataAt, 8)
		a.call(askRecv, 3, bufAt, 64, 0)
		exit(a, 0)
	}},
	{name: "traffic", code: func(a *asm) {
		next(a)
		a.li(s2, 50)
		loop := a.here()
		a.callAt(s0, askPut, bufAt, dataAt, 300)
		a.callAt(s0, askAdd, bufAt+400, 1, 0)
		a.callAt(s0, askSend, 2, dataAt, 8)
		a.callAt(s0, askGet, bufAt+400, bufAt+404, 4)
		a.call(askRecv, 2, bufAt+500, 64, 0)
		a.callAt(s0, askAdd, bufAt+408, 1, 1)
		a.call(askSleep, 70)
		a.addi(s2, s2, -1)
		a.branch(1, s2, 0, loop)
		a.call(askFence)
		a.call(askBarrier, 0)
		exit(a, 0)
	}},
	{name: "load", code: func(a *asm) {
		a.li(t0, 0x7000_0000)
		a.lw(t0, t0, 0)
	}},
	{name: "illegal", code: func(a *asm) { a.word(0) }},
	{name: "ebreak", code: func(a *asm) { a.word(0x100073) }},
	{name: "input", reads: true, code: func(a *asm) {
		a.call(sysRead, 0, bufAt, 16)
		a.branch(0, a0, 0, a.here()+10*4)
		a.move(a2, a0)
		a.li(a0, 1)
		a.li(a0+1, bufAt)
		a.li(a7, sysTell)
		a.word(0x73)
		a.jump(0)
		exit(a, 0)
	}},
	{name: "barrier", code: func(a *asm) {
		a.call(askBarrier, 0)
		a.call(askMark, 1)
		a.call(askBarrier, 0)
		exit(a, 0)
	}},
	{name: "tile", code: func(a *asm) {
		a.call(askBarrier, 1)
		a.call(askMark, 2)
		exit(a, 0)
	}},
	{name: "sleep", code: func(a *asm) {
		a.call(askSleep, 5000)
		a.call(askMark, 5)
		a.call(askSleep, 100_000)
		exit(a, 0)
	}},
	{name: "word", code: func(a *asm) {
		a.call(askWait, wordAt, 0, 9)
		exit(a, 9)
	}},
	{name: "transfers", code: func(a *asm) {
		a.call(askPut, 0, bufAt, dataAt, 64)
		a.call(askGet, 0, dataAt, bufAt+64, 32)
		a.call(askAdd, 0, bufAt+128, 1, 1)
		a.call(askAdd, 0, bufAt+132, 1, 0)
		a.call(askFence)
		exit(a, 0)
	}},
	{name: "hosts", code: func(a *asm) {
		a.call(askHost, 3, dataAt, 32)
		a.jump(0)
	}},
	{name: "spin", endless: true, code: func(a *asm) { a.jump(0) }},
	{name: "trap", code: func(a *asm) {
		a.li(t0, textAt+16)
		a.word(0x30529073) // csrw mtvec, t0
		a.word(0)
		exit(a, 9)
	}},
	{name: "tile memory", at: sramAt, code: func(a *asm) {
		a.call(askRecv, 0, wordAt, 4, 2)
		exit(a, 0)
	}},
	{name: "shares", code: func(a *asm) {
		a.call(askAlloc, 64, 16, dataAt)
		a.call(askCircular, 1, 64, 4)
		a.call(askMulticast, 0, 1|1<<16, wordAt, dataAt, 64)
		a.call(askFence)
		a.call(askHost, 1, dataAt, 4)
		exit(a, 0)
	}},
}

// elf is the image as an executable: text that is not written, data, and symbols.
func (i image) elf() []byte {
	var text asm
	i.code(&text)
	data := append([]byte("hello\n"), make([]byte, 26)...)
	at := i.at
	if at == 0 {
		at = textAt
	}
	return executable(at, text, data)
}

// calls is a program that asks for things with arguments of any kind.
func calls(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 4))
	numbers := []uint32{sysTell, 57, 62, 214, 403, 7777}
	for n := uint32(askInfo); n <= askHost; n++ {
		numbers = append(numbers, n, n)
	}
	args := []uint32{
		0, 0, 0, 1, 1, 2, 3, 4, 8, 15, 16, 17, 32, 33, 64, 0x100, wordAt, wordAt + 2, 0xffff, 0x10000, 0x10001, 1 << 17, 1 << 20, 1<<20 + 1,
		0x7fff_ffff, 1 << 31, 1<<31 | 1, 1<<31 | 1<<12, 1<<31 | 0xfff, 1<<31 | 1<<24, ^uint32(0), ^uint32(3), textAt, textAt + 4,
		dataAt, dataAt, dataAt + 1, dataAt + 4, bufAt, bufAt, bufAt + 64, textAt + 64<<10 - 4, 1<<16 | 1, 2,
	}
	const most = 24
	var data []byte
	n := 1 + random.IntN(most)
	for range n {
		data = binary.LittleEndian.AppendUint32(data, numbers[random.IntN(len(numbers))])
		for range 6 {
			data = binary.LittleEndian.AppendUint32(data, args[random.IntN(len(args))])
		}
	}
	var a asm
	a.li(s0, dataAt)
	a.li(s1, dataAt+uint32(n)*28)
	loop := a.here()
	a.lw(a7, s0, 0)
	for i := range uint32(6) {
		a.lw(a0+i, s0, int32(i)*4+4)
	}
	a.word(0x73)
	a.addi(s0, s0, 28)
	a.branch(1, s0, s1, loop)
	exit(&a, 0)
	return executable(textAt, a, data)
}

const dataSize = 0x1000 // of a program, in memory

// Where things are in the executables of these tests.
const (
	headersAt = 52
	textOff   = 52 + 2*32
)

// executable lays out a file: header, headers of segments, text, data, sections.
func executable(at uint32, text, data []byte) []byte {
	const names = "\x00_start\x00main\x00.symtab\x00.strtab\x00"
	le := binary.LittleEndian
	var symbols []byte
	symbol := func(name, value uint32) {
		for _, v := range []uint32{name, value, 4, uint32(elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)) | 1<<16} {
			symbols = le.AppendUint32(symbols, v)
		}
	}
	symbols = append(symbols, make([]byte, 16)...)
	symbol(1, at)
	symbol(8, at+uint32(len(text))/8*4)
	dataOff := uint32(textOff + len(text))
	symbolsOff := dataOff + uint32(len(data))
	namesOff := symbolsOff + uint32(len(symbols))
	sectionsOff := namesOff + uint32(len(names))

	b := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(b, uint16(elf.ET_EXEC))
	b = le.AppendUint16(b, uint16(elf.EM_RISCV))
	for _, v := range []uint32{1, at, headersAt, sectionsOff, 1} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint16{52, 32, 2, 40, 3, 2} {
		b = le.AppendUint16(b, v)
	}
	segment := func(off, addr, size, memory uint32, flags elf.ProgFlag) {
		for _, v := range []uint32{uint32(elf.PT_LOAD), off, addr, addr, size, memory, uint32(flags), 4} {
			b = le.AppendUint32(b, v)
		}
	}
	segment(textOff, at, uint32(len(text)), uint32(len(text)), elf.PF_R|elf.PF_X)
	segment(dataOff, dataAt, uint32(len(data)), dataSize, elf.PF_R|elf.PF_W)
	b = slices.Concat(b, text, data, symbols, []byte(names), make([]byte, 40))
	section := func(name uint32, kind elf.SectionType, off, size, link uint32) {
		for _, v := range []uint32{name, uint32(kind), 0, 0, off, size, link, 1, 1, 16} {
			b = le.AppendUint32(b, v)
		}
	}
	section(13, elf.SHT_SYMTAB, symbolsOff, uint32(len(symbols)), 2)
	section(21, elf.SHT_STRTAB, namesOff, uint32(len(names)), 0)
	return b
}

// rubbish does harm to an executable: how, and where, n says.
func rubbish(good []byte, how, n byte) []byte {
	b := slices.Clone(good)
	le := binary.LittleEndian
	header := func(i int) []byte { return b[headersAt+32*i:] }
	odd := []uint32{0, 1, 4, 0x400, 0x1000, 1 << 17, 1 << 20, 0x7fff_ffff, 1 << 31, 0x8000_1000, 0x800f_fffc, 0xffff_f000, 0xffff_fffc, ^uint32(0), 0x8000_07fe, 52}
	v := odd[n%16]
	switch how % 14 {
	case 0:
		return b[:int(n)*len(b)/256] // cut off
	case 1: // overlapping
		le.PutUint32(header(1)[8:], le.Uint32(header(0)[8:])+uint32(n%8)*4)
	case 2: // huge in memory
		le.PutUint32(header(1)[20:], v)
	case 3: // in the file
		le.PutUint32(header(int(n >> 7))[16:], v)
	case 4: // elsewhere
		le.PutUint32(header(int(n >> 7))[8:], v)
	case 5:
		le.PutUint32(header(int(n >> 7))[4:], v)
	case 6: // of another machine
		le.PutUint16(b[18:], []uint16{uint16(elf.EM_X86_64), uint16(elf.EM_386), 0, 0xffff}[n%4])
	case 7: // class, byte order, version
		b[4+n%3] = n >> 2
	case 8: // type and flags
		b[16] = n
		b[36] = n >> 3
	case 9: // entry
		le.PutUint32(b[24:], v)
	case 10: // tables
		le.PutUint16(b[[]int{40, 42, 44, 46, 48, 50}[n%6]:], uint16(odd[n/16]))
	case 11:
		le.PutUint32(b[[]int{28, 32}[n%2]:], odd[n/16])
	case 12: // access
		le.PutUint32(header(int(n >> 7))[24:], uint32(n&7))
	case 13: // bytes anywhere
		random := rand.New(rand.NewPCG(uint64(n), 13))
		for range 1 + n%7 {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
	}
	return b
}

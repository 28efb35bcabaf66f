// Package torture makes random programs for RV32IMAFDC with Zba, Zbb and Zbs,
// many in one ELF file, which end by writing their registers and a checksum
// of memory with Linux's calls. They run under qemu-riscv32 and on a rv.Hart,
// and must write the same: it is support for tests.
//
// Programs have loops, branches both ways, calls, computed jumps, compressed
// instructions at all alignments, misaligned loads and stores into two
// windows, LR and SC, AMOs, and floating point in all rounding modes with the
// flags that it raises. They always end: loops count down a register that
// nothing else writes.
package torture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"warren/cores/riscv/rv"
)

// Where things are. Area is the size of the memory that programs work on, of
// which there is some in each window.
const (
	textBase = 0x80000000
	farBase  = 0x10000000
	nearBase = 0x80100000
	area     = 4096
	dumpBase = nearBase + area
	dumpSize = 32*4 + 32*8 + 8
	winSize  = nearBase + 2*area - textBase
)

// A Batch is some programs in one.
type Batch struct {
	Seeds []uint64 // of the programs, in their order
	text  []byte
}

// New makes the batch of n programs from a seed. 100 programs take about 150 KiB;
// more than 500 have no room.
func New(seed uint64, n int) *Batch {
	b := &Batch{}
	for i := range n {
		b.Seeds = append(b.Seeds, seed+uint64(i))
	}
	b.build()
	return b
}

func (b *Batch) build() {
	a := &asm{base: textBase}
	over := a.pc()
	a.word(0x6f)
	init, finish := prologue(a), epilogue(a)
	a.patch(over)
	for _, seed := range b.Seeds {
		g := &gen{asm: a, rand: rand.New(rand.NewPCG(seed, 0x5eed))}
		g.program(init, finish)
	}
	a.li(10, 0)
	a.li(17, 93)
	a.word(opECAL)
	b.text = a.text
}

// prologue emits the routine that fills memory from a generator whose seed is
// in x5, then with the 32 doubles at x7, and loads these into f0 to f31.
func prologue(a *asm) uint32 {
	entry := a.pc()
	a.li(9, 1664525)
	a.li(10, 1013904223)
	a.li(6, area)
	a.li(2, farBase)
	a.li(8, nearBase)
	loop := a.pc()
	for _, p := range []uint32{2, 8} {
		a.r(opMUL, 5, 5, 9)
		a.r(opADD, 5, 5, 10)
		a.r(opADD, 11, p, 6)
		a.s(opSW, 11, 5, -4)
	}
	a.i(opADDI, 6, 6, -4)
	a.b(opBNE, 6, 0, loop)
	for i := range uint32(32) {
		a.i(opFLD, i, 7, int32(8*i))
		a.s(opFSD, 2, i, int32(56*i))
		a.s(opFSD, 8, i, int32(60*i))
	}
	a.i(opJALR, 0, 1, 0)
	return entry
}

// epilogue emits the routine that writes registers, fcsr and a checksum.
func epilogue(a *asm) uint32 {
	entry := a.pc()
	a.li(4, dumpBase)
	for i := range uint32(32) {
		a.s(opSW, 4, i, int32(4*i))
		a.s(opFSD, 4, i, int32(128+8*i))
	}
	a.i(opCSRS, 5, 0, 3)
	a.s(opSW, 4, 5, 128+256)
	a.li(9, 1664525)
	a.li(6, area)
	a.li(2, farBase)
	a.li(8, nearBase)
	a.i(opADDI, 5, 0, 0)
	loop := a.pc()
	for _, p := range []uint32{2, 8} {
		a.r(opADD, 11, p, 6)
		a.i(opLW, 12, 11, -4)
		a.r(opXOR, 5, 5, 12)
		a.r(opMUL, 5, 5, 9)
		a.i(opADDI, 5, 5, 1)
	}
	a.i(opADDI, 6, 6, -4)
	a.b(opBNE, 6, 0, loop)
	a.s(opSW, 4, 5, 128+256+4)
	a.i(opADDI, 10, 0, 1)
	a.i(opADDI, 11, 4, 0)
	a.i(opADDI, 12, 0, dumpSize)
	a.i(opADDI, 17, 0, 64)
	a.word(opECAL)
	a.i(opJALR, 0, 1, 0)
	return entry
}

// Hart returns a hart at the beginning of the batch. Its first window has the
// code at its bottom.
func (b *Batch) Hart() (*rv.Hart, error) {
	im, err := rv.NewImage([]rv.Text{{Addr: textBase, Bytes: b.text}})
	if err != nil {
		return nil, err
	}
	h := &rv.Hart{PC: textBase, Image: im}
	mem := make([]byte, winSize)
	copy(mem, b.text)
	h.Win[0] = rv.Window{Base: textBase, RO: uint32(len(b.text)), Mem: mem}
	h.Win[1] = rv.Window{Base: farBase, Mem: make([]byte, area)}
	return h, nil
}

// Finish calls run, which may run the hart a little or much, until the batch
// exits, and returns what it wrote.
func Finish(h *rv.Hart, run func() rv.Why) ([]byte, error) {
	var out bytes.Buffer
	for {
		switch why := run(); {
		case why == rv.Budget:
		case why != rv.Call:
			return out.Bytes(), fmt.Errorf("%v at %#x: %v, %+v", why, h.PC, h.Trap.Cause, h.Trap)
		case h.X[17] == 64:
			out.Write(h.Win[0].Mem[dumpBase-textBase:][:dumpSize])
			h.X[10] = dumpSize
		default:
			return out.Bytes(), nil
		}
	}
}

// Diff says in which program two outputs differ first and in what, or returns
// an empty string.
func (b *Batch) Diff(got, want []byte) string {
	for i, seed := range b.Seeds {
		g, w := at(got, i), at(want, i)
		if !bytes.Equal(g, w) {
			return fmt.Sprintf("program of seed %d: %s", seed, describe(g, w))
		}
	}
	return ""
}

func at(out []byte, i int) []byte {
	return out[min(i*dumpSize, len(out)):min((i+1)*dumpSize, len(out))]
}

func describe(got, want []byte) string {
	if len(got) != dumpSize || len(want) != dumpSize {
		return fmt.Sprintf("%d and %d bytes written", len(got), len(want))
	}
	var out bytes.Buffer
	word := func(p []byte, o int) uint32 { return binary.LittleEndian.Uint32(p[o:]) }
	for r := range 32 {
		if g, w := word(got, 4*r), word(want, 4*r); g != w {
			fmt.Fprintf(&out, "x%d %#x, not %#x; ", r, g, w)
		}
	}
	for r := range 32 {
		g, w := binary.LittleEndian.Uint64(got[128+8*r:]), binary.LittleEndian.Uint64(want[128+8*r:])
		if g != w {
			fmt.Fprintf(&out, "f%d %#x, not %#x; ", r, g, w)
		}
	}
	fmt.Fprintf(&out, "fcsr and checksum %#x %#x, not %#x %#x", word(got, 384), word(got, 388), word(want, 384), word(want, 388))
	return out.String()
}

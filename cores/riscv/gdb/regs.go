package gdb

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// fcsr and its two parts, as gdb numbers them.
const (
	fflags = CSR0 + 1
	frm    = CSR0 + 2
	fcsr   = CSR0 + 3
)

// machineCSRs are the CSRs that gdb shows beside fcsr, by number.
var machineCSRs = []struct {
	num  int
	name string
}{
	{0x300, "mstatus"},
	{0x305, "mtvec"},
	{0x340, "mscratch"},
	{0x341, "mepc"},
	{0x342, "mcause"},
	{0x343, "mtval"},
	{0xc00, "cycle"},
	{0xc02, "instret"},
	{0xc80, "cycleh"},
	{0xc82, "instreth"},
	{0xf14, "mhartid"},
}

var abiNames = strings.Fields("zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6")

var floatNames = strings.Fields("ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11")

// A reg is a register as gdb is told of it.
type reg struct {
	num, bytes int
	name, kind string
}

// registers returns those of a target, in the order of packets g and G: that
// of their numbers.
func registers(flen int) []reg {
	var regs []reg
	for i, name := range abiNames {
		kind := "int"
		switch name {
		case "ra":
			kind = "code_ptr"
		case "sp", "gp", "tp", "fp":
			kind = "data_ptr"
		}
		regs = append(regs, reg{i, 4, name, kind})
	}
	regs = append(regs, reg{PC, 4, "pc", "code_ptr"})
	if flen != 0 {
		regs = append(regs, floats(flen)...)
	}
	for _, c := range machineCSRs {
		regs = append(regs, reg{CSR0 + c.num, 4, c.name, "int"})
	}
	return regs
}

func floats(flen int) []reg {
	var regs []reg
	kind := "ieee_single"
	if flen == 64 {
		kind = "ieee_double"
	}
	for i, name := range floatNames {
		regs = append(regs, reg{F0 + i, flen / 8, name, kind})
	}
	return append(regs, reg{fflags, 4, "fflags", "int"}, reg{frm, 4, "frm", "int"}, reg{fcsr, 4, "fcsr", "int"})
}

// description returns target.xml: the features by which gdb knows RISC-V, and that
// there is no system, for whose programs gdb would step by breakpoints of its own.
func description(regs []reg) []byte {
	b := []byte("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n<architecture>riscv:rv32</architecture>\n<osabi>none</osabi>\n")
	open := ""
	for _, r := range regs {
		if f := r.feature(); f != open {
			if open != "" {
				b = append(b, "</feature>\n"...)
			}
			b = fmt.Appendf(b, "<feature name=\"org.gnu.gdb.riscv.%s\">\n", f)
			open = f
		}
		b = fmt.Appendf(b, "<reg name=%q bitsize=\"%d\" type=%q regnum=\"%d\"/>\n", r.name, r.bytes*8, r.kind, r.num)
	}
	return append(b, "</feature>\n</target>\n"...)
}

func (r reg) feature() string {
	switch {
	case r.num <= PC:
		return "cpu"
	case r.num <= fcsr:
		return "fpu"
	}
	return "csr"
}

func (s *Session) readFeatures(args string) string {
	span0, ok := strings.CutPrefix(args, "target.xml:")
	if !ok {
		return "E00" // as gdb wants it for an annex that is not
	}
	offset, n, err := span(span0)
	if err != nil {
		return failure(err)
	}
	return page(description(s.regs), offset, n)
}

// find returns the register of a number, which is hexadecimal.
func (s *Session) find(text string) (reg, error) {
	n, err := number(text)
	if err != nil {
		return reg{}, err
	}
	for _, r := range s.regs {
		if uint64(r.num) == n {
			return r, nil
		}
	}
	return reg{}, errSyntax
}

// values reads registers of the selected thread.
func (s *Session) values(regs []reg) ([]uint64, error) {
	nums, vals := make([]int, len(regs)), make([]uint64, len(regs))
	for i, r := range regs {
		nums[i] = r.num
		if r.num == fflags || r.num == frm {
			nums[i] = fcsr
		}
	}
	if err := s.target.Regs(s.thread(), nums, vals); err != nil {
		return nil, err
	}
	for i, r := range regs {
		switch r.num {
		case fflags:
			vals[i] &= 0x1f
		case frm:
			vals[i] = vals[i] >> 5 & 7
		}
	}
	return vals, nil
}

// set sets a register of the selected thread.
func (s *Session) set(r reg, val uint64) error {
	if r.num == fflags || r.num == frm {
		old, err := s.values([]reg{{num: fcsr}})
		if err != nil {
			return err
		}
		if r.num == fflags {
			val = old[0]&^0x1f | val&0x1f
		} else {
			val = old[0]&^0xe0 | val&7<<5
		}
		r.num = fcsr
	}
	return s.target.SetReg(s.thread(), r.num, val)
}

// hex returns the value in the order of memory.
func (r reg) hex(val uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(val >> (8 * i))
	}
	return hex.EncodeToString(b[:r.bytes])
}

// value undoes hex: all of text.
func (r reg) value(text string) (uint64, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != r.bytes {
		return 0, errSyntax
	}
	var val uint64
	for i := range b {
		val |= uint64(b[i]) << (8 * i)
	}
	return val, nil
}

func (s *Session) readRegs(args string) string {
	if args != "" {
		return failure(errSyntax)
	}
	vals, err := s.values(s.regs)
	if err != nil {
		return failure(err)
	}
	var b strings.Builder
	for i, r := range s.regs {
		b.WriteString(r.hex(vals[i]))
	}
	return b.String()
}

// writeRegs sets those that differ, as some can only be read.
func (s *Session) writeRegs(args string) string {
	vals, err := s.values(s.regs)
	if err != nil {
		return failure(err)
	}
	want := make([]uint64, len(vals))
	for i, r := range s.regs {
		n := min(2*r.bytes, len(args))
		if want[i], err = r.value(args[:n]); err != nil {
			return failure(err)
		}
		args = args[n:]
	}
	if args != "" {
		return failure(errSyntax)
	}
	for i, r := range s.regs {
		if want[i] == vals[i] {
			continue
		}
		if err := s.set(r, want[i]); err != nil {
			return failure(err)
		}
	}
	return "OK"
}

func (s *Session) readReg(args string) string {
	r, err := s.find(args)
	if err != nil {
		return failure(err)
	}
	vals, err := s.values([]reg{r})
	if err != nil {
		return failure(err)
	}
	return r.hex(vals[0])
}

func (s *Session) writeReg(args string) string {
	num, text, _ := strings.Cut(args, "=")
	r, err := s.find(num)
	if err != nil {
		return failure(err)
	}
	val, err := r.value(text)
	if err != nil {
		return failure(err)
	}
	if err := s.set(r, val); err != nil {
		return reason(err)
	}
	return "OK"
}

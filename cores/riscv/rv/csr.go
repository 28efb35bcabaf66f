package rv

import "warren/cores/riscv/isa"

// csrBarrier is Snitch's barrier: a read of it blocks.
const csrBarrier = 0x7c2

// misa tells RV32, I, U and what else the hart has of A, B, C, D, F and M. It
// cannot be changed.
func (h *Hart) misa() uint32 {
	v := uint32(1<<30 | 1<<('i'-'a') | 1<<('u'-'a'))
	for letter, s := range map[rune]isa.Set{
		'a': isa.A, 'b': isa.Zba | isa.Zbb | isa.Zbs, 'c': isa.C, 'd': isa.D, 'f': isa.F, 'm': isa.M,
	} {
		if h.Image.Lacks()&s == 0 {
			v |= 1 << (letter - 'a')
		}
	}
	return v
}

// csr does the instructions that read and write a CSR.
func (h *Hart) csr(in Inst) Why {
	num := uint32(in.Imm)
	operand, write := h.X[in.Rs1], in.Rs1 != 0
	if in.Op >= CSRRWI {
		operand = uint32(in.Rs1)
	}
	old, ok := h.readCSR(num)
	if num == csrBarrier && ok {
		return Wait
	}
	switch in.Op {
	case CSRRW, CSRRWI:
		write = true
	case CSRRS, CSRRSI:
		operand |= old
	case CSRRC, CSRRCI:
		operand = old &^ operand
	}
	if !ok || write && num>>10 == 3 {
		return h.trap(CauseIllegal, in.Word, in.Word)
	}
	if write {
		h.writeCSR(num, operand)
	}
	h.set(in.Rd, old)
	return Budget
}

// EndWait retires the read of the barrier's CSR that Run stopped at with Wait,
// which reads v. The machine may have added the time it took to Skew before.
func (h *Hart) EndWait(v uint32) {
	in, ok := h.fetch()
	if ok && in.Op >= CSRRW && in.Op <= CSRRCI && in.Imm == csrBarrier {
		h.set(in.Rd, v)
		h.retire(in.Op, h.PC+uint32(in.Len))
	}
}

// readCSR returns a CSR, and whether there is such a one for this mode.
func (h *Hart) readCSR(num uint32) (uint32, bool) {
	switch {
	case num >= 1 && num <= 3:
		return h.readFloatCSR(num), h.floating()
	case num>>8 == 0xc:
		return h.readCounter(num)
	case h.CSR.User:
		return 0, false
	case num == csrBarrier:
		return 0, true
	}
	return h.readMachine(num)
}

func (h *Hart) readFloatCSR(num uint32) uint32 {
	switch num {
	case 1:
		return h.Fcsr & 31
	case 2:
		return h.Fcsr >> 5 & 7
	}
	return h.Fcsr & 255
}

// readCounter returns a counter that any mode may see, if machine mode lets
// it. Time is cycles, too.
func (h *Hart) readCounter(num uint32) (uint32, bool) {
	i := num & 0x7f
	if i > 2 || h.CSR.User && h.CSR.Counteren>>i&1 == 0 {
		return 0, false
	}
	return h.counter(num), true
}

// counter returns half of cycle, time or instret, by the lower bits of its
// number, which are the same for the counters of machine mode.
func (h *Hart) counter(num uint32) uint32 {
	v := h.Now()
	switch num & 0x7f {
	case 0:
		v = h.counted(v, h.CSR.CycleOff, inhibitCycle)
	case 2:
		v = h.counted(h.Instret, h.CSR.InstretOff, inhibitInstret)
	}
	if num&0x80 != 0 {
		v >>= 32
	}
	return uint32(v)
}

// Bits of mcountinhibit.
const (
	inhibitCycle   = 1 << 0
	inhibitInstret = 1 << 2
)

// counted returns a counter from what it counts and its offset, which is the
// counter itself while it stands.
func (h *Hart) counted(n, off uint64, bit uint32) uint64 {
	if h.CSR.Inhibit&bit != 0 {
		return off
	}
	return n + off
}

// inhibit sets mcountinhibit. The instruction that does it is counted as before.
func (h *Hart) inhibit(v uint32) {
	c := &h.CSR
	stop := func(off *uint64, now uint64, bit uint32) {
		switch {
		case v&^c.Inhibit&bit != 0:
			*off += now
		case c.Inhibit&^v&bit != 0:
			*off -= now
		}
	}
	stop(&c.CycleOff, h.Now()+1, inhibitCycle)
	stop(&c.InstretOff, h.Instret+1, inhibitInstret)
	c.Inhibit = v & (inhibitCycle | inhibitInstret)
}

// setCounter writes half of a counter, whose next instruction sees it.
func (h *Hart) setCounter(off *uint64, next uint64, bit, num, v uint32) {
	if h.CSR.Inhibit&bit != 0 {
		next = 0
	}
	*off = setHalf(next+*off, num, v) - next
}

func (h *Hart) readMachine(num uint32) (uint32, bool) {
	switch num {
	case 0x300:
		return h.status(), true
	case 0x301:
		return h.misa(), true
	case 0x304:
		return h.CSR.Enable, true
	case 0x305:
		return h.CSR.Tvec, true
	case 0x306:
		return h.CSR.Counteren, true
	case 0x320:
		return h.CSR.Inhibit, true
	case 0x340:
		return h.CSR.Scratch, true
	case 0x341:
		return h.CSR.Epc, true
	case 0x342:
		return h.CSR.Cause, true
	case 0x343:
		return h.CSR.Tval, true
	case 0xf14:
		return h.ID, true
	case 0xb00, 0xb02, 0xb80, 0xb82:
		return h.counter(num), true
	}
	return 0, zeroCSR(num)
}

// zeroCSR reports whether a CSR exists, reads 0 and ignores writes: that of
// physical memory protection, events, triggers, user mode's environment, and
// what tells the maker.
func zeroCSR(num uint32) bool {
	switch {
	case num == 0x30a, num == 0x310, num == 0x31a, num == 0x344,
		num >= 0x323 && num <= 0x33f,
		num >= 0x3a0 && num <= 0x3ef,
		num >= 0x7a0 && num <= 0x7a3,
		num >= 0xb03 && num <= 0xb1f,
		num >= 0xb83 && num <= 0xb9f,
		num >= 0xf11 && num <= 0xf15:
		return true
	}
	return false
}

// writeCSR sets a CSR that can be read. What it does not hold is ignored.
func (h *Hart) writeCSR(num, v uint32) {
	c := &h.CSR
	if num <= 3 && h.floating() {
		c.Status &^= statusFS // dirty
	}
	switch num {
	case 1:
		h.Fcsr = h.Fcsr&^31 | v&31
	case 2:
		h.Fcsr = h.Fcsr&31 | v&7<<5
	case 3:
		h.Fcsr = v & 255
	case 0x300:
		h.setStatus(v)
	case 0x304:
		c.Enable = v & 0x888
	case 0x305:
		c.Tvec = v &^ 3
	case 0x306:
		c.Counteren = v & 7
	case 0x320:
		h.inhibit(v)
	case 0x340:
		c.Scratch = v
	case 0x341:
		c.Epc = v &^ (h.Image.Align() - 1)
	case 0x342:
		c.Cause = v
	case 0x343:
		c.Tval = v
	case 0xb00, 0xb80:
		h.setCounter(&c.CycleOff, h.Now()+1, inhibitCycle, num, v)
	case 0xb02, 0xb82:
		// The instruction that writes either half is not counted.
		if c.Inhibit&inhibitInstret == 0 {
			c.InstretOff--
		}
		h.setCounter(&c.InstretOff, h.Instret+1, inhibitInstret, num, v)
	}
}

// setHalf replaces one half of a counter, which is the upper one of the CSRs
// whose number has bit 7. The value written is what the next instruction sees.
func setHalf(old uint64, num, v uint32) uint64 {
	if num&0x80 != 0 {
		return uint64(v)<<32 | old&0xffffffff
	}
	return old>>32<<32 | uint64(v)
}

package rv

import (
	"encoding/binary"
	"unsafe"
)

// size returns the length of a window's memory below the address space's end.
func (w *Window) size() uint64 { return min(uint64(len(w.Mem)), 1<<32-uint64(w.Base)) }

// at returns the memory behind an access, or nil if no window has all of it.
func (h *Hart) at(addr, size uint32, write bool) []byte {
	for i := range h.Win {
		w := &h.Win[i]
		o := uint64(addr - w.Base)
		if o+uint64(size) <= w.size() && !(write && o < uint64(w.RO)) {
			return w.Mem[o : o+uint64(size)]
		}
	}
	return nil
}

// half returns the 16 bits of code at an even address.
func (h *Hart) half(addr uint32) (uint32, bool) {
	if s := h.Image.find(addr); s != nil {
		return s.half(addr)
	}
	if p := h.at(addr, 2, false); p != nil {
		return uint32(binary.LittleEndian.Uint16(p)), true
	}
	return 0, false
}

// fetch decodes the instruction at PC, or says why it cannot.
func (h *Hart) fetch() (in Inst, ok bool) {
	if h.PC&(h.Image.Align()-1) != 0 {
		h.trap(CauseFetchAlign, h.PC, 0)
		return in, false
	}
	if s := h.Image.find(h.PC); s != nil {
		if at := s.at[(h.PC-s.base)/2]; at != nowhere {
			return s.ins[at/uint32(unsafe.Sizeof(op{}))], true
		}
	}
	w, ok := h.half(h.PC)
	if !ok {
		h.trap(CauseFetch, h.PC, 0)
		return in, false
	}
	if w&3 == 3 {
		upper, ok := h.half(h.PC + 2)
		if !ok {
			h.trap(CauseFetch, h.PC+2, 0)
			return in, false
		}
		w |= upper << 16
	}
	return h.Image.Decode(w), true
}

// read loads size bytes, 8 at most.
func (h *Hart) read(addr, size uint32) (uint64, bool) {
	p := h.at(addr, size, false)
	if p == nil {
		return 0, false
	}
	switch size {
	case 1:
		return uint64(p[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(p)), true
	case 4:
		return uint64(binary.LittleEndian.Uint32(p)), true
	}
	return binary.LittleEndian.Uint64(p), true
}

func (h *Hart) write(addr, size uint32, v uint64) bool {
	p := h.at(addr, size, true)
	if p == nil {
		return false
	}
	switch size {
	case 1:
		p[0] = uint8(v)
	case 2:
		binary.LittleEndian.PutUint16(p, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(p, uint32(v))
	default:
		binary.LittleEndian.PutUint64(p, v)
	}
	return true
}

// load does the loads of integers and floats.
func (h *Hart) load(in Inst) bool {
	addr := h.X[in.Rs1] + uint32(in.Imm)
	v, ok := h.read(addr, accessSize(in.Op))
	if !ok {
		h.trap(CauseLoad, addr, in.Word)
		return false
	}
	switch in.Op {
	case FLW:
		h.F[in.Rd] = box(uint32(v))
		return true
	case FLD:
		h.F[in.Rd] = v
		return true
	case LB:
		v = uint64(int8(v))
	case LH:
		v = uint64(int16(v))
	}
	h.set(in.Rd, uint32(v))
	return true
}

func (h *Hart) store(in Inst) bool {
	addr := h.X[in.Rs1] + uint32(in.Imm)
	v := uint64(h.X[in.Rs2])
	if in.Op == FSW || in.Op == FSD {
		v = h.F[in.Rs2]
	}
	if !h.write(addr, accessSize(in.Op), v) {
		h.trap(CauseStore, addr, in.Word)
		return false
	}
	return true
}

func accessSize(o Op) uint32 {
	switch o {
	case LB, LBU, SB:
		return 1
	case LH, LHU, SH:
		return 2
	case FLD, FSD:
		return 8
	}
	return 4
}

// atomic does LR, SC and the AMOs.
func (h *Hart) atomic(in Inst) bool {
	addr := h.X[in.Rs1]
	align, access := uint32(CauseStoreAlign), uint32(CauseStore)
	if in.Op == LRW {
		align, access = CauseLoadAlign, CauseLoad
	}
	if addr&3 != 0 {
		h.trap(align, addr, in.Word)
		return false
	}
	p := h.at(addr, 4, in.Op != LRW)
	if p == nil {
		h.trap(access, addr, in.Word)
		return false
	}
	old, v := binary.LittleEndian.Uint32(p), h.X[in.Rs2]
	switch in.Op {
	case LRW:
		h.Reserved, h.ReservedAddr, h.ReservedWord = true, addr, old
		h.set(in.Rd, old)
	case SCW:
		ok := h.Reserved && h.ReservedAddr == addr && h.ReservedWord == old
		h.Reserved = false
		if ok {
			binary.LittleEndian.PutUint32(p, v)
		}
		h.set(in.Rd, truth(!ok))
	default:
		binary.LittleEndian.PutUint32(p, amo(in.Op, old, v))
		h.set(in.Rd, old)
	}
	return true
}

// amo returns what an AMO leaves in memory.
func amo(o Op, old, v uint32) uint32 {
	switch o {
	case AMOADDW:
		return old + v
	case AMOXORW:
		return old ^ v
	case AMOANDW:
		return old & v
	case AMOORW:
		return old | v
	case AMOMINW:
		return uint32(min(int32(old), int32(v)))
	case AMOMAXW:
		return uint32(max(int32(old), int32(v)))
	case AMOMINUW:
		return min(old, v)
	case AMOMAXUW:
		return max(old, v)
	}
	return v
}

package hot

import (
	"encoding/binary"
	"iter"
	"slices"

	"warren/cores/riscv/rv"
)

// A Window is where a hart sees memory: Size bytes at Base, of which the first
// RO refuse stores.
type Window struct{ Base, Size, RO uint32 }

// A translator makes a module of an image.
type translator struct {
	image *rv.Image
	texts []rv.Text
	wins  [2]Window
	mem   [2][]byte

	isEntry  map[uint32]bool
	entries  []uint32 // sorted
	labels   []uint32 // constants that may be targets of indirect jumps, sorted
	jumps    []uint32 // where indirect jumps are, sorted
	made     []uint32 // addresses that code makes
	starts   map[uint32]bool
	textEnd  uint32
	funcs    []*function
	byEntry  map[uint32]*function
	explored map[uint32]*function // what was explored since the entries were found
	pairType uint32
	indirect uint32 // the function that calls others by address
}

// half returns the 16 bits of text at pc.
func (t *translator) half(pc uint32) (uint32, bool) {
	for _, s := range t.texts {
		if o := uint64(pc - s.Addr); o+2 <= uint64(len(s.Bytes)) {
			return uint32(binary.LittleEndian.Uint16(s.Bytes[o:])), true
		}
	}
	return 0, false
}

// fetch decodes the instruction at pc, if the image has one there.
func (t *translator) fetch(pc uint32) (rv.Inst, bool) {
	w, ok := t.half(pc)
	if !ok || pc&(t.image.Align()-1) != 0 {
		return rv.Inst{}, false
	}
	if w&3 == 3 {
		upper, ok := t.half(pc + 2)
		if !ok {
			return rv.Inst{}, false
		}
		w |= upper << 16
	}
	return t.image.Decode(w), true
}

// instructions are those of a segment, from one to the next.
func (t *translator) instructions(s rv.Text) iter.Seq2[uint32, rv.Inst] {
	return func(yield func(uint32, rv.Inst) bool) {
		align := t.image.Align()
		for pc := (s.Addr + align - 1) &^ (align - 1); pc-s.Addr < uint32(len(s.Bytes)); {
			in, ok := t.fetch(pc)
			if !ok || !yield(pc, in) {
				return
			}
			pc += max(uint32(in.Len), align)
		}
	}
}

// find guesses where functions begin, and which addresses may be in jump
// tables; a hart is at pc now. A wrong guess costs time only.
func (t *translator) find(pc uint32, c Choice) {
	t.isEntry = map[uint32]bool{}
	t.starts = map[uint32]bool{}
	for _, s := range t.texts {
		t.sweep(s)
		t.textEnd = max(t.textEnd, s.Addr+uint32(len(s.Bytes))&^1)
	}
	slices.Sort(t.jumps)
	// Addresses that code makes are of functions, if those are there: what
	// lies behind them in the image is known only now.
	for _, c := range t.made {
		if t.frames(c) || t.starts[c] {
			t.called(c)
		}
	}
	t.index()
	var consts []uint32
	for k, mem := range t.mem {
		consts = append(consts, t.scan(mem[:min(t.wins[k].RO, uint32(len(mem)))])...)
	}
	for _, s := range t.texts {
		consts = append(consts, t.scan(s.Bytes[-s.Addr&3:])...)
	}
	slices.Sort(consts)
	for _, c := range slices.Compact(consts) {
		if t.frames(c) || t.starts[c] && !t.besideJump(c) {
			t.isEntry[c] = true
		} else if t.besideJump(c) {
			t.labels = append(t.labels, c)
		}
	}
	for k, mem := range t.mem {
		for _, c := range t.scan(mem[min(t.wins[k].RO&^3, uint32(len(mem))):]) {
			if t.starts[c] && !t.isLabel(c) {
				t.isEntry[c] = true
			}
		}
	}
	t.index()
	for _, at := range c.Entries {
		t.reach(at)
	}
	t.reach(pc)
	for _, at := range c.Places {
		t.reach(at)
	}
}

// reach makes a place where a hart was an entry, if no function has it.
func (t *translator) reach(pc uint32) {
	if _, ok := t.fetch(pc); ok && !t.reached(pc) {
		t.isEntry[pc] = true
		t.index()
	}
}

// reached says whether pc lies in the function whose entry is the next before it.
// A hart that is compiled for is mostly within a loop: were its place an
// entry, the loop would be cut in two, and so would what its jump tables reach.
func (t *translator) reached(pc uint32) bool {
	entry, _ := t.region(pc)
	if !t.isEntry[entry] {
		return false
	}
	f := t.graph(entry)
	if f == nil {
		return false
	}
	for i := range f.nodes[1:] {
		if n := &f.nodes[i+1]; pc-n.pc < n.end-n.pc {
			return true
		}
	}
	return false
}

// graph is explore, once for each entry.
func (t *translator) graph(entry uint32) *function {
	f, ok := t.explored[entry]
	if !ok {
		f = t.explore(entry)
		t.explored[entry] = f
	}
	return f
}

// index sorts the entries. What was explored may be different now.
func (t *translator) index() {
	t.explored = map[uint32]*function{}
	t.entries = t.entries[:0]
	for pc := range t.isEntry {
		t.entries = append(t.entries, pc)
	}
	slices.Sort(t.entries)
}

func (t *translator) isLabel(pc uint32) bool {
	_, ok := slices.BinarySearch(t.labels, pc)
	return ok
}

// frames says whether what begins at pc makes a stack frame first.
func (t *translator) frames(pc uint32) bool {
	in, ok := t.fetch(pc)
	return ok && in.Op == rv.ADDI && in.Rd == 2 && in.Rs1 == 2 && in.Imm < 0
}

// region returns the addresses around pc between two functions' entries.
func (t *translator) region(pc uint32) (from, to uint32) {
	k, _ := slices.BinarySearch(t.entries, pc+1)
	from, to = 0, t.textEnd
	if k > 0 {
		from = t.entries[k-1]
	}
	if k < len(t.entries) {
		to = t.entries[k]
	}
	return from, to
}

// besideJump says whether the function around pc has an indirect jump.
func (t *translator) besideJump(pc uint32) bool {
	from, to := t.region(pc)
	k, _ := slices.BinarySearch(t.jumps, from)
	return k < len(t.jumps) && t.jumps[k] < to
}

// scan returns the words of memory that are addresses of code.
func (t *translator) scan(mem []byte) []uint32 {
	if len(t.texts) == 0 {
		return nil
	}
	var list []uint32
	lo := t.texts[0].Addr
	for ; len(mem) >= 4; mem = mem[4:] {
		w := binary.LittleEndian.Uint32(mem)
		if w-lo >= t.textEnd-lo || w&1 != 0 {
			continue
		}
		if _, ok := t.half(w); ok {
			list = append(list, w)
		}
	}
	return list
}

// sweep reads a segment from its beginning to its end, for calls, addresses
// that code makes, indirect jumps, and instructions behind those that do not
// go on.
func (t *translator) sweep(s rv.Text) {
	var known [32]bool
	var value [32]uint32
	ended := true
	for pc, in := range t.instructions(s) {
		if ended {
			t.starts[pc] = true
		}
		base, made := value[in.Rs1], known[in.Rs1] && in.Rs1 != 0
		nop := in.Op == rv.ADDI && in.Rd == 0
		ended = ended && nop || in.Op == rv.ILLEGAL || (in.Op == rv.JAL || in.Op == rv.JALR) && in.Rd == 0
		known[in.Rd] = false
		switch in.Op {
		case rv.LUI:
			known[in.Rd], value[in.Rd] = true, uint32(in.Imm)
		case rv.AUIPC:
			known[in.Rd], value[in.Rd] = true, pc+uint32(in.Imm)
		case rv.ADDI:
			if made {
				t.made = append(t.made, base+uint32(in.Imm))
			}
		case rv.JAL:
			if in.Rd == 1 || in.Rd == 5 {
				t.called(pc + uint32(in.Imm))
			}
		case rv.JALR:
			if made {
				t.called((base + uint32(in.Imm)) &^ 1)
			} else if in.Rd == 0 && in.Rs1 != 1 && in.Rs1 != 5 {
				t.jumps = append(t.jumps, pc)
			}
		}
	}
}

// called notes a function.
func (t *translator) called(pc uint32) {
	if in, ok := t.fetch(pc); ok && in.Op != rv.ILLEGAL {
		t.isEntry[pc] = true
	}
}

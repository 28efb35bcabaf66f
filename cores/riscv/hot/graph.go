package hot

import (
	"slices"

	"warren/cores/riscv/rv"
)

// A kind says how a node of a function's graph ends.
type kind uint8

const (
	kFall   kind = iota // goes on at edge 0
	kBranch             // edge 0 if the branch is taken, edge 1 if not
	kCall               // calls node.target, then edge 0
	kICall              // calls the address in a register, then edge 0
	kTail               // jumps to another function, node.target
	kReturn             // returns to the address in a register
	kSwitch             // jumps to one of the edges by the address in a register, or elsewhere
	kLeave              // the interpreter goes on at the last instruction
	kDoor               // the entry: edge 0 is the function's start, the others where it may be resumed
	kDesk               // a dispatch node: goes to the edge whose target the state names
)

// An edge leads to a node. If state is not 0 it is set on the way: it is what
// the dispatch nodes on the way read, and names the node that the edge means.
type edge struct {
	to    int
	state int
}

// A node is a basic block, or one of those that the translator adds.
type node struct {
	kind   kind
	pc     uint32 // of the first instruction
	end    uint32 // behind the last
	code   []rv.Inst
	target uint32 // kCall, kTail
	succ   []edge
	cost   int32 // cycles of the whole block
	check  bool  // the budget is checked at its beginning
	resume int   // how the door calls it; 0: it does not lead here
	sid    int   // how the desks call it; 0: none leads here
	group  int   // the unrolled loop that it is in; 0: none
	store  regs  // written back there
	back   int   // kLeave at a call of what is not translated: the node behind it
}

// A function is what is reached from an entry without calls.
type function struct {
	entry   uint32
	index   uint32 // among the functions of the module
	nodes   []node // 0 is the door, 1 the start
	at      map[uint32]int
	states  int   // sids given
	bySid   []int // the nodes that have them: that of sid 1 first
	groups  int   // unrolled loops
	resumes []int // nodes behind instructions that are left to the interpreter

	order []int // of the nodes, reverse postorder
	rpo   []int // position in order; -1: not reached
	idom  []int
	heads []bool // an edge leads back here
	merge []bool // more than one forward edge leads here, or a switch's

	writes   regs   // registers that it writes itself
	clobbers regs   // the same with everything that it calls
	calls    []int  // indexes of the functions that it calls
	wild     bool   // calls or jumps through registers
	group    int    // functions that may call each other have the same
	circular bool   // may come back to itself through calls
	dirty    []regs // at the beginning of each node
	live     []regs // at the beginning of each node
	path     []int32
	known    []known // at the beginning of each node
}

// maxFunction bounds the instructions of one function: compilers' times grow
// faster than what they compile.
const maxFunction = 6000

// explore finds the graph of the function at entry.
func (t *translator) explore(entry uint32) *function {
	f := &function{entry: entry, at: map[uint32]int{}}
	starts := t.leaders(entry)
	if starts == nil {
		return nil
	}
	f.nodes = make([]node, 1, len(starts)+8)
	f.nodes[0] = node{kind: kDoor, pc: entry}
	f.at[entry] = 1
	f.nodes = append(f.nodes, node{pc: entry})
	for _, pc := range starts {
		if pc != entry {
			f.at[pc] = len(f.nodes)
			f.nodes = append(f.nodes, node{pc: pc})
		}
	}
	for i := 1; i < len(f.nodes); i++ {
		t.fill(f, &f.nodes[i])
	}
	f.nodes[0].succ = []edge{{to: 1}}
	for _, i := range f.resumes {
		if i != 1 && f.nodes[i].resume == 0 {
			f.open(i)
		}
	}
	return f
}

// leaders returns the addresses where blocks begin among the instructions
// reached from entry, sorted; nil if there are too many instructions.
func (t *translator) leaders(entry uint32) []uint32 {
	lead := map[uint32]bool{entry: true}
	seen := map[uint32]bool{}
	work := []uint32{entry}
	for len(work) > 0 {
		pc := work[len(work)-1]
		work = work[:len(work)-1]
		for !seen[pc] {
			in, ok := t.fetch(pc)
			if !ok {
				break
			}
			seen[pc] = true
			next := pc + uint32(in.Len)
			to, ends := t.flow(entry, pc, in)
			for _, a := range to {
				lead[a] = true
				work = append(work, a)
			}
			if ends {
				break
			}
			pc = next
		}
		if len(seen) > maxFunction {
			return nil
		}
	}
	var list []uint32
	for pc := range lead {
		list = append(list, pc)
	}
	slices.Sort(list)
	return list
}

// flow returns where the instruction at pc may lead other than by falling
// through, and whether a block ends at it. What follows an instruction that
// ends a block is among the addresses if it is reached.
func (t *translator) flow(entry, pc uint32, in rv.Inst) (to []uint32, ends bool) {
	next := pc + uint32(in.Len)
	if t.strays(in) {
		return nil, true
	}
	switch in.Op {
	case rv.BEQ, rv.BNE, rv.BLT, rv.BGE, rv.BLTU, rv.BGEU:
		return []uint32{pc + uint32(in.Imm), next}, true
	case rv.JAL:
		target := pc + uint32(in.Imm)
		switch {
		case in.Rd == 1 || in.Rd == 5:
			return []uint32{next}, true
		case in.Rd == 0 && target != entry && t.isEntry[target]:
			return nil, true
		}
		return []uint32{target}, true
	case rv.JALR:
		if in.Rd == 1 || in.Rd == 5 {
			return []uint32{next}, true
		}
		if in.Rd == 0 && in.Rs1 != 1 && in.Rs1 != 5 {
			return t.tableTargets(entry, pc), true
		}
		return nil, true
	}
	if passes(in.Op) {
		return []uint32{next}, true
	}
	return nil, !translated(in.Op)
}

// strays says whether a jump or branch leads to where no instruction can be: it
// faults if it is taken.
func (t *translator) strays(in rv.Inst) bool {
	return (in.Op == rv.JAL || in.Op >= rv.BEQ && in.Op <= rv.BGEU) && uint32(in.Imm)&(t.image.Align()-1) != 0
}

// tableTargets guesses where an indirect jump leads: to all addresses found in
// constants that lie in the same function, as far as one can tell.
func (t *translator) tableTargets(entry, pc uint32) []uint32 {
	lo, _ := slices.BinarySearch(t.entries, pc+1)
	from, to := entry, t.textEnd
	if lo > 0 {
		from = t.entries[lo-1]
	}
	if lo < len(t.entries) {
		to = t.entries[lo]
	}
	i, _ := slices.BinarySearch(t.labels, from)
	j, _ := slices.BinarySearch(t.labels, to)
	if j-i > 1024 {
		return nil
	}
	return t.labels[i:j]
}

// fill decodes the block that begins at n.pc.
func (t *translator) fill(f *function, n *node) {
	pc := n.pc
	for {
		in, ok := t.fetch(pc)
		if !ok {
			n.kind, n.end = kLeave, pc
			return
		}
		next := pc + uint32(in.Len)
		n.code = append(n.code, in)
		n.cost += cycles(in)
		n.end = next
		to, ends := t.flow(f.entry, pc, in)
		if ends {
			t.finish(f, n, in, pc, to)
			return
		}
		if i, ok := f.at[next]; ok {
			n.kind, n.succ = kFall, []edge{{to: i}}
			return
		}
		pc = next
	}
}

// finish sets how a block ends that ends with the instruction in at pc.
func (t *translator) finish(f *function, n *node, in rv.Inst, pc uint32, to []uint32) {
	for _, a := range to {
		n.succ = append(n.succ, edge{to: f.at[a]})
	}
	if t.strays(in) {
		n.leave()
		return
	}
	switch in.Op {
	case rv.JAL:
		n.target = pc + uint32(in.Imm)
		n.kind = kFall
		if in.Rd == 1 || in.Rd == 5 {
			n.kind = kCall
		} else if len(to) == 0 {
			n.kind = kTail
		}
		if _, ok := t.fetch(n.target); !ok {
			n.leave()
		} else if n.kind == kCall && !t.isEntry[n.target] {
			n.leave()
		}
	case rv.JALR:
		switch {
		case in.Rd == 1 || in.Rd == 5:
			n.kind = kICall
			f.wild = true
		case in.Rd != 0:
			n.leave()
		case in.Rs1 == 1 || in.Rs1 == 5:
			n.kind = kReturn
		default:
			n.kind = kSwitch
			f.wild = true
		}
	case rv.BEQ, rv.BNE, rv.BLT, rv.BGE, rv.BLTU, rv.BGEU:
		n.kind = kBranch
	default:
		n.leave()
		for _, a := range to {
			f.resumes = append(f.resumes, f.at[a])
		}
	}
}

// leave makes the interpreter go on at the node's last instruction.
func (n *node) leave() {
	last := n.code[len(n.code)-1]
	n.code = n.code[:len(n.code)-1]
	n.end -= uint32(last.Len)
	n.cost -= cycles(last)
	n.kind, n.succ = kLeave, nil
}

// cycles is what an instruction costs when it does not leave the hot tier.
func cycles(in rv.Inst) int32 {
	switch in.Op {
	case rv.DIV, rv.DIVU, rv.REM, rv.REMU:
		return 1 + divExtra
	}
	return 1
}

// divExtra is what a division costs beyond one cycle.
const divExtra = 19

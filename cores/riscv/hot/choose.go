package hot

import (
	"slices"
	"sync/atomic"
)

// A Choice says which functions of a program are translated. The zero Choice
// is all of them.
type Choice struct {
	// Places is where harts of the program were seen, and Entries is of functions
	// that a module of it had or was found to lack. They come first, should there
	// be too many.
	Places, Entries []uint32
	// Only leaves out all others but small ones that these call in loops.
	Only bool
}

const (
	// maxImage bounds the instructions of a module.
	maxImage = 40000
	// smallFunction bounds the instructions of functions that are translated
	// because hot ones call them: the others are if they were seen.
	smallFunction = 100
)

// A chooser finds the functions to translate.
type chooser struct {
	t      *translator
	taken  map[uint32]*function
	called map[*function]bool // in a loop of another: so all that they call is, too
	size   int
}

// choose returns the functions to translate, in the order of their addresses.
func (t *translator) choose(c Choice) []*function {
	s := &chooser{t: t, taken: map[uint32]*function{}, called: map[*function]bool{}}
	var work []*function
	for _, pc := range slices.Concat(c.Entries, c.Places) {
		if f := s.take(t.entryBefore(pc), maxFunction); f != nil {
			work = append(work, f)
		}
	}
	for len(work) > 0 {
		f := work[len(work)-1]
		work = append(work[:len(work)-1], s.callees(f)...)
	}
	if !c.Only {
		for _, pc := range t.entries {
			s.take(pc, maxFunction)
		}
	}
	var list []*function
	for _, pc := range t.entries {
		if f := s.taken[pc]; f != nil {
			list = append(list, f)
		}
	}
	return list
}

// take translates the function at pc if it is one of so many instructions, and
// returns it if it is new.
func (s *chooser) take(pc uint32, most int) *function {
	if s.taken[pc] != nil || !s.t.isEntry[pc] {
		return nil
	}
	f := s.t.graph(pc)
	if f == nil {
		return nil
	}
	size := 0
	for i := range f.nodes {
		size += len(f.nodes[i].code)
	}
	if size > most || s.size+size > maxImage {
		return nil
	}
	s.size += size
	s.taken[pc] = f
	return f
}

// callees takes the small functions that f calls in loops. It returns those to
// go on with.
func (s *chooser) callees(f *function) []*function {
	var loops []bool
	if !s.called[f] {
		loops = f.inLoops()
	}
	var next []*function
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.kind != kCall && n.kind != kTail || loops != nil && !loops[i] {
			continue
		}
		s.take(n.target, smallFunction)
		if g := s.taken[n.target]; g != nil && !s.called[g] {
			s.called[g] = true
			next = append(next, g)
		}
	}
	return next
}

// inLoops says which nodes are in loops.
func (f *function) inLoops() []bool {
	all := make([]int, len(f.nodes))
	for i := range all {
		all[i] = i
	}
	return f.among(slices.Concat(f.cycles(all, nil)...))
}

// rejoin lets the function be resumed behind calls that are left to the
// interpreter, at those nodes from which alone loops are reached.
func (f *function) rejoin(behind []int) {
	if len(behind) == 0 {
		return
	}
	loops := f.inLoops()
	seen := make([]bool, len(f.nodes))
	reach := func(from int) []int {
		if seen[from] {
			return nil
		}
		seen[from] = true
		found := []int{from}
		for k := 0; k < len(found); k++ {
			for _, e := range f.nodes[found[k]].succ {
				if !seen[e.to] {
					seen[e.to] = true
					found = append(found, e.to)
				}
			}
		}
		return found
	}
	reach(0)
	for _, i := range behind {
		found := reach(i)
		if slices.ContainsFunc(found, func(i int) bool { return loops[i] }) {
			f.open(i)
			continue
		}
		for _, k := range found {
			seen[k] = false
		}
	}
}

// entryBefore returns the entry of the function around pc.
func (t *translator) entryBefore(pc uint32) uint32 {
	from, _ := t.region(pc)
	return from
}

// What it costs not to have a function, in cycles that its code could have done meanwhile.
const (
	costExit  = 1500 // to leave the code and to enter it again
	costStep  = 20   // to interpret an instruction by itself
	costCycle = 4    // to interpret one among many
)

// lacking counts what it costs not to have functions of the program.
type lacking struct {
	entries []uint32       // of all functions, sorted
	cost    []atomic.Int64 // of each, if it could be translated; -1: it is
	all     atomic.Int64
}

// note notes which functions a module lacks.
func (l *lacking) note(t *translator) {
	if len(t.funcs) == len(t.entries) {
		return
	}
	l.entries = t.entries
	l.cost = make([]atomic.Int64, len(t.entries))
	for k, pc := range t.entries {
		if t.byEntry[pc] != nil {
			l.cost[k].Store(-1)
		}
	}
}

// at returns the function around pc if it is lacking, else -1.
func (l *lacking) at(pc uint32) int {
	k, ok := slices.BinarySearch(l.entries, pc)
	if !ok {
		k--
	}
	if k < 0 || l.cost[k].Load() < 0 {
		return -1
	}
	return k
}

// add counts what a function would have saved.
func (l *lacking) add(k int, cost int64) {
	if k >= 0 && cost > 0 {
		l.cost[k].Add(cost)
		l.all.Add(cost)
	}
}

// Lost returns about how many cycles the module could have done while what it
// was made without was interpreted.
func (m *Module) Lost() int64 { return m.lacking.all.Load() }

// Entries returns those of the functions that the module has, and of those that
// it should have had.
func (m *Module) Entries() []uint32 {
	var list []uint32
	few := m.Lost() / 200
	for k, pc := range m.lacking.entries {
		if cost := m.lacking.cost[k].Load(); cost < 0 || cost > few {
			list = append(list, pc)
		}
	}
	return list
}

package policy

import (
	"cmp"
	"slices"
)

// A Core is what never changes about a core: where it sits. Equal numbers
// mean the same node, socket, cache, physical core; -1 is unknown.
type Core struct {
	Kind                    string
	Node, Socket, LLC, Core int
	Sole                    bool // one program at a time, shared or not
	Named                   bool // only for requests that name cores: by kind, set, node or nearness
}

// The levels of a machine, from the widest to a physical core, whose threads
// are the cores themselves. Wide and mid are node and socket: whichever of
// them holds the other on this machine is wide.
const (
	all = iota
	wide
	mid
	cache
	physical
	levels
)

// A Machine is a tree of groups over its cores. It never changes.
//
// The cores are laid in a row so that every group of every level is an
// unbroken stretch of it: what a group holds is then the difference of two
// running sums.
type Machine struct {
	cores      []Core
	row        []int           // position -> core
	at         []int           // core -> position
	group      [levels][]group // in order of the row
	up         [levels][]int   // position -> index of its group
	socketWide bool            // sockets hold nodes, not nodes sockets
	hops       func(a, b int) int
}

// Measure gives the machine how far cores are from each other where its groups
// do not tell, as on a grid: what is to be near a core is then chosen by that.
func (m *Machine) Measure(apart func(a, b int) int) { m.hops = apart }

// A group is the stretch [lo, hi) of the row; its kids are the groups
// [first, last) of the next level.
type group struct{ lo, hi, first, last int }

// NewMachine returns the machine of these cores, whose numbers are their indices.
func NewMachine(list []Core) *Machine {
	m := &Machine{cores: slices.Clone(list), row: make([]int, len(list)), at: make([]int, len(list))}
	m.socketWide = !spansSockets(list)
	for i := range m.row {
		m.row[i] = i
	}
	slices.SortFunc(m.row, func(a, b int) int {
		ka, kb := m.path(a), m.path(b)
		return cmp.Or(slices.Compare(ka[:], kb[:]), cmp.Compare(a, b))
	})
	for p, c := range m.row {
		m.at[c] = p
	}
	for l := range levels {
		m.split(l)
	}
	m.link()
	return m
}

// spansSockets reports whether a node holds cores of several sockets.
func spansSockets(list []Core) bool {
	socket := make(map[int]int)
	for _, c := range list {
		if s, ok := socket[c.Node]; ok && s != c.Socket {
			return true
		}
		socket[c.Node] = c.Socket
	}
	return false
}

// path names the groups of a core, from the widest on.
func (m *Machine) path(id int) [levels]int {
	c := &m.cores[id]
	p := [levels]int{0, c.Node, c.Socket, c.LLC, c.Core}
	if m.socketWide {
		p[wide], p[mid] = c.Socket, c.Node
	}
	if c.Core < 0 {
		p[physical] = id
	}
	return p
}

// split cuts the row into the groups of a level.
func (m *Machine) split(l int) {
	m.up[l] = make([]int, len(m.row))
	var last [levels]int
	for p, c := range m.row {
		path := m.path(c)
		if p == 0 || !slices.Equal(path[:l+1], last[:l+1]) {
			m.group[l] = append(m.group[l], group{lo: p})
		}
		last = path
		g := len(m.group[l]) - 1
		m.group[l][g].hi = p + 1
		m.up[l][p] = g
	}
}

// link tells each group its kids.
func (m *Machine) link() {
	for l := range levels - 1 {
		for i := range m.group[l] {
			g := &m.group[l][i]
			g.first, g.last = m.up[l+1][g.lo], m.up[l+1][g.hi-1]+1
		}
	}
}

// Len is the number of cores.
func (m *Machine) Len() int { return len(m.cores) }

// Core returns what never changes about a core.
func (m *Machine) Core(id int) Core { return m.cores[id] }

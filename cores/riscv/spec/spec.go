// Package spec describes many-core machines as data: which tiles lie where,
// which cores and memories a tile has, and what a message across the network
// costs. Descriptions are text, in the form that Parse tells; some are shipped.
//
// A machine does not change after Parse; all of this is safe for any number of
// goroutines. Everything but the tiles is kept by kind, so that a machine of
// 100,000 cores is a matter of 16 bytes each.
package spec

import (
	"slices"
	"sort"

	"warren/cores/riscv/isa"
)

// PrivateBase is where the private memory of every core begins.
const PrivateBase = 0x8000_0000

// A Machine is a grid of tiles on a network.
type Machine struct {
	Name string
	Text string // the description that it was made of
	W, H int    // of the grid: tiles have x < W and y < H

	// Torus says how the network goes: on a torus of one-way rings to the right
	// and then down, as Tenstorrent's NoC 0, or, false, on a mesh along x and
	// then along y, in either direction.
	Torus bool
	// What a message costs: Overhead cycles, PerHop more a hop, and one a flit.
	Overhead, PerHop int
	Flit             int // bytes
	MHz              int

	// Extra is what the simulated cores have beyond their ISAs, so that programs
	// run which the silicon does not.
	Extra isa.Set

	Kinds []Kind
	Tiles []Tile // in the order of their numbers

	columns, rows []uint16 // the place in the network of each column and row
	at            []int32  // the tile at y*W+x, -1: none
	cores         int
}

// A Kind is what tiles of one kind are.
type Kind struct {
	Name  string
	Cores []Core // by index in the tile; none: the tile is memory, or a place only
	// SRAM is shared by the cores of the tile, and all that others reach. Its
	// size may be 0.
	SRAMBase, SRAMSize uint32
	PrivateSize        uint32 // of each core's own memory, at PrivateBase; 0 without cores
	Barrier            Barrier
}

// A Core is what a core of a tile is.
type Core struct {
	Role string
	ISA  string  // as gcc's -march: what the silicon has
	Has  isa.Set // that, and what is extra
	// The local data RAM of the silicon, for information: simulated programs
	// have private memory instead. Size 0: none.
	LocalBase, LocalSize uint32
}

// A Barrier is what the cores of a tile meet at, beside the runtime's call.
type Barrier uint8

// The barriers.
const (
	NoBarrier  Barrier = iota
	CSRBarrier         // a read of CSR 0x7c2 blocks until all have read it, as on Snitch
)

func (b Barrier) String() string {
	if b == CSRBarrier {
		return "csr"
	}
	return "none"
}

// A Tile is a place of the grid that is not empty.
type Tile struct {
	X, Y  uint16 // logical coordinates
	Kind  uint8  // index into Kinds
	First uint32 // number of its first core; its others follow
}

// Strict returns the machine without what its cores have extra: as the silicon is.
func (m *Machine) Strict() *Machine {
	c := *m
	c.Extra, c.Kinds = 0, having(m.Kinds, 0)
	return &c
}

// having returns kinds of tiles whose cores have their ISA and what is extra.
func having(kinds []Kind, extra isa.Set) []Kind {
	kinds = slices.Clone(kinds)
	for i := range kinds {
		cores := slices.Clone(kinds[i].Cores)
		for k := range cores {
			own, _ := isa.Parse(cores[k].ISA) // it was checked
			cores[k].Has = own | extra
		}
		kinds[i].Cores = cores
	}
	return kinds
}

// Cores is how many cores the machine has: their numbers are 0 … Cores()-1, by
// tile and then by index in the tile.
func (m *Machine) Cores() int { return m.cores }

// Core returns the tile of a core and the core's index in it.
func (m *Machine) Core(id int) (tile, index int) {
	tile = sort.Search(len(m.Tiles), func(i int) bool { return int(m.Tiles[i].First) > id }) - 1
	return tile, id - int(m.Tiles[tile].First)
}

// Kind returns the kind of a tile.
func (m *Machine) Kind(tile int) *Kind { return &m.Kinds[m.Tiles[tile].Kind] }

// CoreKind returns what a core is.
func (m *Machine) CoreKind(id int) *Core {
	tile, index := m.Core(id)
	return &m.Kind(tile).Cores[index]
}

// Role returns the role of a core, such as "T1".
func (m *Machine) Role(id int) string { return m.CoreKind(id).Role }

// Roles lists the roles that the machine's cores have, each once, in order.
func (m *Machine) Roles() []string {
	var out []string
	seen := map[string]bool{}
	for _, k := range m.Kinds {
		for _, c := range k.Cores {
			if !seen[c.Role] {
				seen[c.Role] = true
				out = append(out, c.Role)
			}
		}
	}
	return out
}

// TileAt returns the tile at logical coordinates; false if there is none.
func (m *Machine) TileAt(x, y int) (tile int, ok bool) {
	if x < 0 || y < 0 || x >= m.W || y >= m.H {
		return 0, false
	}
	t := m.at[y*m.W+x]
	return int(t), t >= 0
}

// Router returns a tile's place in the network, which is its coordinates on the
// machine's own maps.
func (m *Machine) Router(tile int) (x, y int) {
	t := m.Tiles[tile]
	return int(m.columns[t.X]), int(m.rows[t.Y])
}

// Hops counts the links on the way from tile a to tile b. On a torus the way
// back has another length.
func (m *Machine) Hops(a, b int) int {
	ax, ay := m.Router(a)
	bx, by := m.Router(b)
	return m.along(bx-ax, m.W) + m.along(by-ay, m.H)
}

func (m *Machine) along(d, size int) int {
	switch {
	case d >= 0:
		return d
	case m.Torus:
		return d + size
	}
	return -d
}

// Latency is the cycles from sending so many bytes to their arrival, so many
// hops away, on an idle network: Overhead + PerHop*hops + ⌈bytes/Flit⌉.
func (m *Machine) Latency(hops, bytes int) uint64 {
	flits := (uint64(bytes) + uint64(m.Flit) - 1) / uint64(m.Flit)
	return uint64(m.Overhead) + uint64(m.PerHop)*uint64(hops) + flits
}

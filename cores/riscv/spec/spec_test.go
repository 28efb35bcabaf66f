package spec_test

import (
	"slices"
	"strings"
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/spec"
)

func shipped(t testing.TB, name string) *spec.Machine {
	t.Helper()
	m, err := spec.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tilesOf counts the tiles of each kind.
func tilesOf(m *spec.Machine) map[string]int {
	n := map[string]int{}
	for i := range m.Tiles {
		n[m.Kind(i).Name]++
	}
	return n
}

// routers lists where the tiles of a kind are in the network, as [x, y], sorted.
func routers(m *spec.Machine, kind string) [][2]int {
	var out [][2]int
	for i := range m.Tiles {
		if m.Kind(i).Name == kind {
			x, y := m.Router(i)
			out = append(out, [2]int{x, y})
		}
	}
	slices.SortFunc(out, compare)
	return out
}

func compare(a, b [2]int) int { return slices.Compare(a[:], b[:]) }

// places is all pairs of the numbers, sorted.
func places(xs, ys []int) [][2]int {
	var out [][2]int
	for _, x := range xs {
		for _, y := range ys {
			out = append(out, [2]int{x, y})
		}
	}
	slices.SortFunc(out, compare)
	return out
}

func upTo(lo, hi int) []int {
	var out []int
	for i := lo; i <= hi; i++ {
		out = append(out, i)
	}
	return out
}

func wantRouters(t *testing.T, m *spec.Machine, kind string, want [][2]int) {
	t.Helper()
	if got := routers(m, kind); !slices.Equal(got, want) {
		t.Errorf("%s: %s tiles at\n%v, want\n%v", m.Name, kind, got, want)
	}
}

// The counts are of tt-isa-documentation's BlackholeA0/README.md (140 Tensix, 24
// DRAM, 14 Ethernet tiles), TensixTile and EthernetTile/BabyRISCV/README.md
// (cores, L1, local RAM, 1.35 GHz) and NoC/README.md (5 + 9 + 5 cycles, 512-bit
// flits, one core in a DRAM tile); the places of tt-umd's
// tests/soc_descs/blackhole_140_arch.yaml.
func TestBlackholeIsAsPublished(t *testing.T) {
	m := shipped(t, "blackhole")
	if n := tilesOf(m); n["tensix"] != 140 || n["dram"] != 24 || n["ethernet"] != 14 || len(n) != 3 {
		t.Errorf("tiles %v", n)
	}
	if m.Cores() != 140*5+24+14*2 || m.Cores() != 752 || m.W != 17 || m.H != 12 || !m.Torus || m.MHz != 1350 {
		t.Errorf("%d cores on %dx%d, torus %v, %d MHz", m.Cores(), m.W, m.H, m.Torus, m.MHz)
	}
	if roles := strings.Join(m.Roles(), " "); roles != "B NC T0 T1 T2 D E0 E1" {
		t.Errorf("roles %s", roles)
	}
	tensix := m.Kind(0)
	if tensix.SRAMBase != 0 || tensix.SRAMSize != 1536<<10 || tensix.Cores[0].LocalSize != 8<<10 || tensix.Cores[4].LocalSize != 4<<10 {
		t.Errorf("%+v", tensix)
	}
	workers := slices.Concat(upTo(1, 7), upTo(10, 16))
	wantRouters(t, m, "tensix", places(workers, upTo(2, 11)))
	wantRouters(t, m, "ethernet", places(workers, []int{1}))
	wantRouters(t, m, "dram", places([]int{0, 9}, upTo(0, 11)))
	if all, err := m.Select("x=0-13,y=0-9"); err != nil || len(all) != 700 || all[0] != 0 || all[699] != 699 {
		t.Errorf("the Tensix cores are not the first 700: %d of them, %v", len(all), err)
	}
}

// The counts are of tt-isa-documentation's WormholeB0/README.md (80 Tensix, 18
// DRAM, 16 Ethernet tiles), TensixTile and EthernetTile/BabyRISCV/README.md
// (RV32IM, 1464 and 256 KiB, 1 GHz) and NoC/README.md (256-bit flits); the
// places of tenstorrent/ronin's soc_arch_wormhole_b0.cpp.
func TestWormholeIsAsPublished(t *testing.T) {
	m := shipped(t, "wormhole")
	if n := tilesOf(m); n["tensix"] != 80 || n["dram"] != 18 || n["ethernet"] != 16 || len(n) != 3 {
		t.Errorf("tiles %v", n)
	}
	if m.Cores() != 80*5+16 || m.W != 10 || m.H != 12 || !m.Torus || m.MHz != 1000 || m.Flit != 32 {
		t.Errorf("%d cores on %dx%d, torus %v, %d MHz, flits of %d", m.Cores(), m.W, m.H, m.Torus, m.MHz, m.Flit)
	}
	workers := slices.Concat(upTo(1, 4), upTo(6, 9))
	wantRouters(t, m, "tensix", places(workers, slices.Concat(upTo(1, 5), upTo(7, 11))))
	wantRouters(t, m, "ethernet", places(workers, []int{0, 6}))
	dram := slices.Concat(places([]int{0}, []int{0, 1, 5, 6, 7, 11}), places([]int{5}, upTo(0, 11)))
	wantRouters(t, m, "dram", dram)
}

// Of Paulin et al., "Occamy: A 432-Core …", 2024: each chiplet has 216 cores in
// six groups of four nine-core clusters; of Scheffler et al., 2025: eight
// workers and one DMA core share 128 KiB; of snitch_cluster's default
// configuration: the cluster's base address.
func TestOccamyIsAsPublished(t *testing.T) {
	m := shipped(t, "occamy")
	k := m.Kind(0)
	if m.Cores() != 216 || m.Cores() != 6*4*9 || len(m.Tiles) != 24 || m.W*m.H != 24 {
		t.Errorf("%d cores in %d tiles", m.Cores(), len(m.Tiles))
	}
	if k.SRAMBase != 0x1000_0000 || k.SRAMSize != 128<<10 || k.Barrier != spec.CSRBarrier {
		t.Errorf("%+v", k)
	}
	if m.Role(0) != "compute" || m.Role(7) != "compute" || m.Role(8) != "dm" || m.Role(9) != "compute" || m.Role(215) != "dm" {
		t.Error("the ninth of each nine cores is not the one for data movement")
	}
	if isa := m.CoreKind(0).ISA; !strings.HasPrefix(isa, "rv32imafd_") {
		t.Errorf("ISA %s", isa)
	}
}

// TestExtra: what the cores of the shipped machines have, with what is extra and
// without. Their ISAs are those of tt-isa-documentation's BabyRISCV/README.md and
// InstructionSet.md, and of snitch_cluster's.
func TestExtra(t *testing.T) {
	const counted = isa.Zicsr | isa.Zicntr
	for name, want := range map[string]isa.Set{
		"blackhole": isa.M | isa.F | isa.Zaamo | isa.Zba | isa.Zbb | counted,
		"wormhole":  isa.M | counted,
		"occamy":    isa.M | isa.A | isa.F | isa.D | isa.Zifencei | counted,
		"mesh=2x2":  isa.All,
	} {
		m := shipped(t, name)
		strict := m.Strict()
		for id := range m.Cores() {
			if has := m.CoreKind(id).Has; has != want|m.Extra || has&(isa.M|isa.A|isa.C) != isa.M|isa.A|isa.C {
				t.Fatalf("%s: core %d has %s", name, id, has)
			}
			if has := strict.CoreKind(id).Has; has != want || strict.Extra != 0 {
				t.Fatalf("%s, strict: core %d has %s", name, id, has)
			}
		}
	}
}

func TestCoresAndTilesAgree(t *testing.T) {
	for _, name := range []string{"blackhole", "wormhole", "occamy", "mesh=3x7", "mesh=1x1"} {
		m := shipped(t, name)
		id := 0
		for i, tile := range m.Tiles {
			if at, ok := m.TileAt(int(tile.X), int(tile.Y)); !ok || at != i {
				t.Fatalf("%s: tile %d is at %d,%d, where tile %d is", name, i, tile.X, tile.Y, at)
			}
			if int(tile.First) != id {
				t.Fatalf("%s: tile %d begins with core %d, want %d", name, i, tile.First, id)
			}
			for index, c := range m.Kind(i).Cores {
				at, n := m.Core(id)
				if at != i || n != index || m.Role(id) != c.Role {
					t.Fatalf("%s: core %d is %d of tile %d, want %d of %d", name, id, n, at, index, i)
				}
				id++
			}
		}
		if id != m.Cores() || m.Name != name {
			t.Errorf("%s is %s with %d cores, counted %d", name, m.Name, m.Cores(), id)
		}
		again, err := spec.Parse("again", []byte(m.Text))
		if err != nil || !slices.Equal(again.Tiles, m.Tiles) {
			t.Errorf("%s: its text is another machine: %v", name, err)
		}
	}
	m := shipped(t, "mesh=3x7")
	for _, xy := range [][2]int{{-1, 0}, {0, -1}, {3, 0}, {0, 7}} {
		if _, ok := m.TileAt(xy[0], xy[1]); ok {
			t.Errorf("a tile at %v", xy)
		}
	}
	if _, ok := shipped(t, "blackhole").TileAt(14, 0); ok {
		t.Error("blackhole has a tile where the big cores are left out")
	}
}

func at(t *testing.T, m *spec.Machine, x, y int) int {
	t.Helper()
	i, ok := m.TileAt(x, y)
	if !ok {
		t.Fatalf("no tile at %d,%d", x, y)
	}
	return i
}

func TestHopsAndLatency(t *testing.T) {
	grid, bh := shipped(t, "mesh=8x4"), shipped(t, "blackhole")
	for _, test := range []struct {
		m              *spec.Machine
		ax, ay, bx, by int
		want           int
	}{
		{grid, 0, 0, 0, 0, 0},
		{grid, 0, 0, 7, 3, 10},
		{grid, 7, 3, 0, 0, 10},
		{bh, 0, 0, 1, 0, 1},
		{bh, 1, 0, 0, 0, 16},  // one-way: all around
		{bh, 6, 0, 7, 0, 3},   // over the columns of big cores and DRAM
		{bh, 0, 9, 0, 0, 3},   // over rows 0 and 1
		{bh, 0, 0, 0, 11, 11}, // Ethernet is one row above
		{bh, 13, 9, 0, 0, 5},
	} {
		if got := test.m.Hops(at(t, test.m, test.ax, test.ay), at(t, test.m, test.bx, test.by)); got != test.want {
			t.Errorf("%s: %d hops from %d,%d to %d,%d, want %d", test.m.Name, got, test.ax, test.ay, test.bx, test.by, test.want)
		}
	}
	for _, test := range []struct {
		hops, bytes int
		want        uint64
	}{{0, 0, 10}, {1, 0, 19}, {1, 1, 20}, {1, 64, 20}, {1, 65, 21}, {30, 65536, 10 + 270 + 1024}} {
		if got := bh.Latency(test.hops, test.bytes); got != test.want {
			t.Errorf("%d bytes over %d hops take %d cycles, want %d", test.bytes, test.hops, got, test.want)
		}
	}
}

func TestManyCoresAreCheap(t *testing.T) {
	m := shipped(t, "mesh=316x317")
	if m.Cores() != 100172 || len(m.Kinds) != 1 {
		t.Errorf("%d cores", m.Cores())
	}
	if tile, index := m.Core(100171); tile != 100171 || index != 0 || m.Tiles[tile].X != 315 || m.Tiles[tile].Y != 316 {
		t.Errorf("the last core is %d of tile %d at %+v", index, tile, m.Tiles[tile])
	}
	if n := testing.AllocsPerRun(1, func() { shipped(t, "mesh=316x317") }); n > 1000 {
		t.Errorf("%v allocations for a machine of 100,000 cores", n)
	}
	if largest := shipped(t, "mesh=1024x1024"); largest.Cores() != 1<<20 {
		t.Errorf("%d cores", largest.Cores())
	}
}

func TestShippedRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"":                  "no machine",
		"blackhol":          "want one of blackhole wormhole occamy mesh=WxH",
		"../spec":           "no machine",
		"mesh":              "no machine",
		"mesh=":             "want width and height",
		"mesh=4":            "want width and height",
		"mesh=0x4":          "want width and height",
		"mesh=4x-4":         "want width and height",
		"mesh=4x4x4":        "want width and height",
		"mesh=5000x1":       "too large: at most 4096 wide",
		"mesh=4096x4096":    "and 1048576 tiles",
		"mesh=99999999999x": "want width and height",
	} {
		if m, err := spec.Shipped(name); m != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", name, err, want)
		}
	}
}

package spec_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"warren/cores/riscv/spec"
)

const small = `machine toy # a comment
grid 4 2

kind fast
core a*2 rv32imac_zba
core b rv32i
sram 0x1000 64K
private 256K
local b 0xffb00000 4K
barrier csr
tiles fast x=0-1,y=0-1

kind place
tiles place x=3,y=0
`

func TestParse(t *testing.T) {
	m, err := spec.Parse("toy.machine", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	k := m.Kinds[0]
	if m.Cores() != 12 || m.Torus || m.MHz != 1000 || m.Latency(1, 64) != 20 {
		t.Errorf("%+v", m)
	}
	if k.SRAMBase != 0x1000 || k.SRAMSize != 64<<10 || k.PrivateSize != 256<<10 || k.Barrier.String() != "csr" {
		t.Errorf("%+v", k)
	}
	if c := k.Cores[2]; c.Role != "b" || c.ISA != "rv32i" || c.LocalBase != 0xffb00000 || c.LocalSize != 4096 {
		t.Errorf("%+v", c)
	}
	if p := m.Kinds[1]; len(p.Cores) != 0 || p.SRAMSize != 0 || p.Barrier.String() != "none" {
		t.Errorf("%+v", p)
	}
}

// Each row replaces a line of small, and names the line that is to blame.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ old, line, want string }{
		{"machine toy # a comment", "", "a line is missing: machine NAME"},
		{"machine toy # a comment", "machine 2toy", `x:1: bad name "2toy" (want a letter`},
		{"machine toy # a comment", "machine toy toy", "x:1: bad machine (want machine NAME)"},
		{"grid 4 2", "", "tiles belong below the grid"},
		{"grid 4 2", "grid 4", "x:2: bad grid (want grid WIDTH HEIGHT)"},
		{"grid 4 2", "grid 0 2", `x:2: bad width "0" (want a number from 1 to 4096)`},
		{"grid 4 2", "grid 4 4097", `x:2: bad height "4097"`},
		{"grid 4 2", "grid 4 2\ngrid 4 2", "x:3: grid twice"},
		{"grid 4 2", "grid 4 2\ncores 12", `x:3: no key "cores" (want one of machine grid network`},
		{"grid 4 2", "grid 4 2\nnetwork ring", `x:3: bad network "ring" (want mesh or torus)`},
		{"grid 4 2", "grid 4 2\nhop -1", `x:3: bad hop "-1"`},
		{"grid 4 2", "grid 4 2\ncolumns 0 1 2", "x:3: bad columns: 3 of them (want all of 0 to 3)"},
		{"grid 4 2", "grid 4 2\nrows 0 0", "x:3: bad rows: 0 twice"},
		{"grid 4 2", "grid 4 2\nrows 0-2", `x:3: bad rows: "0-2" (want numbers and ranges from 0 to 1)`},
		{"grid 4 2", "rows 0-1\ngrid 4 2", "x:2: rows belong below the grid"},
		{"grid 4 2", "grid 4 2\nsram 0 4K", "x:3: sram belongs below a kind (want kind NAME first)"},
		{"kind fast", "extra a q\nkind fast", "x:4: bad extra: no extension q (want some of m a f d c zicsr"},
		{"kind fast", "extra\nkind fast", "x:4: bad extra (want extra EXTENSIONS, such as extra a c)"},
		{"kind fast", "extra a\nextra c\nkind fast", "x:5: extra twice"},
		{"kind fast", "kind fast\nkind fast", "x:5: kind fast twice"},
		{"core b rv32i", "core b rv64i", `x:6: bad ISA "rv64i": want rv32i`},
		{"core b rv32i", "core b rv32iv", `no extension v (want some of m a f d c, in this order)`},
		{"core b rv32i", "core b rv32iam", `extension m is not in its place`},
		{"core b rv32i", "core b rv32id", "extension d needs f"},
		{"core b rv32i", "core b rv32i_zfh", "no extension zfh (want some of zicsr"},
		{"core b rv32i", "core b rv32i_zba_zba", "extension zba twice"},
		{"core b rv32i", "core a rv32i", "x:6: role a twice (want a*COUNT for many alike)"},
		{"core b rv32i", "core b*63 rv32i", "x:6: too many cores in a tile (at most 64)"},
		{"core b rv32i", "core b*0 rv32i", `bad count "0"`},
		{"core b rv32i", "core *2 rv32i", "x:6: a role is missing"},
		{"sram 0x1000 64K", "sram 0x1000 64k", `x:7: bad size "64k" (want bytes below 4G`},
		{"sram 0x1000 64K", "sram 0x1001 64K", "x:7: sram 0x1001 64K is not of whole pages"},
		{"sram 0x1000 64K", "sram 0 2G", `x:7: bad size "2G" of sram (at most 1073741824 bytes)`},
		{"sram 0x1000 64K", "sram 0 5G", `bad size "5G"`},
		{"sram 0x1000 64K", "sram 0 1_000", `bad size "1_000"`},
		{"sram 0x1000 64K", "sram 0xfffff000 64K", "x:7: sram ends beyond 4G"},
		{"sram 0x1000 64K", "sram 0x7ffff000 8K", "x:7: kind fast: sram overlaps private memory, which begins at 0x80000000"},
		{"private 256K", "private 0", "x:8: private 0 is not of whole pages"},
		{"private 256K", "private 1G", `x:8: bad size "1G" of private memory`},
		{"private 256K", "", "x:4: kind fast has no private memory for its cores (want private SIZE)"},
		{"local b 0xffb00000 4K", "local c 0xffb00000 4K", `x:9: kind fast has no core "c" above`},
		{"local b 0xffb00000 4K", "local b here 4K", `x:9: bad address "here"`},
		{"barrier csr", "barrier wall", `x:10: bad barrier "wall" (want csr or none)`},
		{"barrier csr", "barrier csr\nbarrier csr", "x:11: barrier twice"},
		{"tiles fast x=0-1,y=0-1", "", "x:4: kind fast has no tiles"},
		{"tiles fast x=0-1,y=0-1", "tiles slow x=0-1,y=0-1", `x:11: no kind "slow" above (want one of: fast)`},
		{"tiles fast x=0-1,y=0-1", "tiles fast x=0-4,y=0-1", "x:11: no x 4: this machine has 0-3"},
		{"tiles fast x=0-1,y=0-1", "tiles fast x=0-1", `x:11: bad place "x=0-1" (want x=LIST,y=LIST)`},
		{"tiles fast x=0-1,y=0-1", "tiles fast x=0-1,y=0,role=a", `x:11: bad place`},
		{"tiles fast x=0-1,y=0-1", "tiles fast x=0-1,y=0-1\ntiles fast x=1,y=1", "x:12: x=1,y=1 has a tile of kind fast already"},
		{"tiles place x=3,y=0", "private 4K\ntiles place x=3,y=0", "x:13: kind place has private memory, and no cores"},
		{"tiles place x=3,y=0", "barrier csr\ntiles place x=3,y=0", "x:13: kind place has a barrier, and no cores"},
	} {
		text := strings.Replace(small, test.old, test.line, 1)
		m, err := spec.Parse("x", []byte(text))
		if m != nil || err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q for %q: %v, want …%s…", test.line, test.old, err, test.want)
		}
	}
}

func TestParseRefusesTheHuge(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("#", 1<<20+1): "1048577 bytes are no machine description",
		"machine x\ngrid 4096 4096\nkind k\ncore c rv32i\nprivate 4K\ntiles k x=0-4095,y=0-4095\n":   "too many tiles (at most 1048576)",
		"machine x\ngrid 1024 1024\nkind k\ncore c*2 rv32i\nprivate 4K\ntiles k x=0-1023,y=0-1023\n": "2097152 cores are too many",
		"machine x\ngrid 1024 1024\nkind k\ncore c rv32i\nprivate 16M\ntiles k x=0-1023,y=0-1023\n":  "16384 GiB of memory are too many",
		"machine x\ngrid 1 1\nkind k\ntiles k x=0,y=0\n":                                             "no tile has a core",
		"": "a line is missing",
	} {
		if _, err := spec.Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	for _, name := range []string{"blackhole", "wormhole", "occamy", "mesh=3x2"} {
		f.Add([]byte(shipped(f, name).Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := spec.Parse("x", text)
		if err != nil {
			if m != nil || !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%v and %v", m, err)
			}
			return
		}
		last := m.Cores() - 1
		tile, index := m.Core(last)
		if last < 0 || tile >= len(m.Tiles) || index != len(m.Kind(tile).Cores)-1 {
			t.Fatalf("the last of %d cores is %d of tile %d", m.Cores(), index, tile)
		}
		if a, b := m.Hops(0, tile), m.Hops(tile, tile); a < 0 || a > m.W+m.H || b != 0 {
			t.Fatalf("%d hops, and %d", a, b)
		}
	})
}

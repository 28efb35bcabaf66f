package spec

import (
	"slices"
	"strconv"
	"strings"

	"warren/cores/riscv/isa"
)

// Bounds of a tile's memories.
const (
	maxSRAM    = 1 << 30
	maxPrivate = 256 << 20
)

func (p *parser) kind(w []string) error {
	if err := p.name("kind", w[0], "-_"); err != nil {
		return err
	}
	if slices.ContainsFunc(p.m.Kinds, func(k Kind) bool { return k.Name == w[0] }) {
		return p.errorf("kind %s twice", w[0])
	}
	if len(p.m.Kinds) == maxKinds {
		return p.errorf("too many kinds (at most %d)", maxKinds)
	}
	p.m.Kinds = append(p.m.Kinds, Kind{Name: w[0]})
	p.began = append(p.began, kindLines{at: p.line, sram: p.line})
	return nil
}

// open returns the kind that lines are about, nil if there is none yet.
func (p *parser) open() *Kind {
	if len(p.m.Kinds) == 0 {
		return nil
	}
	return &p.m.Kinds[len(p.m.Kinds)-1]
}

func (p *parser) core(w []string) error {
	role, times, many := strings.Cut(w[0], "*")
	n := 1
	if many {
		var err error
		if n, err = p.number("count", times, maxInTile); err != nil {
			return err
		}
	}
	if err := p.name("role", role, "_"); err != nil {
		return err
	}
	if _, err := isa.Parse(w[1]); err != nil {
		return p.errorf("bad ISA %q: %v", w[1], err)
	}
	k := p.open()
	if slices.ContainsFunc(k.Cores, func(c Core) bool { return strings.EqualFold(c.Role, role) }) {
		return p.errorf("role %s twice (want %s*COUNT for many alike)", role, role)
	}
	if len(k.Cores)+n > maxInTile {
		return p.errorf("too many cores in a tile (at most %d)", maxInTile)
	}
	for range n {
		k.Cores = append(k.Cores, Core{Role: role, ISA: w[1]})
	}
	return nil
}

// memory reads where a memory lies and how large it is.
func (p *parser) memory(what, address, size string, most uint64) (base, n uint32, err error) {
	if base, err = p.bytes("address", address); err != nil {
		return 0, 0, err
	}
	if n, err = p.bytes("size", size); err != nil {
		return 0, 0, err
	}
	if uint64(n) > most {
		return 0, 0, p.errorf("bad size %q of %s (at most %d bytes)", size, what, most)
	}
	if uint64(base)+uint64(n) > 1<<32 {
		return 0, 0, p.errorf("%s ends beyond 4G", what)
	}
	return base, n, nil
}

func (p *parser) sram(w []string) error {
	base, n, err := p.memory("sram", w[0], w[1], maxSRAM)
	if err != nil {
		return err
	}
	if base%page != 0 || n%page != 0 {
		return p.errorf("sram %s %s is not of whole pages (want multiples of %d)", w[0], w[1], page)
	}
	k := p.open()
	k.SRAMBase, k.SRAMSize = base, n
	p.began[len(p.began)-1].sram = p.line
	return nil
}

func (p *parser) private(w []string) error {
	_, n, err := p.memory("private memory", strconv.Itoa(PrivateBase), w[0], maxPrivate)
	if err != nil {
		return err
	}
	if n == 0 || n%page != 0 {
		return p.errorf("private %s is not of whole pages (want a multiple of %d)", w[0], page)
	}
	p.open().PrivateSize = n
	return nil
}

func (p *parser) local(w []string) error {
	base, n, err := p.memory("local RAM", w[1], w[2], maxSRAM)
	if err != nil {
		return err
	}
	found := false
	k := p.open()
	for i := range k.Cores {
		if c := &k.Cores[i]; c.Role == w[0] {
			c.LocalBase, c.LocalSize = base, n
			found = true
		}
	}
	if !found {
		return p.errorf("kind %s has no core %q above (want core %s ISA first)", k.Name, w[0], w[0])
	}
	return nil
}

func (p *parser) barrier(w []string) error {
	switch w[0] {
	case "csr":
		p.open().Barrier = CSRBarrier
	case "none":
	default:
		return p.errorf("bad barrier %q (want csr or none)", w[0])
	}
	return nil
}

// finish checks what only the end can tell, and numbers the cores.
func (p *parser) finish() error {
	m := p.m
	p.line = max(p.line, 1)
	switch {
	case m.Name == "":
		return p.errorf("a line is missing: machine NAME")
	case m.W == 0:
		return p.errorf("a line is missing: grid WIDTH HEIGHT")
	case len(m.Tiles) == 0:
		return p.errorf("a line is missing: tiles KIND x=LIST,y=LIST")
	}
	tiles := make([]int, len(m.Kinds))
	for _, t := range m.Tiles {
		tiles[t.Kind]++
	}
	var cores, memory uint64
	for i, n := range tiles {
		k := &m.Kinds[i]
		if err := p.finishKind(k, n, p.began[i]); err != nil {
			return err
		}
		cores += uint64(n) * uint64(len(k.Cores))
		memory += uint64(n) * (uint64(k.SRAMSize) + uint64(len(k.Cores))*uint64(k.PrivateSize))
	}
	switch {
	case cores == 0:
		return p.errorf("no tile has a core (want core ROLE ISA below a kind)")
	case cores > maxCores:
		return p.errorf("%d cores are too many (at most %d)", cores, maxCores)
	case memory > maxMemory:
		return p.errorf("%d GiB of memory are too many (at most %d)", memory>>30, maxMemory>>30)
	}
	m.Kinds = having(m.Kinds, m.Extra)
	m.columns, m.rows = orInOrder(m.columns, m.W), orInOrder(m.rows, m.H)
	for i := range m.Tiles {
		m.Tiles[i].First = uint32(m.cores)
		m.cores += len(m.Kind(i).Cores)
	}
	return nil
}

// extra reads what the simulated cores have beyond the silicon's.
func (p *parser) extra(w []string) error {
	var err error
	if p.m.Extra, err = isa.Named(w); err != nil {
		return p.errorf("bad extra: %v", err)
	}
	return nil
}

func (p *parser) finishKind(k *Kind, tiles int, lines kindLines) error {
	p.line = lines.at
	switch {
	case tiles == 0:
		return p.errorf("kind %s has no tiles (want tiles %s x=LIST,y=LIST)", k.Name, k.Name)
	case len(k.Cores) > 0 && k.PrivateSize == 0:
		return p.errorf("kind %s has no private memory for its cores (want private SIZE)", k.Name)
	case len(k.Cores) == 0 && k.PrivateSize > 0:
		return p.errorf("kind %s has private memory, and no cores to use it (want core ROLE ISA)", k.Name)
	case len(k.Cores) == 0 && k.Barrier != NoBarrier:
		return p.errorf("kind %s has a barrier, and no cores to meet (want core ROLE ISA)", k.Name)
	case uint64(k.SRAMBase)+uint64(k.SRAMSize) > PrivateBase && uint64(k.SRAMBase) < PrivateBase+uint64(k.PrivateSize) && k.SRAMSize > 0:
		p.line = lines.sram
		return p.errorf("kind %s: sram overlaps private memory, which begins at %#x", k.Name, uint32(PrivateBase))
	}
	return nil
}

func orInOrder(order []uint16, n int) []uint16 {
	if order == nil {
		order = make([]uint16, n)
		for i := range order {
			order[i] = uint16(i)
		}
	}
	return order
}

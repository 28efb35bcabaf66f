package spec

import (
	"bytes"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// MaxText is the most bytes that a description may have.
const MaxText = 1 << 20

// Bounds of what a description may ask for.
const (
	maxSide   = 4096 // coordinates have 12 bits in a message's destination
	maxTiles  = 1 << 20
	maxCores  = 1 << 20
	maxKinds  = 16
	maxInTile = 64
	maxMemory = 1 << 42 // of all tiles together
	page      = 4096    // what memories begin and end at
)

// A key is a line that a description may have.
type key struct {
	name  string
	least int // words after the name
	most  int
	want  string // what the words are
	doc   string
	block bool // belongs to the kind above it
	many  bool // may be there more than once
	set   func(*parser, []string) error
}

func keys() []key {
	return []key{
		{name: "machine", least: 1, most: 1, want: "machine NAME", doc: "The machine's name.", set: (*parser).machine},
		{name: "grid", least: 2, most: 2, want: "grid WIDTH HEIGHT", doc: "How many columns and rows there are, at most 4096 each. A place need not have a tile.", set: (*parser).grid},
		{name: "network", least: 1, most: 1, want: "network mesh, or torus", doc: "How messages go: along x and then along y, or round rings to the right and then down; mesh if it is missing.", set: (*parser).network},
		{name: "clock", least: 1, most: 1, want: "clock MHZ", doc: "The clock of cores and network; 1000 if it is missing.", set: (*parser).clock},
		{name: "overhead", least: 1, most: 1, want: "overhead CYCLES", doc: "What a message costs however near; 10 if it is missing.", set: (*parser).overhead},
		{name: "hop", least: 1, most: 1, want: "hop CYCLES", doc: "What each hop adds; 9 if it is missing.", set: (*parser).hop},
		{name: "flit", least: 1, most: 1, want: "flit BYTES", doc: "How many bytes go in a cycle; 64 if it is missing.", set: (*parser).flit},
		{name: "columns", least: 1, most: maxSide, want: "columns NUMBERS, such as columns 1-7 10-16 8 9 0", doc: "The place in the network of each column of the grid, in order.", set: (*parser).columns},
		{name: "rows", least: 1, most: maxSide, want: "rows NUMBERS, such as rows 2-11 0 1", doc: "The place in the network of each row of the grid, in order.", set: (*parser).rows},
		{name: "extra", least: 1, most: 16, want: "extra EXTENSIONS, such as extra a c", doc: "What the simulated cores have beyond their ISAs, so that programs run which the silicon does not; the option strict leaves it out.", set: (*parser).extra},
		{name: "kind", least: 1, most: 1, want: "kind NAME", doc: "Begins a kind of tiles, which the lines core to barrier are about.", many: true, set: (*parser).kind},
		{name: "core", least: 2, most: 2, want: "core ROLE ISA, or core ROLE*COUNT ISA", doc: "A core of each tile of the kind, or so many alike, in order; the ISA as gcc has it in -march.", block: true, many: true, set: (*parser).core},
		{name: "sram", least: 2, most: 2, want: "sram ADDRESS SIZE, such as sram 0x10000000 128K", doc: "The memory of the tile, for all of its cores and for other tiles; none if it is missing.", block: true, set: (*parser).sram},
		{name: "private", least: 1, most: 1, want: "private SIZE, such as private 1M", doc: "The memory of each core, at 0x80000000, where programs lie.", block: true, set: (*parser).private},
		{name: "local", least: 3, most: 3, want: "local ROLE ADDRESS SIZE, such as local B 0xffb00000 8K", doc: "The data RAM of a core in the silicon: for information only.", block: true, many: true, set: (*parser).local},
		{name: "barrier", least: 1, most: 1, want: "barrier csr, or none", doc: "Whether the cores of a tile meet by reading the register 0x7c2, as Snitch's do; none if it is missing.", block: true, set: (*parser).barrier},
		{name: "tiles", least: 2, most: 2, want: "tiles KIND PLACE, such as tiles tensix x=0-13,y=0-9", doc: "Puts tiles of a kind there.", many: true, set: (*parser).tiles},
	}
}

// Keys describes the lines of a description: what each looks like, and says.
func Keys() [][2]string {
	var out [][2]string
	for _, k := range keys() {
		out = append(out, [2]string{k.want, k.doc})
	}
	return out
}

// Parse reads a machine's description; name is that of the file, for messages.
//
// It has a line for each fact, a word that says which and then its values; "#"
// begins a comment. Sizes and addresses are decimal, or 0x…, or have K, M or G
// behind them. Once each, in whatever order:
//
//	machine NAME
//	grid WIDTH HEIGHT        at most 4096 each
//	network mesh|torus       see Machine.Torus; mesh if it is missing
//	clock MHZ                1000 if missing
//	overhead CYCLES          of a message: 10 if missing
//	hop CYCLES               9 if missing
//	flit BYTES               that go in a cycle: 64 if missing
//	columns NUMBERS          the place in the network of each column of the grid,
//	rows NUMBERS             and of each row, in order, as 1-7 10-16 8 9 0
//	extra EXTENSIONS         that the simulated cores have beyond their ISAs, as a c zbs
//
// A line "kind NAME" begins a kind of tiles, and these are about the last one:
//
//	core ROLE ISA            a core of each tile; ROLE*8: eight of them
//	sram ADDRESS SIZE        of the tile, for all of its cores; none if missing
//	private SIZE             of each core, at 0x80000000
//	local ROLE ADDRESS SIZE  its data RAM in the silicon, for information
//	barrier csr|none         whether cores meet at CSR 0x7c2
//
// And, below the grid and the kind, as often as needed:
//
//	tiles KIND x=LIST,y=LIST
//
// Tiles, and cores in them, are numbered in the order of these lines, and of
// each by rows from the top. Errors are EINVAL and name file and line.
func Parse(name string, text []byte) (*Machine, error) {
	p := &parser{file: name, seen: map[string]bool{}, m: &Machine{
		MHz: 1000, Overhead: 10, PerHop: 9, Flit: 64,
	}}
	if len(text) > MaxText {
		return nil, sys.Errorf(syscall.EINVAL, "%s: %d bytes are no machine description (at most %d)", name, len(text), MaxText)
	}
	p.m.Text = string(text)
	known := map[string]key{}
	for _, k := range keys() {
		known[k.name] = k
	}
	for line := range bytes.Lines(text) {
		p.line++
		words := strings.Fields(strings.SplitN(string(line), "#", 2)[0])
		if len(words) == 0 {
			continue
		}
		if err := p.do(known, words[0], words[1:]); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.m, nil
}

// A parser is a description half read.
type parser struct {
	file  string
	line  int
	m     *Machine
	began []kindLines     // of each kind
	seen  map[string]bool // keys of the machine; those of a kind with its name before them
}

// kindLines are where a kind begins, and where its SRAM is.
type kindLines struct{ at, sram int }

// errorf refuses the line.
func (p *parser) errorf(format string, args ...any) error {
	return sys.Errorf(syscall.EINVAL, "%s:%d: "+format, append([]any{p.file, p.line}, args...)...)
}

func (p *parser) do(known map[string]key, name string, words []string) error {
	k, ok := known[name]
	if !ok {
		var names []string
		for _, k := range keys() {
			names = append(names, k.name)
		}
		return p.errorf("no key %q (want one of %s)", name, strings.Join(names, " "))
	}
	if len(words) < k.least || len(words) > k.most {
		return p.errorf("bad %s (want %s)", name, k.want)
	}
	once := name
	if k.block {
		if p.open() == nil {
			return p.errorf("%s belongs below a kind (want kind NAME first)", name)
		}
		once = p.open().Name + "." + name
	}
	if p.seen[once] && !k.many {
		return p.errorf("%s twice", name)
	}
	p.seen[once] = true
	return k.set(p, words)
}

// number reads a decimal number of at least 1.
func (p *parser) number(what, word string, most int) (int, error) {
	n, err := strconv.ParseUint(word, 10, 31)
	if err != nil || n == 0 || n > uint64(most) {
		return 0, p.errorf("bad %s %q (want a number from 1 to %d)", what, word, most)
	}
	return int(n), nil
}

// bytes reads a size or an address, which may be 0.
func (p *parser) bytes(what, word string) (uint32, error) {
	digits, unit := word, uint64(1)
	if at := strings.IndexByte("KMG", word[len(word)-1]); at >= 0 {
		digits, unit = word[:len(word)-1], 1<<(10*(at+1))
	}
	n, err := strconv.ParseUint(digits, 0, 32)
	if err != nil || n*unit > 1<<32-1 || strings.Contains(digits, "_") {
		return 0, p.errorf("bad %s %q (want bytes below 4G, such as 4096, 0x10000000, 128K)", what, word)
	}
	return uint32(n * unit), nil
}

// name checks a word that names something.
func (p *parser) name(what, word, extra string) error {
	if word == "" {
		return p.errorf("a %s is missing (want a letter, then letters and digits, at most 32)", what)
	}
	for i, c := range word {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789"+extra, c)) || i >= 32 {
			return p.errorf("bad %s %q (want a letter, then letters and digits, at most 32)", what, word)
		}
	}
	return nil
}

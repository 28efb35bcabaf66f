package spec

import (
	"strconv"
	"strings"
)

func (p *parser) machine(w []string) error {
	p.m.Name = w[0]
	return p.name("name", w[0], "=-_.")
}

func (p *parser) grid(w []string) (err error) {
	if p.m.W, err = p.number("width", w[0], maxSide); err != nil {
		return err
	}
	if p.m.H, err = p.number("height", w[1], maxSide); err != nil {
		return err
	}
	p.m.at = make([]int32, p.m.W*p.m.H)
	for i := range p.m.at {
		p.m.at[i] = -1
	}
	return nil
}

func (p *parser) network(w []string) error {
	if w[0] != "mesh" && w[0] != "torus" {
		return p.errorf("bad network %q (want mesh or torus)", w[0])
	}
	p.m.Torus = w[0] == "torus"
	return nil
}

func (p *parser) clock(w []string) (err error) {
	p.m.MHz, err = p.number("clock", w[0], 100_000)
	return err
}

func (p *parser) overhead(w []string) (err error) {
	p.m.Overhead, err = p.number("overhead", w[0], 1_000_000)
	return err
}

func (p *parser) hop(w []string) (err error) {
	p.m.PerHop, err = p.number("hop", w[0], 1_000_000)
	return err
}

func (p *parser) flit(w []string) (err error) {
	p.m.Flit, err = p.number("flit", w[0], 1<<20)
	return err
}

func (p *parser) columns(w []string) (err error) {
	p.m.columns, err = p.order("columns", w, p.m.W)
	return err
}

func (p *parser) rows(w []string) (err error) {
	p.m.rows, err = p.order("rows", w, p.m.H)
	return err
}

// order reads the numbers 0 … n-1 in another order.
func (p *parser) order(what string, words []string, n int) ([]uint16, error) {
	if n == 0 {
		return nil, p.errorf("%s belong below the grid", what)
	}
	var out []uint16
	seen := make([]bool, n)
	for _, word := range words {
		los, his, isRange := strings.Cut(word, "-")
		if !isRange {
			his = los
		}
		lo, err := strconv.ParseUint(los, 10, 16)
		hi, err2 := strconv.ParseUint(his, 10, 16)
		if err != nil || err2 != nil || hi < lo || int(hi) >= n {
			return nil, p.errorf("bad %s: %q (want numbers and ranges from 0 to %d)", what, word, n-1)
		}
		for i := lo; i <= hi; i++ {
			if seen[i] {
				return nil, p.errorf("bad %s: %d twice", what, i)
			}
			seen[i] = true
			out = append(out, uint16(i))
		}
	}
	if len(out) != n {
		return nil, p.errorf("bad %s: %d of them (want all of 0 to %d)", what, len(out), n-1)
	}
	return out, nil
}

func (p *parser) tiles(w []string) error {
	kind := -1
	var names []string
	for i, k := range p.m.Kinds {
		names = append(names, k.Name)
		if k.Name == w[0] {
			kind = i
		}
	}
	switch {
	case kind < 0:
		return p.errorf("no kind %q above (want one of: %s)", w[0], strings.Join(names, " "))
	case p.m.W == 0:
		return p.errorf("tiles belong below the grid")
	}
	xs, ys, err := p.place(w[1])
	if err != nil {
		return err
	}
	return p.lay(kind, xs, ys)
}

// place reads x=LIST,y=LIST.
func (p *parser) place(text string) (xs, ys []span, err error) {
	terms, err := parseTerms(text, p.m.limit)
	if err != nil {
		return nil, nil, p.errorf("%v", err)
	}
	for _, t := range terms {
		switch t.key {
		case "x":
			xs = t.spans
		case "y":
			ys = t.spans
		default:
			return nil, nil, p.errorf("bad place %q (want x=LIST,y=LIST)", text)
		}
	}
	if xs == nil || ys == nil {
		return nil, nil, p.errorf("bad place %q (want x=LIST,y=LIST)", text)
	}
	return xs, ys, nil
}

// lay puts tiles of a kind on the grid.
func (p *parser) lay(kind int, xs, ys []span) error {
	m := p.m
	for _, ry := range ys {
		for y := ry.lo; y <= ry.hi; y++ {
			for _, rx := range xs {
				for x := rx.lo; x <= rx.hi; x++ {
					if at := m.at[y*m.W+x]; at >= 0 {
						return p.errorf("x=%d,y=%d has a tile of kind %s already", x, y, m.Kind(int(at)).Name)
					}
					if len(m.Tiles) == maxTiles {
						return p.errorf("too many tiles (at most %d)", maxTiles)
					}
					m.at[y*m.W+x] = int32(len(m.Tiles))
					m.Tiles = append(m.Tiles, Tile{X: uint16(x), Y: uint16(y), Kind: uint8(kind)})
				}
			}
		}
	}
	return nil
}

package spec

import (
	"slices"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// Select returns the numbers of the cores that a text names, sorted. It is
// terms joined by commas, all of which a core must fit: x=LIST and y=LIST of
// its tile's coordinates, tile=LIST, kind=NAMES, role=NAMES, and, as the first
// with no key, a LIST of core numbers; LIST is as 0-3,8 and NAMES as T0,T1.
// EINVAL if it is malformed, ENXIO if it names what the machine does not have,
// or no core at all.
func (m *Machine) Select(text string) ([]int, error) { return m.SelectFrom(0, text) }

// SelectFrom is Select where the first core's number is another than 0, in the
// text: what it returns are the machine's own.
func (m *Machine) SelectFrom(base int, text string) ([]int, error) {
	limit := func(key string) int {
		if key == "" {
			return base + m.cores
		}
		return m.limit(key)
	}
	terms, err := parseTerms(strings.TrimSpace(text), limit)
	if err != nil {
		return nil, err
	}
	for _, t := range terms {
		if err := m.checkNames(t); err != nil {
			return nil, err
		}
	}
	var ids []int
	for i := range m.Tiles {
		if !m.fitsTile(terms, i) {
			continue
		}
		first := int(m.Tiles[i].First)
		for index, c := range m.Kind(i).Cores {
			if fitsCore(terms, base+first+index, c.Role) {
				ids = append(ids, first+index)
			}
		}
	}
	if len(ids) == 0 {
		return nil, sys.Errorf(syscall.ENXIO, "no core of this machine is %s", text)
	}
	return ids, nil
}

// limit is how many numbers a key of a selection knows.
func (m *Machine) limit(key string) int {
	switch key {
	case "x":
		return m.W
	case "y":
		return m.H
	case "tile":
		return len(m.Tiles)
	}
	return m.cores
}

// checkNames refuses names that the machine does not have.
func (m *Machine) checkNames(t term) error {
	have := m.Roles()
	if t.key == "kind" {
		have = have[:0]
		for _, k := range m.Kinds {
			have = append(have, k.Name)
		}
	}
	for _, name := range t.names {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, name) }) {
			return sys.Errorf(syscall.ENXIO, "no %s %q: this machine has %s", t.key, name, strings.Join(have, " "))
		}
	}
	return nil
}

func (m *Machine) fitsTile(terms []term, i int) bool {
	tile := &m.Tiles[i]
	for _, t := range terms {
		ok := true
		switch t.key {
		case "x":
			ok = t.has(int(tile.X))
		case "y":
			ok = t.has(int(tile.Y))
		case "tile":
			ok = t.has(i)
		case "kind":
			ok = t.named(m.Kinds[tile.Kind].Name)
		}
		if !ok {
			return false
		}
	}
	return true
}

func fitsCore(terms []term, id int, role string) bool {
	for _, t := range terms {
		if t.key == "" && !t.has(id) || t.key == "role" && !t.named(role) {
			return false
		}
	}
	return true
}

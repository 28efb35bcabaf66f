package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Reason says in words how cores that Place picked lie.
func Reason(p Policy, v View, r Request, cores []int) string {
	parts := []string{v.Machine.together(cores)}
	if r.Near >= 0 {
		parts = append(parts, fmt.Sprintf("near core %d", r.Near))
	}
	if n := v.ownProvision(&r, cores); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of its provision", n))
	}
	if r.Shared {
		parts = append(parts, v.load(cores))
	}
	parts = append(parts, v.neighbours(&r, cores))
	return p.String() + ": " + strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// together names the smallest thing that holds the cores, or counts what they lie on.
func (m *Machine) together(cores []int) string {
	if len(cores) < 2 {
		return ""
	}
	for _, k := range [...]struct {
		what string
		of   func(Core) int
	}{
		{"physical core", func(c Core) int { return c.Core }},
		{"last-level cache", func(c Core) int { return c.LLC }},
		{"node", func(c Core) int { return c.Node }},
		{"socket", func(c Core) int { return c.Socket }},
	} {
		of := k.of(m.cores[cores[0]])
		if of >= 0 && !slices.ContainsFunc(cores, func(id int) bool { return k.of(m.cores[id]) != of }) {
			return fmt.Sprintf("same %s %d", k.what, of)
		}
	}
	return m.over(cores)
}

// over counts what the cores lie on: "over 2 sockets, 2 nodes and 4 last-level caches".
func (m *Machine) over(cores []int) string {
	sockets, nodes, caches := map[int]bool{}, map[int]bool{}, map[int]bool{}
	for _, id := range cores {
		c := &m.cores[id]
		sockets[c.Socket], nodes[c.Node], caches[c.LLC] = true, true, true
	}
	return fmt.Sprintf("over %s, %s and %s", count(len(sockets), "socket"), count(len(nodes), "node"), count(len(caches), "last-level cache"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (v View) ownProvision(r *Request, cores []int) int {
	n := 0
	for _, id := range cores {
		if r.Owner != 0 && v.State[id].Prov == r.Owner {
			n++
		}
	}
	return n
}

// load says how many others a core of shared work has on it.
func (v View) load(cores []int) string {
	lo, hi := v.State[cores[0]].Load, 0
	for _, id := range cores {
		lo, hi = min(lo, v.State[id].Load), max(hi, v.State[id].Load)
	}
	switch {
	case hi == 0:
		return "alone"
	case lo == hi:
		return fmt.Sprintf("shared with %d others a core", lo)
	}
	return fmt.Sprintf("shared with %d-%d others a core", lo, hi)
}

// neighbours says what others do close by.
func (v View) neighbours(r *Request, cores []int) string {
	m := v.Machine
	mine := make(map[int]bool, len(cores))
	for _, id := range cores {
		mine[id] = true
	}
	for _, k := range [...]struct {
		level int
		what  string
	}{{physical, "physical core"}, {cache, "last-level cache"}} {
		for _, id := range cores {
			g := m.group[k.level][m.up[k.level][m.at[id]]]
			for pos := g.lo; pos < g.hi; pos++ {
				if other := m.row[pos]; !mine[other] && v.work(r, other) > 0 {
					return "on a " + k.what + " with work of others"
				}
			}
		}
	}
	return "next to nothing of others"
}

// Package isa names what RV32I may have beyond its base: what a core has, what
// an instruction is of, and what a program was compiled for.
package isa

import (
	"fmt"
	"slices"
	"strings"
)

// A Set is a set of extensions. One that Parse or Named returns has what its
// own extensions need, too.
type Set uint32

// The extensions that are simulated.
const (
	M Set = 1 << iota
	Zaamo
	Zalrsc
	F
	D
	C
	Zicsr
	Zicntr
	Zifencei
	Zba
	Zbb
	Zbs
	end

	A   = Zaamo | Zalrsc
	All = end - 1
)

// A part is an extension by name. Those of one letter are in the order that
// ISA strings have them in.
type part struct {
	name       string
	own, needs Set
}

var parts = []part{
	{"m", M, 0},
	{"a", A, 0},
	{"f", F, Zicsr},
	{"d", D, F | Zicsr},
	{"c", C, 0},
	{"zicsr", Zicsr, 0},
	{"zicntr", Zicntr, Zicsr},
	{"zifencei", Zifencei, 0},
	{"zaamo", Zaamo, 0},
	{"zalrsc", Zalrsc, 0},
	{"zba", Zba, 0},
	{"zbb", Zbb, 0},
	{"zbs", Zbs, 0},
}

// letters is how many parts have names of one letter.
const letters = 5

func find(name string, among []part) int {
	return slices.IndexFunc(among, func(p part) bool { return p.name == name })
}

func list(among []part) string {
	var names []string
	for _, p := range among {
		names = append(names, p.name)
	}
	return strings.Join(names, " ")
}

// String lists the set, such as "M A Zicsr".
func (s Set) String() string {
	var names []string
	for _, p := range parts {
		if s&p.own == p.own {
			names = append(names, strings.ToUpper(p.name[:1])+p.name[1:])
			s &^= p.own
		}
	}
	return strings.Join(names, " ")
}

// Parse reads what a core has: rv32i, letters, and then names with _ between
// them, as in gcc's -march.
func Parse(text string) (Set, error) {
	words := strings.Split(text, "_")
	rest, ok := strings.CutPrefix(words[0], "rv32i")
	if !ok {
		return 0, fmt.Errorf("want rv32i and then some of mafdc, such as rv32imac_zba_zbb; 64-bit cores are not simulated")
	}
	var s Set
	order := -1
	for _, c := range rest {
		at := find(string(c), parts[:letters])
		switch {
		case at < 0:
			return 0, fmt.Errorf("no extension %c (want some of %s, in this order)", c, list(parts[:letters]))
		case at <= order:
			return 0, fmt.Errorf("extension %c is not in its place (want some of %s, in this order)", c, list(parts[:letters]))
		case c == 'd' && s&F == 0:
			return 0, fmt.Errorf("extension d needs f")
		}
		order = at
		s |= parts[at].own | parts[at].needs
	}
	for i, w := range words[1:] {
		at := find(w, parts[letters:])
		switch {
		case at < 0:
			return 0, fmt.Errorf("no extension %s (want some of %s)", w, list(parts[letters:]))
		case slices.Contains(words[1:i+1], w):
			return 0, fmt.Errorf("extension %s twice", w)
		}
		s |= parts[letters+at].own | parts[letters+at].needs
	}
	return s, nil
}

// Named reads names of extensions.
func Named(words []string) (Set, error) {
	var s Set
	for _, w := range words {
		at := find(w, parts)
		if at < 0 {
			return 0, fmt.Errorf("no extension %s (want some of %s)", w, list(parts))
		}
		s |= parts[at].own | parts[at].needs
	}
	return s, nil
}

// aliases are names that compilers write for what others name, or for a piece of it.
var aliases = map[string]Set{
	"g": M | A | F | D | Zicsr | Zifencei, "b": Zba | Zbb | Zbs, "zmmul": M, "zca": C, "zcf": C | F, "zcd": C | D,
}

// Compiled reads what a program was compiled for, as compilers write it:
// rv32i2p1_m2p0_zicsr2p0, with the versions or without. other are the names of
// what is not simulated.
func Compiled(arch string) (s Set, other []string) {
	words := strings.Split(strings.ToLower(arch), "_")
	rest, ok := strings.CutPrefix(words[0], "rv32")
	if !ok {
		return 0, nil
	}
	// In the first word each letter is an extension; those with longer names
	// follow, but for z, which may be at its end.
	if at := strings.IndexAny(rest, "zsx"); at >= 0 {
		words = append(words, rest[at:])
		rest = rest[:at]
	}
	names := words[1:]
	for rest != "" {
		name := rest[:1]
		rest = strings.TrimPrefix(rest, rest[:1]+version(rest[1:]))
		names = append(names, name)
	}
	for _, w := range names {
		w = unversioned(w)
		switch at := find(w, parts); {
		case at >= 0:
			s |= parts[at].own
		case aliases[w] != 0:
			s |= aliases[w]
		case w != "i" && w != "":
			other = append(other, w)
		}
	}
	return s, other
}

// version is the version that a text begins with, as 2p1; "" if there is none.
func version(text string) string {
	n := 0
	digits := func() bool {
		from := n
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		return n > from
	}
	if !digits() {
		return ""
	}
	whole := n
	if n < len(text) && text[n] == 'p' {
		n++
		if digits() {
			return text[:n]
		}
	}
	return text[:whole]
}

// unversioned is a name without the version at its end.
func unversioned(name string) string {
	for i := 1; i < len(name); i++ {
		if v := version(name[i:]); v != "" && v == name[i:] {
			return name[:i]
		}
	}
	return name
}

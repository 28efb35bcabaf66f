package spec

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A span is the numbers from lo to hi, both included.
type span struct{ lo, hi int }

// A term is a key with a list: of numbers for x, y, tile and "" (cores), of
// names for role and kind.
type term struct {
	key   string
	spans []span
	names []string
}

const termUsage = "want terms such as x=0-13,y=0-9 role=T1 kind=tensix tile=3, joined by commas, or core numbers such as 0-3,8"

// parseTerms reads "0-3,8", "x=0-13,y=0-9", "role=T0,T1": commas divide terms,
// and a part with no key goes on with the list of the key before it. limit
// gives the numbers that a key may have: 0 … limit(key)-1.
func parseTerms(text string, limit func(key string) int) ([]term, error) {
	var terms []term
	for part := range strings.SplitSeq(text, ",") {
		key, value, keyed := strings.Cut(part, "=")
		if !keyed {
			key, value = "", part
		}
		if keyed || len(terms) == 0 {
			if !slices.Contains([]string{"", "x", "y", "tile", "role", "kind"}, key) || keyed && key == "" {
				return nil, sys.Errorf(syscall.EINVAL, "bad selection %q: no key %q (%s)", text, key, termUsage)
			}
			if slices.ContainsFunc(terms, func(t term) bool { return t.key == key }) {
				return nil, sys.Errorf(syscall.EINVAL, "bad selection %q: %s twice (want a list, such as %[2]s=%s)", text, key, exampleOf(key))
			}
			terms = append(terms, term{key: key})
		}
		if err := terms[len(terms)-1].add(value, text, limit); err != nil {
			return nil, err
		}
	}
	for i := range terms {
		terms[i].spans = merged(terms[i].spans)
	}
	return terms, nil
}

func exampleOf(key string) string {
	switch key {
	case "role":
		return "T0,T1"
	case "kind":
		return "dram,ethernet"
	}
	return "0-3,8"
}

func (t *term) add(value, text string, limit func(string) int) error {
	if t.key == "role" || t.key == "kind" {
		if value == "" {
			return sys.Errorf(syscall.EINVAL, "bad selection %q: a name is missing after %s= (%s)", text, t.key, termUsage)
		}
		t.names = append(t.names, value)
		return nil
	}
	los, his, isRange := strings.Cut(value, "-")
	lo, err := strconv.ParseUint(los, 10, 31)
	hi := lo
	if err == nil && isRange {
		hi, err = strconv.ParseUint(his, 10, 31)
	}
	if err != nil {
		return sys.Errorf(syscall.EINVAL, "bad selection %q: %q is no number or range (%s)", text, value, termUsage)
	}
	if hi < lo {
		return sys.Errorf(syscall.EINVAL, "bad selection %q: %d-%d runs backwards", text, lo, hi)
	}
	if n := limit(t.key); int(hi) >= n {
		what := t.key
		if what == "" {
			what = "core"
		}
		return sys.Errorf(syscall.ENXIO, "no %s %d: this machine has %s", what, hi, span{0, n - 1})
	}
	t.spans = append(t.spans, span{int(lo), int(hi)})
	return nil
}

func (s span) String() string {
	if s.lo == s.hi {
		return "only " + strconv.Itoa(s.lo)
	}
	return strconv.Itoa(s.lo) + "-" + strconv.Itoa(s.hi)
}

// merged sorts spans and joins those that touch, in place.
func merged(s []span) []span {
	slices.SortFunc(s, func(a, b span) int { return a.lo - b.lo })
	out := s[:0]
	for _, n := range s {
		if last := len(out) - 1; last >= 0 && n.lo <= out[last].hi+1 {
			out[last].hi = max(out[last].hi, n.hi)
		} else {
			out = append(out, n)
		}
	}
	return out
}

// has reports whether the term's numbers include n.
func (t term) has(n int) bool {
	_, ok := slices.BinarySearchFunc(t.spans, n, func(s span, n int) int {
		switch {
		case s.hi < n:
			return -1
		case s.lo > n:
			return 1
		}
		return 0
	})
	return ok
}

// named reports whether the term's names include this one, in whatever case.
func (t term) named(name string) bool {
	return slices.ContainsFunc(t.names, func(n string) bool { return strings.EqualFold(n, name) })
}

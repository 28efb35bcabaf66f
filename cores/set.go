package cores

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A Set is a set of cores, sorted and without doubles.
type Set []ID

// NewSet returns the set of these cores.
func NewSet(ids ...ID) Set {
	s := slices.Clone(ids)
	slices.Sort(s)
	return slices.Compact(s)
}

// ParseSet reads a Linux list: "0-3,8". limit is the number of cores of the
// machine: a core beyond it is ENXIO, anything malformed EINVAL.
func ParseSet(text string, limit int) (Set, error) {
	var s Set
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := parseID(lo, text)
		if err != nil {
			return nil, err
		}
		b := a
		if isRange {
			if b, err = parseID(hi, text); err != nil {
				return nil, err
			}
		}
		if b < a {
			return nil, sys.Errorf(syscall.EINVAL, "bad core set %q: %d-%d runs backwards", text, a, b)
		}
		if int(b) >= limit {
			return nil, sys.Errorf(syscall.ENXIO, "no core %d: this machine has %s", b, span(limit))
		}
		for id := a; id <= b; id++ {
			s = append(s, id)
		}
	}
	return NewSet(s...), nil
}

// span names all the cores of a machine.
func span(limit int) string {
	if limit == 1 {
		return "only core 0"
	}
	return "0-" + strconv.Itoa(limit-1)
}

func parseID(word, text string) (ID, error) {
	n, err := strconv.ParseUint(word, 10, 31)
	if err != nil {
		return 0, sys.Errorf(syscall.EINVAL, "bad core set %q (want a list such as 0-3,8)", text)
	}
	return ID(n), nil
}

// String prints the set as a Linux list; the empty set as "-".
func (s Set) String() string { return string(s.Append(nil)) }

// Append appends what String returns.
func (s Set) Append(b []byte) []byte {
	if len(s) == 0 {
		return append(b, '-')
	}
	for i := 0; i < len(s); {
		j := i
		for j+1 < len(s) && s[j+1] == s[j]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(s[i]), 10)
		if j > i {
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(s[j]), 10)
		}
		i = j + 1
	}
	return b
}

// Has reports whether the core is in the set.
func (s Set) Has(id ID) bool {
	_, ok := slices.BinarySearch(s, id)
	return ok
}

// Minus returns the cores of s that are not in t.
func (s Set) Minus(t Set) Set {
	return slices.DeleteFunc(slices.Clone(s), t.Has)
}

// And returns the cores that are in both.
func (s Set) And(t Set) Set {
	return slices.DeleteFunc(slices.Clone(s), func(id ID) bool { return !t.Has(id) })
}

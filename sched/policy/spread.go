package policy

import (
	"cmp"
	"slices"
)

// A share is a kid of a group that cores are dealt out to.
type share struct {
	index, cand, work int
	level             int   // what it has, with what it had: the lowest is served first
	got               int   // dealt to it
	picks             []int // positions, in order
}

// apart returns n candidates of a group as positions, as far apart as can be
// from each other and from what is taken: they are dealt out to its kids in
// turn, to those with the fewest first, and within each kid in the same way.
func (pl *placer) apart(l, index, n int) []int {
	g := pl.group[l][index]
	if l == physical {
		return pl.firstOf(g, n)
	}
	shares := pl.shares(l+1, g)
	turns := deal(shares, n)
	for i := range shares {
		if s := &shares[i]; s.got > 0 {
			s.picks = pl.apart(l+1, s.index, s.got)
		}
	}
	out := make([]int, 0, n)
	for _, t := range turns {
		out = append(out, shares[t].picks[0])
		shares[t].picks = shares[t].picks[1:]
	}
	return out
}

// firstOf returns the first n candidates of a stretch of the row.
func (pl *placer) firstOf(g group, n int) []int {
	out := make([]int, 0, n)
	for pos := g.lo; pos < g.hi && len(out) < n; pos++ {
		if pl.now[pos] {
			out = append(out, pos)
		}
	}
	return out
}

// shares lists the kids of a group that have candidates, the one to begin with first.
func (pl *placer) shares(l int, g group) []share {
	var shares []share
	for i := g.first; i < g.last; i++ {
		if cand, work, taken := pl.held(pl.group[l][i]); cand > 0 {
			shares = append(shares, share{index: i, cand: cand, work: work, level: taken})
		}
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(a.work, b.work), cmp.Compare(b.cand, a.cand), cmp.Compare(a.index, b.index))
	})
	return shares
}

// deal deals n cores out, one at a time to a share that has the fewest, and
// returns who got each.
func deal(shares []share, n int) []int {
	turns := make([]int, 0, n)
	open := make([]int, len(shares))
	for i := range open {
		open[i] = i
	}
	for len(turns) < n {
		level := lowest(shares, open)
		still := open[:0]
		for _, i := range open {
			s := &shares[i]
			if s.level == level && len(turns) < n {
				s.level++
				s.got++
				turns = append(turns, i)
			}
			if s.got < s.cand {
				still = append(still, i)
			}
		}
		open = still
	}
	return turns
}

func lowest(shares []share, open []int) int {
	level := shares[open[0]].level
	for _, i := range open[1:] {
		level = min(level, shares[i].level)
	}
	return level
}

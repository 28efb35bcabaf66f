package policy

import (
	"cmp"
	"slices"
)

// grow picks n candidates next to what is taken, or to the core that the
// request wants to be near: first its siblings, then what shares its cache,
// and so on outwards. Where nothing is taken yet it starts far from others.
func (pl *placer) grow(n int) {
	anchor := -1
	if pl.r.Near >= 0 {
		anchor = pl.at[pl.r.Near]
	}
	from := physical
	if anchor < 0 && !slices.Contains(pl.taken, true) {
		from = all // there is nothing to be next to
	}
	for l := from; l >= all && n > 0; l-- {
		pl.sum()
		near := pl.around(l, anchor)
		have := 0
		for _, h := range near {
			have += h.cand
		}
		if l == all && have == 0 {
			near = []handful{pl.handful(all, 0)}
			have = near[0].cand
		}
		take := min(n, have)
		pl.pack(l, near, take)
		n -= take
	}
}

// A handful is a group with what it holds.
type handful struct{ index, cand, work int }

func (pl *placer) handful(l, i int) handful {
	cand, work, _ := pl.held(pl.group[l][i])
	return handful{i, cand, work}
}

// around returns the groups of a level that have candidates and hold the
// anchor, or where there is none something taken.
func (pl *placer) around(l, anchor int) []handful {
	if anchor >= 0 {
		return []handful{pl.handful(l, pl.up[l][anchor])}
	}
	var near []handful
	for i, g := range pl.group[l] {
		if cand, work, taken := pl.held(g); cand > 0 && taken > 0 {
			near = append(near, handful{i, cand, work})
		}
	}
	return near
}

// pack picks n candidates out of as few of these groups of a level as can be.
func (pl *placer) pack(l int, groups []handful, n int) {
	if i := best(groups, n); i >= 0 {
		pl.into(l, groups[i].index, n)
		return
	}
	slices.SortFunc(groups, func(a, b handful) int {
		return cmp.Or(cmp.Compare(b.cand, a.cand), cmp.Compare(a.work, b.work), cmp.Compare(a.index, b.index))
	})
	for i, h := range groups {
		if h.cand >= n {
			pl.into(l, groups[i+best(groups[i:], n)].index, n)
			return
		}
		pl.takeAll(pl.group[l][h.index], h.cand)
		n -= h.cand
	}
}

// best returns the index of the group to pick n candidates from: farthest
// from others' work, then with the least to spare; -1 if none has as many.
func best(groups []handful, n int) int {
	found := -1
	for i, h := range groups {
		if h.cand < n {
			continue
		}
		if found < 0 || cmp.Or(
			cmp.Compare(h.work, groups[found].work),
			cmp.Compare(h.cand, groups[found].cand),
			cmp.Compare(h.index, groups[found].index)) < 0 {
			found = i
		}
	}
	return found
}

// into picks n candidates of a group, from as few of its kids as can be.
func (pl *placer) into(l, index, n int) {
	g := pl.group[l][index]
	if l == physical || n == 0 {
		pl.takeAll(g, n)
		return
	}
	kids := make([]handful, 0, g.last-g.first)
	for i := g.first; i < g.last; i++ {
		if h := pl.handful(l+1, i); h.cand > 0 {
			kids = append(kids, h)
		}
	}
	pl.pack(l+1, kids, n)
}

package policy

import "slices"

// Place picks cores for a request, at least Min and at most Max of them, in
// vcore order. Of what the request keeps a vcore has the core it had, but
// where that core is lost another takes its place; with fewer vcores the last
// ones go. If the minimum cannot be met the error is a *Short.
func Place(p Policy, v View, r Request) ([]int, error) {
	pl := newPlacer(p, v, &r)
	kept := pl.keep()
	n := min(r.Max, len(kept)+pl.open())
	if n < r.Min {
		return nil, v.short(&r, len(kept))
	}
	pl.fill(n - len(kept))
	return merge(v, &r, n, pl.out), nil
}

// merge lays the cores newly picked over those kept, n in all.
func merge(v View, r *Request, n int, fresh []int) []int {
	out := make([]int, n)
	var holes []int
	for i := range out {
		if i < len(r.Keep) && v.Free(r, r.Keep[i]) {
			out[i] = r.Keep[i]
		} else {
			holes = append(holes, i)
		}
	}
	for i := n; i < len(r.Keep); i++ {
		if v.Free(r, r.Keep[i]) {
			fresh = append(fresh, r.Keep[i])
		}
	}
	for k, i := range holes {
		out[i] = fresh[k]
	}
	return out
}

// A placer is one placement in the making. Its slices go by position in the
// machine's row, not by core.
type placer struct {
	*Machine
	policy Policy
	view   View
	r      *Request

	cand  []bool // may still be picked
	taken []bool // is kept, or picked already
	out   []int  // cores picked, in order

	// Running sums over the row, for the picks at hand: candidates, others'
	// work, and taken.
	nCand, nWork, nTaken []int
	now                  []bool // the candidates at hand
	owns                 bool   // some candidates are of the request's own provision
}

func newPlacer(p Policy, v View, r *Request) *placer {
	n := v.Machine.Len()
	flags, sums := make([]bool, 3*n), make([]int, 3*(n+1))
	pl := &placer{
		Machine: v.Machine, policy: p, view: v, r: r,
		cand: flags[:n], taken: flags[n : 2*n], now: flags[2*n:],
		nCand: sums[:n+1], nWork: sums[n+1 : 2*n+2], nTaken: sums[2*n+2:],
	}
	for pos, id := range pl.row {
		pl.cand[pos] = v.Free(r, id)
		pl.owns = pl.owns || pl.cand[pos] && r.Owner != 0 && v.State[id].Prov == r.Owner
		pl.nWork[pos+1] = pl.nWork[pos] + v.work(r, id)
	}
	return pl
}

// work is what others do on a core.
func (v View) work(r *Request, id int) int {
	st := &v.State[id]
	if st.Owner != 0 && st.Owner != r.Owner {
		return 1 + st.Load
	}
	return st.Load
}

// keep marks what stays as taken and returns it; no more than Max of it.
func (pl *placer) keep() []int {
	var kept []int
	for _, id := range pl.r.Keep {
		pos := pl.at[id]
		if !pl.cand[pos] {
			continue
		}
		pl.cand[pos] = false
		if len(kept) < pl.r.Max {
			pl.taken[pos] = true
			kept = append(kept, id)
		}
	}
	return kept
}

// open counts the candidates.
func (pl *placer) open() int {
	n := 0
	for _, c := range pl.cand {
		if c {
			n++
		}
	}
	return n
}

// fill picks n cores, the best kind of candidates first.
func (pl *placer) fill(n int) {
	if n <= 0 {
		return
	}
	pl.out = make([]int, 0, n)
	anywhere := group{lo: 0, hi: len(pl.row)}
	if pl.owns {
		n -= pl.stage(n, anywhere, func(id int) bool { return pl.view.State[id].Prov == pl.r.Owner })
	}
	if pl.r.Near >= 0 {
		for _, l := range [...]int{cache, mid, wide} {
			n -= pl.stage(n, pl.group[l][pl.up[l][pl.at[pl.r.Near]]], nil)
			if l == cache && pl.hops != nil {
				n -= pl.nearest(n)
			}
		}
	}
	pl.stage(n, anywhere, nil)
}

// nearest picks n of the candidates by how far they are from the core that the
// request wants to be near, and returns how many it picked.
func (pl *placer) nearest(n int) int {
	far := func(id int) int { return pl.hops(pl.r.Near, id) }
	var all []int
	for pos, c := range pl.cand {
		if c {
			all = append(all, far(pl.row[pos]))
		}
	}
	if n <= 0 || len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	most := all[min(n, len(all))-1]
	anywhere := group{lo: 0, hi: len(pl.row)}
	picked := pl.stage(n, anywhere, func(id int) bool { return far(id) < most })
	return picked + pl.stage(n-picked, anywhere, func(id int) bool { return far(id) == most })
}

// stage picks up to n of the candidates in a stretch of the row that are ok,
// the least loaded first if the request is for shared work, and returns how
// many it picked.
func (pl *placer) stage(n int, g group, ok func(id int) bool) int {
	found, before := 0, len(pl.out)
	for pos := range pl.now {
		pl.now[pos] = pos >= g.lo && pos < g.hi && pl.cand[pos] && (ok == nil || ok(pl.row[pos]))
		if pl.now[pos] {
			found++
		}
	}
	n = min(n, found)
	if n <= 0 {
		return 0
	}
	if !pl.r.Shared {
		pl.pick(n)
		return n
	}
	limit := pl.loadOf(n)
	same := slices.Clone(pl.now)
	if below := pl.narrow(func(load int) bool { return load < limit }); below > 0 {
		pl.pick(below)
	}
	copy(pl.now, same)
	pl.narrow(func(load int) bool { return load == limit })
	pl.pick(n - (len(pl.out) - before))
	return n
}

// loadOf returns the load of the n-th least loaded candidate at hand.
func (pl *placer) loadOf(n int) int {
	var count []int // of candidates, by load
	for pos, now := range pl.now {
		if !now {
			continue
		}
		load := pl.view.State[pl.row[pos]].Load
		for load >= len(count) {
			count = append(count, 0)
		}
		count[load]++
	}
	for load, k := range count {
		if n -= k; n <= 0 {
			return load
		}
	}
	return len(count)
}

// narrow keeps the candidates at hand whose load is ok, and counts them.
func (pl *placer) narrow(ok func(load int) bool) int {
	n := 0
	for pos, now := range pl.now {
		pl.now[pos] = now && ok(pl.view.State[pl.row[pos]].Load)
		if pl.now[pos] {
			n++
		}
	}
	return n
}

// pick picks n of the candidates at hand, by policy.
func (pl *placer) pick(n int) {
	if n <= 0 {
		return
	}
	if pl.policy == Spread && pl.r.Near < 0 {
		pl.sum()
		for _, pos := range pl.apart(all, 0, n) {
			pl.take(pos)
		}
		return
	}
	pl.grow(n)
}

// sum brings the running sums up to date.
func (pl *placer) sum() {
	for pos := range pl.row {
		pl.nCand[pos+1], pl.nTaken[pos+1] = pl.nCand[pos], pl.nTaken[pos]
		if pl.now[pos] {
			pl.nCand[pos+1]++
		}
		if pl.taken[pos] {
			pl.nTaken[pos+1]++
		}
	}
}

// held returns what a group holds: candidates, others' work, taken.
func (pl *placer) held(g group) (cand, work, taken int) {
	return pl.nCand[g.hi] - pl.nCand[g.lo], pl.nWork[g.hi] - pl.nWork[g.lo], pl.nTaken[g.hi] - pl.nTaken[g.lo]
}

// take picks the core at a position.
func (pl *placer) take(pos int) {
	pl.cand[pos], pl.now[pos], pl.taken[pos] = false, false, true
	pl.out = append(pl.out, pl.row[pos])
}

// takeAll picks the first n candidates of a stretch of the row.
func (pl *placer) takeAll(g group, n int) {
	for pos := g.lo; pos < g.hi && n > 0; pos++ {
		if pl.now[pos] {
			pl.take(pos)
			n--
		}
	}
}

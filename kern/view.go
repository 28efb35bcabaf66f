package kern

import (
	"iter"

	"warren/cores"
)

// A View is one version of the whole machine. It never changes, so a table
// made from it is of one moment, and an agreement is in it whole or not at all.
//
// It is a tree of three levels, so that the next version shares all but the
// path to what a commit touched: a commit costs what it touches.
type View struct {
	epoch uint64
	n     int
	top   []*limb
}

const (
	leafBits = 6
	limbBits = 6
)

type (
	leaf [1 << leafBits]*Core
	limb [1 << limbBits]*leaf
)

// newView returns the first version, of these cores.
func newView(list []Core) *View {
	v := &View{epoch: 1, n: len(list)}
	for i := range list {
		if i>>(leafBits+limbBits) == len(v.top) {
			v.top = append(v.top, new(limb))
		}
		l := &v.top[i>>(leafBits+limbBits)][i>>leafBits&(1<<limbBits-1)]
		if *l == nil {
			*l = new(leaf)
		}
		(*l)[i&(1<<leafBits-1)] = &list[i]
	}
	return v
}

// Epoch is the machine's: it grows with each version.
func (v *View) Epoch() uint64 { return v.epoch }

// Len is the number of cores.
func (v *View) Len() int { return v.n }

// Core returns what was agreed about a core, which must be one of the machine's.
func (v *View) Core(id cores.ID) Core { return *v.at(id) }

func (v *View) at(id cores.ID) *Core {
	return v.top[id>>(leafBits+limbBits)][id>>leafBits&(1<<limbBits-1)][id&(1<<leafBits-1)]
}

// All yields the cores in order of ID.
func (v *View) All() iter.Seq[Core] {
	return func(yield func(Core) bool) {
		for id := range cores.ID(v.n) {
			if !yield(*v.at(id)) {
				return
			}
		}
	}
}

// with returns the next version, in which these cores, in order of ID, are as given.
func (v *View) with(changed []*Core) *View {
	w := &View{epoch: v.epoch + 1, n: v.n, top: append([]*limb(nil), v.top...)}
	var (
		lastLimb, lastLeaf cores.ID = -1, -1
		l                  *leaf
	)
	for _, c := range changed {
		if at := c.ID >> (leafBits + limbBits); at != lastLimb {
			fresh := *w.top[at]
			w.top[at], lastLimb = &fresh, at
		}
		if at := c.ID >> leafBits; at != lastLeaf {
			slot := &w.top[lastLimb][at&(1<<limbBits-1)]
			fresh := **slot
			l, lastLeaf = &fresh, at
			*slot = l
		}
		l[c.ID&(1<<leafBits-1)] = c
	}
	return w
}

// Changed yields the cores that are not as they were in an earlier version of
// the same machine, in order of ID; all of them if that is nil. It costs what
// has changed, not what there is.
func (v *View) Changed(old *View) iter.Seq[Core] {
	if old == nil {
		return v.All()
	}
	return func(yield func(Core) bool) {
		for i, l := range v.top {
			if l != old.top[i] && !l.changed(old.top[i], yield) {
				return
			}
		}
	}
}

// changed yields what differs from an earlier version; false: yield has enough.
func (l *limb) changed(old *limb, yield func(Core) bool) bool {
	for i, f := range l {
		if f == old[i] {
			continue
		}
		for j, c := range f {
			if c != old[i][j] && !yield(*c) {
				return false
			}
		}
	}
	return true
}

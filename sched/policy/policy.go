// Package policy says which cores a request should get: pure functions from a
// view of the machine and a request to a placement and a reason in words.
//
// Compact puts the first core far from others' work and the rest next to it:
// SMT siblings, then the same last-level cache, then the same node. Spread
// puts cores as far apart as can be. With either, what is kept stays where it
// is, one's own provision is used first, and shared work goes to the least
// loaded cores. A request near a core is met nearest first whatever the policy.
//
// Nothing here has state; a View and all in it is only read. Placing is
// O(n log n) in the number of cores.
package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Policy is a way to pick cores.
type Policy uint8

// The policies.
const (
	Compact Policy = iota
	Spread
)

var names = [...]string{"compact", "spread"}

// String returns the policy's name.
func (p Policy) String() string { return names[p] }

// Parse returns the policy of that name, and whether there is one.
func Parse(name string) (Policy, bool) {
	i := slices.Index(names[:], name)
	return Policy(max(i, 0)), i >= 0
}

// Names lists the policies as a ctl's usage does: "compact|spread".
func Names() string { return strings.Join(names[:], "|") }

// A Bar says why a core is kept from a request for now, beyond what the State says.
type Bar uint8

// The bars.
const (
	Open    Bar = iota
	Waited      // somebody waits for it since before
	Needed      // shared work runs there that has nowhere else to go
	Leaving     // it is being taken from its users
)

// A State is how a core is used. Owners are serials; 0 is nobody.
type State struct {
	Online      bool
	Mgmt        bool // shared work only
	Outside     bool // never to be used
	Owner, Prov uint64
	Load        int // shared placements, the request's own not counted
}

// A View is one version of a machine.
type View struct {
	Machine *Machine
	State   []State // by core
}

// A Request is what somebody wants. Sets are sorted; nil is no limit.
type Request struct {
	Owner    uint64
	Min, Max int
	Shared   bool   // else the cores are to be its own
	On       []int  // only these cores
	Rights   []int  // only these, by permission
	Node     int    // only this node; -1: any
	Kind     string // only this kind; "": any
	Near     int    // as near to this core as can be had; -1: anywhere
	Keep     []int  // what it has, in vcore order
	Bars     []Bar  // by core; nil: all open
}

// Fits reports whether the request could ever use this core.
func (v View) Fits(r *Request, id int) bool {
	st := &v.State[id]
	c := &v.Machine.cores[id]
	return !st.Outside &&
		(r.Shared || !st.Mgmt) &&
		(r.Node < 0 || c.Node == r.Node) &&
		(r.Kind == "" || c.Kind == r.Kind) &&
		(!c.Named || r.names()) &&
		in(r.On, id) &&
		(r.Shared || in(r.Rights, id))
}

// names reports whether the request says which cores it means.
func (r *Request) names() bool { return r.Kind != "" || r.On != nil || r.Node >= 0 || r.Near >= 0 }

func in(set []int, id int) bool {
	if set == nil {
		return true
	}
	_, ok := slices.BinarySearch(set, id)
	return ok
}

// A use is how a core that fits stands to a request.
type use uint8

const (
	free use = iota
	claimed
	provisioned
	offline
	waited
	needed
	leaving
	uses
)

// use says how a core that fits stands to the request. Its own cores are free,
// whoever has a standing claim on them: it keeps them while it has them alone.
func (v View) use(r *Request, id int) use {
	st := &v.State[id]
	own := st.Owner != 0 && st.Owner == r.Owner
	switch {
	case st.Owner != 0 && !own, r.Shared && st.Load > 0 && v.Machine.cores[id].Sole:
		return claimed
	case st.Prov != 0 && st.Prov != r.Owner && (r.Shared || !own):
		return provisioned
	case !st.Online:
		return offline
	case r.Bars == nil:
		return free
	}
	return [...]use{Open: free, Waited: waited, Needed: needed, Leaving: leaving}[r.Bars[id]]
}

// Free reports whether the request could use this core now.
func (v View) Free(r *Request, id int) bool { return v.Fits(r, id) && v.use(r, id) == free }

// Fit counts the cores that the request could ever use.
func (v View) Fit(r *Request) int {
	n := 0
	for id := range v.State {
		if v.Fits(r, id) {
			n++
		}
	}
	return n
}

// Short is the error of a request whose minimum cannot be met now.
type Short struct {
	Want, Own, Free, Fit int // Own: of those it has, what it may keep
	others               [uses]int
}

// Error says it with numbers: "want 8, have 2 free of 16 (6 provisioned, 8 claimed)".
func (s *Short) Error() string {
	var parts []string
	if s.Own > 0 {
		parts = append(parts, fmt.Sprintf("%d its own", s.Own))
	}
	for _, o := range [...]struct {
		use  use
		text string
	}{
		{provisioned, "provisioned"},
		{claimed, "claimed"},
		{offline, "offline"},
		{waited, "awaited by others"},
		{needed, "needed by shared work"},
		{leaving, "to be given up"},
	} {
		if n := s.others[o.use]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o.text))
		}
	}
	text := fmt.Sprintf("want %d, have %d free of %d", s.Want, s.Free, s.Fit)
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// short counts how the cores that fit stand to a request that kept so many.
func (v View) short(r *Request, kept int) *Short {
	s := &Short{Want: r.Min, Own: kept}
	for id := range v.State {
		if v.Fits(r, id) {
			s.Fit++
			s.others[v.use(r, id)]++
		}
	}
	s.Free = s.others[free] - kept
	return s
}

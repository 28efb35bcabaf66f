package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"warren/sched/policy"
)

// layout makes a machine of sockets × nodes × caches × physical cores ×
// threads. Siblings are numbered as Linux does: all first threads come first.
func layout(sockets, nodes, caches, physical, threads int) []policy.Core {
	n := sockets * nodes * caches * physical
	list := make([]policy.Core, n*threads)
	for t := range threads {
		for i := range n {
			list[t*n+i] = policy.Core{
				Kind: "cpu", Core: i, LLC: i / physical,
				Node: i / (physical * caches), Socket: i / (physical * caches * nodes),
			}
		}
	}
	return list
}

// machines are the shapes that the tables below speak of.
var machines = map[string][]policy.Core{
	"flat4":   layout(1, 1, 1, 4, 1),
	"laptop8": layout(1, 1, 1, 4, 2),  // siblings 0/4 1/5 2/6 3/7
	"server":  layout(2, 1, 2, 4, 1),  // sockets 0-7 8-15, caches of 4
	"big":     layout(2, 2, 2, 2, 2),  // 16 physical, siblings n and n+16
	"vm8":     layout(8, 1, 1, 1, 1),  // each core a socket of its own
	"grid":    layout(1, 1, 16, 1, 1), // 4 by 4, a cache each
	"unknown": slices.Repeat([]policy.Core{{Kind: "cpu", Node: -1, Socket: -1, LLC: -1, Core: -1}}, 6),
}

// view makes a view of a machine from words: "mgmt 0", "off 3", "owned 4-5"
// and "prov 6" by another, "mine 7" provisioned to the request, "load 1 3".
func view(t testing.TB, machine string, words ...string) policy.View {
	list := machines[machine]
	v := policy.View{Machine: policy.NewMachine(list), State: make([]policy.State, len(list))}
	for id := range v.State {
		v.State[id].Online = true
	}
	for _, w := range words {
		var what string
		var lo, hi int
		if n, _ := fmt.Sscanf(w, "%s %d-%d", &what, &lo, &hi); n == 2 {
			hi = lo
		}
		for id := lo; id <= hi; id++ {
			st := &v.State[id]
			switch what {
			case "mgmt":
				st.Mgmt = true
			case "off":
				st.Online = false
			case "out":
				st.Outside = true
			case "owned":
				st.Owner = 2
			case "prov":
				st.Prov = 2
			case "mine":
				st.Prov = 1
			case "load":
				st.Load++
			default:
				t.Fatalf("bad word %q", w)
			}
		}
	}
	return v
}

func want(lo, hi int, more ...func(*policy.Request)) policy.Request {
	r := policy.Request{Owner: 1, Min: lo, Max: hi, Node: -1, Near: -1}
	for _, f := range more {
		f(&r)
	}
	return r
}

func shared(r *policy.Request) { r.Shared = true }

func on(ids ...int) func(*policy.Request) { return func(r *policy.Request) { r.On = ids } }

func rights(ids ...int) func(*policy.Request) { return func(r *policy.Request) { r.Rights = ids } }

func near(id int) func(*policy.Request) { return func(r *policy.Request) { r.Near = id } }

func node(n int) func(*policy.Request) { return func(r *policy.Request) { r.Node = n } }

func keep(ids ...int) func(*policy.Request) { return func(r *policy.Request) { r.Keep = ids } }

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  policy.Policy
		machine string
		state   string
		r       policy.Request
		want    string
	}{
		{"one, first free", policy.Compact, "flat4", "", want(1, 1), "0"},
		{"mgmt cores are not for exclusive work", policy.Compact, "flat4", "mgmt 0", want(1, 1), "1"},
		{"mgmt cores are for shared work", policy.Compact, "flat4", "mgmt 0", want(1, 1, shared), "0"},
		{"siblings first", policy.Compact, "laptop8", "", want(2, 2), "0 4"},
		{"whole physical cores", policy.Compact, "laptop8", "", want(4, 4), "0 4 1 5"},
		{"far from others' siblings", policy.Compact, "laptop8", "owned 0", want(1, 1), "1"},
		{"grows next to what it has", policy.Compact, "laptop8", "", want(2, 2, keep(2)), "2 6"},
		{"one cache", policy.Compact, "server", "", want(4, 4), "0 1 2 3"},
		{"a cache without others", policy.Compact, "server", "owned 0", want(3, 3), "8 9 10"},
		{"the cache that is full enough", policy.Compact, "server", "off 0-1", want(2, 2), "2 3"},
		{"over two caches of a socket", policy.Compact, "server", "owned 0", want(6, 6), "8 9 10 11 12 13"},
		{"grows in its own cache", policy.Compact, "server", "", want(3, 3, keep(13)), "13 12 14"},
		{"then in its own socket", policy.Compact, "server", "", want(6, 6, keep(13)), "13 12 14 15 8 9"},
		{"spread over sockets", policy.Spread, "server", "", want(2, 2), "0 8"},
		{"spread over caches", policy.Spread, "server", "", want(4, 4), "0 8 4 12"},
		{"spread over physical cores", policy.Spread, "laptop8", "", want(4, 4), "0 1 2 3"},
		{"spread uses siblings last", policy.Spread, "laptop8", "", want(5, 5), "0 1 2 3 4"},
		{"spread grows away from what it has", policy.Spread, "server", "", want(2, 2, keep(3)), "3 8"},
		{"spread over nodes in a socket", policy.Spread, "big", "", want(4, 4), "0 8 4 12"},
		{"near comes before the policy", policy.Spread, "server", "", want(3, 3, near(9)), "9 8 10"},
		{"near a core that is taken", policy.Compact, "server", "owned 9", want(2, 2, near(9)), "8 10"},
		{"near, then outwards", policy.Compact, "server", "owned 8-11", want(1, 1, near(9)), "12"},
		{"on", policy.Compact, "server", "", want(2, 3, on(3, 7, 15)), "3 7 15"},
		{"node", policy.Compact, "server", "", want(2, 2, node(1)), "8 9"},
		{"rights", policy.Compact, "server", "", want(1, 4, rights(5, 6)), "5 6"},
		{"shared work needs no rights", policy.Compact, "server", "", want(1, 2, rights(), shared), "0 1"},
		{"own provision first", policy.Compact, "server", "mine 14", want(2, 2), "14 12"},
		{"own provision first, shared too", policy.Spread, "server", "mine 14", want(1, 1, shared), "14"},
		{"others' provision is not for us", policy.Compact, "flat4", "prov 0-1", want(1, 4), "2 3"},
		{"what fits, to the maximum", policy.Compact, "flat4", "owned 0", want(1, 8), "1 2 3"},
		{"least loaded", policy.Compact, "flat4", "load 0-2", want(1, 1, shared), "3"},
		{"least loaded first, then the next", policy.Compact, "flat4", "load 0-2,load 0,load 1", want(2, 2, shared), "3 2"},
		{"exclusive work keeps off loaded cores", policy.Compact, "server", "load 0-3,load 8", want(2, 2), "12 13"},
		{"a vcore keeps its core", policy.Compact, "flat4", "off 1", want(3, 3, keep(2, 1, 0)), "2 3 0"},
		{"with fewer the last ones go", policy.Compact, "flat4", "", want(1, 2, keep(3, 1, 2)), "3 1"},
		{"the last fills a hole", policy.Compact, "flat4", "off 3,off 0", want(1, 3, keep(3, 1, 2)), "2 1"},
		{"kept cores that fit no more go", policy.Compact, "flat4", "", want(2, 2, keep(0, 1), on(1, 2)), "2 1"},
		{"a core that is not ours to touch", policy.Compact, "flat4", "out 0-2", want(1, 4, shared), "3"},
		{"sockets below a node", policy.Compact, "vm8", "owned 0", want(2, 2), "1 2"},
		{"nothing is known", policy.Spread, "unknown", "", want(3, 3), "0 1 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var words []string
			if c.state != "" {
				words = strings.Split(c.state, ",")
			}
			got, err := policy.Place(c.policy, view(t, c.machine, words...), c.r)
			if text := strings.Trim(fmt.Sprint(got), "[]"); err != nil || text != c.want {
				t.Errorf("got %s (%v), want %s", text, err, c.want)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for _, c := range []struct {
		state, want string
		r           policy.Request
	}{
		{"mgmt 0,prov 1-6,owned 7-13", "want 8, have 2 free of 15 (6 provisioned, 7 claimed)", want(8, 8)},
		{"off 0-1", "want 4, have 2 free of 4 (2 offline)", want(4, 4, on(0, 1, 2, 3))},
		{"owned 0-13", "want 6, have 1 free of 16 (1 its own, 14 claimed)", want(6, 6, keep(14))},
		{"", "want 20, have 16 free of 16", want(20, 20, shared)},
	} {
		var words []string
		if c.state != "" {
			words = strings.Split(c.state, ",")
		}
		_, err := policy.Place(policy.Compact, view(t, "server", words...), c.r)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.state, err, c.want)
		}
	}
}

func TestBars(t *testing.T) {
	v := view(t, "flat4")
	r := want(2, 2)
	r.Bars = []policy.Bar{policy.Waited, policy.Needed, policy.Leaving, policy.Open}
	_, err := policy.Place(policy.Compact, v, r)
	const text = "want 2, have 1 free of 4 (1 awaited by others, 1 needed by shared work, 1 to be given up)"
	if err == nil || err.Error() != text {
		t.Errorf("got %v, want %s", err, text)
	}
	r.Min = 1
	if got, err := policy.Place(policy.Compact, v, r); err != nil || !slices.Equal(got, []int{3}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct {
		machine, state, want string
		policy               policy.Policy
		r                    policy.Request
	}{
		{"server", "", "compact: same last-level cache 0, next to nothing of others", policy.Compact, want(4, 4)},
		{"laptop8", "", "compact: same physical core 0, next to nothing of others", policy.Compact, want(2, 2)},
		{"server", "mine 12-13", "compact: same last-level cache 3, 2 of its provision, next to nothing of others", policy.Compact, want(2, 2)},
		{"server", "", "spread: over 2 sockets, 2 nodes and 4 last-level caches, next to nothing of others", policy.Spread, want(4, 4)},
		{"flat4", "owned 0", "compact: on a last-level cache with work of others", policy.Compact, want(1, 1)},
		{"laptop8", "owned 0-3", "compact: on a physical core with work of others", policy.Compact, want(1, 1)},
		{"flat4", "load 0-3,load 0-1,load 0", "compact: same last-level cache 0, shared with 1-2 others a core, on a last-level cache with work of others", policy.Compact, want(3, 3, shared)},
		{"flat4", "", "compact: near core 2, alone, next to nothing of others", policy.Compact, want(1, 1, near(2), shared)},
	} {
		var words []string
		if c.state != "" {
			words = strings.Split(c.state, ",")
		}
		v := view(t, c.machine, words...)
		got, err := policy.Place(c.policy, v, c.r)
		if err != nil {
			t.Fatal(err)
		}
		if text := policy.Reason(c.policy, v, c.r, got); text != c.want {
			t.Errorf("%v: got %q, want %q", got, text, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range strings.Split(policy.Names(), "|") {
		if p, ok := policy.Parse(name); !ok || p.String() != name {
			t.Errorf("%s: %v, %v", name, p, ok)
		}
	}
	if _, ok := policy.Parse("random"); ok {
		t.Error("a policy called random")
	}
}

// drawView draws a small machine in any state.
func drawView(t *rapid.T) policy.View {
	dim := func(name string, most int) int { return rapid.IntRange(1, most).Draw(t, name) }
	list := layout(dim("sockets", 2), dim("nodes", 2), dim("caches", 3), dim("physical", 3), dim("threads", 2))
	if rapid.Bool().Draw(t, "no topology") {
		for i := range list {
			list[i] = policy.Core{Node: 0, Socket: -1, LLC: -1, Core: -1}
		}
	}
	for i := range list {
		list[i].Kind = rapid.SampledFrom([]string{"P", "E"}).Draw(t, "kind")
	}
	v := policy.View{Machine: policy.NewMachine(list), State: make([]policy.State, len(list))}
	for id := range v.State {
		v.State[id] = policy.State{
			Online:  rapid.IntRange(0, 5).Draw(t, "online") > 0,
			Outside: rapid.IntRange(0, 9).Draw(t, "outside") == 0,
			Mgmt:    rapid.IntRange(0, 5).Draw(t, "mgmt") == 0,
			Owner:   rapid.SampledFrom([]uint64{0, 0, 0, 1, 2}).Draw(t, "owner"),
			Prov:    rapid.SampledFrom([]uint64{0, 0, 0, 1, 2}).Draw(t, "prov"),
			Load:    rapid.IntRange(0, 3).Draw(t, "load"),
		}
	}
	return v
}

func drawRequest(t *rapid.T, n int) policy.Request {
	set := func(name string) []int {
		if rapid.Bool().Draw(t, name+" any") {
			return nil
		}
		return slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.IntRange(0, n-1), 0, n).Draw(t, name))))
	}
	lo := rapid.IntRange(1, n+1).Draw(t, "min")
	return policy.Request{
		Owner: 1, Min: lo, Max: lo + rapid.IntRange(0, n).Draw(t, "more"),
		Shared: rapid.Bool().Draw(t, "shared"),
		On:     set("on"), Rights: set("rights"),
		Node: rapid.IntRange(-1, 2).Draw(t, "node"),
		Kind: rapid.SampledFrom([]string{"", "P", "E"}).Draw(t, "kind"),
		Near: rapid.IntRange(-1, n-1).Draw(t, "near"),
		Keep: rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, n, rapid.ID[int]).Draw(t, "keep"),
	}
}

// usable says in other words than the policy's which cores a request may get.
func usable(v policy.View, r policy.Request) map[int]bool {
	ok := make(map[int]bool)
	for id, st := range v.State {
		c := v.Machine.Core(id)
		foreign := st.Owner == 2 || st.Prov == 2 && (r.Shared || st.Owner != 1) || st.Outside || !st.Online
		limited := r.On != nil && !slices.Contains(r.On, id) || r.Node >= 0 && c.Node != r.Node || r.Kind != "" && c.Kind != r.Kind
		alone := !r.Shared && (st.Mgmt || r.Rights != nil && !slices.Contains(r.Rights, id))
		if !foreign && !limited && !alone {
			ok[id] = true
		}
	}
	return ok
}

func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawView(t)
		r := drawRequest(t, len(v.State))
		p := policy.Policy(rapid.IntRange(0, 1).Draw(t, "policy"))
		ok := usable(v, r)
		got, err := policy.Place(p, v, r)
		var short *policy.Short
		if len(ok) < r.Min {
			if !errors.As(err, &short) || short.Want != r.Min || short.Own+short.Free != len(ok) || short.Fit < len(ok) {
				t.Fatalf("%d usable: got %v, %v (%+v)", len(ok), got, err, short)
			}
			return
		}
		if err != nil || len(got) != min(r.Max, len(ok)) {
			t.Fatalf("%d usable: got %v, %v", len(ok), got, err)
		}
		seen := make(map[int]bool)
		for _, id := range got {
			if !ok[id] || seen[id] {
				t.Fatalf("core %d of %v: usable %v, seen %v", id, got, ok[id], seen[id])
			}
			seen[id] = true
		}
		for i, id := range r.Keep {
			if ok[id] && i < len(got) && got[i] != id {
				t.Fatalf("vcore %d was on core %d, is on %d", i, id, got[i])
			}
		}
		checkPreference(t, v, r, ok, seen)
		again, _ := policy.Place(p, v, r)
		if !slices.Equal(got, again) {
			t.Fatalf("first %v, then %v", got, again)
		}
		checkMonotone(t, p, v, r, got)
	})
}

// checkPreference checks that no core was newly picked while a better one of
// the same request was left: one's own provision, for shared work the load.
func checkPreference(t *rapid.T, v policy.View, r policy.Request, ok, picked map[int]bool) {
	for id := range picked {
		if slices.Contains(r.Keep, id) {
			continue
		}
		for other := range ok {
			if picked[other] || slices.Contains(r.Keep, other) {
				continue
			}
			a, b := v.State[id], v.State[other]
			if b.Prov == 1 && a.Prov != 1 {
				t.Fatalf("picked %d, left %d of its own provision", id, other)
			}
			if r.Shared && r.Near < 0 && a.Prov == b.Prov && b.Load < a.Load {
				t.Fatalf("picked %d of load %d, left %d of load %d", id, a.Load, other, b.Load)
			}
		}
	}
}

// checkMonotone checks that who wants one more keeps all it has.
func checkMonotone(t *rapid.T, p policy.Policy, v policy.View, r policy.Request, got []int) {
	more := r
	more.Keep, more.Max = got, r.Max+1
	grown, err := policy.Place(p, v, more)
	if err != nil || len(grown) < len(got) || !slices.Equal(grown[:len(got)], got) {
		t.Fatalf("%v grew to %v, %v", got, grown, err)
	}
}

// A compact placement that fits one cache lies in one, if it is all free.
func TestCompactStaysTogether(t *testing.T) {
	v := view(t, "big")
	for n := 1; n <= 4; n++ {
		got, err := policy.Place(policy.Compact, v, want(n, n))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range got {
			if v.Machine.Core(id).LLC != v.Machine.Core(got[0]).LLC {
				t.Errorf("%d cores lie on several caches: %v", n, got)
			}
		}
	}
}

// On a grid, where all cores share a node, near means few hops.
func TestNearOnAGrid(t *testing.T) {
	v := view(t, "grid", "owned 5")
	abs := func(n int) int { return max(n, -n) }
	v.Machine.Measure(func(a, b int) int { return abs(a%4-b%4) + abs(a/4-b/4) })
	for n, list := range map[int]string{1: "[9]", 4: "[8 9 10 13]", 10: "[1 4 6 8 9 10 11 12 13 14]"} {
		r := want(n, n)
		r.Near = 9
		got, err := policy.Place(policy.Spread, v, r)
		slices.Sort(got)
		if s := fmt.Sprint(got); err != nil || s != list {
			t.Errorf("%d near 9: %v, %v, want %s", n, got, err, list)
		}
	}
}

// Spread never has two more cores on one of two equal groups than on the other.
func TestSpreadIsEven(t *testing.T) {
	v := view(t, "big")
	for n := 1; n <= 32; n++ {
		got, err := policy.Place(policy.Spread, v, want(n, n))
		if err != nil {
			t.Fatal(err)
		}
		for name, of := range map[string]func(policy.Core) int{
			"socket": func(c policy.Core) int { return c.Socket },
			"node":   func(c policy.Core) int { return c.Node },
			"cache":  func(c policy.Core) int { return c.LLC },
			"core":   func(c policy.Core) int { return c.Core },
		} {
			has := make(map[int]int)
			for id := range v.State {
				has[of(v.Machine.Core(id))] = 0
			}
			for _, id := range got {
				has[of(v.Machine.Core(id))]++
			}
			lo, hi := n, 0
			for _, k := range has {
				lo, hi = min(lo, k), max(hi, k)
			}
			if hi-lo > 1 {
				t.Errorf("%d cores: from %d to %d on a %s", n, lo, hi, name)
			}
		}
	}
}

func BenchmarkPlace4096(b *testing.B) {
	m := policy.NewMachine(layout(4, 2, 8, 32, 2))
	v := policy.View{Machine: m, State: make([]policy.State, m.Len())}
	for id := range v.State {
		v.State[id] = policy.State{Online: true, Mgmt: id == 0, Load: id % 3}
	}
	for _, n := range []int{1, 64, 4095} {
		for _, p := range []policy.Policy{policy.Compact, policy.Spread} {
			for _, class := range []string{"exclusive", "shared"} {
				b.Run(fmt.Sprintf("%s/%s/%d", class, p, n), func(b *testing.B) {
					r := want(n, n)
					r.Shared = class == "shared"
					for b.Loop() {
						if _, err := policy.Place(p, v, r); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

package kern

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"warren/cores"
	"warren/cores/coretest"
	"warren/kern/feed"
)

// modelCore is a core as the contract describes it, in other words than the
// kernel's rules.
type modelCore struct {
	off, mgmt, quiet bool
	owner, prov      string
}

// may says whether a core can make a move, and what it is then.
func (c modelCore) may(op MoveOp, who string) (modelCore, bool) {
	ok := true
	switch op {
	case Claim:
		ok = c.owner == who || c.owner == "" && !c.off && !c.mgmt && (c.prov == "" || c.prov == who)
		c.owner = who
	case Release:
		ok = c.owner == "" || c.owner == who
		c.owner = ""
	case Provision:
		ok = c.prov == "" || c.prov == who
		c.prov = who
	case Unprovision:
		ok = c.prov == "" || c.prov == who
		c.prov = ""
	case Offline:
		ok, c.off = c.owner == "", true
	case RoleMgmt:
		ok, c.mgmt = c.owner == "", true
	case Online:
		c.off = false
	case RoleApp:
		c.mgmt = false
	case QuietOn, QuietOff:
		c.quiet = op == QuietOn
	}
	return c, ok
}

func modelOf(c Core) modelCore {
	m := modelCore{off: !c.Online, mgmt: c.Mgmt, quiet: c.Quiet}
	if c.Owner != (Owner{}) {
		m.owner = c.Owner.Proc
	}
	if c.Prov != (Owner{}) {
		m.prov = c.Prov.Proc
	}
	return m
}

// drawMoves draws an agreement on a machine of n cores.
func drawMoves(t *rapid.T, n int, owner Owner) []Move {
	op := rapid.SampledFrom([]MoveOp{
		Claim, Claim, Claim, Release, Release, Provision, Unprovision, Online, Offline, RoleMgmt, RoleApp, QuietOn, QuietOff,
	}).Draw(t, "op")
	ids := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, n, rapid.ID).Draw(t, "cores")
	var moves []Move
	for _, id := range ids {
		moves = append(moves, Move{Core: cores.ID(id), Op: op, Owner: owner})
	}
	return moves
}

// TestModel makes one move after the other, and compares with the model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 5
		m := New(coretest.Fake(n), Options{Deadline: time.Minute})
		model := make([]modelCore, n)
		owners := []Owner{{"a", 1}, {"b", 2}, {"c", 3}}
		t.Repeat(map[string]func(*rapid.T){
			"agree": func(t *rapid.T) {
				moves := drawMoves(t, n, rapid.SampledFrom(owners).Draw(t, "owner"))
				next, ok := slices.Clone(model), true
				for _, mv := range moves {
					c, may := next[mv.Core].may(mv.Op, mv.Owner.Proc)
					next[mv.Core], ok = c, ok && may
				}
				if ok {
					model = next
				}
				if err := m.Agree(moves); (err == nil) != ok {
					t.Fatalf("%v: got %v, the model says %v", moves, err, ok)
				}
			},
			"": func(t *rapid.T) {
				for c := range m.View().All() {
					if modelOf(c) != model[c.ID] {
						t.Fatalf("core %d is %+v, the model says %+v", c.ID, c, model[c.ID])
					}
				}
			},
		})
	})
}

// faults kills kernels at drawn passes through drawn phases.
type faults struct {
	mu   sync.Mutex
	left map[string]int // passes until death, by core and phase
}

func drawFaults(t *rapid.T, n int) *faults {
	return &faults{left: rapid.MapOfN(
		rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprint(rapid.IntRange(0, n-1).Draw(t, "core"), " ", rapid.SampledFrom(phases).Draw(t, "phase"))
		}), rapid.IntRange(0, 5), 0, 6).Draw(t, "deaths")}
}

func (f *faults) at(core cores.ID, phase string) {
	f.mu.Lock()
	key := fmt.Sprint(core, " ", phase)
	left, ok := f.left[key]
	if ok {
		f.left[key]--
	}
	f.mu.Unlock()
	if ok && left == 0 {
		panic("killed by the test")
	}
}

// TestConcurrentClients has several clients agree at the same time while
// kernels die. The events, which are in order of the commits, must be a
// history that the model allows; each client must have what it was told; and
// no version of the machine may have half a gang.
func TestConcurrentClients(t *testing.T) {
	rapid.Check(t, checkConcurrentClients)
}

func checkConcurrentClients(t *rapid.T) {
	const n, clients = 6, 4
	opt := Options{Deadline: 10 * time.Second}
	if rapid.Bool().Draw(t, "deadly") {
		opt.Fault = drawFaults(t, n).at
	}
	d := coretest.Fake(n)
	m := New(d, opt)
	events := m.Events().Open(1<<20, "")
	defer events.Close()
	scripts := make([][][]Move, clients)
	for i := range scripts {
		o := Owner{"p" + strconv.Itoa(i), uint64(i + 1)}
		for range rapid.IntRange(1, 8).Draw(t, "length") {
			scripts[i] = append(scripts[i], drawMoves(t, n, o))
		}
	}
	told := make([]map[cores.ID]bool, clients)
	var wg sync.WaitGroup
	for i, script := range scripts {
		told[i] = make(map[cores.ID]bool)
		wg.Go(func() { play(m, script, told[i]) })
	}
	wg.Wait()
	waitIdle(m) // what was refused may still be being undone
	model := replay(t, events, n)
	for c := range m.View().All() {
		if modelOf(c) != model[c.ID] {
			t.Fatalf("core %d is %+v, the history says %+v", c.ID, c, model[c.ID])
		}
		if c.Owner != (Owner{}) && !told[c.Owner.Serial-1][c.ID] {
			t.Fatalf("core %d is %v's, who was not told", c.ID, c.Owner)
		}
		if on := d.Online(c.ID); on != c.Online {
			t.Fatalf("core %d: online %v, the driver says %v", c.ID, c.Online, on)
		}
	}
	for i := range told {
		for id := range told[i] {
			if got := m.View().Core(id).Owner.Serial; got != uint64(i+1) {
				t.Fatalf("p%d was told that it has core %d, which is %d's", i, id, got)
			}
		}
	}
}

// waitIdle waits until no kernel is busy: none was seen to be, and no message
// was sent meanwhile.
func waitIdle(m *Machine) {
	look := func() (busy bool, messages int64) {
		for i := range m.kernels {
			k := &m.kernels[i]
			k.mu.Lock()
			busy = busy || k.busy
			k.mu.Unlock()
		}
		for i := range m.kernels {
			in, out := m.Messages(cores.ID(i))
			messages += in + out
		}
		return busy, messages
	}
	for {
		_, before := look()
		if busy, after := look(); !busy && before == after {
			return
		}
		runtime.Gosched()
	}
}

// play runs a client's script; told is what it was told to have.
func play(m *Machine, script [][]Move, told map[cores.ID]bool) {
	for _, moves := range script {
		if m.Agree(moves) != nil {
			continue
		}
		for _, mv := range moves {
			switch mv.Op {
			case Claim:
				told[mv.Core] = true
			case Release:
				delete(told, mv.Core)
			}
		}
	}
}

// replay checks each event against the model: nobody gets a core that is not free.
func replay(t *rapid.T, events *feed.Queue, n int) []modelCore {
	ops := map[string]MoveOp{
		"claimed": Claim, "released": Release, "provisioned": Provision, "unprovisioned": Unprovision,
		"online": Online, "offline": Offline, "role mgmt": RoleMgmt, "role app": RoleApp, "quiet on": QuietOn, "quiet off": QuietOff,
	}
	model := make([]modelCore, n)
	for _, line := range records(events) {
		f := append(strings.Fields(line), "")
		if f[0] == "rebuilt" {
			continue
		}
		op, ok := ops[f[0]]
		if !ok {
			op, ok = ops[f[0]+" "+f[2]]
		}
		id, err := strconv.Atoi(strings.TrimPrefix(f[1], "core/"))
		if !ok || err != nil {
			t.Fatalf("bad event %q (of %v)", line, slices.Collect(maps.Keys(ops)))
		}
		if op == Claim && model[id].owner != "" {
			t.Fatalf("%q: it is %s's", line, model[id].owner)
		}
		next, may := model[id].may(op, f[2])
		if !may {
			t.Fatalf("%q: not from %+v", line, model[id])
		}
		model[id] = next
	}
	return model
}

// TestNobodySeesHalfAGang watches while gangs of everything are claimed by turns.
func TestNobodySeesHalfAGang(t *testing.T) {
	const n, gangs = 130, 3
	m := New(coretest.Fake(n), Options{Deadline: time.Minute})
	var wg sync.WaitGroup
	for i := range gangs {
		o := Owner{"g" + strconv.Itoa(i), uint64(i + 1)}
		wg.Go(func() {
			for range 30 {
				for m.Agree(all(Claim, o, 0, n-1)) != nil {
				}
				if err := m.Agree(all(Release, o, 0, n-1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for last := uint64(0); ; {
		v := m.View()
		if v.Epoch() < last {
			t.Errorf("epoch %d after %d", v.Epoch(), last)
		}
		last = v.Epoch()
		for c := range v.All() {
			if c.Owner != v.Core(0).Owner {
				t.Fatalf("version %d: core 0 is %v's, core %d %v's", v.Epoch(), v.Core(0).Owner, c.ID, c.Owner)
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

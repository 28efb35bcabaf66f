package kern

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/cores"
	"warren/cores/coretest"
)

// phases are where a kernel can be killed or held up.
var phases = []string{
	"coordinate", "prepare", "prepared", "voted", "act", "acted", "decide", "decided",
	"commit", "committed", "refuse", "abort", "aborted",
}

// A fault strikes once, at a core's n-th pass through a phase.
type fault struct {
	core   cores.ID
	phase  string
	n      int
	strike func()

	mu    sync.Mutex
	armed bool
	hit   bool
}

func (f *fault) at(core cores.ID, phase string) {
	if f.here(core, phase) {
		f.strike()
	}
}

func (f *fault) here(core cores.ID, phase string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || f.hit || core != f.core || phase != f.phase {
		return false
	}
	f.n--
	f.hit = f.n < 0
	return f.hit
}

func (f *fault) arm(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = on
}

func (f *fault) struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

func kill() { panic("killed by the test") }

// A table is what the processes know: the cores that they were given.
type table struct {
	mu    sync.Mutex
	owner map[cores.ID]Owner
}

func (p *table) set(moves []Move) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, mv := range moves {
		switch mv.Op {
		case Claim:
			p.owner[mv.Core] = mv.Owner
		case Release:
			delete(p.owner, mv.Core)
		}
	}
}

func (p *table) holders(id cores.ID) (owner, prov Owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owner[id], Owner{}
}

// faultCases are agreements of cores 1 to 3, and whether they can come about
// when nobody interferes: the driver cannot switch core 3 back on.
var faultCases = []struct {
	name  string
	moves []Move
	ok    bool
}{
	{"claim", all(Claim, db, 1, 3), true},
	{"claim one", all(Claim, db, 1, 1), true},
	{"offline", all(Offline, Owner{}, 1, 3), true},
	{"offline one", all(Offline, Owner{}, 1, 1), true},
	{"refused", append(all(Claim, db, 1, 3), Move{Core: 0, Op: Claim, Owner: db}), false},
	{"driver refuses", append(all(Offline, Owner{}, 1, 2), Move{Core: 3, Op: QuietOn}), false},
}

// strikeEverywhere tries each agreement with a fault at each phase of each core.
func strikeEverywhere(t *testing.T, strike func(), most time.Duration, check func(t *testing.T, moves []Move, err error)) {
	reached := make(map[string]bool)
	for _, tt := range faultCases {
		for _, phase := range phases {
			for core := range cores.ID(4) {
				f := &fault{core: core, phase: phase, strike: strike}
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					tryWithFault(t, tt.name, tt.moves, tt.ok, f, check)
					if took := time.Since(start) - 2*time.Minute; took > most {
						t.Errorf("%s, core %d %s: took %v", tt.name, core, phase, took)
					}
				})
				reached[phase] = reached[phase] || f.struck()
			}
		}
	}
	for _, phase := range phases {
		if !reached[phase] {
			t.Errorf("no fault struck at %q", phase)
		}
	}
}

func tryWithFault(t *testing.T, name string, moves []Move, ok bool, f *fault, check func(*testing.T, []Move, error)) {
	d := coretest.Fake(5)
	d.FailDo(func(id cores.ID, op cores.Op) error {
		if op == cores.QuietOn {
			return syscall.EOPNOTSUPP
		}
		return nil
	})
	known := &table{owner: make(map[cores.ID]Owner)}
	m := New(d, Options{Deadline: time.Second, Holders: known.holders, Fault: f.at})
	mustAgree(t, m, all(Claim, web, 0, 0))
	known.set(all(Claim, web, 0, 0))
	time.Sleep(time.Minute)
	before := slices.Collect(m.View().All())
	f.arm(true)
	events := m.Events().Open(100, "")
	defer events.Close()

	err := m.Agree(moves)
	if err == nil {
		known.set(moves)
	}
	if (err == nil) != ok && !f.struck() || err == nil && !ok {
		t.Errorf("%s, core %d %s: got %v", name, f.core, f.phase, err)
	}
	if f.struck() && err != nil && ok {
		check(t, moves, err)
	}
	checkWhole(t, m, d, before, moves, err)
	time.Sleep(time.Minute) // whoever was held up goes on
	synctest.Wait()
	f.arm(false)
	checkWhole(t, m, d, before, moves, err)
	checkIdle(t, m)
	if err == nil && moves[0].Op == Claim {
		mustAgree(t, m, all(Release, db, 1, 3))
	}
	mustAgree(t, m, all(Online, Owner{}, 1, 3))
	mustAgree(t, m, all(Claim, Owner{"next", 3}, 1, 4))
	if t.Failed() {
		t.Fatalf("%s, core %d %s: agreed: %v; events %q", name, f.core, f.phase, err, records(events))
	}
}

// checkWhole compares ownership with what it was: all of the moves were made,
// or none, as the error says, and nothing else changed.
func checkWhole(t *testing.T, m *Machine, d *coretest.FakeDriver, before []Core, moves []Move, err error) {
	t.Helper()
	for c := range m.View().All() {
		want := before[c.ID]
		for _, mv := range moves {
			if mv.Core == c.ID && err == nil {
				if why := want.move(mv, time.Now()); why != nil {
					t.Fatal(why)
				}
			}
		}
		if c.Owner != want.Owner || c.Prov != want.Prov || c.Online != want.Online || c.Quiet != want.Quiet || c.Mgmt != want.Mgmt {
			t.Errorf("core %d is %+v, want %+v", c.ID, c, want)
		}
	}
}

// checkIdle wants kernels that have what was published and owe nobody anything.
func checkIdle(t *testing.T, m *Machine) {
	t.Helper()
	for i := range m.kernels {
		k := &m.kernels[i]
		c := m.View().Core(k.id)
		if k.busy || k.promise != nil || k.rounds != nil || *k.now != c || !c.Alive {
			t.Errorf("kernel %d: busy %v, promise %v, rounds %v, now %+v, published %+v", i, k.busy, k.promise, k.rounds, *k.now, c)
		}
		if c.Online != m.driver.Online(k.id) {
			t.Errorf("core %d: online %v, the driver says %v", i, c.Online, !c.Online)
		}
	}
}

func TestKillAtEveryPhase(t *testing.T) {
	strikeEverywhere(t,
		kill, time.Millisecond, // nobody waits for a deadline
		func(t *testing.T, _ []Move, err error) {
			if !strings.HasSuffix(err.Error(), ": its kernel was rebuilt") {
				t.Errorf("got %v", err)
			}
		})
}

func TestHangAtEveryPhase(t *testing.T) {
	strikeEverywhere(t,
		func() { time.Sleep(20 * time.Second) }, time.Second,
		func(t *testing.T, _ []Move, err error) {
			if !strings.HasSuffix(err.Error(), ": no answer within 1s") {
				t.Errorf("got %v", err)
			}
		})
}

// TestKillBetweenPrepareAndCommit holds the coordinator up when all have
// promised, and kills one of those who did.
func TestKillBetweenPrepareAndCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		hold := &fault{armed: true, core: 1, phase: "decide", strike: func() { <-goOn }}
		death := &fault{armed: true, core: 3, phase: "prepare", n: 1, strike: kill}
		m := New(coretest.Fake(5), Options{Deadline: time.Second, Fault: func(core cores.ID, phase string) {
			hold.at(core, phase)
			death.at(core, phase)
		}})
		trace, events := m.Trace(3), m.Events().Open(100, "")
		defer trace.Close()
		defer events.Close()
		before := slices.Collect(m.View().All())

		var gang error
		var wg sync.WaitGroup
		wg.Go(func() { gang = m.Agree(all(Claim, db, 1, 3)) })
		synctest.Wait()
		wantRefusal(t, m.Agree(all(Claim, web, 3, 4)), "core 3: its kernel was rebuilt", syscall.EAGAIN)
		close(goOn)
		wg.Wait()
		wantRefusal(t, gang, "core 3: its kernel was rebuilt", syscall.EAGAIN)
		synctest.Wait()
		if after := slices.Collect(m.View().All()); !slices.Equal(before, after) {
			t.Errorf("before %+v, after %+v", before, after)
		}
		checkIdle(t, m)
		if got := records(trace); !slices.Contains(got, "3 1 no 1 46") || !slices.Contains(got, "3 1 yes 1 98") {
			t.Errorf("the trace has no yes and then no: %q", got)
		}
		if got := records(events); !slices.Equal(got, []string{"rebuilt core/3"}) {
			t.Errorf("events %q", got)
		}
		mustAgree(t, m, all(Claim, web, 0, 4))
	})
}

// TestKillABusyCoordinator kills a coordinator while the driver works for an
// agreement of its.
func TestKillABusyCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := coretest.Fake(4)
		d.FailDo(func(id cores.ID, op cores.Op) error {
			if id == 3 && op == cores.Offline {
				time.Sleep(500 * time.Millisecond)
			}
			return nil
		})
		death := &fault{armed: true, core: 1, phase: "coordinate", n: 1, strike: kill}
		m := New(d, Options{Deadline: time.Second, Fault: death.at})
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() {
			wantRefusal(t, m.Agree(all(Offline, Owner{}, 1, 3)), "core 1: its kernel was rebuilt", syscall.EAGAIN)
			if took := time.Since(start); took != 0 {
				t.Errorf("took %v", took)
			}
		})
		synctest.Wait()
		wantRefusal(t, m.Agree(all(Claim, db, 1, 1)), "core 1: its kernel was rebuilt", syscall.EAGAIN)
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		checkIdle(t, m)
		mustAgree(t, m, all(Claim, db, 0, 3))
	})
}

// TestKillACoordinatorThatSaidNo kills one that goes on asking the others.
func TestKillACoordinatorThatSaidNo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fault{core: 3, phase: "prepare", strike: func() { time.Sleep(500 * time.Millisecond) }}
		death := &fault{core: 1, phase: "coordinate", n: 1, strike: kill}
		m := New(coretest.Fake(4), Options{Deadline: time.Second, Fault: func(core cores.ID, phase string) {
			slow.at(core, phase)
			death.at(core, phase)
		}})
		mustAgree(t, m, all(Claim, web, 1, 1))
		slow.arm(true)
		death.arm(true)
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() {
			wantRefusal(t, m.Agree(all(Claim, db, 1, 3)), "core 1: its kernel was rebuilt", syscall.EAGAIN)
		})
		synctest.Wait()
		wantRefusal(t, m.Agree(all(Release, web, 1, 1)), "core 1: its kernel was rebuilt", syscall.EAGAIN)
		wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		checkIdle(t, m)
	})
}

// TestLateMessages sends what can still be on its way when an agreement is over.
func TestLateMessages(t *testing.T) {
	m := New(coretest.Fake(3), Options{})
	events := m.Events().Open(10, "")
	defer events.Close()
	over := func(outcome uint32) *agreement {
		moves := all(Claim, db, 0, 2)
		parts, err := m.parts(moves)
		if err != nil {
			t.Fatal(err)
		}
		a := &agreement{m: m, id: 99, moves: moves, parts: parts, done: make(chan struct{})}
		a.outcome.Store(outcome)
		return a
	}
	for kind := look; kind <= refused; kind++ {
		m.kernels[2].send(message{kind: kind, a: over(aborted), part: 2})
		m.kernels[0].send(message{kind: kind, a: over(aborted), part: 2, why: &Refusal{}})
	}
	waitIdle(m)
	checkIdle(t, m)
	if got := records(events); got != nil {
		t.Errorf("events %q", got)
	}
	// What was committed, and not told yet, holds all the same.
	next := m.View().Core(1)
	next.Quiet = true
	m.kernels[1].promise = &promise{a: over(committed), part: 1, next: &next}
	mustAgree(t, m, all(Claim, web, 0, 2))
	if c := m.View().Core(1); !c.Quiet || c.Owner != web {
		t.Errorf("core 1: %+v", c)
	}
}

// TestPromiseOutlivesItsCoordinator has a coordinator that never speaks again:
// whoever asks one of those who promised frees it when the deadline has passed.
func TestPromiseOutlivesItsCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		hold := &fault{armed: true, core: 0, phase: "decide", strike: func() { <-goOn }}
		m := New(coretest.Fake(3), Options{Deadline: time.Second, Fault: hold.at})
		var wg sync.WaitGroup
		wg.Go(func() {
			wantRefusal(t, m.Agree(all(Claim, db, 0, 2)), "core 0: no answer within 1s", syscall.ETIMEDOUT)
		})
		synctest.Wait()
		start := time.Now()
		for m.Agree(all(Claim, web, 1, 2)) != nil {
		}
		if took := time.Since(start); took < 900*time.Millisecond || took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		close(goOn)
		wg.Wait()
		synctest.Wait()
		checkIdle(t, m)
	})
}

func TestRebuildAsksDriverAndProcesses(t *testing.T) {
	for _, tt := range []struct {
		name           string
		agreed         Owner
		old            bool
		says, then     Owner
		online, isIdle bool
	}{
		{name: "they agree", agreed: db, old: true, says: db, then: db, online: true},
		{name: "the processes have not heard of the release yet", says: db, then: Owner{}, online: true},
		{name: "the processes have not heard of the claim yet", agreed: db, then: db, online: true},
		{name: "nobody's word frees no core", agreed: db, old: true, then: db, online: true},
		{name: "the processes know better", old: true, says: db, then: db, online: true},
		{name: "switched off by another hand", old: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := coretest.Fake(2)
				f := &fault{core: 0, phase: "prepare", strike: kill}
				m := New(d, Options{Deadline: time.Second, Fault: f.at})
				time.Sleep(time.Minute)
				mustAgree(t, m, all(Claim, db, 0, 1))
				if tt.agreed == (Owner{}) {
					mustAgree(t, m, all(Release, db, 0, 1))
				}
				if tt.old {
					time.Sleep(time.Minute)
				}
				m.SetHolders(func(cores.ID) (owner, prov Owner) { return tt.says, Owner{} })
				d.SetOnline(0, tt.online)
				f.arm(true)
				wantRefusal(t, m.Agree(all(Claim, web, 0, 0)), "core 0: its kernel was rebuilt", syscall.EAGAIN)
				synctest.Wait()
				if c := m.View().Core(0); c.Owner != tt.then || c.Online != tt.online {
					t.Errorf("core 0 is %v's, online %v; want %v's, %v", c.Owner, c.Online, tt.then, tt.online)
				}
				checkIdle(t, m)
			})
		})
	}
}

// TestRebuildWithoutWitnesses has processes that cannot be asked either.
func TestRebuildWithoutWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fault{core: 0, phase: "prepare", strike: kill}
		m := New(coretest.Fake(2), Options{Deadline: time.Second, Fault: f.at})
		mustAgree(t, m, all(Claim, db, 0, 1))
		m.SetHolders(func(cores.ID) (owner, prov Owner) { panic("no such table") })
		f.arm(true)
		wantRefusal(t, m.Agree(all(Claim, web, 0, 0)), "core 0: its kernel was rebuilt", syscall.EAGAIN)
		synctest.Wait()
		checkIdle(t, m)
		mustAgree(t, m, all(Release, db, 0, 1))
	})
}

// TestDriverPanics has the kernel die in the driver's hands.
func TestDriverPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := coretest.Fake(4)
		m := New(d, Options{Deadline: time.Second})
		d.FailDo(func(id cores.ID, op cores.Op) error {
			if id == 2 && op == cores.Offline {
				panic("the driver is broken")
			}
			return nil
		})
		wantRefusal(t, m.Agree(all(Offline, Owner{}, 1, 3)), "core 2: its kernel was rebuilt", syscall.EAGAIN)
		synctest.Wait()
		checkIdle(t, m)
	})
}

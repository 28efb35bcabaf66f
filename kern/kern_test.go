package kern

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/kern/feed"
)

var (
	db  = Owner{"db", 1}
	web = Owner{"web", 2}
)

// all makes the same move on a range of cores.
func all(op MoveOp, o Owner, from, to cores.ID) []Move {
	var moves []Move
	for id := from; id <= to; id++ {
		moves = append(moves, Move{Core: id, Op: op, Owner: o})
	}
	return moves
}

func mustAgree(t *testing.T, m *Machine, moves []Move) {
	t.Helper()
	if err := m.Agree(moves); err != nil {
		t.Fatalf("refused: %v", err)
	}
}

func wantRefusal(t *testing.T, err error, text string, errno syscall.Errno) {
	t.Helper()
	var r *Refusals
	if !errors.As(err, &r) || err.Error() != text || sys.Errno(err) != errno {
		t.Fatalf("got %v (%v), want %q (%v)", err, sys.Errno(err), text, errno)
	}
}

// reader collects a queue's records.
type reader struct{ got []string }

func (r *reader) Deliver(p []byte, _ func()) bool {
	r.got = append(r.got, strings.TrimSuffix(string(p), "\n"))
	return true
}
func (r *reader) Done(int) bool   { return true }
func (r *reader) Fail(error) bool { return true }
func (r *reader) Park(func())     {}
func (r *reader) Nonblock() bool  { return true }

// records returns what a queue holds, without the times.
func records(q *feed.Queue) []string {
	var out []string
	for {
		r := new(reader)
		q.Take(r)
		if r.got == nil {
			return out
		}
		_, rest, _ := strings.Cut(r.got[0], " ")
		out = append(out, rest)
	}
}

func TestClaimAndRelease(t *testing.T) {
	m := New(coretest.Fake(8), Options{})
	before := m.View()
	mustAgree(t, m, all(Claim, db, 2, 5))
	v := m.View()
	for c := range v.All() {
		owner := Owner{}
		if c.ID >= 2 && c.ID <= 5 {
			owner = db
		}
		if c.Owner != owner {
			t.Errorf("core %d is %v's, want %v", c.ID, c.Owner, owner)
		}
	}
	if before.Core(2).Owner != (Owner{}) || before.Epoch() >= v.Epoch() {
		t.Error("the version before the claim changed")
	}
	if c := v.Core(3); c.OwnEpoch != c.Epoch || c.Epoch != before.Core(3).Epoch+1 || c.Since.IsZero() {
		t.Errorf("core 3: %+v", c)
	}
	err := m.Agree(all(Claim, web, 1, 6))
	wantRefusal(t, err, "cores 2-5: claimed by db", syscall.EBUSY)
	if m.View() != v {
		t.Error("a refused claim changed the machine")
	}
	mustAgree(t, m, all(Claim, db, 2, 5))
	if m.View() != v {
		t.Error("a claim of what one has changed the machine")
	}
	mustAgree(t, m, all(Release, db, 2, 5))
	mustAgree(t, m, all(Claim, web, 1, 6))
}

func TestHandOverInOneAgreement(t *testing.T) {
	m := New(coretest.Fake(4), Options{})
	mustAgree(t, m, all(Claim, db, 0, 1))
	mustAgree(t, m, append(all(Release, db, 0, 1), all(Claim, web, 0, 2)...))
	if got := m.View().Core(1); got.Owner != web || got.Epoch != 3 {
		t.Errorf("core 1: %+v", got)
	}
}

func TestRefusals(t *testing.T) {
	d := coretest.Fake(8)
	d.SetOnline(5, false)
	m := New(d, Options{Mgmt: cores.Set{0}, Only: cores.NewSet(0, 1, 2, 3, 4, 5)})
	mustAgree(t, m, all(Claim, db, 3, 3))
	mustAgree(t, m, all(Provision, web, 2, 2))
	stale := Move{Core: 3, Op: Release, Owner: db, Epoch: 77}
	for _, tt := range []struct {
		moves []Move
		text  string
		errno syscall.Errno
	}{
		{all(Claim, Owner{"sh", 3}, 0, 6), "core 0: a mgmt core runs shared work only; core 2: provisioned to web; " +
			"core 3: claimed by db; core 5: offline; core 6: not among the cores that this server may touch", syscall.EBUSY},
		{all(Claim, web, 0, 0), "core 0: a mgmt core runs shared work only", syscall.EBUSY},
		{all(Release, web, 3, 3), "core 3: claimed by db, not by web", syscall.EBUSY},
		{all(Release, Owner{"db", 9}, 3, 3), "core 3: claimed by db, not by db", syscall.EBUSY},
		{[]Move{stale}, "core 3: claimed again since", syscall.ESTALE},
		{all(Provision, db, 2, 2), "core 2: provisioned to web", syscall.EBUSY},
		{all(Unprovision, db, 2, 2), "core 2: provisioned to web, not to db", syscall.EBUSY},
		{all(Offline, Owner{}, 1, 4), "core 3: claimed by db", syscall.EBUSY},
		{all(RoleMgmt, Owner{}, 3, 3), "core 3: claimed by db", syscall.EBUSY},
		{all(Provision, db, 6, 6), "core 6: not among the cores that this server may touch", syscall.EPERM},
		{all(Online, Owner{}, 7, 7), "core 7: not among the cores that this server may touch", syscall.EPERM},
	} {
		v := m.View()
		wantRefusal(t, m.Agree(tt.moves), tt.text, tt.errno)
		if m.View() != v {
			t.Errorf("%q changed the machine", tt.text)
		}
	}
	if err := m.Agree(all(Claim, db, 8, 8)); sys.Errno(err) != syscall.ENXIO {
		t.Errorf("a core that there is not: %v", err)
	}
	if err := m.Agree(all(Claim, Owner{}, 1, 1)); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("a claim by nobody: %v", err)
	}
	mustAgree(t, m, nil)
}

func TestSettingWhatIsSet(t *testing.T) {
	d := coretest.Fake(2)
	m := New(d, Options{})
	d.FailDo(func(cores.ID, cores.Op) error { return syscall.EIO })
	v := m.View()
	mustAgree(t, m, all(Online, Owner{}, 0, 1))
	mustAgree(t, m, all(QuietOff, Owner{}, 0, 1))
	mustAgree(t, m, all(RoleApp, Owner{}, 0, 1))
	mustAgree(t, m, all(Release, db, 0, 1))
	mustAgree(t, m, all(Unprovision, db, 0, 1))
	if m.View() != v {
		t.Error("the machine changed")
	}
}

func TestSwitchedByAnotherHand(t *testing.T) {
	d := coretest.Fake(4)
	m := New(d, Options{Only: cores.NewSet(0, 1, 2)})
	d.SetOnline(1, false)
	wantRefusal(t, m.Agree(all(Claim, db, 0, 1)), "core 1: offline", syscall.EBUSY)
	if m.View().Core(1).Online {
		t.Error("core 1 is off, and shown online")
	}
	d.SetOnline(0, false)
	d.SetOnline(1, true)
	d.SetOnline(3, false)
	for id := range cores.ID(4) {
		m.Look(id)
	}
	if v := m.View(); v.Core(0).Online || !v.Core(1).Online {
		t.Errorf("core 0: %+v, core 1: %+v", v.Core(0), v.Core(1))
	}
	mustAgree(t, m, all(Online, Owner{}, 0, 2))
	if !d.Online(0) {
		t.Error("core 0 was to be online")
	}
}

func TestOutsideSettingWhatIsSet(t *testing.T) {
	m := New(coretest.Fake(2), Options{Only: cores.NewSet(0)})
	mustAgree(t, m, []Move{{Core: 1, Op: Offline}, {Core: 1, Op: RoleApp}, {Core: 1, Op: QuietOff}})
}

func TestSwitches(t *testing.T) {
	d := coretest.Fake(4)
	m := New(d, Options{})
	mustAgree(t, m, all(Offline, Owner{}, 1, 3))
	mustAgree(t, m, all(QuietOn, Owner{}, 0, 0))
	mustAgree(t, m, all(RoleMgmt, Owner{}, 0, 0))
	c := m.View().Core(0)
	if d.Online(2) || m.View().Core(2).Online || !d.Quiet(0) || !c.Quiet || !c.Mgmt {
		t.Errorf("core 0 %+v, core 2 %+v", c, m.View().Core(2))
	}
	mustAgree(t, m, all(Online, Owner{}, 0, 3))
	if !d.Online(3) || !m.View().Core(3).Online {
		t.Error("core 3 is off")
	}
}

func TestDriverRefuses(t *testing.T) {
	d := coretest.Fake(4)
	m := New(d, Options{})
	d.FailDo(func(id cores.ID, op cores.Op) error {
		if id == 2 && op == cores.Offline {
			return sys.Errorf(syscall.EOPNOTSUPP, "the boot processor cannot go offline")
		}
		return nil
	})
	for _, moves := range [][]Move{all(Offline, Owner{}, 0, 3), all(Offline, Owner{}, 2, 2)} {
		wantRefusal(t, m.Agree(moves), "core 2: the boot processor cannot go offline", syscall.EOPNOTSUPP)
		for c := range m.View().All() {
			if !c.Online || !d.Online(c.ID) {
				t.Errorf("core %d was left offline", c.ID)
			}
		}
	}
	mustAgree(t, m, all(Claim, db, 0, 3))
}

func TestUndoFails(t *testing.T) {
	d := coretest.Fake(3)
	m := New(d, Options{})
	d.FailDo(func(id cores.ID, op cores.Op) error {
		if id == 2 || op == cores.Online {
			return sys.Errorf(syscall.EIO, "stuck")
		}
		return nil
	})
	wantRefusal(t, m.Agree(all(Offline, Owner{}, 1, 2)), "core 2: stuck", syscall.EIO)
	if m.View().Core(1).Online {
		t.Error("core 1 cannot come back, and is shown online")
	}
	wantRefusal(t, m.Agree(all(Claim, db, 1, 1)), "core 1: offline", syscall.EBUSY)
}

func TestEvents(t *testing.T) {
	m := New(coretest.Fake(2), Options{})
	q := m.Events().Open(100, "")
	defer q.Close()
	mustAgree(t, m, all(Claim, db, 0, 1))
	mustAgree(t, m, all(Release, db, 0, 0))
	mustAgree(t, m, all(Provision, web, 0, 0))
	mustAgree(t, m, all(Unprovision, web, 0, 0))
	mustAgree(t, m, all(RoleMgmt, Owner{}, 0, 0))
	mustAgree(t, m, all(QuietOn, Owner{}, 0, 0))
	mustAgree(t, m, all(Offline, Owner{}, 0, 0))
	mustAgree(t, m, all(Online, Owner{}, 0, 1))
	want := []string{
		"claimed core/0 db", "claimed core/1 db", "released core/0 db", "provisioned core/0 web",
		"unprovisioned core/0 web", "role core/0 mgmt", "quiet core/0 on", "offline core/0", "online core/0",
	}
	if got := records(q); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTraceShowsTheNo(t *testing.T) {
	m := New(coretest.Fake(4), Options{})
	mustAgree(t, m, all(Claim, web, 2, 2))
	q0, q2 := m.Trace(0), m.Trace(2)
	defer q0.Close()
	defer q2.Close()
	if m.Agree([]Move{{Core: 0, Op: Claim, Owner: db}, {Core: 2, Op: Claim, Owner: db}}) == nil {
		t.Fatal("claimed twice")
	}
	if got, want := records(q2), []string{"0 2 prepare 2 50", "2 0 no 2 38", "0 2 abort 2 24"}; !slices.Equal(got, want) {
		t.Errorf("core 2: got %q, want %q", got, want)
	}
	want := []string{
		"- 0 agree 2 76", "0 0 prepare 2 50", "0 0 yes 2 98", "0 2 prepare 2 50", "2 0 no 2 38",
		"0 2 abort 2 24", "0 - refused 2 24", "0 0 abort 2 24",
	}
	if got := records(q0); !slices.Equal(got, want) {
		t.Errorf("core 0: got %q, want %q", got, want)
	}
	if in, out := m.Messages(2); in != 3 || out != 2 {
		t.Errorf("core 2 took %d and sent %d", in, out)
	}
}

func TestOneCoreNeedsNoMessages(t *testing.T) {
	m := New(coretest.Fake(2), Options{})
	q := m.Trace(1)
	defer q.Close()
	mustAgree(t, m, all(Claim, db, 1, 1))
	if got, want := records(q), []string{"- 1 agree 1 50", "1 - agreed 1 24"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if in, out := m.Messages(0); in != 0 || out != 0 {
		t.Error("another kernel was asked")
	}
}

func TestIdleKernelsOwnNothing(t *testing.T) {
	m := New(coretest.Fake(16), Options{})
	mustAgree(t, m, all(Claim, db, 0, 15))
	for i := range m.kernels {
		k := &m.kernels[i]
		if k.busy || k.inbox != nil || k.promise != nil || k.rounds != nil || k.ports.Load() != nil {
			t.Errorf("kernel %d is not idle: %+v", i, k.inbox)
		}
		if k.now != m.View().at(k.id) {
			t.Errorf("kernel %d does not have the published state", i)
		}
	}
}

func TestIdleCoresAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(kernel{}) + unsafe.Sizeof(Core{}) + unsafe.Sizeof(leaf{})>>leafBits; n > 300 {
		t.Errorf("an idle core costs %d bytes", n)
	}
}

func TestFullInbox(t *testing.T) {
	d := coretest.Fake(3)
	m := New(d, Options{})
	inDo, goOn := make(chan struct{}), make(chan struct{})
	d.FailDo(func(cores.ID, cores.Op) error {
		inDo <- struct{}{}
		<-goOn
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { mustAgree(t, m, all(Offline, Owner{}, 1, 1)) })
	<-inDo
	k := &m.kernels[1]
	for range maxInbox {
		k.send(message{kind: prepare, from: client, a: &agreement{m: m, parts: []part{{}, {core: 1}}, moves: nil}})
	}
	wantRefusal(t, m.Agree(all(Claim, db, 1, 2)), "core 1: its kernel has too much to do", syscall.EAGAIN)
	wantRefusal(t, m.Agree(all(Claim, db, 0, 1)), "core 1: its kernel has too much to do", syscall.EAGAIN)
	close(goOn)
	wg.Wait()
}

// TestSlowSwitch has a core that takes longer to switch than a kernel may be
// silent: it has its own time, and who wants the core meanwhile is refused in time.
func TestSlowSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := coretest.Fake(4)
		m := New(d, Options{Deadline: time.Second, Work: 15 * time.Second})
		d.FailDo(func(cores.ID, cores.Op) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		switched := make(chan error)
		go func() { switched <- m.Agree(all(Offline, Owner{}, 2, 2)) }()
		synctest.Wait()
		start := time.Now()
		wantRefusal(t, m.Agree(all(Claim, web, 2, 2)), "core 2: no answer within 1s", syscall.ETIMEDOUT)
		if took := time.Since(start); took != time.Second {
			t.Errorf("the refusal took %v", took)
		}
		if err := <-switched; err != nil || m.View().Core(2).Online {
			t.Errorf("%v; core 2 is %+v", err, m.View().Core(2))
		}
	})
}

// TestSlowKernel has the driver take longer than the deadline.
func TestSlowKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := coretest.Fake(4)
		m := New(d, Options{Deadline: time.Second})
		d.FailDo(func(id cores.ID, op cores.Op) error {
			if op == cores.QuietOn {
				t.Error("the driver was asked for what was given up")
			}
			if id == 2 && op == cores.Offline {
				time.Sleep(10 * time.Second)
			}
			return nil
		})
		start := time.Now()
		err := m.Agree(all(Offline, Owner{}, 1, 3))
		wantRefusal(t, err, "core 2: no answer within 1s", syscall.ETIMEDOUT)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if m.View().Core(2).Alive || !m.View().Core(1).Alive {
			t.Error("core 2's kernel is silent, 1's is not")
		}
		mustAgree(t, m, all(Claim, db, 0, 1))
		wantRefusal(t, m.Agree(all(Claim, web, 2, 3)), "core 2: no answer within 1s", syscall.ETIMEDOUT)
		wantRefusal(t, m.Agree(all(QuietOn, Owner{}, 2, 2)), "core 2: no answer within 1s", syscall.ETIMEDOUT)
		time.Sleep(10 * time.Second) // the late vote comes, and is undone
		synctest.Wait()
		for c := range m.View().All() {
			if !c.Online || !d.Online(c.ID) || !c.Alive {
				t.Errorf("core %d: %+v", c.ID, c)
			}
		}
		mustAgree(t, m, all(Claim, web, 2, 3))
	})
}

// TestSlowButSteady has each kernel answer in time, all of them together not.
func TestSlowButSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := coretest.Fake(8)
		m := New(d, Options{Deadline: time.Second})
		d.FailDo(func(cores.ID, cores.Op) error { time.Sleep(700 * time.Millisecond); return nil })
		mustAgree(t, m, all(Offline, Owner{}, 0, 7))
	})
}

func TestLargeMachine(t *testing.T) {
	const n = 10_000
	m := New(coretest.Fake(n), Options{})
	var odd []Move
	for id := cores.ID(1); id < n; id += 97 {
		odd = append(odd, Move{Core: id, Op: Claim, Owner: db})
	}
	mustAgree(t, m, odd)
	count := 0
	for c := range m.View().All() {
		if want := c.ID%97 == 1; (c.Owner == db) != want || int(c.ID) != count {
			t.Fatalf("core %d: %+v", count, c)
		}
		count++
	}
	if count != n || m.View().Len() != n {
		t.Errorf("%d cores", count)
	}
}

func ExampleRefusals() {
	r := &Refusals{List: []Refusal{{Core: 1, Reason: "offline"}, {Core: 2, Reason: "offline"}, {Core: 4, Reason: "claimed by db"}}}
	fmt.Println(r)
	// Output: cores 1-2: offline; core 4: claimed by db
}

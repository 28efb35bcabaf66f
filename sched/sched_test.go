package sched_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched"
)

// scenario runs a test on a rig in a bubble, so that what the scheduler does
// in the background can be waited for.
func scenario(t *testing.T, n int, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, n)) })
}

func TestExclusive(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		db := r.run("db", "2 exclusive")
		r.on(db, "2 3") // together, and not on the mgmt core
		if o := r.m.View().Core(2).Owner; o != db.owner {
			t.Errorf("core 2 is claimed by %v", o)
		}
		web := r.proc("web")
		_, err := web.start(want("2 exclusive"), true)
		r.refused(err, syscall.EBUSY, "cores: want 2, have 1 free of 3 (2 claimed)")
		r.queue("")
		if _, err := web.start(want("2 exclusive"), false); err != nil {
			t.Fatal(err)
		}
		r.queue("web")
		r.on(web, "")
		db.release()
		r.on(web, "2 3")
		r.queue("")
		web.release()
		if got := r.alloc(); got != "" {
			t.Errorf("after all have ended: %s", got)
		}
	})
}

func TestCheck(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		r.run("hog", "7 exclusive")
		for _, c := range []struct {
			words, text string
			errno       syscall.Errno
		}{
			{"0", "cores: want at least 1", syscall.EINVAL},
			{"4..2", "cores: 4..2 runs backwards", syscall.EINVAL},
			{"1 near 8", "near: no core 8: this machine has 8", syscall.ENXIO},
			{"8 exclusive", "cores: want 8, this machine has 7 application cores", syscall.ENOSPC},
			{"9", "cores: want 9, this machine has 8 cores", syscall.ENOSPC},
			{"8 on 0-6 node 0", "cores: want 8, this machine has 4 cores that fit (on 0-6, node 0)", syscall.ENOSPC},
			{"2 exclusive on 0-1", "cores: want 2, this machine has 1 application core that fits (on 0-1)", syscall.ENOSPC},
			{"1 kind fast", "cores: want 1, this machine has 0 cores that fit (kind fast)", syscall.ENOSPC},
			{"1..9 exclusive gang", "cores: want 9, this machine has 7 application cores", syscall.ENOSPC},
		} {
			r.refused(r.s.Check(root, want(c.words)), c.errno, c.text)
			_, err := r.proc("x").start(want(c.words), false)
			r.refused(err, c.errno, c.text)
		}
		for _, words := range []string{"7 exclusive", "8", "1..100", "2..5 exclusive gang near 3 kind cpu"} {
			if err := r.s.Check(root, want(words)); err != nil {
				t.Errorf("%s: %v", words, err)
			}
		}
		if got := r.alloc(); got != "hog: 1 2 3 4 5 6 7" {
			t.Error(got)
		}
	})
}

func TestGrowth(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		first := r.run("first", "4 exclusive on 4-7")
		grow := r.run("grow", "1..5 exclusive")
		r.on(grow, "1 2 3")
		r.queue("grow")
		late := r.wait("late", "2 exclusive")
		r.queue("grow late")
		if err := first.yield(4); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("yield below the minimum: %v", err)
		}
		if _, err := first.resize(want("1..4 exclusive")); err != nil {
			t.Fatal(err)
		}
		if err := first.yield(4); err != nil {
			t.Fatal(err)
		}
		r.on(first, "7 5 6") // the last vcore takes the place of the one that went
		r.on(grow, "1 2 3 4")
		if q := r.s.Queue(); q[1].Owner != late.owner || q[1].Reason != "1 before it in the queue wants the same cores" {
			t.Errorf("%+v", q)
		}
		first.release()
		r.on(grow, "1 2 3 4 5")
		r.on(late, "6 7")
		r.queue("")
	})
}

func TestOrder(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		a := r.run("a", "3 exclusive on 1-3")
		b := r.run("b", "2 exclusive on 4-5")
		big := r.wait("big", "4 exclusive on 1-5")
		small := r.wait("small", "1 exclusive on 1-3")
		beside := r.run("beside", "1 exclusive on 1-7") // on cores that big cannot use
		r.on(beside, "6")
		b.release()
		r.on(big, "") // 4 and 5 are free, which is not enough
		r.queue("big small")
		_, err := r.proc("quick").start(want("1 exclusive on 4-5"), true)
		r.refused(err, syscall.EBUSY, "cores: want 1, have 0 free of 2 (2 awaited by others)")
		a.release()
		r.on(big, "1 2 3 4")
		r.on(small, "")
		big.release()
		r.on(small, "1")
	})
}

func TestGang(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		a := r.run("a", "3 exclusive on 1-3")
		gang := r.wait("gang", "1..5 exclusive gang")
		r.on(gang, "")
		a.release()
		r.on(gang, "4 5 6 7 1")
		b := r.run("b", "1..9 exclusive")
		r.on(b, "2 3")
		_, err := gang.resize(want("1..7 exclusive gang"))
		r.refused(err, syscall.EBUSY, "cores: want 7, have 0 free of 7 (5 its own, 2 claimed)")
		r.on(gang, "4 5 6 7 1")
		b.release()
		r.on(gang, "4 5 6 7 1") // it does not grow by itself
		if changed, err := gang.resize(want("1..7 exclusive gang")); !changed || err != nil {
			t.Fatal(changed, err)
		}
		r.on(gang, "4 5 6 7 1 2 3")
	})
}

func TestResize(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		p := r.run("p", "4 exclusive")
		r.on(p, "4 5 6 7")
		for _, c := range []struct{ words, want string }{
			{"2 exclusive", "4 5"},
			{"3 exclusive", "4 5 6"},
			{"3 exclusive on 2-5", "4 5 2"},
			{"3 exclusive on 1-3", "1 3 2"},
			{"2", "1 3"},
			{"2 exclusive", "1 3"},
			{"2 node 1", "4 5"},
		} {
			if _, err := p.resize(want(c.words)); err != nil {
				t.Fatal(err)
			}
			r.on(p, c.want)
		}
		changed, err := p.resize(want("2 node 1"))
		if changed || err != nil {
			t.Errorf("the same again: %v, %v", changed, err)
		}
		hog := r.run("hog", "5 exclusive") // leaves it two cores of its node
		r.on(hog, "1 2 3 6 7")
		r.on(p, "4 5")
	})
}

func TestResizeWaiting(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "2..3 exclusive")
		p := r.wait("p", "2 exclusive")
		if changed, err := p.resize(want("2..3 exclusive")); changed || err != nil {
			t.Fatal(changed, err)
		}
		r.on(p, "")
		if err := hog.yield(3); err != nil {
			t.Fatal(err)
		}
		r.on(p, "")
		if changed, err := p.resize(want("1 exclusive")); changed || err != nil {
			t.Fatal(changed, err)
		}
		r.on(p, "3")
		_, err := r.proc("x").resize(want("1"))
		r.refused(err, syscall.ESRCH, "the process was not started")
	})
}

func TestShared(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		a := r.run("a", "1")
		b := r.run("b", "2")
		c := r.run("c", "1")
		r.on(a, "0")
		r.on(b, "2 3")
		r.on(c, "1")
		d := r.run("d", "2..4")
		r.on(d, "0 1 2 3")
		x := r.run("x", "2 exclusive")
		r.on(x, "2 3")
		r.on(d, "0 1")
		r.on(b, "0 1")
	})
}

func TestSharedGivesWay(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		a := r.run("a", "1..4")
		r.on(a, "0 1 2 3")
		x := r.run("x", "2 exclusive")
		r.on(x, "2 3")
		r.on(a, "0 1")
		r.queue("a")
		y := r.run("y", "1 exclusive")
		r.on(y, "1")
		r.on(a, "0")
		x.release()
		r.on(a, "0 2 3")
		b := r.run("b", "2 on 2-3") // beside a
		_, err := r.proc("z").start(want("1 exclusive"), true)
		r.refused(err, syscall.EBUSY, "cores: want 1, have 0 free of 3 (1 claimed, 2 needed by shared work)")
		r.on(b, "2 3")
	})
}

// A shared request does not take what an earlier exclusive one waits for.
func TestSharedWaitsItsTurn(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "1 exclusive on 1")
		x := r.wait("x", "3 exclusive")
		a := r.run("a", "1") // core 0 is not for x
		_, err := r.proc("b").start(want("1 on 2"), true)
		r.refused(err, syscall.EBUSY, "cores: want what is left for those before it in the queue")
		c := r.wait("c", "1 on 2-3")
		r.on(c, "")
		hog.release()
		r.on(x, "2 3 1")
		r.on(a, "0")
		x.release()
		r.on(c, "2")
	})
}

func TestSharedThinsOut(t *testing.T) {
	scenario(t, 5, func(t *testing.T, r *rig) {
		x := r.run("x", "4 exclusive")
		var procs []*proc
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			procs = append(procs, r.run(name, "1"))
			r.on(procs[len(procs)-1], "0")
		}
		x.release()
		synctest.Wait()
		at := make(map[string]int)
		for _, p := range procs {
			at[p.has()]++
		}
		if len(at) != 5 {
			t.Errorf("five processes on five cores: %v", at)
		}
		r.check()
	})
}

func TestProvision(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		db := r.proc("db")
		web := r.run("web", "1 exclusive on 2")
		some := r.run("some", "1..2 on 3-4")
		r.on(some, "4 3")
		if err := r.s.Provision(root, db.owner, cores.Set{2, 3}); err != nil {
			t.Fatal(err)
		}
		r.on(some, "4") // shared work leaves
		r.on(web, "2")  // who has a core keeps it
		if got := r.s.Provisioned(db.owner).String(); got != "2-3" {
			t.Error(got)
		}
		_, err := r.proc("x").start(want("2 exclusive on 2-3"), true)
		r.refused(err, syscall.EBUSY, "cores: want 2, have 0 free of 2 (1 provisioned, 1 claimed)")
		late := r.wait("late", "1 exclusive on 2-3")
		web.release()
		r.on(late, "")
		if _, err := db.start(want("3 exclusive"), true); err != nil {
			t.Fatal(err)
		}
		r.on(db, "2 3 1")
		db.release()
		r.on(late, "") // a standing claim outlives the program
		if err := r.s.Provision(root, db.owner, cores.Set{3, 5}); err != nil {
			t.Fatal(err)
		}
		r.on(late, "2")
		r.refused(r.s.Provision(root, late.owner, cores.Set{5, 6}), syscall.EBUSY, "prov: core 5 is provisioned to db")
		r.refused(r.s.Provision(root, late.owner, cores.Set{0}), syscall.EBUSY, "prov: core 0 is a mgmt core (role app in its ctl makes it an application core)")
		r.refused(r.s.Provision(root, late.owner, cores.Set{8}), syscall.ENXIO, "no core 8: this machine has 8")
		if err := r.s.Provision(root, db.owner, nil); err != nil || len(r.s.Prov()) > 0 || r.s.Provisioned(db.owner) != nil {
			t.Errorf("%v, %v", err, r.s.Prov())
		}
	})
}

func TestProvisionNeedsRoom(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		r.run("some", "1 on 2")
		r.refused(r.s.Provision(root, kern.Owner{Proc: "db", Serial: 99}, cores.Set{2, 3}), syscall.EBUSY,
			"prov: shared work needs cores 2 and has nowhere else to go")
		if len(r.s.Prov()) > 0 {
			t.Errorf("%v", r.s.Prov())
		}
		r.check()
	})
}

func TestRights(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		p := r.proc("p")
		p.user = &sys.User{UID: sys.NobodyID - 1, Name: "65533"}
		const no = "class: user 65533 may claim no cores for itself alone (grant 65533 SET in sched/ctl allows it; class shared needs no grant)"
		_, err := p.start(want("1 exclusive"), false)
		r.refused(err, syscall.EPERM, no)
		r.refused(r.s.Provision(p.user, p.owner, cores.Set{1}), syscall.EPERM, "user 65533 has no right to cores 1 (grant 65533 SET in sched/ctl gives it)")
		r.refused(r.s.Switch(p.user, cores.Set{1}, kern.Offline, false), syscall.EPERM, "user 65533 has no right to cores 1 (grant 65533 SET in sched/ctl gives it)")
		r.refused(r.s.Allow(p.user, "65533", cores.Set{1}), syscall.EPERM, "grant: only root may")
		if err := r.s.Allow(root, "65533", cores.Set{2, 3}); err != nil {
			t.Fatal(err)
		}
		r.s.Allowed(func(who string, set cores.Set) {
			if who != "65533" || set.String() != "2-3" {
				t.Errorf("allowed %s %s", who, set)
			}
		})
		_, err = p.start(want("3 exclusive"), false)
		r.refused(err, syscall.EPERM, "cores: want 3, user 65533 may claim only of 2-3")
		if _, err := p.start(want("1..8 exclusive"), true); err != nil {
			t.Fatal(err)
		}
		r.on(p, "2 3")
		if err := r.s.Provision(p.user, p.owner, cores.Set{3}); err != nil {
			t.Error(err)
		}
		if err := r.s.Allow(root, "65533", nil); err != nil {
			t.Error(err)
		}
		if err := r.s.Provision(p.user, p.owner, nil); err != nil {
			t.Errorf("giving up needs a right: %v", err)
		}
		r.on(p, "2 3")
		if err := r.s.Allow(root, "no such user", cores.Set{1}); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%v", err)
		}
		if _, err := r.proc("q").start(want("1..8"), true); err != nil {
			t.Errorf("shared work needs a right: %v", err)
		}
	})
}

func TestOwnUserMayAll(t *testing.T) {
	d := coretest.Fake(4)
	s := sched.New(kern.New(d, kern.Options{}), sched.Options{Self: glen})
	if err := s.Check(glen, want("4 exclusive")); err != nil {
		t.Error(err)
	}
	none := &sys.User{UID: glen.UID, None: true}
	if err := s.Check(none, want("1 exclusive")); !errors.Is(err, syscall.EPERM) {
		t.Errorf("user none: %v", err)
	}
}

func TestSwitch(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		db := r.run("db", "2..4 exclusive on 4-7")
		some := r.run("some", "1..3 on 1-3")
		r.on(some, "1 2 3")
		r.refused(r.s.Switch(root, cores.Set{3, 4}, kern.Offline, false), syscall.EBUSY,
			"core 4 in use by db, core 3 in use by some (force takes cores away as far as the minimum allows)")
		if err := r.s.Switch(root, cores.Set{3, 4}, kern.Offline, true); err != nil {
			t.Fatal(err)
		}
		r.on(db, "7 5 6")
		r.on(some, "1 2")
		if r.driver.Online(3) || r.driver.Online(4) {
			t.Error("still online")
		}
		r.refused(r.s.Switch(root, cores.Set{5, 6}, kern.Offline, true), syscall.EBUSY,
			"cores 5-6 in use by db: want 2, have 0 free of 4 (1 its own, 1 offline, 2 to be given up)")
		r.on(db, "7 5 6")
		if err := r.s.Switch(root, cores.Set{3, 4}, kern.Online, false); err != nil {
			t.Fatal(err)
		}
		r.on(db, "7 5 6 4")
		r.on(some, "1 2 3")
		r.refused(r.s.Switch(root, cores.Set{5}, kern.RoleMgmt, false), syscall.EBUSY,
			"core 5 in use by db (force takes cores away as far as the minimum allows)")
		if err := r.s.Switch(root, cores.Set{2}, kern.RoleMgmt, false); err != nil {
			t.Errorf("shared work minds a mgmt core: %v", err)
		}
		r.refused(r.s.Switch(root, cores.Set{0, 1, 2, 3, 4, 5, 6, 7}, kern.Offline, true), syscall.EBUSY, "no core would be left online")
		r.refused(r.s.Switch(root, nil, kern.Offline, true), syscall.EINVAL, "no cores named")
		r.refused(r.s.Switch(root, cores.Set{1}, kern.Claim, true), syscall.EINVAL, "not a switch of a core")
		fault := sys.Errorf(syscall.EOPNOTSUPP, "core 1 cannot be switched")
		r.driver.FailDo(func(cores.ID, cores.Op) error { return fault })
		if err := r.s.Switch(root, cores.Set{1}, kern.QuietOn, false); !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Errorf("%v", err)
		}
		r.check()
	})
}

// What force takes away is made up for by other cores that are free.
func TestSwitchReplaces(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		db := r.run("db", "3 exclusive")
		r.on(db, "1 2 3")
		some := r.run("some", "1 on 4")
		if err := r.s.Switch(root, cores.Set{1}, kern.Offline, true); err != nil {
			t.Fatal(err)
		}
		r.on(db, "5 2 3") // 4 is not taken from others for it
		r.on(some, "4")
	})
}

func TestOnlineServesTheQueue(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		if err := r.s.Switch(root, cores.Set{3}, kern.Offline, false); err != nil {
			t.Fatal(err)
		}
		p := r.wait("p", "3 exclusive")
		if err := r.s.Switch(root, cores.Set{3}, kern.Online, false); err != nil {
			t.Fatal(err)
		}
		r.on(p, "2 3 1")
		q := r.wait("q", "1 exclusive")
		if err := r.s.Switch(root, cores.Set{0}, kern.RoleApp, false); err != nil {
			t.Fatal(err)
		}
		r.on(q, "0")
	})
}

func TestFailedStartIsForgotten(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "3 exclusive")
		bad := r.wait("bad", "2 exclusive")
		good := r.wait("good", "2 exclusive")
		bad.fail = sys.Errorf(syscall.ENOENT, "no such program")
		hog.release()
		r.on(good, "2 3")
		r.on(bad, "")
		if got := r.alloc(); got != "good: 2 3" {
			t.Error(got)
		}
		good.release()
		if _, err := bad.start(want("1 exclusive"), true); err != nil {
			t.Errorf("it cannot be started again: %v", err)
		}
	})
}

func TestFailedGrowth(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "2 exclusive")
		p := r.run("p", "1..3 exclusive")
		r.on(p, "1")
		p.fail = sys.Errorf(syscall.EINVAL, "cannot be moved")
		hog.release()
		r.on(p, "1")
		if got := r.alloc(); got != "p: 1" || p.told != 1 {
			t.Errorf("%s; told %d times", got, p.told)
		}
		if _, err := p.resize(want("1..3 exclusive")); err != nil {
			t.Fatal(err)
		}
		r.on(p, "1 2 3")
	})
}

func TestSharedMinimumHolds(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		a := r.run("a", "3 on 1-3")
		_, err := r.proc("x").start(want("1 exclusive"), true)
		r.refused(err, syscall.EBUSY, "cores: want 1, have 0 free of 3 (3 needed by shared work)")
		r.on(a, "2 3 1")
	})
}

// Shared work that cannot be moved stays.
func TestFailedMove(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		a := r.run("a", "1 on 2-3")
		r.on(a, "2")
		r.run("b", "1 exclusive on 1")
		a.fail = sys.Errorf(syscall.EINVAL, "stuck")
		x := r.proc("x")
		_, err := x.start(want("1 exclusive on 2"), true)
		r.refused(err, syscall.EBUSY, "cores: want 1, have 0 free of 1 (1 needed by shared work)")
		r.on(a, "2")
		if a.told != 1 {
			t.Errorf("told %d times", a.told)
		}
		if _, err := x.start(want("1 exclusive on 2"), false); err != nil {
			t.Fatal(err)
		}
		if _, err := a.resize(want("1 on 2-3")); err != nil { // it may be tried again
			t.Fatal(err)
		}
		r.on(a, "3")
		r.on(x, "2")
	})
}

// A move in the air keeps nobody waiting but who needs it; a release in the
// middle leaves nothing behind.
func TestReleaseInMidMove(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		a := r.run("a", "1 on 2-3")
		gate := make(chan struct{})
		a.in = func() { <-gate }
		x := r.proc("x")
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err = x.start(want("1 exclusive on 2"), false)
		}()
		synctest.Wait()
		r.run("y", "1 exclusive on 1")
		x.s.Release(x)
		a.s.Release(a)
		close(gate)
		<-done
		if !errors.Is(err, syscall.ESRCH) {
			t.Errorf("start of one that was released: %v", err)
		}
		synctest.Wait()
		if got := r.alloc(); got != "y: 1" {
			t.Error(got)
		}
		r.check()
	})
}

func TestResizeInMidStart(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "3 exclusive")
		some := r.run("some", "1 on 0")
		p := r.wait("p", "1..2 exclusive")
		gate := make(chan struct{})
		p.in = func() { <-gate }
		hog.release()
		synctest.Wait()
		if changed, err := p.resize(want("1 exclusive")); !changed || err != nil {
			t.Errorf("resize while the start is on its way: %v, %v", changed, err)
		}
		close(gate)
		r.on(p, "2")
		_, err := p.start(want("1"), false)
		r.refused(err, syscall.EBUSY, "start: p is started already")
		p.release()

		hog = r.run("hog", "2 exclusive on 1-2")
		if _, err := some.resize(want("1 on 2-3")); err != nil {
			t.Fatal(err)
		}
		r.on(some, "3")
		q := r.wait("q", "2 exclusive on 1,3")
		gate = make(chan struct{})
		some.in = func() { <-gate }
		hog.release()
		synctest.Wait() // q has its cores when some has left
		_, err = q.resize(want("1 exclusive on 1,3"))
		r.refused(err, syscall.EBUSY, "q is just being started: try again")
		close(gate)
		r.on(some, "2")
		r.on(q, "1 3")
	})
}

// Two that run shared and both turn exclusive want each other out of the way.
func TestNoRingOfWaiting(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		var procs []*proc
		for range 6 {
			procs = append(procs, r.run("p", "1..3"))
		}
		var all sync.WaitGroup
		for _, p := range procs {
			all.Go(func() {
				for _, words := range []string{"1..2 exclusive", "1..3", "1 exclusive", "2", "1..3 exclusive"} {
					_, _ = p.resize(want(words)) // refusals are fine, standing still is not
				}
			})
		}
		all.Wait()
		synctest.Wait()
		r.check()
	})
}

func TestExplain(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		p := r.proc("p")
		explain := func(p *proc, words, text string) {
			t.Helper()
			synctest.Wait()
			if got := r.s.Explain(p, want(words)); got != text {
				t.Errorf("%s: got\n%swant\n%s", words, got, text)
			}
		}
		explain(p, "4 exclusive", "would get 4 of 4 cores now: 4-7 (compact: same last-level cache 1, next to nothing of others)\n")
		explain(p, "8 exclusive", "would be refused: cores: want 8, this machine has 7 application cores\n")
		explain(p, "2..9 exclusive", "would get 7 of 9 cores now: 1-7 (compact: over 2 sockets, 2 nodes and 2 last-level caches, next to nothing of others)\nwould wait for 2 more\n")
		r.run("some", "1 on 4-5")
		explain(p, "4 exclusive on 4-7 gang", "would wait: want 4..4 exclusive, all or none (on 4-7): want 4, have 3 free of 4 (1 needed by shared work)\n")
		explain(p, "3 exclusive on 1-4", "would get 3 of 3 cores now: 1-3 (compact: same last-level cache 0, next to nothing of others)\n")
		explain(p, "1 exclusive on 4", "would get 1 of 1 cores now: 4 (compact: next to nothing of others)\nshared work would move out of its way: some\n")
		db := r.run("db", "2..7 exclusive on 1-3")
		explain(db, "1", "has 3 of 7 cores: 1-3 (compact: same last-level cache 0, next to nothing of others)\nwaits since 0 s for 4 more: want 7, have 0 free of 3 (3 its own)\n")
		web := r.wait("web", "5 exclusive")
		time.Sleep(3 * time.Second)
		explain(web, "1", "waits since 3 s: want 5..5 exclusive: want 5, have 4 free of 7 (3 claimed)\nbefore it in the queue: db\n")
		explain(p, "1 exclusive", "would wait: want 1..1 exclusive: want 1, have 0 free of 7 (3 claimed, 4 awaited by others)\nbefore it in the queue: db, web\n")
	})
}

func TestTables(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		r.run("db", "2..3 exclusive on 1-2")
		r.wait("web", "2..3 exclusive")
		if err := r.s.Provision(root, kern.Owner{Proc: "idle", Serial: 77}, cores.Set{3}); err != nil {
			t.Fatal(err)
		}
		q := r.s.Queue()
		if len(q) != 2 || q[0].Owner.Proc != "db" || q[0].Want != 1 || q[1].Want != 2 || q[1].Max != 3 || q[1].Class != sched.Exclusive {
			t.Errorf("%+v", q)
		}
		r.wait("last", "1 exclusive on 3")
		if r.s.Rebuild(); r.s.Queue()[2].Reason != "want 1, have 0 free of 1 (1 provisioned)" {
			t.Error(r.s.Queue()[2].Reason)
		}
		if q[1].Reason != "want 2, have 0 free of 3 (1 provisioned, 2 claimed)" {
			t.Error(q[1].Reason)
		}
		if p := r.s.Prov(); len(p) != 1 || p[0].Core != 3 || p[0].Owner.Proc != "idle" || p[0].Since.IsZero() {
			t.Errorf("%+v", p)
		}
		if a := r.s.Alloc(); len(a) != 2 || a[0].Core != 1 || a[0].Since.IsZero() {
			t.Errorf("%+v", a)
		}
	})
}

func TestSettings(t *testing.T) {
	r := newRig(t, 4)
	if r.s.Policy() != "compact" || r.s.Grace() != 10*time.Millisecond {
		t.Error(r.s.Policy(), r.s.Grace())
	}
	r.refused(r.s.SetPolicy("random"), syscall.EINVAL, `no policy "random" (compact|spread)`)
	if err := r.s.SetPolicy("spread"); err != nil || r.s.Policy() != "spread" {
		t.Error(err, r.s.Policy())
	}
	r.s.SetGrace(time.Second)
	r.s.SetQuantum(time.Minute)
	if r.s.Grace() != time.Second || r.s.Quantum() != time.Minute {
		t.Error(r.s.Grace(), r.s.Quantum())
	}
	p := r.run("p", "2 exclusive")
	if got := p.has(); got != "2 1" {
		t.Errorf("spread: %s", got)
	}
}

func TestEvents(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		q := r.m.Events().Open(100, "")
		defer q.Close()
		db := r.run("db", "2 exclusive")
		web := r.wait("web", "2 exclusive")
		db.release()
		r.on(web, "2 3")
		got := drain(q)
		for _, want := range []string{
			"granted proc/db 2 2-3 exclusive",
			"queued proc/web want 2 of 2..2 exclusive",
			"released proc/db -",
			"granted proc/web 2 2-3 exclusive",
		} {
			if !strings.Contains(got, " "+want+"\n") {
				t.Errorf("no event %q in\n%s", want, got)
			}
		}
	})
}

// A kernel that dies is rebuilt from what the scheduler answers it.
func TestKernelDies(t *testing.T) {
	var kill atomic.Int64 // 1 + the core whose kernel is to die
	r := newRigOn(t, coretest.Fake(4), kern.Options{Mgmt: cores.Set{0}, Fault: func(id cores.ID, phase string) {
		if kill.CompareAndSwap(int64(id)+1, 0) {
			panic("killed at " + phase)
		}
	}})
	db := r.run("db", "2 exclusive")
	if err := r.s.Provision(root, db.owner, cores.Set{2, 3}); err != nil {
		t.Fatal(err)
	}
	before := r.m.View().Core(2)
	kill.Store(2 + 1)
	if err := r.s.Switch(root, cores.Set{2}, kern.QuietOn, false); err != nil || kill.Load() != 0 {
		t.Fatalf("%v; killed: %v", err, kill.Load() == 0)
	}
	after := r.m.View().Core(2)
	if before.Owner != db.owner || before.Prov != db.owner || after.Owner != before.Owner || after.Prov != before.Prov || !after.Quiet {
		t.Errorf("before %+v, after %+v", before, after)
	}
	kill.Store(2 + 1)
	if _, err := db.resize(want("1 exclusive on 3")); err != nil || kill.Load() != 0 {
		t.Fatal(err)
	}
	if got := r.alloc(); got != "db: 3" {
		t.Error(got)
	}
	r.check()
}

// A kernel that is silent for a while holds nobody up but who needs its core,
// and gives it up when it is back.
func TestKernelIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Int64 // 1 + the core whose kernel is to hang
		gate := make(chan struct{})
		r := newRigOn(t, coretest.Fake(4), kern.Options{Mgmt: cores.Set{0}, Fault: func(id cores.ID, _ string) {
			if hang.Load() == int64(id)+1 {
				<-gate
			}
		}})
		db := r.run("db", "2 exclusive")
		r.on(db, "2 3")
		some := r.run("some", "1 on 0-1")
		hang.Store(2 + 1)
		db.release()
		began := time.Now()
		web := r.wait("web", "3 exclusive")
		if _, err := r.proc("x").start(want("1 exclusive on 3"), true); err == nil {
			t.Error("x got core 3 before web")
		}
		r.on(some, "0")
		if took := time.Since(began); took > 0 {
			t.Errorf("others were held up for %s", took)
		}
		hang.Store(0)
		close(gate)
		synctest.Wait()
		r.s.Rebuild() // serves the queue
		r.on(web, "2 3 1")
	})
}

// A core that goes offline by another's hand costs its users no more than it must.
func TestCoreIsLost(t *testing.T) {
	scenario(t, 8, func(t *testing.T, r *rig) {
		db := r.run("db", "2 exclusive on 4-7")
		web := r.run("web", "1..2 exclusive on 6-7")
		some := r.run("some", "1 on 1-2")
		r.on(some, "1")
		for _, id := range []cores.ID{1, 5, 6} {
			r.driver.SetOnline(id, false)
			r.m.Look(id)
		}
		synctest.Wait()
		r.s.Rebuild()
		r.on(some, "2")
		r.on(web, "7")
		r.on(db, "4 5") // it has no other
		web.release()
		r.on(db, "4 5")
	})
}

// Who asks while it is being moved learns where it is by the answer.
func TestResizeInMidMove(t *testing.T) {
	scenario(t, 2, func(t *testing.T, r *rig) {
		hog := r.run("hog", "1 exclusive")
		a, _ := r.run("a", "1"), r.run("b", "1")
		r.on(a, "0")
		gate := make(chan struct{})
		a.in = func() { <-gate }
		hog.release()
		synctest.Wait() // a is being told of core 1
		if changed, err := a.resize(want("1 kind cpu")); !changed || err != nil {
			t.Errorf("%v, %v", changed, err)
		}
		if got := r.alloc(); a.has() != "1" || got != "a: 1, b: 0" {
			t.Errorf("a has %s; %s", a.has(), got)
		}
		close(gate)
		r.on(a, "1")
	})
}

// A scheduler that comes to a machine in use keeps what the kernels hold.
func TestKeepsWhatKernelsHold(t *testing.T) {
	old, idle := kern.Owner{Proc: "old", Serial: 5}, kern.Owner{Proc: "idle", Serial: 6}
	r := newRigOn(t, coretest.Fake(4), kern.Options{Mgmt: cores.Set{0}, Holders: func(id cores.ID) (owner, prov kern.Owner) {
		switch id {
		case 1:
			return old, kern.Owner{}
		case 2:
			return kern.Owner{}, idle
		}
		return kern.Owner{}, kern.Owner{}
	}})
	p := r.run("p", "1..3 exclusive")
	if got := p.has(); got != "3" {
		t.Errorf("p has %s", got)
	}
	if got := r.alloc(); got != "old: 1, p: 3" {
		t.Error(got)
	}
	if got := r.s.Provisioned(idle); got.String() != "2" {
		t.Errorf("provisioned %s", got)
	}
	r.refused(r.s.Switch(root, cores.Set{1}, kern.Offline, true), syscall.EBUSY, "core 1 is in use by old, which this server did not start")
	r.check()
}

// A refusal that comes after a newer answer takes nothing back.
func TestLateRefusal(t *testing.T) {
	scenario(t, 4, func(t *testing.T, r *rig) {
		hog := r.run("hog", "2 exclusive")
		p := r.run("p", "1..3 exclusive")
		r.on(p, "1")
		gate := make(chan struct{})
		p.in = func() { <-gate }
		p.fail = sys.Errorf(syscall.EINVAL, "too late")
		hog.release()
		synctest.Wait() // p is being told of 1, 2 and 3
		if changed, err := p.resize(want("2 exclusive")); !changed || err != nil {
			t.Fatal(changed, err)
		}
		close(gate)
		r.on(p, "1 2")
		if got := r.alloc(); got != "p: 1 2" {
			t.Error(got)
		}
	})
}

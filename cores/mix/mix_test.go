package mix

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
)

// scripted is a driver whose programs end at once where the suite wants that.
type scripted struct{ *coretest.FakeDriver }

func (s scripted) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	if len(p.Args) > 0 && p.Args[0] == "foreign" {
		return nil, sys.Errorf(syscall.ENOEXEC, "no program")
	}
	j, err := s.FakeDriver.Launch(p, slots)
	if err != nil {
		return nil, err
	}
	n := 0
	if len(p.Args) > 1 {
		n, _ = strconv.Atoi(p.Args[1])
	}
	switch p.Args[0] {
	case "exit":
		j.(*coretest.FakeJob).End(cores.Exit{Code: n})
	case "die":
		j.(*coretest.FakeJob).End(cores.Exit{Signal: n})
	}
	return j, nil
}

func two(t *testing.T) (cores.Driver, *coretest.FakeDriver, *coretest.FakeDriver) {
	t.Helper()
	a, b := coretest.Fake(4), coretest.Fake(6)
	d, err := New(scripted{a}, scripted{b})
	if err != nil {
		t.Fatal(err)
	}
	return d, a, b
}

func TestSuite(t *testing.T) {
	one := func(t *testing.T) cores.Driver { // the suite moves programs all over the machine
		d, err := New(scripted{coretest.Fake(8)})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	coretest.Run(t, one, coretest.Programs{
		Exit:   func(code int) []string { return []string{"exit", strconv.Itoa(code)} },
		Die:    func(sig int) []string { return []string{"die", strconv.Itoa(sig)} },
		Run:    []string{"run"},
		Switch: true,
	})
}

// simulated is a simulator of no cores.
type simulated struct {
	cores.Simulator
	closed *int
}

func (simulated) Name() string        { return "simulated" }
func (simulated) Cores() []cores.Info { return nil }
func (s simulated) Close() error      { *s.closed++; return nil }

// TestTwoSimulators: they are refused, and nothing is left open.
func TestTwoSimulators(t *testing.T) {
	closed := 0
	_, err := New(scripted{coretest.Fake(2)}, simulated{closed: &closed}, simulated{closed: &closed})
	if sys.Errno(err) != syscall.EINVAL || err.Error() != "one machine of a mix can be simulated, not both simulated and simulated" {
		t.Error(err)
	}
	if closed != 2 {
		t.Errorf("%d of 2 were closed", closed)
	}
}

func TestNumbers(t *testing.T) {
	d, _, b := two(t)
	infos := d.Cores()
	if len(infos) != 10 || d.Name() != "fake+fake" {
		t.Fatalf("%d cores of %s", len(infos), d.Name())
	}
	seen := make(map[int]bool)
	for i, info := range infos {
		if int(info.ID) != i || seen[info.Core] {
			t.Errorf("core %d has ID %d, physical core %d (twice: %t)", i, info.ID, info.Core, seen[info.Core])
		}
		seen[info.Core] = true
	}
	if infos[3].Node == infos[4].Node || infos[3].LLC == infos[4].LLC {
		t.Errorf("cores of two machines share a node or a cache: %+v %+v", infos[3], infos[4])
	}
	if got := d.Distance(3, 4); got != apart {
		t.Errorf("distance of machines: %d", got)
	}
	if got, want := d.Distance(4, 9), b.Distance(0, 5); got != want {
		t.Errorf("distance within: %d, want %d", got, want)
	}
	if err := d.Do(5, cores.Offline); err != nil || b.Online(1) || d.Online(5) || !d.Online(4) {
		t.Errorf("offline 5: %v, %t %t %t", err, b.Online(1), d.Online(5), d.Online(4))
	}
}

func TestOneMachine(t *testing.T) {
	d, a, b := two(t)
	_, err := d.Launch(cores.Program{Name: "x", Args: []string{"run"}}, []cores.Slot{{VCore: 0, Core: 3}, {VCore: 1, Core: 4}})
	if sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "core 3 is of fake, core 4 of fake") {
		t.Errorf("across machines: %v", err)
	}
	_, err = d.Launch(cores.Program{Name: "x", Args: []string{"foreign"}}, []cores.Slot{{VCore: 0, Core: 3}})
	if sys.Errno(err) != syscall.ENOEXEC || !strings.HasPrefix(err.Error(), "no program (on cores of fake; kind says which others: ") {
		t.Errorf("another machine's program: %v", err)
	}
	j, err := d.Launch(cores.Program{Name: "y", Args: []string{"run"}}, []cores.Slot{{VCore: 0, Core: 9}})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Jobs()) != 0 || len(b.Jobs()) != 1 || b.Job("y").Slots()[0].Core != 5 {
		t.Errorf("it is not on core 5 of the second machine")
	}
	if err := j.Place([]cores.Slot{{VCore: 0, Core: 2}}); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("moved to another machine: %v", err)
	}
	if err := j.Place([]cores.Slot{{VCore: 0, Core: 7}}); err != nil || b.Job("y").Slots()[0].Core != 3 {
		t.Errorf("move: %v", err)
	}
	if err := j.Kill(); err != nil {
		t.Error(err)
	}
}

func TestForeign(t *testing.T) {
	d, a, b := two(t)
	a.SetForeign(1, "one")
	b.SetForeign(2, "two")
	if got := strings.Join(d.Foreign([]cores.ID{1, 6}), " "); got != "one two" {
		t.Errorf("foreign: %q", got)
	}
	if got := d.Foreign([]cores.ID{0, 5}); len(got) != 0 {
		t.Errorf("foreign of others: %q", got)
	}
}

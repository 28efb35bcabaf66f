package tree

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
)

// A coreTest is a directory of cores as a user sees it in process.
type coreTest struct {
	*chanTest
	d *coretest.FakeDriver
	m *kern.Machine
}

// newCoreTest has n cores, of which 0 is a mgmt core. Alice may switch cores
// from 1 on, as if it had been granted to her.
func newCoreTest(t *testing.T, n int, opt kern.Options) *coreTest {
	d := coretest.Fake(n)
	opt.Mgmt = cores.Set{0}
	m := kern.New(d, opt)
	change := func(u *sys.User, set cores.Set, op kern.MoveOp, force bool) error {
		if set.Has(0) && !u.Root() {
			return sys.Errorf(syscall.EPERM, "user %s has no right to cores 0", u.Name)
		}
		var moves []kern.Move
		for _, id := range set {
			if c := m.View().Core(id); force && c.Owner != (kern.Owner{}) {
				moves = append(moves, kern.Move{Core: id, Op: kern.Release, Owner: c.Owner})
			}
			moves = append(moves, kern.Move{Core: id, Op: op})
		}
		return m.Agree(moves)
	}
	root := newCores(m, change, func(cores.ID) string { return "pinned" })(nil)
	return &coreTest{&chanTest{t, root, &sys.User{UID: 1000, GID: 1000, Name: "alice"}}, d, m}
}

func (t *coreTest) claim(op kern.MoveOp, proc string, ids ...cores.ID) {
	t.Helper()
	var moves []kern.Move
	for _, id := range ids {
		moves = append(moves, kern.Move{Core: id, Op: op, Owner: kern.Owner{Proc: proc, Serial: 1}})
	}
	if err := t.m.Agree(moves); err != nil {
		t.Fatal(err)
	}
}

func (t *coreTest) wantText(path, want string) {
	t.Helper()
	if got := t.cat(path); got != want {
		t.Errorf("%s is\n%s\nwant\n%s", path, got, want)
	}
}

func TestCoresStat(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{})
	c.claim(kern.Claim, "db", 1, 2)
	c.claim(kern.Provision, "web", 3)
	c.d.SetRate(1, cores.Rate{User: 900, Sys: 50, IRQ: 1, Idle: 49})
	c.d.SetOnline(3, false)
	c.wantText("stat", "0 cpu online 0 0 0 0 - - mgmt - 0 0 0 1000\n"+
		"1 cpu online 0 0 0 0 db - app pinned 900 50 1 49\n"+
		"2 cpu online 1 1 1 0 db - app pinned 0 0 0 1000\n"+
		"3 cpu offline 1 1 1 0 - web app - 0 0 0 1000\n")
}

func TestCoresTopologyAndDistance(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{})
	c.wantText("topology", "0 cpu 0 0 0 0 0 0 2000 fake\n1 cpu 0 0 0 0 1 0 2000 fake\n"+
		"2 cpu 1 1 0 1 2 0 2000 fake\n3 cpu 1 1 0 1 3 0 2000 fake\n")
	c.wantText("distance", "0 2 20 20\n2 0 20 20\n20 20 0 2\n20 20 2 0\n")
}

func TestDistanceOfALargeMachine(t *testing.T) {
	c := newCoreTest(t, mostDistances+1, kern.Options{})
	h := c.open("distance", fs.ORead)
	defer h.Close()
	a := ask(c.user)
	h.Read(&a.Call, 0)
	c.want(a.err, syscall.EFBIG, "use topology")
}

func TestUnknownIsADash(t *testing.T) {
	d := coretest.FakeOf([]cores.Info{{ID: 0, Node: -1, Socket: -1, Die: -1, LLC: -1, Core: -1, SMT: -1, MHz: -1, CPU: -1}})
	d.SetStat(0, cores.Stat{User: 1500, Sys: -1, Ticks: -1})
	d.SetNoise(0, cores.Noise{Ticks: 99.6, Calls: -1})
	root := newCores(kern.New(d, kern.Options{}), nil, nil)(nil)
	c := &coreTest{&chanTest{t, root, &sys.User{UID: 1000}}, d, nil}
	c.wantText("topology", "0 - - - - - - - - -\n")
	c.wantText("stat", "0 - online - - - - - - app - 0 0 0 1000\n")
	c.wantText("0/stat", "user_us 1\nsys_us -\nirq_us 0\nsoftirq_us 0\nsteal_us 0\nidle_us 0\nswitches 0\ninterrupts 0\nticks -\nmessages_in 0\nmessages_out 0\n")
	c.wantText("0/noise", "ticks 100\ninterrupts 0\nsoftirqs 0\nreschedules 0\ncalls -\ntlb 0\nswitches 0\nsteal_permille 0\n"+
		"probe -\nprobe_us -\nprobe_pieces -\nprobe_least_ns -\nprobe_most_ns -\nprobe_hits -\nprobe_lost_us -\n")
}

func TestCoreStatus(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{})
	c.claim(kern.Claim, "db", 2)
	got := regexp.MustCompile(`since_s \d+`).ReplaceAllString(c.cat("2/status"), "since_s T")
	want := "id 2\nkind cpu\nstate online\nrole app\nowner db\nprov -\ntier pinned\nepoch 2\nquiet off\nkernel alive\nsince_s T\n" +
		"node 1\nsocket 1\ndie 0\nllc 1\ncore 2\nsmt 0\nmhz 2000\nisa fake\ncpu 2\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	keys := coreDir().Files[1].Format
	for i, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if key, _, _ := strings.Cut(line, " "); key != strings.Fields(keys)[i] {
			t.Errorf("line %d is %q, the manual says %s", i, line, keys)
		}
	}
}

func TestCoreNames(t *testing.T) {
	c := newCoreTest(t, 3, kern.Options{})
	for _, name := range []string{"3", "-1", "00", "+1", "1x", "", "stats", "99999999999999999999"} {
		if _, err := c.walk(name); sys.Errno(err) != syscall.ENOENT {
			t.Errorf("%q: %v", name, err)
		}
	}
	var names []string
	list := func(from uint64, most int) (next uint64) {
		err := c.root.List(&ask(c.user).Call, from, func(s fs.Stat, n uint64) bool {
			names, next = append(names, s.Name), n
			most--
			return most > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	list(list(0, 5), 100) // in two parts
	if got := strings.Join(names, " "); got != "ctl stat topology distance 0 1 2" {
		t.Errorf("listed %q", got)
	}
	c.want(c.change(fs.OpMake, "9"), syscall.EPERM, "")
	c.want(c.change(fs.OpRemove, "1"), syscall.EPERM, "")
	a, b := must(c.walk("1")), must(c.walk("1/status"))
	if a.Qid() == b.Qid() || a.Qid() != must(c.walk("1")).Qid() || a.Qid() == must(c.walk("2")).Qid() {
		t.Error("qids are not one a file")
	}
}

func must(n fs.Node, err error) fs.Node {
	if err != nil {
		panic(err)
	}
	return n
}

func TestCoreSettings(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{Only: cores.NewSet(0, 1, 2)})
	c.wantText("1/ctl", "online\nrole app\nquiet off\n")
	for _, cmd := range []string{"offline\n", "role mgmt\n", "quiet on\n"} {
		if err := c.echo(cmd, "1/ctl"); err != nil {
			t.Fatalf("%q: %v", cmd, err)
		}
	}
	c.wantText("1/ctl", "offline\nrole mgmt\nquiet on\n")
	if c.d.Online(1) || !c.d.Quiet(1) {
		t.Error("the driver was not told")
	}
	c.wantText("ctl", "online 0,2\noffline 1,3\nrole 0-1 mgmt\nrole 2-3 app\nquiet 0,2-3 off\nquiet 1 on\n")
	for _, path := range []string{"1/ctl", "2/ctl", "3/ctl"} {
		saved := c.cat(path)
		if err := c.echo(saved, path); err != nil {
			t.Errorf("setting %s to what it is: %v", path, err)
		}
		c.wantText(path, saved)
	}
	root := &chanTest{t, c.root, &sys.User{Name: "root"}}
	saved := root.cat("ctl")
	if err := root.echo("online 1\nrole 1,2 app\nquiet 0-2 off\n", "ctl"); err != nil {
		t.Error(err)
	}
	c.wantText("1/ctl", "online\nrole app\nquiet off\n")
	if err := root.echo(saved, "ctl"); err != nil {
		t.Error(err)
	}
	c.wantText("ctl", saved)
	c.d.SetOnline(2, false) // by another hand
	c.wantText("2/ctl", "offline\nrole app\nquiet off\n")
}

func TestCoreCtlRefuses(t *testing.T) {
	c := newCoreTest(t, 6, kern.Options{})
	c.claim(kern.Claim, "db", 2, 3)
	c.d.FailDo(func(_ cores.ID, op cores.Op) error {
		if op == cores.QuietOn {
			return sys.Errorf(syscall.EOPNOTSUPP, "this machine cannot")
		}
		return nil
	})
	for _, tt := range []struct {
		path, cmd string
		errno     syscall.Errno
		text      string
	}{
		{"2/ctl", "offline", syscall.EBUSY, "core 2: claimed by db"},
		{"2/ctl", "offline hard", syscall.EINVAL, `offline: want force, not "hard"`},
		{"2/ctl", "role mgmt", syscall.EBUSY, "core 2: claimed by db"},
		{"2/ctl", "role boss", syscall.EINVAL, `role: want mgmt|app, not "boss"`},
		{"1/ctl", "quiet on", syscall.EOPNOTSUPP, "core 1: this machine cannot"},
		{"1/ctl", "offlin", syscall.EINVAL, "offline?"},
		{"1/ctl", "measure", syscall.EINVAL, "usage: measure TIME"},
		{"1/ctl", "measure 1", syscall.EINVAL, "such as 1s"},
		{"1/ctl", "measure 1h", syscall.EINVAL, "such as 1s"},
		{"2/ctl", "measure 1s", syscall.EBUSY, "core 2 is claimed by db"},
		{"0/ctl", "offline", syscall.EPERM, "user alice has no right to cores 0"},
		{"0/ctl", "measure 1s", syscall.EPERM, "user alice has no right to cores 0"},
		{"ctl", "offline 1-5", syscall.EBUSY, "cores 2-3: claimed by db"},
		{"ctl", "offline 4-6", syscall.ENXIO, "no core 6"},
		{"ctl", "offline 5-4", syscall.EINVAL, "runs backwards"},
		{"ctl", "offline all", syscall.EINVAL, "want a list such as 0-3,8"},
		{"ctl", "offline", syscall.EINVAL, "offline SET"},
		{"ctl", "role mgmt 1-2", syscall.EINVAL, ""},
		{"ctl", "online 0-4000000000", syscall.EINVAL, "bad core set"},
		{"ctl", "online 0-2000000000", syscall.ENXIO, "no core"},
	} {
		before := c.cat("stat")
		err := c.echo(tt.cmd+"\n", tt.path)
		if sys.Errno(err) != tt.errno || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s: %s: got %v (%v), want %q (%v)", tt.path, tt.cmd, err, sys.Errno(err), tt.text, tt.errno)
		}
		if after := c.cat("stat"); after != before {
			t.Errorf("%s: %s changed something", tt.path, tt.cmd)
		}
	}
	if err := c.echo("offline 1-4 force\n", "ctl"); err != nil {
		t.Error(err)
	}
	if c.d.Online(2) {
		t.Error("core 2 is online")
	}
}

func TestMeasureCores(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{})
	if err := c.echo("measure 50ms\n", "1/ctl"); err != nil {
		t.Fatal(err)
	}
	got := c.cat("1/noise")
	if !strings.Contains(got, "probe done\nprobe_us 50000\nprobe_pieces 1\nprobe_least_ns 50000000\n") {
		t.Errorf("noise is\n%s", got)
	}
	c.d.SetNoise(2, cores.Noise{Probe: cores.Probe{Began: time.Unix(1, 0)}})
	if got := c.cat("2/noise"); !strings.Contains(got, "\nprobe running\nprobe_us -\n") {
		t.Errorf("noise is\n%s", got)
	}
	if err := c.echo("measure 1-3 50ms\n", "ctl"); err != nil {
		t.Error(err)
	}
}

func TestCoreStreams(t *testing.T) {
	c := newCoreTest(t, 4, kern.Options{})
	trace := c.open("2/trace", fs.ORead)
	defer trace.Close()
	c.claim(kern.Claim, "db", 1, 2)
	got := ""
	for range 3 {
		_, rest, _ := strings.Cut(c.read(trace), " ")
		got += rest
	}
	if want := "1 2 prepare 1 50\n2 1 yes 1 98\n1 2 commit 1 24\n"; got != want {
		t.Errorf("the trace is\n%s\nwant\n%s", got, want)
	}
	root := &chanTest{t, c.root, &sys.User{Name: "root"}}
	if err := root.echo("hello", "2/mbox"); err != nil {
		t.Fatal(err)
	}
	if got := root.cat("2/mbox"); got != "hello" {
		t.Errorf("the mbox has %q", got)
	}
	if _, err := c.tryOpen("2/mbox", fs.ORead); sys.Errno(err) != syscall.EACCES {
		t.Errorf("anybody may read an mbox: %v", err)
	}
}

func TestNobodySwitchesNoCore(t *testing.T) {
	c := newCoreTest(t, 2, kern.Options{})
	c.user = sys.Nobody()
	if c.cat("stat") == "" || c.cat("1/status") == "" {
		t.Error("the world may read")
	}
	for _, path := range []string{"ctl", "1/ctl", "1/mbox", "1/trace"} {
		if _, err := c.tryOpen(path, fs.OWrite); sys.Errno(err) != syscall.EACCES {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// BenchmarkCoresStat renders the table of 4,096 cores.
func BenchmarkCoresStat(b *testing.B) {
	m := kern.New(coretest.Fake(4096), kern.Options{})
	n := newCores(m, nil, nil)(nil)
	stat, err := n.Walk(&ask(&sys.User{}).Call, "stat")
	if err != nil {
		b.Fatal(err)
	}
	h, _, err := stat.Open(&ask(&sys.User{}).Call, fs.ORead)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	a := ask(&sys.User{})
	b.ReportAllocs()
	for b.Loop() {
		a.Init(&sys.User{}, 1, a, 1<<20, false)
		h.Read(&a.Call, 0)
	}
	b.ReportMetric(float64(len(a.data)), "bytes")
}

package tree

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched"
	"warren/sched/mcp"
)

// A procTest is a directory of processes as a user sees it in process.
type procTest struct {
	*chanTest
	set  *mcp.Set
	fake *coretest.FakeDriver
}

func newProcTest(t *testing.T) *procTest {
	alice := &sys.User{UID: 1000, GID: 1000, Name: "alice"}
	if uid := os.Geteuid(); uid != 0 {
		alice.UID = uint32(uid)
	}
	fake := coretest.Fake(8)
	m := kern.New(fake, kern.Options{Mgmt: cores.NewSet(0)})
	s := sched.New(m, sched.Options{Self: alice, Users: new(sys.Users)})
	set, err := mcp.NewSet(mcp.Config{Sched: s, Machine: m, Driver: fake, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		set.List(0, func(p *mcp.Proc) bool {
			_ = p.Kill(9) // of those that run
			return true
		})
		set.Halt()
	})
	return &procTest{&chanTest{t, newProcs(set)(nil), alice}, set, fake}
}

func (t *procTest) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await reads what may come later.
func (t *procTest) await(h fs.Handle) string {
	t.Helper()
	a := &awaited{done: make(chan struct{})}
	a.Init(t.user, 1, a, 1<<16, false)
	h.Read(&a.Call, -1)
	<-a.done
	if a.err != nil {
		t.Fatal(a.err)
	}
	return string(a.data)
}

// awaited is an answer that tells when it has come.
type awaited struct {
	answer
	done chan struct{}
}

func (a *awaited) Data(p []byte, lost func()) { a.answer.Data(p, lost); close(a.done) }
func (a *awaited) Error(err error)            { a.answer.Error(err); close(a.done) }

const settings = `exec server -x 'two words' 'it''s'
env A=1
env 'B=two words'
env C=
dir /tmp
cores 2..3
on 1-6
near 4
node any
kind cpu
class exclusive
gang off
prov none
grace 20ms
pin spread
hold on
keep
`

// TestProcRoundTrip: what cat ctl prints brings the settings back, in a fresh
// process and in the one that it came from, running and done.
func TestProcRoundTrip(tt *testing.T) {
	t := newProcTest(tt)
	t.ok(t.change(fs.OpMake, "a"))
	if got, want := t.cat("a/ctl"), "dir /\ncores 1\non any\nnear any\nnode any\nkind any\nclass shared\ngang off\nprov none\ngrace 10ms\npin compact\nhold off\n"; got != want {
		t.Errorf("a new process's ctl:\n%s", got)
	}
	fresh := t.cat("a/ctl")
	t.ok(t.echo(settings, "a/ctl"))
	if got := t.cat("a/ctl"); got != settings {
		t.Fatalf("ctl prints:\n%s", got)
	}
	t.ok(t.change(fs.OpMake, "b"))
	t.ok(t.echo(t.cat("a/ctl"), "b/ctl"))
	if got := t.cat("b/ctl"); got != settings {
		t.Errorf("another's ctl prints:\n%s", got)
	}
	t.ok(t.echo("start now\n", "a/ctl"))
	t.ok(t.echo(settings, "a/ctl"))
	t.ok(t.echo("cores 1..2", "a/ctl")) // another path than the saved one
	if got := t.cat("a/ctl"); !strings.Contains(got, "\ncores 1..2\n") {
		t.Errorf("after a resize ctl prints:\n%s", got)
	}
	t.want(t.echo("env A=2", "a/ctl"), syscall.EBUSY, "env: takes effect only before the start, and a is running")
	t.fake.Job("a").End(cores.Exit{})
	w := t.open("a/wait", fs.ORead)
	defer w.Close()
	t.await(w)
	t.ok(t.echo(t.cat("a/ctl"), "a/ctl"))
	t.want(t.echo("start", "a/ctl"), syscall.EBUSY, "start: a is done (exit 0): make another process")
	t.ok(t.echo(fresh, "b/ctl")) // back, but for what has no default
	if got := t.cat("b/ctl"); !strings.HasSuffix(got, strings.TrimPrefix(fresh, "dir /\n")+"keep\n") {
		t.Errorf("set back, ctl prints:\n%s", got)
	}
}

// keysOf are the first words of a status file's lines.
func keysOf(text string) string {
	var keys []string
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, " ")
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func TestProcText(tt *testing.T) {
	t := newProcTest(tt)
	t.ok(t.change(fs.OpMake, "db"))
	if got := t.cat("db/status"); keysOf(got) != statusFields {
		t.Errorf("status has %q", keysOf(got))
	}
	if got, want := t.cat("stat"), "db new alice - 1 - - - 0 -\n"; got != want {
		t.Errorf("stat is %q, want %q", got, want)
	}
	if got := t.cat("db/cores"); got != "" {
		t.Errorf("a new process has vcores: %q", got)
	}
	if got := t.cat("db/explain"); strings.Count(got, "\n") < 1 || strings.HasSuffix(got, "\n\n") {
		t.Errorf("explain is %q", got)
	}
	t.ok(t.echo("exec sleep '1 0'\nclass exclusive\ncores 2\non 3-4\nstart\n", "db/ctl"))
	t.fake.SetForeign(3, "make (pid 7) on core 3")
	status := t.cat("db/status")
	for _, want := range []string{
		"name db\nuser alice\nstate running\npid 1000\nmin 2\nmax 2\ncores 3-4\nclass exclusive\ntier pinned\ngang off\nprov -\nexit -\nreason -\ngrace_us 10000\npin compact\nstarted_s ",
		"\nforeign 'make (pid 7) on core 3'\n", "\ncommand 'sleep ''1 0'''\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("status is:\n%swithout %q", status, want)
		}
	}
	if f := strings.Fields(t.cat("stat")); strings.Join(f[:7], " ") != "db running alice 3-4 2 - 1000" || len(f) < 10 {
		t.Errorf("stat is %q", f)
	}
	t.fake.Job("db").SetThreads(cores.Thread{TID: 71, VCore: 1}, cores.Thread{TID: 70, VCore: 0})
	var map4 []string
	for line := range strings.Lines(t.cat("db/cores")) {
		map4 = append(map4, strings.Join(strings.Fields(line)[:5], " "))
	}
	if got := strings.Join(map4, "\n"); got != "0 3 70 running 1\n1 4 71 running 1" {
		t.Errorf("the vcore map is\n%s", got)
	}
	t.ok(t.echo("stop", "db/ctl"))
	if got := t.cat("db/cores"); !strings.Contains(got, " stopped 1 ") {
		t.Errorf("stopped, the vcore map is\n%s", got)
	}
}

func TestProcStreams(tt *testing.T) {
	t := newProcTest(tt)
	clone := t.open("clone", fs.ORead|fs.OWrite)
	name := strings.TrimSpace(t.read(clone))
	if name != "0" {
		t.Fatalf("clone made %q", name)
	}
	events, wait, follow := t.open("0/events", fs.ORead), t.open("0/wait", fs.ORead), t.open("0/follow", fs.ORead)
	t.ok(t.echo("some input", "0/stdin"))
	if _, err := t.tryOpen("0/stdin", fs.ORead); sys.Errno(err) != syscall.EACCES {
		t.Errorf("stdin opened for reading: %v", err)
	}
	t.ok(t.echo("eof", "0/ctl"))
	t.want(t.echo("more", "0/stdin"), syscall.EPIPE, "ended by eof")
	t.ok(t.write(clone, "exec x\nstart\n"))
	clone.Close()
	t.ok(t.echo("one\ntwo\n\n", "0/note"))
	for _, want := range []string{"granted 0 ", "note one\n", "note two\n"} {
		if got := t.await(events); !strings.HasPrefix(got, want) {
			t.Errorf("events have %q, want %q", got, want)
		}
	}
	t.want(t.echo(strings.Repeat("x", 5000), "0/note"), syscall.EMSGSIZE, "at most 4096")
	t.want(t.change(fs.OpRemove, "0"), syscall.EBUSY, "0 is running (pid 1000): kill it first")
	t.want(t.echo("rm", "0/ctl"), syscall.EBUSY, "kill it first")
	t.ok(t.echo("kill KILL", "0/ctl"))
	if got := t.await(events); got != "exit signal 9 KILL\n" {
		t.Errorf("events have %q", got)
	}
	if got := t.await(wait); got != "0 137 0 0 0 'signal 9 KILL'\n" {
		t.Errorf("wait has %q", got)
	}
	for name, h := range map[string]fs.Handle{"events": events, "wait": wait, "follow": follow} {
		if got := t.await(h); got != "" {
			t.Errorf("%s has %q after the end", name, got)
		}
		h.Close()
	}
	if got := t.cat("0/stdout"); got != "" {
		t.Errorf("stdout has %q", got)
	}
	t.ok(t.echo("rm", "0/ctl"))
	if _, err := t.walk("0"); sys.Errno(err) != syscall.ENOENT {
		t.Errorf("after rm: %v", err)
	}
}

func TestProcErrors(tt *testing.T) {
	t := newProcTest(tt)
	t.ok(t.change(fs.OpMake, "p"))
	for _, test := range []struct {
		line  string
		errno syscall.Errno
		text  string
	}{
		{"strat", syscall.EINVAL, `ctl: unknown verb "strat" (start?)`},
		{"start", syscall.EINVAL, "start: nothing to run"},
		{"start soon", syscall.EINVAL, "start: want now"},
		{"exec", syscall.EINVAL, "exec: wrong arguments"},
		{"exec ''", syscall.EINVAL, "exec: the program's name is empty"},
		{"env A", syscall.EINVAL, `env: want K=V, not "A"`},
		{"dir tmp", syscall.EINVAL, "dir: want an absolute path"},
		{"cores 0", syscall.EINVAL, "cores: want at least 1"},
		{"cores x", syscall.EINVAL, "cores: want N or MIN..MAX"},
		{"cores 3..2", syscall.EINVAL, "runs backwards"},
		{"cores 9", syscall.ENOSPC, "cores: want 9, this machine has 8"},
		{"on 0-8", syscall.ENXIO, "on: no core 8: this machine has 0-7"},
		{"on 99999999", syscall.ENXIO, "no core 99999999"},
		{"on 3-1", syscall.EINVAL, "on: bad core set"},
		{"near x", syscall.EINVAL, "near: want the number of a core, or any"},
		{"near -1", syscall.EINVAL, "near: want the number"},
		{"near 8", syscall.ENXIO, "near: no core 8"},
		{"node 2", syscall.ENXIO, "node: this machine has no node 2"},
		{"kind E", syscall.ENXIO, "kind: this machine has no cores of kind"},
		{"class exlusive", syscall.EINVAL, "(exclusive?)"},
		{"prov 9", syscall.ENXIO, "prov: no core 9"},
		{"grace 10", syscall.EINVAL, "grace: want a time"},
		{"grace 1h", syscall.EINVAL, "grace: want a time"},
		{"kill FROB", syscall.EINVAL, `kill: no signal "FROB"`},
		{"kill", syscall.ESRCH, "kill: p is new"},
		{"stop", syscall.ESRCH, "stop: p is new"},
		{"yield 0", syscall.EINVAL, "yield: want a number"},
		{"yield vcore x", syscall.EINVAL, "yield: want a number"},
		{"yield 1", syscall.ESRCH, "yield: p is new"},
	} {
		before := t.cat("p/ctl")
		t.want(t.echo(test.line, "p/ctl"), test.errno, test.text)
		if err := t.echo(test.line, "p/ctl"); err == nil {
			t.Errorf("%s succeeded", test.line)
		}
		if after := t.cat("p/ctl"); after != before {
			t.Errorf("%s failed and changed ctl:\n%s", test.line, after)
		}
	}
	for _, name := range []string{"7", "-x", ".x", "a/b", "clone", "stat", strings.Repeat("x", 300), "a b", ""} {
		if err := t.change(fs.OpMake, name); err == nil {
			t.Errorf("mkdir %q succeeded", name)
		}
	}
}

// TestProcRights: only the owner and root use a process; its group may look,
// and others see the line in stat.
func TestProcRights(tt *testing.T) {
	t := newProcTest(tt)
	t.ok(t.change(fs.OpMake, "p"))
	owner := t.user
	look, use := []string{"p/status", "p/ctl", "p/stdout", "p/wait"}, []string{"p/ctl", "p/stdin", "p/note"}
	can := func(path string, f fs.Flags) bool {
		h, err := t.tryOpen(path, f)
		if err == nil {
			h.Close()
		} else if sys.Errno(err) != syscall.EACCES {
			t.Errorf("open %s: %v", path, err)
		}
		return err == nil
	}
	for _, test := range []struct {
		user                *sys.User
		look, use, note, ls bool
	}{
		{owner, true, true, true, true},
		{&sys.User{Name: "root"}, true, true, true, true},
		{&sys.User{UID: 1001, GID: 1001, Groups: []uint32{1000}, Name: "bob"}, true, false, true, true},
		{&sys.User{UID: 1002, GID: 1002, Name: "eve"}, false, false, false, true},
		{sys.Nobody(), false, false, false, true},
	} {
		t.user = test.user
		for _, path := range look {
			if got := can(path, fs.ORead); got != test.look {
				t.Errorf("%s reads %s: %v", test.user.Name, path, got)
			}
		}
		for _, path := range use {
			want := test.use
			if path == "p/note" {
				want = test.note
			}
			if got := can(path, fs.OWrite); got != want {
				t.Errorf("%s writes %s: %v", test.user.Name, path, got)
			}
		}
		if got := can("stat", fs.ORead); got != test.ls {
			t.Errorf("%s reads stat: %v", test.user.Name, got)
		}
		if err := t.change(fs.OpRemove, "p"); !test.use && err == nil {
			t.Fatalf("%s removed the process", test.user.Name)
		} else if test.use {
			t.ok(err)
			t.user = owner
			t.ok(t.change(fs.OpMake, "p"))
		}
	}
}

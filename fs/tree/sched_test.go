package tree

import (
	"regexp"
	"syscall"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
	"warren/sched"
)

// claimant is a process that takes whatever it is granted.
type claimant struct{ owner kern.Owner }

func (c claimant) Owner() kern.Owner         { return c.owner }
func (c claimant) User() *sys.User           { return &sys.User{} }
func (c claimant) Granted(sched.Grant) error { return nil }

func newSchedTest(t *testing.T) (*chanTest, *sched.Scheduler) {
	m := kern.New(coretest.Fake(4), kern.Options{Mgmt: cores.Set{0}})
	s := sched.New(m, sched.Options{})
	return &chanTest{t, newSched(s, 4)(nil), &sys.User{Name: "root"}}, s
}

func TestSchedSettings(tt *testing.T) {
	t, s := newSchedTest(tt)
	const first = "policy compact\ngrace 10ms\nquantum 50ms\n"
	if got := t.cat("ctl"); got != first {
		t.Errorf("ctl is %q", got)
	}
	const next = "policy spread\ngrace 1.5s\nquantum 20ms\ngrant 65532 1\ngrant 65533 2-3\n"
	if err := t.echo(next, "ctl"); err != nil {
		t.Fatal(err)
	}
	if got := t.cat("ctl"); got != next {
		t.Errorf("ctl is %q, want %q", got, next)
	}
	if err := t.echo(t.cat("ctl"), "ctl"); err != nil || t.cat("ctl") != next {
		t.Errorf("once more: %v, %q", err, t.cat("ctl"))
	}
	if err := s.SetPolicy("compact"); err != nil { // by another path
		t.Fatal(err)
	}
	if err := t.echo("grant 65532 none\n"+first, "ctl"); err != nil {
		t.Fatal(err)
	}
	if got := t.cat("ctl"); got != first+"grant 65533 2-3\n" {
		t.Errorf("ctl is %q", got)
	}
}

func TestSchedCtlRefuses(tt *testing.T) {
	t, _ := newSchedTest(tt)
	for _, c := range []struct {
		line, text string
		errno      syscall.Errno
	}{
		{"policy compcat", `policy: want compact|spread, not "compcat" (compact?)`, syscall.EINVAL},
		{"grace 2m", "grace: want a time from 0s to 1m0s such as 10ms", syscall.EINVAL},
		{"quantum 0s", "quantum: want a time from 1ms to 1m0s such as 10ms", syscall.EINVAL},
		{"grant glen", "grant: wrong arguments (usage: grant USER SET|none)", syscall.EINVAL},
		{"grant 65533 3-1", "grant: bad core set", syscall.EINVAL},
		{"grant 65533 4", "no core 4: this machine has 0-3", syscall.ENXIO},
		{"grant no-such-user 1", `no user "no-such-user"`, syscall.ENOENT},
	} {
		t.want(t.echo(c.line, "ctl"), c.errno, c.text)
	}
	t.user = &sys.User{UID: 65533, Name: "65533"}
	_, err := t.tryOpen("ctl", fs.OWrite)
	t.want(err, syscall.EACCES, "permission denied")
	if got := t.cat("queue"); got != "" {
		t.Errorf("queue is %q", got)
	}
}

func TestSchedTables(tt *testing.T) {
	t, s := newSchedTest(tt)
	root := &sys.User{}
	request := sched.Request{Min: 2, Max: 3, Near: -1, Node: -1, Class: sched.Exclusive}
	for i, name := range []string{"db", "web"} {
		c := claimant{kern.Owner{Proc: name, Serial: uint64(i)}}
		if _, _, err := s.Start(c, request, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Start(claimant{kern.Owner{Proc: "some", Serial: 7}}, sched.Request{Min: 1, Max: 1, Near: -1, Node: -1}, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Provision(root, kern.Owner{Proc: "db"}, cores.Set{2}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{
		{"alloc", "0 some T\n1 db T\n2 db T\n3 db T\n"},
		{"prov", "2 db T\n"},
		{"queue", "web 2 2 3 exclusive T 'want 2, have 0 free of 3 (3 claimed)'\n"},
	} {
		if got := regexp.MustCompile(`\b\d{10}\b`).ReplaceAllString(t.cat(c.file), "T"); got != c.want {
			t.Errorf("%s is\n%swant\n%s", c.file, got, c.want)
		}
	}
}

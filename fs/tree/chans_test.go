package tree

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/fs"
	"warren/fs/sys"
	"warren/kern/chans"
)

// An answer is the sink of one call.
type answer struct {
	fs.Call
	data []byte
	n    int
	err  error
}

func (a *answer) Data(p []byte, _ func()) { a.data = bytes.Clone(p) }
func (a *answer) Count(n int)             { a.n = n }
func (a *answer) Error(err error)         { a.err = err }

func ask(u *sys.User) *answer {
	a := new(answer)
	a.Init(u, 1, a, 1<<16, false)
	return a
}

// A chanTest is a directory of channels as a user sees it in process.
type chanTest struct {
	*testing.T
	root fs.Node
	user *sys.User
}

func newChanTest(t *testing.T) *chanTest {
	return &chanTest{t, newChans(chans.NewSet(nil))(nil), &sys.User{UID: 1000, GID: 1000, Name: "alice"}}
}

func (t *chanTest) walk(path string) (fs.Node, error) {
	n := t.root
	for name := range strings.SplitSeq(path, "/") {
		next, err := n.Walk(&ask(t.user).Call, name)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

func (t *chanTest) tryOpen(path string, f fs.Flags) (fs.Handle, error) {
	n, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	h, _, err := n.Open(&ask(t.user).Call, f)
	return h, err
}

func (t *chanTest) open(path string, f fs.Flags) fs.Handle {
	t.Helper()
	h, err := t.tryOpen(path, f)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	return h
}

func (t *chanTest) read(h fs.Handle) string {
	t.Helper()
	a := ask(t.user)
	h.Read(&a.Call, -1)
	if !a.Answered() || a.err != nil {
		t.Fatalf("read: answered %v, %v", a.Answered(), a.err)
	}
	return string(a.data)
}

func (t *chanTest) write(h fs.Handle, text string) error {
	t.Helper()
	a := ask(t.user)
	h.Write(&a.Call, []byte(text), 0)
	if !a.Answered() {
		t.Fatalf("a write of %q waits", text)
	}
	return a.err
}

func (t *chanTest) cat(path string) string {
	t.Helper()
	h := t.open(path, fs.ORead)
	defer h.Close()
	return t.read(h)
}

func (t *chanTest) echo(text, path string) error {
	t.Helper()
	h := t.open(path, fs.OWrite|fs.OTrunc)
	defer h.Close()
	return t.write(h, text)
}

func (t *chanTest) change(op fs.Op, name string) error {
	return t.root.Change(&ask(t.user).Call, fs.Change{Op: op, Name: name, Mode: 0o777})
}

func (t *chanTest) want(err error, errno syscall.Errno, text string) {
	t.Helper()
	if errno == 0 && err == nil {
		return
	}
	if !errors.Is(err, errno) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v (%d), want %d and %q", err, sys.Errno(err), errno, text)
	}
}

func TestChanOfAUser(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "work"), 0, "")
	t.want(t.change(fs.OpMake, "work"), syscall.EEXIST, "exists")
	t.want(t.change(fs.OpMake, "17"), syscall.EINVAL, "digits")
	t.want(t.change(fs.OpMake, "stat"), syscall.EEXIST, "")
	r, w := t.open("work/data", fs.ORead), t.open("work/data", fs.OWrite)
	t.want(t.write(w, "hello\n"), 0, "")
	const status = "mode queue\ncap 64\nheld 1\nreaders 1\nwriters 1\nsent 1\nreceived 0\nbytes 6\nlost 0\nstate open\n"
	if got := t.cat("work/status"); got != status {
		t.Errorf("status:\n%s", got)
	}
	if got := t.cat("stat"); !strings.HasPrefix(got, "work queue 64 1 1 1 1 0 6 0 ") || strings.Count(got, " ") != 10 || !strings.HasSuffix(got, "\n") {
		t.Errorf("stat: %q", got)
	}
	if got := t.read(r); got != "hello\n" {
		t.Errorf("read %q", got)
	}
	t.want(t.change(fs.OpRemove, "work"), syscall.EBUSY, "chan work: 1 reader, 1 writer")
	t.want(t.echo("rm\n", "work/ctl"), syscall.EBUSY, "chan work: 1 reader, 1 writer")
	w.Close()
	t.want(t.echo("close", "work/ctl"), 0, "")
	if got := t.read(r); got != "" {
		t.Errorf("after close: read %q", got)
	}
	t.want(t.echo("x", "work/data"), syscall.EPIPE, "closed")
	r.Close()
	t.want(t.echo("rm\n", "work/ctl"), 0, "")
	if _, err := t.walk("work"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("walk to a removed channel: %v", err)
	}
}

func TestChanSettingsRoundTrip(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "a"), 0, "")
	t.want(t.change(fs.OpMake, "b"), 0, "")
	t.want(t.echo("cap 2K\nmode publish\nhangup on\nkeep\n", "a/ctl"), 0, "")
	const settings = "mode publish\ncap 2048\nhangup on\nkeep\n"
	saved := t.cat("a/ctl")
	if saved != settings {
		t.Fatalf("ctl:\n%s", saved)
	}
	t.want(t.echo(saved, "b/ctl"), 0, "")
	if got := t.cat("b/ctl"); got != settings {
		t.Errorf("restored:\n%s", got)
	}
	t.want(t.echo("hangup off\ncap 0\nmode queue\n", "a/ctl"), 0, "")
	if got := t.cat("a/ctl"); got != "mode queue\ncap 0\nhangup off\nkeep\n" {
		t.Errorf("set back:\n%s", got)
	}
}

func TestChanCtlRefuses(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "a"), 0, "")
	for _, bad := range []struct{ line, text string }{
		{"cap", "cap: wrong arguments (usage: cap N)"},
		{"cap many", `cap: want a number of messages from 0 to 65536, not "many"`},
		{"cap -1", "cap: want 0 to 65536 messages, not -1"},
		{"cap 65K", "not 66560 (and a channel holds at most 16777216 bytes)"},
		{"mode broadcast", `mode: want queue|publish, not "broadcast"`},
		{"hangup yes", "hangup: want on|off"},
		{"close now", "close: takes no arguments"},
		{"clsoe", `unknown verb "clsoe" (close?)`},
	} {
		t.want(t.echo(bad.line, "a/ctl"), syscall.EINVAL, bad.text)
	}
	if got := t.cat("a/ctl"); got != "mode queue\ncap 64\nhangup off\n" {
		t.Errorf("a refused command changed something:\n%s", got)
	}
	r := t.open("a/lines", fs.ORead)
	t.want(t.echo("mode publish", "a/ctl"), syscall.EBUSY, "mode: it can change when nobody has the channel open and it is empty, now: 1 reader")
	t.want(t.echo("mode queue", "a/ctl"), 0, "")
	r.Close()
}

func TestChanRights(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "mine"), 0, "")
	t.user = &sys.User{UID: 2000, GID: 2000, Name: "bob"}
	if _, err := t.walk("mine/data"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("a stranger walks in: %v", err)
	}
	t.want(t.change(fs.OpRemove, "mine"), syscall.EPERM, "owner")
	t.user = &sys.User{UID: 2000, GID: 2000, Groups: []uint32{1000}, Name: "carol"}
	t.want(t.echo("from the group\n", "mine/data"), 0, "")
	_, err := t.tryOpen("mine/ctl", fs.OWrite)
	t.want(err, syscall.EACCES, "denied")
	t.user = sys.Nobody()
	_, err = t.tryOpen("clone", fs.ORead)
	t.want(err, syscall.EACCES, "denied")
}

// `exec 3<>data` in a shell.
func TestChanOpenForBoth(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "work"), 0, "")
	h := t.open("work/data", fs.ORead|fs.OWrite)
	t.want(t.write(h, "to myself"), 0, "")
	if got := t.read(h); got != "to myself" {
		t.Errorf("read %q", got)
	}
	h.Close()
	if got := t.cat("work/status"); !strings.Contains(got, "readers 0\nwriters 0\n") {
		t.Errorf("status after close:\n%s", got)
	}
}

// A message that may be a part of a longer one is refused; lines may be cut.
func TestChanWriteThatFillsTheConnection(tt *testing.T) {
	t := newChanTest(tt)
	t.want(t.change(fs.OpMake, "work"), 0, "")
	for file, errno := range map[string]syscall.Errno{"work/data": syscall.EMSGSIZE, "work/lines": 0} {
		h := t.open(file, fs.OWrite)
		a := ask(t.user)
		a.MarkSplit()
		h.Write(&a.Call, []byte("one\ntwo"), 0)
		t.want(a.err, errno, "fill")
		h.Close()
	}
	if got := t.cat("work/data"); got != "one\n" {
		t.Errorf("read %q", got)
	}
}

func TestChanClone(t *testing.T) {
	synctest.Test(t, func(tt *testing.T) {
		t := newChanTest(tt)
		for _, name := range []string{"0", "1", "2"} {
			ctl := t.open("clone", fs.ORead)
			if got := t.read(ctl); got != name+"\n" {
				t.Errorf("clone made %q", got)
			}
			if name == "2" {
				t.want(t.write(ctl, "keep\n"), 0, "")
			}
			ctl.Close()
		}
		t.want(t.echo("used\n", "0/lines"), 0, "")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		var left []string
		err := t.root.List(&ask(t.user).Call, 0, func(s fs.Stat, _ uint64) bool {
			left = append(left, s.Name)
			return true
		})
		if got := strings.Join(left, " "); err != nil || got != "clone stat 0 2" {
			t.Errorf("left after two minutes: %s, %v", got, err)
		}
	})
}

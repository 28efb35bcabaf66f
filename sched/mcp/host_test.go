package mcp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/cores/host"
	"warren/sched"
	"warren/sched/mcp"
)

// hostRig is a rig on this machine's real cores.
func hostRig(t *testing.T) *rig { return hostRigIn(t, t.TempDir()) }

func hostRigIn(t *testing.T, dir string) *rig {
	d, err := host.Open(host.Options{Slots: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	r := newRig(t, d, dir)
	t.Cleanup(r.end)
	return r
}

// output is all that a program wrote to its stdout.
func output(t *testing.T, l *mcp.Log) string {
	t.Helper()
	defer l.Close()
	size, err := l.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := l.ReadAt(b, 0); int64(n) != size || err != nil {
		t.Fatalf("read %d of %d: %v", n, size, err)
	}
	return string(b)
}

// TestExits: exit statuses are exact, also for all signals that end a program.
func TestExits(t *testing.T) {
	r := hostRig(t)
	for _, code := range []int{0, 1, 2, 3, 42, 126, 127, 128, 200, 255} {
		p := r.run("exit"+strconv.Itoa(code), "sh", "-c", "exit "+strconv.Itoa(code))
		if got, want := r.ended(p), fmt.Sprintf("exit %d", code); got != want {
			t.Errorf("exit %d ended with %q", code, got)
		}
	}
	harmless := []syscall.Signal{unix.SIGCHLD, unix.SIGCONT, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGURG, unix.SIGWINCH}
	for sig := 1; sig <= 31; sig++ {
		if slices.Contains(harmless, syscall.Signal(sig)) {
			continue
		}
		p := r.run("sig"+strconv.Itoa(sig), "sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$; sleep 60", sig))
		want := fmt.Sprintf("sig%d %d ", sig, 128+sig)
		got := r.wait(p)
		name := strings.TrimPrefix(unix.SignalName(syscall.Signal(sig)), "SIG")
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, fmt.Sprintf("'signal %d %s'\n", sig, name)) {
			t.Errorf("signal %d: %q", sig, got)
		}
	}
	// The same, sent by kill.
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGKILL, unix.SIGUSR1} {
		p := r.run("kill"+strconv.Itoa(int(sig)), "sleep", "60")
		r.ok(p.Kill(int(sig)))
		if got := r.ended(p); !strings.HasPrefix(got, fmt.Sprintf("signal %d ", sig)) {
			t.Errorf("killed with %d: %q", sig, got)
		}
	}
}

// TestPlace: a program is where it is told from its first instruction on, and
// is told where that is.
func TestPlace(t *testing.T) {
	r := hostRig(t)
	p := r.proc("p", "sh", "-c", `echo "$WARREN_PROC $WARREN_CORES $OMP_NUM_THREADS $GOMAXPROCS $WARREN $WARREN_ADDR $USER $0"; pwd; echo err >&2`, "it's")
	r.ok(p.SetCores(2, 2))
	r.ok(p.SetOn(cores.NewSet(1, 2)))
	r.ok(p.SetDir("/tmp"))
	r.ok(p.Start(true))
	if got := r.ended(p); got != "exit 0" {
		t.Fatalf("ended with %s: %s", got, output(t, p.OpenStderr()))
	}
	if got, want := output(t, p.OpenStdout()), "p 1-2 2 2 /mnt/x unix!/x me it's\n/tmp\n"; got != want {
		t.Errorf("it wrote %q, want %q", got, want)
	}
	if got := output(t, p.OpenStderr()); got != "err\n" || p.StderrSize() != 4 {
		t.Errorf("stderr has %q, size %d", got, p.StderrSize())
	}
}

// TestProgramMissing: the errors of exec reach who starts.
func TestProgramMissing(t *testing.T) {
	r := hostRig(t)
	for _, test := range []struct {
		args  []string
		dir   string
		errno syscall.Errno
	}{
		{[]string{"no-such-program"}, "/", syscall.ENOENT},
		{[]string{"/etc/passwd"}, "/", syscall.EACCES},
		{[]string{"true"}, "/no/such/directory", syscall.ENOENT},
	} {
		p := r.proc("p", test.args...)
		r.ok(p.SetDir(test.dir))
		if err := p.Start(true); !errors.Is(err, test.errno) || p.State() != mcp.New {
			t.Errorf("start %q in %s: %v, %s", test.args, test.dir, err, p.State())
		}
		r.ok(p.Remove())
	}
}

// TestStdinData: megabytes from several writers reach the program whole.
func TestStdinData(t *testing.T) {
	r := hostRig(t)
	p := r.proc("p", "sha256sum")
	in := p.OpenStdin()
	defer in.Close()
	h := sha256.New()
	rnd := rand.NewChaCha8([32]byte{1})
	write := func(n int) {
		b := make([]byte, n)
		rnd.Read(b)
		h.Write(b)
		c := put(in, string(b))
		if c.wait(t); c.n != n {
			t.Fatalf("wrote %d of %d: %v", c.n, n, c.err)
		}
	}
	write(200 << 10) // before the start
	r.ok(p.Start(true))
	for i := range 200 {
		write(1 + i*499%(100<<10))
	}
	p.EOF()
	if got := r.ended(p); got != "exit 0" {
		t.Fatal(got)
	}
	if got, want := output(t, p.OpenStdout()), fmt.Sprintf("%x  -\n", h.Sum(nil)); got != want {
		t.Errorf("sha256sum says %q, want %q", got, want)
	}
}

// TestFollow: readers that come before the start, while it runs and after the
// end all get all of the output.
func TestFollow(t *testing.T) {
	r := hostRig(t)
	p := r.proc("p", "sh", "-c", `i=0; while read x; do i=$((i+1)); echo "$i $x"; done; seq 1 20000`)
	before, err := p.OpenFollow()
	r.ok(err)
	in := p.OpenStdin()
	defer in.Close()
	early := take(before)
	r.ok(p.Start(true))
	put(in, "a\n").wait(t)
	if got := early.text(t); got != "1 a\n" {
		t.Fatalf("the first that it wrote: %q", got)
	}
	early.lost()
	during, err := p.OpenFollow()
	r.ok(err)
	if got := take(during).text(t); got != "1 a\n" {
		t.Errorf("one that came later first got %q", got)
	}
	waits := take(during)
	put(in, "b\n").wait(t)
	if got := waits.text(t); got != "2 b\n" {
		t.Errorf("then %q", got)
	}
	no := &call{done: make(chan struct{}), nonblock: true}
	during.Take(no)
	cancelled := take(during)
	cancelled.interrupt()
	if !errors.Is(no.err, syscall.EAGAIN) || !errors.Is(cancelled.err, syscall.EINTR) {
		t.Errorf("reads at the end: %v, %v", no.err, cancelled.err)
	}
	p.EOF()
	var seq strings.Builder
	for i := 1; i <= 20000; i++ {
		fmt.Fprintln(&seq, i)
	}
	if got := drain(t, during); got != seq.String() {
		t.Errorf("the rest has %d bytes, want %d", len(got), seq.Len())
	}
	whole := "1 a\n2 b\n" + seq.String()
	if got := drain(t, before); got != whole {
		t.Errorf("what was given back and the rest have %d bytes, want %d", len(got), len(whole))
	}
	after, err := p.OpenFollow()
	r.ok(err)
	if got := drain(t, after); got != whole || p.StdoutSize() != int64(len(whole)) {
		t.Errorf("after the end it has %d bytes (size %d), want %d", len(got), p.StdoutSize(), len(whole))
	}
	log := p.OpenStdout()
	r.ok(p.Remove())
	if got := output(t, log); got != "" {
		t.Errorf("a log never read before rm has %d bytes after", len(got))
	}
	before.Close()
	during.Close()
	after.Close()
}

// TestStop: a stopped program does nothing until it is continued, or killed.
func TestStop(t *testing.T) {
	r := hostRig(t)
	p := r.run("p", "cat")
	in := p.OpenStdin()
	defer in.Close()
	out, err := p.OpenFollow()
	r.ok(err)
	defer out.Close()
	r.ok(p.Stop())
	put(in, "x\n").wait(t)
	c := take(out)
	r.ok(p.Cont())
	if got := c.text(t); got != "x\n" {
		t.Errorf("continued, it wrote %q", got)
	}
	r.ok(p.Stop())
	r.ok(p.Kill(int(unix.SIGTERM)))
	if got := r.ended(p); got != "signal 15 TERM" {
		t.Errorf("a stopped program that was terminated: %s", got)
	}
	q := r.run("q", "sleep", "60")
	r.ok(q.Stop())
	r.ok(q.Kill(int(unix.SIGKILL)))
	if got := r.ended(q); got != "signal 9 KILL" {
		t.Errorf("a stopped program that was killed: %s", got)
	}
}

// TestManyStarts: 300 programs leave no zombie, no descriptor and no file.
func TestManyStarts(t *testing.T) {
	r := hostRig(t)
	r.ended(r.run("warm", "true"))
	fds := openFiles(t)
	for i := range 300 {
		p := r.run("", "true")
		if got := r.ended(p); got != "exit 0" {
			t.Fatalf("start %d: %s", i, got)
		}
		r.ok(p.Remove())
	}
	if now := openFiles(t); now > fds {
		t.Errorf("%d descriptors before, %d after", fds, now)
	}
	if z := zombies(t); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
	if logs, _ := filepath.Glob(filepath.Join(r.dir, "procs", "*.std*")); len(logs) > 8 { // four of them made ahead
		t.Errorf("output files: %v", logs)
	}
}

// TestOutputUsedAgain: a process's output begins empty, is nobody else's to
// read, and stays as it is for those who have it open.
func TestOutputUsedAgain(t *testing.T) {
	r := hostRig(t)
	first := r.run("first", "echo", "secret")
	r.ended(first)
	r.ok(first.Remove())
	second := r.run("second", "cat")
	if n := second.StdoutSize(); n != 0 {
		t.Errorf("a fresh process has %d bytes of output", n)
	}
	late := second.OpenStdout()
	r.ok(second.Kill(9))
	r.ended(second)
	third := r.run("third", "echo", "kept")
	r.ended(third)
	log := third.OpenStdout()
	if size, err := log.Size(); size != 5 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	r.ok(third.Remove())
	r.ok(second.Remove())
	fourth := r.run("fourth", "echo", "other output")
	r.ended(fourth)
	if got := output(t, log); got != "kept\n" {
		t.Errorf("a log that was open at rm has %q", got)
	}
	if got := output(t, late); got != "" {
		t.Errorf("a log that was never read has %q", got)
	}
	if got := output(t, fourth.OpenStdout()); got != "other output\n" {
		t.Errorf("stdout has %q", got)
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// zombies are the dead children of this process.
func zombies(t *testing.T) (out []string) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	mine := fmt.Sprintf(" Z %d ", os.Getpid())
	for _, path := range stats {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(mine)) {
			out = append(out, string(b))
		}
	}
	return out
}

// TestFullDisk: a full state directory is the start's clear error, and the
// program's own where it writes.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=32k"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	r := hostRigIn(t, dir)
	p := r.run("p", "sh", "-c", "seq 1 100000; echo status $? >&2; exit 5")
	if got := r.ended(p); got != "exit 5" {
		t.Errorf("the program ended with %s", got)
	}
	if p.StdoutSize() == 0 {
		t.Error("it wrote nothing")
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "nr_inodes=7"); err != nil {
		t.Skip(err)
	}
	q := r.proc("q", "true")
	var err error
	for i := 0; i < 10 && err == nil; i++ { // until the inodes are used up
		err = r.proc("q"+strconv.Itoa(i), "true").Start(true)
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "state directory") {
		t.Errorf("start on a full disk: %v", err)
	}
	r.ok(p.Remove())
	r.List(0, func(p *mcp.Proc) bool {
		if p.State() > mcp.New {
			r.wait(p)
			r.ok(p.Remove())
		}
		return true
	})
	r.ok(q.Start(true))
	r.wait(q)
}

// TestLeftovers: a server that goes leaves its programs running, with their
// output; the next one says so, and does not touch them.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	r := hostRigIn(t, dir)
	p := r.run("long", "sh", "-c", "while read x; do :; done; echo closed; exec sleep 60")
	done := r.run("short", "true")
	r.wait(done)
	if _, err := mcp.NewSet(mcp.Config{StateDir: dir}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second server in the same state directory: %v", err)
	}
	pid := p.Status().PID
	log := p.OpenStdout()
	defer log.Close()
	r.Close()
	// Close is all that SIGTERM does; the rest of the server is gone with it,
	// and so is the pipe. Here it ends by eof.
	p.EOF()

	second, err := mcp.NewSet(mcp.Config{StateDir: dir})
	r.ok(err)
	left := second.Leftovers()
	if len(left) != 1 || !strings.Contains(left[0], fmt.Sprintf("long (pid %d)", pid)) {
		t.Errorf("found %q", left)
	}
	if logs, _ := filepath.Glob(filepath.Join(dir, "procs", "*.std*")); len(logs) != 2 {
		t.Errorf("output files: %v, want those of the one that runs", logs)
	}
	// A halt leaves alone what it did not start.
	second.Halt()
	second.Halt()
	for {
		if size, err := log.Size(); err != nil || size > 0 {
			break
		}
	}
	if got := output(t, log); got != "closed\n" {
		t.Errorf("its output: %q", got)
	}
	r.ok(p.Kill(int(unix.SIGKILL)))
	r.wait(p)
	third, err := mcp.NewSet(mcp.Config{StateDir: dir})
	r.ok(err)
	if left := third.Leftovers(); len(left) > 0 {
		t.Errorf("found %q after its end", left)
	}
	third.Halt()
}

// TestReopen: programs may open /dev/stdout, also those of other users.
func TestReopen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := hostRig(t)
	u := *me
	u.UID, u.GID, u.Name = 12345, 12345, "12345"
	p, err := r.Make(&u, "p")
	r.ok(err)
	r.ok(p.SetExec([]string{"sh", "-c", "id -u; echo more >>/dev/stdout; echo less >>/dev/stderr"}))
	r.ok(p.Start(true))
	if got := r.ended(p); got != "exit 0" || output(t, p.OpenStdout()) != "12345\nmore\n" {
		t.Errorf("%s: %q, %q", got, output(t, p.OpenStdout()), output(t, p.OpenStderr()))
	}
}

// TestHaltHost: what forks, hides and ignores signals is gone after a halt.
func TestHaltHost(t *testing.T) {
	r := hostRig(t)
	r.run("p", "sh", "-c", "trap '' TERM INT HUP; setsid sleep 61.25 & (sleep 61.25 &) ; while :; do sleep 61.25; done")
	q := r.proc("q", "sleep", "61.25")
	r.ok(q.SetClass(sched.Exclusive))
	r.ok(q.Start(true))
	r.Halt()
	stats, err := filepath.Glob("/proc/[0-9]*/cmdline")
	r.ok(err)
	for _, path := range stats {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte("61.25")) {
			t.Errorf("%s is still there: %q", path, b)
		}
	}
}

// BenchmarkStart is from start to the end of /bin/true, with its output files,
// and what it has to be compared with: the same by a spawn through taskset.
func BenchmarkStart(b *testing.B) {
	b.Run("mcp", func(b *testing.B) {
		d, err := host.Open(host.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { d.Close() })
		r := newRig(b, d, b.TempDir())
		b.Cleanup(r.end)
		for b.Loop() {
			p, _ := r.Make(me, "")
			_ = p.SetExec([]string{"/bin/true"})
			if err := p.Start(true); err != nil {
				b.Fatal(err)
			}
			w := p.OpenWait()
			<-take(w).done
			w.Close()
			_ = p.Remove()
		}
	})
	b.Run("taskset", func(b *testing.B) {
		for b.Loop() {
			if err := exec.CommandContext(context.Background(), "taskset", "-c", "0", "/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("spawn", func(b *testing.B) {
		for b.Loop() {
			if err := exec.CommandContext(context.Background(), "/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

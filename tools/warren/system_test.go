package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/tools/cc"
)

// A testMachine is a server of this program in a process of its own, mounted.
type testMachine struct {
	t              *testing.T
	dir, mnt, addr string
	state          string
	cmd            *exec.Cmd
	log            *lockedBuffer
}

// lockedBuffer may be written by a process's copier and read by the test.
type lockedBuffer struct {
	mu  chan struct{}
	buf bytes.Buffer
}

func newLockedBuffer() *lockedBuffer { return &lockedBuffer{mu: make(chan struct{}, 1)} }

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.String()
}

// needMount skips a test on a machine that cannot mount; CI must be able to.
func needMount(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" && err == nil {
			t.Fatal("CI has FUSE, but is not root")
		}
		t.Skip("needs /dev/fuse and root")
	}
}

// program returns this test binary under the name that makes it warren.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "warren")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// newMachine brings a machine up, mounted, and takes it down with the test.
func newMachine(t *testing.T, spec string) *testMachine {
	t.Helper()
	needMount(t)
	dir := t.TempDir()
	m := &testMachine{t: t, dir: dir, mnt: filepath.Join(dir, "m"), addr: "unix!" + filepath.Join(dir, "sock"), state: filepath.Join(dir, "state")}
	for _, d := range []string{m.mnt, m.state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.start(spec)
	t.Cleanup(m.down)
	return m
}

func (m *testMachine) start(spec string) {
	m.t.Helper()
	m.log = newLockedBuffer()
	m.cmd = exec.Command(program(m.t), "serve", "-machine", spec, "-listen", m.addr, "-state", m.state, "-mount", m.mnt)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.until("ready", func() bool { return strings.Contains(m.log.String(), "ready\n") })
}

// until polls for what has no event to wait for.
func (m *testMachine) until(what string, ok func() bool) {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waited in vain for %s; the server said:\n%s", what, m.log)
		}
	}
}

// down halts the machine if it is up, and clears the mount whatever happened.
func (m *testMachine) down() {
	if m.cmd.ProcessState == nil {
		_ = os.WriteFile(filepath.Join(m.mnt, "ctl"), []byte("halt\n"), 0)
		done := make(chan error, 1)
		go func() { done <- m.cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				m.t.Errorf("the server ended with %v:\n%s", err, m.log)
			}
		case <-time.After(20 * time.Second):
			m.t.Errorf("halt did not end the server:\n%s", m.log)
			_ = m.cmd.Process.Kill()
			<-done
		}
	}
	if mounted(m.mnt) {
		m.t.Errorf("%s is still mounted", m.mnt)
		_ = syscall.Unmount(m.mnt, syscall.MNT_DETACH)
	}
}

func mounted(dir string) bool {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	return bytes.Contains(table, []byte(" "+dir+" "))
}

// sh runs a script in a shell whose directory is the mount.
func (m *testMachine) sh(shell, script string) (string, error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 60*time.Second)
	defer cancel()
	args := append(strings.Fields(shell), "-c", script)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = m.mnt
	cmd.Env = append(os.Environ(), "WARREN_ADDR="+m.addr, "LC_ALL=C", "PATH="+filepath.Dir(program(m.t))+":"+os.Getenv("PATH"))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *testMachine) mustSh(script string) string {
	m.t.Helper()
	out, err := m.sh("sh", script)
	if err != nil {
		m.t.Fatalf("%s\n%v: %s\nthe server said:\n%s", script, err, out, m.log)
	}
	return out
}

func shells(t *testing.T) []string {
	var have []string
	for _, shell := range []string{"bash", "dash", "busybox sh"} {
		if _, err := exec.LookPath(strings.Fields(shell)[0]); err == nil {
			have = append(have, shell)
		} else if os.Getenv("CI") == "true" {
			t.Errorf("CI lacks %s", shell)
		}
	}
	return have
}

// TestShells runs the same script in each shell: settings, a process, a
// channel, errors.
func TestShells(t *testing.T) {
	m := newMachine(t, "host,cores=8")
	const script = `
set -e
mkdir procs/p
echo exec sh -c "'echo out; echo err >&2; read x; echo got \$x; exit 3'" >procs/p/ctl
echo 'cores 2' >> procs/p/ctl
echo 'class exclusive' >procs/p/ctl
cat procs/p/ctl >/dev/null
echo start >procs/p/ctl
echo hello >procs/p/stdin
read name status user sys real text <procs/p/wait
[ "$status" = 3 ] || { echo "status $status"; exit 1; }
[ "$(cat procs/p/stdout)" = "out
got hello" ]
[ "$(cat procs/p/stderr)" = err ]
rmdir procs/p
mkdir chans/c
for i in 1 2 3; do echo "line $i"; done >chans/c/lines
n=0
while [ $n -lt 3 ] && read word i; do n=$((n+1)); [ "$i" = $n ]; done <chans/c/lines
[ $n = 3 ]
echo close >chans/c/ctl
[ -z "$(cat chans/c/data)" ]
id=$(cat procs/clone)
if echo strat >procs/$id/ctl 2>/dev/null; then echo 'no error'; exit 1; fi
tail -1 errors | grep -q 'unknown verb "strat" (start?)'
cat procs/$id/ctl >"$SAVED"
cat "$SAVED" >procs/$id/ctl
rmdir procs/$id chans/c
echo done
`
	for _, shell := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			saved := filepath.Join(t.TempDir(), "saved")
			out, err := m.sh(shell, "SAVED="+saved+"\n"+script)
			if err != nil || strings.TrimSpace(out) != "done" {
				t.Errorf("%v: %s\n%s", err, out, m.mustSh("tail -3 errors"))
			}
		})
	}
}

// TestSigchldStorm writes to a ctl while children end all the time: only waits
// may be interrupted.
func TestSigchldStorm(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	out, err := m.sh("bash", `
mkdir chans/c
trap : CHLD
for i in $(seq 200); do
	/bin/true & /bin/true &
	echo "cap $i" >chans/c/ctl || { echo "failed at $i"; exit 1; }
done
wait
grep cap chans/c/ctl`)
	if err != nil || !strings.Contains(out, "cap 200") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestTreeWalkChangesNothing looks at everything there is.
func TestTreeWalkChangesNothing(t *testing.T) {
	m := newMachine(t, "host,cores=64")
	out := m.mustSh(`mkdir procs/p chans/c; echo hello >chans/c/data
cat procs/stat chans/stat | grep -v '^#' >/tmp/before.$$
find . | xargs stat >/dev/null; ls -lR >/dev/null
cat procs/stat chans/stat | diff /tmp/before.$$ - && echo same; rm -f /tmp/before.$$
find . | wc -l`)
	if !strings.Contains(out, "same") {
		t.Error(out)
	}
}

// TestTablesAreWholeUnderChurn reads tables a byte at a time while what they
// tell changes.
func TestTablesAreWholeUnderChurn(t *testing.T) {
	m := newMachine(t, "host,cores=16")
	stop := make(chan struct{})
	churned := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				churned <- nil
				return
			default:
			}
			dir := filepath.Join(m.mnt, "procs", fmt.Sprintf("p%d", i%7))
			if err := os.Mkdir(dir, 0o755); err != nil {
				churned <- err
				return
			}
			text := "exec sleep 100\ncores 2\nclass exclusive\nstart\n"
			if err := os.WriteFile(filepath.Join(dir, "ctl"), []byte(text), 0); err != nil {
				churned <- err
				return
			}
			if err := os.WriteFile(filepath.Join(dir, "ctl"), []byte("kill KILL\n"), 0); err != nil {
				churned <- err
				return
			}
			if _, err := os.ReadFile(filepath.Join(dir, "wait")); err != nil {
				churned <- err
				return
			}
			if err := os.Remove(dir); err != nil {
				churned <- err
				return
			}
		}
	}()
	for range 10 {
		out, err := exec.Command("dd", "bs=1", "status=none", "if="+filepath.Join(m.mnt, "cores/stat")).Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if len(lines) != 16 {
			t.Fatalf("%d lines of 16:\n%s", len(lines), out)
		}
		owners := map[string]int{}
		for i, line := range lines {
			f := strings.Fields(line)
			if len(f) != 15 || f[0] != strconv.Itoa(i) {
				t.Fatalf("line %d is %q", i, line)
			}
			owners[f[7]]++
		}
		for owner, n := range owners {
			if owner != "-" && n != 2 {
				t.Errorf("%s has %d cores of 2: the table is of two moments:\n%s", owner, n, out)
			}
		}
	}
	close(stop)
	if err := <-churned; err != nil {
		t.Error(err)
	}
}

// TestKilledServer kills the server; programs go on, the mount is cleared,
// and the next server says what it found.
func TestKilledServer(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	m.mustSh(`mkdir procs/ticker
printf 'exec sh -c %s\nstart\n' "'while :; do echo tick; sleep 0.05; done'" >procs/ticker/ctl`)
	pid := m.field("procs/ticker/status", "pid")
	defer func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }()
	m.until("output", func() bool { return len(m.read("procs/ticker/stdout")) > 20 })
	reader := exec.Command("cat", filepath.Join(m.mnt, "events"))
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait()
	if err := reader.Wait(); err == nil {
		t.Error("a reader of a killed server's mount ended well")
	}
	size := m.outputSize()
	m.until("the program to go on", func() bool { return m.outputSize() > size+20 })
	if out, err := exec.Command(program(t), "umount", m.mnt).CombinedOutput(); err != nil || mounted(m.mnt) {
		t.Fatalf("umount of a dead mount: %v: %s", err, out)
	}
	m.start("host,cores=4")
	if !strings.Contains(m.log.String(), strconv.Itoa(pid)) {
		t.Errorf("the next server does not name process %d:\n%s", pid, m.log)
	}
	if !alive(pid) {
		t.Error("the next server ended the program")
	}
}

// TestTerminatedServer ends the server with SIGTERM: programs go on.
func TestTerminatedServer(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	m.mustSh(`mkdir procs/s; printf 'exec sleep 1000\nstart\n' >procs/s/ctl`)
	pid := m.field("procs/s/status", "pid")
	defer func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Wait(); err != nil && !strings.Contains(err.Error(), "143") {
		t.Errorf("SIGTERM: %v\n%s", err, m.log)
	}
	if mounted(m.mnt) {
		t.Error("the mount is still there")
	}
	if !alive(pid) {
		t.Error("the program was ended")
	}
}

// TestHaltLeavesNothing starts what is hard to end, and halts.
func TestHaltLeavesNothing(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	mark := strconv.Itoa(1_000_000 + os.Getpid()) // seconds that only these sleep
	m.mustSh(`mkdir procs/hard procs/far
printf 'exec sh -c %s\nstart\n' "'trap : TERM INT HUP; while :; do sleep 1; done'" >procs/hard/ctl
printf 'exec sh -c %s\nstart\n' "'setsid sleep ` + mark + ` & setsid setsid sleep ` + mark + ` & wait'" >procs/far/ctl`)
	hard := m.field("procs/hard/status", "pid")
	m.until("the sleepers", func() bool { return len(withArg(mark)) == 2 })
	m.down()
	if left := withArg(mark); len(left) > 0 || alive(hard) {
		t.Errorf("still there: %d: %v, of %v", hard, alive(hard), left)
	}
	left, _ := filepath.Glob(filepath.Join(m.state, "procs", "*"))
	if len(left) > 0 {
		t.Errorf("left in the state directory: %v", left)
	}
}

// TestFullDisk fills the disk under the state directory.
func TestFullDisk(t *testing.T) {
	needMount(t)
	m := &testMachine{t: t, dir: t.TempDir()}
	m.mnt, m.state, m.addr = filepath.Join(m.dir, "m"), filepath.Join(m.dir, "state"), "unix!"+filepath.Join(m.dir, "sock")
	for _, d := range []string{m.mnt, m.state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("tmpfs", m.state, "tmpfs", 0, "size=256k,nr_inodes=40"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(m.state, syscall.MNT_DETACH) })
	m.start("host,cores=4")
	t.Cleanup(m.down)
	out := m.mustSh(`mkdir procs/big
printf 'exec dd if=/dev/zero bs=4096 count=1000 status=none\nstart\n' >procs/big/ctl
cut -d" " -f2 procs/big/wait; cat procs/big/stderr`)
	if !strings.HasPrefix(out, "1\n") {
		t.Errorf("a program that fills the disk should fail itself: %s", out)
	}
	out, err := m.sh("sh", `i=0; while [ $i -lt 60 ]; do mkdir procs/p$i && printf 'exec /bin/true\nstart\n' >procs/p$i/ctl || break; i=$((i+1)); done; tail -1 errors; cat status`)
	if err != nil || !strings.Contains(out, "no space left") || !strings.Contains(out, "version") {
		t.Errorf("%v: a start with no room should say so, and the server go on:\n%s", err, out)
	}
	out = m.mustSh(`for p in procs/p*; do rmdir $p; done; rmdir procs/big
mkdir procs/again; printf 'exec echo fine\nstart\n' >procs/again/ctl; cat procs/again/wait procs/again/stdout`)
	if !strings.Contains(out, "fine") {
		t.Errorf("after the disk was cleared: %s", out)
	}
}

// TestNamesThroughTheMount tries names that are none.
func TestNamesThroughTheMount(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	for _, name := range []string{"a b", "-x", "..x", ".x", "1", "a\nb", "a'b", strings.Repeat("n", 65), strings.Repeat("n", 255), "stat", "clone", "é", "a\x01"} {
		for _, dir := range []string{"procs", "chans"} {
			if err := os.Mkdir(filepath.Join(m.mnt, dir, name), 0o755); err == nil {
				t.Errorf("mkdir %s/%q is accepted", dir, name)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(m.mnt, "procs", strings.Repeat("n", 300)), 0o755); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("300 bytes: %v", err)
	}
	if got := m.mustSh("cat procs/stat chans/stat"); got != "" {
		t.Errorf("something was made: %s", got)
	}
}

// TestKilledReaders kills readers of a channel at every point of their lives:
// each may take at most the message that was already handed to it.
func TestKilledReaders(t *testing.T) {
	m := newMachine(t, "host,cores=4")
	m.mustSh("mkdir chans/c; echo cap 1000 >chans/c/ctl")
	const readers, messages = 40, 400
	data := filepath.Join(m.mnt, "chans/c/data")
	seen := map[string]int{}
	var outs []*lockedBuffer
	written := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(data, os.O_WRONLY, 0)
		for i := 0; err == nil && i < messages; i++ {
			_, err = fmt.Fprintf(f, "m%d\n", i)
			if i%20 == 0 {
				time.Sleep(2 * time.Millisecond) // spread over the readers' lives
			}
		}
		written <- errors.Join(err, f.Close())
	}()
	for i := range readers {
		out := newLockedBuffer()
		cmd := exec.Command("cat", data)
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%7) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		outs = append(outs, out)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	rest := m.mustSh("echo close >chans/c/ctl; cat chans/c/data")
	for _, out := range append(outs, nil) {
		text := rest
		if out != nil {
			text = out.String()
		}
		for msg := range strings.FieldsSeq(text) {
			seen[msg]++
		}
	}
	lost := 0
	for i := range messages {
		switch n := seen[fmt.Sprintf("m%d", i)]; {
		case n == 0:
			lost++
		case n > 1:
			t.Errorf("message %d was seen %d times", i, n)
		}
	}
	if lost > readers {
		t.Errorf("%d messages lost with %d killed readers", lost, readers)
	}
	t.Logf("%d of %d messages went down with %d killed readers", lost, messages, readers)
}

// TestReadmeTour runs the tour of the README, as it stands there.
func TestReadmeTour(t *testing.T) {
	needMount(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(string(text), "\n## Simulated machines\n")
	if !found {
		t.Fatal("no section on simulated machines")
	}
	script := readmeScript(first)
	tour := strings.Replace(script, "go install ./tools/warren\n", "", 1)
	if tour == script {
		t.Fatal("the tour does not begin with go install")
	}
	t.Run("host", func(t *testing.T) {
		runReadme(t, tour, "machine ", "role app", "I have cores ", "want 99", "on ", `unknown verb "strat" (start?)`)
	})
	t.Run("simulated", func(t *testing.T) {
		if err := cc.Available(t.Context()); err != nil && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		runReadme(t, readmeScript(second), "machine blackhole", "sum 0 ", "wc 0 ", "\nok\n", "\ngreen\n", "state parked", "bad 139 ", "fault.c:", "cause 5")
	})
}

// readmeScript is the examples of a part of the README, one after the other.
func readmeScript(text string) string {
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, part := range strings.Split(text, "```sh\n")[1:] {
		code, _, _ := strings.Cut(part, "```")
		script.WriteString(code)
	}
	return script.String()
}

// runReadme runs examples in each shell, in the repository's folder, and looks for what they are to print.
func runReadme(t *testing.T, tour string, wants ...string) {
	t.Helper()
	for _, shell := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			args := append(strings.Fields(shell), "-c", tour)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			dir := t.TempDir()
			cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))
			cmd.Dir = "../.."
			cmd.WaitDelay = time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				logs, _ := filepath.Glob(filepath.Join(dir, "*/log"))
				for _, l := range logs {
					said, _ := os.ReadFile(l)
					t.Logf("%s", said)
				}
				t.Fatalf("%v:\n%s", err, out)
			}
			for _, want := range wants {
				if !strings.Contains(string(out), want) {
					t.Errorf("the tour does not print %q:\n%s", want, out)
				}
			}
			if mounts, _ := filepath.Glob(filepath.Join(dir, "*/m/*")); len(mounts) > 0 {
				t.Errorf("the mount is still there: %v", mounts)
			}
		})
	}
}

func (m *testMachine) read(name string) string {
	m.t.Helper()
	f, err := os.Open(filepath.Join(m.mnt, name))
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// field returns a number of a status file.
func (m *testMachine) field(name, key string) int {
	m.t.Helper()
	for line := range strings.Lines(m.read(name)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				m.t.Fatalf("%s: %s", name, line)
			}
			return n
		}
	}
	m.t.Fatalf("%s has no %s", name, key)
	return 0
}

// outputSize is that of all output in the state directory.
func (m *testMachine) outputSize() int64 {
	var n int64
	_ = filepath.Walk(m.state, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// withArg returns the processes of sleep with this argument.
func withArg(arg string) (pids []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if text, _ := os.ReadFile(name); string(text) == "sleep\x00"+arg+"\x00" {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/tools/guest/guest"
)

// userland is what guests take along of this machine.
var userland = []string{"bash", "dash", "cat", "dd", "env", "flock", "head", "setpriv", "stat", "tail"}

// needGuest skips a test where no guest can be run; in CI that is a failure.
func needGuest(t *testing.T) {
	t.Helper()
	err := guest.Missing()
	switch {
	case err == nil && !testing.Short():
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	default:
		t.Skip("starts virtual machines: not with -short")
	}
}

// scripts returns the files of testdata under /t in the guest.
func scripts(t *testing.T) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.sh")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files["/t/"+filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// runReports runs a guest whose script reports as testdata/lib.sh says: each
// report is a subtest. What the guest said besides is returned.
func runReports(t *testing.T, o guest.Options) string {
	t.Helper()
	needGuest(t)
	o.Files, o.Programs, o.Stuck = scripts(t), userland, ". /t/stuck.sh"
	r, err := guest.Run(t.Context(), o)
	t.Logf("%.1f s to the script, %.1f s in all", r.Boot.Seconds(), r.Total.Seconds())
	reports, rest := parseReports(r.Output)
	failed := 0
	for _, p := range reports {
		t.Run(p.name, func(t *testing.T) {
			t.Logf("%s s\n%s", p.seconds, p.text)
			if p.status != "0" {
				failed++
				t.Errorf("exit status %s", p.status)
			}
		})
	}
	if err != nil || r.Status != 0 || len(reports) == 0 || failed > 0 {
		t.Errorf("exit status %d, %d of %d checks failed: %v; besides the guest said:\n%s", r.Status, failed, len(reports), err, rest)
	}
	return rest
}

// A report is how one command in a guest went.
type report struct{ name, status, seconds, text string }

func parseReports(output string) (reports []report, rest string) {
	lines := bufio.NewScanner(strings.NewReader(output))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if head, ok := strings.CutPrefix(line, "== "); ok {
			f := append(strings.Fields(head), "?", "?", "?")
			reports = append(reports, report{name: f[0], status: f[1], seconds: f[2]})
		} else if text, ok := strings.CutPrefix(line, "\t"); ok && len(reports) > 0 {
			reports[len(reports)-1].text += text + "\n"
		} else {
			rest += line + "\n"
		}
	}
	return reports, rest
}

// TestMounts mounts the guest's tree and the host's in every way that Linux
// has, and makes the same checks on each mount.
func TestMounts(t *testing.T) {
	needGuest(t)
	runReports(t, guest.Options{
		Script: ". /t/mounts.sh", CPUs: 4, Nodes: 1,
		Ports: map[string]string{"warren": startServer(t).socket},
	})
}

// A server is warren on this machine.
type server struct{ program, socket string }

// startServer starts warren with more arguments; it ends with the test.
func startServer(t *testing.T, args ...string) server {
	t.Helper()
	dir := t.TempDir()
	if err := guest.Build(t.Context(), dir, "warren/tools/warren"); err != nil {
		t.Fatal(err)
	}
	s := server{program: filepath.Join(dir, "warren"), socket: filepath.Join(dir, "sock")}
	cmd := exec.Command(s.program, append([]string{"serve", "-machine", "host,cores=8", "-state", filepath.Join(dir, "state"), "-listen", "unix!" + s.socket}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(s.program, "-addr", "unix!"+s.socket, "write", "ctl", "halt").CombinedOutput(); err != nil {
			t.Errorf("halt: %v: %s", err, out)
			_ = cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready") {
			return s
		}
	}
	t.Fatal("the server did not get ready")
	return s
}

// TestHere makes the checks of the mounts in guests on a FUSE mount of this
// machine, whose kernel is another.
func TestHere(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs /dev/fuse and root")
	}
	mount := t.TempDir()
	s := startServer(t, "-mount", mount)
	list, err := exec.Command("sh", "testdata/tree.sh", mount).Output()
	if err != nil || len(list) == 0 {
		t.Fatalf("no list of checks: %v", err)
	}
	for _, shell := range []string{"bash", "dash", "busybox sh"} {
		for check := range strings.FieldsSeq(string(list)) {
			t.Run(shell+"/"+check, func(t *testing.T) {
				words := append(strings.Fields(shell), "testdata/tree.sh", mount, check, "fuse")
				cmd := exec.Command(words[0], words[1:]...)
				cmd.Env = append(os.Environ(), "LC_ALL=C")
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.WaitDelay = time.Second
				if out, err := runPatiently(t, s, cmd); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// runPatiently runs a check of the server's mount, and ends it when it hangs.
func runPatiently(t *testing.T, s server, cmd *exec.Cmd) (output []byte, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		var p guest.Patience
		p.Watch(done, time.Minute, func() {
			t.Errorf("it hangs:\n%s", processes(cmd.Process.Pid))
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			state, err := exec.Command(s.program, "-addr", "unix!"+s.socket, "cat", "chans/stat", "status", "errors").CombinedOutput()
			t.Logf("the server: %v\n%s", err, state)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		})
	}()
	err = cmd.Wait()
	close(done)
	<-watched
	return out.Bytes(), err
}

// processes tells where in the kernel those of a group wait.
func processes(group int) (text string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if g, err := syscall.Getpgid(pid); err != nil || g != group {
			continue
		}
		words, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		stack, _ := os.ReadFile(filepath.Join(dir, "stack"))
		text += fmt.Sprintf("%d: %s\n%s", pid, bytes.ReplaceAll(words, []byte{0}, []byte{' '}), stack)
	}
	return text
}

// TestManyCores has the host driver at work on 16 processors and 2 nodes.
func TestManyCores(t *testing.T) {
	runReports(t, guest.Options{
		Script: ". /t/manycore.sh", CPUs: 16, Nodes: 2, Cmdline: "nohz_full=8-15",
		Patience: 20 * time.Second, // of which its busy processors make minutes
	})
}

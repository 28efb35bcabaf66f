package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/ninep/client"
)

// A farMachine is another server, which is not mounted.
type farMachine struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
}

func newFarMachine(t *testing.T) *farMachine {
	t.Helper()
	dir := t.TempDir()
	f := &farMachine{t: t, dir: dir, addr: "unix!" + filepath.Join(dir, "sock")}
	f.start()
	t.Cleanup(f.kill)
	return f
}

func (f *farMachine) start() {
	f.t.Helper()
	log := newLockedBuffer()
	f.cmd = exec.Command(program(f.t), "serve", "-machine", "host,cores=4", "-listen", f.addr, "-state", filepath.Join(f.dir, "state"))
	f.cmd.Stdout, f.cmd.Stderr = log, log
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.until("ready", func() bool { return strings.Contains(log.String(), "ready\n") })
}

func (f *farMachine) kill() {
	if f.cmd.ProcessState == nil {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	}
}

// cat asks the server itself.
func (f *farMachine) cat(path string) string {
	f.t.Helper()
	out, err := exec.Command(program(f.t), "-addr", f.addr, "cat", path).CombinedOutput()
	if err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func (f *farMachine) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestPost uses another machine through the mount, kills it in the middle,
// stops it, and halts ours while it does not answer.
func TestPost(t *testing.T) {
	m, far := newMachine(t, "host,cores=4"), newFarMachine(t)
	m.mustSh("echo post far '" + far.addr + "' >srv/ctl")
	out := m.mustSh(`
ls -ld srv/far
grep -c '^far .* idle ' srv/stat
cat srv/far/status | grep ^cores
mkdir srv/far/chans/c
echo hello >srv/far/chans/c/lines
read line <srv/far/chans/c/data; echo $line
echo close >srv/far/chans/c/ctl
cat srv/far/chans/c/data
rmdir srv/far/chans/c
id=$(cat srv/far/procs/clone)
echo exec sh -c "'echo out of the other'" >srv/far/procs/$id/ctl
echo start >srv/far/procs/$id/ctl
cat srv/far/procs/$id/wait >/dev/null
cat srv/far/procs/$id/stdout
stat -c %s srv/far/procs/$id/stdout
tail -1 srv/far/procs/$id/stdout
ls srv/far/srv
`)
	want := []string{"1", "cores 4", "hello", "out of the other", "17", "out of the other", "ctl", "stat"}
	if got := strings.Split(strings.TrimSpace(out), "\n"); len(got) != 9 || !strings.HasPrefix(got[0], "drwxr-xr-x") || fmt.Sprint(got[1:]) != fmt.Sprint(want) {
		t.Fatalf("%s", out)
	}
	if out, err := m.sh("bash", "echo strat >srv/far/ctl"); err == nil || !strings.Contains(out, "Invalid argument") {
		t.Errorf("a wrong verb: %v, %s", err, out)
	}
	if out := m.mustSh("tail -1 errors"); !strings.Contains(out, `/srv/far/ctl io 'ctl: unknown verb "strat"`) {
		t.Errorf("errors ends in %s", out)
	}
	checkOwner(t, m, far)
	checkKilled(t, m, far)
	checkStopped(t, m, far)
}

// checkOwner has another user make something there: it is his.
func checkOwner(t *testing.T, m *testMachine, far *farMachine) {
	t.Helper()
	uid := uint32(65001)
	cl, err := client.Dial(t.Context(), m.addr, client.Options{Uname: "65001", UID: &uid})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Mkdir(t.Context(), "srv/far/chans/his", 0o700); err != nil {
		t.Fatal(err)
	}
	if out := far.cat("chans/stat"); !strings.HasPrefix(out, "his ") || !strings.HasSuffix(out, " 65001\n") {
		t.Errorf("there: %s", out)
	}
	if err := cl.Mkdir(t.Context(), "srv/far/cores/x", 0o700); err == nil {
		t.Error("he made a core")
	}
	if err := cl.Remove(t.Context(), "srv/far/chans/his"); err != nil {
		t.Error(err)
	}
}

// checkKilled kills the other machine under a reader, and brings it up again.
func checkKilled(t *testing.T, m *testMachine, far *farMachine) {
	t.Helper()
	m.mustSh("mkdir srv/far/chans/k")
	read := make(chan string, 1)
	go func() {
		out, _ := m.sh("sh", "cat srv/far/chans/k/data")
		read <- out
	}()
	far.until("the reader waits", func() bool { return strings.Contains(far.cat("chans/k/status"), "\nreaders 1\n") })
	far.kill()
	if out := <-read; !strings.Contains(out, "not connected") {
		t.Errorf("the reader was told %s", out)
	}
	for range 2 {
		if out, err := m.sh("sh", "cat srv/far/status"); err == nil || !strings.Contains(out, "Connection refused") {
			t.Errorf("a dead machine: %v, %s", err, out)
		}
	}
	if out := m.mustSh("cat srv/stat; tail -1 errors; ls srv"); strings.Count(out, "no server at "+far.addr+": connection refused") != 2 {
		t.Errorf("%s", out)
	}
	far.start()
	m.until("the machine is back", func() bool {
		out, _ := m.sh("sh", "cat srv/far/status")
		return strings.Contains(out, "cores 4")
	})
}

// checkStopped stops the other machine: who waits for it can leave, others do
// not notice, and ours ends as ever.
func checkStopped(t *testing.T, m *testMachine, far *farMachine) {
	t.Helper()
	signal := func(s syscall.Signal) {
		if err := far.cmd.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	far.until("all of its threads stand", func() bool { // one of them passes it on
		list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", far.cmd.Process.Pid))
		return err == nil && len(list) > 0 && !slices.ContainsFunc(list, func(file string) bool {
			b, _ := os.ReadFile(file)
			return !bytes.Contains(b, []byte(") T "))
		})
	})
	start := time.Now()
	if out, err := m.sh("sh", "timeout -s INT 0.3 cat srv/far/procs/stat"); err == nil {
		t.Errorf("a stopped machine said %s", out)
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("who waits could leave after %v", took)
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		_, _ = m.sh("sh", "cat srv/far/chans/stat")
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cl, err := client.Dial(ctx, m.addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	f, err := cl.Open(ctx, "status", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := os.ReadFile(filepath.Join(m.mnt, "srv", "stat")); err != nil {
		t.Error(err)
	}
	start = time.Now()
	m.down()
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("our machine took %v to end", took)
	}
	<-waiting
}

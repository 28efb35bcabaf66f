package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamples runs each example of the manual, as it stands there but for
// the paths: those of servers until they are ready, the others on a machine.
func TestExamples(t *testing.T) {
	m := newMachine(t, "host,cores=16")
	for _, cmd := range rootCommand().Commands() {
		if cmd.Example == "" {
			continue
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			t.Run(line, func(t *testing.T) {
				switch {
				case strings.HasPrefix(line, "warren serve "):
					serveExample(t, line)
					return
				case strings.HasPrefix(line, "warren mount "):
					mountExample(t, m, line)
					return
				case strings.HasPrefix(line, "warren umount "):
					return // mountExample ends with it
				}
				if out, err := m.sh("sh", strings.ReplaceAll(line, "/tmp/", t.TempDir()+"/")); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// serveExample runs a server with its paths moved, until it is ready.
func serveExample(t *testing.T, line string) {
	dir, err := os.MkdirTemp("", "ex") // short, as the path of a socket must be
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	line = strings.NewReplacer("/tmp/", dir+"/", "-mount /mnt", "-mount "+mnt).Replace(line)
	for _, flag := range []string{"-listen unix!" + dir + "/s", "-state " + dir + "/state"} {
		if name, _, _ := strings.Cut(flag, " "); !strings.Contains(line, name) {
			line += " " + flag
		}
	}
	m := &testMachine{t: t, log: newLockedBuffer()}
	m.cmd = exec.Command("sh", "-c", "exec "+line)
	m.cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("ready", func() bool { return strings.Contains(m.log.String(), "ready\n") })
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	_ = m.cmd.Wait() // 128 + SIGTERM
	if mounted(mnt) {
		t.Error("it is still mounted")
	}
}

// mountExample mounts the machine a second time, and ends that with the
// example of umount.
func mountExample(t *testing.T, m *testMachine, line string) {
	dir := t.TempDir()
	move := strings.NewReplacer("unix!/run/warren.sock", m.addr, "/mnt", dir)
	cmd := exec.Command("sh", "-c", "exec "+move.Replace(line))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("the mount", func() bool { return mounted(dir) })
	if out, err := m.sh("sh", "grep machine "+dir+"/status"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := m.sh("sh", move.Replace(umountCommand().Example)); err != nil || mounted(dir) {
		t.Errorf("%v: %s", err, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestCommandsHaveExamples keeps the manual useful: what a user types is in it.
func TestCommandsHaveExamples(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		switch {
		case cmd.Hidden, cmd.Name() == "help", cmd.Name() == "completion":
			return
		case cmd.Runnable() && cmd.HasParent() && cmd.Example == "":
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(rootCommand())
}

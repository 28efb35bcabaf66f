package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"warren/tools/cc"
)

// TestExamples runs each example of the manual, as it stands there but for
// the paths, in one folder: servers until they are ready, the others to their
// end, on a machine.
func TestExamples(t *testing.T) {
	m := newMachine(t, "host,cores=16")
	lab, err := os.MkdirTemp("", "ex") // short, as the path of a socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(lab) })
	for _, dir := range []string{"src", "mnt"} {
		if err := os.Mkdir(filepath.Join(lab, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range examples(rootCommand()) {
		t.Run(line, func(t *testing.T) {
			if strings.HasPrefix(line, "gdb") {
				return // TestGDB runs it
			}
			switch strings.Fields(line)[1] {
			case "serve", "export", "proxy":
				serverExample(t, lab, line)
			case "mount":
				mountExample(t, m, line)
			case "umount": // mountExample ends with it
			case "cc":
				ccExample(t, lab, line)
			default:
				if out, err := m.sh("sh", "cd "+lab+" && "+strings.ReplaceAll(line, "/tmp/", lab+"/")); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
}

// examples are those of a command and of all below it, each once.
func examples(cmd *cobra.Command) []string {
	var lines []string
	if cmd.Example != "" {
		lines = strings.Split(cmd.Example, "\n")
	}
	for _, sub := range cmd.Commands() {
		for _, line := range examples(sub) {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// serverExample runs a server until it is ready: on paths in the lab, and at
// no address that others reach.
func serverExample(t *testing.T, lab, line string) {
	mnt := filepath.Join(lab, "mnt")
	line = strings.NewReplacer("/tmp/", lab+"/", "-mount /mnt", "-mount "+mnt, "tls!*!5640", "tls!127.0.0.1!0").Replace(line)
	if strings.HasPrefix(line, "warren serve") {
		for _, flag := range []string{"-listen unix!" + lab + "/s", "-state " + lab + "/state"} {
			if name, _, _ := strings.Cut(flag, " "); !strings.Contains(line, name) {
				line += " " + flag
			}
		}
	}
	m := &testMachine{t: t, log: newLockedBuffer()}
	m.cmd = exec.Command("sh", "-c", "exec "+line)
	m.cmd.Dir = lab
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

// ccExample compiles, where there is a compiler.
func ccExample(t *testing.T, lab, line string) {
	if err := cc.Available(t.Context()); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	hello, err := os.ReadFile("../../testdata/riscv/hello.c")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lab, "hello.c"), hello, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = lab
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
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

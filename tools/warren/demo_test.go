package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// demoCommandLine returns a demo that is ready to run, whose files go to dir.
func demoCommandLine(t *testing.T, before ...string) (cmd *exec.Cmd, dir string) {
	dir = t.TempDir()
	line := append(before, program(t), "demo")
	cmd = exec.Command(line[0], line[1:]...)
	// Under the race detector every command would sleep a second at its end.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
	return cmd, dir
}

// nothingLeft checks that a demo has removed all that it made.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if at := mountsBelow(dir); at != nil {
		t.Errorf("left mounted: %q", at)
	}
	if p := processesOf(filepath.Join(dir, "warren-demo")); p != nil {
		t.Errorf("left running: %q", p)
	}
}

var demoResult = regexp.MustCompile(`(?m)^(\d+) of (\d+) files: the workers counted (\d+) words, wc -w counts (\d+)$`)

// checkDemo checks what a demo printed.
func checkDemo(t *testing.T, out string) {
	t.Helper()
	m := demoResult.FindStringSubmatch(out)
	if m == nil || m[1] != m[2] || m[3] != m[4] || len(m[3]) < 6 {
		t.Errorf("the result is %q", m)
	}
	for _, want := range []string{"% cat cores/stat\n", "% cat procs/stat\n", "% cat sched/alloc\n", "% cat chans/stat\n", "who ran where:\n", "nothing is left"} {
		if !strings.Contains(out, want) {
			t.Errorf("it did not print %q", want)
		}
	}
	if n := strings.Count(out, " 'exit 0'\n"); n == 0 || n != strings.Count(out, " app ") {
		t.Errorf("%d workers ended well, on %d application cores", n, strings.Count(out, " app "))
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemo(t *testing.T) {
	cmd, dir := demoCommandLine(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkDemo(t, string(out))
	nothingLeft(t, dir)
}

func TestDemoWithoutMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can take /dev/fuse away")
	}
	cmd, dir := demoCommandLine(t, "unshare", "-m", "sh", "-c", `mount --bind /dev/null /dev/fuse && exec "$@"`, "sh")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("no mount here, so everything goes over 9P")) {
		t.Error("it does not say that there is no mount")
	}
	checkDemo(t, string(out))
	nothingLeft(t, dir)
}

func TestDemoInterrupted(t *testing.T) {
	for _, at := range []string{"% ls", "% cat procs/stat", "% cat chans/stat"} {
		cmd, dir := demoCommandLine(t)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(pipe); s.Scan(); {
			if s.Text() == at {
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Error(err)
				}
			}
		}
		_ = cmd.Wait() // its status is looked at below
		if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGINT) {
			t.Errorf("interrupted at %q: exit status %d", at, got)
		}
		nothingLeft(t, dir)
	}
}

func TestTextFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/good.txt":    "two words\n",
		"b.go":          "package b\n",
		"no newline":    "x",
		"a/newline.txt": "no newline",
		"a/utf8.txt":    "größe\n",
		"a/feed.txt":    "form\ffeed\n",
		"a/bl ank.txt":  "text\n",
		"a/quo'te.txt":  "text\n",
		"a/empty.txt":   "",
		"a/long.txt":    strings.Repeat("x\n", fileBytes),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if names, size := textFiles(dir); !slices.Equal(names, []string{"a/good.txt", "b.go"}) || size != 20 {
		t.Errorf("found %q, %d bytes", names, size)
	}
}

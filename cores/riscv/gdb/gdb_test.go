package gdb

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tool returns a program that the test needs, or skips it.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// build compiles what is debugged.
func build(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "debug")
	cmd := exec.Command(tool(t, "riscv64-unknown-elf-gcc"), "-g", "-O0", "-march=rv32imafdc", "-mabi=ilp32d",
		"-nostdlib", "-static", "-Wl,-Ttext=0x80000000,-e_start", "-o", out, "testdata/debug.c")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

// line returns the number of the line of debug.c that has a mark.
func line(t *testing.T, mark string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/debug.c")
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(text), "// "+mark+"\n")
	if !ok {
		t.Fatalf("debug.c has no %s", mark)
	}
	return strconv.Itoa(strings.Count(before, "\n") + 1)
}

// pump lets a gdb that connects have a session of the target, until one of
// them ends it.
func pump(l net.Listener, target Target) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	s := New(target)
	go func() {
		defer s.Close()
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	for {
		r := reading{wait: true, done: make(chan struct{})}
		s.Take(&r)
		<-r.done
		if r.text == "" {
			return
		}
		if _, err := conn.Write([]byte(r.text)); err != nil {
			return
		}
	}
}

// A debugger is a gdb that runs a script against a board.
type debugger struct {
	*testing.T
	program string
	board   *board
}

// start runs gdb with a script.
func (d *debugger) start(script string) (*exec.Cmd, *bytes.Buffer) {
	d.Helper()
	dir, err := os.MkdirTemp("", "gdb") // short, as the path of a socket must be
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { l.Close() })
	go pump(l, d.board)
	name := filepath.Join(dir, "script")
	script = "set confirm off\nset pagination off\nset height 0\nset width 0\ntarget remote " + filepath.Join(dir, "s") + "\n" + script
	if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
		d.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	d.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, tool(d.T, "gdb-multiarch"), "-nx", "-batch", "-x", name, d.program)
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C", "DEBUGINFOD_URLS=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	return cmd, &out
}

// run runs a script, after whose commands must come what the patterns say, in
// their order.
func (d *debugger) run(script string, patterns ...string) {
	d.Helper()
	cmd, out := d.start(script)
	_ = cmd.Wait() // it fails if the last line of a script does, as some mean to
	d.want(out.String(), patterns)
}

func (d *debugger) want(out string, patterns []string) {
	d.Helper()
	rest := out
	for _, p := range patterns {
		at := regexp.MustCompile(p).FindStringIndex(rest)
		if at == nil {
			d.Fatalf("there is no %q in the rest of\n%s\nthat is:\n%s", p, out, rest)
		}
		rest = rest[at[1]:]
	}
}

// TestStockGDB runs scripts of users, on harts of the ranks given, with
// patterns of what must come, in that order. We tell gdb that there is no
// system, or it takes a program for one of its own's, and then steps by
// breakpoints of its own. Both must do.
func TestStockGDB(t *testing.T) {
	tool(t, "gdb-multiarch")
	program := build(t)
	for _, osabi := range []string{"auto", "GNU/Linux"} {
		steps, ranges := 0, 0
		for _, s := range scripts(t) {
			t.Run(s.name+", osabi "+osabi, func(t *testing.T) {
				d := &debugger{t, program, newBoard(t, program, s.ranks...)}
				d.run("set osabi "+osabi+"\n"+s.lines, s.patterns...)
				d.board.mu.Lock()
				steps, ranges = steps+d.board.steps, ranges+d.board.ranges
				d.board.mu.Unlock()
			})
		}
		if osabi == "auto" && (steps == 0 || ranges == 0) {
			t.Errorf("gdb asked for %d steps, %d of ranges", steps, ranges)
		}
	}
}

// TestInterrupt: ^C stops harts that would run for ever.
func TestInterrupt(t *testing.T) {
	tool(t, "gdb-multiarch")
	program := build(t)
	d := &debugger{t, program, newBoard(t, program, 1, 1)}
	cmd, out := d.start("continue\nbt\nset var turns = -1\ninfo threads\nkill\n")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-d.board.spinning:
	case err := <-ended:
		t.Fatalf("gdb: %v: %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("gdb: %v", err)
	}
	d.want(out.String(), []string{`received signal SIGINT, Interrupt.`, `#0 .*spin \(\) at .*debug.c:\d+\n#1 .*main \(rank=1\)`, `2 +Thread 2 .*spin`, `Inferior 1 .*killed`})
	if !<-d.board.detached {
		t.Error("it was not killed")
	}
}

// TestInterruptBetween: ^C stops a gdb that goes on by itself, as a condition is never true.
func TestInterruptBetween(t *testing.T) {
	tool(t, "gdb-multiarch")
	program := build(t)
	d := &debugger{t, program, newBoard(t, program, 1, 1)}
	cmd, out := d.start("break " + "debug.c:" + line(t, "spinning") + " if turns == -7\ncontinue\nprint turns > 3\nkill\n")
	for end := time.Now().Add(2 * time.Minute); ; {
		d.board.mu.Lock()
		steps := d.board.steps
		d.board.mu.Unlock()
		if steps > 50 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("gdb does not step over its breakpoint: %s", out)
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("gdb: %v", err)
	}
	d.want(out.String(), []string{`received signal SIGINT, Interrupt.`, `\$1 = 1`, `Inferior 1 .*killed`})
}

// TestLeave: detach, and a gdb that just ends, leave nothing behind.
func TestLeave(t *testing.T) {
	tool(t, "gdb-multiarch")
	program := build(t)
	for name, script := range map[string]string{
		"detach":  "break square\nwatch watched\ncontinue\ndetach\n",
		"quit":    "break square\nwatch watched\ncontinue\n",
		"killed":  "break square\nwatch watched\ncontinue\nshell kill -9 $PPID\n",
		"at once": "",
	} {
		t.Run(name, func(t *testing.T) {
			d := &debugger{t, program, newBoard(t, program, 0)}
			cmd, out := d.start(script)
			if err := cmd.Wait(); (err != nil) != (name == "killed") {
				t.Errorf("gdb: %v: %s", err, out)
			}
			if kill := <-d.board.detached; kill {
				t.Error("it was killed")
			}
			d.board.mu.Lock()
			defer d.board.mu.Unlock()
			if n := len(d.board.debug.Breaks) + len(d.board.debug.Watches); n != 0 {
				t.Errorf("%d points are left", n)
			}
		})
	}
}

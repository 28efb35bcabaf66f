package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"warren/tools/cc"
)

// compiled compiles a program of testdata/riscv into a folder, or skips.
func compiled(t *testing.T, dir, source string, flags ...string) string {
	t.Helper()
	if err := cc.Available(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out := filepath.Join(dir, strings.TrimSuffix(filepath.Base(source), filepath.Ext(source))+".elf")
	args := append([]string{"cc", "-g", "-o", out, sourceOf(source)}, flags...)
	if said, err := exec.Command(program(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return out
}

// TestGDB has stock gdb debug a core, and all vcores of a process.
func TestGDB(t *testing.T) {
	if _, err := exec.LookPath("gdb-multiarch"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs gdb-multiarch: apt-get install gdb-multiarch")
	}
	m := newMachine(t, "mesh=4x4")
	dir := t.TempDir()
	hello := compiled(t, dir, "hello.c", "-O1")

	// The manual's example, on a core that is loaded.
	m.mustSh("echo 'load 5 " + hello + "' >cores/ctl")
	example := strings.NewReplacer("hello.elf", hello).Replace(gdbCommand().Example)
	if out := m.mustSh(example); !strings.Contains(out, "0x80000") || !strings.Contains(out, "_start") {
		t.Errorf("%s:\n%s", example, out)
	}

	// All vcores of a process, from their first instruction on: it is loaded
	// and stopped before it can have ended.
	spin := filepath.Join(dir, "spin.c")
	source := "#include <warren.h>\nvolatile int go = 1, rank;\nstatic void wait_here(void) { while (go) ; }\n" +
		"int main(void) { rank = warren_rank(); wait_here(); return rank; }\n"
	if err := os.WriteFile(spin, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	elf := compiled(t, dir, spin, "-O1")
	m.mustSh("mkdir procs/spin; printf 'exec " + elf + "\\ncores 3\\nstart\\n' >procs/spin/ctl")
	m.until("all spin", func() bool {
		return strings.Count(m.mustSh("grep -hE '^retired [0-9]{5,}' cores/*/hart || true"), "retired ") >= 3
	})
	script := filepath.Join(dir, "gdb")
	commands := "info threads\nthread apply all -q print rank\nset var go = 0\nbreak main\nwatch go\nthread 2\nset var go = 0\nthread 3\nset var go = 0\ncontinue\n"
	if err := os.WriteFile(script, []byte(commands), 0o644); err != nil {
		t.Fatal(err)
	}
	out := m.mustSh("gdb-multiarch -batch -ex 'target remote | warren gdb procs/spin' -x " + script + " " + elf + " 2>&1")
	for _, want := range []string{"core 0 (0,0)", "core 2 (2,0)", "wait_here", "= 0", "= 1", "= 2", "exited with code 01"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what gdb said:\n%s", want, out)
		}
	}
	if got := m.mustSh("cat procs/spin/wait"); !strings.HasPrefix(got, "spin 1 ") {
		t.Errorf("wait: %s", got)
	}
	if out, err := m.sh("sh", "warren gdb procs/spin </dev/null"); err == nil || !strings.Contains(out, "spin is done") {
		t.Errorf("gdb of what has ended: %v, %s", err, out)
	}
}

// TestGDBThreads has stock gdb debug one thread where all pass the same places, and a process
// that is killed meanwhile.
func TestGDBThreads(t *testing.T) {
	if _, err := exec.LookPath("gdb-multiarch"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs gdb-multiarch: apt-get install gdb-multiarch")
	}
	m := newMachine(t, "mesh=2x2")
	dir := t.TempDir()
	source := filepath.Join(dir, "loop.c")
	text := "#include <warren.h>\nvolatile int sum;\n__attribute__((noinline)) void work(int n)\n{\n\tsum += n;\n}\n" +
		"int main(void)\n{\n\tfor (int n = 0;; n++)\n\t\twork(n);\n}\n"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	elf := compiled(t, dir, source, "-O1")
	start := "printf 'exec " + elf + "\\ncores 4\\nstart\\n'"
	m.mustSh("mkdir procs/loop; " + start + " >procs/loop/ctl")
	m.until("all run", func() bool {
		return strings.Count(m.mustSh("grep -hE '^retired [0-9]{5,}' cores/*/hart || true"), "retired ") == 4
	})
	gdb := func(commands ...string) string {
		line := "timeout 120 gdb-multiarch -nx -batch -ex 'target remote | warren gdb procs/loop'" // goes on after an error, as a file of commands does not
		for _, c := range commands {
			line += " -ex '" + strings.ReplaceAll(c, "'", `'\''`) + "'"
		}
		return m.mustSh(line + " " + elf + " 2>&1")
	}
	for _, abi := range []string{"auto", "GNU/Linux"} { // gdb steps in another way for the second
		out := gdb("set osabi "+abi, "thread 3", "next", "next", "step", "stepi", "printf \"in thread %d\\n\", $_thread",
			"break work thread 4", "continue", "continue", "printf \"in thread %d\\n\", $_thread", "delete", "tbreak work if $_thread == 2", "continue", "finish",
			"printf \"in thread %d\\n\", $_thread")
		if strings.Count(out, "in thread 3\n") != 1 || strings.Count(out, "in thread 4\n") != 1 || strings.Count(out, "in thread 2\n") != 1 || strings.Count(out, `hit Breakpoint 1, work`) != 2 {
			t.Errorf("osabi %s:\n%s", abi, out)
		}
	}
	out := gdb("break work", "continue", "continue", "continue", "continue")
	for _, n := range []string{"1", "2", "3", "4"} {
		if !strings.Contains(out, "Thread "+n+" \"core ") {
			t.Errorf("thread %s is never told of:\n%s", n, out)
		}
	}
	out = gdb("shell echo kill >procs/loop/ctl; cat procs/loop/wait >/dev/null; rmdir procs/loop; mkdir procs/loop; "+start+" >procs/loop/ctl",
		"info threads", "print sum", "thread 2", "continue")
	for _, want := range []string{"  2    Thread 2 \"core 1", "Cannot access memory", "Program terminated with signal SIGTERM"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what gdb said of what was killed:\n%s", want, out)
		}
	}
}

// sourceOf is where a source lies: absolute, or in testdata/riscv.
func sourceOf(source string) string {
	if filepath.IsAbs(source) {
		return source
	}
	return filepath.Join("../../testdata/riscv", source)
}

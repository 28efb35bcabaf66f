package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"warren/tools/cc"
)

func TestCCFlags(t *testing.T) {
	for _, test := range []struct {
		line, rest string
		want       cc.Command
		help       bool
		err        string
	}{
		{line: "-O2 -o a b.c", rest: "-O2 -o a b.c"},
		{line: "-m blackhole -l1 -role T1 -c b.c", rest: "-c b.c", want: cc.Command{Machine: "blackhole", SRAM: true, Role: "T1"}},
		{line: "b.c --machine=mesh=2x2 --l1 --role=3", rest: "b.c", want: cc.Command{Machine: "mesh=2x2", SRAM: true, Role: "3"}},
		{line: "-march=rv32i -mabi=ilp32 -lm -l1m b.c", rest: "-march=rv32i -mabi=ilp32 -lm -l1m b.c"},
		{line: "-m", err: "-m: what follows?"},
		{line: "b.c -help", help: true},
	} {
		var c cc.Command
		rest, help, err := ccFlags(ccCommand(), &c, strings.Fields(test.line))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v", test.line, err)
			}
			continue
		}
		if err != nil || help != test.help || !help && !slices.Equal(rest, strings.Fields(test.rest)) ||
			c.Machine != test.want.Machine || c.SRAM != test.want.SRAM || c.Role != test.want.Role {
			t.Errorf("%s: %v %v %q %+v", test.line, err, help, rest, c)
		}
	}
}

// TestCC: the compiler's words and its status are the command's.
func TestCC(t *testing.T) {
	if err := cc.Available(t.Context()); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	dir := t.TempDir()
	run := func(args ...string) (string, int) {
		cmd := exec.Command(program(t), append([]string{"cc"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.c"), []byte("int main(void) { return x; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line   string
		status int
		want   string
	}{
		{"bad.c", 1, "'x' undeclared"},
		{"-E -P bad.c", 0, "int main(void) { return x; }"},
		{"-m c64 bad.c", 1, `warren: no machine "c64": want one of`},
		{"-role", 2, "warren: -role: what follows?"},
		{"", 2, "warren: want: warren cc [-m MACHINE]"},
		{"--version", 0, "Free Software Foundation"},
		{"-### bad.c", 0, "-march=rv32imac"},
	} {
		if out, status := run(strings.Fields(test.line)...); status != test.status || !strings.Contains(out, test.want) {
			t.Errorf("%s: status %d, %s", test.line, status, out)
		}
	}
}

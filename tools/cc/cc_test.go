package cc

import (
	"context"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// strict are the warnings that everything of ours compiles without.
var strict = []string{"-Wall", "-Wextra", "-Wshadow", "-Werror"}

// machines are those that the tests compile for.
func machines() []string { return []string{"", "mesh", "blackhole", "wormhole", "occamy"} }

// toolchain skips a test where there is no compiler; CI has one.
func toolchain(t *testing.T) {
	t.Helper()
	if err := Available(t.Context()); err != nil {
		skip(t, err.Error())
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestMain gives the tests a cache of their own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "warren-cc-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", dir)
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// cached gives a test a cache of its own, in which there is nothing.
func cached(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	return dir
}

// build runs the compiler and returns what it said.
func build(t *testing.T, c Command) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line, err := c.Line(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput()
	return string(out), err
}

func must(t *testing.T, c Command) {
	t.Helper()
	if out, err := build(t, c); err != nil {
		t.Fatalf("%+v: %v\n%s", c, err, out)
	}
}

// source writes a program.
func source(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// qemu runs a program under qemu-riscv32, and returns what it wrote and its status.
func qemu(t *testing.T, input, program string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	path, err := exec.LookPath("qemu-riscv32")
	if err != nil {
		skip(t, "no qemu-riscv32: as root, apt-get install -y qemu-user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{program}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestLibrary uses what start-up code and C library do together.
func TestLibrary(t *testing.T) {
	toolchain(t)
	program := source(t, "lib.c", `
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <warren.h>

static int made = 1;
static int zero[100];
static void __attribute__((constructor)) before(void) { made = 2; }
static void __attribute__((destructor)) after(void) { puts("destructor"); }
static void last(void) { puts("atexit"); }

int main(int argc, char **argv)
{
	char line[100];
	atexit(last);
	printf("argc %d last %s made %d zero %d errno %d\n", argc, argv[argc - 1], made, zero[99], errno);
	char *p = malloc(100000), *q = malloc(100000);
	printf("heap %d %d\n", p && q && q != p, ((uintptr_t)p & 7) == 0);
	memset(p, 1, 100000);
	free(p);
	printf("float %.3f %g long %lld\n", 1.0 / 3, 1e10, 1LL << 40);
	while (fgets(line, sizeof line, stdin))
		printf("<%s>", line);
	printf("\nlseek %d %d\n", (int)lseek(0, 0, 0), errno == ESPIPE);
	printf("rank %d size %d cycles %d\n", (int)warren_rank(), (int)warren_size(), warren_cycles() < warren_cycles());
	printf("send %d recv %d\n", warren_send(0, 0, line, 1) == -ENOSYS, warren_recv(0, line, 1, 0) == -ENOSYS);
	fprintf(stderr, "to stderr\n");
	printf("no newline");
	return 42;
}
`)
	want := `argc 3 last it's made 2 zero 0 errno 0
heap 1 1
float 0.333 1e+10 long 1099511627776
<a
><b>
lseek -1 1
rank 0 size 1 cycles 1
send 1 recv 1
no newlineatexit
destructor
`
	for _, m := range machines() {
		for _, level := range []string{"-O0", "-O2", "-Os"} {
			t.Run(m+level, func(t *testing.T) {
				elf := filepath.Join(t.TempDir(), "lib.elf")
				must(t, Command{Machine: m, Args: slices.Concat(strict, []string{level, "-o", elf, program})})
				out, errs, status := qemu(t, "a\nb", elf, "x", "it's")
				if out != want || errs != "to stderr\n" || status != 42 {
					t.Errorf("status %d, stderr %q, output\n%s\nwant\n%s", status, errs, out, want)
				}
			})
		}
	}
}

func TestAbort(t *testing.T) {
	toolchain(t)
	elf := filepath.Join(t.TempDir(), "a.elf")
	must(t, Command{Args: []string{"-o", elf, source(t, "a.c", `
#include <stdio.h>
#include <stdlib.h>
int main(void) { printf("before"); abort(); }
`)}})
	if out, _, status := qemu(t, "", elf); out != "before" || status != 134 {
		t.Errorf("%q, status %d", out, status)
	}
}

// TestCxx uses what C++ needs without a library of it.
func TestCxx(t *testing.T) {
	toolchain(t)
	elf := filepath.Join(t.TempDir(), "x.elf")
	must(t, Command{Args: slices.Concat(strict, []string{"-O1", "-o", elf, source(t, "x.cc", `
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdio.h>
#include <warren.h>

struct shape {
	virtual int sides() const = 0;
	virtual ~shape() { puts("gone"); }
};
struct square : shape {
	int n;
	square(int count) : n(count) {}
	int sides() const override { return n; }
};
static square global(warren_size() + 4);
static int once() { puts("once"); return 7; }
static int local() { static int n = once(); return n++; }

int main()
{
	shape *s = new square(4);
	int *many = new int[100]();
	printf("%d %d %d\n", s->sides(), many[99], global.sides());
	delete s;
	delete[] many;
	local();
	printf("%d %d\n", local(), static_cast<int>(std::strlen("four")));
}
`), "-fno-rtti", "-fno-exceptions"})})
	want := "4 0 5\ngone\nonce\n8 4\ngone\n"
	if out, errs, status := qemu(t, "", elf); out != want || status != 0 {
		t.Errorf("status %d, %q, %q: want %q", status, out, errs, want)
	}
}

// TestOwnNames: a program may have functions and variables that ours have, too.
func TestOwnNames(t *testing.T) {
	toolchain(t)
	elf := filepath.Join(t.TempDir(), "n.elf")
	must(t, Command{Args: []string{"-Wall", "-Werror", "-o", elf, source(t, "n.c", `
#include <stdio.h>
int my_x = 5, kernel_main = 6;
int put(int a) { return a; }
int flush(int a) { return a; }
int open(int a) { return a; }
int kill(int a) { return a; }
int main(void) { printf("%d\n", my_x + kernel_main + put(1) + flush(1) + open(1) + kill(1)); }
`)}})
	if out, _, status := qemu(t, "", elf); out != "15\n" || status != 0 {
		t.Errorf("%q, status %d", out, status)
	}
	// Headers of one's own come first.
	own := filepath.Dir(source(t, "warren.h", "#define OWN 3\n"))
	must(t, Command{Args: []string{"-I" + own, "-o", elf, source(t, "o.c", "#include <warren.h>\nint main(void) { return OWN; }\n")}})
	if _, _, status := qemu(t, "", elf); status != 3 {
		t.Errorf("status %d", status)
	}
}

// TestLayout looks at where programs lie.
func TestLayout(t *testing.T) {
	toolchain(t)
	own := source(t, "own.machine", ownMachine)
	program := source(t, "p.c", "int data = 1, bss[9]; int main(void) { return data + bss[1]; }")
	for _, c := range []struct {
		Command
		text, data uint64
	}{
		{Command{}, 0x80000000, 0},
		{Command{Machine: "mesh=8x8", SRAM: true}, 0x1000, 0x80000000},
		{Command{Machine: "host,cores=2+blackhole,quantum=100", SRAM: true}, 0x1000, 0x80000000},
		{Command{Machine: "blackhole", SRAM: true, Role: "T1"}, 0x31000, 0x80000000},
		{Command{Machine: "wormhole", SRAM: true, Role: "nc"}, 0x11000, 0x80000000},
		{Command{Machine: "blackhole", SRAM: true, Role: "E1"}, 0x11000, 0x80000000},
		{Command{Machine: "occamy", SRAM: true, Role: "1"}, 0x10009000, 0x80000000},
		{Command{Machine: own, SRAM: true, Role: "b"}, 0x20002000, 0x80000000},
	} {
		c.Args = []string{"-O2", "-o", filepath.Join(t.TempDir(), "p.elf"), program}
		must(t, c.Command)
		f, err := elf.Open(c.Args[2])
		if err != nil {
			t.Fatal(err)
		}
		var loads []*elf.Prog
		for _, p := range f.Progs {
			if p.Type == elf.PT_LOAD {
				loads = append(loads, p)
			}
		}
		f.Close()
		if len(loads) != 2 || loads[0].Flags != elf.PF_R|elf.PF_X || loads[1].Flags != elf.PF_R|elf.PF_W {
			t.Fatalf("%+v: segments %v", c.Command, loads)
		}
		if c.data == 0 {
			c.data = (loads[0].Vaddr + loads[0].Memsz + pageSize - 1) &^ (pageSize - 1)
		}
		if f.Entry != c.text || loads[0].Vaddr != c.text || loads[1].Vaddr != c.data {
			t.Errorf("%+v: entry %#x, text %#x, data %#x: want %#x %#x", c.Command, f.Entry, loads[0].Vaddr, loads[1].Vaddr, c.text, c.data)
		}
	}
}

const ownMachine = `machine own
grid 1 1
network mesh
clock 1000
overhead 10
hop 9
flit 64
kind tile
core a*2 rv32i
core b rv32ic_zicsr
sram 0x20000000 16K
private 1M
tiles tile x=0,y=0
`

// TestFlags: what is compiled for a machine is for what its silicon has.
func TestFlags(t *testing.T) {
	toolchain(t)
	own := source(t, "own.machine", ownMachine)
	for _, test := range []struct{ machine, role, march, mabi string }{
		{"", "", "rv32imac", "ilp32"},
		{"blackhole", "T1", "rv32imf", "ilp32f"},
		{"host+blackhole,strict,quantum=19", "", "rv32imf", "ilp32f"},
		{"wormhole", "E", "rv32im", "ilp32"},
		{"occamy", "dm", "rv32imafd", "ilp32d"},
		{"mesh=4x4", "", "rv32imafdc", "ilp32d"},
		{own, "a", "rv32i", "ilp32"},
		{own, "b", "rv32ic", "ilp32"},
	} {
		line, err := Command{Machine: test.machine, Role: test.role, Args: []string{"-c", "x.c"}}.Line(t.Context())
		if err != nil || !slices.Contains(line, "-march="+test.march) || !slices.Contains(line, "-mabi="+test.mabi) {
			t.Errorf("%+v: %q, %v", test, line, err)
		}
	}
}

// TestTooBig: a text that would lie over another role's is refused.
func TestTooBig(t *testing.T) {
	toolchain(t)
	program := source(t, "big.c", "const char big[1 << 16] = {1}; int main(int n, char **v) { (void)v; return big[n]; }")
	out, err := build(t, Command{Machine: "blackhole", SRAM: true, Args: []string{"-o", filepath.Join(t.TempDir(), "x"), program}})
	if err == nil || !strings.Contains(out, "do not fit where warren cc puts them") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestStages: what does not link gets nothing to link.
func TestStages(t *testing.T) {
	toolchain(t)
	program := source(t, "p.c", "#include <warren.h>\nint main(void) { return (int)warren_rank(); }\n")
	object := filepath.Join(t.TempDir(), "p.o")
	for _, args := range [][]string{
		{"-c", "-g", "-O3", "-o", object, program},
		{"-S", "-o", "-", program},
		{"-E", program},
		{"-M", program},
		{"-fsyntax-only", "-Werror", program},
		{"--version"},
		{"-print-multi-lib"},
	} {
		if out, err := build(t, Command{Args: args}); err != nil || strings.Contains(out, "linker input") {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	elf := filepath.Join(t.TempDir(), "p.elf")
	must(t, Command{Args: []string{object, "-o", elf, "-Wl,-Map=" + elf + ".map"}})
	if _, _, status := qemu(t, "", elf); status != 0 {
		t.Errorf("status %d", status)
	}
	must(t, Command{Args: []string{"-x", "c", program, "-march=rv32imafdc", "-mabi=ilp32d", "-flto", "-std=c99", "-pedantic", "-O2", "-o", elf}})
	if _, _, status := qemu(t, "", elf); status != 0 {
		t.Errorf("with flags of one's own: status %d", status)
	}
}

// TestHeader compiles the header as strictly as somebody may.
func TestHeader(t *testing.T) {
	toolchain(t)
	text := "#include <warren.h>\nint main(void) { return (int)warren_rank(); }\n"
	for name, flags := range map[string][]string{
		"h.c":   {"-std=c99", "-pedantic", "-Wconversion", "-Wstrict-prototypes", "-Wold-style-definition"},
		"h11.c": {"-std=gnu11", "-Wc++-compat"},
		"h.cc":  {"-std=c++11", "-pedantic", "-Wconversion", "-Wextra"},
		"h.cpp": {"-std=c++20", "-pedantic"},
	} {
		file := source(t, name, text)
		for _, m := range machines() {
			must(t, Command{Machine: m, Args: slices.Concat(strict, flags, []string{"-O2", "-c", "-o", os.DevNull, file})})
		}
	}
	// And for the host's own compiler.
	if gcc, err := exec.LookPath("gcc"); err == nil {
		lib, err := library()
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(t.TempDir(), "h")
		args := slices.Concat(strict, []string{"-std=c99", "-pedantic", "-I" + filepath.Join(lib, "include"), "-o", exe, source(t, "n.c", text)})
		if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := exec.Command(exe).Run(); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	small := source(t, "small.machine", strings.Replace(ownMachine, "16K", "4K", 1))
	for _, c := range []struct {
		Command
		want string
	}{
		{Command{Machine: "commodore"}, `no machine "commodore": want one of blackhole`},
		{Command{Machine: "./commodore"}, `no such file`},
		{Command{Machine: "mesh=0x0"}, `bad machine mesh=0x0`},
		{Command{Machine: small, SRAM: true}, `machine own: the SRAM of a tile of kind tile has no room for texts`},
		{Command{Machine: "blackhole", SRAM: true, Role: "T9"}, `role "T9": blackhole has B NC T0 T1 T2 D E0 E1`},
		{Command{Machine: "occamy", Role: "-1"}, `role "-1": occamy has compute dm`},
	} {
		_, err := c.Line(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", c.Command, err)
		}
	}
}

// TestMissing: who has no compiler, or no C library, is told what to do.
func TestMissing(t *testing.T) {
	cached(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("CC", "")
	_, err := Command{Args: []string{"x.c"}}.Line(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), Install) {
		t.Errorf("no compiler: %v", err)
	}
	fake := "#!/bin/sh\ncase $1 in -dumpmachine) echo riscv64-unknown-elf;; *) echo picolibc.specs;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "riscv-none-elf-gcc"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Command{Args: []string{"x.c"}}.Line(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no C library (picolibc): as root, "+Install) {
		t.Errorf("no library: %v", err)
	}
	t.Setenv("CC", filepath.Join(bin, "riscv-none-elf-gcc"))
	if _, err := find(t.Context()); err == nil || !strings.Contains(err.Error(), "no C library") {
		t.Errorf("CC: %v", err)
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if _, err := library(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no cache: %v", err)
	}
}

// TestTogether: many at once find a whole library, and leave nothing else.
func TestTogether(t *testing.T) {
	toolchain(t)
	cache := cached(t)
	file := source(t, "p.c", "#include <warren.h>\nint main(void) { return 0; }\n")
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			out, err := build(t, Command{Args: []string{"-o", filepath.Join(dir, string(rune('a'+i))), file}})
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	names, err := filepath.Glob(filepath.Join(cache, "warren", "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("%v %v", names, err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "warren", "*", "tmp-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

package cc

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const programs = "../../testdata/riscv/"

// A program is one of testdata/riscv.
type program struct {
	source string
	runs   []run // under qemu-riscv32; none: it needs the network
}

// A run is what a program answers.
type run struct {
	args   string
	input  string
	want   string // standard output
	status int
}

func allPrograms() []program {
	return []program{
		{"hello.c", []run{
			{"", "", "hello from 0 of 1 at 0,0\n", 0},
			{"to you", "", "hello from 0 of 1 at 0,0 to you\n", 0},
		}},
		{"bench/fib.c", []run{{"", "", "fib 0000452f\n", 0}, {"3", "", "fib 011188cd\n", 0}}},
		{"bench/sieve.c", []run{{"", "", "sieve 0000198e\n", 0}, {"3", "", "sieve 006319c4\n", 0}}},
		{"bench/matmul.c", []run{{"3", "", "matmul 3a89c4d0\n", 0}}},
		{"bench/crc.c", []run{{"3", "", "crc 784cb384\n", 0}}},
		{"bench/mix.c", []run{{"3", "", "mix a6d3\n", 0}}},
		{"bench/pairs.c", nil},
		{"fault.c", []run{
			{"load", "", "about to load\n", -1},
			{"store", "", "about to store\n", -1},
			{"text", "", "about to text\n", -1},
			{"jump", "", "about to jump\n", -1},
			{"illegal", "", "about to illegal\n", -1},
			{"break", "", "about to break\n", -1},
			{"stack", "", "about to stack\n", -1},
			{"nothing", "", "about to nothing\nnothing happened\n", 0},
		}},
		{"noc/allreduce.c", []run{
			{"ring 10", "", "allreduce 1 ranks 10 words 30eed8a5\n", 0},
			{"tree 10", "", "allreduce 1 ranks 10 words 30eed8a5\n", 0},
			{"star", "", "", 2},
			{"ring 0", "", "", 2},
			{"ring 16385", "", "", 2},
		}},
		{"noc/sieve.c", []run{
			{"", "", "9592 primes below 100000\n", 0},
			{"1000000", "", "78498 primes below 1000000\n", 0},
			{"2", "", "0 primes below 2\n", 0},
			{"3", "", "1 primes below 3\n", 0},
			{"1", "", "", 2},
		}},
		{"noc/kv.c", []run{{"", `put colour green
get colour
put colour  dark blue
get colour
put shape round
count
del colour
get colour
del colour
count
get
jump high

put k ` + strings.Repeat("x", 300) + `
get k
quit
get colour
`, `ok
green
ok
dark blue
ok
2
ok
no colour
no colour
1
want put KEY VALUE, get KEY, del KEY, count or quit
want put KEY VALUE, get KEY, del KEY, count or quit
ok
` + strings.Repeat("x", 300) + "\n", 0}}},
		{"noc/wordcount.c", []run{
			{"", "", "0 0 0\n", 0},
			{"", "one two\n three", "1 3 14\n", 0},
			{"", text(), wc(text()), 0},
		}},
		{"noc/deadlock.c", []run{{"", "", "rank 0 got on\n", 0}}},
		{"dmm/dmm.c", nil},
		{"dmm/reader.c", nil},
		{"dmm/compute.c", nil},
		{"dmm/writer.c", nil},
		{"dmm/idle.c", []run{{"", "", "", 0}}},
		{"snitch/axpy.c", nil},
		{"snitch/lock.c", nil},
		{"tt/reader.cpp", nil},
		{"tt/compute.cpp", nil},
		{"tt/writer.cpp", nil},
		{"tt/mcast.cpp", nil},
	}
}

// text is some that words go across the blocks of.
func text() string {
	var b strings.Builder
	for i := 0; b.Len() < 100_000; i++ {
		fmt.Fprintf(&b, "%s%s", strings.Repeat("word", i%17+1), []string{" ", "\n", "\t\t", " \r\n"}[i%4])
	}
	return b.String() + strings.Repeat("x", 50_000)
}

// wc is what wordcount prints of a text.
func wc(text string) string {
	return fmt.Sprintf("%d %d %d\n", strings.Count(text, "\n"), len(strings.Fields(text)), len(text))
}

// TestPrograms compiles all programs for all machines, for one of them in both
// places, and runs those that need no network under qemu.
func TestPrograms(t *testing.T) {
	toolchain(t)
	for _, p := range allPrograms() {
		for _, m := range machines() {
			t.Run(p.source+" "+m, func(t *testing.T) {
				elf := filepath.Join(t.TempDir(), "p.elf")
				args := slices.Concat(strict, []string{"-O2", "-g", "-o", elf, programs + p.source})
				if m == "blackhole" {
					must(t, Command{Machine: m, SRAM: true, Args: args})
				}
				must(t, Command{Machine: m, Args: args})
				for _, r := range p.runs {
					out, errs, status := qemu(t, r.input, elf, strings.Fields(r.args)...)
					if out != r.want || status != r.status {
						t.Errorf("%q: status %d, output %q, stderr %q: want %d, %q", r.args, status, out, errs, r.status, r.want)
					}
				}
			})
		}
	}
}

// TestEveryProgram: a program that is not in the table is not tested.
func TestEveryProgram(t *testing.T) {
	var have []string
	for _, p := range allPrograms() {
		have = append(have, p.source)
	}
	for _, pattern := range []string{"*.c", "*/*.c", "*/*.cpp"} {
		names, err := filepath.Glob(programs + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if name = strings.TrimPrefix(name, programs); !slices.Contains(have, name) {
				t.Errorf("%s is in no test", name)
			}
		}
	}
}

// TestNative: the programs of the benchmark say the same on the host.
func TestNative(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		skip(t, "no gcc: as root, apt-get install -y gcc libc6-dev")
	}
	for _, p := range allPrograms() {
		if !strings.HasPrefix(p.source, "bench/") {
			continue
		}
		exe := filepath.Join(t.TempDir(), "p")
		args := slices.Concat(strict, []string{"-O2", "-Ilib/include", "-o", exe, programs + p.source})
		if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", p.source, err, out)
		}
		for _, r := range p.runs {
			out, err := exec.Command(exe, strings.Fields(r.args)...).Output()
			if err != nil || string(out) != r.want {
				t.Errorf("%s %s: %v, %q: want %q", p.source, r.args, err, out, r.want)
			}
		}
	}
}

// TestKernelWords: what the command line of a kernel may say.
func TestKernelWords(t *testing.T) {
	toolchain(t)
	elf := filepath.Join(t.TempDir(), "k.elf")
	must(t, Command{Args: slices.Concat(strict, []string{"-O2", "-DKERNEL_COMPILE_TIME_ARGS=7,8", "-o", elf, source(t, "k.cpp", `
#include <cstdint>
#include "api/dataflow/dataflow_api.h"
#include "api/debug/device_print.h"
void kernel_main()
{
	constexpr uint32_t fixed = get_compile_time_arg_val(1);
	DPRINT << get_arg_val<int>(0) << ' ' << get_arg_val<uint32_t>(1) << ' ' << get_common_arg_val<uint32_t>(0) << ENDL();
	DEVICE_PRINT("fixed {}, {} banks\n", fixed, warren_tt.width * warren_tt.height);
	DPRINT << HEX() << get_noc_addr(3, 2, 0x1234) << ENDL();
	cb_wait_front(4, 1);
}
`)})})
	for _, c := range []struct {
		words, out, err string
		status          int
	}{
		{"-5 0x10 banks=3x2 -- 077", "-5 16 63\nfixed 8, 6 banks\n8000200300001234\n", "a circular buffer that no word cbN=PxC makes: ", 134},
		{"1", "1 ", "runtime argument 1: there are 1\n", 134},
		{"one", "", "one: want N, --, cbN=PxC, semN=V or banks=WxH\n", 2},
		{"1z", "", "1z: want N", 2},
		{"cb0=2048", "", "cb0=2048: want N", 2},
		{"cb31=2048x1", "", "cb31=2048x1: want N", 2},
		{"sem16=1", "", "sem16=1: want N", 2},
		{"sem0=", "", "sem0=: want N", 2},
		{"banks=3", "", "banks=3: want N", 2},
	} {
		out, errs, status := qemu(t, "", elf, strings.Fields(c.words)...)
		if out != c.out || !strings.HasPrefix(errs, c.err) || status != c.status {
			t.Errorf("%q: status %d, output %q, stderr %q: want %d, %q, %q", c.words, status, out, errs, c.status, c.out, c.err)
		}
	}
	many := strings.Repeat("1 ", 342)
	if _, errs, status := qemu(t, "", elf, strings.Fields(many)...); status != 2 || !strings.HasPrefix(errs, "1: want") {
		t.Errorf("342 arguments: status %d, %q", status, errs)
	}
}

// TestCompileTimeArguments: a kernel that wants arguments of compile time says
// how they are given.
func TestCompileTimeArguments(t *testing.T) {
	toolchain(t)
	kernel := source(t, "k.cpp", `
#include "compute_kernel_api/eltwise_unary/sfpu_split_includes.h"
namespace NAMESPACE {
void MAIN
{
	constexpr uint32_t n = get_compile_time_arg_val(0);
	for (uint32_t i = 0; i < n; i++)
		DPRINT_MATH(DPRINT << i << ENDL());
	noc_async_read_one_packet(get_noc_addr(0, 0, 64), 64, 32);
}
}
`)
	elf := filepath.Join(t.TempDir(), "k.elf")
	out, err := build(t, Command{Args: []string{"-o", elf, kernel}})
	if err == nil || !strings.Contains(out, "arguments of compile time are given as: warren cc -DKERNEL_COMPILE_TIME_ARGS=N,N...") {
		t.Errorf("%v, %s", err, out)
	}
	must(t, Command{Args: slices.Concat(strict, []string{"-DKERNEL_COMPILE_TIME_ARGS=2", "-o", elf, kernel})})
}

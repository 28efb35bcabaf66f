// Package cc compiles C and C++ for the machines that warren simulates, with a
// stock cross compiler and the C library picolibc: it finds them, and brings
// what programs need beside them, the headers, the start-up code and the
// linker script of lib/.
//
// Stock programs lie in a core's private memory: text and constants at
// 0x80000000, data and heap behind them, the stack at the top; so they run
// under qemu-riscv32, too. With Command.SRAM text and constants lie in the SRAM
// of the tile, as on the real machines: a place for each role, one image for all
// cores of a role.
//
// The package owns no state but files in the user's cache, whose names tell
// their content; they are made whole before they get their names.
//
// # Rationale
//
// The start-up code is compiled once, apart from the user's files, so that no
// flag of the user's changes or breaks it. "-march=rv32imac_zicsr" and the like
// choose a library for RV64 in Debian's gcc 12, so of a core's ISA only the
// letters are used, and the header switches extensions on where it needs them.
// clang is not looked for: Debian has no run-time library of it for RV32, so
// that it needs gcc's, and where that is gcc is, too.
package cc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// A Command is one call of the compiler.
type Command struct {
	Machine string   // as serve takes it: blackhole, mesh=8x8, ./my.machine; "": any mesh, and what runs on most
	SRAM    bool     // text into the tile's SRAM
	Role    string   // of the cores that run it, by name or number; "": the machine's first
	Args    []string // the compiler's own: flags and files
}

// Line finds a compiler and returns its command line. Errors: EINVAL for what
// the machine does not have, ENOENT when a compiler or library is not
// installed; the text says how to install it.
func (c Command) Line(ctx context.Context) ([]string, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	tool, err := find(ctx)
	if err != nil {
		return nil, err
	}
	lib, err := library()
	if err != nil {
		return nil, err
	}
	target := []string{"-march=" + t.arch, "-mabi=" + t.abi}
	for _, arg := range c.Args { // the user knows better
		if strings.HasPrefix(arg, "-march=") || strings.HasPrefix(arg, "-mabi=") || strings.HasPrefix(arg, "-mcpu=") {
			target = append(target, arg)
		}
	}
	line := slices.Concat([]string{tool.path, "--specs=picolibc.specs"}, target)
	if links(c.Args) {
		start, err := startFiles(ctx, tool, lib, target)
		if err != nil {
			return nil, err
		}
		line = slices.Concat(line, c.layout(lib, t), start)
	}
	// Our headers come behind the user's, who may have some of the same names.
	include := filepath.Join(lib, "include")
	return slices.Concat(line, c.Args, []string{"-I" + include, "-idirafter", filepath.Join(include, "cxx")}), nil
}

// layout returns the linker's flags.
func (c Command) layout(lib string, t target) []string {
	flags := []string{
		"-nostartfiles", "-Wl,--no-warn-rwx-segments",
		fmt.Sprintf("-Wl,--defsym=__warren_text=%#x,--defsym=__warren_text_size=%#x", t.begin, t.room),
	}
	if c.SRAM {
		flags = append(flags, fmt.Sprintf("-Wl,--defsym=__warren_data=%#x", uint32(spec.PrivateBase)))
	}
	if !slices.ContainsFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "-T") }) {
		flags = append(flags, "-T"+filepath.Join(lib, "warren.ld"))
	}
	return flags
}

// links reports whether a compiler with these arguments makes a program.
func links(args []string) bool {
	stops := []string{
		"-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", "-r", "-nostdlib", "-nostartfiles",
		"-v", "--version", "--help", "--target-help", "-dumpversion", "-dumpmachine", "-dumpspecs",
	}
	files := false
	for i, arg := range args {
		if slices.Contains(stops, arg) && (arg != "-v" || len(args) == 1) || strings.HasPrefix(arg, "-print-") || strings.HasPrefix(arg, "--help=") {
			return false
		}
		file := arg == "-" || !strings.HasPrefix(arg, "-")
		files = files || file && (i == 0 || !takesWord(args[i-1]))
	}
	return files
}

// takesWord reports whether the word after a flag belongs to it.
func takesWord(flag string) bool {
	return slices.Contains([]string{
		"-o", "-x", "-I", "-L", "-l", "-D", "-U", "-T", "-include", "-imacros", "-isystem", "-idirafter", "-iquote",
		"-MF", "-MT", "-MQ", "-Xlinker", "-Xassembler", "-Xpreprocessor", "-e", "-u", "-z", "-aux-info", "--param", "-specs",
	}, flag)
}

// startFiles returns the objects that every program begins with, from the cache
// if they are there.
func startFiles(ctx context.Context, tool compiler, lib string, target []string) ([]string, error) {
	var objects []string
	for _, name := range []string{"start.c", "kernel.c", "cxx.c"} {
		key := hash(append([]string{tool.id}, target...)...)
		object := filepath.Join(lib, strings.TrimSuffix(name, ".c")+"-"+key+".o")
		objects = append(objects, object)
		if _, err := os.Stat(object); err == nil {
			continue
		}
		if err := compileStart(ctx, tool, filepath.Join(lib, name), object, target); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func compileStart(ctx context.Context, tool compiler, source, object string, target []string) error {
	tmp, err := os.CreateTemp(filepath.Dir(object), "tmp-*.o")
	if err != nil {
		return err
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	args := slices.Concat([]string{"--specs=picolibc.specs"}, target, []string{
		"-O2", "-std=gnu11", "-ffunction-sections", "-fdata-sections", "-fno-lto",
		"-I" + filepath.Join(filepath.Dir(source), "include"), "-c", source, "-o", tmp.Name(),
	})
	cmd := exec.CommandContext(ctx, tool.path, args...)
	cmd.Env = plainEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return sys.Errorf(syscall.EINVAL, "the start-up code does not compile: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(tmp.Name(), object)
}

// plainEnv is the environment without what makes a compiler look elsewhere.
func plainEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains([]string{"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH", "LIBRARY_PATH"}, name)
	})
}

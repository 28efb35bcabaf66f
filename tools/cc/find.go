package cc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// Install is the command that brings what is missing, for Debian's root.
const Install = "apt-get install -y gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"

// A compiler is one that was found.
type compiler struct {
	path string
	id   string // changes when another one is installed there
}

// names are those of gcc for bare RISC-V, as Debian and others call it.
func names() []string {
	return []string{"riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc", "riscv-none-elf-gcc"}
}

// find returns the compiler: $CC if it makes programs for RISC-V, else the first
// on the path that has picolibc.
func find(ctx context.Context) (compiler, error) {
	if cc := os.Getenv("CC"); cc != "" && !strings.ContainsAny(cc, " \t") {
		if path, err := exec.LookPath(cc); err == nil && makesRISCV(ctx, path) {
			return checked(ctx, path)
		}
	}
	var last error
	for _, name := range names() {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		tool, err := checked(ctx, path)
		if err == nil {
			return tool, nil
		}
		last = err
	}
	if last != nil {
		return compiler{}, last
	}
	return compiler{}, sys.Errorf(syscall.ENOENT, "no compiler for RISC-V (%s): as root, %s", strings.Join(names(), ", "), Install)
}

func makesRISCV(ctx context.Context, path string) bool {
	out, err := exec.CommandContext(ctx, path, "-dumpmachine").Output()
	return err == nil && strings.HasPrefix(string(out), "riscv") && !strings.Contains(string(out), "linux")
}

// checked returns a compiler if it has the C library.
func checked(ctx context.Context, path string) (compiler, error) {
	out, err := exec.CommandContext(ctx, path, "-print-file-name=picolibc.specs").Output()
	if err != nil {
		return compiler{}, sys.Errorf(syscall.ENOENT, "%s: %v", path, err)
	}
	specs := strings.TrimSpace(string(out))
	if !filepath.IsAbs(specs) { // gcc answers with the bare name of what it cannot find
		return compiler{}, sys.Errorf(syscall.ENOENT, "%s has no C library (picolibc): as root, %s", path, Install)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return compiler{}, err
	}
	id := real
	for _, file := range []string{real, specs} {
		info, err := os.Stat(file)
		if err != nil {
			return compiler{}, err
		}
		id += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
	}
	return compiler{path, id}, nil
}

// Available says why nothing can be compiled here; nil if it can.
func Available(ctx context.Context) error {
	_, err := find(ctx)
	return err
}

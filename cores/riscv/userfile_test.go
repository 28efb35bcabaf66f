package riscv

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/fs/sys"
)

// eachTools runs a test with the host's tools, and with busybox's.
func eachTools(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("host", test)
	t.Run("busybox", func(t *testing.T) {
		busybox, err := exec.LookPath("busybox")
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
		bin := t.TempDir()
		for _, name := range []string{"sh", "cat", "dd", "mv", "rm", "mktemp", "readlink", "id"} {
			if err := os.Symlink(busybox, filepath.Join(bin, name)); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", bin)
		test(t)
	})
}

// TestWriteAs writes to what users may name: nothing but a regular file is ever
// replaced.
func TestWriteAs(t *testing.T) { eachTools(t, writesAs) }

func writesAs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(name, want string) {
		t.Helper()
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v: want %q", name, b, err, want)
		}
	}
	is := func(name string, want os.FileMode) {
		t.Helper()
		if info, err := os.Lstat(at(name)); err != nil || info.Mode().Type() != want {
			t.Errorf("%s is %v, %v: want %v", name, info, err, want)
		}
	}
	ok(os.WriteFile(at("real"), []byte("old"), 0o644))
	ok(os.Symlink("real", at("link")))
	ok(os.Symlink("new", at("dangling")))
	ok(os.Symlink("none/new", at("lost")))
	ok(os.Symlink("circle", at("circle")))
	ok(os.Mkdir(at("folder"), 0o755))
	ok(syscall.Mkfifo(at("pipe"), 0o644))

	ok(writeAs(nil, at("link"), []byte("one")))
	holds("real", "one")
	is("link", os.ModeSymlink)
	ok(writeAs(nil, at("dangling"), []byte("two")))
	holds("new", "two")
	is("dangling", os.ModeSymlink)
	ok(writeAs(nil, at("with space -n"), []byte("three")))
	holds("with space -n", "three")

	got := make(chan string)
	go func() {
		f, err := os.Open(at("pipe"))
		if err != nil {
			got <- err.Error()
			return
		}
		defer f.Close()
		b, _ := io.ReadAll(f) // what it has is compared
		got <- string(b)
	}()
	ok(writeAs(nil, at("pipe"), []byte("four")))
	if b := <-got; b != "four" {
		t.Errorf("the pipe held %q", b)
	}
	is("pipe", os.ModeNamedPipe)

	for name, want := range map[string]error{at("folder"): syscall.EISDIR, at("lost"): syscall.ENOENT, at("circle"): syscall.ELOOP, at("none/x"): syscall.ENOENT} {
		if err := writeAs(nil, name, []byte("five")); !errors.Is(err, want) {
			t.Errorf("%s: %v: want %v", name, err, want)
		}
		if err := writableAs(nil, name); !errors.Is(err, want) {
			t.Errorf("%s: %v before it is written: want %v", name, err, want)
		}
	}
	is("lost", os.ModeSymlink)
	if syscall.Mknod(at("full"), syscall.S_IFCHR|0o666, 1<<8|7) == nil { // as root
		if err := writeAs(nil, at("full"), []byte("six")); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EACCES) { // no devices here
			t.Errorf("a full device: %v", err)
		}
		is("full", os.ModeDevice|os.ModeCharDevice)
	}
	list, err := os.ReadDir(dir)
	ok(err)
	for _, e := range list {
		if strings.Contains(e.Name(), ".") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

// TestReadAs reads what users may name: nothing is waited for.
func TestReadAs(t *testing.T) { eachTools(t, readsAs) }

func readsAs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("if=a b"), []byte("words"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pipe", at("link")); err != nil {
		t.Fatal(err)
	}
	if b, err := readAs(nil, dir, "if=a b", 5); err != nil || string(b) != "words" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := readAs(nil, "/", os.DevNull, 0); err != nil || len(b) != 0 {
		t.Errorf("nothing: %q, %v", b, err)
	}
	for name, want := range map[string]syscall.Errno{
		"if=a b": syscall.EFBIG, "pipe": syscall.EINVAL, "link": syscall.EINVAL, ".": syscall.EISDIR, "none": syscall.ENOENT,
		"if=a b/x": syscall.ENOTDIR, "/dev/zero": syscall.EFBIG, "": syscall.EINVAL, "a\x00b": syscall.EINVAL,
	} {
		if _, err := readAs(nil, dir, name, 4); sys.Errno(err) != want {
			t.Errorf("%q: %v: want %v", name, err, want)
		}
	}
}

// TestWriteAsSticky: that a file in a folder such as /tmp is another's is known before
// it is written.
func TestWriteAsSticky(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	eachTools(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		other := &sys.User{UID: 12345, GID: 12345, Name: "other"}
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777|os.ModeSticky), os.WriteFile(file, []byte("mine"), 0o600), os.Chmod(file, 0o666)); err != nil {
			t.Fatal(err)
		}
		if err := writableAs(other, file); !errors.Is(err, syscall.EPERM) {
			t.Errorf("another's: %v", err)
		}
		for _, u := range []*sys.User{nil, other} {
			if err := writableAs(u, filepath.Join(dir, "new")); err != nil {
				t.Errorf("a new one: %v", err)
			}
		}
		if err := errors.Join(writableAs(nil, file), os.Chown(file, 12345, 12345), writableAs(other, file), writableAs(nil, file)); err != nil {
			t.Errorf("one's own, and for root: %v", err)
		}
	})
}

// TestWriteAsKilled: a write that takes too long leaves nothing behind.
func TestWriteAsKilled(t *testing.T) {
	eachTools(t, func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		cmd, err := child(ctx, nil, "", "sh", "-c", replace, "sh", filepath.Join(dir, "file"), "")
		if err != nil {
			t.Fatal(err)
		}
		in, out, err := os.Pipe() // nothing comes
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		cmd.Stdin = in
		if err := cmd.Run(); err == nil {
			t.Error("it was written")
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
			t.Errorf("left behind: %v, %v", list, err)
		}
	})
}

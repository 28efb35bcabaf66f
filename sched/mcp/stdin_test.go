package mcp_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"warren/cores"
)

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStdinBound: what is written is kept in order up to the bound; then
// writes wait, and those that are cancelled leave nothing behind.
func TestStdinBound(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.proc("p", "x")
	stdin := r.catchStdin()
	in := p.OpenStdin()
	defer in.Close()
	want := strings.Repeat("a", 700<<10)
	put(in, want).wait(t)
	b := put(in, strings.Repeat("b", 600<<10))
	c := put(in, "cancelled")
	d := put(in, "dd")
	if b.answered.Load() || c.answered.Load() || d.answered.Load() {
		t.Fatal("a write beyond the bound did not wait")
	}
	no := &call{done: make(chan struct{}), nonblock: true}
	in.Put(no, []byte("x"))
	if !errors.Is(no.err, syscall.EAGAIN) {
		t.Errorf("a write that must not wait: %v", no.err)
	}
	c.interrupt()
	r.ok(p.Start(true))
	got := make(chan string)
	go func() { got <- readAll(t, <-stdin) }()
	b.wait(t)
	d.wait(t)
	if b.n != 600<<10 || d.n != 2 || !errors.Is(c.err, syscall.EINTR) {
		t.Errorf("writes were answered %d, %d, %v", b.n, d.n, c.err)
	}
	big := put(in, strings.Repeat("e", 3<<20)) // larger than the bound: goes alone
	big.wait(t)
	p.EOF()
	want += strings.Repeat("b", 600<<10) + "dd" + strings.Repeat("e", 3<<20)
	if text := <-got; text != want {
		t.Errorf("the program read %d bytes, want %d, or others", len(text), len(want))
	}
	late := put(in, "late")
	if late.wait(t); !errors.Is(late.err, syscall.EPIPE) {
		t.Errorf("a write behind eof: %v", late.err)
	}
}

// TestStdinCancelAdmits: when a big write gives up, the small one behind it goes on.
func TestStdinCancelAdmits(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.proc("p", "x")
	in := p.OpenStdin()
	defer in.Close()
	put(in, strings.Repeat("a", 1000<<10)).wait(t)
	big, small := put(in, strings.Repeat("b", 100<<10)), put(in, "c")
	big.interrupt()
	if small.wait(t); small.n != 1 {
		t.Errorf("answered %d, %v", small.n, small.err)
	}
	waits := put(in, strings.Repeat("d", 100<<10))
	p.EOF()
	if waits.wait(t); !errors.Is(waits.err, syscall.EPIPE) {
		t.Errorf("a write that waited for room at eof: %v", waits.err)
	}
}

func TestHold(t *testing.T) {
	r := fakeRig(t, 2)
	p := r.proc("p", "x")
	stdin := r.catchStdin()
	first, second := p.OpenStdin(), p.OpenStdin()
	put(first, "one ").wait(t)
	first.Close()
	first.Close()
	p.SetHold(true)
	put(second, "two").wait(t)
	r.ok(p.Start(true))
	second.Close()
	if got := readAll(t, <-stdin); got != "one two" {
		t.Errorf("the program read %q", got)
	}
}

// TestStdinClosed: the program closes its input, or ends.
func TestStdinClosed(t *testing.T) {
	r := fakeRig(t, 2)
	stdin := r.catchStdin()
	p := r.run("p", "x")
	in := p.OpenStdin()
	defer in.Close()
	full := put(in, strings.Repeat("x", 900<<10)) // the pipe takes 64 KiB of it
	full.wait(t)
	waits := put(in, strings.Repeat("x", 900<<10))
	f := <-stdin
	f.Close()
	if waits.wait(t); waits.err != nil && !errors.Is(waits.err, syscall.EPIPE) {
		t.Errorf("a write that waited: %v", waits.err)
	}
	for { // until the close has been seen
		c := put(in, "x")
		if c.wait(t); errors.Is(c.err, syscall.EPIPE) {
			break
		}
	}
	r.job(p).End(cores.Exit{})
	r.wait(p)
	c := put(in, "x")
	if c.wait(t); !errors.Is(c.err, syscall.EPIPE) || !strings.Contains(c.err.Error(), "has ended (exit 0)") {
		t.Errorf("a write after the end: %v", c.err)
	}
}

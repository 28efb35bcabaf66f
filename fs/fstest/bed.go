package fstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// A bed is what a test lies on: a tree and a front end that root uses.
type bed struct {
	*testing.T
	tree  *Tree
	start Start
	root  Access
}

// limit bounds a wait for something that must happen; it is long, as the
// machine may be busy.
const limit = 20 * time.Second

func (b *bed) eventually(what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("it is never true that %s", what)
		}
	}
}

func (b *bed) open(path string, f fs.Flags) File {
	b.Helper()
	file, err := b.root.Open(path, f)
	if err != nil {
		b.Fatalf("open %s: %v", path, err)
	}
	return file
}

func (b *bed) close(f File) {
	b.Helper()
	if err := f.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
}

// cat reads a file to its end.
func (b *bed) cat(a Access, path string) (string, error) {
	f, err := a.Open(path, fs.ORead)
	if err != nil {
		return "", err
	}
	defer b.close(f)
	return slurp(f, 4096)
}

func slurp(f File, size int) (string, error) {
	var all []byte
	buf := make([]byte, size)
	for {
		n, err := f.Read(context.Background(), buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
	}
}

func (b *bed) mustCat(path string) string {
	b.Helper()
	text, err := b.cat(b.root, path)
	if err != nil {
		b.Fatalf("cat %s: %v", path, err)
	}
	return text
}

// echo writes once to a file.
func (b *bed) echo(a Access, path, text string, f fs.Flags) error {
	file, err := a.Open(path, f|fs.OWrite)
	if err != nil {
		return err
	}
	defer b.close(file)
	n, err := file.Write(context.Background(), []byte(text))
	if err == nil && n != len(text) {
		b.Errorf("write %q to %s: %d of %d bytes", text, path, n, len(text))
	}
	return err
}

// fails checks that an error is this fact, by number or by text.
func (b *bed) fails(what string, err, want error) {
	b.Helper()
	if err == nil {
		b.Errorf("%s: no error, want %q", what, want)
		return
	}
	if !errors.Is(err, sys.Errno(want)) && !strings.Contains(err.Error(), want.Error()) {
		b.Errorf("%s: %v, want %q (%v)", what, err, want, sys.Errno(want))
	}
}

// result of a read or write in another goroutine.
type result struct {
	text string
	n    int
	err  error
}

func (b *bed) readLater(ctx context.Context, f File, size int) <-chan result {
	got := make(chan result, 1)
	go func() {
		buf := make([]byte, size)
		n, err := f.Read(ctx, buf)
		got <- result{string(buf[:n]), n, err}
	}()
	return got
}

func (b *bed) writeLater(ctx context.Context, f File, text string) <-chan result {
	got := make(chan result, 1)
	go func() {
		n, err := f.Write(ctx, []byte(text))
		got <- result{"", n, err}
	}()
	return got
}

func (b *bed) await(what string, c <-chan result) result {
	b.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(limit):
		b.Fatalf("%s never ends", what)
		return result{}
	}
}

func (b *bed) read(f File, size int) string {
	b.Helper()
	r := b.await("a read", b.readLater(context.Background(), f, size))
	if r.err != nil {
		b.Fatalf("read: %v", r.err)
	}
	return r.text
}

func (b *bed) write(f File, text string) {
	b.Helper()
	if r := b.await("a write", b.writeLater(context.Background(), f, text)); r.err != nil || r.n != len(text) {
		b.Fatalf("write %q: %d, %v", text, r.n, r.err)
	}
}

// waiting waits until so many reads and writes of the queue wait.
func (b *bed) waiting(readers, writers int) {
	b.Helper()
	b.eventually(fmt.Sprintf("%d reads and %d writes wait", readers, writers), func() bool {
		_, r, w := b.tree.Queue.State()
		return r == readers && w == writers
	})
}

func names(all []fs.Stat) string {
	var s []string
	for _, st := range all {
		name := st.Name
		if st.Qid.Kind == fs.Directory {
			name += "/"
		}
		s = append(s, name)
	}
	return strings.Join(s, " ")
}

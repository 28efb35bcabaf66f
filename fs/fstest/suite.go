package fstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"warren/fs"
	"warren/fs/sys"
)

// A Start opens a front end over a tree, as a user, for a test; it cleans up
// with t.Cleanup. It is called for several users in one test, with one tree.
type Start func(t *testing.T, tree *Tree, u *sys.User) Access

// Run holds a front end to the contract.
func Run(t *testing.T, start Start) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *bed)
	}{
		{"List", testList},
		{"ListBig", testListBig},
		{"Stat", testStat},
		{"Missing", testMissing},
		{"Text", testText},
		{"TextIsOneSnapshot", testSnapshot},
		{"Log", testLog},
		{"Ctl", testCtl},
		{"CtlErrors", testCtlErrors},
		{"CtlTruncateAndAppend", testCtlFlags},
		{"LastError", testLastError},
		{"Messages", testMessages},
		{"ShortReads", testShortReads},
		{"ReadWaits", testReadWaits},
		{"ReadCancelled", testReadCancelled},
		{"WriteWaits", testWriteWaits},
		{"WriteCancelled", testWriteCancelled},
		{"Nonblock", testNonblock},
		{"EndOfStream", testEnd},
		{"Clone", testClone},
		{"MkdirRmdir", testMkdir},
		{"SameNameAnotherObject", testSameName},
		{"Refusals", testRefusals},
		{"Rights", testRights},
		{"Chmod", testChmod},
		{"NoSideEffects", testNoSideEffects},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := NewTree()
			b := &bed{T: t, tree: tree, start: start}
			b.root = start(t, tree, Root())
			tt.test(t, b)
			b.eventually("every open file is closed", func() bool { return tree.Opens() == 0 })
		})
	}
	t.Run("GoFS", func(t *testing.T) { testGoFS(t, start) })
}

func testList(t *testing.T, b *bed) {
	all, err := b.root.ReadDir("")
	if want := "status table ctl log queue private objs/ big/ wall/"; err != nil || names(all) != want {
		t.Errorf("the root has %q, %v; want %q", names(all), err, want)
	}
	_, err = b.root.ReadDir("status")
	b.fails("listing a file", err, sys.ErrNotDir)
}

func testListBig(t *testing.T, b *bed) {
	all, err := b.root.ReadDir("big")
	if err != nil || len(all) != BigSize {
		t.Fatalf("big has %d entries, %v; want %d", len(all), err, BigSize)
	}
	for i, st := range all {
		if want := fmt.Sprintf("f%d", i); st.Name != want {
			t.Fatalf("entry %d is %q, want %q", i, st.Name, want)
		}
	}
	if got := b.mustCat("big/f9999"); got != "small\n" {
		t.Errorf("the last file reads %q", got)
	}
}

func testStat(t *testing.T, b *bed) {
	b.tree.Log.Append("12345\n")
	for _, tt := range []struct {
		path string
		mode uint32
		size int64 // -1: it means nothing
		dir  bool
	}{
		{"", 0o755, -1, true},
		{"status", 0o444, -1, false},
		{"ctl", 0o666, -1, false},
		{"log", 0o444, 6, false},
		{"queue", 0o666, -1, false},
		{"objs", 0o777, -1, true},
		{"wall/inside", 0o444, -1, false},
	} {
		st, err := b.root.Stat(tt.path)
		isDir := st.Qid.Kind == fs.Directory
		if err != nil || st.Mode&0o777 != tt.mode || tt.size >= 0 && st.Size != tt.size || isDir != tt.dir || st.UID != 0 {
			t.Errorf("stat %q: %+v, %v; want mode %o, size %d, directory %v", tt.path, st, err, tt.mode, tt.size, tt.dir)
		}
	}
	a, _ := b.root.Stat("status")
	again, _ := b.root.Stat("status")
	other, _ := b.root.Stat("table")
	if a.Qid.Path != again.Qid.Path || a.Qid.Path == other.Qid.Path {
		t.Errorf("qids: status %x and %x, table %x", a.Qid.Path, again.Qid.Path, other.Qid.Path)
	}
}

func testMissing(_ *testing.T, b *bed) {
	for _, path := range []string{"nothing", "objs/nothing", "objs/nothing/ctl", "-x", "a b", strings.Repeat("n", 200), ".go-fuse-epoll-hack"} {
		_, err := b.root.Stat(path)
		b.fails("stat "+path, err, sys.ErrNotExist)
		_, err = b.root.Open(path, fs.ORead)
		b.fails("open "+path, err, sys.ErrNotExist)
	}
	_, err := b.root.Stat("status/x")
	b.fails("a file in a file", err, sys.ErrNotDir)
}

func testText(t *testing.T, b *bed) {
	want := "name test\nword nothing\ndone 0\n"
	for _, size := range []int{1, 7, 4096} {
		f := b.open("status", fs.ORead)
		if got, err := slurp(f, size); got != want || err != nil {
			t.Errorf("in reads of %d: %q, %v; want %q", size, got, err, want)
		}
		b.close(f)
	}
	_, err := b.root.Open("status", fs.OWrite)
	b.fails("writing a text", err, sys.ErrPermission)
}

func testSnapshot(t *testing.T, b *bed) {
	f := b.open("table", fs.ORead)
	defer b.close(f)
	first, err := slurp(f, 100)
	if err != nil {
		t.Fatal(err)
	}
	id := checkTable(t, first)
	buf := make([]byte, 64<<10)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if again := checkTable(t, string(buf[:n])); again == id {
		t.Errorf("a read at 0 is still snapshot %s", id)
	}
	half := n / 2
	m, err := f.ReadAt(buf[half:], int64(half))
	if err != nil && err != io.EOF || m != n-half {
		t.Fatalf("the second half: %d bytes of %d, %v", m, n-half, err)
	}
	checkTable(t, string(buf[:n]))
}

// checkTable checks that a table is whole and of one snapshot, and returns which.
func checkTable(t *testing.T, text string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != TableLines {
		t.Fatalf("%d lines, want %d", len(lines), TableLines)
	}
	_, id, _ := strings.Cut(lines[0], "snapshot ")
	for i, line := range lines {
		if want := fmt.Sprintf("line %d snapshot %s", i, id); line != want {
			t.Fatalf("line %q, want %q", line, want)
		}
	}
	return id
}

func testLog(t *testing.T, b *bed) {
	b.tree.Log.Append("one\ntwo\n")
	f := b.open("log", fs.ORead)
	defer b.close(f)
	if got, err := slurp(f, 5); got != "one\ntwo\n" || err != nil {
		t.Errorf("log: %q, %v", got, err)
	}
	b.tree.Log.Append("three\n")
	if st, err := b.root.Stat("log"); st.Size != 14 || err != nil {
		t.Errorf("the log's size is %d, %v; want 14", st.Size, err)
	}
	if got, err := slurp(f, 100); got != "three\n" || err != nil {
		t.Errorf("what was appended: %q, %v", got, err)
	}
	buf := make([]byte, 3)
	if n, err := f.ReadAt(buf, 4); string(buf[:n]) != "two" || err != nil {
		t.Errorf("at 4: %q, %v", buf[:n], err)
	}
}

func testCtl(t *testing.T, b *bed) {
	if err := b.echo(b.root, "ctl", "set one\n", 0); err != nil {
		t.Fatal(err)
	}
	if got := b.mustCat("ctl"); got != "set one\n" {
		t.Errorf("ctl reads %q", got)
	}
	f := b.open("ctl", fs.ORead|fs.OWrite)
	defer b.close(f)
	b.write(f, "set two\n")
	b.write(f, "set three\nset 'it''s'\n")
	if word, done := b.tree.Word(); word != "it's" || done != 4 {
		t.Errorf("the word is %q after %d commands", word, done)
	}
	if got := b.mustCat("ctl"); got != "set 'it''s'\n" {
		t.Errorf("ctl reads %q", got)
	}
}

func testCtlErrors(t *testing.T, b *bed) {
	b.fails("a wrong verb", b.echo(b.root, "ctl", "ste one\n", 0), syscall.EINVAL)
	b.fails("fail", b.echo(b.root, "ctl", "fail\n", 0), syscall.EBUSY)
	b.fails("a wrong verb in line 2", b.echo(b.root, "ctl", "set one\nste two\n", 0), syscall.EINVAL)
	if word, done := b.tree.Word(); done != 0 {
		t.Errorf("something was done: %q", word)
	}
	f := b.open("ctl", fs.OWrite)
	defer b.close(f)
	r := b.await("a write", b.writeLater(context.Background(), f, "set one\nfail\nset two\n"))
	if r.n != len("set one\n") || r.err != nil && !errors.Is(r.err, io.ErrShortWrite) {
		t.Errorf("a write that fails at line 2: %d, %v", r.n, r.err)
	}
	if word, _ := b.tree.Word(); word != "one" {
		t.Errorf("the word is %q", word)
	}
}

func testCtlFlags(t *testing.T, b *bed) {
	for i, f := range []fs.Flags{fs.OTrunc, fs.OAppend, fs.OTrunc | fs.OAppend} {
		if err := b.echo(b.root, "ctl", "set one\n", f); err != nil {
			t.Errorf("flags %b: %v", f, err)
		}
		if _, done := b.tree.Word(); done != i+1 {
			t.Errorf("flags %b: %d commands done", f, done)
		}
	}
}

// testLastError asks what went wrong, as one who was told a number only.
func testLastError(t *testing.T, b *bed) {
	alice := b.start(t, b.tree, Alice())
	_, err := alice.LastError("ctl")
	if err == ErrNoTexts {
		t.Skip(err)
	}
	b.fails("the text of no error", err, syscall.ENODATA)
	b.fails("a wrong verb", b.echo(alice, "ctl", "ste one\n", 0), syscall.EINVAL)
	want := `ctl: unknown verb "ste" (set?)`
	for _, path := range []string{"ctl", "", "objs", "status"} {
		if text, err := alice.LastError(path); text != want || err != nil {
			t.Errorf("the last error at %q is %q, %v; want %q", path, text, err, want)
		}
	}
	b.fails("fail", b.echo(alice, "ctl", "fail\n", 0), syscall.EBUSY)
	if text, err := alice.LastError("ctl"); text != "fail: this never works" || err != nil {
		t.Errorf("the last error is %q, %v", text, err)
	}
	_, err = b.root.LastError("ctl")
	b.fails("root, who made no mistake", err, syscall.ENODATA)
}

func testMessages(t *testing.T, b *bed) {
	w, r := b.open("queue", fs.OWrite|fs.OTrunc), b.open("queue", fs.ORead)
	defer b.close(r)
	long := strings.Repeat("x", 64<<10-1) + "\n"
	for _, msg := range []string{"one\n", "two\n", "a b c", long} {
		b.write(w, msg)
	}
	b.close(w)
	for _, want := range []string{"one\n", "two\n", "a b c", long} {
		if got := b.read(r, 128<<10); got != want {
			t.Errorf("message %.20q of %d bytes, want %.20q of %d", got, len(got), want, len(want))
		}
	}
}

func testShortReads(t *testing.T, b *bed) {
	f := b.open("queue", fs.ORead|fs.OWrite)
	defer b.close(f)
	other := b.open("queue", fs.ORead)
	defer b.close(other)
	b.write(f, "abcdefg")
	b.write(f, "next")
	if got := b.read(f, 3); got != "abc" {
		t.Errorf("first %q", got)
	}
	if got := b.read(other, 100); got != "next" {
		t.Errorf("another open file reads %q", got)
	}
	if got := b.read(f, 3) + b.read(f, 3); got != "defg" {
		t.Errorf("the rest is %q", got)
	}
}

func testReadWaits(t *testing.T, b *bed) {
	r, w := b.open("queue", fs.ORead), b.open("queue", fs.OWrite)
	defer b.close(r)
	defer b.close(w)
	got := b.readLater(context.Background(), r, 100)
	b.waiting(1, 0)
	b.write(w, "late")
	if res := b.await("the read", got); res.text != "late" || res.err != nil {
		t.Errorf("read %q, %v", res.text, res.err)
	}
	// A read and a write of one open file do not wait for each other.
	both := b.open("queue", fs.ORead|fs.OWrite)
	defer b.close(both)
	got = b.readLater(context.Background(), both, 100)
	b.waiting(1, 0)
	b.write(both, "self")
	if res := b.await("the read", got); res.text != "self" || res.err != nil {
		t.Errorf("read %q, %v", res.text, res.err)
	}
}

// cancelled checks the error of a wait that was cancelled.
func (b *bed) cancelled(r result) {
	b.Helper()
	if !errors.Is(r.err, context.Canceled) {
		b.fails("what was cancelled", r.err, sys.ErrInterrupted)
	}
}

func testReadCancelled(t *testing.T, b *bed) {
	r := b.open("queue", fs.ORead)
	defer b.close(r)
	ctx, cancel := context.WithCancel(context.Background())
	got := b.readLater(ctx, r, 100)
	b.waiting(1, 0)
	cancel()
	b.cancelled(b.await("the read", got))
	b.waiting(0, 0)
	if err := b.echo(b.root, "queue", "kept", 0); err != nil {
		t.Fatal(err)
	}
	if text := b.read(r, 100); text != "kept" {
		t.Errorf("read %q", text)
	}
}

// fill writes until the queue is full.
func (b *bed) fill() {
	for i := range 4 {
		if err := b.echo(b.root, "queue", fmt.Sprintf("m%d", i), 0); err != nil {
			b.Fatal(err)
		}
	}
}

func testWriteWaits(t *testing.T, b *bed) {
	b.fill()
	w1, w2 := b.open("queue", fs.OWrite|fs.OTrunc), b.open("queue", fs.OWrite|fs.OTrunc)
	defer b.close(w1)
	defer b.close(w2)
	got1 := b.writeLater(context.Background(), w1, "m4")
	b.waiting(0, 1)
	got2 := b.writeLater(context.Background(), w2, "m5")
	b.waiting(0, 2)
	if err := b.root.Chmod("queue", 0o600); err != nil {
		t.Errorf("chmod beside writes that wait: %v", err)
	}
	if err := b.echo(b.root, "ctl", "set on\n", fs.OTrunc); err != nil {
		t.Errorf("a command beside writes that wait: %v", err)
	}
	r := b.open("queue", fs.ORead)
	defer b.close(r)
	for i := range 6 {
		if got, want := b.read(r, 100), fmt.Sprintf("m%d", i); got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
	for _, c := range []<-chan result{got1, got2} {
		if res := b.await("the write", c); res.n != 2 || res.err != nil {
			t.Errorf("write: %d, %v", res.n, res.err)
		}
	}
}

func testWriteCancelled(t *testing.T, b *bed) {
	b.fill()
	w := b.open("queue", fs.OWrite)
	defer b.close(w)
	ctx, cancel := context.WithCancel(context.Background())
	got := b.writeLater(ctx, w, "never")
	b.waiting(0, 1)
	cancel()
	b.cancelled(b.await("the write", got))
	b.waiting(0, 0)
	r := b.open("queue", fs.ORead)
	defer b.close(r)
	for range 4 {
		b.read(r, 100)
	}
	if held, _, _ := b.tree.Queue.State(); held != 0 {
		t.Errorf("%d messages are held", held)
	}
}

func testNonblock(t *testing.T, b *bed) {
	r, w := b.open("queue", fs.ORead|fs.ONonblock), b.open("queue", fs.OWrite|fs.ONonblock)
	defer b.close(r)
	defer b.close(w)
	_, err := r.Read(context.Background(), make([]byte, 10))
	b.fails("a read that would wait", err, sys.ErrAgain)
	b.fill()
	_, err = w.Write(context.Background(), []byte("more"))
	b.fails("a write that would wait", err, sys.ErrAgain)
	if got := b.read(r, 10); got != "m0" {
		t.Errorf("read %q", got)
	}
}

func testEnd(t *testing.T, b *bed) {
	r := b.open("queue", fs.ORead)
	defer b.close(r)
	if err := b.echo(b.root, "queue", "last", 0); err != nil {
		t.Fatal(err)
	}
	b.tree.Queue.End()
	if got, err := slurp(r, 100); got != "last" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	b.fails("a write after the end", b.echo(b.root, "queue", "late", 0), sys.ErrClosed)
}

func testClone(t *testing.T, b *bed) {
	f := b.open("objs/clone", fs.ORead|fs.OWrite)
	name, err := slurp(f, 100)
	if err != nil || !strings.HasSuffix(name, "\n") {
		t.Fatalf("clone gives %q, %v", name, err)
	}
	dir := "objs/" + strings.TrimSuffix(name, "\n")
	b.write(f, "set mine\n")
	if got := b.mustCat(dir + "/ctl"); got != "set mine\n" {
		t.Errorf("ctl reads %q", got)
	}
	b.close(f)
	second, err := b.cat(b.root, "objs/clone")
	if err != nil || second == name {
		t.Errorf("a second clone is %q, %v", second, err)
	}
	if got := b.tree.Objects(); got != 2 {
		t.Errorf("%d objects, want 2", got)
	}
}

func testMkdir(t *testing.T, b *bed) {
	if err := b.root.Mkdir("objs/work", 0o777); err != nil {
		t.Fatal(err)
	}
	b.fails("mkdir again", b.root.Mkdir("objs/work", 0o777), sys.ErrExist)
	st, err := b.root.Stat("objs/work")
	if err != nil || st.Qid.Kind != fs.Directory {
		t.Errorf("stat: %+v, %v", st, err)
	}
	if all, err := b.root.ReadDir("objs"); names(all) != "clone work/" || err != nil {
		t.Errorf("objs has %q, %v", names(all), err)
	}
	if err := b.root.Remove("objs/work"); err != nil {
		t.Fatal(err)
	}
	_, err = b.root.Stat("objs/work")
	b.fails("stat of what was removed", err, sys.ErrNotExist)
	b.fails("rmdir again", b.root.Remove("objs/work"), sys.ErrNotExist)
}

func testSameName(t *testing.T, b *bed) {
	read := func() string {
		b.Helper()
		if err := b.root.Mkdir("objs/x", 0o777); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.root.Remove("objs/x"); err != nil {
				t.Fatal(err)
			}
		}()
		return b.mustCat("objs/x/status")
	}
	first, second := read(), read()
	if first != "serial 1\n" || second != "serial 2\n" {
		t.Errorf("two objects of one name read %q and %q", first, second)
	}
	// An object may go while a file of it is open: the file fails from then on.
	if err := b.root.Mkdir("objs/x", 0o777); err != nil {
		t.Fatal(err)
	}
	f := b.open("objs/x/status", fs.ORead)
	defer b.close(f)
	if err := b.tree.remove("x"); err != nil {
		t.Fatal(err)
	}
	_, err := b.root.Stat("objs/x/status")
	b.fails("stat in a removed object", err, sys.ErrNotExist)
}

func testRefusals(_ *testing.T, b *bed) {
	b.fails("mkdir in the root", b.root.Mkdir("new", 0o777), sys.ErrNoCreate)
	b.fails("removing a file", b.root.Remove("status"), sys.ErrNoRemove)
	b.fails("removing a fixed directory", b.root.Remove("objs"), sys.ErrNoRemove)
	b.fails("a name of digits", b.root.Mkdir("objs/12", 0o777), syscall.EINVAL)
	b.fails("a name with a blank", b.root.Mkdir("objs/a b", 0o777), syscall.EINVAL)
	b.fails("a name like an option", b.root.Mkdir("objs/-x", 0o777), syscall.EINVAL)
	_, err := b.root.Open("objs", fs.OWrite)
	b.fails("writing a directory", err, sys.ErrIsDir)
}

func testRights(t *testing.T, b *bed) {
	alice := b.start(t, b.tree, Alice())
	// Root first, so that whatever a front end remembers is there.
	b.mustCat("private")
	b.mustCat("wall/inside")
	_, err := b.cat(alice, "private")
	b.fails("alice reads private", err, sys.ErrPermission)
	_, err = b.cat(alice, "wall/inside")
	b.fails("alice goes through the wall", err, sys.ErrPermission)
	_, err = alice.Stat("wall/inside")
	b.fails("alice looks through the wall", err, sys.ErrPermission)
	_, err = alice.ReadDir("wall")
	b.fails("alice lists the wall", err, sys.ErrPermission)
	b.fails("alice's chmod", alice.Chmod("status", 0o777), sys.ErrNotOwner)
	if got, err := b.cat(alice, "status"); !strings.HasPrefix(got, "name test\n") || err != nil {
		t.Errorf("alice reads status: %q, %v", got, err)
	}
	if err := alice.Mkdir("objs/hers", 0o777); err != nil {
		t.Fatal(err)
	}
	if st, err := b.root.Stat("objs/hers"); st.UID != Alice().UID || err != nil {
		t.Errorf("her object belongs to %d, %v", st.UID, err)
	}
	if err := b.echo(alice, "objs/hers/ctl", "set up\n", fs.OTrunc); err != nil {
		t.Errorf("alice writes to her ctl: %v", err)
	}
	if err := b.root.Mkdir("objs/roots", 0o777); err != nil {
		t.Fatal(err)
	}
	b.fails("alice writes to root's ctl", b.echo(alice, "objs/roots/ctl", "set up\n", fs.OTrunc), sys.ErrPermission)
	b.fails("alice removes root's object", alice.Remove("objs/roots"), sys.ErrNotOwner)
}

func testChmod(t *testing.T, b *bed) {
	alice := b.start(t, b.tree, Alice())
	if err := b.root.Chmod("private", 0o644); err != nil {
		t.Fatal(err)
	}
	if st, err := b.root.Stat("private"); st.Mode&0o777 != 0o644 || err != nil {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
	if got, err := b.cat(alice, "private"); got != "secret\n" || err != nil {
		t.Errorf("alice reads %q, %v", got, err)
	}
	// A directory that is closed to others is closed at once.
	if _, err := b.cat(alice, "big/f0"); err != nil {
		t.Fatal(err)
	}
	if err := b.root.Chmod("objs", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := alice.ReadDir("objs")
	b.fails("alice lists a closed directory", err, sys.ErrPermission)
	_, err = b.cat(alice, "objs/clone")
	b.fails("alice opens in a closed directory", err, sys.ErrPermission)
}

func testNoSideEffects(t *testing.T, b *bed) {
	if err := b.root.Mkdir("objs/x", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := b.echo(b.root, "queue", "stays", 0); err != nil {
		t.Fatal(err)
	}
	tables := b.tree.tables.Load()
	for _, dir := range []string{"", "objs", "objs/x", "wall"} {
		all, err := b.root.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range all {
			path := strings.TrimPrefix(dir+"/"+st.Name, "/")
			if _, err := b.root.Stat(path); err != nil {
				t.Errorf("stat %s: %v", path, err)
			}
		}
	}
	held, _, _ := b.tree.Queue.State()
	if b.tree.Objects() != 1 || held != 1 || b.tree.tables.Load() != tables {
		t.Errorf("%d objects, %d messages, %d snapshots after looking around", b.tree.Objects(), held, b.tree.tables.Load()-tables)
	}
}

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/p9"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// foreign begins a session with a server of others.
func foreign(t *testing.T, serve func(nc net.Conn)) *client.Client {
	t.Helper()
	here, there := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(there)
	}()
	cl, err := client.New(context.Background(), here, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		<-done
	})
	return cl
}

// p9's localfs exports a folder, in 9P2000.L.
func localFolder(t *testing.T) (*client.Client, string) {
	dir := t.TempDir()
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte("text\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cl := foreign(t, func(nc net.Conn) { p9.NewServer(localfs.Attacher(dir)).Handle(nc, nc) })
	if cl.Dialect() != ninep.DotL {
		t.Fatalf("p9 speaks %v", cl.Dialect())
	}
	return cl, dir
}

func TestP9(t *testing.T) {
	ctx := context.Background()
	cl, dir := localFolder(t)
	all, err := cl.ReadDir(ctx, "/")
	if err != nil || len(all) != 300 {
		t.Errorf("%d entries, %v", len(all), err)
	}
	for _, st := range all {
		if st.Size != 5 || st.Mode != 0o644 || st.Qid.Kind == fs.Directory {
			t.Fatalf("%+v", st)
		}
	}
	big := bytes.Repeat([]byte("0123456789"), 300_000)
	f, err := cl.Open(ctx, "f1", fs.ORead|fs.OWrite|fs.OTrunc)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(big); n != len(big) || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	got := make([]byte, len(big)+1)
	if n, err := f.ReadAt(got, 0); n != len(big) || err != io.EOF || !bytes.Equal(got[:n], big) {
		t.Errorf("read: %d, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(cl.Mkdir(ctx, "sub", 0o755), cl.Remove(ctx, "f2"), cl.Remove(ctx, "sub")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "f2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("f2 is still there: %v", err)
	}
	if _, err := cl.Stat(ctx, "f2"); !errors.Is(err, syscall.ENOENT) || err.Error() != "file does not exist" {
		t.Errorf("stat of nothing: %v", err)
	}
}

// p9's tree as a node: through it, a folder can be mounted.
func TestP9Node(t *testing.T) {
	cl, _ := localFolder(t)
	u := &sys.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Name: "me"}
	a := fstest.Local(cl.Node(), u)
	all, err := a.ReadDir("")
	if err != nil || len(all) != 300 {
		t.Errorf("%d entries, %v", len(all), err)
	}
	f, err := a.Open("f7", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	if n, err := f.ReadAt(buf, 2); string(buf[:n]) != "xt\n" || err != nil && err != io.EOF {
		t.Errorf("read: %q, %v", buf[:n], err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Servers elsewhere keep no texts of errors, and say so in several ways.
func TestNoErrorText(t *testing.T) {
	ctx := context.Background()
	local, _ := localFolder(t)
	for _, cl := range []*client.Client{local, nineFans(t, nil)} {
		if text, err := cl.LastError(ctx); !errors.Is(err, syscall.ENODATA) {
			t.Errorf("%v: %q, %v", cl.Dialect(), text, err)
		}
	}
}

// nineFans is a tree of 9fans' server, which speaks 9P2000 and cancels: a
// file, and a stream of what is sent to the channel.
func nineFans(t *testing.T, messages <-chan string) *client.Client {
	tree := srv9p.NewTree("glenda", "glenda", plan9.DMDIR|0o777, nil)
	for _, name := range []string{"hello", "data"} {
		if _, err := tree.Root.Create(name, "glenda", 0o666, name); err != nil {
			t.Fatal(err)
		}
	}
	srv := &srv9p.Server{
		Tree: tree,
		Read: func(ctx context.Context, fid *srv9p.Fid, b []byte, off int64) (int, error) {
			if fid.File().Aux == "hello" {
				return fid.ReadString(b, off, "Hello\n")
			}
			select {
			case m := <-messages:
				return copy(b, m), nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		},
		Create: func(_ context.Context, fid *srv9p.Fid, name string, perm plan9.Perm, _ uint8) (plan9.Qid, error) {
			f, err := fid.File().Create(name, "glenda", perm, name)
			if err != nil {
				return plan9.Qid{}, err
			}
			fid.SetFile(f)
			return f.Stat.Qid, nil
		},
	}
	cl := foreign(t, func(nc net.Conn) { srv.Serve(nc, nc) })
	if cl.Dialect() != ninep.Classic {
		t.Fatalf("9fans speaks %v", cl.Dialect())
	}
	return cl
}

func Test9Fans(t *testing.T) {
	ctx := context.Background()
	cl := nineFans(t, nil)
	all, err := cl.ReadDir(ctx, "/")
	if len(all) != 2 || err != nil {
		t.Errorf("%d entries, %v", len(all), err)
	}
	f, err := cl.Open(ctx, "hello", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); string(text) != "Hello\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := cl.Stat(ctx, "nothing"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("stat of nothing: %v", err)
	}
	if err := cl.Mkdir(ctx, "sub", 0o755); err != nil {
		t.Error(err)
	}
	if st, err := cl.Stat(ctx, "sub"); st.Qid.Kind != fs.Directory || err != nil {
		t.Errorf("%+v, %v", st, err)
	}
}

// A foreign server, too, forgets a cancelled read, and nothing is lost.
func Test9FansFlush(t *testing.T) {
	messages := make(chan string)
	cl := nineFans(t, messages)
	f, err := cl.Open(context.Background(), "data", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	got := reading(ctx, f, 100)
	messages <- "one" // there is a reader now
	if r := await(t, got); r.text != "one" || r.err != nil {
		t.Errorf("%q, %v", r.text, r.err)
	}
	got = reading(ctx, f, 100)
	cancel()
	if r := await(t, got); !errors.Is(r.err, context.Canceled) {
		t.Errorf("a cancelled read: %q, %v", r.text, r.err)
	}
	got = reading(context.Background(), f, 100)
	messages <- "two"
	if r := await(t, got); r.text != "two" || r.err != nil {
		t.Errorf("%q, %v", r.text, r.err)
	}
}

package post

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/p9"
	"github.com/knusbaum/go9p"
	go9pfs "github.com/knusbaum/go9p/fs"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// foreign serves connections to a socket with a server of others.
func foreign(t *testing.T, serve func(nc net.Conn)) string {
	t.Helper()
	addr := "unix!" + filepath.Join(t.TempDir(), "sock")
	l, err := ninep.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []net.Conn
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			got = append(got, nc)
			mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, nc := range got {
			nc.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return addr
}

// folder makes a folder to export: text, empty files, and some whose names are
// those of streams, and a folder below.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"text": "hello\n", "data": strings.Repeat("0123456789", 1000), "ctl": "not a ctl\n", "log": "", "sub/deep": "deep\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// p9's localfs speaks 9P2000.L only, and refuses attach names that it does not know.
func TestP9(t *testing.T) {
	dir := folder(t)
	addr := foreign(t, func(nc net.Conn) { _ = p9.NewServer(localfs.Attacher(dir)).Handle(nc, nc) })
	r := newRack(t, Config{ID: "us"})
	r.post("p9", addr)
	checkFolder(t, r, dir, "p9")
}

// checkFolder uses an exported folder as one does.
func checkFolder(t *testing.T, r *rack, dir, name string) {
	t.Helper()
	a := r.as(root)
	all, err := a.ReadDir(name)
	if err != nil || len(all) != 5 {
		t.Errorf("%+v, %v", all, err)
	}
	r.mustCat(root, name+"/text", "hello\n")
	r.mustCat(root, name+"/sub/deep", "deep\n")
	if st, err := a.Stat(name + "/data"); err != nil || st.Size != 10_000 || st.Mode != 0o644 || st.Qid.Kind != fs.Text {
		t.Errorf("%+v, %v", st, err)
	}
	_, err = a.Stat(name + "/nothing")
	r.fails(err, syscall.ENOENT, "file does not exist")

	// An ordinary file is read and written at offsets, whatever its name.
	cl := r.dial(root, client.Options{})
	for _, file := range []string{"data", "log"} {
		f, err := cl.Open(context.Background(), name+"/"+file, fs.ORead|fs.OWrite)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("abcdefghij"), 100)
		for i := range 10 {
			if n, err := f.Write(want[i*100:][:100]); n != 100 || err != nil {
				t.Fatalf("%s: write: %d, %v", file, n, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !bytes.HasPrefix(got, want) {
			t.Errorf("%s has %d bytes after the writes, %v", file, len(got), err)
		}
	}
	if err := a.Mkdir(name+"/made", 0o755); err != nil {
		t.Error(err)
	}
	if err := a.Remove(name + "/made"); err != nil {
		t.Error(err)
	}
	if err := a.Remove(name + "/text"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "text")); !os.IsNotExist(err) {
		t.Errorf("text is still there: %v", err)
	}
}

// diod speaks 9P2000.L, wants the name of a tree, and does what each user may.
func TestDiod(t *testing.T) {
	if _, err := exec.LookPath("diod"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have diod")
		}
		t.Skip("no diod")
	}
	needRoot(t)
	dir := folder(t)
	open(t, dir)
	sock := filepath.Join(t.TempDir(), "sock")
	cmd := exec.Command("diod", "-f", "-n", "-N", "-c", "/dev/null", "-l", sock, "-e", dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("diod said: %s", out.String())
		}
	})
	eventually(t, "diod listens", func() bool {
		nc, err := net.Dial("unix", sock)
		if err != nil {
			return false
		}
		nc.Close()
		return true
	})
	if err := os.Chmod(sock, 0o666); err != nil {
		t.Fatal(err)
	}
	r := newRack(t, Config{ID: "us"})
	if err := r.set.Post(root, "diod", "unix!"+sock, dir); err != nil {
		t.Fatal(err)
	}
	own, other := filepath.Join(dir, "sub", "own"), filepath.Join(dir, "sub", "other")
	for name, uid := range map[string]int{own: int(glenda.UID), other: 12345} {
		if err := os.WriteFile(name, []byte("mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	r.mustCat(glenda, "diod/sub/own", "mine\n")
	_, err := cat(r.as(glenda), "diod/sub/other")
	r.fails(err, syscall.EACCES, "permission denied")
	r.mustCat(root, "diod/sub/other", "mine\n")
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, r, dir, "diod")
	_, err = r.as(sys.Nobody()).ReadDir("diod")
	r.fails(err, syscall.EPERM, "") // diod knows no user none
}

// open lets everybody in to a folder of the test, and to those above it.
func open(t *testing.T, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// 9fans' server speaks 9P2000, takes any attach name, and cancels.
func Test9Fans(t *testing.T) {
	tree := srv9p.NewTree("glenda", "glenda", plan9.DMDIR|0o777, nil)
	for _, name := range []string{"hello", "data"} {
		if _, err := tree.Root.Create(name, "glenda", 0o666, name); err != nil {
			t.Fatal(err)
		}
	}
	messages, cancelled := make(chan string), make(chan struct{}, 1)
	srv := &srv9p.Server{Tree: tree, Read: func(ctx context.Context, fid *srv9p.Fid, b []byte, off int64) (int, error) {
		if fid.File().Aux == "hello" {
			return fid.ReadString(b, off, "Hello\n")
		}
		select {
		case m := <-messages:
			return copy(b, m), nil
		case <-ctx.Done():
			cancelled <- struct{}{}
			return 0, ctx.Err()
		}
	}}
	addr := foreign(t, func(nc net.Conn) { srv.Serve(nc, nc) })
	r := newRack(t, Config{ID: "us"})
	r.post("fans", addr)
	r.mustCat(root, "fans/hello", "Hello\n")
	f, err := r.as(root).Open("fans/data", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan string, 1)
	read := func(ctx context.Context) {
		buf := make([]byte, 100)
		n, err := f.Read(ctx, buf)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(buf[:n])
	}
	go read(ctx)
	messages <- "one" // so it waits there
	if m := <-got; m != "one" {
		t.Errorf("read %q", m)
	}
	go read(ctx)
	messages <- "two"
	<-got
	go read(ctx)
	cancel()
	if m := <-got; m != sys.ErrInterrupted.Error() {
		t.Errorf("a cancelled read: %q", m)
	}
	go read(context.Background())
	messages <- "three"
	if m := <-got; m != "three" {
		t.Errorf("read %q", m)
	}
}

// go9p's server speaks 9P2000 too, and takes any attach name.
func TestGo9p(t *testing.T) {
	log.SetOutput(io.Discard) // where it tells who attached
	defer log.SetOutput(os.Stderr)
	tree, top := go9pfs.NewFS("glenda", "glenda", 0o777)
	if err := top.AddChild(go9pfs.NewStaticFile(tree.NewStat("hello", "glenda", "glenda", 0o444), []byte("Hello\n"))); err != nil {
		t.Fatal(err)
	}
	addr := foreign(t, func(nc net.Conn) { _ = go9p.ServeReadWriter(nc, nc, tree.Server()) })
	r := newRack(t, Config{ID: "us"})
	r.post("go9p", addr)
	r.mustCat(root, "go9p/hello", "Hello\n")
	if all, err := r.as(root).ReadDir("go9p"); err != nil || len(all) != 1 || all[0].Name != "hello" {
		t.Errorf("%+v, %v", all, err)
	}
	if st, err := r.as(root).Stat("go9p/hello"); err != nil || st.Size != 6 {
		t.Errorf("%+v, %v", st, err)
	}
}

package post

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// TestContract holds a post to the contract of every front end, in each dialect.
func TestContract(t *testing.T) {
	for _, d := range []ninep.Dialect{ninep.Classic, ninep.DotU, ninep.DotL} {
		t.Run(d.String(), func(t *testing.T) {
			fstest.Run(t, func(t *testing.T, tree *fstest.Tree, u *sys.User) fstest.Access {
				f := newFar(t, tree.Root, "far")
				r := newRack(t, Config{
					ID:   "us",
					Talk: client.Options{Dialects: []ninep.Dialect{d}, Streams: []string{"queue"}},
				})
				r.post("far", f.addr)
				dir, err := r.node().Walk(callOf(u), "far")
				if err != nil {
					t.Fatal(err)
				}
				return access{fstest.Local(dir, u), d, t}
			})
		})
	}
}

func callOf(u *sys.User) *fs.Call {
	c := new(fs.Call)
	c.Init(u, 0, nil, 0, false)
	return c
}

// An access makes errors loose whose number a dialect does not tell, and skips
// what it cannot say.
type access struct {
	fstest.Access
	d ninep.Dialect
	t *testing.T
}

type loose struct{ error }

func (l loose) Is(target error) bool {
	_, ok := target.(syscall.Errno)
	return ok
}

func (a access) loosen(err error) error {
	if a.d == ninep.Classic && errors.Is(err, syscall.EREMOTEIO) {
		return loose{err}
	}
	return err
}

func (a access) Open(path string, f fs.Flags) (fstest.File, error) {
	file, err := a.Access.Open(path, f)
	if err != nil {
		return nil, a.loosen(err)
	}
	return looseFile{file, a}, nil
}

func (a access) Mkdir(path string, mode uint32) error { return a.loosen(a.Access.Mkdir(path, mode)) }

func (a access) Remove(path string) error {
	err := a.loosen(a.Access.Remove(path))
	if a.d != ninep.DotL && errors.Is(err, syscall.EACCES) { // Tremove looks for the directory above
		return loose{err}
	}
	return err
}

func (a access) LastError(path string) (string, error) {
	if a.d == ninep.DotL {
		a.t.Skip("9P2000.L tells numbers; a post uses it only where there is no other")
	}
	return a.Access.LastError(path)
}

type looseFile struct {
	fstest.File
	a access
}

func (f looseFile) Write(ctx context.Context, p []byte) (int, error) {
	n, err := f.File.Write(ctx, p)
	return n, f.a.loosen(err)
}

// To list posts, and to look at one, asks nobody.
func TestListAsksNobody(t *testing.T) {
	asked := false
	r := newRack(t, Config{Dial: func(context.Context, string, *sys.User) (net.Conn, error) {
		asked = true
		return nil, syscall.ECONNREFUSED
	}})
	r.post("a", "tcp!192.0.2.1!564")
	r.post("b", "unix!/nowhere")
	a := r.as(root)
	all, err := a.ReadDir("")
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" || all[0].Qid.Kind != fs.Directory {
		t.Errorf("%+v, %v", all, err)
	}
	if st, err := a.Stat("b"); err != nil || st.Mode != 0o755 || st.Name != "b" || st.Qid != all[1].Qid {
		t.Errorf("%+v, %v", st, err)
	}
	if f, err := a.Open("b", fs.ORead); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	if err := a.Chmod("b", 0o700); err != nil {
		t.Error(err)
	}
	if _, err := r.as(glenda).Stat("b/x"); sys.Errno(err) != syscall.EACCES {
		t.Errorf("entering a closed directory: %v", err)
	}
	if asked {
		t.Error("a server was asked")
	}
}

// A dead server is an error at once that names it; when it is back, so is its tree.
func TestDeadAndBack(t *testing.T) {
	tree := fstest.NewTree()
	f := newFar(t, tree.Root, "far")
	f.kill()
	var mu sync.Mutex
	var news []string
	r := newRack(t, Config{ID: "us", Tell: func(kind, name string) {
		mu.Lock()
		defer mu.Unlock()
		news = append(news, kind+" "+name)
	}})
	r.post("far", f.addr)
	_, err := cat(r.as(root), "far/motd")
	r.fails(err, syscall.ECONNREFUSED, "no server at "+f.addr+": no such file or directory")
	if reason := r.state("far", Down); reason != err.Error() {
		t.Errorf("the reason is %q", reason)
	}
	if text, err := r.log.Last(0); err != nil || !strings.Contains(text, f.addr) {
		t.Errorf("errors has %q, %v", text, err)
	}

	f.start()
	r.state("far", Down)
	eventually(t, "the tree is back", func() bool {
		_, err := cat(r.as(root), "far/ctl")
		return err == nil
	})
	r.state("far", Connected)
	file, err := r.as(root).Open("far/queue", fs.ORead|fs.OWrite)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := walk(r.node(), root, "far", "big")
	if err != nil {
		t.Fatal(err)
	}
	f.kill()
	buf := make([]byte, 10)
	_, err = file.Read(context.Background(), buf)
	r.fails(err, syscall.ENOTCONN, f.addr)
	if reason := r.state("far", Down); !strings.Contains(reason, "closed the connection") {
		t.Errorf("the reason is %q", reason)
	}

	f.start()
	eventually(t, "a directory from before is back", func() bool {
		n, err := dir.Walk(callOf(root), "f7")
		if err == nil {
			n.Release()
		}
		return err == nil
	})
	_, err = file.Write(context.Background(), []byte("x"))
	r.fails(err, syscall.ENOTCONN, f.addr)
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	dir.Release()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"posted far", "down far", "connected far", "down far", "connected far"}; !slices.Equal(news, want) {
		t.Errorf("told %v, want %v", news, want)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is never true that %s", what)
		}
	}
}

func walk(n fs.Node, u *sys.User, names ...string) (fs.Node, error) {
	for _, name := range names {
		next, err := n.Walk(callOf(u), name)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// ".." leads back to our own directory, and the qids are those of the way down.
func TestUp(t *testing.T) {
	f := newFar(t, fstest.NewTree().Root, "far")
	r := newRack(t, Config{})
	r.post("far", f.addr)
	for _, tt := range []struct{ down, same string }{
		{"far/big/..", "far"},
		{"far/big/f1/..", "far/big"},
		{"far/objs/../big/f1/../..", "far"},
		{"far/big/../..", ""},
	} {
		a, err := walk(r.node(), root, strings.Split(tt.down, "/")...)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		if tt.same != "" {
			names = strings.Split(tt.same, "/")
		}
		b, err := walk(r.node(), root, names...)
		if err != nil {
			t.Fatal(err)
		}
		if a.Qid() != b.Qid() {
			t.Errorf("%s is %+v, %s is %+v", tt.down, a.Qid(), tt.same, b.Qid())
		}
		st, err := a.Stat(callOf(root))
		if err != nil || st.Qid != a.Qid() {
			t.Errorf("%s: %+v, %v; the node says %+v", tt.down, st, err, a.Qid())
		}
	}
}

// Files of two servers of the same tree are never the same file.
func TestQidsDiffer(t *testing.T) {
	tree := fstest.NewTree()
	r := newRack(t, Config{})
	r.post("a", newFar(t, tree.Root, "").addr)
	r.post("b", newFar(t, tree.Root, "").addr)
	seen := make(map[uint64]string)
	for _, dir := range []string{"", "a", "b", "a/big", "b/big"} {
		all, err := r.as(root).ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range all {
			path := dir + "/" + st.Name
			if other, ok := seen[st.Qid.Path]; ok {
				t.Errorf("%s and %s have the same qid", path, other)
			}
			seen[st.Qid.Path] = path
			if got, err := r.as(root).Stat(path); err != nil || got.Qid != st.Qid {
				t.Errorf("%s is listed as %+v, and is %+v, %v", path, st.Qid, got.Qid, err)
			}
		}
	}
}

func TestPosting(t *testing.T) {
	r := newRack(t, Config{Here: func() []string { return []string{"unix!/run/us", "tcp!127.0.0.1!564"} }})
	r.post("a", "unix!/run/a")
	r.post("a", "unix!/run/a")
	for _, tt := range []struct {
		name, addr, tree string
		errno            syscall.Errno
		text             string
	}{
		{"a", "unix!/run/b", "", syscall.EEXIST, "a is posted already, at unix!/run/a"},
		{"a", "unix!/run/a", "tree", syscall.EEXIST, "a is posted already"},
		{"b", "nowhere", "", syscall.EINVAL, "bad address"},
		{"b", "fd!3", "", syscall.EINVAL, "cannot be posted"},
		{"b", "unix:/run/us", "", syscall.ELOOP, "this server's own address"},
		{"b", "tcp:127.0.0.1", "", syscall.ELOOP, "this server's own address"},
	} {
		r.fails(r.set.Post(root, tt.name, tt.addr, tt.tree), tt.errno, tt.text)
	}
	for i := range maxPosts - 1 {
		r.post(fmt.Sprint("p", i), "unix!/run/p")
	}
	r.fails(r.set.Post(root, "more", "unix!/run/p", ""), syscall.ENOSPC, "the most there can be")
	r.fails(r.set.Unpost("more"), syscall.ENOENT, "")
	if err := r.set.Unpost("p5"); err != nil {
		t.Fatal(err)
	}
	r.post("more", "unix!/run/p")
	r.set.Close()
	r.fails(r.set.Post(root, "z", "unix!/run/p", ""), syscall.EPIPE, "closed")
}

// What is open at a post keeps it from being removed, but not from being unposted.
func TestUnpost(t *testing.T) {
	f := newFar(t, fstest.NewTree().Root, "far")
	r := newRack(t, Config{})
	r.post("far", f.addr)
	file, err := r.as(root).Open("far/queue", fs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	r.fails(r.as(root).Remove("far"), syscall.EBUSY, "1 files are open there")
	got := make(chan error, 1)
	go func() {
		_, err := file.Read(context.Background(), make([]byte, 10))
		got <- err
	}()
	if err := r.set.Unpost("far"); err != nil {
		t.Fatal(err)
	}
	r.fails(<-got, syscall.ENOTCONN, f.addr)
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	_, err = r.as(root).Stat("far")
	r.fails(err, syscall.ENOENT, "")
	r.post("far", f.addr)
	if _, err := r.as(root).Stat("far/ctl"); err != nil {
		t.Error(err)
	}
	if err := r.as(root).Remove("far"); err != nil {
		t.Error(err)
	}
}

// who is a tree that tells who asks, and for whom it is asked.
type who struct {
	fs.Node
	mu  sync.Mutex
	all []sys.User
}

func (w *who) Stat(c *fs.Call) (fs.Stat, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, *c.User())
	return w.Node.Stat(c)
}

func (w *who) Walk(c *fs.Call, name string) (fs.Node, error) {
	w.mu.Lock()
	w.all = append(w.all, *c.User())
	w.mu.Unlock()
	return w.Node.Walk(c, name)
}

// Everybody is himself to the server: on a unix socket, by his credentials.
func TestUsers(t *testing.T) {
	needRoot(t)
	w := &who{Node: fstest.NewTree().Root}
	f := newFar(t, w, "far")
	r := newRack(t, Config{ID: "us"})
	var mu sync.Mutex
	peers := make(map[uint32]bool)
	dial := r.set.cfg.Dial
	r.set.cfg.Dial = func(ctx context.Context, addr string, u *sys.User) (net.Conn, error) {
		nc, err := dial(ctx, addr, u)
		if err == nil {
			mu.Lock()
			peers[u.UID] = true
			mu.Unlock()
		}
		return nc, err
	}
	r.post("far", f.addr)
	for _, u := range []*sys.User{root, glenda, sys.Nobody(), {UID: 65002, GID: 65002, Groups: []uint32{65010}, Name: "65002"}} {
		w.all = nil
		if _, err := r.as(u).Stat("far/big"); err != nil {
			t.Errorf("%s: %v", u.Name, err)
		}
		for _, seen := range w.all {
			if seen.UID != u.UID || seen.None != u.None || !slices.Equal(seen.Via, []string{"us"}) {
				t.Errorf("%s is taken for %+v", u.Name, seen)
			}
		}
		if len(w.all) == 0 {
			t.Errorf("%s did not get there", u.Name)
		}
	}
	if len(peers) != 4 {
		t.Errorf("connections of %v", peers)
	}
	if n := f.srv.Clients(); n != 4 {
		t.Errorf("%d connections for 4 users", n)
	}
}

// A server that is not root is itself to others, and lets nobody else be it.
func TestNotRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root is")
	}
	d := newDeaf(t)
	_, err := dialer{}.dial(t.Context(), d.addr, root)
	if sys.Errno(err) != syscall.EPERM || !strings.Contains(err.Error(), "as itself only") {
		t.Errorf("as root: %v", err)
	}
	for _, u := range []*sys.User{{UID: uint32(os.Geteuid())}, sys.Nobody()} {
		nc, err := dialer{}.dial(t.Context(), d.addr, u)
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
}

// A socket that a user may not connect to is closed to him here, too; and the
// thread that tried is not seen again.
func TestSocketRights(t *testing.T) {
	needRoot(t)
	f := newFar(t, fstest.NewTree().Root, "")
	path := strings.TrimPrefix(f.addr, "unix!")
	if err := unix.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRack(t, Config{})
	r.post("far", f.addr)
	for range 3 {
		_, err := r.as(glenda).Stat("far/ctl")
		r.fails(err, syscall.EACCES, "no server at "+f.addr+": permission denied")
		if _, err := r.as(root).Stat("far/ctl"); err != nil {
			t.Error(err)
		}
	}
}

// The peer's credentials are the user's, whatever the attach says.
func TestPeerCredentials(t *testing.T) {
	needRoot(t)
	d := newDeaf(t)
	nc, err := dialer{}.dial(context.Background(), d.addr, glenda)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, "the connection is accepted", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.got) == 1
	})
	cred, err := ninep.PeerCred(d.got[0].(*net.UnixConn))
	if err != nil || cred.Uid != glenda.UID || cred.Gid != glenda.GID {
		t.Errorf("%+v, %v", cred, err)
	}
	if uid := syscall.Geteuid(); uid != 0 {
		t.Errorf("this process is %d now", uid)
	}
}

// The user none may read what the world may read and nothing else, even if the
// server lets it.
func TestNone(t *testing.T) {
	tree := fstest.NewTree()
	r := newRack(t, Config{Dial: asRoot(tree), Talk: client.Options{Streams: []string{"queue"}}})
	r.post("far", "unix!/x")
	none := r.as(sys.Nobody())
	if _, err := cat(none, "far/big/f3"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"open a ctl":          second(none.Open("far/ctl", fs.OWrite)),
		"read a stream":       second(none.Open("far/queue", fs.ORead)),
		"make":                none.Mkdir("far/objs/x", 0o777),
		"chmod":               none.Chmod("far/ctl", 0o777),
		"enter":               second(none.Stat("far/wall/inside")),
		"list what is closed": second(none.ReadDir("far/wall")),
	} {
		if sys.Errno(err) != syscall.EACCES {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// asRoot connects to a server that takes everybody for root.
func asRoot(tree *fstest.Tree) func(context.Context, string, *sys.User) (net.Conn, error) {
	return func(context.Context, string, *sys.User) (net.Conn, error) {
		here, there := net.Pipe()
		srv := &ninep.Server{Root: rooted{tree.Root}, Users: new(sys.Users)}
		go srv.ServeConn(there, ninep.Identity{Claim: true})
		return here, nil
	}
}

// rooted is a tree that asks as root whoever asks.
type rooted struct{ fs.Node }

func (n rooted) call(c *fs.Call) *fs.Call { return callOf(root) }

func (n rooted) Stat(c *fs.Call) (fs.Stat, error) { return n.Node.Stat(n.call(c)) }

func (n rooted) Walk(c *fs.Call, name string) (fs.Node, error) {
	to, err := n.Node.Walk(n.call(c), name)
	if err != nil {
		return nil, err
	}
	return rooted{to}, nil
}

func (n rooted) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	return n.Node.List(n.call(c), cookie, yield)
}

func (n rooted) Open(c *fs.Call, f fs.Flags) (fs.Handle, fs.Node, error) {
	h, _, err := n.Node.Open(n.call(c), f)
	return h, n, err
}

func (n rooted) Change(c *fs.Call, ch fs.Change) error { return n.Node.Change(n.call(c), ch) }

// A way that leads back to a server on it is refused: here, or there.
func TestLoops(t *testing.T) {
	racks := make(map[string]*rack)
	fars := make(map[string]*far)
	for _, id := range []string{"a", "b", "c"} {
		racks[id] = newRack(t, Config{ID: id})
		fars[id] = newFar(t, racks[id].node(), id)
	}
	link := strings.TrimPrefix(fars["a"].addr, "unix!") + "2"
	if err := unix.Symlink("sock", link); err != nil {
		t.Fatal(err)
	}
	racks["a"].post("b", fars["b"].addr)
	racks["a"].post("self", "unix!"+link)
	racks["b"].post("a", fars["a"].addr)
	racks["b"].post("c", fars["c"].addr)
	racks["c"].post("a", fars["a"].addr)
	for _, tt := range []struct {
		from, path string
		ok         bool
	}{
		{"a", "b/a", true}, // to look at it asks nobody
		{"a", "b/c/a", true},
		{"a", "self/b", false},
		{"a", "b/a/b", false},
		{"a", "b/c/a/b", false},
		{"b", "a/b/c", false},
		{"b", "a/self", true},
		{"b", "a/self/b", false},
		{"c", "a/b/c/a", false},
		{"c", "a/b/a/b", false},
		{"c", "a/b", true},
	} {
		_, err := racks[tt.from].as(root).Stat(tt.path)
		if tt.ok && err != nil || !tt.ok && sys.Errno(err) != syscall.ELOOP {
			t.Errorf("from %s, %s: %v", tt.from, tt.path, err)
		}
	}
}

// TestTLS: a tls address takes a certificate, and is for our own user only.
func TestTLS(t *testing.T) {
	r := newRack(t, Config{})
	r.fails(r.set.Post(root, "far", "tls!127.0.0.1!1", ""), syscall.EINVAL, "no certificate to show")
	config := func(host string) (*tls.Config, error) {
		if host != "127.0.0.1" {
			return nil, sys.Errorf(syscall.EINVAL, "no authority for %s", host)
		}
		return new(tls.Config), nil
	}
	r = newRack(t, Config{TLS: config})
	r.fails(r.set.Post(root, "far", "tls!far.example!1", ""), syscall.EINVAL, "no authority")
	if err := r.set.Post(root, "far", "tls!127.0.0.1!1", ""); err != nil {
		t.Error(err)
	}
	for _, u := range []*sys.User{glenda, sys.Nobody()} {
		_, err := dialer{config}.dial(t.Context(), "tls!127.0.0.1!1", u)
		r.fails(err, syscall.EPERM, "may act with its certificate")
	}
}

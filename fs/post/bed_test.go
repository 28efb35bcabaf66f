package post

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits for what must happen.
const patience = 20 * time.Second

var (
	root   = fstest.Root()
	glenda = &sys.User{UID: 65001, GID: 65001, Name: "65001"}
)

// A far server serves a tree at an address, and can be killed.
type far struct {
	t    *testing.T
	addr string
	id   string
	root fs.Node

	srv  *ninep.Server
	done chan struct{}
}

// newFar brings up a server of a tree on a unix socket that everybody reaches.
func newFar(t *testing.T, tree fs.Node, id string) *far {
	t.Helper()
	f := &far{t: t, addr: "unix!" + filepath.Join(t.TempDir(), "sock"), id: id, root: tree}
	f.start()
	t.Cleanup(f.kill)
	return f
}

func (f *far) start() {
	f.t.Helper()
	l, err := ninep.Listen(f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.srv = &ninep.Server{Root: f.root, Users: new(sys.Users), ID: f.id}
	if os.Geteuid() != 0 {
		l, f.srv.Insecure = anonymous{l}, true
	}
	f.done = make(chan struct{})
	go func() {
		defer close(f.done)
		if err := f.srv.Serve(l); err != nil {
			f.t.Error(err)
		}
	}()
}

// anonymous hides who connects, where only the attach can say it: connections
// of many users need root.
type anonymous struct{ net.Listener }

func (a anonymous) Accept() (net.Conn, error) {
	nc, err := a.Listener.Accept()
	return struct{ net.Conn }{nc}, err
}

// kill ends the server and all its connections.
func (f *far) kill() {
	f.srv.Close()
	<-f.done
}

// A rack is a directory of posts: what srv is in the tree.
type rack struct {
	t   *testing.T
	set *Set
	log fs.ErrorLog
	dir *fs.Dir[*rackRoot]
	top *rackRoot
}

type rackRoot struct {
	*rack
	meta *sys.Meta
}

func (r *rackRoot) Meta() *sys.Meta { return r.meta }

// newRack makes a rack of a server with this id.
func newRack(t *testing.T, cfg Config) *rack {
	t.Helper()
	cfg.Class = 77
	if cfg.Dial == nil && os.Geteuid() != 0 {
		cfg.Dial = func(ctx context.Context, addr string, _ *sys.User) (net.Conn, error) { return ninep.Dial(ctx, addr) }
	}
	r := &rack{t: t, set: NewSet(cfg)}
	t.Cleanup(r.set.Close)
	posts := &fs.Dir[*Post]{Class: 76}
	r.top = &rackRoot{r, sys.NewMeta(0, "srv", root)}
	r.dir = &fs.Dir[*rackRoot]{Class: 75, Kids: &fs.Kids[*rackRoot]{
		Walk: func(_ *fs.Call, _ *rackRoot, up fs.Node, name string) (fs.Node, error) {
			p, ok := r.set.Get(name)
			if !ok {
				return nil, sys.ErrNotExist
			}
			return p.Mount(posts.Node(p, up), "/"+name, &r.log), nil
		},
		List: func(_ *rackRoot, from uint64, yield func(string, uint64) bool) {
			for _, p := range r.set.All() {
				if m := p.Meta(); m.Serial >= from && !yield(m.Name, m.Serial+1) {
					return
				}
			}
		},
		Remove: func(_ *fs.Call, _ *rackRoot, name string) error { return r.set.Remove(name) },
	}}
	return r
}

func (r *rack) node() fs.Node { return r.dir.Root(r.top, new(fs.Env)) }

func (r *rack) as(u *sys.User) fstest.Access { return fstest.Local(r.node(), u) }

// dial begins a session of a user with a server of the rack.
func (r *rack) dial(u *sys.User, o client.Options) *client.Client {
	r.t.Helper()
	here, there := net.Pipe()
	srv := &ninep.Server{Root: r.node(), Users: new(sys.Users), ID: r.set.cfg.ID}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(there, ninep.Identity{User: u})
	}()
	o.Uname, o.UID = u.Name, &u.UID
	cl, err := client.New(context.Background(), here, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		cl.Close()
		<-done
	})
	return cl
}

func (r *rack) post(name, addr string) {
	r.t.Helper()
	if err := r.set.Post(root, name, addr, ""); err != nil {
		r.t.Fatal(err)
	}
}

// state waits until a post is in a state, and returns its reason.
func (r *rack) state(name string, want State) string {
	r.t.Helper()
	p, ok := r.set.Get(name)
	if !ok {
		r.t.Fatalf("no post %s", name)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := p.Status()
		if s.State == want {
			return s.Reason
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s is %+v, want %s", name, s, want)
		}
	}
}

// cat reads a file to its end.
func cat(a fstest.Access, path string) (string, error) {
	f, err := a.Open(path, fs.ORead)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var all []byte
	buf := make([]byte, 64<<10)
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

func (r *rack) mustCat(u *sys.User, path, want string) {
	r.t.Helper()
	text, err := cat(r.as(u), path)
	if err != nil || text != want {
		r.t.Fatalf("%s is %q, %v; want %q", path, text, err, want)
	}
}

// fails checks an error's number, and that its text has this part.
func (r *rack) fails(err error, want syscall.Errno, part string) {
	r.t.Helper()
	if sys.Errno(err) != want || err == nil || !strings.Contains(err.Error(), part) {
		r.t.Errorf("%v (%v), want %v: %s", err, sys.Errno(err), want, part)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root connects as others")
	}
}

// A deaf server takes connections and says nothing.
type deaf struct {
	addr string
	mu   sync.Mutex
	got  []net.Conn
}

func newDeaf(t *testing.T) *deaf {
	t.Helper()
	d := &deaf{addr: "unix!" + filepath.Join(t.TempDir(), "sock")}
	l, err := ninep.Listen(d.addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			d.mu.Lock()
			d.got = append(d.got, nc)
			d.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, nc := range d.got {
			nc.Close()
		}
	})
	return d
}

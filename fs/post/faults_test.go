package post

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// A server that says nothing holds up those only who wait for it, and they can
// leave: on the same connection to us, too.
func TestDeaf(t *testing.T) {
	d := newDeaf(t)
	f := newFar(t, fstest.NewTree().Root, "far")
	r := newRack(t, Config{ID: "us", Talk: client.Options{Timeout: time.Hour}})
	r.post("deaf", d.addr)
	r.post("far", f.addr)
	cl := r.dial(root, client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	const waiting = 20
	got := make(chan error, waiting)
	for i := range waiting {
		go func() {
			_, err := cl.Stat(ctx, fmt.Sprint("deaf/", i))
			got <- err
		}()
	}
	eventually(t, "the server is connected to", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.got) == 1
	})
	for _, path := range []string{"far/ctl", "deaf", "far/big/f1"} {
		if _, err := cl.Stat(context.Background(), path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	cancel()
	for range waiting {
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call: %v", err)
		}
	}
	go func() {
		_, err := r.as(root).Stat("deaf/x")
		got <- err
	}()
	eventually(t, "somebody waits again", func() bool {
		p, _ := r.set.Get("deaf")
		p.mu.Lock()
		defer p.mu.Unlock()
		s := p.sessions[keyOf(root)]
		return s != nil && s.busy > 0
	})
	r.set.Close()
	r.fails(<-got, syscall.ENOENT, "")
}

// pipes is a Dial to a tree, for tests with a clock of their own.
type pipes struct {
	root   fs.Node
	dials  atomic.Int32
	open   atomic.Int32
	silent atomic.Bool // what is sent to the server does not get there
}

func (p *pipes) dial(_ context.Context, _ string, u *sys.User) (net.Conn, error) {
	p.dials.Add(1)
	p.open.Add(1)
	here, there := net.Pipe()
	srv := &ninep.Server{Root: p.root, Users: new(sys.Users), ID: "far"}
	go func() {
		defer p.open.Add(-1)
		srv.ServeConn(there, ninep.Identity{User: u})
	}()
	return &silenced{here, &p.silent}, nil
}

type silenced struct {
	net.Conn
	silent *atomic.Bool
}

func (s *silenced) Write(p []byte) (int, error) {
	if s.silent.Load() {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// What a server may take its time over has an end, and who comes soon after
// does not wait for the same again.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{root: fstest.NewTree().Root}
		r := newRack(t, Config{ID: "us", Dial: p.dial})
		r.post("far", "unix!/far")
		took := func(path string) (time.Duration, error) {
			start := time.Now()
			_, err := r.as(root).Stat(path)
			return time.Since(start), err
		}
		if _, err := took("far/ctl"); err != nil {
			t.Fatal(err)
		}
		p.silent.Store(true)
		d, err := took("far/big")
		r.fails(err, syscall.ETIMEDOUT, "unix!/far: the server does not answer")
		if d < replyTime || d > replyTime+2*flushTime {
			t.Errorf("a call took %v", d)
		}
		synctest.Wait()
		if reason := r.state("far", Down); reason != err.Error() {
			t.Errorf("the reason is %q", reason)
		}
		d, err = took("far/big")
		r.fails(err, syscall.ETIMEDOUT, "unix!/far: the server does not answer")
		if d != beginTime {
			t.Errorf("a session took %v to fail", d)
		}
		if d, _ = took("far/big"); d != 0 {
			t.Errorf("the next who came waited %v", d)
		}
		p.silent.Store(false)
		time.Sleep(2 * time.Second)
		if d, err = took("far/big"); err != nil || d != 0 {
			t.Errorf("after a while: %v, %v", d, err)
		}
		r.set.Close()
		synctest.Wait()
	})
}

// A session that nobody uses ends, and begins again with the next use. One with
// an open file does not.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{root: fstest.NewTree().Root}
		r := newRack(t, Config{ID: "us", Dial: p.dial})
		r.post("far", "unix!/far")
		f, err := r.as(root).Open("far/ctl", fs.ORead)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * idleTime)
		synctest.Wait()
		if p.open.Load() != 1 {
			t.Error("a session with an open file ended")
		}
		if _, err := r.as(root).Stat("far/big"); err != nil {
			t.Error(err)
		}
		n, err := walk(r.node(), root, "far", "big")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2*idleTime + time.Second)
		synctest.Wait()
		if p.open.Load() != 0 {
			t.Error("an idle session goes on")
		}
		if post, _ := r.set.Get("far"); post.Status().State != Idle {
			t.Errorf("%+v", post.Status())
		}
		if _, err := n.Stat(callOf(root)); err != nil {
			t.Errorf("a node from before: %v", err)
		}
		n.Release()
		if p.dials.Load() != 2 {
			t.Errorf("%d connections were made, want 2", p.dials.Load())
		}
		r.set.Close()
		synctest.Wait()
	})
}

// Sessions have a bound: the idle give way, the others keep new ones out.
func TestManyUsers(t *testing.T) {
	p := &pipes{root: fstest.NewTree().Root}
	r := newRack(t, Config{ID: "us", Dial: p.dial})
	r.post("far", "unix!/far")
	user := func(i int) *sys.User { return &sys.User{UID: uint32(i), Name: fmt.Sprint(i)} }
	var files []fstest.File
	for i := range maxSessions {
		f, err := r.as(user(i)).Open("far/big/f1", fs.ORead)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	_, err := r.as(user(maxSessions)).Stat("far/ctl")
	r.fails(err, syscall.EUSERS, "more than 256 users")
	if err := files[7].Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.as(user(maxSessions)).Stat("far/ctl"); err != nil {
		t.Error(err)
	}
	if _, err := r.as(user(7)).Stat("far/ctl"); err != nil { // the newest is idle again
		t.Error(err)
	}
	for i, f := range files {
		if i != 7 {
			f.Close()
		}
	}
	r.set.Close()
	eventually(t, "the sessions are over", func() bool { return p.open.Load() == 0 })
}

// A server dies and comes back again and again while it is in use: nothing
// hangs, nothing is taken for another file, and in the end all is well.
func TestRestarts(t *testing.T) {
	tree := fstest.NewTree()
	f := newFar(t, tree.Root, "far")
	r := newRack(t, Config{ID: "us"})
	r.post("far", f.addr)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				useFar(t, r)
			}
		})
	}
	for range 30 {
		time.Sleep(rand.N(5 * time.Millisecond)) // of use, whatever comes of it
		f.kill()
		f.start()
	}
	close(stop)
	all.Wait()
	eventually(t, "the tree is back", func() bool {
		_, err := cat(r.as(root), "far/big/f1")
		return err == nil
	})
	eventually(t, "every file is closed", func() bool { return tree.Opens() == 0 })
}

// useFar reads something. It may fail because there is no server.
func useFar(t *testing.T, r *rack) {
	lost := func(err error) bool {
		switch sys.Errno(err) {
		case syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ECONNRESET, syscall.EPIPE:
			return true
		}
		return false
	}
	switch rand.N(3) {
	case 0:
		text, err := cat(r.as(root), "far/big/f1")
		if err != nil && !lost(err) || err == nil && text != "small\n" {
			t.Errorf("f1 is %q, %v", text, err)
		}
	case 1:
		if all, err := r.as(root).ReadDir("far/big"); err != nil && !lost(err) || err == nil && len(all) != fstest.BigSize {
			t.Errorf("big has %d files, %v", len(all), err)
		}
	default:
		if _, err := r.as(root).Stat("far/none"); !lost(err) && sys.Errno(err) != syscall.ENOENT {
			t.Errorf("a file that is not there: %v", err)
		}
	}
}

// Readers of a stream are cancelled at random while messages come, through us
// and another server: each message is read once.
func TestMessages(t *testing.T) {
	tree := fstest.NewTree()
	streams := client.Options{Streams: []string{"queue"}}
	middle := newRack(t, Config{ID: "middle", Talk: streams})
	middle.post("far", newFar(t, tree.Root, "far").addr)
	r := newRack(t, Config{ID: "us", Talk: streams})
	r.post("middle", newFar(t, middle.node(), "middle").addr)

	const readers, total = 6, 300
	seen := make(chan int, total)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range readers {
		cl := r.dial(root, client.Options{Streams: streams.Streams})
		all.Go(func() { stormReader(ctx, t, cl, i, seen) })
	}
	all.Go(func() {
		f, err := r.dial(root, client.Options{Streams: streams.Streams}).Open(ctx, "middle/far/queue", fs.OWrite)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for i := range total {
			if _, err := f.WriteContext(ctx, make([]byte, i+1)); err != nil {
				t.Error(err)
			}
		}
	})
	got := make(map[int]bool)
	for range total {
		select {
		case n := <-seen:
			if got[n] {
				t.Errorf("message %d came twice", n)
			}
			got[n] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d messages came", len(got), total)
		}
	}
	stop()
	all.Wait()
}

// stormReader reads with deadlines that often pass just when a message comes,
// and opens the stream again now and then.
func stormReader(ctx context.Context, t *testing.T, cl *client.Client, seed int, seen chan<- int) {
	buf := make([]byte, 1000)
	for i := seed; ctx.Err() == nil; {
		f, err := cl.Open(ctx, "middle/far/queue", fs.ORead)
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		for range 20 {
			i++
			short, cancel := context.WithTimeout(ctx, time.Duration(i%9)*100*time.Microsecond)
			n, err := f.ReadContext(short, buf)
			cancel()
			if err == nil {
				seen <- n
			} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		f.Close()
	}
}

// A write that may be a part of a message is refused, as it is without a
// server in between.
func TestSplitWrite(t *testing.T) {
	r := newRack(t, Config{ID: "us"})
	r.post("far", newFar(t, fstest.NewTree().Root, "far").addr)
	cl := r.dial(root, client.Options{Msize: 8192})
	if err := cl.Mkdir(context.Background(), "far/objs/x", 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := cl.Open(context.Background(), "far/objs/x/data", fs.OWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Write(make([]byte, f.IOUnit()))
	r.fails(err, syscall.EMSGSIZE, "")
	if _, err := f.Write(make([]byte, f.IOUnit()-1)); err != nil {
		t.Error(err)
	}
}

// liar is a directory of a server that makes names up.
type liar struct{ fs.Node }

func (l liar) List(_ *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	for i, name := range []string{"good", "", "../../etc", "a/b", "nul\x00", "fine"} {
		if uint64(i) >= cookie && !yield(fs.Stat{Name: name, Mode: 0o444, Qid: fs.Qid{Path: uint64(i), Kind: fs.Text}}, uint64(i+1)) {
			return nil
		}
	}
	return nil
}

func (l liar) Open(c *fs.Call, f fs.Flags) (fs.Handle, fs.Node, error) {
	h, _, err := l.Node.Open(c, f)
	return h, l, err
}

func (l liar) Walk(*fs.Call, string) (fs.Node, error) {
	return nil, sys.Errorf(syscall.EBUSY, "many\nlines\x07%s", string(make([]byte, 5000)))
}

// What a server says is not passed on as it comes: not its names into our
// directories, nor its words into our tables.
func TestLiar(t *testing.T) {
	p := &pipes{root: liar{fstest.NewTree().Root}}
	r := newRack(t, Config{Dial: p.dial})
	r.post("liar", "unix!/liar")
	all, err := r.as(root).ReadDir("liar")
	if err != nil || len(all) != 2 || all[0].Name != "good" || all[1].Name != "fine" {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = r.as(root).Stat("liar/x")
	r.fails(err, syscall.EBUSY, "many\nlines")
	if text, err := r.log.Last(0); err != nil || len(text) > 2000 {
		t.Errorf("errors keeps %d bytes, %v", len(text), err)
	}
	if got := oneLine("many\nlines\x07" + string(make([]byte, 5000))); len(got) != 300 || got[:11] != "many?lines?" {
		t.Errorf("%q", got)
	}
}

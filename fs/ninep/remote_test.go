package ninep

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// farTree is a tree on another machine: what its nodes are asked waits until it
// is let go, or interrupted. It has a file "far/f", and "near", which is here.
type farTree struct {
	asked   chan string   // what waits now
	release chan struct{} // lets one go
	open    atomic.Bool   // lets all go
	refs    atomic.Int64  // nodes that were walked to and not released
	opens   atomic.Int64  // handles that are open
}

func newFarTree() *farTree {
	return &farTree{asked: make(chan string, 4*maxAway), release: make(chan struct{})}
}

// wait is what a node does that must ask another machine.
func (t *farTree) wait(c *fs.Call, what string) error {
	ctx, end := c.Context(context.Background())
	defer end()
	if t.open.Load() {
		return context.Cause(ctx)
	}
	t.asked <- what
	select {
	case <-t.release:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type farNode struct {
	t    *farTree
	name string // "/", "far", "near", "f"
}

func (n *farNode) Qid() fs.Qid {
	switch n.name {
	case "/":
		return fs.Qid{Path: 1}
	case "far":
		return fs.Qid{Path: 2, Remote: true}
	case "near":
		return fs.Qid{Path: 3, Kind: fs.Text}
	}
	return fs.Qid{Path: 4, Kind: fs.Text, Remote: true}
}

func (n *farNode) ask(c *fs.Call, what string) error {
	if !n.Qid().Remote {
		return nil
	}
	return n.t.wait(c, what)
}

func (n *farNode) Stat(c *fs.Call) (fs.Stat, error) {
	return fs.Stat{Qid: n.Qid(), Name: n.name, Mode: 0o777}, n.ask(c, "stat")
}

func (n *farNode) Walk(c *fs.Call, name string) (fs.Node, error) {
	if err := n.ask(c, "walk "+name); err != nil {
		return nil, err
	}
	switch {
	case n.name == "/" && (name == "far" || name == "near"), n.name == "far" && name == "f":
	case name == "..":
		name = map[string]string{"/": "/", "far": "/", "f": "far"}[n.name]
	default:
		return nil, sys.ErrNotExist
	}
	n.t.refs.Add(1)
	return &farNode{n.t, name}, nil
}

func (n *farNode) List(c *fs.Call, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if err := n.ask(c, "list"); err != nil || n.name != "far" || cookie > 0 {
		return err
	}
	yield(fs.Stat{Qid: (&farNode{n.t, "f"}).Qid(), Name: "f", Mode: 0o777}, 1)
	return nil
}

func (n *farNode) Open(c *fs.Call, _ fs.Flags) (fs.Handle, fs.Node, error) {
	if err := n.ask(c, "open"); err != nil {
		return nil, nil, err
	}
	n.t.opens.Add(1)
	return farHandle{n.t}, n, nil
}

func (n *farNode) Change(c *fs.Call, ch fs.Change) error { return n.ask(c, "change "+ch.Name) }
func (n *farNode) Release()                              { n.t.refs.Add(-1) }

type farHandle struct{ t *farTree }

func (h farHandle) Read(c *fs.Call, _ int64)              { c.Deliver([]byte("here"), nil) }
func (h farHandle) Write(c *fs.Call, p []byte, off int64) { c.Done(len(p)) }
func (h farHandle) Close()                                { h.t.opens.Add(-1) }

// farTalk is a session with a server of a far tree, where fid 1 is far and fid
// 2 is far/f. Nothing waits yet.
func farTalk(t *testing.T) (*talker, *farTree) {
	t.Helper()
	tr := newFarTree()
	srv := &Server{Root: &farNode{tr, "/"}, Users: new(sys.Users)}
	ours, theirs := socketPair(t)
	admit(srv, ours, Identity{User: glenda})
	k := newTalker(t, theirs, DotL)
	theirs.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() {
		theirs.Close()
		srv.gate.done.Wait()
		srv.Close()
		if n, h := tr.refs.Load(), tr.opens.Load(); n != 0 || h != 0 {
			t.Errorf("%d nodes were not released, %d handles not closed", n, h)
		}
	})
	tr.open.Store(true)
	k.attach(8192)
	k.must(
		Msg{Type: Twalk, Newfid: 1, Names: []string{"far"}},
		Msg{Type: Twalk, Newfid: 2, Names: []string{"far", "f"}},
	)
	tr.open.Store(false)
	return k, tr
}

// expect receives an answer of a type and tag.
func (k *talker) expect(want Type, tag uint16) *Msg {
	k.tb.Helper()
	m, err := k.recv()
	if err != nil || m.Type != want || m.Tag != tag {
		k.tb.Fatalf("%v, %v; want %v with tag %d", m, err, want, tag)
	}
	return m
}

// farCalls are the calls that wait, each on a session of its own, and what is
// asked first.
var farCalls = []struct {
	m     Msg
	asked string
}{
	{Msg{Type: Twalk, Fid: 0, Newfid: 9, Names: []string{"far", "f"}}, "walk f"},
	{Msg{Type: Twalk, Fid: 1, Newfid: 1, Names: []string{"f"}}, "walk f"},
	{Msg{Type: Tgetattr, Fid: 2}, "stat"},
	{Msg{Type: Tlopen, Fid: 2}, "open"},
	{Msg{Type: Tlcreate, Fid: 1, Name: "f"}, "walk f"},
	{Msg{Type: Tmkdir, Fid: 1, Name: "x"}, "change x"},
	{Msg{Type: Tsetattr, Fid: 2, Set: SetAttr{Valid: SetMode}}, "change "},
	{Msg{Type: Tunlinkat, Fid: 1, Name: "f"}, "walk f"},
	{Msg{Type: Tremove, Fid: 2}, "stat"},
	{Msg{Type: Tattach, Fid: 9, Afid: NoFid, NUname: NoUID, Aname: "far/f"}, "walk f"},
}

// While a call waits for another machine the connection serves others.
func TestRemoteStopsNobody(t *testing.T) {
	for _, tt := range farCalls {
		t.Run(tt.m.Type.String(), func(t *testing.T) {
			k, tr := farTalk(t)
			tt.m.Tag = 7
			if err := k.send(tt.m); err != nil {
				t.Fatal(err)
			}
			if what := <-tr.asked; what != tt.asked {
				t.Errorf("it asks to %s, want %s", what, tt.asked)
			}
			k.must(
				Msg{Type: Twalk, Newfid: 20, Names: []string{"near"}},
				Msg{Type: Tgetattr, Fid: 20},
				Msg{Type: Tlopen, Fid: 20},
				Msg{Type: Tread, Fid: 20, Count: 10},
				Msg{Type: Tflush, Oldtag: 8},
			)
			tr.open.Store(true)
			tr.release <- struct{}{}
			m, err := k.recv()
			if err != nil || m.Tag != 7 {
				t.Fatalf("%v, %v", m, err)
			}
		})
	}
}

// A call that waits for another machine can be flushed, and has done nothing
// then, but for what ends its fid.
func TestRemoteFlush(t *testing.T) {
	for _, tt := range farCalls {
		t.Run(tt.m.Type.String(), func(t *testing.T) {
			k, tr := farTalk(t)
			tt.m.Tag = 7
			if err := k.send(tt.m); err != nil {
				t.Fatal(err)
			}
			<-tr.asked
			if err := k.send(Msg{Type: Tflush, Tag: 8, Oldtag: 7}, Msg{Type: Tflush, Tag: 9, Oldtag: 7}); err != nil {
				t.Fatal(err)
			}
			k.expect(Rflush, 8)
			k.expect(Rflush, 9)
			tr.open.Store(true)
			if tt.m.Type == Tremove {
				if m := k.call(Msg{Type: Tclunk, Fid: 2}); m.Type != Rlerror {
					t.Errorf("a removed fid: %v", m)
				}
				return
			}
			if m := k.call(Msg{Type: Tclunk, Fid: 9}); m.Type != Rlerror {
				t.Errorf("a fid that was not made: %v", m)
			}
			k.must(
				Msg{Type: Twalk, Fid: 1, Newfid: 9, Names: []string{"f"}},
				Msg{Type: Tlopen, Fid: 2},
				Msg{Type: Tread, Fid: 2, Count: 10},
			)
		})
	}
}

// Lists wait, too, and a clunk ends them.
func TestRemoteClunkEndsList(t *testing.T) {
	k, tr := farTalk(t)
	tr.open.Store(true)
	k.must(Msg{Type: Tlopen, Fid: 1})
	tr.open.Store(false)
	if err := k.send(Msg{Type: Treaddir, Tag: 7, Fid: 1, Offset: afterDotDot, Count: 1000}); err != nil {
		t.Fatal(err)
	}
	if what := <-tr.asked; what != "list" {
		t.Errorf("it asks to %s", what)
	}
	if err := k.send(Msg{Type: Tclunk, Tag: 8, Fid: 1}); err != nil {
		t.Fatal(err)
	}
	if m := k.expect(Rlerror, 7); m.Errno != uint32(syscall.EINTR) {
		t.Errorf("%v", m)
	}
	k.expect(Rclunk, 8)
}

// A fid that a call opens or moves is kept from others until that is over; one
// that calls only use is not.
func TestRemoteFidInUse(t *testing.T) {
	k, tr := farTalk(t)
	if err := k.send(Msg{Type: Tlopen, Tag: 7, Fid: 2}, Msg{Type: Twalk, Tag: 6, Fid: 1, Newfid: 9, Names: []string{"f"}}); err != nil {
		t.Fatal(err)
	}
	<-tr.asked
	<-tr.asked
	for _, tt := range []struct {
		m    Msg
		want syscall.Errno
	}{
		{Msg{Type: Tlopen, Fid: 2}, syscall.EBUSY},
		{Msg{Type: Tgetattr, Fid: 2}, syscall.EBUSY},
		{Msg{Type: Tread, Fid: 2, Count: 1}, syscall.EBUSY},
		{Msg{Type: Tlopen, Fid: 1}, syscall.EBUSY},
		{Msg{Type: Twalk, Fid: 1, Newfid: 1, Names: []string{"f"}}, syscall.EBUSY},
		{Msg{Type: Tclunk, Fid: 9}, syscall.EBADF},
		{Msg{Type: Twalk, Fid: 0, Newfid: 9}, syscall.EINVAL},
		{Msg{Type: Tgetattr, Tag: 7, Fid: 1}, syscall.EINVAL}, // the tag
	} {
		if m := k.call(tt.m); m.Type != Rlerror || m.Errno != uint32(tt.want) {
			t.Errorf("%v: %v, want %v", &tt.m, m, tt.want)
		}
	}
	if err := k.send(Msg{Type: Twalk, Tag: 5, Fid: 1, Newfid: 10}, Msg{Type: Tgetattr, Tag: 4, Fid: 1}); err != nil {
		t.Fatal(err)
	}
	k.expect(Rwalk, 5)
	<-tr.asked
	tr.open.Store(true)
	for range 3 {
		tr.release <- struct{}{}
	}
	seen := make(map[uint16]Type)
	for range 3 {
		m, err := k.recv()
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Tag] = m.Type
	}
	if seen[7] != Rlopen || seen[6] != Rwalk || seen[4] != Rgetattr {
		t.Errorf("answers: %v", seen)
	}
	k.must(Msg{Type: Tread, Fid: 2, Count: 10}, Msg{Type: Tlopen, Fid: 9}, Msg{Type: Tlopen, Fid: 1})
}

// The end of a connection, and a new version on it, end what waits.
func TestRemoteAborts(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(k *talker)
	}{
		{"hang-up", func(k *talker) { k.nc.Close() }},
		{"version", func(k *talker) {
			if err := k.send(Msg{Type: Tversion, Tag: NoTag, Msize: 8192, Version: k.d.String()}); err != nil {
				t.Error(err)
			}
			for m := new(Msg); m.Type != Rversion; {
				var err error
				if m, err = k.recv(); err != nil || m.Type != Rversion && m.Type != Rlerror {
					t.Fatalf("%v, %v", m, err)
				}
			}
			k.must(Msg{Type: Tattach, Afid: NoFid, NUname: NoUID})
			if m := k.call(Msg{Type: Tclunk, Fid: 1}); m.Type != Rlerror {
				t.Errorf("a fid outlived its session: %v", m)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, tr := farTalk(t)
			for i := range farCalls {
				if m := farCalls[i].m; m.Newfid != m.Fid && m.Type != Tremove {
					m.Tag, m.Newfid = uint16(100+i), uint32(100+i)
					if m.Type == Tattach {
						m.Fid = m.Newfid
					}
					if err := k.send(m); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 3 {
				<-tr.asked
			}
			tt.end(k)
		})
	}
}

// Too many calls that wait for other machines are refused, and no clunk is.
func TestRemoteBound(t *testing.T) {
	k, tr := farTalk(t)
	const more = 10
	go func() {
		for i := range uint16(maxAway + more) {
			if k.send(Msg{Type: Tgetattr, Tag: 100 + i, Fid: 2}) != nil {
				return
			}
		}
	}()
	for range maxAway {
		<-tr.asked
	}
	for range more {
		if m, err := k.recv(); err != nil || m.Type != Rlerror || m.Errno != uint32(syscall.EAGAIN) {
			t.Fatalf("%v, %v", m, err)
		}
	}
	if err := k.send(Msg{Type: Tclunk, Tag: 1, Fid: 2}); err != nil {
		t.Fatal(err)
	}
	for range maxAway {
		if m, err := k.recv(); err != nil || m.Type != Rlerror || m.Errno != uint32(syscall.EINTR) {
			t.Fatalf("%v, %v", m, err)
		}
	}
	k.expect(Rclunk, 1)
}

// Calls that wait are made, flushed and answered at random. Each is answered
// once, before its Rflush or not at all, and the connection comes to no harm.
func TestRemoteStorm(t *testing.T) {
	const workers, rounds = 8, 300
	k, tr := farTalk(t)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case tr.release <- struct{}{}:
			case <-tr.asked:
			case <-stop:
				return
			}
		}
	})
	answers := make([]chan *Msg, 3*workers)
	for i := range answers {
		answers[i] = make(chan *Msg, 4)
	}
	others.Go(func() {
		for {
			m, err := k.recv()
			if err != nil {
				return
			}
			answers[m.Tag] <- m
		}
	})
	var all sync.WaitGroup
	for w := range uint16(workers) {
		all.Go(func() { stormWorker(t, k, answers, w, rounds) })
	}
	all.Wait()
	close(stop)
	k.nc.(*net.UnixConn).CloseRead()
	others.Wait()
}

// stormWorker uses three tags: of a walk, of its flush, and of the rest.
func stormWorker(t *testing.T, k *talker, answers []chan *Msg, w uint16, rounds int) {
	fid := 100 + uint32(w)
	walk, flush, rest := 3*w, 3*w+1, 3*w+2
	for range rounds {
		m := Msg{Type: Twalk, Tag: walk, Fid: rand.Uint32N(2), Newfid: fid, Names: []string{"far", "f"}}
		m.Names = m.Names[m.Fid:]
		if err := k.send(m); err != nil {
			t.Error(err)
			return
		}
		var made *Msg
		if rand.N(2) == 0 {
			if err := k.send(Msg{Type: Tflush, Tag: flush, Oldtag: walk}); err != nil {
				t.Error(err)
				return
			}
			<-answers[flush]
			select { // whatever there is came before the Rflush
			case made = <-answers[walk]:
			default:
			}
		} else {
			made = <-answers[walk]
		}
		want := Rlerror
		if made != nil && made.Type == Rwalk {
			want = Rclunk
		}
		if err := k.send(Msg{Type: Tclunk, Tag: rest, Fid: fid}); err != nil {
			t.Error(err)
			return
		}
		if m := <-answers[rest]; m.Type != want {
			t.Errorf("after %v the clunk is answered %v", made, m)
		}
	}
}

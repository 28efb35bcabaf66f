package ninep

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/fs/sys"
)

// TestClients has a thousand clients at once, each with a read that waits.
func TestClients(t *testing.T) {
	const clients = 1000
	tr := newTreeOf(1)
	srv := &Server{Root: tr.top, Users: new(sys.Users)}
	defer tr.check(t)
	defer srv.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	talkers := make([]*talker, clients)
	for i := range talkers {
		ours, theirs := socketPair(t)
		defer theirs.Close()
		go srv.ServeConn(ours, Identity{User: glenda})
		talkers[i] = newTalker(t, theirs, Dialect(i%3))
		talkers[i].attach(128 << 10)
		talkers[i].open(1, 0, "text")
		if m := talkers[i].must(Msg{Type: Tread, Fid: 1, Count: 100}); string(m.Data) != helloText {
			t.Fatalf("client %d read %q", i, m.Data)
		}
		talkers[i].open(2, 0, "stream")
		if err := talkers[i].send(Msg{Type: Tread, Tag: 9, Fid: 2, Count: 100}); err != nil {
			t.Fatal(err)
		}
	}
	tr.await(&tr.parked, clients)
	if n := srv.Clients(); n != clients {
		t.Errorf("%d clients, want %d", n, clients)
	}
	if n := runtime.NumGoroutine() - goroutines; n > clients+clients/10 {
		t.Errorf("%d goroutines for %d clients with a parked read each", n, clients)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// This end's buffers are in it, too: 4 KiB each.
	t.Logf("%d bytes a connection with one parked read, this end's included",
		(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/clients)
	for i := range clients {
		tr.find("stream").src.put([]byte(fmt.Sprint(i)))
	}
	seen := make(map[string]bool)
	for i, k := range talkers {
		m, err := k.recv()
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		seen[string(m.Data)] = true
	}
	if len(seen) != clients {
		t.Errorf("%d messages came, want %d", len(seen), clients)
	}
}

// TestManyFids takes fids until there are no more.
func TestManyFids(t *testing.T) {
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), DotU)
	k.attach(8192)
	const batch = 100
	msgs := make([]Msg, batch)
	made, refused := 1, 0
	for fid := uint32(1); fid < 100_000; {
		for i := range msgs {
			msgs[i] = Msg{Type: Twalk, Tag: uint16(i), Newfid: fid, Names: []string{"text"}}
			fid++
		}
		if err := k.send(msgs...); err != nil {
			t.Fatal(err)
		}
		for range msgs {
			m, err := k.recv()
			switch {
			case err != nil:
				t.Fatal(err)
			case m.Type == Rwalk:
				made++
			case m.Errno != uint32(syscall.EMFILE) || !strings.Contains(m.Ename, "too many fids"):
				t.Fatalf("fid %d of %d: %v", fid, made, m)
			default:
				refused++
			}
		}
	}
	if made != defaultFids || refused == 0 {
		t.Errorf("%d fids were made and %d refused, want %d made", made, refused, defaultFids)
	}
	k.must(Msg{Type: Tclunk, Fid: 50_000}, Msg{Type: Twalk, Newfid: 99_999})
}

// onlyConn returns the server's one connection.
func onlyConn(srv *Server) *conn {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for c := range srv.conns {
		return c
	}
	return nil
}

// TestReplyNeverRead: a client that reads nothing costs a bounded buffer, then
// it is hung up.
func TestReplyNeverRead(t *testing.T) {
	tr := newTreeOf(1)
	srv := &Server{Patience: 100 * time.Millisecond}
	nc := serveTree(t, tr, srv, Identity{User: glenda})
	k := newTalker(t, nc, Classic)
	k.attach(1 << 20)
	k.open(1, ModeRead, "big")
	c := onlyConn(srv)
	reads := make([]Msg, 100)
	for i := range reads {
		reads[i] = Msg{Type: Tread, Tag: uint16(i), Fid: 1, Count: 20000}
	}
	for k.send(reads...) == nil {
		c.mu.Lock()
		if n := len(c.out); n > highWater+1<<20 {
			t.Errorf("%d bytes are unsent", n)
		}
		c.mu.Unlock()
	}
	tr.await(&tr.opens, 0)
}

// TestAnswersNeverRead is the same for answers that nobody waits for.
func TestAnswersNeverRead(t *testing.T) {
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Classic)
	k.attach(1 << 20)
	const reads, size = 400, 64 << 10
	for i := range uint32(reads) {
		k.open(i+1, ModeRead, "stream")
		if err := k.send(Msg{Type: Tread, Tag: uint16(i + 1), Fid: i + 1, Count: size}); err != nil {
			t.Fatal(err)
		}
	}
	tr.await(&tr.parked, reads)
	src := tr.find("stream").src
	for range reads {
		src.put(make([]byte, size))
	}
	tr.await(&tr.opens, 0)
}

// TestPatience: a client may be slow, but not dead.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTreeOf(1)
		srv := &Server{Root: tr.top, Users: new(sys.Users), Patience: 10 * time.Second}
		ours, theirs := net.Pipe()
		go srv.ServeConn(ours, Identity{User: glenda})
		k := newTalker(t, theirs, Classic)
		k.attach(8192)
		k.open(1, ModeRead, "text")
		if err := k.send(Msg{Type: Tread, Fid: 1, Count: 100}); err != nil {
			t.Fatal(err)
		}
		one := make([]byte, 1)
		for range ReadSize + len(helloText) { // a byte in 9 seconds
			time.Sleep(9 * time.Second)
			if _, err := theirs.Read(one); err != nil {
				t.Fatalf("a slow client was hung up: %v", err)
			}
		}
		if err := k.send(Msg{Type: Tread, Fid: 1, Count: 100}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		tr.await(&tr.opens, 0)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("a dead client was hung up after %v", took)
		}
		theirs.Close()
		srv.Close()
		tr.check(t)
	})
}

// TestByteByByte sends a session a byte at a time.
func TestByteByByte(t *testing.T) {
	tr := newTreeOf(1)
	nc := serveTree(t, tr, new(Server), Identity{User: glenda})
	k := newTalker(t, nc, DotL)
	var b []byte
	for _, m := range []Msg{
		{Type: Tversion, Tag: NoTag, Msize: 8192, Version: "9P2000.L"},
		{Type: Tattach, Afid: NoFid, NUname: NoUID},
		{Type: Twalk, Newfid: 1, Names: []string{"text"}},
		{Type: Tlopen, Fid: 1},
		{Type: Tread, Fid: 1, Count: 100},
	} {
		var err error
		if b, err = Append(b, DotL, &m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range b {
		if _, err := nc.Write(b[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	var m *Msg
	for range 5 {
		var err error
		if m, err = k.recv(); err != nil {
			t.Fatal(err)
		}
	}
	if string(m.Data) != helloText {
		t.Errorf("got %v", m)
	}
}

// TestLyingSize: a size that is announced costs nothing until it comes.
func TestLyingSize(t *testing.T) {
	tr := newTreeOf(1)
	srv := new(Server)
	k := newTalker(t, serveTree(t, tr, srv, Identity{User: glenda}), Classic)
	k.attach(1 << 20)
	if _, err := k.nc.Write([]byte{0, 0, 0x10, 0, byte(Twrite), 1, 0, 0}); err != nil {
		t.Fatal(err)
	}
	c := onlyConn(srv)
	k.nc.Close()
	srv.gate.done.Wait() // the reader is gone: its buffer may be looked at
	if len(c.in) > firstIn {
		t.Errorf("the buffer has %d bytes after 8 of a message", len(c.in))
	}
}

// TestWholeMessage: one of just msize bytes comes through.
func TestWholeMessage(t *testing.T) {
	for _, msize := range []uint32{MinMsize, 8192, 1 << 20} {
		tr := newTreeOf(1)
		k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Classic)
		k.attach(msize)
		k.open(1, ModeWrite, "ctl")
		data := make([]byte, msize-WriteSize)
		if m := k.must(Msg{Type: Twrite, Fid: 1, Data: data}); m.Count != msize-WriteSize {
			t.Errorf("msize %d: wrote %d", msize, m.Count)
		}
		if k.send(Msg{Type: Twrite, Fid: 1, Data: append(data, 0)}) != nil {
			continue // it hung up when it saw the size
		}
		if m, err := k.recv(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("msize %d: a byte too many got %v, %v", msize, m, err)
		}
	}
}

// TestBigDirectory lists a directory of thousands, at several sizes.
func TestBigDirectory(t *testing.T) {
	for d := Classic; d <= DotL; d++ {
		for _, msize := range []uint32{MinMsize, 8192, 1 << 20} {
			tr := newTree()
			k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), d)
			k.attach(msize)
			k.open(1, 0, "many")
			names := listAll(t, k)
			if len(names) != manyEntries {
				t.Fatalf("%v, msize %d: %d entries", d, msize, len(names))
			}
			for i, name := range names {
				if name != fmt.Sprintf("f%d", i) {
					t.Fatalf("%v, msize %d: entry %d is %s", d, msize, i, name)
				}
			}
		}
	}
}

// listAll reads the directory that is open as fid 1.
func listAll(t *testing.T, k *talker) (names []string) {
	dec := Decoder{Dialect: k.d}
	ty, off := Tread, uint64(0)
	if k.d == DotL {
		ty = Treaddir
	}
	for {
		m := k.must(Msg{Type: ty, Fid: 1, Offset: off, Count: 1 << 20})
		if len(m.Data) == 0 {
			return names
		}
		if k.d != DotL {
			off += uint64(len(m.Data))
		}
		for b := m.Data; len(b) > 0; {
			var s Stat
			var de Dirent
			var err error
			if k.d == DotL {
				b, err = dec.DecodeDirent(b, &de)
				s.Name, off = de.Name, de.Next
			} else {
				b, err = dec.DecodeStat(b, &s)
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != "." && s.Name != ".." {
				names = append(names, s.Name)
			}
		}
	}
}

// TestAllocs: what a request costs the server, this tree's nodes included.
func TestAllocs(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage allocates")
	}
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), DotL)
	k.attach(8192)
	k.open(1, 0, "text")
	in := make([]byte, 8192)
	run := func(msgs ...Msg) float64 {
		var frames [][]byte
		for i := range msgs {
			b, _ := Append(nil, DotL, &msgs[i])
			frames = append(frames, b)
		}
		return testing.AllocsPerRun(200, func() {
			for _, f := range frames {
				_, err := k.nc.Write(f)
				if err == nil {
					_, err = k.nc.Read(in)
				}
				if err != nil || in[4] != f[4]+1 {
					t.Fatalf("%v was answered with %v, %v", Type(f[4]), Type(in[4]), err)
				}
			}
		})
	}
	walk := Msg{Type: Twalk, Newfid: 9, Names: []string{"sub", "deep", "text"}}
	clunk := Msg{Type: Tclunk, Fid: 9}
	for _, c := range []struct {
		name string
		most float64
		msgs []Msg
	}{
		{"read", 0, []Msg{{Type: Tread, Fid: 1, Count: 100}}},
		{"getattr", 0, []Msg{{Type: Tgetattr, Fid: 1, Mask: AttrBasic}}},
		{"walk and clunk", 3, []Msg{walk, clunk}},                               // the nodes
		{"walk, open and clunk", 4, []Msg{walk, {Type: Tlopen, Fid: 9}, clunk}}, // and the handle
	} {
		if n := run(c.msgs...); n > c.most {
			t.Errorf("%s: %v allocations, at most %v", c.name, n, c.most)
		}
	}
}

// TestServerClose: all clients are hung up, and Serve returns.
func TestServerClose(t *testing.T) {
	tr := newTreeOf(1)
	srv := &Server{Root: tr.top, Users: new(sys.Users), MaxConns: 2}
	l, err := Listen("unix!" + t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := srv.Serve(l); err != nil {
			t.Error(err)
		}
	})
	var clients []*talker
	for range 2 {
		nc, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		k := newTalker(t, nc, Classic)
		k.attach(8192)
		k.open(1, 0, "stream")
		if err := k.send(Msg{Type: Tread, Fid: 1, Count: 1}); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, k)
	}
	tr.await(&tr.parked, 2)
	third, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Errorf("a third connection got %d bytes", n)
	}
	srv.Close()
	all.Wait()
	for _, k := range clients {
		if m, err := k.recv(); err == nil {
			t.Errorf("after Close came %v", m)
		}
	}
	tr.check(t)
	srv.ServeConn(clients[0].nc, Identity{}) // returns at once
}

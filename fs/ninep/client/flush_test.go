package client_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// read answers a Tread.
func read(tag uint16, text string) ninep.Msg {
	return ninep.Msg{Type: ninep.Rread, Tag: tag, Data: []byte(text)}
}

func TestCancelIsAFlush(t *testing.T) {
	_, f, p := opened(t, client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	got := reading(ctx, f, 100)
	m := p.get(ninep.Tread)
	cancel()
	fl := p.get(ninep.Tflush)
	if fl.Oldtag != m.Tag || fl.Tag == m.Tag {
		t.Errorf("flush of tag %d with tag %d, want of %d", fl.Oldtag, fl.Tag, m.Tag)
	}
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	if r := await(t, got); !errors.Is(r.err, context.Canceled) {
		t.Errorf("a flushed read: %q, %v", r.text, r.err)
	}
	again := reading(context.Background(), f, 100)
	m2 := p.get(ninep.Tread)
	if m2.Offset != m.Offset {
		t.Errorf("a flushed read moved the offset to %d", m2.Offset)
	}
	p.put(read(m2.Tag, "text"))
	if r := await(t, again); r.text != "text" || r.err != nil {
		t.Errorf("the next read: %q, %v", r.text, r.err)
	}
}

func TestReplyBeatsFlush(t *testing.T) {
	_, f, p := opened(t, client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	got := reading(ctx, f, 100)
	m := p.get(ninep.Tread)
	cancel()
	fl := p.get(ninep.Tflush)
	p.put(read(m.Tag, "message"))
	if r := await(t, got); r.text != "message" || r.err != nil {
		t.Errorf("a read whose reply came first: %q, %v", r.text, r.err)
	}
	// Until the Rflush the old tag means the old call.
	again := reading(context.Background(), f, 100)
	m2 := p.get(ninep.Tread)
	if m2.Tag == m.Tag {
		t.Errorf("tag %d is used again before its Rflush", m.Tag)
	}
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	p.put(read(m2.Tag, "more"))
	if r := await(t, again); r.text != "more" || r.err != nil {
		t.Errorf("the next read: %q, %v", r.text, r.err)
	}
}

// Some servers answer a call after its Rflush.
func TestReplyAfterFlush(t *testing.T) {
	cl, f, p := opened(t, client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	got := reading(ctx, f, 100)
	m := p.get(ninep.Tread)
	cancel()
	fl := p.get(ninep.Tflush)
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	await(t, got)
	p.put(read(m.Tag, "late"))
	again := reading(context.Background(), f, 100)
	m2 := p.get(ninep.Tread)
	p.put(read(m2.Tag, "right"))
	if r := await(t, again); r.text != "right" || r.err != nil {
		t.Errorf("a read after a late reply: %q, %v; %v", r.text, r.err, cl.Err())
	}
	p.put(read(m.Tag, "twice"))
	<-cl.Done()
	if err := cl.Err(); !errors.Is(err, syscall.EPROTO) {
		t.Errorf("a second late reply: %v", err)
	}
}

func TestServerIgnoresFlush(t *testing.T) {
	cl, f, p := opened(t, client.Options{FlushWait: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	got := reading(ctx, f, 100)
	m := p.get(ninep.Tread)
	cancel()
	if r := await(t, got); !errors.Is(r.err, context.Canceled) {
		t.Errorf("a read that was given up: %q, %v", r.text, r.err)
	}
	fl := p.get(ninep.Tflush)
	p.put(read(m.Tag, "late"))
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	again := reading(context.Background(), f, 100)
	p.put(read(p.get(ninep.Tread).Tag, "right"))
	if r := await(t, again); r.text != "right" || r.err != nil {
		t.Errorf("the next read: %q, %v; %v", r.text, r.err, cl.Err())
	}
}

// A fid that nobody knows to be there or not is not used for another file.
func TestGivenUpWalk(t *testing.T) {
	cl, p := session(t, client.Options{FlushWait: time.Millisecond})
	stat := func(ctx context.Context) <-chan result {
		c := make(chan result, 1)
		go func() {
			st, err := cl.Stat(ctx, "x")
			c <- result{st.Name, err}
		}()
		return c
	}
	ctx, cancel := context.WithCancel(context.Background())
	got := stat(ctx)
	m := p.get(ninep.Twalk)
	cancel()
	await(t, got)
	p.get(ninep.Tflush)
	got = stat(context.Background())
	m2 := p.get(ninep.Twalk)
	if m2.Newfid == m.Newfid {
		t.Errorf("fid %d is used again", m.Newfid)
	}
	p.put(ninep.Msg{Type: ninep.Rerror, Tag: m2.Tag, Ename: "file does not exist"})
	if r := await(t, got); !errors.Is(r.err, syscall.ENOENT) {
		t.Errorf("stat: %v", r.err)
	}
}

// An asked is a call of a front end, and its answer.
type asked struct {
	call fs.Call
	done chan result
	n    int
}

func ask(count int) *asked {
	a := &asked{done: make(chan result, 1)}
	a.call.Init(&sys.User{Name: "root"}, 0, a, count, false)
	return a
}

func (a *asked) Data(p []byte, _ func()) { a.done <- result{string(p), nil} }
func (a *asked) Count(n int)             { a.n = n; a.done <- result{} }
func (a *asked) Error(err error)         { a.done <- result{"", err} }

// handle returns an open stream of a node.
func handle(t *testing.T) (fs.Handle, *peer) {
	t.Helper()
	uid := uint32(0)
	cl, p := session(t, client.Options{UID: &uid})
	granted := make(chan struct{})
	go func() {
		defer close(granted)
		m := p.get(ninep.Twalk)
		p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: []ninep.Qid{{Path: 2}}})
		m = p.get(ninep.Tstat) // has it a size?
		p.put(ninep.Msg{Type: ninep.Rstat, Tag: m.Tag, Stat: ninep.Stat{Qid: ninep.Qid{Path: 2}, Name: "data"}})
		m = p.get(ninep.Twalk)
		p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag})
		m = p.get(ninep.Topen)
		p.put(ninep.Msg{Type: ninep.Ropen, Tag: m.Tag, Qid: ninep.Qid{Path: 2}})
	}()
	n, err := cl.Node().Walk(&ask(0).call, "data")
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := n.Open(&ask(0).call, fs.ORead|fs.OWrite)
	if err != nil {
		t.Fatal(err)
	}
	<-granted
	return h, p
}

// A message that beats the flush of its read is that read's: the server has
// given it away, and the reader may not come again.
func TestNodeUsesWhatBeatsTheFlush(t *testing.T) {
	h, p := handle(t)
	first := ask(100)
	h.Read(&first.call, -1)
	m := p.get(ninep.Tread)
	first.call.Interrupt()
	fl := p.get(ninep.Tflush)
	p.put(read(m.Tag, "saved"))
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	if r := await(t, first.done); r.text != "saved" || r.err != nil {
		t.Errorf("an interrupted read: %q, %v", r.text, r.err)
	}
}

// A read that comes while the one before it is being flushed asks again only
// when that is over, or it could get the same message.
func TestNodeReadsAgainAfterFlush(t *testing.T) {
	h, p := handle(t)
	first, second := ask(100), ask(100)
	h.Read(&first.call, -1)
	p.get(ninep.Tread)
	first.call.Interrupt()
	fl := p.get(ninep.Tflush)
	h.Read(&second.call, -1)
	p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
	if r := await(t, first.done); r.err != sys.ErrInterrupted {
		t.Errorf("an interrupted read: %q, %v", r.text, r.err)
	}
	p.put(read(p.get(ninep.Tread).Tag, "m"))
	if r := await(t, second.done); r.text != "m" || r.err != nil {
		t.Errorf("the second read: %q, %v", r.text, r.err)
	}
}

// A read that must not wait takes a message that is there, in any dialect.
func TestNodeNonblock(t *testing.T) {
	h, p := handle(t)
	for _, tt := range []struct {
		text string
		err  error
	}{{"there", nil}, {"", sys.ErrAgain}} {
		a := ask(100)
		a.call.Init(a.call.User(), 0, a, 100, true)
		h.Read(&a.call, -1)
		m := p.get(ninep.Tread)
		fl := p.get(ninep.Tflush)
		if tt.err == nil {
			p.put(read(m.Tag, tt.text))
		}
		p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
		if r := await(t, a.done); r.text != tt.text || r.err != tt.err {
			t.Errorf("%q, %v; want %q, %v", r.text, r.err, tt.text, tt.err)
		}
	}
}

// An interrupted write says what the server says, so that nobody writes twice.
func TestNodeWriteInterrupted(t *testing.T) {
	h, p := handle(t)
	for _, tt := range []struct {
		name  string
		reply ninep.Msg
		n     int
		err   error
	}{
		{"done", ninep.Msg{Type: ninep.Rwrite, Count: 4}, 4, nil},
		{"partly", ninep.Msg{Type: ninep.Rwrite, Count: 2}, 2, nil},
		{"refused", ninep.Msg{Type: ninep.Rerror, Ename: "closed"}, 0, syscall.EPIPE},
		{"flushed", ninep.Msg{}, 0, sys.ErrInterrupted},
	} {
		a := ask(0)
		h.Write(&a.call, []byte("text"), 0)
		m := p.get(ninep.Twrite)
		a.call.Interrupt()
		fl := p.get(ninep.Tflush)
		if tt.reply.Type != 0 {
			tt.reply.Tag = m.Tag
			p.put(tt.reply)
		}
		p.put(ninep.Msg{Type: ninep.Rflush, Tag: fl.Tag})
		if r := await(t, a.done); a.n != tt.n || !errors.Is(r.err, tt.err) {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, a.n, r.err, tt.n, tt.err)
		}
	}
}

// Many readers are cancelled at random while messages come: each message is
// read exactly once.
func TestCancelStorm(t *testing.T) {
	for _, d := range every {
		t.Run(d.String(), func(t *testing.T) {
			cl := dial(t, fstest.NewTree(), &sys.User{Name: "root"}, client.Options{Dialects: []ninep.Dialect{d}})
			const readers, total = 8, 400
			seen := make(chan string, total)
			ctx, stop := context.WithCancel(context.Background())
			var all sync.WaitGroup
			for i := range readers {
				all.Go(func() { stormReader(ctx, t, cl, i, seen) })
			}
			all.Go(func() { stormWriter(ctx, t, cl, total) })
			got := make(map[int]bool)
			for range total {
				select {
				case text := <-seen:
					if got[len(text)] {
						t.Errorf("message %d came twice", len(text))
					}
					got[len(text)] = true
				case <-time.After(patience):
					t.Fatalf("%d of %d messages came", len(got), total)
				}
			}
			stop()
			all.Wait()
		})
	}
}

// stormWriter writes messages that are known by their lengths.
func stormWriter(ctx context.Context, t *testing.T, cl *client.Client, total int) {
	f, err := cl.Open(ctx, "queue", fs.OWrite)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for i := range total {
		if _, err := f.WriteContext(ctx, make([]byte, i+1)); err != nil {
			t.Error(err)
			return
		}
	}
}

// stormReader reads with deadlines that often pass just when a message comes.
func stormReader(ctx context.Context, t *testing.T, cl *client.Client, seed int, seen chan<- string) {
	f, err := cl.Open(ctx, "queue", fs.ORead)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	buf := make([]byte, 1000)
	for i := seed; ctx.Err() == nil; i++ {
		short, cancel := context.WithTimeout(ctx, time.Duration(i%7)*50*time.Microsecond)
		n, err := f.ReadContext(short, buf)
		cancel()
		switch {
		case err == nil:
			seen <- string(buf[:n])
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled):
			t.Error(err)
			return
		}
	}
}

// TestBothWays: of a stream, reads go on from reads and writes from writes, whichever answer
// comes last: with an offset inside what was read last a server gives the rest of it again.
func TestBothWays(t *testing.T) {
	_, f, p := opened(t, client.Options{})
	got := reading(t.Context(), f, 100)
	r := p.get(ninep.Tread)
	wrote := make(chan error, 1)
	go func() {
		_, err := f.Write([]byte("12345"))
		wrote <- err
	}()
	w := p.get(ninep.Twrite)
	p.put(read(r.Tag, "message"))
	if r := await(t, got); r.text != "message" || r.err != nil {
		t.Fatalf("%q, %v", r.text, r.err)
	}
	p.put(ninep.Msg{Type: ninep.Rwrite, Tag: w.Tag, Count: 5})
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	got = reading(t.Context(), f, 100)
	if r = p.get(ninep.Tread); r.Offset != uint64(len("message")) {
		t.Errorf("the next read is at %d", r.Offset)
	}
	p.put(read(r.Tag, ""))
	await(t, got)
	go func() {
		_, err := f.Write([]byte("6"))
		wrote <- err
	}()
	if w = p.get(ninep.Twrite); w.Offset != 5 {
		t.Errorf("the next write is at %d", w.Offset)
	}
	p.put(ninep.Msg{Type: ninep.Rwrite, Tag: w.Tag, Count: 1})
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

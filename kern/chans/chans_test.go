package chans

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"warren/fs"
	"warren/fs/sys"
	"warren/kern/feed"
)

// A request is one read or write, asked through the front ends' own Call, so
// that cancelling works as it does there.
type request struct {
	fs.Call
	data []byte
	n    int
	err  error
	lost func()
	done chan struct{}
}

func newRequest(nonblock bool) *request {
	r := &request{done: make(chan struct{})}
	r.Init(sys.Nobody(), 0, r, 1<<20, nonblock)
	return r
}

func (r *request) Data(p []byte, lost func()) {
	r.data, r.lost = bytes.Clone(p), lost
	close(r.done)
}

func (r *request) Count(n int) {
	r.n = n
	close(r.done)
}

func (r *request) Error(err error) {
	r.err = err
	close(r.done)
}

func take1(p *Port) *request {
	r := newRequest(false)
	p.Take(r)
	return r
}

func put1(p *Port, text string) *request {
	r := newRequest(false)
	buf := []byte(text)
	p.Put(r, buf)
	clear(buf) // the data are the caller's again
	return r
}

func (r *request) waits(t *testing.T) {
	t.Helper()
	if r.Answered() {
		t.Fatalf("answered with %q, %d, %v; want it to wait", r.data, r.n, r.err)
	}
}

func (r *request) gives(t *testing.T, text string) {
	t.Helper()
	if !r.Answered() {
		t.Fatalf("waits; want %q", text)
	}
	if r.err != nil || string(r.data) != text {
		t.Fatalf("got %q, %v; want %q", r.data, r.err, text)
	}
}

func (r *request) accepts(t *testing.T, n int) {
	t.Helper()
	if !r.Answered() {
		t.Fatalf("waits; want %d accepted", n)
	}
	if r.err != nil || r.n != n {
		t.Fatalf("got %d, %v; want %d", r.n, r.err, n)
	}
}

func (r *request) fails(t *testing.T, errno syscall.Errno, text string) {
	t.Helper()
	if !r.Answered() {
		t.Fatalf("waits; want %v", errno)
	}
	refused(t, r.err, errno, text)
}

func refused(t *testing.T, err error, errno syscall.Errno, text string) {
	t.Helper()
	if !errors.Is(err, errno) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v (errno %d); want %v with %q", err, sys.Errno(err), errno, text)
	}
}

// both opens a reader and a writer of a new channel.
func both(t *testing.T, bound int, lines bool) (ch *Chan, r, w *Port) {
	t.Helper()
	ch = New("work", sys.Nobody())
	if err := ch.SetCap(bound); err != nil {
		t.Fatal(err)
	}
	return ch, ch.Open(true, false, lines), ch.Open(false, true, lines)
}

func TestOneMessageARead(t *testing.T) {
	ch, r, w := both(t, 3, false)
	put1(w, "a\nb").accepts(t, 3)
	put1(w, "c").accepts(t, 1)
	take1(r).gives(t, "a\nb")
	take1(r).gives(t, "c")
	last := take1(r)
	last.waits(t)
	put1(w, "d").accepts(t, 1)
	last.gives(t, "d")
	if s := ch.Status(); s.Sent != 3 || s.Received != 3 || s.Bytes != 5 || s.Held != 0 || s.Readers != 1 || s.Writers != 1 {
		t.Fatalf("status %+v", s)
	}
}

func TestReadersAreServedInOrder(t *testing.T) {
	_, r, w := both(t, 3, false)
	first, second, third := take1(r), take1(r), take1(r)
	second.Interrupt()
	second.fails(t, syscall.EINTR, "interrupted")
	put1(w, "a").accepts(t, 1)
	first.gives(t, "a")
	third.waits(t)
	put1(w, "b").accepts(t, 1)
	third.gives(t, "b")
}

func TestFullChannelKeepsWritersWaiting(t *testing.T) {
	_, r, w := both(t, 1, false)
	put1(w, "a").accepts(t, 1)
	b, c, d := put1(w, "b"), put1(w, "c"), put1(w, "d")
	b.waits(t)
	c.Interrupt()
	c.fails(t, syscall.EINTR, "interrupted")
	take1(r).gives(t, "a")
	b.accepts(t, 1)
	d.waits(t)
	take1(r).gives(t, "b")
	take1(r).gives(t, "d")
	take1(r).waits(t)
}

func TestRendezvous(t *testing.T) {
	ch, r, w := both(t, 0, false)
	a := put1(w, "a")
	a.waits(t)
	if s := ch.Status(); s.Sent != 0 || s.Held != 0 {
		t.Fatalf("a rendezvous holds a message: %+v", s)
	}
	take1(r).gives(t, "a")
	a.accepts(t, 1)
	b := take1(r)
	b.waits(t)
	put1(w, "b").accepts(t, 1)
	b.gives(t, "b")
}

// A reader that is cancelled while the message is on its way takes nothing.
func TestCancelledReaderTakesNothing(t *testing.T) {
	for _, bound := range []int{0, 1} {
		_, r, w := both(t, bound, false)
		gone := take1(r)
		gone.Fail(sys.ErrInterrupted) // the call is answered, but still in the queue
		a := put1(w, "a")
		if bound == 0 {
			a.waits(t)
		}
		take1(r).gives(t, "a")
		a.accepts(t, 1)
	}
}

func TestNonblock(t *testing.T) {
	_, r, w := both(t, 1, true)
	c := newRequest(true)
	r.Take(c)
	c.fails(t, syscall.EAGAIN, "block")
	c = newRequest(true)
	w.Put(c, []byte("a\nb\n"))
	c.accepts(t, 2)
	c = newRequest(true)
	w.Put(c, []byte("b\n"))
	c.fails(t, syscall.EAGAIN, "chan work is full: it holds 1 messages of at most 1")
	take1(r).gives(t, "a\n")
	take1(r).waits(t)
}

func TestLimits(t *testing.T) {
	ch, r, w := both(t, MaxCap, false)
	put1(w, "").accepts(t, 0)
	take1(r).Interrupt()
	put1(w, strings.Repeat("x", MaxMessage)).accepts(t, MaxMessage)
	put1(w, strings.Repeat("x", MaxMessage+1)).fails(t, syscall.EMSGSIZE, "65537 bytes, at most 65536")
	for range MaxBytes/MaxMessage - 1 {
		put1(w, strings.Repeat("x", MaxMessage)).accepts(t, MaxMessage)
	}
	put1(w, "y").waits(t)
	refused(t, ch.SetCap(MaxCap+1), syscall.EINVAL, "0 to 65536 messages, not 65537 (and a channel holds at most 16777216 bytes)")
	refused(t, ch.SetCap(-1), syscall.EINVAL, "not -1")

	lines := ch.Open(false, true, true)
	put1(lines, "a\n"+strings.Repeat("x", MaxMessage)+"\n").fails(t, syscall.EMSGSIZE, "65537 bytes")
	if s := ch.Status(); s.Sent != MaxBytes/MaxMessage {
		t.Fatalf("a refused write left %+v", s)
	}
}

func TestWrongDirection(t *testing.T) {
	_, r, w := both(t, 1, false)
	take1(w).fails(t, syscall.EBADF, "not open")
	put1(r, "x").fails(t, syscall.EBADF, "not open")
}

func TestShrinkingKeepsWhatIsHeld(t *testing.T) {
	ch, r, w := both(t, 3, false)
	put1(w, "a")
	put1(w, "b")
	if err := ch.SetCap(1); err != nil {
		t.Fatal(err)
	}
	c := put1(w, "c")
	take1(r).gives(t, "a")
	c.waits(t)
	if err := ch.SetCap(2); err != nil {
		t.Fatal(err)
	}
	c.accepts(t, 1)
	take1(r).gives(t, "b")
	take1(r).gives(t, "c")
}

func TestLines(t *testing.T) {
	ch, r, w := both(t, 8, true)
	put1(w, "one\ntwo\n\nfo").accepts(t, 11)
	take1(r).gives(t, "one\n")
	take1(r).gives(t, "two\n")
	take1(r).gives(t, "\n")
	four := take1(r)
	four.waits(t) // the line was cut: its end is still to come
	put1(w, "u").accepts(t, 1)
	four.waits(t)
	put1(w, "r\nfive").accepts(t, 6)
	four.gives(t, "four\n")
	five := take1(r)
	five.waits(t)
	w.Close()
	five.gives(t, "five")
	if s := ch.Status(); s.Sent != 5 || s.Received != 5 || s.Held != 0 || s.Writers != 0 {
		t.Fatalf("status %+v", s)
	}
}

func TestLineOfTwoWritersAreNotMixed(t *testing.T) {
	ch, r, w := both(t, 8, true)
	other := ch.Open(false, true, true)
	put1(w, "he")
	put1(other, "you\n")
	put1(w, "llo\n")
	take1(r).gives(t, "you\n")
	take1(r).gives(t, "hello\n")
}

func TestInterruptedWriteOfLines(t *testing.T) {
	_, r, w := both(t, 1, true)
	put1(w, "be").accepts(t, 2)
	wr := put1(w, "gin\ntwo\nthree\nfo")
	wr.waits(t)
	take1(r).gives(t, "begin\n")
	wr.waits(t)
	wr.Interrupt()
	wr.accepts(t, len("gin\ntwo\n"))
	take1(r).gives(t, "two\n")
	none := take1(r)
	none.waits(t)
	none.Interrupt()

	wr = put1(w, "a\nb\nc")
	wr.waits(t)
	take1(r).gives(t, "a\n")
	wr.accepts(t, 5)
	take1(r).gives(t, "b\n")
}

func TestTailOfAClosedWriter(t *testing.T) {
	for _, bound := range []int{0, 1} {
		ch, r, w := both(t, bound, true)
		if bound == 1 {
			put1(w, "full\n").accepts(t, 5)
		}
		put1(w, "tail").accepts(t, 4) // accepted, whatever the channel holds
		w.Close()
		if bound == 1 {
			take1(r).gives(t, "full\n")
		}
		take1(r).gives(t, "tail")
		if ch.tails != 0 {
			t.Fatalf("%d tails are left", ch.tails)
		}
	}
}

func TestTailsAreBounded(t *testing.T) {
	ch, r, w := both(t, 1, true)
	put1(w, "full\n").accepts(t, 5)
	for range maxTails {
		p := ch.Open(false, true, true)
		put1(p, "x").accepts(t, 1)
		p.Close()
	}
	p := ch.Open(false, true, true)
	more := put1(p, "more")
	more.waits(t)
	take1(r).gives(t, "full\n")
	take1(r).gives(t, "x")
	more.accepts(t, 4)
}

func TestLinesOfMessages(t *testing.T) {
	for _, bound := range []int{0, 4} {
		ch := New("work", sys.Nobody())
		if err := ch.SetCap(bound); err != nil {
			t.Fatal(err)
		}
		w, lines, data := ch.Open(false, true, false), ch.Open(true, false, true), ch.Open(true, false, false)
		wr := put1(w, "one\ntwo\nthree")
		take1(lines).gives(t, "one\n")
		wr.accepts(t, 13)
		take1(lines).gives(t, "two\n")
		take1(data).gives(t, "three")
		if s := ch.Status(); s.Sent != 3 || s.Received != 3 || s.Bytes != 13 {
			t.Fatalf("status %+v", s)
		}
	}
}

func TestGiveBackGoesToItsPlace(t *testing.T) {
	ch, r, w := both(t, 8, false)
	for _, m := range []string{"a", "b", "c", "d"} {
		put1(w, m)
	}
	a, b, c := take1(r), take1(r), take1(r)
	c.lost()
	a.lost()
	b.lost()
	for _, m := range []string{"a", "b", "c", "d"} {
		take1(r).gives(t, m)
	}
	if s := ch.Status(); s.Sent != 4 || s.Received != 4 {
		t.Fatalf("status %+v", s)
	}
	waiting := take1(r)
	a.lost() // of a front end that does it late
	waiting.gives(t, "a")
}

func TestGiveBackOfLines(t *testing.T) {
	ch, r, _ := both(t, 8, true)
	put1(ch.Open(false, true, false), "one\ntwo\nthree\n")
	one, two := take1(r), take1(r)
	one.lost()
	two.lost()
	for _, m := range []string{"one\n", "two\n", "three\n"} {
		take1(r).gives(t, m)
	}
}

func TestGiveBackAtARendezvous(t *testing.T) {
	_, r, w := both(t, 0, false)
	a := put1(w, "a")
	first := take1(r)
	a.accepts(t, 1)
	b := put1(w, "b")
	first.lost()
	b.waits(t)
	take1(r).gives(t, "a")
	take1(r).gives(t, "b")
	b.accepts(t, 1)
}

func publishing(t *testing.T, bound int) (*Chan, *Port) {
	t.Helper()
	ch := New("news", sys.Nobody())
	if err := errors.Join(ch.SetMode(Publish), ch.SetCap(bound)); err != nil {
		t.Fatal(err)
	}
	return ch, ch.Open(false, true, false)
}

func TestPublish(t *testing.T) {
	ch, w := publishing(t, 2)
	put1(w, "nobody hears").accepts(t, 12)
	slow, fast := ch.Open(true, false, false), ch.Open(true, false, false)
	next := take1(fast)
	for _, m := range []string{"a", "b", "c", "d"} {
		put1(w, m).accepts(t, 1)
		next.gives(t, m)
		next = take1(fast)
	}
	if s := ch.Status(); s.Held != 2 || s.Sent != 5 || s.Received != 4 || s.Lost != 2 {
		t.Fatalf("status %+v", s)
	}
	take1(slow).gives(t, "a")
	put1(w, "e") // there is room again: the notice goes before it
	for _, m := range []string{"b", "lost 2\n", "e"} {
		take1(slow).gives(t, m)
	}
	take1(slow).waits(t)
	next.gives(t, "e")
}

func TestPublishTellsOfALossAtOnce(t *testing.T) {
	ch, w := publishing(t, 1)
	r := ch.Open(true, false, false)
	put1(w, "a")
	put1(w, "b")
	take1(r).gives(t, "a")
	told := take1(r)
	told.gives(t, "lost 1\n")
	told.lost()
	put1(w, "c") // the notice is all that the queue holds
	take1(r).gives(t, "lost 1\n")
	take1(r).gives(t, "lost 1\n")
	put1(w, "d")
	take1(r).gives(t, "d")
}

func TestPublishOfNothingHeld(t *testing.T) {
	ch, w := publishing(t, 0)
	r := ch.Open(true, false, false)
	put1(w, "a").accepts(t, 1)
	take1(r).gives(t, "lost 1\n")
	b := take1(r)
	put1(w, "b").accepts(t, 1)
	b.gives(t, "b")
}

func TestPublishLines(t *testing.T) {
	ch, _ := publishing(t, 4)
	w := ch.Open(false, true, true)
	one, two := ch.Open(true, false, true), ch.Open(true, false, false)
	put1(w, "a\nb\nta").accepts(t, 6)
	w.Close()
	for _, m := range []string{"a\n", "b\n", "ta"} {
		take1(one).gives(t, m)
		take1(two).gives(t, m)
	}
}

func TestModeChangesOnlyWhenIdle(t *testing.T) {
	ch, r, w := both(t, 4, false)
	if err := ch.SetMode(Queue); err != nil {
		t.Fatalf("what is set already: %v", err)
	}
	refused(t, ch.SetMode(Publish), syscall.EBUSY, "now: 1 reader, 1 writer, 0 held")
	put1(w, "a")
	r.Close()
	w.Close()
	refused(t, ch.SetMode(Publish), syscall.EBUSY, "0 readers, 0 writers, 1 held")
	r = ch.Open(true, false, false)
	take1(r).gives(t, "a")
	r.Close()
	if err := ch.SetMode(Publish); err != nil || ch.Status().Mode != Publish {
		t.Fatal(err)
	}
}

func TestHangup(t *testing.T) {
	ch := New("work", sys.Nobody())
	ch.SetHangup(true)
	r := ch.Open(true, false, false)
	early := take1(r)
	early.waits(t) // no writer has been there
	w, w2 := ch.Open(false, true, false), ch.Open(false, true, false)
	put1(w, "a").accepts(t, 1)
	early.gives(t, "a")
	put1(w, "b").accepts(t, 1)
	w.Close()
	take1(r).gives(t, "b")
	end := take1(r)
	end.waits(t)
	w2.Close()
	end.gives(t, "")
	late := ch.Open(true, false, false)
	take1(late).gives(t, "")

	w = ch.Open(false, true, false)
	put1(w, "again").accepts(t, 5)
	take1(r).gives(t, "") // that file has seen its end
	take1(ch.Open(true, false, false)).gives(t, "again")
}

func TestHangupIsOffAtFirst(t *testing.T) {
	ch, r, w := both(t, 1, false)
	w.Close()
	w.Close()
	end := take1(r)
	end.waits(t)
	ch.SetHangup(true)
	end.gives(t, "")
	if s := ch.Status(); s.Writers != 0 || s.Readers != 1 {
		t.Fatalf("closing twice counts twice: %+v", s)
	}
}

func TestHangupOfLines(t *testing.T) {
	ch, r, w := both(t, 0, true)
	ch.SetHangup(true)
	put1(w, "tail").accepts(t, 4)
	w.Close()
	take1(r).gives(t, "tail")
	take1(r).gives(t, "")
}

func TestReadWriteOpenIsBoth(t *testing.T) {
	ch := New("work", sys.Nobody())
	ch.SetHangup(true)
	rw := ch.Open(true, true, false)
	put1(rw, "a").accepts(t, 1)
	take1(rw).gives(t, "a")
	take1(rw).waits(t) // it is a writer itself
	if s := ch.Status(); s.Readers != 1 || s.Writers != 1 {
		t.Fatalf("status %+v", s)
	}
}

func TestClose(t *testing.T) {
	ch, r, w := both(t, 1, true)
	partly, parked := put1(w, "a\nb\n"), put1(w, "c\n")
	other := ch.Open(false, true, true)
	ch.Close()
	partly.accepts(t, 2)
	parked.fails(t, syscall.EPIPE, "closed")
	put1(other, "x").fails(t, syscall.EPIPE, "closed")
	take1(r).gives(t, "a\n")
	take1(r).gives(t, "")
	take1(r).gives(t, "")
	ch.Close()
}

func TestCloseEndsWaitingReadersAndKeepsTails(t *testing.T) {
	ch, r, w := both(t, 4, true)
	put1(w, "tail").accepts(t, 4)
	ch.Close()
	take1(r).gives(t, "tail")
	ch, r, _ = both(t, 4, false)
	end := take1(r)
	end.waits(t)
	ch.Close()
	end.gives(t, "")
}

func TestSet(t *testing.T) {
	var events feed.Feed
	q := events.Open(10, "")
	s := NewSet(&events)
	ch, err := s.Make(sys.Nobody(), "work")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Make(sys.Nobody(), "work"); !errors.Is(err, syscall.EEXIST) {
		t.Fatal(err)
	}
	zero, _ := s.Make(sys.Nobody(), "")
	if zero.Meta().Name != "0" {
		t.Fatalf("clone made %q", zero.Meta().Name)
	}
	p := ch.Open(true, true, false)
	refused(t, s.Remove("work"), syscall.EBUSY, "chan work: 1 reader, 1 writer")
	p.Close()
	if err := s.Remove("work"); err != nil {
		t.Fatal(err)
	}
	refused(t, s.Remove("work"), syscall.ENOENT, "not exist")
	late := ch.Open(true, true, false)
	take1(late).fails(t, syscall.ENOENT, "removed")
	put1(late, "x").fails(t, syscall.ENOENT, "removed")
	zero.Close()
	zero.Close()
	var names []string
	s.List(0, func(ch *Chan) bool { names = append(names, ch.Meta().Name); return true })
	if _, ok := s.Get("0"); !ok || s.Len() != 1 || len(names) != 1 || names[0] != "0" {
		t.Fatalf("left: %d, %q", s.Len(), names)
	}
	for _, want := range []string{"made chan/work\n", "made chan/0\n", "removed chan/work\n", "closed chan/0\n"} {
		r := newRequest(false)
		q.Take(r)
		if _, rest, ok := strings.Cut(string(r.data), " "); !ok || rest != want {
			t.Fatalf("event %q, want one of %q", r.data, want)
		}
	}
}

// Listing goes on where it stopped, whatever is made and removed meanwhile.
func TestListGoesOn(t *testing.T) {
	s := NewSet(nil)
	for range 5 {
		if _, err := s.Make(sys.Nobody(), ""); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	s.List(2, func(ch *Chan) bool {
		name := ch.Meta().Name
		names = append(names, name)
		if err := s.Remove(name); err != nil {
			t.Error(err)
		}
		return name != "3"
	})
	if got := strings.Join(names, " "); got != "1 2 3" {
		t.Fatalf("listed %s", got)
	}
}

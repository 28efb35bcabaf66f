package feed

import (
	"sync/atomic"
	"testing"
)

// reader is a call that keeps what it was answered with.
type reader struct {
	answered atomic.Bool
	text     string
	lost     func()
	err      error
}

func (r *reader) Deliver(p []byte, lost func()) bool {
	if r.answered.Swap(true) {
		return false
	}
	r.text, r.lost = string(p), lost
	return true
}
func (r *reader) Done(int) bool       { return r.answered.CompareAndSwap(false, true) }
func (r *reader) Fail(err error) bool { r.err = err; return r.answered.CompareAndSwap(false, true) }
func (r *reader) Park(func())         {}
func (r *reader) Nonblock() bool      { return false }

func take(q *Queue) *reader {
	r := new(reader)
	q.Take(r)
	return r
}

func wantTexts(t *testing.T, q *Queue, texts ...string) {
	t.Helper()
	for _, want := range texts {
		r := take(q)
		if !r.answered.Load() || r.text != want {
			t.Fatalf("read %q (answered %v), want %q", r.text, r.answered.Load(), want)
		}
	}
}

// TestBound: what does not fit is counted, in its place.
func TestBound(t *testing.T) {
	var f Feed
	q := f.Open(2, "7 ")
	for _, s := range []string{"a\n", "b\n", "c\n", "d\n"} {
		f.Emit([]byte(s))
	}
	wantTexts(t, q, "a\n")
	f.Emit([]byte("e\n"))
	wantTexts(t, q, "b\n", "7 lost 2\n", "e\n")
	waits := take(q)
	f.Emit([]byte("f\n"))
	if waits.text != "f\n" {
		t.Errorf("who waited got %q", waits.text)
	}
	waits.lost()
	wantTexts(t, q, "f\n")
}

// TestEnd: the last record reaches every reader, also a full queue's, one that
// waits, and one that comes later; then there is the end of file.
func TestEnd(t *testing.T) {
	var f Feed
	full, waiting := f.Open(1, ""), f.Open(1, "")
	f.Emit([]byte("a\n"))
	f.Emit([]byte("b\n"))
	wantTexts(t, waiting, "a\n", "lost 1\n")
	waits := take(waiting)
	f.End([]byte("end\n"))
	f.End([]byte("again\n"))
	f.Emit([]byte("late\n"))
	if waits.text != "end\n" {
		t.Errorf("who waited got %q", waits.text)
	}
	wantTexts(t, waiting, "", "")
	wantTexts(t, full, "a\n", "lost 1\n", "end\n", "")
	wantTexts(t, f.Open(1, ""), "end\n", "")
	full.Close()
	waiting.Close()
	if !f.Active() {
		t.Error("one reader is left, and the feed says there is none")
	}
}

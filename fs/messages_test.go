package fs

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"warren/fs/sys"
)

// queue is a Source of the plainest kind.
type queue struct {
	mu      sync.Mutex
	msgs    []string
	readers []sys.Call
	back    int // messages that were given back
}

func (q *queue) put(msg string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.msgs = append(q.msgs, msg)
	for len(q.readers) > 0 && len(q.msgs) > 0 {
		q.give(q.readers[0])
		q.readers = q.readers[1:]
	}
}

func (q *queue) give(c sys.Call) {
	msg := q.msgs[0]
	lost := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.back++
		q.msgs = append([]string{msg}, q.msgs...)
	}
	if c.Deliver([]byte(msg), lost) {
		q.msgs = q.msgs[1:]
	}
}

func (q *queue) Take(c sys.Call) {
	q.mu.Lock()
	if len(q.msgs) > 0 {
		defer q.mu.Unlock()
		q.give(c)
		return
	}
	q.readers = append(q.readers, c)
	q.mu.Unlock()
	c.Park(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for i, r := range q.readers {
			if r == c {
				q.readers = append(q.readers[:i], q.readers[i+1:]...)
				return
			}
		}
	})
}

func (q *queue) Close() {}

// readN reads at most n bytes at off.
func readN(h Handle, n int, off int64) (*Call, *reply) {
	r := new(reply)
	c := new(Call)
	c.Init(alice, 0, r, n, false)
	h.Read(c, off)
	return c, r
}

func TestMessagesAreNeverGlued(t *testing.T) {
	q := &queue{msgs: []string{"one\n", "two\n", "three\n"}}
	h := NewMessages(q, nil)
	for _, tt := range []struct {
		n    int
		off  int64
		want string
	}{
		{100, 0, "one\n"},
		{100, 0, "one\n"}, // the offset lies in the message last delivered
		{2, 1, "ne"},
		{2, 4, "tw"},
		{100, 6, "o\n"}, // what a short buffer left
		{100, 5, "wo\n"},
		{3, -1, "thr"},
		{3, -1, "ee\n"},
	} {
		if _, r := readN(h, tt.n, tt.off); string(r.data) != tt.want {
			t.Errorf("read %d at %d: %q, want %q", tt.n, tt.off, r.data, tt.want)
		}
	}
}

func TestMessagesCancelTakesNothing(t *testing.T) {
	q := new(queue)
	h := NewMessages(q, nil)
	c, r := readN(h, 10, 0)
	if c.Answered() {
		t.Fatal("answered from nothing")
	}
	c.Interrupt()
	if !errors.Is(r.err, syscall.EINTR) || len(q.readers) != 0 {
		t.Fatalf("%v, %d readers left", r.err, len(q.readers))
	}
	q.put("kept")
	if _, r := readN(h, 10, 0); string(r.data) != "kept" {
		t.Errorf("after a cancelled read: %q", r.data)
	}
}

func TestMessagesServesReadsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := new(queue)
		h := NewMessages(q, nil)
		var replies []*reply
		var calls []*Call
		for range 4 {
			c, r := readN(h, 3, -1)
			calls, replies = append(calls, c), append(replies, r)
		}
		calls[1].Interrupt() // one that waits for its turn
		q.put("abcdef")
		synctest.Wait()
		q.put("xyz")
		synctest.Wait()
		var got []string
		for _, r := range replies {
			got = append(got, string(r.data))
		}
		if want := "abc||def|xyz"; strings.Join(got, "|") != want {
			t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
		}
	})
}

// lossy is a Sink of a connection that breaks before the reply is sent.
type lossy struct{ reply }

func (l *lossy) Data(p []byte, lost func()) { go lost() }

func TestMessagesGivesBackWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{msgs: []string{"precious"}}
		h := NewMessages(q, nil)
		c := new(Call)
		c.Init(alice, 0, new(lossy), 4, false)
		h.Read(c, 0)
		synctest.Wait()
		if q.back != 1 {
			t.Fatal("the message did not come back")
		}
		if _, r := readN(h, 100, 4); string(r.data) != "precious" {
			t.Errorf("then read %q", r.data)
		}
	})
}

// TestAnswerOrCancel races an answer with an interrupt: whoever wins, the
// call is answered once, and a message is taken if and only if it was given.
func TestAnswerOrCancel(t *testing.T) {
	q := new(queue)
	h := NewMessages(q, nil)
	given := 0
	const rounds = 20000
	for range rounds {
		c, r := readN(h, 10, -1)
		var wg sync.WaitGroup
		wg.Go(func() { q.put("m") })
		wg.Go(c.Interrupt)
		wg.Wait()
		if r.times != 1 {
			t.Fatalf("answered %d times", r.times)
		}
		if r.err == nil {
			given++
		}
	}
	if given+len(q.msgs) != rounds {
		t.Errorf("%d given and %d kept of %d", given, len(q.msgs), rounds)
	}
}

// TestInterruptedTurn interrupts a read and the one behind it, which may have
// its turn just then: neither may stay at the source.
func TestInterruptedTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := new(queue)
		h := NewMessages(q, nil)
		for range 5000 {
			first, _ := readN(h, 10, -1)
			second, _ := readN(h, 10, -1)
			var wg sync.WaitGroup
			wg.Go(first.Interrupt)
			wg.Go(second.Interrupt)
			wg.Wait()
			synctest.Wait()
			if !first.Answered() || !second.Answered() || len(q.readers) != 0 {
				t.Fatalf("answered: %v, %v; %d readers at the source", first.Answered(), second.Answered(), len(q.readers))
			}
		}
	})
	// And in the one order that matters.
	c, _ := readN(NewMessages(new(queue), nil), 10, -1)
	c.Interrupt()
	left := false
	c.Park(func() { left = true })
	if !left {
		t.Error("a call that parks after it was interrupted stays where it parked")
	}
}

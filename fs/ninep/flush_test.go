package ninep

import (
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestFlushRace lets a flush and a message race for the same read, many times:
// each message must come out just once, by the read that was raced for or by a
// later one, and no answer may follow its Rflush.
func TestFlushRace(t *testing.T) {
	rounds := 100_000
	if testing.Short() {
		rounds = 5_000
	}
	tr := newTree()
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Classic)
	k.attach(8192)
	k.open(1, ModeRead, "stream")
	src := tr.find("stream").src
	next := 0 // the number of the message that must come next
	got := func(m *Msg) {
		if want := strconv.Itoa(next); string(m.Data) != want {
			t.Fatalf("got message %q, want %s", m.Data, want)
		}
		next++
	}
	send := func(msgs ...Msg) {
		if err := k.send(msgs...); err != nil {
			t.Fatal(err)
		}
	}
	puts := make(chan int)
	var all sync.WaitGroup
	defer all.Wait()
	defer close(puts)
	all.Go(func() {
		for i := range puts {
			late := time.Duration(i*7919%61) * time.Microsecond / 2
			for start := time.Now(); time.Since(start) < late; { // now early, now late
				runtime.Gosched()
			}
			src.put([]byte(strconv.Itoa(i)))
		}
	})
	off := uint64(0)
	flushed, raced := 0, 0
	for i := range rounds {
		read := Msg{Type: Tread, Tag: 1, Fid: 1, Offset: off, Count: 100}
		flush := Msg{Type: Tflush, Tag: 2, Oldtag: 1}
		switch i % 3 { // who is likely to come first
		case 0:
			send(read)
			puts <- i
			send(flush)
		case 1:
			puts <- i
			send(read, flush)
		default:
			send(read, flush)
			puts <- i
		}
		m, err := k.recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == Rread && m.Tag == 1 { // the answer came first
			raced++
			off += uint64(len(m.Data))
			got(m)
			if m, err = k.recv(); err != nil {
				t.Fatal(err)
			}
		} else {
			flushed++
		}
		if m.Type != Rflush || m.Tag != 2 {
			t.Fatalf("round %d: got %v, want Rflush", i, m)
		}
		for next <= i { // what the flush left
			m := k.must(Msg{Type: Tread, Tag: 3, Fid: 1, Offset: off, Count: 100})
			off += uint64(len(m.Data))
			got(m)
		}
	}
	t.Logf("%d reads were flushed, %d were answered first", flushed, raced)
}

// TestWakeAll parks many reads on one connection: they cost no goroutines, and
// each gets one message.
func TestWakeAll(t *testing.T) {
	const reads = 10_000
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), DotL)
	k.attach(8192)
	for i := range uint32(reads) {
		k.open(i+1, 0, "stream")
	}
	goroutines, heap := runtime.NumGoroutine(), liveHeap()
	for i := range uint32(reads) {
		if err := k.send(Msg{Type: Tread, Tag: uint16(i + 1), Fid: i + 1, Count: 100}); err != nil {
			t.Fatal(err)
		}
	}
	tr.await(&tr.parked, reads)
	if n := runtime.NumGoroutine() - goroutines; n > 10 {
		t.Errorf("%d goroutines for %d parked reads", n, reads)
	}
	if n := (liveHeap() - heap) / reads; n > 1024 {
		t.Errorf("%d bytes a parked read", n)
	}
	src := tr.find("stream").src
	for i := range reads {
		src.put([]byte(strconv.Itoa(i)))
	}
	for i := range reads {
		m, err := k.recv()
		if err != nil {
			t.Fatal(err)
		}
		if want := strconv.Itoa(i); string(m.Data) != want || m.Tag != uint16(i+1) {
			t.Fatalf("got %v, want %s by tag %d", m, want, i+1)
		}
	}
}

// liveHeap returns the bytes of what is in use.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLost has messages delivered whose replies cannot be written: they go
// back to where they came from, in order.
func TestLost(t *testing.T) {
	tr := newTree()
	srv := &Server{Patience: 50 * time.Millisecond}
	k := newTalker(t, serveTree(t, tr, srv, Identity{User: glenda}), Classic)
	k.attach(1 << 20)
	k.open(1, ModeRead, "stream")
	src := tr.find("stream").src
	const messages, size = 64, 64 << 10
	for i := range messages {
		msg := make([]byte, size)
		msg[0] = byte(i)
		src.put(msg)
	}
	for i := range messages { // and read none of the answers
		if k.send(Msg{Type: Tread, Tag: uint16(i), Fid: 1, Offset: uint64(i * size), Count: size}) != nil {
			break // hung up
		}
	}
	tr.await(&tr.opens, 0) // because the server lost its patience
	srv.Close()
	seen := 0
	m, err := k.recv()
	for ; err == nil; m, err = k.recv() {
		if int(m.Data[0]) != seen {
			t.Fatalf("message %d came as number %d", m.Data[0], seen)
		}
		seen++
	}
	if seen < 1 {
		t.Error("no message came through")
	}
	// One may have been handed over in part.
	if left := len(src.queue); left == 0 || left+seen != messages && left+seen != messages-1 {
		t.Errorf("%d messages came, %d of %d are left", seen, left, messages)
	}
	for i, msg := range src.queue {
		if want := messages - len(src.queue) + i; int(msg[0]) != want {
			t.Errorf("place %d in the queue has message %d, want %d", i, msg[0], want)
		}
	}
}

package chans

import (
	"bytes"
	"strconv"
	"syscall"

	"warren/fs/sys"
)

// pump moves messages from the writers that wait into the queue and from the
// queue to the readers that wait, as far as there is room and there are both.
func (ch *Chan) pump() {
	for ch.admit() || ch.serve() {
	}
}

// admit takes one step for the writer whose turn it is; false if it must wait.
func (ch *Chan) admit() bool {
	e := ch.writers.head
	if e == nil {
		return false
	}
	w := &e.T
	switch {
	case w.unfinished() && ch.keepTail(w.port, w.rest):
		ch.advance(e, len(w.rest))
	case ch.mode == Publish:
		n := w.next()
		ch.publish(w.data(n))
		ch.advance(e, n)
	case ch.room(w):
		n := w.next()
		ch.shared.insert(ch.accept(w.data(n)))
		ch.advance(e, n)
	default:
		return false
	}
	return true
}

// room reports whether the writer's next message fits into the queue.
func (ch *Chan) room(w *put) bool {
	b := &ch.shared
	return b.n < ch.cap && b.bytes+len(w.port.tail)+w.next() <= MaxBytes
}

// full says why a writer would have to wait.
func (ch *Chan) full() error {
	return sys.Errorf(syscall.EAGAIN, "chan %s is full: it holds %d messages of at most %d, %d bytes of at most %d",
		ch.meta.Name, ch.shared.n, ch.cap, ch.shared.bytes, MaxBytes)
}

// accept numbers a message and counts it.
func (ch *Chan) accept(data []byte) message {
	ch.seq++
	ch.sent++
	ch.bytes += int64(len(data))
	return message{seq: ch.seq, data: data}
}

// advance notes that the next n bytes of a write were accepted, and answers it
// after the last. What the port kept of the line before them went with them.
func (ch *Chan) advance(e *elem[put], n int) {
	w := &e.T
	if p := w.port; len(p.tail) > 0 && !w.unfinished() {
		p.tail = nil
		ch.tails--
	}
	w.rest = w.rest[n:]
	w.done += n
	if len(w.rest) == 0 {
		ch.writers.remove(e)
		w.call.Done(w.done)
	}
}

// keepTail keeps the beginning of a line in the port; false if the channel
// keeps too many already.
func (ch *Chan) keepTail(p *Port, data []byte) bool {
	if len(p.tail) == 0 {
		if ch.tails >= maxTails {
			return false
		}
		ch.tails++
	}
	p.tail = append(p.tail, data...)
	return true
}

// publish gives a message to every reader, or notes that one has missed it.
func (ch *Chan) publish(data []byte) {
	m := ch.accept(data)
	for p := range ch.ports {
		b := p.box
		switch {
		case !p.read:
		case b.readers.head == nil && (b.n >= ch.cap || b.bytes+len(data) > MaxBytes):
			b.lost++
			ch.lost++
		default:
			b.tellLost(m.seq)
			b.insert(m)
		}
	}
}

// tellLost puts a notice of what was lost before the message seq.
func (b *box) tellLost(seq uint64) {
	if b.lost == 0 {
		return
	}
	text := append(strconv.AppendInt([]byte("lost "), int64(b.lost), 10), '\n')
	b.insert(message{seq: seq, off: notice, data: text})
	b.lost = 0
}

// serve answers one reader of each queue; false if all must wait.
func (ch *Chan) serve() bool {
	if ch.mode == Queue {
		return ch.serveBox(&ch.shared)
	}
	any := false
	for p := range ch.ports {
		any = ch.serveBox(p.box) || any
	}
	return any
}

func (ch *Chan) serveBox(b *box) bool {
	e := b.readers.head
	if e == nil || !ch.answer(b, e.T) {
		return false
	}
	b.readers.remove(e)
	return true
}

// answer gives a reader the next message, or end of file; false if it must
// wait. A call that was cancelled takes nothing and waits no more.
func (ch *Chan) answer(b *box, r take) bool {
	if b.n == 0 {
		b.tellLost(ch.seq + 1)
	}
	switch {
	case r.port.ended:
		r.call.Deliver(nil, nil)
	case b.n > 0:
		ch.deliver(b, r)
	case ch.writers.head != nil:
		ch.handOver(b, ch.writers.head, r)
	case ch.over():
		r.port.ended = r.call.Deliver(nil, nil)
	default:
		return false
	}
	return true
}

// over reports whether readers that have read all are at the end.
func (ch *Chan) over() bool {
	return ch.closed || ch.hangup && ch.everPut && ch.nw == 0
}

// deliver gives a reader the first message of the queue.
func (ch *Chan) deliver(b *box, r take) {
	m := *b.at(0)
	n := ch.offer(b, m, r)
	if n == 0 {
		return
	}
	if n < len(m.data) {
		ch.sent++ // a line was read of it; the rest is a message more
	} else if m.tail {
		ch.tails--
	}
	b.pop(n)
}

// handOver gives a reader the message of a writer that waits for one, as all
// do at a rendezvous.
func (ch *Chan) handOver(b *box, e *elem[put], r take) {
	size := e.T.next()
	data := e.T.data(size)
	n := ch.offer(b, message{seq: ch.seq + 1, data: data}, r)
	if n == 0 {
		return
	}
	m := ch.accept(data)
	if n < len(data) {
		m.data, m.off = data[n:], n
		b.insert(m)
		ch.sent++
	}
	ch.advance(e, size)
}

// offer answers a reader with a message, or with its first line, and returns
// how many bytes went: 0 if the call was cancelled.
func (ch *Chan) offer(b *box, m message, r take) int {
	if r.port.lines {
		if i := bytes.IndexByte(m.data, '\n'); i >= 0 {
			m.data = m.data[:i+1]
		}
	}
	if !r.call.Deliver(m.data, func() { ch.giveBack(b, m) }) {
		return 0
	}
	if m.off != notice {
		ch.received++
	}
	return len(m.data)
}

// giveBack puts a message that did not reach its reader back into its place.
func (ch *Chan) giveBack(b *box, m message) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.removed {
		return
	}
	if m.off != notice {
		ch.received--
	}
	if m.tail {
		ch.tails++
	}
	b.insert(m)
	ch.pump()
}

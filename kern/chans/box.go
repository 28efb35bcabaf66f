package chans

import "cmp"

// A message is one that was accepted and waits for its reader. Its data never
// change, as all readers of a publish channel share them.
type message struct {
	seq  uint64 // in the order of acceptance
	off  int    // of what a reader of lines left, in the message as it was sent; notice: see below
	data []byte
	tail bool // the unfinished line of a writer that has closed
}

// notice is the off of a message that nobody sent, which tells of a loss: it
// comes before the message of its seq.
const notice = -1

func (m message) compare(o message) int {
	return cmp.Or(cmp.Compare(m.seq, o.seq), cmp.Compare(m.off, o.off))
}

// A box is a queue of messages and the readers that wait for them: the one of
// a queue channel, or that of one reader of a publish channel. The zero box is
// empty and owns no memory.
type box struct {
	ring    []message // from head on, n of them
	head, n int
	bytes   int // in the messages
	lost    int // messages missed since the last one queued
	readers list[take]
}

// keepRing is how many messages' room an empty box keeps.
const keepRing = 16

func (b *box) at(i int) *message { return &b.ring[(b.head+i)%len(b.ring)] }

// insert puts a message in its place: mostly the end, but for one given back.
func (b *box) insert(m message) {
	if b.n == len(b.ring) {
		b.grow()
	}
	i := b.n
	b.n++
	for ; i > 0 && m.compare(*b.at(i - 1)) < 0; i-- {
		*b.at(i) = *b.at(i - 1)
	}
	*b.at(i) = m
	b.bytes += len(m.data)
}

func (b *box) grow() {
	ring := make([]message, max(4, 2*len(b.ring)))
	for i := range b.n {
		ring[i] = *b.at(i)
	}
	b.ring, b.head = ring, 0
}

// pop drops the first n bytes of the first message, and the message with its last.
func (b *box) pop(n int) {
	m := b.at(0)
	b.bytes -= n
	if n < len(m.data) {
		m.data, m.off = m.data[n:], m.off+n
		return
	}
	*m = message{}
	b.head = (b.head + 1) % len(b.ring)
	b.n--
	if b.n == 0 && len(b.ring) > keepRing {
		b.ring, b.head = nil, 0
	}
}

// drop forgets all messages.
func (b *box) drop() { b.ring, b.head, b.n, b.bytes = nil, 0, 0, 0 }

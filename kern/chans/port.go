package chans

import (
	"bytes"
	"syscall"

	"warren/fs/sys"
)

// A Port is one open file of a channel: its data, or its lines.
//
// Through a port of lines the channel is seen a line at a time: a read takes
// the next line, newline and all, of the message at the head of the queue; a
// write of several lines is several messages. Shells, awk and 9P clients cut
// what they write at 4 KiB or 64 KiB in the middle of a line, so the beginning
// of a line stays in the port until its newline is written, and is a message of
// its own if the port is closed without one.
type Port struct {
	ch          *Chan
	read, write bool
	lines       bool
	box         *box   // where its messages come from
	tail        []byte // the beginning of a line, accepted, not yet a message
	ended       bool   // it was given end of file, and nothing will follow it
	open        bool
}

// take is a read that waits.
type take struct {
	call sys.Call
	port *Port
}

// put is a write, which may wait.
type put struct {
	call sys.Call
	port *Port
	rest []byte // what is not yet accepted
	done int    // bytes accepted
	ours bool   // rest is a copy, which messages may share
}

// Open opens the channel for reading, writing or both. A port of a channel
// that was removed fails every call with ErrGone.
func (ch *Chan) Open(read, write, lines bool) *Port {
	p := &Port{ch: ch, read: read, write: write, lines: lines, open: true}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	p.box = &ch.shared
	if ch.mode == Publish && read {
		p.box = new(box)
	}
	if ch.ports == nil {
		ch.ports = make(map[*Port]bool)
	}
	ch.ports[p] = true
	if read {
		ch.nr++
	}
	if write {
		ch.nw++
		ch.everPut = true
	}
	return p
}

// Close closes the port, whose calls are all answered.
func (p *Port) Close() {
	ch := p.ch
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !p.open {
		return
	}
	p.open = false
	p.flushTail()
	delete(ch.ports, p)
	if p.read {
		ch.nr--
	}
	if p.write {
		ch.nw--
	}
	ch.pump()
}

// flushTail makes a message of an unfinished line. It was accepted long ago,
// so it goes in even where the channel is full; it is counted until it is read.
func (p *Port) flushTail() {
	if len(p.tail) == 0 {
		return
	}
	data := p.tail
	p.tail = nil
	if p.ch.mode == Publish {
		p.ch.tails--
		p.ch.publish(data)
		return
	}
	m := p.ch.accept(data)
	m.tail = true
	p.ch.shared.insert(m)
}

// Take answers with the next message (of lines: the next line), with end of
// file, or parks the call until there is one of them.
func (p *Port) Take(c sys.Call) {
	ch := p.ch
	ch.mu.Lock()
	if err := p.cannot(p.read); err != nil {
		ch.mu.Unlock()
		c.Fail(err)
		return
	}
	r := take{c, p}
	if p.box.readers.head == nil && ch.answer(p.box, r) {
		ch.pump()
		ch.mu.Unlock()
		return
	}
	if c.Nonblock() {
		ch.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	e := p.box.readers.push(r)
	ch.mu.Unlock()
	c.Park(func() {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		p.box.readers.remove(e)
	})
}

// Put accepts a message (of lines: one for each line) or parks the call until
// the channel has room. A message of no bytes is none. EMSGSIZE for a message
// of more than MaxMessage bytes, EPIPE when the channel is closed. A write of
// lines that is cancelled half-way is answered with the bytes accepted.
func (p *Port) Put(c sys.Call, data []byte) {
	ch := p.ch
	ch.mu.Lock()
	err := p.cannot(p.write)
	if err == nil && ch.closed {
		err = ch.refusal()
	}
	if err == nil {
		err = p.tooLong(data)
	}
	if err != nil {
		ch.mu.Unlock()
		c.Fail(err)
		return
	}
	if len(data) == 0 {
		ch.mu.Unlock()
		c.Done(0)
		return
	}
	w := ch.writers.push(put{call: c, port: p, rest: data})
	ch.pump()
	if w.in && c.Nonblock() {
		ch.writers.remove(w)
		w.T.giveUp(ch.full())
	}
	if !w.in {
		ch.mu.Unlock()
		return
	}
	w.T.rest, w.T.ours = bytes.Clone(w.T.rest), true
	ch.mu.Unlock()
	c.Park(func() {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		if w.in {
			ch.writers.remove(w)
			w.T.giveUp(sys.ErrInterrupted)
		}
	})
}

// cannot says why the port does not do what it is asked.
func (p *Port) cannot(open bool) error {
	switch {
	case !open:
		return sys.ErrNotOpen
	case p.ch.removed:
		return sys.ErrGone
	}
	return nil
}

// tooLong refuses a write with a message over the limit in it.
func (p *Port) tooLong(data []byte) error {
	long := len(data)
	if p.lines {
		long = longestLine(data, len(p.tail))
	}
	if long <= MaxMessage {
		return nil
	}
	return sys.Errorf(syscall.EMSGSIZE, "message too long: %d bytes, at most %d", long, MaxMessage)
}

// longestLine returns the length of the longest line, where before bytes of
// the first were written earlier.
func longestLine(data []byte, before int) int {
	long := 0
	for line := range bytes.Lines(data) {
		long, before = max(long, before+len(line)), 0
	}
	return long
}

// next returns how many bytes of a write go into its next message.
func (w *put) next() int {
	if w.port.lines {
		if i := bytes.IndexByte(w.rest, '\n'); i >= 0 {
			return i + 1
		}
	}
	return len(w.rest)
}

// unfinished reports whether what is left of a write is the beginning of a line.
func (w *put) unfinished() bool {
	return w.port.lines && bytes.IndexByte(w.rest, '\n') < 0
}

// data returns the message that the next n bytes of a write make.
func (w *put) data(n int) []byte {
	if len(w.port.tail) > 0 {
		return append(w.port.tail[:len(w.port.tail):len(w.port.tail)], w.rest[:n]...)
	}
	if w.ours {
		return w.rest[:n:n]
	}
	return bytes.Clone(w.rest[:n])
}

// giveUp answers a write that will not go on: with what was accepted, if
// anything was, else with the reason.
func (w *put) giveUp(why error) {
	if w.done > 0 {
		w.call.Done(w.done)
		return
	}
	w.call.Fail(why)
}

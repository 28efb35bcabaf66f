package sim

import (
	"bytes"
	"slices"
	"sync"
	"syscall"

	"warren/fs/sys"
)

// A port is the host's end of a core's channel: calls that wait there. It is
// under Machine.mu.
type port struct {
	readers []sys.Call
	writers []*portWrite
}

type portWrite struct {
	call sys.Call
	data []byte
}

type portRef struct {
	core int32
	b    *box
}

// A Chan is one open file chan/N of a core.
type Chan struct {
	m    *Machine
	core int
	num  uint8
	once sync.Once
}

// Chan opens channel num of a core: writes are messages to it, reads take what
// it sends to the host. write says that the file is open for writing: the core
// then waits for input, and not for another core, when it waits there.
func (m *Machine) Chan(core int, num uint8, write bool) *Chan {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.cores[core].box(num)
	if b.port == nil {
		b.port = new(port)
	}
	if write {
		b.open++
	}
	return &Chan{m: m, core: core, num: num}
}

// emptyBoxes drops what is in a core's channels, and the channels if no file is
// theirs. Those who wait there, wait on. m.mu is held.
func (m *Machine) emptyBoxes(c *core) {
	if c.boxes == nil {
		return
	}
	for i := range c.boxes {
		b := &c.boxes[i]
		for _, msg := range b.in[b.accepted:] {
			if a := msg.from; a != nil {
				a.credits.Add(-1)
				if a.core >= 0 {
					m.tiles[m.cores[a.core].tile].dirty.Store(true)
					m.wake(m.cores[a.core].tile)
				}
			}
		}
		b.empty()
	}
	if !slices.ContainsFunc(c.boxes[:], func(b box) bool { return b.port != nil || b.open > 0 }) {
		c.boxes = nil
		return
	}
	m.servePorts(c)
}

// servePorts gives those who wait at a core's channels what there is for them. m.mu is held.
func (m *Machine) servePorts(c *core) {
	if c.boxes == nil {
		return
	}
	for num := range c.boxes {
		if c.boxes[num].port != nil {
			m.admit(c, uint8(num))
			m.serveReaders(c, uint8(num))
		}
	}
}

// closePorts answers all who wait at channels: nothing will ever come again. m.mu is held.
func (m *Machine) closePorts() {
	for i := range m.cores {
		if m.cores[i].boxes == nil {
			continue
		}
		for num := range m.cores[i].boxes {
			p := m.cores[i].boxes[num].port
			if p == nil {
				continue
			}
			for _, call := range p.readers {
				call.Deliver(nil, nil)
			}
			for _, w := range p.writers {
				w.call.Fail(sys.ErrClosed)
			}
			p.readers, p.writers = nil, nil
		}
	}
}

// Take answers with the next message that the core sent to the host, or parks.
func (ch *Chan) Take(call sys.Call) {
	m := ch.m
	m.mu.Lock()
	c := &m.cores[ch.core]
	b := c.box(ch.num)
	switch {
	case m.closed:
		m.mu.Unlock()
		call.Deliver(nil, nil)
		return
	case len(b.port.readers) == 0 && len(b.out) > 0:
		m.deliverOut(c, ch.num, call)
		m.mu.Unlock()
		return
	case call.Nonblock():
		m.mu.Unlock()
		call.Fail(sys.ErrAgain)
		return
	}
	b.port.readers = append(b.port.readers, call)
	m.mu.Unlock()
	call.Park(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if i := slices.Index(b.port.readers, call); i >= 0 {
			b.port.readers = slices.Delete(b.port.readers, i, i+1)
		}
	})
}

// deliverOut gives a call the first message to the host. m.mu is held.
func (m *Machine) deliverOut(c *core, num uint8, call sys.Call) {
	b := c.box(num)
	msg := b.out[0]
	whose := c.account
	giveBack := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.closed || c.account != whose {
			return // who sent it is not there any more
		}
		b.out = slices.Insert(b.out, 0, msg)
		b.unread += len(msg) + slotBytes
		m.serveReaders(c, num)
	}
	if !call.Deliver(msg, giveBack) {
		return
	}
	tookRoom := len(b.out) == len(b.taken)
	b.pull()
	if tookRoom && !m.log.replaying() {
		m.log.input(m.epochs, "read", int(c.id), int(num), nil, false)
		m.freeRoom(c, num)
	}
}

// freeRoom lets a core go on that waits for the host to read. m.mu is held.
func (m *Machine) freeRoom(c *core, num uint8) {
	c.box(num).free()
	if c.parkedFor(forReader) {
		m.tiles[c.tile].dirty.Store(true)
		m.wake(c.tile)
	}
}

// readAgain is a read of a record that is replayed: there is room as if the message
// had been read, and it is kept for who reads now.
func (m *Machine) readAgain(c *core, num uint8) {
	b := c.box(num)
	if len(b.taken) == 0 {
		return // this program sends less
	}
	m.freeRoom(c, num)
	for b.unread > maxUnread {
		b.pull()
	}
}

// readBy makes the room that there is by what was read, when a replay has ended.
func (m *Machine) readBy(c *core) {
	for num := range c.boxes {
		for b := &c.boxes[num]; len(b.taken) > len(b.out); {
			m.freeRoom(c, uint8(num))
		}
	}
}

// maxUnread is how many bytes of messages a channel keeps that a replay has as read,
// and that nobody reads.
const maxUnread = 16 << 20

// serveReaders answers those who wait for messages to the host. m.mu is held.
func (m *Machine) serveReaders(c *core, num uint8) {
	b := c.box(num)
	if b.port == nil {
		return
	}
	for len(b.out) > 0 && len(b.port.readers) > 0 {
		call := b.port.readers[0]
		b.port.readers = b.port.readers[1:]
		m.deliverOut(c, num, call)
	}
}

// listens reports whether the core has a program that may take what files give it.
func (c *core) listens() bool { return c.live() || c.state == Ready }

// nobody says why a core takes no messages.
func (m *Machine) nobody(c *core) error {
	switch {
	case m.closed:
		return sys.ErrClosed
	case c.state == Idle:
		return sys.Errorf(syscall.ENXIO, "chan: nothing is loaded on core %d (load FILE in its ctl, or start a process on it)", m.shown(c.id))
	}
	return sys.Errorf(syscall.EPIPE, "chan: the program of core %d has ended", m.shown(c.id))
}

// Put sends the core a message, or parks the call until the channel has room: ENXIO
// and EPIPE where no program can take it any more.
func (ch *Chan) Put(call sys.Call, data []byte) {
	if len(data) > maxMessage {
		call.Fail(sys.Errorf(syscall.EMSGSIZE, "chan: a message has at most %d bytes, not %d", maxMessage, len(data)))
		return
	}
	m := ch.m
	m.mu.Lock()
	c := &m.cores[ch.core]
	b := c.box(ch.num)
	switch {
	case m.closed:
		m.mu.Unlock()
		call.Fail(sys.ErrClosed)
		return
	case m.log.replaying():
		m.mu.Unlock()
		call.Fail(errReplays("chan"))
		return
	case !c.listens():
		err := m.nobody(c)
		m.mu.Unlock()
		call.Fail(err)
		return
	case len(b.port.writers) == 0 && b.takes(len(data)):
		m.putHost(c, ch.num, data)
		m.mu.Unlock()
		call.Done(len(data))
		return
	case call.Nonblock():
		m.mu.Unlock()
		call.Fail(sys.ErrAgain)
		return
	}
	w := &portWrite{call, bytes.Clone(data)}
	b.port.writers = append(b.port.writers, w)
	m.mu.Unlock()
	call.Park(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if i := slices.Index(b.port.writers, w); i >= 0 {
			b.port.writers = slices.Delete(b.port.writers, i, i+1)
		}
	})
}

// putHost puts a message of the host into a core's box. m.mu is held.
func (m *Machine) putHost(c *core, num uint8, data []byte) {
	m.log.input(m.epochs, "chan", int(c.id), int(num), data, false)
	m.putInput(c, num, data)
}

func (m *Machine) putInput(c *core, num uint8, data []byte) {
	b := c.box(num)
	b.in = append(b.in, message{rank: HostRank, data: bytes.Clone(data)})
	b.accept(func(a *account) { m.credit(a, m.workers[0]) })
	if c.live() {
		m.tiles[c.tile].dirty.Store(true)
		m.wake(c.tile)
	}
}

// takeWriters lets those in who wait for room in channels. m.mu is held.
func (m *Machine) takeWriters() {
	var list []portRef
	for _, w := range m.workers {
		list = append(list, w.roomy...)
		clear(w.roomy)
		w.roomy = w.roomy[:0]
	}
	slices.SortFunc(list, func(a, b portRef) int { return int(a.core - b.core) })
	for _, ref := range list {
		c := &m.cores[ref.core]
		for num := range c.boxes {
			if &c.boxes[num] == ref.b {
				m.admit(c, uint8(num))
			}
		}
	}
}

// admit lets those in for whom there is room in a channel, and sends all away if
// nobody will take anything. m.mu is held.
func (m *Machine) admit(c *core, num uint8) {
	b := c.box(num)
	if !c.listens() {
		for _, w := range b.port.writers {
			w.call.Fail(m.nobody(c))
		}
		b.port.writers = nil
	}
	for len(b.port.writers) > 0 && b.takes(len(b.port.writers[0].data)) {
		w := b.port.writers[0]
		b.port.writers = b.port.writers[1:]
		if w.call.Done(len(w.data)) {
			m.putHost(c, num, w.data)
		}
	}
}

// Close closes the file.
func (ch *Chan) Close() { ch.once.Do(func() {}) }

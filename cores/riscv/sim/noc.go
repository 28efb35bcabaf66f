package sim

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// An op is what goes from one tile to another: it is applied at the end of the
// epoch in which it arrives.
type op struct {
	at      uint64 // when it arrives
	src     int32  // core
	gen     uint32 // of the source
	seq     uint32 // of the source
	tile    int32  // where to
	core    int32  // where to; -1: the tile's SRAM
	kind    opKind
	channel uint8
	addr    uint32 // there
	back    uint32 // where the answer of a get goes, at the source
	value   uint32 // of an add; length of a get; rank of a message's sender
	data    []byte
}

type opKind uint8

const (
	opMessage opKind = iota
	opPut
	opGet
	opGot // answer of a get
	opAdd
	opAddWait
	opAdded // answer of an add
)

func byArrival(a, b op) int {
	return cmp.Or(cmp.Compare(a.tile, b.tile), cmp.Compare(a.at, b.at), cmp.Compare(a.src, b.src), cmp.Compare(a.seq, b.seq))
}

// send puts an op of a core on its way.
func (w *worker) send(c *core, o op, bytes int) {
	m := w.m
	c.seq++
	o.src, o.gen, o.seq = c.id, c.gen, c.seq
	o.at = c.now() + m.spec.Latency(m.spec.Hops(int(c.tile), int(o.tile)), bytes)
	w.emit(o)
	w.heard(c)
}

func (w *worker) emit(o op) {
	part := int(o.tile) % len(w.out)
	w.out[part] = append(w.out[part], o)
	w.moved++
}

// deliver is the delivery phase: what has arrived by the end of the epoch is
// applied, each part of the machine by one worker.
func (m *Machine) deliver(end uint64) {
	sent := 0
	for _, w := range m.workers {
		m.giveCredits(w)
		for _, list := range w.out {
			sent += len(list)
		}
	}
	late := false
	for _, list := range m.late {
		late = late || len(list) > 0
	}
	if sent == 0 && !late {
		return
	}
	parts := len(m.workers)
	do := func(_ *worker, part int) { m.workers[part].deliverPart(part, end) }
	if sent < 256 {
		for part := range parts {
			do(m.workers[part], part)
		}
	} else {
		m.crew.spread(m.workers[0], parts, do)
	}
	for _, w := range m.workers {
		for part := range w.out {
			clear(w.out[part])
			w.out[part] = w.out[part][:0]
		}
		for _, o := range w.made {
			w.out[int(o.tile)%parts] = append(w.out[int(o.tile)%parts], o)
		}
		w.made = w.made[:0]
	}
}

// giveCredits gives back what receivers took out of full boxes.
func (m *Machine) giveCredits(w *worker) {
	for _, a := range w.acks {
		m.credit(a, w)
	}
	w.acks = w.acks[:0]
}

// An ack says that a message of a core was accepted.
type ack struct {
	core int32
	gen  uint32
}

func (m *Machine) credit(a ack, w *worker) {
	if c := &m.cores[a.core]; c.gen == a.gen {
		c.credits.Add(-1)
		w.touch(c.tile)
	}
}

// touch marks a tile as changed in the delivery phase, when others may do the same.
func (w *worker) touch(t int32) {
	if w.m.tiles[t].dirty.CompareAndSwap(false, true) {
		w.wakes = append(w.wakes, t)
	}
}

// deliverPart applies what has arrived in the tiles of a part.
func (w *worker) deliverPart(part int, end uint64) {
	m := w.m
	work := w.work[:0]
	for _, from := range m.workers {
		work = append(work, from.out[part]...)
	}
	for _, t := range m.late[part] {
		tl := &m.tiles[t]
		work = append(work, tl.inbox...)
		clear(tl.inbox)
		tl.inbox = tl.inbox[:0]
	}
	m.late[part] = m.late[part][:0]
	slices.SortFunc(work, byArrival)
	for i := range work {
		o := &work[i]
		if o.at > end {
			tl := &m.tiles[o.tile]
			if len(tl.inbox) == 0 {
				m.late[part] = append(m.late[part], o.tile)
			}
			tl.inbox = append(tl.inbox, *o)
			continue
		}
		w.apply(o)
		w.moved--
	}
	clear(work)
	w.work = work[:0]
}

// apply does what an op says.
func (w *worker) apply(o *op) {
	m := w.m
	w.touch(o.tile)
	switch o.kind {
	case opMessage:
		w.putMessage(&m.cores[o.core], message{src: o.src, gen: o.gen, rank: o.value, data: o.data}, o.channel)
	case opPut:
		if b := m.target(o, len(o.data)); b != nil {
			copy(b, o.data)
		}
		w.done(o.src, o.gen)
	case opGet:
		data := make([]byte, o.value)
		if b := m.target(o, int(o.value)); b != nil {
			copy(data, b)
		}
		w.answer(o, op{kind: opGot, addr: o.back, data: data}, len(data))
	case opGot:
		if b := m.target(o, len(o.data)); b != nil {
			copy(b, o.data)
		}
		w.done(o.core, o.gen)
	case opAdd, opAddWait:
		var old uint32
		if b := m.target(o, 4); b != nil {
			old = binary.LittleEndian.Uint32(b)
			binary.LittleEndian.PutUint32(b, old+o.value)
		}
		if o.kind == opAddWait {
			w.answer(o, op{kind: opAdded, value: old}, 4)
			return
		}
		w.done(o.src, o.gen)
	case opAdded:
		if c := &m.cores[o.core]; c.gen == o.gen {
			c.answer, c.answered = o.value, true
			c.pending.Add(-1)
		}
	}
}

// target returns the memory that an op is for; nil if it is not there any
// more: another program was loaded meanwhile.
func (m *Machine) target(o *op, n int) []byte {
	if o.core < 0 {
		return m.inTile(o.tile, o.addr, n)
	}
	c := &m.cores[o.core]
	if c.hart == nil {
		return nil
	}
	b, writable := m.at(c, o.addr, n)
	if !writable && o.kind != opGet {
		return nil
	}
	return b
}

// done says that a put, get or add of a core is done.
func (w *worker) done(id int32, gen uint32) {
	c := &w.m.cores[id]
	if c.gen == gen && c.pending.Add(-1) == 0 {
		w.touch(c.tile)
	}
}

// answer sends an op back to where another came from.
func (w *worker) answer(o *op, a op, bytes int) {
	m := w.m
	c := &m.cores[o.src]
	a.src, a.gen, a.seq = o.src, o.gen, o.seq
	a.tile, a.core = c.tile, c.id
	a.at = o.at + m.spec.Latency(m.spec.Hops(int(o.tile), int(c.tile)), bytes)
	w.made = append(w.made, a)
	w.moved++
}

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
	seq     uint32 // of the source
	from    *account
	to      *account // nil: the tile's SRAM
	life    uint32   // of the tile, if it is for that
	tile    int32    // where to
	core    int32    // where to; -1: the tile's SRAM
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

// answer reports whether the op is of use to its sender only.
func (k opKind) answer() bool { return k == opGet || k == opGot || k == opAdded }

func byArrival(a, b op) int {
	return cmp.Or(cmp.Compare(a.tile, b.tile), cmp.Compare(a.at, b.at), cmp.Compare(a.src, b.src), cmp.Compare(a.seq, b.seq))
}

// send puts an op of a core on its way. One op leaves a core after the other, so
// that what a core sends to one place arrives there in order, whatever its size.
// What is for a rank that has no core now, which o.to says, waits for that.
func (w *worker) send(c *core, o op, bytes int) {
	m := w.m
	c.seq++
	o.src, o.from, o.seq = c.id, c.account, c.seq
	lost := o.to != nil
	switch {
	case lost:
	case o.core >= 0:
		o.to = m.cores[o.core].account
	default:
		o.life = m.tiles[o.tile].life
	}
	start := max(c.now(), c.sent)
	o.at = start + m.spec.Latency(m.spec.Hops(int(c.tile), int(o.tile)), bytes)
	c.sent = start + m.spec.Latency(0, bytes) - m.spec.Latency(0, 0)
	w.heard()
	if lost {
		o.to.hold(o)
		return
	}
	w.emit(o)
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
	clear(w.acks)
	w.acks = w.acks[:0]
}

// credit says that a message was accepted; nil: it was the host's.
func (m *Machine) credit(a *account, w *worker) {
	if a == nil {
		return
	}
	a.credits.Add(-1)
	if a.core >= 0 {
		w.touch(m.cores[a.core].tile)
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
		if m.stale(o) {
			m.credit(o.from, w)
			return
		}
		w.putMessage(&m.cores[o.core], message{from: o.from, rank: o.value, data: o.data}, o.channel)
	case opPut:
		if b := m.target(o, len(o.data)); b != nil {
			copy(b, o.data)
		}
		w.done(o.from, len(o.data))
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
		w.done(o.from, len(o.data))
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
		w.done(o.from, 0)
	case opAdded:
		if !m.stale(o) {
			c := &m.cores[o.core]
			c.answer, c.answered = o.value, true
			w.done(o.from, 0)
		}
	}
}

// stale reports whether what an op is for is not there any more.
func (m *Machine) stale(o *op) bool {
	if o.to == nil {
		return m.tiles[o.tile].life != o.life
	}
	return o.to.gone || o.to.core != o.core
}

// target returns the memory that an op is for; nil if it is not there any
// more: another program was loaded meanwhile.
func (m *Machine) target(o *op, n int) []byte {
	if m.stale(o) {
		return nil
	}
	if o.core < 0 {
		if o.kind != opGet {
			m.tiles[o.tile].written = true
		}
		return m.inTile(o.tile, o.addr, n)
	}
	b, writable := m.at(&m.cores[o.core], o.addr, n)
	if !writable && o.kind != opGet {
		return nil
	}
	return b
}

// maxFlying is how many bytes of transfers of a core may be on their way when it
// begins another: who copies without a pause waits.
const maxFlying = 256 << 10

// weight is what a transfer of n bytes counts as, so that small ones are bounded too.
func weight(n int) int64 { return int64(max(n, 64)) }

// begin says that a put, get or add of n bytes is on its way.
func (a *account) begin(n int) {
	a.pending.Add(1)
	a.flying.Add(weight(n))
}

// done says that it is done.
func (w *worker) done(a *account, n int) {
	left := a.flying.Add(-weight(n))
	room := left < maxFlying && left+weight(n) >= maxFlying
	if (a.pending.Add(-1) == 0 || room) && a.core >= 0 {
		w.touch(w.m.cores[a.core].tile)
	}
}

// hold keeps an op until the account has a core.
func (a *account) hold(o op) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = append(a.held, o)
}

// flights takes all ops out that are on their way. m.mu is held, between epochs.
func (m *Machine) flights() []op {
	var all []op
	for _, w := range m.workers {
		for part, list := range w.out {
			all = append(all, list...)
			clear(list)
			w.out[part] = list[:0]
		}
	}
	for part, list := range m.late {
		for _, t := range list {
			tl := &m.tiles[t]
			all = append(all, tl.inbox...)
			clear(tl.inbox)
			tl.inbox = tl.inbox[:0]
		}
		m.late[part] = list[:0]
	}
	return all
}

// redirect sends what is on its way to programs that were moved to where they
// are now, or keeps it until they are somewhere. What is sent to them from now
// on must not overtake that. m.mu is held, between epochs.
func (m *Machine) redirect() {
	list := m.flights()
	for i := range m.cores {
		if a := m.cores[i].account; a != nil && len(a.held) > 0 {
			list = append(list, a.held...)
			a.held = nil
		}
	}
	w := m.workers[0]
	m.pending = 0
	for _, o := range list {
		if a := o.to; a != nil && !a.gone && a.core != o.core {
			if a.core < 0 {
				a.hold(o)
				continue
			}
			o.core, o.tile = a.core, m.cores[a.core].tile
			if o.from.core >= 0 {
				c := &m.cores[o.from.core]
				c.sent = max(c.sent, o.at)
			}
		}
		w.emit(o)
	}
	m.pending, w.moved = w.moved, 0
}

// answer sends an op back to where another came from.
func (w *worker) answer(o *op, a op, bytes int) {
	m := w.m
	if o.from.gone {
		return
	}
	a.src, a.from, a.to, a.seq, a.core, a.at = o.src, o.from, o.from, o.seq, o.from.core, o.at
	if a.core < 0 {
		o.from.hold(a)
		return
	}
	a.tile = m.cores[a.core].tile
	a.at = o.at + m.spec.Latency(m.spec.Hops(int(o.tile), int(a.tile)), bytes)
	w.made = append(w.made, a)
	w.moved++
}

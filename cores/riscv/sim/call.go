package sim

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// The numbers of the runtime's calls: those of Linux, and our own.
const (
	sysLseek       = 62
	sysClose       = 57
	sysRead        = 63
	sysWrite       = 64
	sysExit        = 93
	sysExitGroup   = 94
	sysBrk         = 214
	sysClock       = 403
	callInfo       = 2000
	callSend       = 2001
	callRecv       = 2002
	callPut        = 2003
	callGet        = 2004
	callAdd        = 2005
	callFence      = 2006
	callWait       = 2007
	callBarrier    = 2008
	callMark       = 2009
	callSleep      = 2010
	callMcast      = 2011
	callAlloc      = 2012
	callCircular   = 2013
	callHost       = 2014
	flagNonblock   = 1 // of recv
	flagHost       = 2 // of recv: what is waited for comes from a file
	scopeProcess   = 0
	scopeTile      = 1
	maxTransfer    = 1 << 20 // bytes of a put or get
	registerArg0   = 10
	registerNumber = 17
)

// call does what the core asks for by its ecall, and reports whether it goes
// on. If not, the core is parked, and call is called again when something
// changed.
func (w *worker) call(c *core) bool {
	h := c.hart
	if h.CSR.User && h.TakeTrap() {
		return true // of what runs in user mode, the program's own machine mode is the system
	}
	a := h.X[registerArg0 : registerArg0+6 : registerArg0+6]
	switch h.X[registerNumber] {
	case sysRead:
		return w.read(c, a[0], a[1], a[2])
	case sysWrite:
		return w.write(c, a[0], a[1], a[2])
	case sysExit:
		return w.exit(c, int32(a[0]), false)
	case sysExitGroup:
		return w.exit(c, int32(a[0]), true)
	case sysBrk:
		return w.ret(c, c.moveBreak(a[0]))
	case sysClose:
		return w.ret(c, 0)
	case sysLseek:
		return w.fail(c, syscall.ESPIPE)
	case sysClock:
		return w.clock(c, a[1])
	case callInfo:
		return w.ret(c, w.info(c, a[0], a[1]))
	case callSend:
		return w.sendMessage(c, a[0], a[1], a[2], a[3])
	case callHost:
		return w.sendMessage(c, HostRank, a[0], a[1], a[2])
	case callRecv:
		return w.recv(c, a[0], a[1], a[2], a[3])
	case callPut:
		return w.put(c, a[0], a[1], a[2], a[3])
	case callGet:
		return w.get(c, a[0], a[1], a[2], a[3])
	case callAdd:
		return w.add(c, a[0], a[1], a[2], a[3])
	case callFence:
		return w.fence(c)
	case callWait:
		return w.waitWord(c, a[0], a[1], a[2])
	case callBarrier:
		return w.barrier(c, a[0])
	case callMark:
		c.addMark(a[0])
		return w.ret(c, 0)
	case callSleep:
		return w.sleepFor(c, a[0])
	case callMcast:
		return w.multicast(c, a[0], a[1], a[2], a[3], a[4])
	case callAlloc:
		return w.alloc(c, a[0], a[1], a[2])
	case callCircular:
		return w.circular(c, a[0], a[1], a[2])
	}
	if h.TakeTrap() {
		return true // the program has a handler of its own
	}
	return w.fail(c, syscall.ENOSYS)
}

// ret answers a call.
func (w *worker) ret(c *core, value uint32) bool {
	c.hart.X[registerArg0] = value
	c.state, c.wait, c.asked = Running, noWait, false
	return true
}

// fail answers a call with an error, as Linux does.
func (w *worker) fail(c *core, e syscall.Errno) bool { return w.ret(c, errorValue(e)) }

// errorValue is what a call answers for an error.
func errorValue(e syscall.Errno) uint32 { return -uint32(e) }

// The questions of callInfo.
const (
	infoRank = iota
	infoSize
	infoCore
	infoX
	infoY
	infoIndex
	infoRole
	infoTileCores
	infoSRAM
	infoSRAMSize
	infoWidth
	infoHeight
	infoMHz
	infoPrivate
	infoPrivateSize
	infoTile
	infoTiles
	infoTileAt   // of the tile whose number is the second argument
	infoTileSRAM // of that tile
)

func (w *worker) info(c *core, what, which uint32) uint32 {
	s := w.m.spec
	t, index := w.m.place(c)
	tl := &s.Tiles[t]
	kind := &s.Kinds[tl.Kind]
	switch what {
	case infoRank:
		return uint32(c.rank)
	case infoSize:
		return uint32(len(c.job.cores))
	case infoCore:
		return uint32(w.m.shown(c.id))
	case infoX:
		return uint32(tl.X)
	case infoY:
		return uint32(tl.Y)
	case infoIndex:
		return uint32(index)
	case infoRole:
		return w.m.roles[kind.Cores[index].Role]
	case infoTileCores:
		return uint32(len(kind.Cores))
	case infoSRAM:
		return kind.SRAMBase
	case infoSRAMSize:
		return kind.SRAMSize
	case infoWidth:
		return uint32(s.W)
	case infoHeight:
		return uint32(s.H)
	case infoMHz:
		return uint32(s.MHz)
	case infoPrivate:
		return PrivateBase
	case infoPrivateSize:
		return kind.PrivateSize
	case infoTile:
		return uint32(t)
	case infoTiles:
		return uint32(len(s.Tiles))
	case infoTileAt, infoTileSRAM:
		if int64(which) >= int64(len(s.Tiles)) {
			return errorValue(syscall.ENXIO)
		}
		of := &s.Tiles[which]
		if what == infoTileSRAM {
			return s.Kinds[of.Kind].SRAMBase
		}
		return tileBit | uint32(of.Y)<<12 | uint32(of.X)
	}
	return uint32(0xffff_ffff)
}

// read asks for the program's input: it is given out between epochs, in the
// order of cores, as the cores of a job share it.
func (w *worker) read(c *core, fd, addr, n uint32) bool {
	if fd != 0 {
		return w.fail(c, syscall.EBADF)
	}
	if b, writable := w.m.at(c, addr, int(min(n, maxTransfer))); b == nil || !writable {
		return w.fail(c, syscall.EFAULT)
	}
	w.asks = append(w.asks, c.id)
	w.heard()
	return c.park(forInput)
}

// A saying is what a core wrote.
type saying struct {
	at   uint64
	core int32
	seq  uint32
	fd   uint8
	data []byte
	host int8 // channel, or -1: a file
}

func (w *worker) write(c *core, fd, addr, n uint32) bool {
	if fd != 1 && fd != 2 {
		return w.fail(c, syscall.EBADF)
	}
	n = min(n, maxTransfer)
	b, _ := w.m.at(c, addr, int(n))
	if b == nil {
		return w.fail(c, syscall.EFAULT)
	}
	c.seq++
	if e := c.job.failed[fd-1]; e != 0 {
		w.says = append(w.says, saying{at: c.now(), core: c.id, seq: c.seq, fd: uint8(fd), host: -1}) // there may be room by now
		w.heard()
		return w.fail(c, e)
	}
	w.says = append(w.says, saying{at: c.now(), core: c.id, seq: c.seq, fd: uint8(fd), data: w.keep(b), host: -1})
	w.heard()
	return w.ret(c, n)
}

// heard ends the long epoch of a lone core, as others are to hear of what it does:
// where the epoch ends in which it began to do that, had there been none but short ones.
func (w *worker) heard() {
	if w.lone {
		w.lone = false
		w.end = w.m.now + ((w.at-w.m.now)/w.m.quantum+1)*w.m.quantum
	}
}

func (w *worker) exit(c *core, code int32, all bool) bool {
	c.code, c.all = code, all
	return w.over(c, Exited)
}

// over stops a core for good.
func (w *worker) over(c *core, s State) bool {
	c.state, c.wait = s, noWait
	w.ended = append(w.ended, c.id)
	w.heard()
	return false
}

// moveBreak sets the end of the heap; it stays where it is if there is no room.
func (c *core) moveBreak(to uint32) uint32 {
	if to >= c.prog.exe.End() && to <= c.hart.X[2]-heapGap {
		c.brk = to
	}
	return c.brk
}

// heapGap is what a heap leaves to the stack.
const heapGap = 1024

// clock tells the core's time since the machine's start, in seconds and
// nanoseconds, of 64 bits each.
func (w *worker) clock(c *core, addr uint32) bool {
	b, writable := w.m.at(c, addr, 16)
	if b == nil || !writable {
		return w.fail(c, syscall.EFAULT)
	}
	mhz := uint64(w.m.spec.MHz)
	now := c.now()
	binary.LittleEndian.PutUint64(b, now/(mhz*1e6))
	binary.LittleEndian.PutUint64(b[8:], now%(mhz*1e6)*1000/mhz)
	return w.ret(c, 0)
}

// An end is where something is sent to: a core, a rank that has none now (what
// is sent there waits for it to have one), or a tile.
type end struct {
	tile, core int32
	lost       *core
}

// to is the account of a rank that has no core now.
func (e end) to() *account {
	if e.lost == nil {
		return nil
	}
	return e.lost.account
}

// tileBit marks a destination that is a tile.
const tileBit = 1 << 31

// target says which core or tile a word means.
func (w *worker) target(c *core, dst uint32) (end, syscall.Errno) {
	if dst&tileBit != 0 {
		t, ok := w.m.spec.TileAt(int(dst&0xfff), int(dst>>12&0xfff))
		if !ok || dst>>24&0x7f != 0 {
			return end{}, syscall.ENXIO
		}
		return end{tile: int32(t), core: -1}, 0
	}
	if int64(dst) >= int64(len(c.job.cores)) {
		return end{}, syscall.ESRCH
	}
	to := c.job.cores[dst]
	if to < 0 {
		return end{tile: c.tile, core: -1, lost: &c.job.lost[int(dst)].was}, 0
	}
	return end{tile: w.m.cores[to].tile, core: to}, 0
}

// reach says why memory of an end cannot be used.
func (w *worker) reach(e end, addr, n uint32, store bool) syscall.Errno {
	if n > maxTransfer {
		return syscall.EMSGSIZE
	}
	if e.core < 0 && e.lost == nil {
		if w.m.inTile(e.tile, addr, int(n)) == nil || store && w.m.readOnly(e.tile, addr) {
			return syscall.EFAULT
		}
		return 0
	}
	to := e.lost
	if to == nil {
		to = &w.m.cores[e.core]
	}
	if to.hart == nil {
		return syscall.ESRCH
	}
	b, writable := w.m.at(to, addr, int(n))
	if b == nil || store && !writable {
		return syscall.EFAULT
	}
	return 0
}

func (w *worker) sendMessage(c *core, dst, channel, addr, n uint32) bool {
	if channel >= Channels {
		return w.fail(c, syscall.EINVAL)
	}
	if n > maxMessage {
		return w.fail(c, syscall.EMSGSIZE)
	}
	b, _ := w.m.at(c, addr, int(n))
	if b == nil {
		return w.fail(c, syscall.EFAULT)
	}
	if dst == HostRank {
		return w.sendHost(c, uint8(channel), b)
	}
	e, errno := w.target(c, dst)
	if errno == 0 && e.core < 0 && e.lost == nil {
		errno = syscall.EINVAL // a tile has no channels
	}
	if errno != 0 {
		return w.fail(c, errno)
	}
	if c.account.credits.Load() >= maxCredits {
		return c.park(forCredit)
	}
	c.account.credits.Add(1)
	w.send(c, op{kind: opMessage, tile: e.tile, core: e.core, to: e.to(), channel: uint8(channel), value: uint32(c.rank), data: w.keep(b)}, int(n))
	return w.ret(c, 0)
}

// sendHost puts a message where the core's file chan/N is read, unless there
// are as many as a channel holds.
func (w *worker) sendHost(c *core, channel uint8, b []byte) bool {
	if c.box(channel).full(len(b)) {
		return c.park(forReader)
	}
	c.seq++
	c.box(channel).put(bytes.Clone(b))
	w.says = append(w.says, saying{at: c.now(), core: c.id, seq: c.seq, host: int8(channel)})
	w.heard()
	return w.ret(c, 0)
}

func (w *worker) recv(c *core, channel, addr, n, flags uint32) bool {
	if channel >= Channels {
		return w.fail(c, syscall.EINVAL)
	}
	n = min(n, maxMessage)
	b, writable := w.m.at(c, addr, int(n))
	if n > 0 && (b == nil || !writable) {
		return w.fail(c, syscall.EFAULT)
	}
	if c.boxes == nil || len(c.boxes[channel].in) == 0 {
		if flags&flagNonblock != 0 {
			return w.fail(c, syscall.EAGAIN)
		}
		return c.park(forMessage)
	}
	msg := w.takeMessage(c, &c.boxes[channel])
	copy(b, msg.data)
	c.hart.X[registerArg0+1] = msg.rank
	return w.ret(c, min(n, uint32(len(msg.data))))
}

func (w *worker) put(c *core, dst, there, here, n uint32) bool {
	e, errno := w.target(c, dst)
	if errno == 0 {
		errno = w.reach(e, there, n, true)
	}
	b, _ := w.m.at(c, here, int(n))
	if errno == 0 && b == nil {
		errno = syscall.EFAULT
	}
	if errno != 0 {
		return w.fail(c, errno)
	}
	if c.crowded() {
		return c.park(forRoom)
	}
	c.account.begin(int(n))
	w.send(c, op{kind: opPut, tile: e.tile, core: e.core, to: e.to(), addr: there, data: w.keep(b)}, int(n))
	return w.ret(c, 0)
}

func (w *worker) get(c *core, src, there, here, n uint32) bool {
	e, errno := w.target(c, src)
	if errno == 0 {
		errno = w.reach(e, there, n, false)
	}
	if b, writable := w.m.at(c, here, int(n)); errno == 0 && (b == nil || !writable) {
		errno = syscall.EFAULT
	}
	if errno != 0 {
		return w.fail(c, errno)
	}
	if c.crowded() {
		return c.park(forRoom)
	}
	c.account.begin(int(n))
	w.send(c, op{kind: opGet, tile: e.tile, core: e.core, to: e.to(), addr: there, back: here, value: n}, 0)
	return w.ret(c, 0)
}

func (w *worker) add(c *core, dst, addr, value, wait uint32) bool {
	if c.asked {
		if !c.answered {
			return c.park(forAnswer)
		}
		c.answered = false
		return w.ret(c, c.answer)
	}
	e, errno := w.target(c, dst)
	if errno == 0 {
		errno = w.reach(e, addr, 4, true)
	}
	if errno == 0 && addr%4 != 0 {
		errno = syscall.EINVAL
	}
	if errno != 0 {
		return w.fail(c, errno)
	}
	if c.crowded() {
		return c.park(forRoom)
	}
	c.account.begin(0)
	o := op{kind: opAdd, tile: e.tile, core: e.core, to: e.to(), addr: addr, value: value}
	if wait != 0 {
		o.kind = opAddWait
	}
	w.send(c, o, 4)
	if wait == 0 {
		return w.ret(c, 0)
	}
	c.asked, c.answered = true, false
	return c.park(forAnswer)
}

// crowded reports whether the core has to wait before it begins another transfer.
func (c *core) crowded() bool { return c.account.flying.Load() >= maxFlying }

func (w *worker) fence(c *core) bool {
	if c.account.pending.Load() > 0 {
		return c.park(forFence)
	}
	return w.ret(c, 0)
}

// The comparisons of callWait.
const (
	waitEqual = iota
	waitOther
	waitLeast
	waitBelow
	waitPassed
)

// compare compares a word with a value, as callWait is told to.
func compare(word, how, value uint32) bool {
	switch how {
	case waitEqual:
		return word == value
	case waitOther:
		return word != value
	case waitLeast:
		return word >= value
	case waitBelow:
		return word < value
	}
	return int32(word-value) >= 0
}

func (w *worker) waitWord(c *core, addr, how, value uint32) bool {
	b, _ := w.m.at(c, addr, 4)
	if b == nil {
		return w.fail(c, syscall.EFAULT)
	}
	if how > waitPassed {
		return w.fail(c, syscall.EINVAL)
	}
	word := binary.LittleEndian.Uint32(b)
	if !compare(word, how, value) {
		return c.park(forWord)
	}
	return w.ret(c, word)
}

func (w *worker) sleepFor(c *core, n uint32) bool {
	if !c.asked {
		c.until = c.now() + uint64(n)
		c.asked = true
	}
	if c.until >= w.end {
		if !c.listed {
			c.listed = true
			w.sleeps = append(w.sleeps, c.id)
			w.heard()
		}
		return c.park(forTime)
	}
	c.lift(c.until)
	return w.ret(c, 0)
}

func (w *worker) multicast(c *core, from, to, there, here, n uint32) bool {
	x0, y0, x1, y1 := from&0xffff, from>>16, to&0xffff, to>>16
	s := w.m.spec
	if x0 > x1 || y0 > y1 || int(x1) >= s.W || int(y1) >= s.H {
		return w.fail(c, syscall.EINVAL)
	}
	b, _ := w.m.at(c, here, int(min(n, maxTransfer)))
	if b == nil || n > maxTransfer {
		return w.fail(c, syscall.EFAULT)
	}
	var list []int32
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			t, ok := s.TileAt(int(x), int(y))
			if !ok || int32(t) == c.tile {
				continue
			}
			if e := w.reach(end{tile: int32(t), core: -1}, there, n, true); e != 0 {
				return w.fail(c, e)
			}
			list = append(list, int32(t))
		}
	}
	if c.crowded() {
		return c.park(forRoom)
	}
	data, start := w.keep(b), c.sent
	for _, t := range list {
		c.account.begin(int(n))
		c.sent = start // they are one transfer until they part
		w.send(c, op{kind: opPut, tile: t, core: -1, addr: there, data: data}, int(n))
	}
	return w.ret(c, uint32(len(list)))
}

func (c *core) addMark(n uint32) {
	if c.ring == nil {
		c.ring = new([ringSize]markRecord)
	}
	c.ring[c.marks%ringSize] = markRecord{c.now(), n}
	c.marks++
	c.mark = n
}

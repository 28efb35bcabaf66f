package fuse

import (
	"bytes"
	"encoding/binary"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of messages, in bytes. smallBuffer holds every request but big writes
// and every reply but big reads, so that a read that waits costs little.
const (
	maxWrite    = 128 << 10
	bigBuffer   = maxWrite + 8192
	smallBuffer = 4096
	inHeader    = 40
	outHeader   = 16
)

// Opcodes that the loop treats on its own; see fuse(4) and linux/fuse.h.
const (
	opLookup      = 1
	opRead        = 15
	opRelease     = 18
	opGetXAttr    = 22
	opListXAttr   = 23
	opReadDir     = 28
	opReleaseDir  = 29
	opIoctl       = 39
	opReadDirPlus = 44
)

// A worker is the memory of a goroutine that serves requests.
type worker struct {
	request, reply [smallBuffer]byte
	big            *[bigBuffer]byte // a request that does not fit
	bigReply       *[bigBuffer]byte
	in, out        [1][]byte
}

// spawn starts a goroutine that leads.
func (m *Mounted) spawn() {
	m.workers.Add(1)
	go func() {
		defer m.workers.Done()
		w := m.idleMem.Get().(*worker)
		m.serve(w)
		m.idleMem.Put(w)
	}()
}

// serve reads and answers requests for as long as this goroutine leads. One
// goroutine reads, and what it read is answered before the next is read, unless
// it may take its time: then another goroutine reads on. So requests keep their
// order. That counts for RELEASE, whose answer the kernel does not wait for: who
// closes a channel may then remove it. It is also quicker than to have all come
// to life in turns.
func (m *Mounted) serve(w *worker) {
	for {
		req, err := m.receive(w)
		switch {
		case err == syscall.ENODEV:
			m.srv.waits.close()
			return
		case err != nil:
			m.log.Error("reading from the kernel", "err", err)
			m.srv.waits.close()
			return
		}
		at, op := unique(req), opcode(req)
		m.asked.Store(nodeID(req))
		m.op.Store(op)
		m.lead.Store(at)
		m.supervise()
		begin, about := time.Now(), nodeID(req)
		m.handle(w, req)
		m.free(w)
		took := time.Since(begin)
		if !m.lead.CompareAndSwap(at, 0) {
			if took < handOverCost {
				m.srv.nodes.quick(about, op)
			}
			m.taking.Lock() // until there is another, or nobody would be known to serve
			defer m.taking.Unlock()
			return
		}
		if took > 4*handOverCost {
			m.srv.nodes.slow(about, op)
		}
	}
}

// handOver has another goroutine lead, if the one at this request does: its
// number is at.
func (m *Mounted) handOver(at uint64) {
	if at != 0 && m.lead.CompareAndSwap(at, 0) {
		m.spawn()
	}
}

const (
	// longEnough is for how long a leader may be at one request. But for files
	// that are closed others wait: forLooks times as long.
	longEnough = time.Millisecond
	forLooks   = 1000
	// handOverCost is about what it costs to have another goroutine read, on a
	// processor that has to be woken. What takes much longer, as a big text does, is
	// not waited for the next time.
	handOverCost = 50 * time.Microsecond
)

// supervise sees to it that look is called.
func (m *Mounted) supervise() {
	if !m.looks.Load() && m.looks.CompareAndSwap(false, true) {
		m.clock.Reset(longEnough)
	}
}

// look takes the lead away from who was at the same request the last time, as a
// node that does not do as it should may block. While the leader reads nobody
// looks.
func (m *Mounted) look() {
	m.taking.Lock()
	defer m.taking.Unlock()
	at := m.lead.Load()
	if at == 0 {
		m.looks.Store(false)
		if m.lead.Load() != 0 {
			m.supervise()
		}
		return
	}
	if at != m.watched {
		m.watched, m.looked = at, 0
		m.clock.Reset(longEnough)
		return
	}
	op := m.op.Load()
	if m.looked++; op != opRelease && op != opReleaseDir || m.looked >= forLooks {
		m.srv.nodes.slow(m.asked.Load(), op)
		m.handOver(at)
	}
	m.clock.Reset(longEnough)
}

func opcode(req []byte) uint32 { return binary.NativeEndian.Uint32(req[4:]) }
func unique(req []byte) uint64 { return binary.NativeEndian.Uint64(req[8:]) }
func nodeID(req []byte) uint64 { return binary.NativeEndian.Uint64(req[16:]) }

// receive reads the next request. It lies in w.request, or in w.big.
func (m *Mounted) receive(w *worker) ([]byte, error) {
	big := m.bufs.Get().(*[bigBuffer]byte)
	for {
		n, err := syscall.Read(m.dev, big[:])
		switch {
		case err == syscall.EINTR || err == syscall.ENOENT || err == syscall.EAGAIN:
			continue // ENOENT: the request was taken back
		case err != nil:
			m.bufs.Put(big)
			return nil, err
		case n < inHeader:
			continue
		case n > smallBuffer:
			w.big = big
			return big[:n], nil
		}
		copy(w.request[:], big[:n])
		m.bufs.Put(big)
		return w.request[:n], nil
	}
}

// free gives big buffers back.
func (m *Mounted) free(w *worker) {
	if w.big != nil {
		m.bufs.Put(w.big)
		w.big = nil
	}
	if w.bigReply != nil {
		m.bufs.Put(w.bigReply)
		w.bigReply = nil
	}
}

// handle answers a request.
func (m *Mounted) handle(w *worker, req []byte) {
	reply := w.reply[:]
	if payload(req)+outHeader > smallBuffer {
		w.bigReply = m.bufs.Get().(*[bigBuffer]byte)
		reply = w.bigReply[:]
	}
	if pollProbe(req) && !m.probing.Load() {
		putHeader(reply, -int32(syscall.ENOENT), unique(req))
		m.send(req, reply[:outHeader])
		return
	}
	w.in[0], w.out[0] = req, reply
	n, status := m.proto.HandleRequest(w.in[:], w.out[:])
	if n == 0 && !status.Ok() {
		putHeader(reply, -int32(status), unique(req))
		n = outHeader
	}
	if n > 0 {
		m.send(req, reply[:n])
	}
}

// send writes a reply. If the kernel does not take it, what was read goes back
// to where it came from.
func (m *Mounted) send(req, reply []byte) {
	_, err := syscall.Write(m.dev, reply)
	for err == syscall.EINTR {
		_, err = syscall.Write(m.dev, reply)
	}
	if opcode(req) != opRead {
		return
	}
	if lost := m.srv.undo.take(unique(req)); lost != nil && err != nil {
		lost()
	}
}

// payload returns how many bytes of data the reply of a request may carry.
func payload(req []byte) int {
	at := 0
	switch opcode(req) {
	case opRead, opReadDir, opReadDirPlus:
		at = inHeader + 16
	case opGetXAttr, opListXAttr:
		at = inHeader
	case opIoctl:
		at = inHeader + 28
	}
	if at == 0 || len(req) < at+4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(req[at:]))
}

// probeName is a file of go-fuse's own, which does not show but to learnPoll.
const probeName = ".go-fuse-epoll-hack"

// pollProbe reports whether the request looks that file up.
func pollProbe(req []byte) bool {
	return opcode(req) == opLookup && nodeID(req) == rootID &&
		bytes.Equal(bytes.TrimRight(req[inHeader:], "\x00"), []byte(probeName))
}

// learnPoll polls a file once, so that the kernel hears that there is no poll
// and does not ask again. If it asked when Go's runtime puts a file on its
// poller, a program that opens files of a tree that it serves itself would
// stop for ever: the runtime cannot stop the world meanwhile.
func (m *Mounted) learnPoll() {
	m.probing.Store(true)
	defer m.probing.Store(false)
	fd, err := syscall.Open(m.where.dir+"/"+probeName, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		m.log.Warn("polling the mount", "dir", m.where.dir, "err", err)
		return
	}
	defer syscall.Close(fd)
	// The answer, that the file is ready, says nothing.
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
}

func stack() string { return string(debug.Stack()) }

// Package gdb serves the remote serial protocol of gdb for simulated RISC-V
// cores: a stock gdb-multiarch attaches to one core, or to all vcores of a
// process, which it sees as threads.
//
// A Session is an open file of the tree: what is written to it comes from gdb,
// what is read from it goes to gdb. It knows nothing of machines: they
// implement Target.
//
// Modes and limits: all-stop (when one thread stops, all do); breakpoints are
// the machine's, so text is never patched; a packet has at most 16 KiB.
// The protocol is that of the gdb manual, appendix "Remote Protocol".
//
// A session's lock comes before those of its target. The lock of its output
// comes last, but for that of the front end whose calls it answers; so a
// target may report a stop with any of its own locks held.
package gdb

import (
	"sync"
	"syscall"

	"warren/fs/sys"
)

// Bounds of a session. Beyond those of points gdb gets an error; beyond the
// others the session ends.
const (
	maxPacket  = 16 << 10  // bytes in a packet, as gdb is told
	maxPending = 64 << 10  // bytes in packets that came while threads run
	maxOutput  = 256 << 10 // bytes that nobody has read
	maxBreaks  = 1024
	maxWatches = 64
)

// A Session is one gdb's view of a target.
type Session struct {
	target Target
	rows   []row
	regs   []reg

	mu       sync.Mutex
	in       reader
	attached bool
	ended    bool
	err      error // why writes fail; nil for a session that gdb has ended
	noAck    bool
	general  int // the thread of registers and memory, or anyThread
	control  int // the thread of c and s, All or anyThread
	listing  []byte
	breaks   map[point]bool
	watches  map[point]bool

	out output
}

// anyThread stands for the thread that stopped last.
const anyThread = -2

// New returns a session of the target, to which it attaches with the first
// byte that is written.
func New(t Target) *Session {
	return &Session{
		target:  t,
		rows:    rows(),
		regs:    registers(t.FLen()),
		general: anyThread,
		control: All,
		breaks:  map[point]bool{},
		watches: map[point]bool{},
	}
}

// Write takes bytes from gdb. It fails if the target cannot be attached to
// (the next write tries again), EMSGSIZE or EPROTO if the input is not that of
// a gdb, and ENOBUFS if its answers are not read: with these the session has
// ended. What gdb writes after it detached is ignored.
func (s *Session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && !s.attached && len(p) > 0 {
		if err := s.attach(); err != nil {
			return 0, err
		}
	}
	for _, b := range p {
		if s.ended {
			break
		}
		s.feed(b)
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Take answers a read with all that there is for gdb, or parks it; end of file
// after the session has ended. With Close it makes the session an fs.Source.
func (s *Session) Take(c sys.Call) { s.out.take(c) }

// Close hangs up: if gdb has not detached, its breakpoints go, and what it
// stopped goes on. Close again does nothing.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.end(sys.ErrClosed, false)
	}
}

func (s *Session) attach() error {
	s.out.begin(true)
	if err := s.target.Attach(s.stopped); err != nil {
		s.out.cancel()
		return err
	}
	s.attached = true
	return nil
}

// end lets go of the target and answers readers with what is left. err is
// what writers get.
func (s *Session) end(err error, kill bool) {
	s.ended, s.err = true, err
	s.listing, s.in.buf = nil, nil
	if s.attached {
		s.clear()
		s.target.Detach(kill)
	}
	s.out.close()
}

// feed takes one byte, and does what it makes complete.
func (s *Session) feed(b byte) {
	switch s.in.next(b) {
	case gotPacket:
		s.packet()
	case gotBad:
		if s.noAck { // nobody would send it again
			s.end(sys.Errorf(syscall.EPROTO, "gdb: the checksum of a packet is wrong"), false)
			return
		}
		s.raw("-")
	case gotLong:
		s.end(sys.Errorf(syscall.EMSGSIZE, "gdb: a packet has more than %d bytes", maxPacket), false)
	case gotNack:
		if !s.noAck { // or gdb would take it for its next answer
			s.check(s.out.again())
		}
	case gotInterrupt:
		if s.out.interrupt() {
			s.target.Interrupt()
		}
	}
}

// packet queues the packet that was read, and does it unless threads run.
func (s *Session) packet() {
	if !s.noAck {
		s.raw("+")
	}
	if s.ended {
		return
	}
	if !s.out.queue(s.in.take()) {
		s.end(sys.Errorf(syscall.EPROTO, "gdb: more than %d bytes of packets while the threads run", maxPending), false)
		return
	}
	s.work()
}

// work does the packets that wait, until one lets threads run.
func (s *Session) work() {
	for !s.ended {
		packet, ok := s.out.dequeue()
		if !ok {
			return
		}
		if reply := s.do(packet); reply != later && !s.ended {
			s.send(reply)
		}
	}
}

// stopped is what the target calls when its threads are at rest.
func (s *Session) stopped(st Stop) {
	if s.out.stopped(st) {
		go func() { // as the target may hold locks
			s.mu.Lock()
			defer s.mu.Unlock()
			s.work()
		}()
	}
}

func (s *Session) raw(text string)     { s.check(s.out.put([]byte(text))) }
func (s *Session) send(payload string) { s.check(s.out.send(payload)) }

// check ends the session if an answer did not fit.
func (s *Session) check(ok bool) {
	if !ok && !s.ended {
		s.end(sys.Errorf(syscall.ENOBUFS, "gdb: %d bytes of answers were not read", maxOutput), false)
	}
}

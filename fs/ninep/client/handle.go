package client

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// A handle is an open file of the server whose offsets count. Nothing is lost
// when the reply to a cancelled read comes too late.
type handle struct {
	f      *fid
	iounit int
	waits  bool          // writes may wait, so that they may be cancelled
	reply  time.Duration // how long other writes may take, once they are interrupted

	mu  sync.Mutex
	pos int64 // for calls that name no offset
}

// newHandle returns the handle of an open fid, which it owns.
func newHandle(f *fid, k fs.Kind, iounit int, reply time.Duration) fs.Handle {
	h := &handle{f: f, iounit: iounit, waits: k != fs.Ctl, reply: reply}
	if k != fs.Stream {
		return h
	}
	s := &stream{f: f, count: min(iounit, 128<<10)}
	return fs.NewMessages(s, func(c *fs.Call, p []byte) {
		if len(p) > iounit {
			c.Fail(sys.ErrTooLong)
			return
		}
		if k := h.write(c, p, -1); k != nil && c.Nonblock() {
			f.c.giveUp(k) // what the server takes at once, it has taken before that
		}
	})
}

// whole is a stream whose writes are messages, so that a part of one must not
// pass for one.
type whole struct{ fs.Handle }

func (w whole) Write(c *fs.Call, p []byte, off int64) {
	if c.Split() {
		c.Fail(sys.ErrTooLong)
		return
	}
	w.Handle.Write(c, p, off)
}

// at returns the offset that a call is for; off < 0 is "the next".
func (h *handle) at(off int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if off < 0 {
		off = h.pos
	}
	return off
}

func (h *handle) moved(to int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pos = to
}

func (h *handle) Read(c *fs.Call, off int64) {
	off = h.at(off)
	count := min(c.Count(), h.iounit)
	m := ninep.Msg{Type: ninep.Tread, Fid: h.f.num, Offset: uint64(off), Count: uint32(count)}
	k, err := h.f.c.try(&m, func(r *ninep.Msg, err error) {
		switch {
		case err != nil:
			c.Fail(interrupted(c, err))
		case len(r.Data) > count:
			c.Fail(badReply("Rread of %d bytes where %d were asked for", len(r.Data), count))
		default:
			h.moved(off + int64(len(r.Data)))
			c.Deliver(r.Data, nil)
		}
	})
	if err != nil {
		c.Fail(err)
		return
	}
	c.Park(func() { h.f.c.flush(k) })
}

// interrupted is what a flushed call says to its caller.
func interrupted(c sys.Call, err error) error {
	switch {
	case err != errFlushed:
		return err
	case c.Nonblock():
		return sys.ErrAgain
	}
	return sys.ErrInterrupted
}

// Write sends as much of p as fits in a message; of a ctl file, whole lines.
// What was asked to be written is answered by what the server says, even when
// the caller is interrupted: nobody should have to guess whether it was done.
func (h *handle) Write(c *fs.Call, p []byte, off int64) { h.write(c, p, off) }

// write is Write, and returns the call that is out, nil if there is none.
func (h *handle) write(c *fs.Call, p []byte, off int64) *call {
	if len(p) > h.iounit {
		p = wholeLines(p[:h.iounit])
	}
	sent := len(p)
	off = h.at(off)
	m := ninep.Msg{Type: ninep.Twrite, Fid: h.f.num, Offset: uint64(off), Data: p}
	k, err := h.f.c.try(&m, func(r *ninep.Msg, err error) {
		switch {
		case err != nil:
			c.Fail(interrupted(c, err))
		case int64(r.Count) > int64(sent):
			c.Fail(badReply("Rwrite of %d bytes where %d were sent", r.Count, sent))
		default:
			h.moved(off + int64(r.Count))
			c.Done(int(r.Count))
		}
	})
	if err != nil {
		c.Fail(err)
		return nil
	}
	c.ParkSlow(func() {
		if h.waits {
			h.f.c.giveUp(k)
		} else {
			time.AfterFunc(h.reply, func() { h.f.c.giveUp(k) })
		}
	})
	return k
}

// wholeLines cuts p behind its last newline, if it has one.
func wholeLines(p []byte) []byte {
	if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
		return p[:i+1]
	}
	return p
}

func (h *handle) Close() { h.f.drop() }

// A stream is the source of a remote file that gives a message a read. One
// Tread is out at a time, for the one reader that Messages has at the source.
type stream struct {
	f     *fid
	count int

	mu     sync.Mutex
	pos    int64
	out    *call // the Tread, nil if there is none
	left   bool  // its reader was interrupted
	reader sys.Call
	kept   [][]byte // came back, for the next reader
}

// Take answers with the next message. A reader that leaves has its answer when
// the server has forgotten the Tread, as a message may be on its way. One that
// must not wait leaves at once: a message that is there comes before that.
func (s *stream) Take(c sys.Call) {
	s.mu.Lock()
	if len(s.kept) > 0 {
		defer s.mu.Unlock()
		if msg := s.kept[0]; s.give(c, msg) {
			s.kept = s.kept[1:]
		}
		return
	}
	s.ask(c)
	s.mu.Unlock()
	c.(interface{ ParkSlow(func()) }).ParkSlow(func() { s.leave(true) })
	if c.Nonblock() {
		s.leave(false)
	}
}

// give hands a message to a reader, from whom it may come back. s.mu is held.
func (s *stream) give(c sys.Call, msg []byte) bool {
	return c.Deliver(msg, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kept = slices.Insert(s.kept, 0, msg)
	})
}

// ask sends a Tread for a reader. s.mu is held.
func (s *stream) ask(c sys.Call) {
	m := ninep.Msg{Type: ninep.Tread, Fid: s.f.num, Offset: uint64(s.pos), Count: uint32(s.count)}
	k, err := s.f.c.try(&m, s.answer)
	if err != nil {
		c.Fail(err)
		return
	}
	s.out, s.left, s.reader = k, false, c
}

// leave has the Tread flushed, if one is out.
func (s *stream) leave(interrupted bool) {
	s.mu.Lock()
	k := s.out
	s.left = interrupted
	s.mu.Unlock()
	if k != nil {
		s.f.c.giveUp(k)
	}
}

// answer is reached with the reply to the Tread.
func (s *stream) answer(r *ninep.Msg, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.reader
	s.out, s.reader = nil, nil
	switch {
	case err != nil && s.left: // servers have various words for it
		c.Fail(sys.ErrInterrupted)
	case err != nil:
		c.Fail(interrupted(c, err))
	case len(r.Data) > s.count:
		c.Fail(badReply("Rread of %d bytes where %d were asked for", len(r.Data), s.count))
	default:
		s.pos += int64(len(r.Data))
		if msg := bytes.Clone(r.Data); !s.give(c, msg) && len(msg) > 0 {
			s.kept = append(s.kept, msg)
		}
	}
}

// Close closes the file.
func (s *stream) Close() { s.f.drop() }

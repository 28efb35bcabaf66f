package ninep

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// A conn is one client.
type conn struct {
	srv *Server
	nc  net.Conn
	id  Identity

	// The reader's own.
	in   []byte // what was read: in[got:have] is still to be carried out
	got  int
	have int
	over chan struct{} // closed when the last reader has ended

	turn    sync.Mutex // before mu; held by who carries out a request
	dec     Decoder
	fids    fidTable
	root    *fid // never in the table: holds the server's root
	version bool // agreed upon

	// The writer's own: of whoever set writing.
	deadline time.Time

	mu       sync.Mutex // the last lock
	change   sync.Cond  // a request was finished, or writing ended
	out      []byte     // replies to be written
	spare    []byte     // the other buffer
	base     uint64     // how many bytes were ever in out before out[0]
	sent     uint64     // how many bytes were ever taken by the transport
	lost     []lost     // replies in out or being written, in order
	dialect  Dialect    // set with the turn, while nothing is parked
	msize    uint32     // so, too
	numeric  bool       // the client knows 9P2000 errors by the texts of errno only
	calls    map[uint16]*request
	parked   int
	away     int  // of these, the exchanges that wait for another machine
	handling bool // the reader is busy and will write what it finds in out
	writing  bool
	dead     bool
}

// lost is the hook of a reply whose first byte is at a position in the stream.
type lost struct {
	at   uint64
	hook func()
}

const (
	firstMsize = 8 << 10   // of a message before a version was agreed upon
	firstIn    = 4 << 10   // size of the buffer that the reader starts with
	highWater  = 256 << 10 // unsent bytes at which no further request is carried out
	maxUnsent  = 16 << 20  // unsent bytes at which a client is hung up
	keepOut    = 2 << 20   // an out buffer that is bigger is not kept
)

func newConn(s *Server, nc net.Conn, id Identity) *conn {
	c := &conn{srv: s, nc: nc, id: id, msize: firstMsize, handling: true, over: make(chan struct{})}
	c.change.L = &c.mu
	c.in = make([]byte, firstIn)
	c.fids.limit = or(s.MaxFids, defaultFids)
	c.root = &fid{node: s.Root, qid: s.Root.Qid()}
	c.root.next, c.root.prev = c.root, c.root
	return c
}

// serve carries out requests until the connection ends.
func (c *conn) serve() {
	c.run()
	<-c.over
}

// run is the reader: it carries out requests until the connection ends, or
// until it leaves with one that must wait for another machine.
func (c *conn) run() {
	c.turn.Lock()
	defer c.turn.Unlock()
	x := &exchange{conn: c}
	for !x.away {
		frame, err := c.next()
		if err != nil {
			c.srv.log(slog.LevelDebug, "9p: connection ended", "client", c.nc.RemoteAddr(), "err", err)
			x.end()
			close(c.over)
			return
		}
		x.handle(frame)
	}
}

// next returns the next request. Before it waits for one it writes the
// replies; others may have the turn meanwhile.
func (c *conn) next() ([]byte, error) {
	for {
		n, err := c.buffered()
		if err != nil {
			return nil, errors.Join(err, c.flush(1, false))
		}
		if n > 0 {
			frame := c.in[c.got : c.got+n]
			c.got += n
			return frame, c.flush(highWater, true)
		}
		c.turn.Unlock()
		if err = c.flush(1, false); err == nil {
			err = c.fill()
		}
		c.turn.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// buffered returns the length of the complete request in the buffer, 0 if
// there is none yet.
func (c *conn) buffered() (int, error) {
	b := c.in[c.got:c.have]
	if len(b) < 4 {
		return 0, nil
	}
	n := le.Uint32(b)
	if n < HeaderSize || n > c.msize {
		return 0, sys.Errorf(syscall.EBADMSG, "message says it has %d bytes; from %d to %d are possible", n, HeaderSize, c.msize)
	}
	if int(n) > len(b) {
		return 0, nil
	}
	return int(n), nil
}

// fill reads more. The buffer grows with what really came, up to one message.
func (c *conn) fill() error {
	if c.got > 0 {
		c.have = copy(c.in, c.in[c.got:c.have])
		c.got = 0
	}
	if c.have == len(c.in) {
		bigger := make([]byte, min(2*len(c.in), max(int(c.msize), firstIn)))
		copy(bigger, c.in)
		c.in = bigger
	}
	n, err := c.nc.Read(c.in[c.have:])
	c.have += n
	if n > 0 {
		err = nil
	}
	c.mu.Lock()
	c.handling = true
	c.mu.Unlock()
	return err
}

// flush writes the replies if there are limit bytes of them or more. If
// somebody else is writing and there are too many, it waits. busy says that
// the reader has more to do, and will flush again.
func (c *conn) flush(limit int, busy bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handling = busy
	for c.writing && len(c.out) >= highWater && !c.dead {
		c.change.Wait()
	}
	if len(c.out) >= limit && !c.writing {
		c.writing = true
		c.drain()
	}
	if c.dead {
		return net.ErrClosed
	}
	return nil
}

// drain writes until there is nothing to write. c.mu is held, but not over
// the system call; c.writing was set by the caller.
func (c *conn) drain() {
	for len(c.out) > 0 && !c.dead {
		b := c.out
		c.base += uint64(len(b))
		c.out, c.spare = c.spare, nil
		c.mu.Unlock()
		n, err := c.transmit(b)
		c.mu.Lock()
		c.wrote(n)
		if cap(b) <= keepOut {
			c.spare = b[:0]
		}
		if err != nil {
			c.dead = true
			go c.nc.Close() // which may take a while, for TLS; it wakes the reader
		}
	}
	c.writing = false
	c.change.Broadcast()
}

// transmit hands b to the transport. A client that takes nothing for as long as
// the server's patience is an error.
func (c *conn) transmit(b []byte) (n int, err error) {
	c.trace(b)
	patience := or(c.srv.Patience, defaultPatience)
	for n < len(b) {
		if now := time.Now(); c.deadline.Sub(now) < patience/2 {
			c.deadline = now.Add(patience)
			if err := c.nc.SetWriteDeadline(c.deadline); err != nil {
				return n, err
			}
		}
		k, err := c.nc.Write(b[n:])
		n += k
		if err != nil && (k == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return n, err
		}
	}
	return n, nil
}

// wrote forgets the hooks of replies that the transport has taken, if only
// in part. c.mu is held.
func (c *conn) wrote(n int) {
	c.sent += uint64(n)
	i := 0
	for i < len(c.lost) && c.lost[i].at < c.sent {
		i++
	}
	if i > 0 {
		rest := copy(c.lost, c.lost[i:])
		clear(c.lost[rest:])
		c.lost = c.lost[:rest]
	}
}

// kick sees to it that what was appended is written. c.mu is held.
func (c *conn) kick() {
	if len(c.out) > maxUnsent && !c.dead {
		c.dead = true
		go c.nc.Close()
	}
	if c.handling || c.writing || c.dead || len(c.out) == 0 {
		return
	}
	c.writing = true
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drain()
	}()
}

// appendError appends the dialect's error reply. c.mu is held.
func (c *conn) appendError(tag uint16, err error) {
	text, errno := fs.ErrText(err)
	if c.numeric {
		text = linuxText(errno)
	}
	text = text[:min(len(text), int(c.msize)-ReadSize-4)]
	m := Msg{Type: Rerror, Tag: tag, Ename: text, Errno: errno}
	if c.dialect == DotL {
		m.Type = Rlerror
	}
	c.out, _ = Append(c.out, c.dialect, &m) // both types are always possible
}

// linuxText is the text from which Linux's client for 9P2000 makes an errno: the
// C library's. It takes any other for ESERVERFAULT.
func linuxText(errno uint32) string {
	text := syscall.Errno(errno).Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// end cancels all that is parked, clunks all fids, and gives back the messages
// of replies that were never handed over.
func (c *exchange) end() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.nc.Close()
	c.abort()
	c.mu.Lock()
	for c.writing {
		c.change.Wait()
	}
	hooks := c.lost
	c.lost = nil
	c.mu.Unlock()
	for i := len(hooks) - 1; i >= 0; i-- { // the last first, as each goes to the head of its queue
		hooks[i].hook()
	}
}

// abort cancels all parked requests, without an answer, and clunks all fids.
func (c *exchange) abort() {
	c.mu.Lock()
	all := make([]*request, 0, len(c.calls))
	for _, r := range c.calls {
		r.silent = true
		all = append(all, r)
	}
	c.mu.Unlock()
	for _, r := range all {
		r.interrupt()
	}
	c.turn.Unlock() // what is away needs it to come back
	c.mu.Lock()
	for c.parked > 0 {
		c.change.Wait()
	}
	c.mu.Unlock()
	c.turn.Lock()
	for f := range c.fids.all() {
		c.shut(f)
		if f.rclose && !f.qid.Remote { // no other machine is asked for one who has left
			_ = c.removeNode(f)
		}
		c.discard(f)
	}
}

// trace logs the messages in b.
func (c *conn) trace(b []byte) {
	if !c.srv.tracing() {
		return
	}
	c.mu.Lock()
	dec := Decoder{Dialect: c.dialect}
	c.mu.Unlock()
	for len(b) >= HeaderSize {
		n := min(int(le.Uint32(b)), len(b))
		var m Msg
		if err := dec.Decode(&m, b[:n]); err != nil {
			c.srv.log(slog.LevelDebug, "9p", "client", c.nc.RemoteAddr(), "err", err)
			return
		}
		c.srv.log(slog.LevelDebug, "9p", "client", c.nc.RemoteAddr(), "msg", m.String())
		b = b[n:]
	}
}

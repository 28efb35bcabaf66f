package ninep

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// A conn is one client.
type conn struct {
	srv   *Server
	line  line
	nc    net.Conn // the line, if goroutines wait for it
	sock  *socket  // the line, if a reactor does
	id    Identity
	ended func() // is called when the last reader has

	// The reader's own.
	in   []byte // what was read: in[got:have] is still to be carried out
	got  int
	have int
	lent bool // in is the worker's
	dec  Decoder

	turn    sync.Mutex // before mu; held by who carries out a request
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

// A line is what a connection, and its gate, have to do with the transport of
// either kind.
type line interface {
	Close() error                    // hangs up, which wakes who reads or writes
	SetReadDeadline(time.Time) error // one that is over ends the reading
	RemoteAddr() net.Addr
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

func newConn(s *Server, l line, id Identity) *conn {
	c := &conn{srv: s, line: l, id: id, msize: firstMsize, handling: true}
	c.change.L = &c.mu
	c.fids.limit = or(s.MaxFids, defaultFids)
	c.root = &fid{node: s.Root, qid: s.Root.Qid()}
	c.root.next, c.root.prev = c.root, c.root
	return c
}

// serve carries out requests until the connection ends.
func (c *conn) serve(nc net.Conn) {
	over := make(chan struct{})
	c.nc, c.ended = nc, func() { close(over) }
	c.in = make([]byte, firstIn)
	c.attend()
	<-over
}

// attend is the reader, if it has a goroutine.
func (c *conn) attend() {
	x := &exchange{conn: c, dec: &c.dec}
	x.run()
}

// run carries out requests until the connection ends or falls asleep, or until
// the reader leaves with one that must wait for another machine.
func (c *exchange) run() {
	c.turn.Lock()
	for !c.away {
		frame, err := c.next()
		if err == errAsleep {
			return // without the turn, which may be somebody else's by now
		}
		if err != nil {
			c.srv.log(slog.LevelDebug, "9p: connection ended", "client", c.line.RemoteAddr(), "err", err)
			c.end()
			c.turn.Unlock()
			c.ended()
			return
		}
		c.handle(frame)
	}
	c.turn.Unlock()
}

// next returns the next request. Before it waits for one it writes the
// replies; others may have the turn meanwhile.
func (c *exchange) next() ([]byte, error) {
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
		if err == errAsleep {
			return nil, err
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

// fill reads more.
func (c *exchange) fill() error {
	if c.sock != nil {
		return c.sip()
	}
	c.makeRoom()
	n, err := c.nc.Read(c.in[c.have:])
	if n > 0 {
		err = nil
	}
	c.came(n)
	return err
}

// makeRoom sees to it that more can be read. The buffer grows with what really
// came, up to one message.
func (c *conn) makeRoom() {
	if c.got > 0 {
		c.have = copy(c.in, c.in[c.got:c.have])
		c.got = 0
	}
	if c.have == len(c.in) {
		bigger := make([]byte, min(2*len(c.in), max(int(c.msize), firstIn)))
		copy(bigger, c.in)
		c.in = bigger
	}
}

// came counts what was read. The reader will write what it leads to.
func (c *conn) came(n int) {
	c.have += n
	c.mu.Lock()
	c.handling = true
	c.mu.Unlock()
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
	c.line.Close()
	c.abort()
	c.mu.Lock()
	for c.writing {
		c.wait()
	}
	hooks := c.lost
	c.lost = nil
	c.mu.Unlock()
	for i := len(hooks) - 1; i >= 0; i-- { // the last first, as each goes to the head of its queue
		hooks[i].hook()
	}
}

// wait waits for c.change. Whoever does that cannot lead a reactor. c.mu is held.
func (c *exchange) wait() {
	if c.w != nil {
		c.w.handOver(nil)
	}
	c.change.Wait()
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
		c.wait()
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

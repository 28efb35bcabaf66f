package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// errFlushed is what a flushed call ends with inside the package.
var errFlushed = errors.New("flushed")

// givenUp is the end of a call that the server neither answered nor flushed.
type givenUp struct{ error }

func (g givenUp) Unwrap() error { return g.error }

// A conn is the engine: calls out by tag, replies in. It is shared by all who
// use the connection.
type conn struct {
	nc        net.Conn
	r         *bufio.Reader
	name      string // of the server, for error texts
	maxCalls  int
	flushWait time.Duration
	dialect   ninep.Dialect // this and msize are agreed before the loops start
	msize     uint32        // most bytes of a message
	done      chan struct{} // closed when the connection is over
	wake      chan struct{} // tells the writer that there is something in out

	mu      sync.Mutex // protects what follows
	calls   map[uint16]*call
	lastTag uint16
	strays  map[uint16]struct{} // tags whose call was flushed, not used since
	fids    fidNumbers
	out     []byte // messages that wait for the writer
	room    chan struct{}
	err     error // why the connection is over
}

// A call is a T-message that has no R-message yet. The connection's lock
// protects it.
type call struct {
	tag     uint16
	want    ninep.Type // of the reply
	answer  answer
	flushed bool // a Tflush is out: the tag stays taken until that is answered
	replied bool
}

// An answer takes the reply to a call, which is only good until it returns, or
// the error. The reader runs it, so it must not wait.
type answer func(r *ninep.Msg, err error)

// maxOut bounds the bytes that wait for the writer.
const maxOut = 4 << 20

func newConn(nc net.Conn, name string, o Options) *conn {
	return &conn{
		nc: nc, r: bufio.NewReaderSize(nc, 64<<10), name: name,
		maxCalls: o.MaxCalls, flushWait: o.FlushWait, msize: o.Msize,
		done:  make(chan struct{}),
		wake:  make(chan struct{}, 1),
		calls: make(map[uint16]*call), strays: make(map[uint16]struct{}),
	}
}

// run starts what moves messages; both loops end with the connection.
func (c *conn) run() {
	go c.readLoop()
	go c.writeLoop()
}

// start sends a message and has done called once. When the bounds are reached
// it waits for room.
func (c *conn) start(ctx context.Context, m *ninep.Msg, done answer) (*call, error) {
	if err := c.admit(ctx, len(m.Data)); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	return c.send(m, done)
}

// try is start for those who must not wait: at the bounds it fails with EAGAIN.
func (c *conn) try(m *ninep.Msg, done answer) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case c.full(len(m.Data)):
		return nil, sys.Errorf(syscall.EAGAIN, "%s: too many calls in flight", c.name)
	}
	return c.send(m, done)
}

// full reports whether a message with this much data must wait. c.mu is held.
func (c *conn) full(size int) bool {
	return len(c.calls) >= c.maxCalls || len(c.out) > 0 && len(c.out)+size > maxOut
}

// send is start without the bounds. c.mu is held.
func (c *conn) send(m *ninep.Msg, done answer) (*call, error) {
	m.Tag = c.newTag()
	before := len(c.out)
	out, err := ninep.Append(c.out, c.dialect, m)
	if err != nil {
		return nil, err
	}
	if len(out)-before > int(c.msize) {
		return nil, sys.ErrTooLong
	}
	c.out = out
	k := &call{tag: m.Tag, want: m.Type + 1, answer: done}
	c.calls[k.tag] = k
	delete(c.strays, k.tag)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return k, nil
}

// admit returns with c.mu held once a message with this much data may be sent.
func (c *conn) admit(ctx context.Context, size int) error {
	for {
		c.mu.Lock()
		if c.err != nil {
			defer c.mu.Unlock()
			return c.err
		}
		if !c.full(size) {
			return nil
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// madeRoom wakes who waits in admit. c.mu is held.
func (c *conn) madeRoom() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// newTag returns a tag that no call has. Tags go round, so that one is not
// used again soon after a flush: some servers answer a call after its Rflush.
// c.mu is held, and there are fewer calls than tags.
func (c *conn) newTag() uint16 {
	for {
		c.lastTag++
		if _, taken := c.calls[c.lastTag]; !taken && c.lastTag != ninep.NoTag {
			return c.lastTag
		}
	}
}

// rpc sends a message and waits for the reply, which take, if not nil, reads.
// When ctx ends the call is flushed and fails with ctx's error, but if it
// succeeded before that, its reply is used all the same.
func (c *conn) rpc(ctx context.Context, m *ninep.Msg, take func(r *ninep.Msg) error) error {
	done := make(chan error, 1)
	k, err := c.start(ctx, m, func(r *ninep.Msg, err error) {
		if err == nil && take != nil {
			err = take(r)
		}
		done <- err
	})
	if err != nil {
		return err
	}
	select {
	case err = <-done:
		return err
	case <-ctx.Done():
	}
	c.flush(k)
	timer := time.NewTimer(c.flushWait)
	defer timer.Stop()
	select {
	case err = <-done:
	case <-timer.C:
		if c.abandon(k) {
			return givenUp{ctx.Err()}
		}
		err = <-done
	}
	if err != nil {
		return ctx.Err() // some servers answer "interrupted"
	}
	return nil
}

// flush asks the server to forget a call. The call still ends by its answer:
// errFlushed, or the reply if that came first.
func (c *conn) flush(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.flushed || k.answer == nil || c.err != nil {
		return
	}
	k.flushed = true
	c.send(&ninep.Msg{Type: ninep.Tflush, Oldtag: k.tag}, func(*ninep.Msg, error) { c.flushEnd(k) })
}

// giveUp flushes a call for somebody who does not wait for that: the call ends
// by its answer, after flushWait at the latest.
func (c *conn) giveUp(k *call) {
	c.flush(k)
	time.AfterFunc(c.flushWait, func() {
		c.mu.Lock()
		done := k.answer
		k.answer = nil
		c.mu.Unlock()
		if done != nil {
			done(nil, errFlushed)
		}
	})
}

// flushEnd is reached with the Rflush: from here on the tag is free.
func (c *conn) flushEnd(k *call) {
	c.mu.Lock()
	if c.calls[k.tag] == k {
		delete(c.calls, k.tag)
		if !k.replied {
			c.strays[k.tag] = struct{}{}
		}
		c.madeRoom()
	}
	done := k.answer
	k.answer = nil
	c.mu.Unlock()
	if done != nil {
		done(nil, errFlushed)
	}
}

// abandon gives up a call that the server neither answers nor flushes; it is
// false if the answer is there already. The tag stays taken until it comes.
func (c *conn) abandon(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.answer == nil {
		return false
	}
	k.answer = nil
	return true
}

func (c *conn) readLoop() {
	dc := ninep.Decoder{Dialect: c.dialect}
	var buf []byte
	var m ninep.Msg
	for {
		frame, err := ninep.ReadFrame(c.r, buf, c.msize)
		if err == nil {
			buf = frame
			err = dc.Decode(&m, frame)
		}
		if err == nil {
			err = c.dispatch(&m)
		}
		if err != nil {
			c.fail(c.lost(err))
			return
		}
	}
}

// dispatch finds whom a reply is for and has it answered.
func (c *conn) dispatch(m *ninep.Msg) error {
	c.mu.Lock()
	k := c.calls[m.Tag]
	if k == nil || k.replied {
		_, late := c.strays[m.Tag]
		delete(c.strays, m.Tag)
		c.mu.Unlock()
		if late {
			return nil
		}
		return badReply("%v with tag %d, which no call has", m.Type, m.Tag)
	}
	k.replied = true
	if !k.flushed {
		delete(c.calls, m.Tag)
		c.madeRoom()
	}
	done := k.answer
	k.answer = nil
	c.mu.Unlock()
	if done == nil {
		return nil // given up
	}
	return c.deliver(k, m, done)
}

// deliver hands over a reply of the right type, or the error in it.
func (c *conn) deliver(k *call, m *ninep.Msg, done answer) error {
	switch m.Type {
	case k.want:
		done(m, nil)
	case ninep.Rerror, ninep.Rlerror:
		done(nil, remoteError(m))
	default:
		err := badReply("%v where %v was due", m.Type, k.want)
		done(nil, c.lost(err))
		return err
	}
	return nil
}

func (c *conn) writeLoop() {
	var buf []byte
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.mu.Lock()
		buf, c.out = c.out, buf[:0]
		c.madeRoom()
		c.mu.Unlock()
		if _, err := c.nc.Write(buf); err != nil {
			c.fail(c.lost(err))
			return
		}
		if cap(buf) > 1<<20 {
			buf = nil
		}
	}
}

// fail ends the connection: every call gets err, now and later.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	var answers []answer
	for _, k := range c.calls {
		if k.answer != nil {
			answers = append(answers, k.answer)
			k.answer = nil
		}
	}
	clear(c.calls)
	close(c.done)
	c.mu.Unlock()
	c.nc.Close()
	for _, done := range answers {
		done(nil, err)
	}
}

// lost says in words for the user why the connection is over.
func (c *conn) lost(err error) error {
	var broken *sys.Error
	switch {
	case errors.As(err, &broken):
		return sys.Errorf(syscall.EPROTO, "%s: protocol error: %s", c.name, broken.Text)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return sys.Errorf(syscall.ENOTCONN, "%s: the server closed the connection", c.name)
	}
	return sys.Errorf(syscall.ENOTCONN, "%s: connection lost: %v", c.name, reason(err))
}

// reason cuts the addresses off a network error, as they are named already.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// badReply is a server that breaks the protocol: the end of its connection.
func badReply(format string, args ...any) error {
	return sys.Errorf(syscall.EBADMSG, format, args...)
}

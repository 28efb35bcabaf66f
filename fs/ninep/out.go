package ninep

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"time"
)

// flush writes the replies if there are limit bytes of them or more. If
// somebody else is writing and there are too many, it waits. busy says that
// the reader has more to do, and will flush again.
func (c *exchange) flush(limit int, busy bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handling = busy
	for c.writing && len(c.out) >= highWater && !c.dead {
		c.wait()
	}
	if len(c.out) >= limit && !c.writing {
		c.writing = true
		c.drain(c.w)
	}
	if c.dead {
		return net.ErrClosed
	}
	return nil
}

// drain writes until there is nothing to write. c.mu is held, but not over
// the system call; c.writing was set by the caller. A worker, if it is one,
// stops to lead its reactor when the client is slow.
func (c *conn) drain(w *worker) {
	for len(c.out) > 0 && !c.dead {
		b := c.out
		c.base += uint64(len(b))
		c.out, c.spare = c.spare, nil
		c.mu.Unlock()
		n, err := c.transmit(b, w)
		c.mu.Lock()
		c.wrote(n)
		if cap(b) <= keepOut {
			c.spare = b[:0]
		}
		if err != nil {
			c.dead = true
			go c.line.Close() // which may take a while, for TLS; it wakes the reader
		}
	}
	c.writing = false
	c.change.Broadcast()
}

// transmit hands b to the transport. A client that takes nothing for as long as
// the server's patience is an error.
func (c *conn) transmit(b []byte, w *worker) (n int, err error) {
	c.trace(b)
	patience := or(c.srv.Patience, defaultPatience)
	if c.sock != nil {
		return c.sock.write(b, patience, w)
	}
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
		go c.line.Close()
	}
	if c.handling || c.writing || c.dead || len(c.out) == 0 {
		return
	}
	c.writing = true
	if c.sock != nil {
		c.sock.r.owe(c)
		return
	}
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drain(nil)
	}()
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
			c.srv.log(slog.LevelDebug, "9p", "client", c.line.RemoteAddr(), "err", err)
			return
		}
		c.srv.log(slog.LevelDebug, "9p", "client", c.line.RemoteAddr(), "msg", m.String())
		b = b[n:]
	}
}

package bench9

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"warren/fs/ninep"
)

// A client is a connection with chains of calls.
type client struct {
	fd      int
	dialect ninep.Dialect
	in      []byte
	have    int
	out     []byte

	slots  []slot
	rounds int  // how often a chain was gone through
	more   bool // go through it again
	open   int  // chains that are not at their end
}

// A slot is a chain, encoded, and where it is.
type slot struct {
	frames [][]byte
	at     int
}

// dial connects and attaches. The context interrupts what waits for the server.
func dial(ctx context.Context, t Target, buffer int) (*client, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &client{fd: fd, dialect: t.Dialect, in: make([]byte, buffer)}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: t.Sock}); err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	stop := c.until(ctx)
	defer stop()
	_, err = c.calls([]ninep.Msg{
		{Type: ninep.Tversion, Tag: ninep.NoTag, Msize: msize, Version: t.Dialect.String()},
		{Type: ninep.Tattach, Fid: rootFid, Afid: ninep.NoFid, Aname: t.Aname, NUname: uint32(os.Getuid())},
	})
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s: attach: %w", t.Name, err)
	}
	return c, nil
}

// until has the end of the context end what the client waits for.
func (c *client) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = syscall.Shutdown(c.fd, syscall.SHUT_RDWR) })
}

func (c *client) close() { syscall.Close(c.fd) }

// prepare makes the chains of a work ready.
func (c *client) prepare(t Target, w Work, flight int) error {
	path := split(t.Paths[w.File])
	c.slots = make([]slot, flight)
	for i := range c.slots {
		ch := chain{fid: uint32(i) + rootFid + 1, path: path, dialect: c.dialect}
		if w.setup != nil {
			if _, err := c.calls(w.setup(ch)); err != nil {
				return fmt.Errorf("%s: %s: %w", t.Name, w.Name, err)
			}
		}
		var err error
		if c.slots[i].frames, err = c.encode(uint16(i), w.loop(ch)); err != nil {
			return err
		}
	}
	return nil
}

// split returns the names in a path; of the root there are none.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func (c *client) encode(tag uint16, msgs []ninep.Msg) ([][]byte, error) {
	frames := make([][]byte, len(msgs))
	for i := range msgs {
		if msgs[i].Type != ninep.Tversion {
			msgs[i].Tag = tag
		}
		var err error
		if frames[i], err = ninep.Append(nil, c.dialect, &msgs[i]); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// calls makes calls one after the other. It returns the last reply.
func (c *client) calls(msgs []ninep.Msg) (last []byte, err error) {
	frames, err := c.encode(0, msgs)
	for _, f := range frames {
		if err != nil {
			break
		}
		if err = c.write(f); err != nil {
			break
		}
		err = c.replies(func(reply []byte) error {
			last = append(last[:0], reply...)
			return c.expect(f, reply)
		})
	}
	return last, err
}

// expect says if a reply is not that of the request.
func (c *client) expect(request, reply []byte) error {
	if reply[4] == request[4]+1 {
		return nil
	}
	var m ninep.Msg
	d := ninep.Decoder{Dialect: c.dialect}
	if err := d.Decode(&m, reply); err != nil {
		return err
	}
	return fmt.Errorf("%v was answered with %v", ninep.Type(request[4]), &m)
}

// write writes all of b.
func (c *client) write(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(c.fd, b)
		if err == syscall.EINTR { // one of the Go runtime's own signals
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *client) read() error {
	for {
		n, err := syscall.Read(c.fd, c.in[c.have:])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return syscall.ECONNRESET
		}
		c.have += n
		return nil
	}
}

// replies reads until it has whole replies, and passes on all that came.
func (c *client) replies(each func(reply []byte) error) error {
	for {
		if err := c.read(); err != nil {
			return err
		}
		got, err := c.whole(each)
		if got || err != nil {
			return err
		}
	}
}

// whole passes on the replies that came as a whole.
func (c *client) whole(each func(reply []byte) error) (got bool, err error) {
	at := 0
	for c.have-at >= 4 {
		size := int(c.in[at]) | int(c.in[at+1])<<8 | int(c.in[at+2])<<16 | int(c.in[at+3])<<24
		if size < ninep.HeaderSize || size > len(c.in) {
			return false, fmt.Errorf("reply of %d bytes", size)
		}
		if c.have-at < size {
			break
		}
		if err := each(c.in[at : at+size]); err != nil {
			return false, err
		}
		at += size
	}
	c.have = copy(c.in, c.in[at:c.have])
	return at > 0, nil
}

// start puts the first request of every chain into the out buffer.
func (c *client) start() {
	c.rounds, c.more, c.open = 0, true, len(c.slots)
	c.out = c.out[:0]
	for i := range c.slots {
		c.out = append(c.out, c.slots[i].frames[0]...)
	}
}

// step takes a reply and puts the next request of its chain into the out buffer.
func (c *client) step(reply []byte) error {
	tag := int(reply[5]) | int(reply[6])<<8
	if tag >= len(c.slots) {
		return fmt.Errorf("reply to tag %d, of which there was no request", tag)
	}
	s := &c.slots[tag]
	if err := c.expect(s.frames[s.at], reply); err != nil {
		return err
	}
	if s.at++; s.at == len(s.frames) {
		s.at = 0
		c.rounds++
		if !c.more {
			c.open--
			return nil
		}
	}
	c.out = append(c.out, s.frames[s.at]...)
	return nil
}

// send writes the out buffer.
func (c *client) send() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

// run keeps every chain going until enough says so, of the time since the
// start and the rounds that were done. It returns the time that they took.
func (c *client) run(enough func(took time.Duration, rounds int) bool) (took time.Duration, err error) {
	c.start()
	begin := time.Now()
	for c.open > 0 {
		if err := c.send(); err != nil {
			return 0, err
		}
		if err := c.replies(c.step); err != nil {
			return 0, err
		}
		c.more = c.more && !enough(time.Since(begin), c.rounds)
	}
	return time.Since(begin), nil
}

// Run does work for a while, with that many chains in flight on one
// connection, and returns how often it was done per second.
func Run(ctx context.Context, t Target, w Work, flight int, d time.Duration) (float64, error) {
	c, err := dial(ctx, t, 2*msize)
	if err != nil {
		return 0, err
	}
	defer c.close()
	defer c.until(ctx)()
	if err := c.prepare(t, w, flight); err != nil {
		return 0, err
	}
	took, err := c.run(func(took time.Duration, _ int) bool { return took >= d })
	if err != nil {
		return 0, fmt.Errorf("%s: %s: %w", t.Name, w.Name, err)
	}
	return float64(c.rounds) / took.Seconds(), nil
}

// Package bench9 measures 9P2000.L servers with one lean client, so that they
// can be compared: the same messages, in the same order, on the same kind of
// socket. It has the servers to compare with, too: hugelgupf/p9's localfs, and
// the floor, which answers with messages of the right size and does nothing else.
//
// A run owns its connection and is one goroutine; it shares nothing.
package bench9

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"warren/fs/ninep"
)

// A Work is something that a client does again and again.
type Work struct {
	Name  string
	Calls int // round trips
	setup func(s *slot, path []string) []ninep.Msg
	loop  func(s *slot, path []string) []ninep.Msg
	big   bool // of the big file, else of the small one
}

// Works is what is measured.
func Works() []Work {
	return []Work{
		{Name: "walk+getattr+clunk", Calls: 3, loop: statLoop},
		{Name: "walk+open+read+clunk", Calls: 4, loop: openLoop},
		{Name: "read4k", Calls: 1, setup: readSetup, loop: readLoop, big: true},
	}
}

// Sizes of the files that are read.
const (
	SmallSize = 64
	BigSize   = 4096
)

// A Target is a server and where its files lie.
type Target struct {
	Addr  string
	Aname string
	Small string // path of a file of SmallSize bytes
	Big   string // path of a file of BigSize bytes
}

// A slot is one chain of calls: each is sent when the one before is answered.
type slot struct {
	tag    uint16
	fid    uint32
	frames [][]byte // the loop
	at     int
}

func statLoop(s *slot, path []string) []ninep.Msg {
	return []ninep.Msg{
		{Type: ninep.Twalk, Fid: rootFid, Newfid: s.fid, Names: path},
		{Type: ninep.Tgetattr, Fid: s.fid, Mask: ninep.AttrBasic},
		{Type: ninep.Tclunk, Fid: s.fid},
	}
}

func openLoop(s *slot, path []string) []ninep.Msg {
	return []ninep.Msg{
		{Type: ninep.Twalk, Fid: rootFid, Newfid: s.fid, Names: path},
		{Type: ninep.Tlopen, Fid: s.fid},
		{Type: ninep.Tread, Fid: s.fid, Count: SmallSize},
		{Type: ninep.Tclunk, Fid: s.fid},
	}
}

func readSetup(s *slot, path []string) []ninep.Msg { return openLoop(s, path)[:2] }

func readLoop(s *slot, _ []string) []ninep.Msg {
	return []ninep.Msg{{Type: ninep.Tread, Fid: s.fid, Count: BigSize}}
}

const (
	rootFid = 1
	msize   = 64 << 10
)

// Run does work for a while, with that many chains in flight on one
// connection, and returns how often it was done per second.
func Run(ctx context.Context, t Target, w Work, flight int, d time.Duration) (float64, error) {
	nc, err := ninep.Dial(ctx, t.Addr)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c := &client{nc: nc, in: make([]byte, 2*msize)}
	if err := c.begin(t, w, flight); err != nil {
		return 0, fmt.Errorf("%s: %w", w.Name, err)
	}
	n, took, err := c.run(len(c.slots[0].frames), d)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", w.Name, err)
	}
	return float64(n) / took.Seconds(), nil
}

// A client is a connection with chains of calls.
type client struct {
	nc    net.Conn
	in    []byte
	have  int
	out   []byte
	slots []slot
}

// begin attaches and makes the chains ready.
func (c *client) begin(t Target, w Work, flight int) error {
	err := c.calls([]ninep.Msg{
		{Type: ninep.Tversion, Tag: ninep.NoTag, Msize: msize, Version: "9P2000.L"},
		{Type: ninep.Tattach, Fid: rootFid, Afid: ninep.NoFid, Aname: t.Aname, NUname: ninep.NoUID},
	})
	if err != nil {
		return err
	}
	name := t.Small
	if w.big {
		name = t.Big
	}
	path := strings.Split(strings.Trim(name, "/"), "/")
	c.slots = make([]slot, flight)
	for i := range c.slots {
		s := &c.slots[i]
		s.tag, s.fid = uint16(i), uint32(i)+2
		if w.setup != nil {
			if err := c.calls(w.setup(s, path)); err != nil {
				return err
			}
		}
		if s.frames, err = encode(s.tag, w.loop(s, path)); err != nil {
			return err
		}
	}
	return nil
}

func encode(tag uint16, msgs []ninep.Msg) ([][]byte, error) {
	frames := make([][]byte, len(msgs))
	for i := range msgs {
		if msgs[i].Type != ninep.Tversion {
			msgs[i].Tag = tag
		}
		var err error
		if frames[i], err = ninep.Append(nil, ninep.DotL, &msgs[i]); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// calls makes calls one after the other.
func (c *client) calls(msgs []ninep.Msg) error {
	frames, err := encode(0, msgs)
	for _, f := range frames {
		if err != nil {
			break
		}
		if _, err = c.nc.Write(f); err != nil {
			break
		}
		err = c.replies(func(reply []byte) error { return expect(f, reply) })
	}
	return err
}

// expect says if a reply is not that of the request.
func expect(request, reply []byte) error {
	if reply[4] == request[4]+1 {
		return nil
	}
	var m ninep.Msg
	d := ninep.Decoder{Dialect: ninep.DotL}
	if err := d.Decode(&m, reply); err != nil {
		return err
	}
	return fmt.Errorf("%v was answered with %v", ninep.Type(request[4]), &m)
}

// replies reads until it has whole replies, and passes on all that came.
func (c *client) replies(each func(reply []byte) error) error {
	for got := 0; got == 0; {
		n, err := c.nc.Read(c.in[c.have:])
		if err != nil {
			return err
		}
		c.have += n
		for c.have-got >= 4 {
			size := int(c.in[got]) | int(c.in[got+1])<<8 | int(c.in[got+2])<<16 | int(c.in[got+3])<<24
			if size < ninep.HeaderSize || size > msize {
				return fmt.Errorf("reply of %d bytes", size)
			}
			if c.have-got < size {
				break
			}
			if err := each(c.in[got : got+size]); err != nil {
				return err
			}
			got += size
		}
		c.have = copy(c.in, c.in[got:c.have])
	}
	return nil
}

// run keeps every chain going until the time is over. It returns how many
// times a chain was gone through.
func (c *client) run(length int, d time.Duration) (rounds int, took time.Duration, err error) {
	c.out = c.out[:0]
	for i := range c.slots {
		c.out = append(c.out, c.slots[i].frames[0]...)
	}
	inFlight := len(c.slots)
	start := time.Now()
	more := true
	step := func(reply []byte) error {
		s := &c.slots[int(reply[5])|int(reply[6])<<8]
		if err := expect(s.frames[s.at], reply); err != nil {
			return err
		}
		if s.at++; s.at == length {
			s.at = 0
			rounds++
		}
		if s.at == 0 && !more {
			inFlight--
			return nil
		}
		c.out = append(c.out, s.frames[s.at]...)
		return nil
	}
	for inFlight > 0 {
		if len(c.out) > 0 {
			if _, err := c.nc.Write(c.out); err != nil {
				return 0, 0, err
			}
			c.out = c.out[:0]
		}
		if err := c.replies(step); err != nil {
			return 0, 0, err
		}
		if more {
			took = time.Since(start)
			more = took < d
		}
	}
	return rounds, time.Since(start), nil
}

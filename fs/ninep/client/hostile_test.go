package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func TestConnectionLost(t *testing.T) {
	cl, f, p := opened(t, client.Options{})
	var calls []<-chan result
	calls = append(calls, reading(context.Background(), f, 10))
	p.get(ninep.Tread)
	for range 3 {
		c := make(chan result, 1)
		go func() {
			_, err := cl.Stat(context.Background(), "x")
			c <- result{"", err}
		}()
		calls = append(calls, c)
		p.get(ninep.Twalk)
	}
	p.nc.Close()
	for i, c := range calls {
		r := await(t, c)
		if !errors.Is(r.err, syscall.ENOTCONN) || !strings.Contains(r.err.Error(), "closed the connection") {
			t.Errorf("call %d: %v", i, r.err)
		}
	}
	<-cl.Done()
	if _, err := cl.Open(context.Background(), "x", fs.ORead); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a call after that: %v", err)
	}
	if err := f.Close(); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("close after that: %v", err)
	}
}

func TestClose(t *testing.T) {
	cl, f, p := opened(t, client.Options{})
	got := reading(context.Background(), f, 10)
	p.get(ninep.Tread)
	cl.Close()
	if r := await(t, got); !errors.Is(r.err, syscall.ENOTCONN) {
		t.Errorf("a read at the close: %v", r.err)
	}
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Errorf("the server sees %v, want EOF", err)
	}
}

// frame is a message made by hand.
func frame(size uint32, typ byte, tag uint16, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, size)
	b = append(b, typ, byte(tag), byte(tag>>8))
	return append(b, body...)
}

// What a server must not say in answer to a Tread of 10 bytes with tag m.Tag.
var insults = []struct {
	name string
	make func(tag uint16) []byte
}{
	{"size 0", func(uint16) []byte { return make([]byte, 7) }},
	{"size of 4 GiB", func(tag uint16) []byte { return frame(1<<32-1, 117, tag) }},
	{"size over msize", func(tag uint16) []byte { return frame(8193, 117, tag) }},
	{"a tag nobody has", func(tag uint16) []byte { return frame(11, 117, tag+1, 0, 0, 0, 0) }},
	{"the tag of Tversion", func(uint16) []byte { return frame(11, 117, 0xffff, 0, 0, 0, 0) }},
	{"a T-message", func(tag uint16) []byte { return frame(11, 120, tag, 0, 0, 0, 0) }},
	{"no such type", func(tag uint16) []byte { return frame(7, 255, tag) }},
	{"another answer", func(tag uint16) []byte { return frame(7, 121, tag) }},
	{"one of 9P2000.L", func(tag uint16) []byte { return frame(11, 7, tag, 2, 0, 0, 0) }},
	{"count beyond the message", func(tag uint16) []byte { return frame(12, 117, tag, 255, 255, 255, 255, 'x') }},
	{"bytes behind the count", func(tag uint16) []byte { return frame(12, 117, tag, 0, 0, 0, 0, 'x') }},
	{"no count", func(tag uint16) []byte { return frame(7, 117, tag) }},
	{"noise", func(uint16) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }},
	{"half a message", func(tag uint16) []byte { return frame(100, 117, tag) }},
	{"an error without a text", func(tag uint16) []byte { return frame(9, 107, tag, 0, 0) }},
	{"more than was asked for", func(tag uint16) []byte {
		return append(frame(31, 117, tag, 20, 0, 0, 0), make([]byte, 20)...)
	}},
}

func TestHostileServer(t *testing.T) {
	for _, tt := range insults {
		t.Run(tt.name, func(t *testing.T) {
			_, f, p := opened(t, client.Options{})
			got := reading(context.Background(), f, 10)
			p.raw(tt.make(p.get(ninep.Tread).Tag))
			p.nc.(*net.UnixConn).CloseWrite()
			if r := await(t, got); r.err == nil || r.text != "" || r.err == io.EOF {
				t.Errorf("a read: %q, %v", r.text, r.err)
			} else if sys.Errno(r.err) == syscall.EIO || r.err.Error() == "" {
				t.Errorf("the error says nothing: %q, %v", r.err, sys.Errno(r.err))
			}
		})
	}
}

// Answers that are well formed and still cannot be right.
func TestWrongAnswers(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name  string
		ask   func(cl *client.Client) error
		wants ninep.Type
		reply ninep.Msg
		errno syscall.Errno
	}{
		{"qids for names that were not asked", statX, ninep.Twalk, ninep.Msg{Type: ninep.Rwalk, Qids: make([]ninep.Qid, 9)}, syscall.EBADMSG},
		{"no qids", statX, ninep.Twalk, ninep.Msg{Type: ninep.Rwalk}, syscall.ENOENT},
		{"a text that nobody knows", statX, ninep.Twalk, ninep.Msg{Type: ninep.Rerror, Ename: "the moon is down"}, syscall.EREMOTEIO},
		{"Plan 9's words", statX, ninep.Twalk, ninep.Msg{Type: ninep.Rerror, Ename: "directory entry not found"}, syscall.ENOENT},
		{"Linux's words", statX, ninep.Twalk, ninep.Msg{Type: ninep.Rerror, Ename: "no space left on device"}, syscall.ENOSPC},
		{"more written than sent", func(cl *client.Client) error {
			f, err := cl.Open(ctx, "", fs.OWrite)
			if err == nil {
				_, err = f.Write([]byte("ab"))
			}
			return err
		}, ninep.Twrite, ninep.Msg{Type: ninep.Rwrite, Count: 3}, syscall.EBADMSG},
		{"nothing written", func(cl *client.Client) error {
			f, err := cl.Open(ctx, "", fs.OWrite)
			if err == nil {
				_, err = f.Write([]byte("ab"))
			}
			if err == io.ErrShortWrite {
				return syscall.ENOSPC
			}
			return err
		}, ninep.Twrite, ninep.Msg{Type: ninep.Rwrite}, syscall.ENOSPC},
		{"half a stat record", func(cl *client.Client) error {
			_, err := cl.ReadDir(ctx, "")
			return err
		}, ninep.Tread, ninep.Msg{Type: ninep.Rread, Data: make([]byte, 20)}, syscall.EBADMSG},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cl, p := session(t, client.Options{})
			got := make(chan result, 1)
			go func() { got <- result{"", tt.ask(cl)} }()
			p.serveUntil(tt.wants, tt.reply)
			if r := await(t, got); sys.Errno(r.err) != tt.errno {
				t.Errorf("%v (%v), want %v", r.err, sys.Errno(r.err), tt.errno)
			}
		})
	}
}

func statX(cl *client.Client) error {
	_, err := cl.Stat(context.Background(), "x")
	return err
}

// serveUntil answers what leads to a message, and then that.
func (p *peer) serveUntil(want ninep.Type, reply ninep.Msg) {
	for {
		fr, err := ninep.ReadFrame(p.r, nil, ninep.MaxMsize)
		var m ninep.Msg
		if err == nil {
			err = p.dc.Decode(&m, fr)
		}
		if err != nil {
			p.t.Errorf("the client: %v", err)
			return
		}
		if m.Type == want {
			reply.Tag = m.Tag
			p.put(reply)
			return
		}
		switch m.Type {
		case ninep.Twalk:
			p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: make([]ninep.Qid, len(m.Names))})
		case ninep.Topen:
			p.put(ninep.Msg{Type: ninep.Ropen, Tag: m.Tag})
		default:
			p.t.Errorf("the client sends %v", m.Type)
			return
		}
	}
}

// A directory of 9P2000.L whose offsets go in a circle is not read for ever.
func TestCircularDirectory(t *testing.T) {
	p, nc := newPeer(t, ninep.DotL)
	go p.greet()
	cl, err := client.New(context.Background(), nc, client.Options{Dialects: []ninep.Dialect{ninep.DotL}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	got := make(chan result, 1)
	go func() {
		_, err := cl.ReadDir(context.Background(), "")
		got <- result{"", err}
	}()
	for range 2 {
		m := p.get(ninep.Twalk)
		p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag})
	}
	p.put(ninep.Msg{Type: ninep.Rlopen, Tag: p.get(ninep.Tlopen).Tag})
	data := ninep.AppendDirent(nil, &ninep.Dirent{Next: 0, Name: "."})
	p.put(ninep.Msg{Type: ninep.Rreaddir, Tag: p.get(ninep.Treaddir).Tag, Data: data})
	if r := await(t, got); !errors.Is(r.err, syscall.EBADMSG) {
		t.Errorf("%v", r.err)
	}
}

func TestVersions(t *testing.T) {
	all := []ninep.Dialect{ninep.DotL, ninep.DotU, ninep.Classic}
	for _, tt := range []struct {
		name   string
		offer  []ninep.Dialect
		says   []string // to each Tversion; "": hangs up, "!": an error
		msize  uint32
		want   ninep.Dialect
		errno  syscall.Errno
		errors string
	}{
		{"the best", all, []string{"9P2000.L"}, 8192, ninep.DotL, 0, ""},
		{"a lesser one", all, []string{"9P2000"}, 8192, ninep.Classic, 0, ""},
		{"unknown at first", all, []string{"unknown", "9P2000.u"}, 8192, ninep.DotU, 0, ""},
		{"an error at first", all, []string{"!", "9P2000.u"}, 8192, ninep.DotU, 0, ""},
		{"a lesser one than we speak", all[:1], []string{"9P2000"}, 8192, 0, syscall.EPROTONOSUPPORT, "none of 9P2000.L"},
		{"nothing", all, []string{"unknown", "unknown", "unknown"}, 8192, 0, syscall.EPROTONOSUPPORT, "none of 9P2000.L 9P2000.u 9P2000"},
		{"hangs up", all[:1], []string{""}, 8192, 0, syscall.ENOTCONN, "closed the connection"},
		{"tiny messages", all, []string{"9P2000.L"}, 23, 0, syscall.EPROTO, "23 bytes"},
		{"larger messages than we offer", all, []string{"9P2000.L"}, 1 << 21, 0, syscall.EPROTO, "2097152 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, nc := newPeer(t, ninep.Classic)
			go p.agree(tt.says, tt.msize)
			cl, err := client.New(context.Background(), nc, client.Options{Dialects: tt.offer})
			if tt.errno != 0 {
				if !errors.Is(err, tt.errno) || !strings.Contains(err.Error(), tt.errors) {
					t.Errorf("%v (%v), want %v and %q", err, sys.Errno(err), tt.errno, tt.errors)
				}
				return
			}
			if err != nil || cl.Dialect() != tt.want {
				t.Fatalf("%v; want %v", err, tt.want)
			}
			cl.Close()
		})
	}
}

// agree answers Tversions, and the Tattach after the last.
func (p *peer) agree(says []string, msize uint32) {
	for _, version := range says {
		m := p.get(ninep.Tversion)
		switch version {
		case "":
			p.nc.Close()
			return
		case "!":
			p.put(ninep.Msg{Type: ninep.Rerror, Tag: m.Tag, Ename: "no"})
		default:
			p.put(ninep.Msg{Type: ninep.Rversion, Tag: m.Tag, Msize: msize, Version: version})
		}
	}
	frame, err := ninep.ReadFrame(p.r, nil, ninep.MaxMsize)
	if err == nil {
		p.put(ninep.Msg{Type: ninep.Rattach, Tag: binary.LittleEndian.Uint16(frame[5:])})
	}
}

func TestSilentServer(t *testing.T) {
	_, nc := newPeer(t, ninep.Classic)
	_, err := client.New(context.Background(), nc, client.Options{Timeout: time.Millisecond})
	if !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("a server that says nothing: %v", err)
	}
	_, nc = newPeer(t, ninep.Classic)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.New(ctx, nc, client.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial: %v", err)
	}
}

// Twalk takes 16 names at a time; the error of one in the middle is found out.
func TestLongPaths(t *testing.T) {
	cl, p := session(t, client.Options{})
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	got := make(chan result, 1)
	go func() {
		_, err := cl.Stat(context.Background(), "/"+strings.Join(names, "//"))
		got <- result{"", err}
	}()
	m := p.get(ninep.Twalk)
	if len(m.Names) != 16 {
		t.Errorf("%d names", len(m.Names))
	}
	p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: make([]ninep.Qid, 16)})
	for _, n := range []int{4, 2} {
		m = p.get(ninep.Twalk)
		if len(m.Names) != n {
			t.Errorf("%d names, want %d", len(m.Names), n)
		}
		if n == 4 {
			p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: make([]ninep.Qid, 2)})
			continue
		}
		p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: make([]ninep.Qid, 2)})
	}
	clunked := p.get(ninep.Tclunk)
	p.put(ninep.Msg{Type: ninep.Rclunk, Tag: clunked.Tag})
	m = p.get(ninep.Twalk)
	if len(m.Names) != 2 || m.Names[0] != "n18" {
		t.Errorf("the rest is %q", m.Names)
	}
	p.put(ninep.Msg{Type: ninep.Rerror, Tag: m.Tag, Ename: "permission denied"})
	if r := await(t, got); !errors.Is(r.err, syscall.EACCES) {
		t.Errorf("%v", r.err)
	}
}

// A server that does not read does not make the client grow without end, and
// a call that waits for room can be cancelled.
func TestServerThatDoesNotRead(t *testing.T) {
	_, f, _ := opened(t, client.Options{MaxCalls: 8, FlushWait: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var calls []<-chan result
	for range 20 {
		c := make(chan result, 1)
		go func() {
			_, err := f.WriteContext(ctx, make([]byte, 8000))
			c <- result{"", err}
		}()
		calls = append(calls, c)
	}
	cancel()
	for _, c := range calls {
		if r := await(t, c); !errors.Is(r.err, context.Canceled) {
			t.Errorf("%v", r.err)
		}
	}
}

// FuzzServer lets a server say anything after the greeting.
func FuzzServer(f *testing.F) {
	for _, tt := range insults {
		f.Add(uint8(0), tt.make(1))
	}
	f.Add(uint8(2), frame(9, 111, 2, 0, 0))
	f.Fuzz(func(t *testing.T, d uint8, noise []byte) {
		dialect := every[int(d)%len(every)]
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			hello, _ := ninep.Append(nil, dialect, &ninep.Msg{Type: ninep.Rversion, Tag: ninep.NoTag, Msize: 8192, Version: dialect.String()})
			hello, _ = ninep.Append(hello, dialect, &ninep.Msg{Type: ninep.Rattach, Tag: 1, Qid: ninep.Qid{Type: 0x80}})
			go io.Copy(io.Discard, there)
			there.Write(append(hello, noise...))
		}()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cl, err := client.New(ctx, here, client.Options{Dialects: []ninep.Dialect{dialect}})
		if err != nil {
			return
		}
		defer cl.Close()
		cl.ReadDir(ctx, "")
		if file, err := cl.Open(ctx, "x", fs.ORead); err == nil {
			file.ReadContext(ctx, make([]byte, 100))
		}
		if ctx.Err() != nil {
			t.Error("a call did not end with the connection")
		}
	})
}

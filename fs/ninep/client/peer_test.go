package client_test

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"

	"warren/fs/ninep"
	"warren/fs/ninep/client"
)

// patience bounds waits for what must happen.
const patience = 20 * time.Second

// A peer is a server that a test speaks for, message by message.
type peer struct {
	t  *testing.T
	d  ninep.Dialect
	nc net.Conn
	r  *bufio.Reader
	dc ninep.Decoder
}

// newPeer returns a peer and the client's end of its connection.
func newPeer(t *testing.T, d ninep.Dialect) (*peer, net.Conn) {
	here, there := pair(t)
	there.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, d: d, nc: there, r: bufio.NewReader(there), dc: ninep.Decoder{Dialect: d}}, here
}

// get returns the next message, which must be of a type.
func (p *peer) get(want ninep.Type) ninep.Msg {
	p.t.Helper()
	frame, err := ninep.ReadFrame(p.r, nil, ninep.MaxMsize)
	var m ninep.Msg
	if err == nil {
		err = p.dc.Decode(&m, frame)
	}
	if err != nil || m.Type != want {
		p.t.Errorf("the client sends %v, %v; want %v", m.Type, err, want)
		p.nc.Close()
	}
	return m
}

// put answers.
func (p *peer) put(m ninep.Msg) {
	p.t.Helper()
	frame, err := ninep.Append(nil, p.d, &m)
	if err != nil {
		p.t.Errorf("%v: %v", m.Type, err)
	}
	p.raw(frame)
}

func (p *peer) raw(b []byte) {
	if _, err := p.nc.Write(b); err != nil {
		p.t.Logf("the client has gone: %v", err)
	}
}

// greet begins a session.
func (p *peer) greet() {
	m := p.get(ninep.Tversion)
	p.put(ninep.Msg{Type: ninep.Rversion, Tag: m.Tag, Msize: 8192, Version: p.d.String()})
	m = p.get(ninep.Tattach)
	p.put(ninep.Msg{Type: ninep.Rattach, Tag: m.Tag, Qid: ninep.Qid{Type: 0x80, Path: 1}})
}

// grant lets the client walk to a file and open it.
func (p *peer) grant() {
	p.t.Helper()
	m := p.get(ninep.Twalk)
	p.put(ninep.Msg{Type: ninep.Rwalk, Tag: m.Tag, Qids: make([]ninep.Qid, len(m.Names))})
	m = p.get(ninep.Topen)
	p.put(ninep.Msg{Type: ninep.Ropen, Tag: m.Tag})
}

// session returns a client and its peer, who has greeted it.
func session(t *testing.T, o client.Options) (*client.Client, *peer) {
	t.Helper()
	o.Dialects = []ninep.Dialect{ninep.Classic}
	p, nc := newPeer(t, ninep.Classic)
	go p.greet()
	cl, err := client.New(context.Background(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cl.Close() })
	return cl, p
}

// opened returns an open file beside.
func opened(t *testing.T, o client.Options) (*client.Client, *client.File, *peer) {
	t.Helper()
	cl, p := session(t, o)
	granted := make(chan struct{})
	go func() {
		defer close(granted)
		p.grant()
	}()
	f, err := cl.Open(context.Background(), "data", 3)
	if err != nil {
		t.Fatal(err)
	}
	<-granted
	return cl, f, p
}

// A result is how a call ended.
type result struct {
	text string
	err  error
}

// reading is a read in another goroutine.
func reading(ctx context.Context, f *client.File, size int) <-chan result {
	c := make(chan result, 1)
	go func() {
		buf := make([]byte, size)
		n, err := f.ReadContext(ctx, buf)
		c <- result{string(buf[:n]), err}
	}()
	return c
}

// await returns how a call ended; it must end.
func await(t *testing.T, c <-chan result) result {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(patience):
		t.Fatal("a call never ends")
		return result{}
	}
}

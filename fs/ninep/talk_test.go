package ninep

import (
	"bufio"
	"net"
	"sync"
	"testing"
)

// A talker is a client in a test: it sends messages and reads answers.
type talker struct {
	tb  testing.TB
	nc  net.Conn
	r   *bufio.Reader
	d   Dialect
	mu  sync.Mutex // of sending
	buf []byte

	msize uint32 // no answer may be longer
}

func newTalker(tb testing.TB, nc net.Conn, d Dialect) *talker {
	return &talker{tb: tb, nc: nc, r: bufio.NewReader(nc), d: d, msize: MaxMsize}
}

// send sends messages in one write.
func (k *talker) send(msgs ...Msg) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.buf[:0]
	for i := range msgs {
		var err error
		if b, err = Append(b, k.d, &msgs[i]); err != nil {
			return err
		}
	}
	k.buf = b
	_, err := k.nc.Write(b)
	return err
}

func (k *talker) recv() (*Msg, error) {
	frame, err := ReadFrame(k.r, nil, k.msize)
	if err != nil {
		return nil, err
	}
	m := new(Msg)
	dec := Decoder{Dialect: k.d}
	return m, dec.Decode(m, frame)
}

// call makes calls one after the other and returns the last answer.
func (k *talker) call(msgs ...Msg) *Msg {
	k.tb.Helper()
	var m *Msg
	for i := range msgs {
		err := k.send(msgs[i])
		if err == nil {
			m, err = k.recv()
		}
		if err != nil {
			k.tb.Fatalf("%v: %v", &msgs[i], err)
		}
	}
	return m
}

// must is call for what has to succeed.
func (k *talker) must(msgs ...Msg) *Msg {
	k.tb.Helper()
	var m *Msg
	for i := range msgs {
		if m = k.call(msgs[i]); m.Type != msgs[i].Type+1 {
			k.tb.Fatalf("%v was answered %v", &msgs[i], m)
		}
	}
	return m
}

// attach agrees on a version and makes fid 0 the root.
func (k *talker) attach(msize uint32) {
	k.tb.Helper()
	k.msize = k.must(Msg{Type: Tversion, Tag: NoTag, Msize: msize, Version: k.d.String()}).Msize
	k.must(Msg{Type: Tattach, Fid: 0, Afid: NoFid, NUname: NoUID})
}

// open makes fid an open file.
func (k *talker) open(fid uint32, mode uint8, names ...string) {
	k.tb.Helper()
	k.must(Msg{Type: Twalk, Newfid: fid, Names: names})
	if k.d == DotL {
		k.must(Msg{Type: Tlopen, Fid: fid, Flags: uint32(mode)})
	} else {
		k.must(Msg{Type: Topen, Fid: fid, Mode: mode})
	}
}

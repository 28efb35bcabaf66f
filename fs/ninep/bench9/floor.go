package bench9

import (
	"net"
	"syscall"

	"warren/fs/ninep"
)

// serveFloor serves answers of the right size, with nothing behind them.
func serveFloor(dir string, serve func(net.Conn, *canned)) (Target, func(), error) {
	a, err := newCanned()
	if err != nil {
		return Target{}, nil, err
	}
	return serveConns(dir, func(nc net.Conn) { serve(nc, a) })
}

// canned is what the floor answers, by type of request.
type canned [128][]byte

func newCanned() (*canned, error) {
	var a canned
	for _, m := range []ninep.Msg{
		{Type: ninep.Rversion, Msize: msize, Version: "9P2000.L"},
		{Type: ninep.Rattach},
		{Type: ninep.Rwalk, Qids: make([]ninep.Qid, 2)},
		{Type: ninep.Rgetattr},
		{Type: ninep.Rlopen},
		{Type: ninep.Rclunk},
		{Type: ninep.Rread, Data: make([]byte, BigSize)},
	} {
		b, err := ninep.Append(nil, ninep.DotL, &m)
		if err != nil {
			return nil, err
		}
		a[m.Type-1] = b
	}
	return &a, nil
}

// answer appends the replies to all whole requests in b, and returns how many
// bytes those are.
func (a *canned) answer(out, b []byte) ([]byte, int) {
	at := 0
	for len(b)-at >= ninep.HeaderSize {
		frame := b[at:]
		size := int(frame[0]) | int(frame[1])<<8
		if len(frame) < size {
			break
		}
		reply, start := a[frame[4]&127], len(out)
		if frame[4] == byte(ninep.Tread) {
			n := int(frame[19]) | int(frame[20])<<8
			out = append(out, reply[:ninep.ReadSize+n]...)
			out[start], out[start+1] = byte(n+ninep.ReadSize), byte((n+ninep.ReadSize)>>8)
			out[start+7], out[start+8] = byte(n), byte(n>>8)
		} else {
			out = append(out, reply...)
		}
		out[start+5], out[start+6] = frame[5], frame[6]
		at += size
	}
	return out, at
}

// floor answers, all requests that came together in one write.
func floor(nc net.Conn, a *canned) { a.bounce(nc.Read, nc.Write) }

// floorThread does so with a thread of its own, and a socket that blocks: the
// least that a server can cost, if it has no other clients.
func floorThread(nc net.Conn, a *canned) {
	f, err := nc.(*net.UnixConn).File()
	if err != nil {
		return
	}
	defer f.Close()
	fd := int(f.Fd()) // it blocks from now on
	a.bounce(
		func(p []byte) (int, error) { return again(syscall.Read, fd, p) },
		func(p []byte) (int, error) { return again(syscall.Write, fd, p) })
}

// again repeats a call that one of the Go runtime's own signals interrupted.
func again(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		if n, err := call(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

func (a *canned) bounce(read, write func([]byte) (int, error)) {
	in, have := make([]byte, 8<<10), 0
	var out []byte
	for {
		n, err := read(in[have:])
		if n <= 0 || err != nil {
			return
		}
		have += n
		var done int
		out, done = a.answer(out[:0], in[:have])
		have = copy(in, in[done:have])
		if _, err := write(out); err != nil {
			return
		}
	}
}

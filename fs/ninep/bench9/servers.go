package bench9

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/p9"

	"warren/fs/ninep"
)

// A Peer is a server that is compared with.
type Peer struct {
	Target
	stop func()
}

// Close stops it and removes what it served.
func (p *Peer) Close() { p.stop() }

// StartP9 serves a directory of its own, below dir, with hugelgupf/p9's localfs.
func StartP9(dir string) (*Peer, error) {
	root, err := os.MkdirTemp(dir, "p9")
	if err != nil {
		return nil, err
	}
	files := filepath.Join(root, "d")
	err = os.Mkdir(files, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(files, "small"), make([]byte, SmallSize), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(files, "big"), make([]byte, BigSize), 0o600)
	}
	if err != nil {
		os.RemoveAll(root)
		return nil, err
	}
	srv := p9.NewServer(localfs.Attacher(root))
	p, err := start(filepath.Join(root, "sock"), func(nc net.Conn) { _ = srv.Handle(nc, nc) })
	if err != nil {
		os.RemoveAll(root)
		return nil, err
	}
	stop := p.stop
	p.stop = func() {
		stop()
		os.RemoveAll(root)
	}
	return p, nil
}

// StartFloor serves answers of the right size below dir, and nothing behind them.
func StartFloor(dir string) (*Peer, error) {
	replies, err := canned()
	if err != nil {
		return nil, err
	}
	return start(filepath.Join(dir, "floor"), func(nc net.Conn) { floor(nc, replies) })
}

// start serves connections to a socket until it is stopped.
func start(path string, serve func(nc net.Conn)) (*Peer, error) {
	l, err := ninep.Listen("unix!" + path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				serve(nc)
			})
		}
	})
	stop := func() {
		l.Close()
		cancel()
		all.Wait()
	}
	return &Peer{Target: Target{Addr: "unix!" + path, Small: "d/small", Big: "d/big"}, stop: stop}, nil
}

// canned returns what the floor answers, by type of request.
func canned() (map[byte][]byte, error) {
	out := make(map[byte][]byte)
	for _, m := range []ninep.Msg{
		{Type: ninep.Rversion, Msize: msize, Version: "9P2000.L"},
		{Type: ninep.Rattach},
		{Type: ninep.Rwalk, Qids: make([]ninep.Qid, 2)},
		{Type: ninep.Rgetattr},
		{Type: ninep.Rlopen},
		{Type: ninep.Rclunk},
	} {
		b, err := ninep.Append(nil, ninep.DotL, &m)
		if err != nil {
			return nil, err
		}
		out[byte(m.Type)-1] = b
	}
	return out, nil
}

// floor answers each request with the canned reply, all that came together in
// one write.
func floor(nc net.Conn, replies map[byte][]byte) {
	r := bufio.NewReaderSize(nc, msize)
	var frame, out []byte
	for {
		var err error
		if frame, err = ninep.ReadFrame(r, frame[:cap(frame)], msize); err != nil {
			return
		}
		at := len(out)
		if ninep.Type(frame[4]) == ninep.Tread {
			n := int(frame[19]) | int(frame[20])<<8
			out = append(out, byte(n+ninep.ReadSize), byte((n+ninep.ReadSize)>>8), 0, 0, byte(ninep.Rread), 0, 0, byte(n), byte(n>>8), 0, 0)
			out = append(out, make([]byte, n)...)
		} else {
			out = append(out, replies[frame[4]]...)
		}
		out[at+5], out[at+6] = frame[5], frame[6]
		if r.Buffered() == 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

package bench9

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/p9"
	"github.com/knusbaum/go9p"
	go9pfs "github.com/knusbaum/go9p/fs"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// A starter starts a server in this process, below a directory.
type starter func(dir string) (t Target, stop func(), err error)

// kinds are the servers of this package: warren's with files in memory, made by
// hand or from tables, or with a tree; the peers; and the floor, once as Go
// programs serve and once with a thread that blocks.
func kinds(tree fs.Node) map[string]starter {
	return map[string]starter{
		"static": func(dir string) (Target, func(), error) { return serveNode(dir, newStatic()) },
		"tables": func(dir string) (Target, func(), error) { return serveNode(dir, newTables()) },
		"tree":   func(dir string) (Target, func(), error) { return serveNode(dir, tree) },
		"p9":     serveP9,
		"go9p":   serveGo9p,
		"floor":  func(dir string) (Target, func(), error) { return serveFloor(dir, floor) },
		"thread": func(dir string) (Target, func(), error) { return serveFloor(dir, floorThread) },
	}
}

// dotL is a target of which all is as usual.
func dotL(sock string) Target {
	return Target{Sock: sock, Dialect: ninep.DotL, Paths: [...]string{"d/small", "d/big", "d/sink"}}
}

// makeFiles makes a directory with the files that every target has.
func makeFiles(root string) error {
	d := filepath.Join(root, "d")
	return errors.Join(
		os.MkdirAll(d, 0o700),
		os.WriteFile(filepath.Join(d, "small"), make([]byte, SmallSize), 0o600),
		os.WriteFile(filepath.Join(d, "big"), make([]byte, BigSize), 0o600),
	)
}

// serveNode serves a tree with warren's server.
func serveNode(dir string, root fs.Node) (Target, func(), error) {
	t := dotL(filepath.Join(dir, "sock"))
	l, err := ninep.Listen("unix!" + t.Sock)
	if err != nil {
		return t, nil, err
	}
	s := &ninep.Server{Root: root, Users: new(sys.Users)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return t, func() {
		s.Close()
		<-done
	}, nil
}

// serveP9 serves a directory with hugelgupf/p9's localfs. That sets the umask
// of the whole process.
func serveP9(dir string) (Target, func(), error) {
	files := filepath.Join(dir, "files")
	if err := makeFiles(files); err != nil {
		return Target{}, nil, err
	}
	srv := p9.NewServer(localfs.Attacher(files))
	return serveConns(dir, func(nc net.Conn) { _ = srv.Handle(nc, nc) })
}

// serveGo9p serves files in memory with knusbaum/go9p, which knows 9P2000 only.
func serveGo9p(dir string) (Target, func(), error) {
	log.SetOutput(io.Discard) // it tells of each connection
	tree, root := go9pfs.NewFS("root", "root", 0o555)
	d := go9pfs.NewStaticDir(tree.NewStat("d", "root", "root", 0o555|ninep.DMDir))
	err := errors.Join(
		root.AddChild(d),
		d.AddChild(go9pfs.NewStaticFile(tree.NewStat("small", "root", "root", 0o444), make([]byte, SmallSize))),
		d.AddChild(go9pfs.NewStaticFile(tree.NewStat("big", "root", "root", 0o444), make([]byte, BigSize))),
	)
	if err != nil {
		return Target{}, nil, err
	}
	srv := &oneByOne{Srv: tree.Server()}
	t, stop, err := serveConns(dir, func(nc net.Conn) { _ = go9p.ServeReadWriter(nc, nc, srv) })
	t.Dialect = ninep.Classic
	return t, stop, err
}

// oneByOne makes go9p's server number its connections one after the other.
type oneByOne struct {
	go9p.Srv
	mu sync.Mutex
}

func (s *oneByOne) NewConn() go9p.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Srv.NewConn()
}

// serveConns serves each connection with a goroutine. What does not end with
// the listener ends with the process.
func serveConns(dir string, serve func(nc net.Conn)) (Target, func(), error) {
	t := dotL(filepath.Join(dir, "sock"))
	l, err := ninep.Listen("unix!" + t.Sock)
	if err != nil {
		return t, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				serve(nc)
			}()
		}
	}()
	return t, func() {
		l.Close()
		<-done
	}, nil
}

package fuse

import (
	"sync"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// server answers what go-fuse decoded. What it does not have is ENOSYS, which
// the kernel takes to heart: it does flush, fsync, seek, copy and lock on its
// own, and does not ask again.
type server struct {
	gofuse.RawFileSystem

	users    *sys.Users
	nodes    nodes
	files    files
	waits    waits
	undo     undos
	requests sync.Pool // of *request
	notify   func(code int32)
	handOver func(at uint64) // called before a request may take its time
}

func newServer(root fs.Node, users *sys.Users) *server {
	s := &server{
		RawFileSystem: gofuse.NewDefaultRawFileSystem(),
		users:         users,
		notify:        func(int32) {},
		handOver:      func(uint64) {},
	}
	s.requests.New = func() any { return &request{wake: make(chan struct{}, 1)} }
	s.nodes.init(root)
	r := s.request(&sys.User{Name: "root"}, new(gofuse.InHeader), nil, false)
	defer r.free()
	if st, err := root.Stat(&r.call); err == nil {
		s.nodes.get(rootID).mode.Store(st.Mode)
	}
	return s
}

func (s *server) String() string { return fsName }

// end closes all that is open and releases all that is known: the kernel does
// not, once it has hung up. No request may be in flight.
func (s *server) end() {
	s.files.closeAll(s)
	s.nodes.releaseAll()
}

// How long the kernel may trust what it was told, without asking again: that
// a fixed name stands for a node, and a node's attributes.
const (
	nameTime = 10 * time.Second
	attrTime = time.Second
)

// nameFor returns how long a file's name in dir may be trusted. Names are
// trusted only where all may search, because the kernel does not check rights
// on the way. A name that may come to stand for another file, as procs/x may,
// is never trusted, nor is one on another machine, one whose every open needs an
// inode of its own, nor that of a log, of which splice(2) believes the size that
// it was told last.
func nameFor(dir *node, q fs.Qid) time.Duration {
	const allSearch = 0o111
	switch {
	case q.Remote, q.Kind.Waits(), q.Kind == fs.Log, q.Kind == fs.Directory && q.Vers == 0, dir.mode.Load()&allSearch != allSearch:
		return 0
	}
	return nameTime
}

// attrFor returns how long a file's attributes may be trusted. Those of files
// never are, because lseek(2) to the end needs the length that there is.
func attrFor(k fs.Kind) time.Duration {
	if k == fs.Directory {
		return attrTime
	}
	return 0
}

const errStale = gofuse.Status(syscall.ESTALE)

// Package export serves a directory of the host over 9P2000.L, with the
// library github.com/hugelgupf/p9 and its localfs.
//
// Confinement. localfs works on paths, and a path can be made to lead
// elsewhere between two looks at it. Here each file that a client walked to is
// held by a descriptor, opened with O_PATH one name at a time, never through a
// symbolic link and never upwards; localfs is given the path of that
// descriptor in /proc/self/fd, which leads to the very same file whatever
// happens to names, and at most one name below it, which it does not follow
// either. Symbolic links are shown for what they are. Devices, pipes and
// sockets are shown, but not opened.
//
// Rights. A server that is root does everything with the file system identity
// of the user at the other end, so the kernel judges, and what is made belongs
// to that user; a client that nobody knows is nobody, and may only read. A
// server that is not root serves its own user and root, with its own rights,
// and refuses everybody else. The names that a client claims count for
// nothing: all of a connection has the rights of its peer.
//
// Bounds. p9 itself has none, so the connection in between (see limits.go)
// holds back requests while too many are under way, hangs up clients that do
// not read, and cuts messages down; and a connection may have only so many
// files, and name only so many, as p9 keeps every name.
//
// A Server owns the directory's descriptor, a session what is counted for one
// connection. No lock is held while another is taken, or over a system call.
package export

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// Options say how to export. The zero Options are read-only.
type Options struct {
	Write bool
	Users *sys.Users   // nil: of its own
	Log   *slog.Logger // nil: silent

	MaxConns int // connections; default 64
	MaxFiles int // of each connection; default 4096, or what the limit on descriptors allows
}

// A Server exports one directory. There should be one in a process, with little
// beside it: it sets the process's umask to 0, as the modes that clients ask
// for have been through their own, and Close sets it back.
type Server struct {
	opt   Options
	gate  ninep.Gate
	root  int // O_PATH
	dev   uint64
	seed  maphash.Seed
	umask int
	// patience is how long a client may leave its replies unread, and all its
	// calls may take.
	patience time.Duration
	// switches says that the server can take on the identity of others.
	switches bool
}

const (
	defaultConns = 64
	defaultFiles = 4096
	fewestFiles  = 64
	spareFiles   = 128 // descriptors that are left for everything else
)

// New opens a directory for export.
func New(dir string, o Options) (*Server, error) {
	if _, err := os.Stat(fdPath(0)); err != nil {
		return nil, sys.Errorf(syscall.ENOENT, "export: needs /proc mounted: %v", err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "export", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		unix.Close(root)
		return nil, &os.PathError{Op: "export", Path: dir, Err: err}
	}
	if o.Users == nil {
		o.Users = new(sys.Users)
	}
	o.bound()
	s := &Server{
		opt: o, root: root, dev: st.Dev, seed: maphash.MakeSeed(),
		umask: unix.Umask(0), patience: patience, switches: canSwitch(),
	}
	s.gate = ninep.Gate{Handle: s.handle, Users: o.Users, Log: o.Log, MaxConns: o.MaxConns}
	return s, nil
}

// bound fills in limits, such that all of them together leave descriptors for
// the rest of the process: a file may take two.
func (o *Options) bound() {
	if o.MaxConns <= 0 {
		o.MaxConns = defaultConns
	}
	if o.MaxFiles > 0 {
		return
	}
	o.MaxFiles = defaultFiles
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && lim.Cur < 1<<31 {
		o.MaxFiles = min(defaultFiles, max((int(lim.Cur)-spareFiles)/(2*o.MaxConns), fewestFiles))
	}
}

// Serve accepts connections until the listener or the server is closed.
func (s *Server) Serve(l net.Listener) error { return s.gate.Serve(l) }

// ServeConn serves one connection until it ends, and closes it.
func (s *Server) ServeConn(nc net.Conn, id ninep.Identity) { s.gate.ServeConn(nc, id) }

// Close hangs up all clients and gives the directory back. Call it once.
func (s *Server) Close() {
	s.gate.Close()
	unix.Close(s.root)
	unix.Umask(s.umask)
}

// handle serves a connection with a p9 server of its own, as p9 tells an
// Attacher nothing of who attaches.
func (s *Server) handle(nc net.Conn, id ninep.Identity) {
	defer nc.Close()
	se := s.session(nc, id)
	b := newBounded(nc, s.patience)
	defer func() {
		if trouble := recover(); trouble != nil {
			s.log(slog.LevelError, "export: a connection was lost", "client", nc.RemoteAddr(), "panic", trouble)
		}
	}()
	if err := p9.NewServer(se).Handle(b, b); err != nil {
		s.log(slog.LevelDebug, "export: connection ended", "client", nc.RemoteAddr(), "err", err)
	}
}

func (s *Server) log(level slog.Level, text string, args ...any) {
	if s.opt.Log != nil {
		s.opt.Log.Log(context.Background(), level, text, args...)
	}
}

// A session is what one connection may do, and what it has.
type session struct {
	srv    *Server
	as     *sys.User // whose rights it has; nil: the server's
	write  bool
	refuse error  // why it may do nothing
	hangUp func() // for one that misbehaves

	files  atomic.Int64
	failed atomic.Int64 // removals that failed
	names  names
}

// session applies the rule of rights, see the package comment.
func (s *Server) session(nc net.Conn, id ninep.Identity) *session {
	se := &session{srv: s, write: s.opt.Write, hangUp: func() { nc.Close() }}
	me := uint32(os.Geteuid())
	u := id.User
	if u == nil {
		u = sys.Nobody()
	}
	switch {
	case !u.None && (u.UID == me || u.Root()):
	case s.switches:
		se.as = u
		se.write = se.write && !u.None
	default:
		se.refuse = linux.EPERM
		s.log(slog.LevelInfo, "export: refused", "client", nc.RemoteAddr(), "user", u.Name)
	}
	return se
}

// Attach returns the root of the export.
func (se *session) Attach() (p9.File, error) {
	if se.refuse != nil {
		return nil, se.refuse
	}
	fd, err := unix.FcntlInt(uintptr(se.srv.root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, answer(err)
	}
	return se.file(fd)
}

// do does something with the rights of the session.
func (se *session) do(op func() error) error {
	if se.as == nil {
		return answer(op())
	}
	return answer(as(se.as, op))
}

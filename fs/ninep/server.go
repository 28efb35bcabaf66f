package ninep

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs"
	"warren/fs/sys"
)

// A Server serves one tree to any number of connections. Root must be set; a
// zero limit stands for its default. The fields are not changed once it serves.
type Server struct {
	Root  fs.Node
	Users *sys.Users
	// Insecure believes the name that a client without an identity claims.
	Insecure bool
	Log      *slog.Logger // nil: silent; level debug has every message

	Msize    uint32        // the greatest message, bytes; default MaxMsize
	MaxConns int           // connections; default 16384
	MaxFids  int           // of each connection; default 65536
	MaxCalls int           // parked requests of each connection; default 16384
	Patience time.Duration // how long a client may leave its replies unread; default 30 s

	mu        sync.Mutex
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	closed    bool
	done      sync.WaitGroup
}

// An Identity is who is at the other end of a connection, as far as the
// transport knows.
type Identity struct {
	User  *sys.User // nil: nobody knows
	PID   int       // 0: not known
	Claim bool      // with no User: the name that the client gives is believed
}

const (
	defaultConns    = 1 << 14
	defaultFids     = 1 << 16
	defaultCalls    = 1 << 14
	defaultPatience = 30 * time.Second
)

func or[T int | uint32 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Serve accepts connections until the listener or the server is closed; then
// it returns nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)
	wait := shortWait
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = shortWait
			if s.accept() {
				go s.served(nc)
			} else {
				nc.Close()
			}
		case errors.Is(err, net.ErrClosed):
			return nil
		case !passing(err):
			return err
		default: // out of descriptors: some will come back
			s.log(slog.LevelWarn, "9p: accept", "err", err)
			time.Sleep(wait)
			wait = min(2*wait, longWait)
		}
	}
}

// How long Serve waits after an accept failed for want of something.
const (
	shortWait = 5 * time.Millisecond
	longWait  = time.Second
)

// passing reports whether accept may succeed when tried again.
func passing(err error) bool {
	for _, no := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) unlisten(l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// accept counts a connection that comes, if it may.
func (s *Server) accept() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= or(s.MaxConns, defaultConns) {
		return false
	}
	s.done.Add(1)
	return true
}

func (s *Server) served(nc net.Conn) {
	defer s.done.Done()
	s.serveConn(nc, s.identify(nc))
}

// ServeConn serves one connection until it ends, and closes it.
func (s *Server) ServeConn(nc net.Conn, id Identity) {
	if !s.accept() {
		nc.Close()
		return
	}
	defer s.done.Done()
	s.serveConn(nc, id)
}

func (s *Server) serveConn(nc net.Conn, id Identity) {
	c := newConn(s, nc, id)
	s.mu.Lock()
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
	if s.closed {
		nc.Close()
	}
	s.mu.Unlock()
	c.serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Close closes the listeners and all connections and returns when everything
// they had open is closed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// Clients returns how many connections there are.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// identify asks the transport who is at the other end: unix sockets know.
func (s *Server) identify(nc net.Conn) Identity {
	sc, ok := nc.(*net.UnixConn)
	if !ok {
		return Identity{Claim: s.Insecure}
	}
	cred, err := peerCred(sc)
	if err != nil {
		s.log(slog.LevelWarn, "9p: peer credentials", "err", err)
		return Identity{}
	}
	return Identity{User: s.Users.ByUID(cred.Uid, cred.Gid), PID: int(cred.Pid)}
}

func peerCred(sc *net.UnixConn) (*unix.Ucred, error) {
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var fate error
	err = rc.Control(func(fd uintptr) {
		cred, fate = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, fate)
}

func (s *Server) log(level slog.Level, text string, args ...any) {
	if s.Log != nil {
		s.Log.Log(context.Background(), level, text, args...)
	}
}

// tracing reports whether every message is to be logged.
func (s *Server) tracing() bool {
	return s.Log != nil && s.Log.Enabled(context.Background(), slog.LevelDebug)
}

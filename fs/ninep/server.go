package ninep

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

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
	// ID is the server's among others, of letters and digits: an attach that
	// names it as one that the request came through (aname=PATH,via=ID+ID) is
	// a loop, and fails with sys.ErrLoop. It may be empty.
	ID string

	Msize    uint32        // the greatest message, bytes; default MaxMsize
	MaxConns int           // connections, see Gate; default 16384
	MaxFids  int           // of each connection; default 65536
	MaxCalls int           // parked requests of each connection; default 16384
	Patience time.Duration // how long a client may leave its replies unread; default 30 s

	MaxUnknown int           // connections that have yet to prove who they are, see Gate; default 256
	Proof      time.Duration // how long such a client may take; default 10 s

	once  sync.Once
	gate  Gate
	locks lockTable

	mu       sync.Mutex
	conns    map[*conn]struct{}
	reactors []*reactor
	turn     int // which of them is next
}

const (
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

// door returns the gate through which all connections come.
func (s *Server) door() *Gate {
	s.once.Do(func() {
		s.gate = Gate{
			Handle: s.serveConn, take: s.take, Users: s.Users, Insecure: s.Insecure, Log: s.Log,
			MaxConns: s.MaxConns, MaxUnknown: s.MaxUnknown, Proof: s.Proof,
		}
	})
	return &s.gate
}

// Serve accepts connections until the listener or the server is closed; then
// it returns nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error { return s.door().Serve(l) }

// ServeConn serves one connection until it ends, and closes it.
func (s *Server) ServeConn(nc net.Conn, id Identity) { s.door().ServeConn(nc, id) }

// Close closes the listeners and all connections and returns when everything
// they had open is closed.
func (s *Server) Close() {
	s.door().Close()
	s.mu.Lock()
	all := s.reactors
	s.reactors = nil
	s.mu.Unlock()
	for _, r := range all {
		r.close()
	}
}

func (s *Server) serveConn(nc net.Conn, id Identity) {
	c := newConn(s, nc, id)
	s.enlist(c)
	defer s.strike(c)
	c.serve(nc)
}

// take has a reactor serve a connection, if it can.
func (s *Server) take(nc net.Conn, id Identity) bool {
	r := s.reactor()
	if r == nil {
		return false
	}
	sock, err := newSocket(r, nc)
	if err != nil {
		s.log(slog.LevelDebug, "9p: a goroutine for a connection", "client", nc.RemoteAddr(), "err", err)
		return false
	}
	c := newConn(s, sock, id)
	c.sock, sock.c = sock, c
	c.ended = func() {
		sock.release()
		s.strike(c)
		s.gate.drop(sock)
	}
	s.enlist(c)
	nc.Close() // the socket has a descriptor of its own
	if s.gate.swap(nc, sock) {
		sock.Close()
	}
	r.rest(sock, plenty)
	return true
}

// reactor returns the reactor whose turn it is to get a connection; nil if the
// system has none for us. As clients of unix sockets are on this machine, half
// of the processors are left to them.
func (s *Server) reactor() *reactor {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.turn % max(1, runtime.GOMAXPROCS(0)/2)
	s.turn++
	if at < len(s.reactors) {
		return s.reactors[at]
	}
	r, err := newReactor()
	if err != nil {
		s.log(slog.LevelWarn, "9p: epoll", "err", err)
		return nil
	}
	s.reactors = append(s.reactors, r)
	return r
}

func (s *Server) enlist(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
}

func (s *Server) strike(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Clients returns how many connections there are.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
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

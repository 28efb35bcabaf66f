package ninep

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// A Gate accepts connections for whoever serves them, finds out who is at the
// other end, and bounds what all of them may take. Handle must be set; a zero
// limit stands for its default. The fields are not changed once it serves.
type Gate struct {
	// Handle serves a connection until it ends, and closes it.
	Handle func(nc net.Conn, id Identity)
	Users  *sys.Users
	// take, if set, may serve an accepted connection without a goroutine: it
	// returns true at once, puts its own line in the place of nc (swap), and
	// drops that in the end.
	take func(nc net.Conn, id Identity) bool
	// Insecure lets a client without an identity claim one.
	Insecure bool
	Log      *slog.Logger // nil: silent

	// MaxConns bounds the connections that are served; default 16384. Half of
	// them are for any one user, other than root and our own.
	MaxConns int
	// MaxUnknown bounds the connections of clients that have yet to prove who
	// they are; default 256. The oldest gives way to a new one, so that those
	// who never prove it keep nobody out.
	MaxUnknown int
	// Proof is how long such a client may take; default 10 s.
	Proof time.Duration

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[line]uint32 // whose each is
	ofUser    map[uint32]int  // how many of conns
	unknown   []net.Conn      // the oldest first
	closed    bool
	done      sync.WaitGroup
}

// An Identity is who is at the other end of a connection, as far as the
// transport knows.
type Identity struct {
	User  *sys.User // nil: nobody knows
	PID   int       // 0: not known
	Claim bool      // with no User: the name that the client gives is believed
	// Far says that the user came from another machine, whose names and
	// numbers of users say nothing here. They lower nobody but root.
	Far bool
}

// A Prover is a connection whose client must prove who it is before anything
// is served. That may take as long as the client likes: the context ends it.
type Prover interface {
	net.Conn
	Prove(context.Context) (Identity, error)
}

const (
	defaultConns   = 1 << 14
	defaultUnknown = 256
	defaultProof   = 10 * time.Second
)

// Serve accepts connections until the listener or the gate is closed; then it
// returns nil. It closes the listener.
func (g *Gate) Serve(l net.Listener) error {
	if !g.listen(l) {
		return nil
	}
	defer g.unlisten(l)
	wait := shortWait
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = shortWait
			g.enter(nc)
		case errors.Is(err, net.ErrClosed):
			return nil
		case !passing(err):
			return err
		default: // out of descriptors: some will come back
			g.log(slog.LevelWarn, "9p: accept", "err", err)
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

func (g *Gate) listen(l net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		l.Close()
		return false
	}
	if g.listeners == nil {
		g.listeners = make(map[net.Listener]struct{})
	}
	g.listeners[l] = struct{}{}
	return true
}

func (g *Gate) unlisten(l net.Listener) {
	l.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

// enter lets a connection in whose client the transport knows, or makes it
// prove who it is.
func (g *Gate) enter(nc net.Conn) {
	switch nc := nc.(type) {
	case Prover:
		if g.wait(nc) {
			go g.prove(nc)
		}
	case *net.UnixConn:
		cred, err := PeerCred(nc)
		if err != nil {
			g.log(slog.LevelWarn, "9p: peer credentials", "err", err)
			g.admit(nc, sys.NobodyID, func() Identity { return Identity{} })
			return
		}
		g.admit(nc, cred.Uid, func() Identity {
			return Identity{User: g.Users.ByUID(cred.Uid, cred.Gid), PID: int(cred.Pid)}
		})
	default:
		g.admit(nc, sys.NobodyID, func() Identity { return Identity{Claim: g.Insecure} })
	}
}

// admit serves a connection, if it may be. who may take a while.
func (g *Gate) admit(nc net.Conn, uid uint32, who func() Identity) {
	if g.add(nc, uid) {
		go func() {
			id := who()
			if g.take != nil && g.take(nc, id) {
				return
			}
			defer g.drop(nc)
			g.Handle(nc, id)
		}()
	}
}

// ServeConn serves one connection until it ends, and closes it.
func (g *Gate) ServeConn(nc net.Conn, id Identity) {
	if g.add(nc, uidOf(id)) {
		defer g.drop(nc)
		g.Handle(nc, id)
	}
}

func uidOf(id Identity) uint32 {
	if id.User == nil {
		return sys.NobodyID
	}
	return id.User.UID
}

// add counts a connection, or closes it if there are too many.
func (g *Gate) add(nc net.Conn, uid uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.conns) >= or(g.MaxConns, defaultConns) || g.ofUser[uid] >= g.share(uid) {
		go nc.Close() // which may take a while, for TLS
		return false
	}
	if g.conns == nil {
		g.conns, g.ofUser = make(map[line]uint32), make(map[uint32]int)
	}
	g.conns[nc] = uid
	g.ofUser[uid]++
	g.done.Add(1)
	return true
}

// share is how many connections a user may have.
func (g *Gate) share(uid uint32) int {
	all := or(g.MaxConns, defaultConns)
	if uid == 0 || uid == uint32(os.Geteuid()) {
		return all
	}
	return max(all/2, 1)
}

// swap puts another line to the same client in the place of one, and reports
// whether the gate is closed, so that the line is to be, too.
func (g *Gate) swap(old, line line) (closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[line] = g.conns[old]
	delete(g.conns, old)
	return g.closed
}

func (g *Gate) drop(l line) {
	g.mu.Lock()
	defer g.mu.Unlock()
	uid := g.conns[l]
	delete(g.conns, l)
	if g.ofUser[uid]--; g.ofUser[uid] == 0 {
		delete(g.ofUser, uid)
	}
	g.done.Done()
}

// wait counts a connection whose client has yet to prove who it is. The oldest
// of too many is hung up.
func (g *Gate) wait(nc net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		nc.Close()
		return false
	}
	if len(g.unknown) >= or(g.MaxUnknown, defaultUnknown) {
		go g.unknown[0].Close()
		g.unknown = slices.Delete(g.unknown, 0, 1)
	}
	g.unknown = append(g.unknown, nc)
	g.done.Add(1)
	return true
}

// prove gives a client some time to prove who it is, and then serves it.
func (g *Gate) prove(nc Prover) {
	ctx, cancel := context.WithTimeout(context.Background(), or(g.Proof, defaultProof))
	id, err := nc.Prove(ctx)
	cancel()
	g.mu.Lock()
	if i := slices.Index(g.unknown, net.Conn(nc)); i >= 0 {
		g.unknown = slices.Delete(g.unknown, i, i+1)
	}
	g.mu.Unlock()
	defer g.done.Done()
	if err != nil {
		g.log(slog.LevelInfo, "9p: refused", "client", nc.RemoteAddr(), "err", err)
		nc.Close()
		return
	}
	g.ServeConn(nc, id)
}

// Close closes the listeners and all connections, and returns when none is
// served any more.
func (g *Gate) Close() {
	g.mu.Lock()
	g.closed = true
	for l := range g.listeners {
		l.Close()
	}
	var cuts []*time.Timer
	for nc := range g.conns {
		if nc.SetReadDeadline(time.Unix(1, 0)) != nil {
			go nc.Close()
		}
		cuts = append(cuts, time.AfterFunc(lastWords, func() { nc.Close() }))
	}
	for _, nc := range g.unknown {
		go nc.Close()
	}
	g.mu.Unlock()
	g.done.Wait()
	for _, cut := range cuts {
		cut.Stop()
	}
}

// lastWords is how long a client may take at the end to read the answer to
// what it was asking: a request that has begun is answered.
const lastWords = time.Second

// Conns returns how many connections are served.
func (g *Gate) Conns() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// PeerCred returns the credentials that the process at the other end of a
// socket had when it connected.
func PeerCred(sc *net.UnixConn) (*unix.Ucred, error) {
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

func (g *Gate) log(level slog.Level, text string, args ...any) {
	if g.Log != nil {
		g.Log.Log(context.Background(), level, text, args...)
	}
}

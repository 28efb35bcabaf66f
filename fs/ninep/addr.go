package ninep

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// defaultPort is 9P's port where an address names none.
const defaultPort = "564"

// ParseAddr takes an address apart into the network (unix, tcp, tls, vsock, fd)
// and what Listen and Dial need to know in it: a path, host:port, cid:port, or
// the number of an inherited descriptor. The forms are unix!/path,
// tcp!host!port, tls!host!port, vsock!cid!port, fd!3; also unix:/path and
// tcp:host:port, and a path that starts with a slash.
func ParseAddr(addr string) (network, address string, err error) {
	if strings.HasPrefix(addr, "/") {
		return unixPath(addr)
	}
	at := strings.IndexAny(addr, "!:")
	if at < 0 {
		return "", "", badAddr(addr)
	}
	network, rest, mark := addr[:at], addr[at+1:], addr[at:at+1]
	switch {
	case rest == "":
		return "", "", badAddr(addr)
	case network == "unix":
		return unixPath(rest)
	case network == "fd":
		if _, err := strconv.ParseUint(rest, 10, 31); err != nil {
			return "", "", badAddr(addr)
		}
		return network, rest, nil
	case network == "tcp", network == "tls":
		host, port := splitPort(rest, mark)
		return network, net.JoinHostPort(host, port), nil
	case network == "vsock":
		cid, port := splitPort(rest, mark)
		if _, _, err := vsockNumbers(cid + ":" + port); err != nil {
			return "", "", badAddr(addr)
		}
		return network, cid + ":" + port, nil
	}
	return "", "", badAddr(addr)
}

// maxPath is the longest path of a unix socket; see unix(7).
const maxPath = 107

func unixPath(path string) (network, address string, err error) {
	if len(path) > maxPath {
		return "", "", sys.Errorf(syscall.ENAMETOOLONG, "the path of a unix socket may be %d bytes long, and %s is %d", maxPath, path, len(path))
	}
	return "unix", path, nil
}

func badAddr(addr string) error {
	return sys.Errorf(syscall.EINVAL, "bad address %q: want unix!/path, tcp!host!port, tls!host!port, vsock!cid!port or fd!number", addr)
}

// splitPort cuts host!port or host:port, where the host may stand in brackets.
func splitPort(s, mark string) (host, port string) {
	host, port = s, defaultPort
	if i := strings.LastIndex(s, mark); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "*" {
		host = ""
	}
	return host, port
}

// Dial connects to an address. Those of the network tls need WithTLS.
func Dial(ctx context.Context, addr string, opts ...Option) (net.Conn, error) {
	network, address, err := ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	var nc net.Conn
	switch network {
	case "tls":
		nc, err = dialTLS(ctx, address, optionsOf(opts))
	case "vsock":
		nc, err = dialVsock(ctx, address)
	case "fd":
		nc, err = inherited(address, net.FileConn)
	default:
		nc, err = dialSocket(ctx, network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, bare(err))
	}
	return nc, nil
}

// dialSocket waits for its turn while more clients come to a unix socket at
// once than it queues: a socket that does not block is told to try again then.
func dialSocket(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	for wait := time.Millisecond; ; wait = min(2*wait, longTurn) {
		nc, err := d.DialContext(ctx, network, address)
		if !errors.Is(err, syscall.EAGAIN) {
			return nc, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// longTurn is how long dialSocket waits at most before it tries again.
const longTurn = 100 * time.Millisecond

// bare strips what the net package puts before the reason.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sc *os.SyscallError
	if errors.As(err, &sc) {
		err = sc.Err
	}
	return err
}

// Listen announces an address. A unix socket whose server died is taken over,
// one that a living server answers is EADDRINUSE. Unix sockets may be
// connected to by everybody (the peer's credentials tell who it is, and every
// file who may use it) and are removed when the listener is closed. With
// ServeTLS all that arrives over TCP, and only that, must speak TLS.
func Listen(addr string, opts ...Option) (net.Listener, error) {
	network, address, err := ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	o := optionsOf(opts)
	if network == "tls" && o.server == nil {
		return nil, sys.Errorf(syscall.EINVAL, "%s: serving TLS takes a certificate, its key, and the CA of the clients", addr)
	}
	var l net.Listener
	switch network {
	case "unix":
		l, err = listenUnix(address)
	case "vsock":
		l, err = listenVsock(address)
	case "fd":
		l, err = inherited(address, fileListener)
	default:
		l, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, bare(err))
	}
	return o.secure(l), nil
}

// Inherited is Listen for a socket that we were given, as by systemd. It takes
// a copy of the descriptor.
func Inherited(f *os.File, opts ...Option) (net.Listener, error) {
	l, err := fileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), bare(err))
	}
	return optionsOf(opts).secure(l), nil
}

// fileListener makes a listener of a descriptor.
func fileListener(f *os.File) (net.Listener, error) {
	fd := int(f.Fd())
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, err
	}
	if listening == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "this socket does not listen")
	}
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && domain == unix.AF_VSOCK {
		return inheritVsock(fd)
	}
	return net.FileListener(f)
}

// AddrOf returns the address by which Dial reaches a listener.
func AddrOf(l net.Listener) string {
	a := l.Addr()
	host, port, err := net.SplitHostPort(a.String())
	if err != nil || a.Network() == "unix" {
		return a.Network() + "!" + a.String()
	}
	network := a.Network()
	if _, secure := l.(*tlsListener); secure {
		network = "tls"
	}
	return network + "!" + host + "!" + port
}

// inherited makes a connection or listener of a descriptor that we were
// started with; open takes a copy of it.
func inherited[T any](number string, open func(*os.File) (T, error)) (T, error) {
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		var none T
		return none, err
	}
	f := os.NewFile(uintptr(fd), "fd "+number)
	defer f.Close()
	return open(f)
}

// listenUnix announces a path. The lock on the directory keeps two servers
// from taking over the same stale socket from each other.
func listenUnix(path string) (net.Listener, error) {
	if strings.HasPrefix(path, "@") {
		return net.Listen("unix", path)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// answerTime is how long a server whose queue of connections is full may take
// to prove that it lives.
const answerTime = time.Second

// clearStale removes a socket that nobody listens on.
func clearStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != os.ModeSocket {
		return sys.Errorf(syscall.EEXIST, "exists and is not a socket: remove it or choose another path")
	}
	nc, err := net.DialTimeout("unix", path, answerTime)
	if err == nil {
		nc.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return sys.Errorf(syscall.EADDRINUSE, "a server is listening there already: stop it or choose another path")
	}
	return os.Remove(path)
}

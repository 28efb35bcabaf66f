package ninep

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

func TestParseAddr(t *testing.T) {
	for _, c := range []struct{ addr, network, address string }{
		{"unix!/run/warren.sock", "unix", "/run/warren.sock"},
		{"unix:/run/warren.sock", "unix", "/run/warren.sock"},
		{"/run/warren.sock", "unix", "/run/warren.sock"},
		{"unix!@abstract", "unix", "@abstract"},
		{"tcp!localhost!5640", "tcp", "localhost:5640"},
		{"tcp:localhost:5640", "tcp", "localhost:5640"},
		{"tcp!localhost", "tcp", "localhost:564"},
		{"tcp!*!5640", "tcp", ":5640"},
		{"tcp![::1]!5640", "tcp", "[::1]:5640"},
		{"tcp!::1!5640", "tcp", "[::1]:5640"},
		{"tcp:[::1]:5640", "tcp", "[::1]:5640"},
		{"tcp:[::1]", "tcp", "[::1]:564"},
		{"tls!example.org!5640", "tls", "example.org:5640"},
		{"tls:[::1]:5640", "tls", "[::1]:5640"},
		{"vsock!2!5640", "vsock", "2:5640"},
		{"vsock:any:5640", "vsock", "any:5640"},
		{"fd!3", "fd", "3"},
	} {
		network, address, err := ParseAddr(c.addr)
		if err != nil || network != c.network || address != c.address {
			t.Errorf("%s: %s %s, %v, want %s %s", c.addr, network, address, err, c.network, c.address)
		}
	}
	for _, addr := range []string{"", "unix", "unix!", "tcp!", "udp!h!1", "fd!x", "fd!-1", "vsock!x!1", "vsock!1!x", "host:5640", "!", "relative"} {
		if network, address, err := ParseAddr(addr); sys.Errno(err) != syscall.EINVAL {
			t.Errorf("%q: %s %s, %v", addr, network, address, err)
		}
	}
}

// hello checks that what is dialed reaches the listener.
func hello(t *testing.T, l net.Listener, addr string) {
	t.Helper()
	nc, err := Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(other, "hello"); err != nil {
		t.Fatal(err)
	}
	other.Close()
	if b, err := io.ReadAll(nc); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	addr := "unix!" + path
	if _, err := Dial(t.Context(), addr); !errors.Is(err, syscall.ENOENT) || !strings.HasPrefix(err.Error(), addr) {
		t.Errorf("nobody is there: %v", err)
	}
	l, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	hello(t, l, addr)
	if _, err := Listen(addr); sys.Errno(err) != syscall.EADDRINUSE {
		t.Errorf("a live socket was taken over: %v", err)
	}
	hello(t, l, drain(t, l, addr))
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// drain takes the connection that the second Listen made to see who is there.
func drain(t *testing.T, l net.Listener, addr string) string {
	t.Helper()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	return addr
}

func TestListenStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close() // as a server that was killed leaves it
	l, err := Listen("unix!" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hello(t, l, path)
}

func TestListenRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]syscall.Errno{
		file:                syscall.EEXIST,
		dir + "/no/s":       syscall.ENOENT,
		"tcp!localhost!bad": syscall.EIO, // a look-up that failed has no errno
		"nonsense":          syscall.EINVAL,
	} {
		if l, err := Listen(addr); sys.Errno(err) != want {
			t.Errorf("%s: %v, %v", addr, l, err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestListenTCP(t *testing.T) {
	l, err := Listen("tcp!127.0.0.1!0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hello(t, l, "tcp:"+l.Addr().String())
}

func TestListenVsock(t *testing.T) {
	const addr = "vsock!local!45640"
	l, err := Listen(addr)
	if err != nil {
		t.Skipf("no vsock here: %v", err)
	}
	defer l.Close()
	if nc, err := Dial(t.Context(), addr); err != nil {
		t.Skipf("no vsock loopback here: %v", err)
	} else {
		nc.Close()
		drain(t, l, addr)
	}
	hello(t, l, addr)
}

// TestListenFd listens on a descriptor that was there.
func TestListenFd(t *testing.T) {
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	fd, err := syscall.Dup(int(descriptor(t, inner)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen("fd!" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hello(t, l, inner.Addr().String())
	if _, err := Dial(context.Background(), "fd!987654"); sys.Errno(err) != syscall.EBADF {
		t.Errorf("no such descriptor: %v", err)
	}
}

func descriptor(t *testing.T, l *net.UnixListener) (fd uintptr) {
	t.Helper()
	rc, err := l.SyscallConn()
	if err == nil {
		err = rc.Control(func(f uintptr) { fd = f })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestDialCrowd comes to a unix socket that has no more room for those who wait
// to be accepted: then a client waits, too, as long as it may.
func TestDialCrowd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	var crowd []net.Conn
	defer func() {
		for _, nc := range crowd {
			nc.Close()
		}
	}()
	for err == nil && len(crowd) < 100 {
		var nc net.Conn
		if nc, err = net.Dial("unix", path); err == nil {
			crowd = append(crowd, nc)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if nc, err := Dial(ctx, "unix!"+path); err == nil {
		nc.Close()
		t.Fatal("there is room")
	}
	come := make(chan error, 1)
	go func() {
		nc, err := Dial(t.Context(), "unix!"+path)
		if err == nil {
			nc.Close()
		}
		come <- err
	}()
	for range crowd {
		nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(nfd)
	}
	if err := <-come; err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

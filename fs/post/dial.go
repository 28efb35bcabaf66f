package post

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// A dialer connects to addresses. It knows what to show a host of TLS.
type dialer struct {
	tls func(host string) (*tls.Config, error)
}

// dial connects to an address on behalf of a user. The other end of a unix
// socket learns who its peer is, and may go by that alone: so that is the user.
// At the other end of TLS everybody would be whom our certificate names, so
// that only our own user may go there. Elsewhere the attach says who it is, and
// the server believes what it likes.
func (d dialer) dial(ctx context.Context, addr string, u *sys.User) (net.Conn, error) {
	network, path, err := ninep.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	self := os.Geteuid()
	ours := uint32(self) == u.UID && !u.None
	switch {
	case network == "tls" && !ours:
		return nil, sys.Errorf(syscall.EPERM, "%s: only the user whom the server runs as may act with its certificate", addr)
	case network == "tls":
		return ninep.Dial(ctx, addr, ninep.WithTLS(d.tls))
	case network != "unix", ours:
		return ninep.Dial(ctx, addr)
	case self == 0:
		return dialThread(ctx, addr, path, u)
	case u.None: // who may no more than the world, as far as we know
		return ninep.Dial(ctx, addr)
	}
	return nil, sys.Errorf(syscall.EPERM, "%s: a server that is not root reaches others as itself only, not as %s", addr, u.Name)
}

// dialThread connects from a thread that has the user's credentials. The socket
// must let the user in. The directories on the way need not: who posted the
// socket has shown it to all who may enter the post.
func dialThread(ctx context.Context, addr, path string, u *sys.User) (nc net.Conn, err error) {
	if path[0] != '@' {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, sys.Errorf(sys.Errno(err), "%s: %v", addr, err)
		}
		defer unix.Close(fd)
		path = fmt.Sprint("/proc/self/fd/", fd)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err = become(u); err == nil {
			nc, err = ninep.Dial(ctx, "unix!"+path)
		}
	}()
	<-done
	if err != nil {
		return nil, sys.Errorf(sys.Errno(err), "%s: %s", addr, strings.TrimPrefix(err.Error(), "unix!"+path+": "))
	}
	return nc, nil
}

// become gives the calling thread, and no other, the credentials of a user.
// Only the effective ones, so that the user can neither signal nor trace it.
func become(u *sys.User) error {
	const same = ^uintptr(0)
	var first unsafe.Pointer
	if len(u.Groups) > 0 {
		first = unsafe.Pointer(&u.Groups[0])
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(first)},
		{unix.SYS_SETRESGID, same, uintptr(u.GID), same},
		{unix.SYS_SETRESUID, same, uintptr(u.UID), same},
	} {
		if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return sys.Errorf(errno, "becoming %s: %v", u.Name, errno)
		}
	}
	runtime.KeepAlive(u)
	return nil
}

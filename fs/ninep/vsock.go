package ninep

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// A vsockAddr is where a virtual machine is reached: cid:port.
type vsockAddr string

func (a vsockAddr) Network() string { return "vsock" }
func (a vsockAddr) String() string  { return string(a) }

// vsockNumbers parses cid:port. The cids host, local and any have names.
func vsockNumbers(address string) (cid, port uint32, err error) {
	c, p, _ := strings.Cut(address, ":")
	switch c {
	case "any", "":
		cid = unix.VMADDR_CID_ANY
	case "local":
		cid = unix.VMADDR_CID_LOCAL
	case "host":
		cid = unix.VMADDR_CID_HOST
	default:
		n, err := strconv.ParseUint(c, 10, 32)
		if err != nil {
			return 0, 0, err
		}
		cid = uint32(n)
	}
	n, err := strconv.ParseUint(p, 10, 32)
	return cid, uint32(n), err
}

// A vsockConn is a connection that the net package has no type for.
type vsockConn struct {
	*os.File
	local, remote vsockAddr
}

func (c *vsockConn) LocalAddr() net.Addr  { return c.local }
func (c *vsockConn) RemoteAddr() net.Addr { return c.remote }

// vsockSocket opens a socket that the runtime's poller can wait for.
func vsockSocket() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		err = sys.Errorf(syscall.EAFNOSUPPORT, "this kernel has no vsock: load vsock_loopback or the driver of your hypervisor")
	}
	return fd, err
}

func dialVsock(ctx context.Context, address string) (net.Conn, error) {
	cid, port, err := vsockNumbers(address)
	if err != nil {
		return nil, err
	}
	fd, err := vsockSocket()
	if err != nil {
		return nil, err
	}
	err = unix.Connect(fd, &unix.SockaddrVM{CID: cid, Port: port})
	f := os.NewFile(uintptr(fd), "vsock "+address)
	if errors.Is(err, unix.EINPROGRESS) {
		err = connected(ctx, f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &vsockConn{File: f, remote: vsockAddr(address)}, nil
}

// connected waits until a connection that was begun is there, or failed.
func connected(ctx context.Context, f *os.File) error {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var fate error
	first := true
	err = rc.Write(func(fd uintptr) bool {
		if first { // the descriptor was never seen to be writable yet
			first = false
			return false
		}
		no, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && no != 0 {
			err = syscall.Errno(no)
		}
		fate = err
		return true
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, fate)
}

type vsockListener struct {
	f    *os.File
	addr vsockAddr
}

func listenVsock(address string) (net.Listener, error) {
	cid, port, err := vsockNumbers(address)
	if err != nil {
		return nil, err
	}
	fd, err := vsockSocket()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "vsock "+address)
	err = unix.Bind(fd, &unix.SockaddrVM{CID: cid, Port: port})
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &vsockListener{f: f, addr: vsockAddr(address)}, nil
}

// inheritVsock makes a listener of a copy of a descriptor.
func inheritVsock(fd int) (net.Listener, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	addr := vsockAddrOf(sa)
	return &vsockListener{f: os.NewFile(uintptr(fd), "vsock "+string(addr)), addr: addr}, nil
}

func vsockAddrOf(sa unix.Sockaddr) vsockAddr {
	vm, ok := sa.(*unix.SockaddrVM)
	if !ok {
		return "?"
	}
	return vsockAddr(strconv.FormatUint(uint64(vm.CID), 10) + ":" + strconv.FormatUint(uint64(vm.Port), 10))
}

// Accept waits for a connection.
func (l *vsockListener) Accept() (net.Conn, error) {
	rc, err := l.f.SyscallConn()
	if err != nil {
		return nil, net.ErrClosed
	}
	var fd int
	var from unix.Sockaddr
	var fate error
	err = rc.Read(func(lfd uintptr) bool {
		fd, from, fate = unix.Accept4(int(lfd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return fate != unix.EAGAIN && fate != unix.EINTR
	})
	if err != nil {
		return nil, net.ErrClosed
	}
	if fate != nil {
		return nil, fate
	}
	peer := vsockAddrOf(from)
	return &vsockConn{File: os.NewFile(uintptr(fd), "vsock "+string(peer)), local: l.addr, remote: peer}, nil
}

func (l *vsockListener) Close() error   { return l.f.Close() }
func (l *vsockListener) Addr() net.Addr { return l.addr }

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// relayUsage is what relay is for.
const relayUsage = `usage: relay ADDRESS COMMAND [ARG...]
	Relay runs a command with a socket as descriptor 3 that leads to ADDRESS, and
	goes on relaying when the command has ended, so that
		relay port!NAME mount -t 9p -o trans=fd,rfdno=3,wfdno=3 none DIR
	mounts what the host serves at a virtio-serial port: v9fs wants a file that
	can be polled and be read without a position, and takes no port itself.
	ADDRESS is port!NAME, or vsock!CID!PORT (a socket already: nothing is relayed).
`

// relay carries out the command of that name; it returns the exit status.
func relay(args []string) int {
	if len(args) == 1 && args[0] == "-between" {
		return between(os.NewFile(3, "port"), os.NewFile(4, "socket"))
	}
	if len(args) < 2 {
		fmt.Fprint(os.Stderr, relayUsage)
		return 2
	}
	socket, err := dial(args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "relay: %s: %v\n", args[0], err)
		return 1
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{socket}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "relay:", err)
		return 1
	}
	return 0
}

func dial(address string) (*os.File, error) {
	kind, rest, _ := strings.Cut(address, "!")
	switch kind {
	case "port":
		return dialPort(rest)
	case "vsock":
		return dialVsock(rest)
	}
	return nil, errors.New("want port!NAME or vsock!CID!PORT")
}

func dialVsock(address string) (*os.File, error) {
	var to unix.SockaddrVM
	if _, err := fmt.Sscanf(address, "%d!%d", &to.CID, &to.Port); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &to); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), address), nil
}

// dialPort starts a process that copies between the port and a pair of sockets, and
// returns the other end.
func dialPort(name string) (*os.File, error) {
	port, err := openPort(name)
	if err != nil {
		return nil, err
	}
	defer port.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe", "-between")
	cmd.Args[0] = "relay"
	cmd.ExtraFiles = []*os.File{port, theirs}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	return ours, nil
}

// between copies both ways until one end is closed.
func between(port, socket *os.File) int {
	ended := make(chan struct{}, 2)
	for _, way := range [][2]*os.File{{port, socket}, {socket, port}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	return 0
}

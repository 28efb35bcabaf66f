package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// environment is what the script starts with.
var environment = []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=dumb", "LC_ALL=C", "SHELL=/bin/sh"}

// runScript runs /script and returns its exit status, 128 + N if signal N
// ended it. All that was printed until then is in output when this returns. A
// pipe stands between them because a port can be opened only once, and scripts
// open /dev/stderr.
func runScript(output *os.File) (status int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/script")
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = w, w, environment, "/root"
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	w.Close()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(output, r)
		copied <- err
	}()
	if status, err = reap(cmd.Process.Pid); err != nil {
		return 0, err
	}
	// What the script left running may have the pipe open still.
	if err := r.SetReadDeadline(time.Now()); err != nil {
		return 0, err
	}
	if err := <-copied; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return status, drain(output, r)
}

// reap waits for the children, also those that were left to the first process
// of the system, until pid is among them.
func reap(pid int) (status int, err error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case got != pid:
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		default:
			return ws.ExitStatus(), nil
		}
	}
}

// drain copies what is in the pipe and waits for no more.
func drain(to io.Writer, pipe *os.File) error {
	if err := pipe.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	rc, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for n := 1; n > 0; {
		err = rc.Read(func(fd uintptr) bool {
			n, _ = unix.Read(int(fd), buf)
			return true
		})
		if err == nil && n > 0 {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

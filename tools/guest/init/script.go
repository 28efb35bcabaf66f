package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// environment is what the script starts with.
var environment = []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=dumb", "LC_ALL=C", "SHELL=/bin/sh"}

// runScript runs /script and returns its exit status, 128 + N if signal N
// ended it. All that was printed until then is in output when this returns. A
// pipe stands between them because a port can be opened only once, and scripts
// open /dev/stderr. Whenever the host says so, /stuck is run beside it.
func runScript(control io.Reader, output *os.File) (status int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := command("/script", w)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go tellStuck(control, w)
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

func command(name string, output *os.File) *exec.Cmd {
	cmd := exec.Command(name)
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = output, output, environment, "/root"
	return cmd
}

// tellStuck runs /stuck for each line of the host that says that nothing was
// printed for long. The children are reaped with all others.
func tellStuck(control io.Reader, output *os.File) {
	defer output.Close()
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) != "stuck" {
			continue
		}
		if err := command("/stuck", output).Start(); err != nil {
			fmt.Println("guest:", err)
		}
	}
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

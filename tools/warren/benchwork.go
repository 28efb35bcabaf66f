package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"warren/fs/ninep/bench9"
)

// pingRounds and startRounds are how often the work is done; the median of
// the times is reported, as single ones suffer from whatever else runs.
const (
	pingRounds  = 3000
	startRounds = 150
)

// median returns the median time of n runs of work, in microseconds.
func median(n int, work func() error) (float64, error) {
	times, err := medians(n, work)
	if err != nil {
		return 0, err
	}
	return times[0], nil
}

// medians returns the median times of n runs of each work. They take turns, as
// what else the machine does should fall on all of them.
func medians(n int, works ...func() error) ([]float64, error) {
	times := make([][]float64, len(works))
	for range n {
		for i, work := range works {
			begin := time.Now()
			if err := work(); err != nil {
				return nil, err
			}
			times[i] = append(times[i], float64(time.Since(begin).Nanoseconds())/1e3)
		}
	}
	mids := make([]float64, len(works))
	for i := range times {
		mids[i] = bench9.Median(times[i])
	}
	return mids, nil
}

// benchChan bounces a message of 64 bytes between this process and another.
func benchChan() ([]benchRow, error) {
	s, err := startBenchServer("host,cores=4", true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	there, back := filepath.Join(s.mount, "chans/there"), filepath.Join(s.mount, "chans/back")
	for _, dir := range []string{there, back} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	ours, err := bounceFiles(there+"/data", back+"/data")
	if err != nil {
		return nil, err
	}
	peer, err := bouncePipes()
	if err != nil {
		return nil, err
	}
	row := benchRow{Work: "chan: 64 B there and back", Ours: ours, Peer: peer, Unit: "us", Against: "the same two processes with two pipes"}
	row.Ratio, row.OK = ours/peer, true
	return []benchRow{row}, nil
}

func bounceFiles(there, back string) (float64, error) {
	out, err := os.OpenFile(there, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	in, err := os.Open(back)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	echo, err := startEcho(func(cmd *exec.Cmd) error {
		cmd.Args = append(cmd.Args, there, back)
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer endEcho(echo)
	return bounce(out, in)
}

func bouncePipes() (float64, error) {
	farIn, out, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer out.Close()
	in, farOut, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	echo, err := startEcho(func(cmd *exec.Cmd) error {
		cmd.Stdin, cmd.Stdout = farIn, farOut
		return nil
	})
	if err != nil {
		return 0, err
	}
	farIn.Close()
	farOut.Close()
	defer endEcho(echo)
	return bounce(out, in)
}

func startEcho(with func(*exec.Cmd) error) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "bench-echo")
	cmd.Args[0] = "warren"
	cmd.Stderr = os.Stderr
	if err := with(cmd); err != nil {
		return nil, err
	}
	return cmd, cmd.Start()
}

func endEcho(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
}

// bounce sends messages and waits for each to come back. It uses plain system
// calls, as the other end does, so that no scheduler of ours is measured.
func bounce(out, in *os.File) (float64, error) {
	msg := bytes.Repeat([]byte("x"), 64)
	buf := make([]byte, 128)
	o, i := int(out.Fd()), int(in.Fd())
	return median(pingRounds, func() error {
		if _, err := again(syscall.Write, o, msg); err != nil {
			return err
		}
		_, err := again(syscall.Read, i, buf)
		return err
	})
}

// again repeats a call that one of the Go runtime's own signals interrupted.
func again(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		if n, err := call(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

// benchEchoCommand is the other process of the chan bench.
func benchEchoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench-echo [FROM TO]", Hidden: true, Args: words(0, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			in, out := 0, 1
			if len(args) == 2 {
				var err error
				if in, err = syscall.Open(args[0], syscall.O_RDONLY, 0); err != nil {
					return err
				}
				if out, err = syscall.Open(args[1], syscall.O_WRONLY, 0); err != nil {
					return err
				}
			}
			buf := make([]byte, 128)
			for {
				n, err := again(syscall.Read, in, buf)
				if err != nil || n == 0 {
					return err
				}
				if _, err := again(syscall.Write, out, buf[:n]); err != nil {
					return err
				}
			}
		},
	}
}

// benchStart starts /bin/true through the tree from one client process.
func benchStart() ([]benchRow, error) {
	s, err := startBenchServer("host,cores=4", true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return nil, err
	}
	times, err := medians(startRounds,
		func() error { return startThroughTree(s.mount) },
		func() error { return exec.Command(taskset, "-c", "0", "/bin/true").Run() },
		func() error { return exec.Command("/bin/true").Run() })
	if err != nil {
		return nil, err
	}
	row := benchRow{
		Work: "start: /bin/true to its exit", Ours: times[0], Peer: times[1], Floor: times[2], Unit: "us",
		Against: "taskset -c 0 /bin/true; the floor is /bin/true itself",
	}
	return []benchRow{row.held(false, 1.5)}, nil
}

func startThroughTree(mount string) error {
	ctl, err := os.OpenFile(filepath.Join(mount, "procs/clone"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer ctl.Close()
	name := make([]byte, 32)
	n, err := ctl.Read(name)
	if err != nil {
		return err
	}
	id := strings.TrimSpace(string(name[:n]))
	if _, err := ctl.WriteString("exec /bin/true\nstart\n"); err != nil {
		return err
	}
	wait, err := os.Open(filepath.Join(mount, "procs", id, "wait"))
	if err != nil {
		return err
	}
	defer wait.Close()
	record, err := io.ReadAll(wait)
	if err != nil {
		return err
	}
	if fields := strings.Fields(string(record)); len(fields) < 2 || fields[1] != "0" {
		return fmt.Errorf("/bin/true ended with %q", record)
	}
	return nil
}

// benchScale brings up a machine of 4,096 slots and looks at what it costs.
func benchScale() ([]benchRow, error) {
	small, err := startBenchServer("host,cores=1", true)
	if err != nil {
		return nil, err
	}
	base, err := small.resident()
	if err := joinErr(err, small.stop()); err != nil {
		return nil, err
	}
	s, err := startBenchServer("host,cores=4096", true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	full, err := s.resident()
	if err != nil {
		return nil, err
	}
	stat := filepath.Join(s.mount, "cores/stat")
	read, err := median(20, func() error {
		b, err := os.ReadFile(stat)
		if err == nil && bytes.Count(b, []byte("\n")) != 4096 {
			err = fmt.Errorf("%s: not a line a core", stat)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	limit := func(work string, got, most float64, unit string) benchRow {
		return benchRow{Work: work, Ours: got, Ratio: 0, Bar: fmt.Sprintf("<=%g", most), OK: got <= most, Unit: unit}
	}
	return []benchRow{
		limit("scale: 4,096 slots, start to ready", float64(s.ready.Milliseconds()), 1000, "ms"),
		limit("scale: 4,096 slots, memory an idle core", max(0, (full-base)/4096), 4096, "bytes"),
		limit("scale: 4,096 slots, cat cores/stat", read/1e3, 20, "ms"),
	}, nil
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// resident returns the bytes of memory that the server's process has.
func (b *benchServer) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()), err
}

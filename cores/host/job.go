package host

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

// A job is a launched program.
type job struct {
	d     *Driver
	group group
	pin   cores.Pin
	begun time.Time
	pid   int
	pidfd int
	done  chan struct{}

	mu    sync.Mutex
	slots []cores.Slot
	lay   laying
	used  cores.Usage // the most that was told
	exit  cores.Exit
	over  bool // reaped: the pid may be another's
}

func newJob(d *Driver, p cores.Program, slots []cores.Slot, g group) *job {
	return &job{
		d: d, group: g, pin: p.Pin, begun: time.Now(),
		slots: slices.Clone(slots), done: make(chan struct{}),
	}
}

// ended is called by the watcher when the program is a zombie. It stays one,
// and so keeps its number, until everything else of the job is gone.
func (j *job) ended() {
	j.group.finish(&j.d.watch, j.pid, j.reap)
}

func (j *job) reap() {
	var status unix.WaitStatus
	var ru unix.Rusage
	j.mu.Lock()
	j.lay.stop()
	_, err := unix.Wait4(j.pid, &status, unix.WNOHANG, &ru)
	j.over = true
	j.exit = exitOf(status)
	j.used = most(j.used, cores.Usage{User: duration(ru.Utime), Sys: duration(ru.Stime)})
	j.used.Real = time.Since(j.begun)
	j.exit.Usage = j.used
	j.mu.Unlock()
	if err != nil {
		j.d.log.Error("a program's exit status is lost", "pid", j.pid, "error", err)
	}
	unix.Close(j.pidfd)
	close(j.done)
}

func exitOf(s unix.WaitStatus) cores.Exit {
	if s.Signaled() {
		return cores.Exit{Signal: int(s.Signal()), Core: s.CoreDump()}
	}
	return cores.Exit{Code: s.ExitStatus()}
}

func duration(t unix.Timeval) time.Duration { return time.Duration(t.Nano()) }

// most is what both agree on at least: the counters come from places that are
// brought up to date at different times, and must not go back.
func most(a, b cores.Usage) cores.Usage {
	return cores.Usage{User: max(a.User, b.User), Sys: max(a.Sys, b.Sys), Real: max(a.Real, b.Real)}
}

// PID is the program's.
func (j *job) PID() int { return j.pid }

// Done is closed when nothing of the job is left.
func (j *job) Done() <-chan struct{} { return j.done }

// Exit is how the program ended, once Done is closed.
func (j *job) Exit() cores.Exit {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.exit
}

// alive fails with ESRCH once the program's number is no more its own. j.mu is held.
func (j *job) alive() error {
	if j.over {
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	}
	return nil
}

// Signal sends a signal to the program's process group.
func (j *job) Signal(sig int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	if err := unix.Kill(-j.pid, syscall.Signal(sig)); err != nil {
		return sys.Errorf(sys.Errno(err), "signal %d: %v", sig, sys.Errno(err))
	}
	return nil
}

// Freeze stops or continues everything in the job.
func (j *job) Freeze(on bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	return j.group.freeze(j.pid, on)
}

// Kill ends everything in the job; it succeeds when there is nothing.
func (j *job) Kill() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		return nil
	}
	return j.group.kill(j.pid)
}

// Usage is that of the job so far.
func (j *job) Usage() cores.Usage {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.over {
		user, sys := j.group.used(j.pid)
		j.used = most(j.used, cores.Usage{User: user, Sys: sys, Real: time.Since(j.begun)})
	}
	return j.used
}

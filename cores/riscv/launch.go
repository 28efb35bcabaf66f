package riscv

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/cores/riscv/sim"
	"warren/fs/sys"
)

// Launch starts a program, each slot a rank of it: the executable of its role,
// if there is one, else that of Args. What the program's user may not read is
// refused, as is an executable for another machine (ENOEXEC).
func (d *Driver) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	if d.closed.Load() {
		return nil, sys.Errorf(syscall.ESHUTDOWN, "exec: the server is going down")
	}
	if len(p.Args) == 0 && len(p.Roles) == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "exec: no program")
	}
	on, err := d.places(slots)
	if err != nil {
		return nil, err
	}
	j := &job{driver: d, program: p, slots: slices.Clone(slots), began: time.Now(), done: make(chan struct{})}
	if err := j.take(p); err != nil {
		return nil, err
	}
	images := &images{program: p, known: make(map[string]*sim.Image)}
	j.job, err = d.m.Launch(sim.Launch{
		Name: p.Name, Cores: on, Write: j.write, Ready: j.ready, More: j.more(),
		Image: images.of,
	})
	if err != nil {
		j.drop()
		return nil, err
	}
	close(j.begun)
	go j.wait()
	return j, nil
}

// places are the cores of the slots, in the order of vcores.
func (d *Driver) places(slots []cores.Slot) ([]int, error) {
	if len(slots) == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "cores: a program needs at least one")
	}
	on := make([]int, len(slots))
	for i, s := range slots {
		if !d.has(s.Core) {
			return nil, sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", d.shown(s.Core), len(d.infos))
		}
		if !d.Online(s.Core) {
			return nil, sys.Errorf(syscall.EBUSY, "core %d is offline", d.shown(s.Core))
		}
		on[i] = int(s.Core)
	}
	return on, nil
}

// images are what the cores of a program run, each read once.
type images struct {
	program cores.Program

	mu    sync.Mutex
	known map[string]*sim.Image // by role; "": of those without a program of their own
}

// of is what a core of a role runs.
func (i *images) of(role string) (*sim.Image, error) {
	p, args, key := &i.program, i.program.Args, ""
	for name, own := range p.Roles {
		if strings.EqualFold(name, role) {
			args, key = own, role
		}
	}
	if len(args) == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "exec: nothing to run on cores of role %s (want exec PROG, or exec -on %s PROG)", role, role)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known[key] == nil {
		elf, err := readAs(p.User, p.Dir, args[0], maxELF)
		if err != nil {
			return nil, err
		}
		i.known[key] = &sim.Image{ELF: elf, Args: args, Env: p.Env}
	}
	return i.known[key], nil
}

// maxELF bounds an executable, in bytes.
const maxELF = 64 << 20

// A job is a program on simulated cores.
type job struct {
	driver  *Driver
	program cores.Program
	job     *sim.Job
	began   time.Time
	begun   chan struct{} // closed when job is set
	done    chan struct{}

	stdin          *os.File
	stdout, stderr *os.File
	kept           [2][]byte  // of each, what could not be written; of who runs the machine, then of wait
	reading        sync.Mutex // guards input
	input          []byte     // as it is read

	mu    sync.Mutex
	slots []cores.Slot
	exit  cores.Exit
}

// take makes the program's files the job's own.
func (j *job) take(p cores.Program) error {
	j.begun = make(chan struct{})
	for _, f := range []struct {
		from *os.File
		to   **os.File
	}{{p.Stdin, &j.stdin}, {p.Stdout, &j.stdout}, {p.Stderr, &j.stderr}} {
		if f.from == nil {
			continue
		}
		fd, err := unix.FcntlInt(f.from.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			j.drop()
			return sys.Errorf(sys.Errno(err), "exec: no descriptor for %s: %v", f.from.Name(), err)
		}
		*f.to = os.NewFile(uintptr(fd), f.from.Name())
	}
	return nil
}

// drop closes the job's files.
func (j *job) drop() {
	for _, f := range []*os.File{j.stdin, j.stdout, j.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// write puts what cores wrote where the program's output goes. The program has been
// told that it is written: what there is no room for is kept, and goes before the next.
func (j *job) write(fd int, p []byte) error {
	f := j.stdout
	if fd == 2 {
		f = j.stderr
	}
	if f == nil {
		return nil
	}
	kept := &j.kept[fd-1]
	own := len(*kept) > 0
	if own {
		*kept = append(*kept, p...)
		p = *kept
	}
	n, err := f.Write(p)
	switch {
	case n == len(p):
		*kept = nil
	case own:
		*kept = p[n:]
	default:
		*kept = bytes.Clone(p[n:])
	}
	if !own && len(*kept) > 0 {
		j.driver.tell("kept", fmt.Sprintf("%s: %v: what it wrote before is kept, and tried again when it writes or ends", j.program.Name, sys.Errno(err)))
	}
	return err
}

// lost tries once more to write what is kept, when the program has ended, and tells of
// what is lost then.
func (j *job) lost() bool {
	lost := false
	for fd := 1; fd <= 2; fd++ {
		if len(j.kept[fd-1]) == 0 {
			continue
		}
		if err := j.write(fd, nil); err != nil {
			lost = true
			j.driver.tell("lost", fmt.Sprintf("%s: the last %d bytes of its %s are lost: %v", j.program.Name, len(j.kept[fd-1]), [...]string{"stdout", "stderr"}[fd-1], sys.Errno(err)))
		}
	}
	return lost
}

// inputPiece is how much input is read at once: less would be asked for again
// and again, more would be taken from a pipe before it is needed.
const inputPiece = 64 << 10

// more returns what asks for the program's input; nil: there is none.
func (j *job) more() func() {
	if j.stdin == nil {
		return nil
	}
	return func() { go j.read() }
}

// read reads a piece of input, and waits for it as long as it takes.
func (j *job) read() {
	<-j.begun
	j.reading.Lock()
	defer j.reading.Unlock()
	n, err := j.stdin.Read(j.buffer())
	j.job.Feed(j.input[:n], err != nil)
}

func (j *job) buffer() []byte {
	if j.input == nil {
		j.input = make([]byte, inputPiece)
	}
	return j.input
}

// readyTime bounds how long the machine stands until input arrives that has come.
const readyTime = time.Second

// ready returns a piece of the input that has come, as large as there is, and
// whether the input has ended: what there is when it is asked for does not depend
// on how soon the host passes it on.
func (j *job) ready() (p []byte, eof bool) {
	if j.stdin == nil || !j.reading.TryLock() {
		return nil, false
	}
	defer j.reading.Unlock()
	buf, n := j.buffer(), 0
	for end := time.Now().Add(readyTime); n < len(buf) && j.readable(end); {
		k, err := unix.Read(int(j.stdin.Fd()), buf[n:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if k <= 0 {
			return buf[:n], true
		}
		n += k
	}
	return buf[:n], false
}

// readable reports whether a read of the input would not wait; it waits for what
// has come, but is not in the file yet, until then.
func (j *job) readable(end time.Time) bool {
	for {
		pending := j.program.Pending != nil && j.program.Pending()
		wait := 0
		if pending {
			wait = 1
		}
		fds := []unix.PollFd{{Fd: int32(j.stdin.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, wait); n > 0 || err == nil && !pending || time.Now().After(end) {
			return n > 0
		}
	}
}

// wait waits for the end.
func (j *job) wait() {
	<-j.job.Done()
	e := j.job.Exit()
	if e.Reason != "" {
		_ = j.write(2, []byte(e.Reason+"\n")) // what there is no room for is kept
	}
	if j.lost() && e.Code == 0 && e.Signal == 0 {
		e.Code = 1
	}
	usage := j.Usage()
	j.mu.Lock()
	j.exit = cores.Exit{Code: e.Code, Signal: e.Signal, Usage: usage}
	j.mu.Unlock()
	j.drop()
	close(j.done)
}

// PID is 0: no process of the host is the program.
func (j *job) PID() int { return 0 }

// Place changes which cores the program has: a rank that loses its core is kept
// with its memory, one that gets another goes on there, and new ranks begin.
func (j *job) Place(slots []cores.Slot) error {
	if _, err := j.driver.places(slots); err != nil {
		return err
	}
	ranks := make(map[int]int, len(slots))
	for _, s := range slots {
		ranks[s.VCore] = int(s.Core)
	}
	if err := j.job.Place(ranks); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.slots = slices.Clone(slots)
	return nil
}

// Signal ends the program, or stops it or lets it go on; signals that end no
// program by themselves (CHLD, WINCH, URG) do nothing.
func (j *job) Signal(sig int) error {
	switch syscall.Signal(sig) {
	case 0:
		return j.job.Alive()
	case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		return j.job.Freeze(true)
	case syscall.SIGCONT:
		return j.job.Freeze(false)
	case syscall.SIGCHLD, syscall.SIGWINCH, syscall.SIGURG:
		return j.job.Alive()
	}
	return j.job.Signal(sig)
}

// Freeze stops the program or lets it go on.
func (j *job) Freeze(on bool) error { return j.job.Freeze(on) }

// Kill ends the program.
func (j *job) Kill() error {
	_ = j.job.Signal(int(syscall.SIGKILL)) // one that has ended needs none
	return nil
}

// Threads are the vcores.
func (j *job) Threads() []cores.Thread {
	if j.job.Alive() != nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]cores.Thread, len(j.slots))
	for i, s := range j.slots {
		out[i] = cores.Thread{TID: int(s.Core), VCore: s.VCore}
	}
	return out
}

// Usage is the time that the cores ran, by their own clock, and how long it
// took on the host.
func (j *job) Usage() cores.Usage {
	select {
	case <-j.done:
		return j.Exit().Usage
	default:
	}
	return cores.Usage{User: micros(j.job.Cycles(), uint64(j.driver.m.Spec().MHz)), Real: time.Since(j.began)}
}

// Done is closed at the end.
func (j *job) Done() <-chan struct{} { return j.done }

// Exit is how it ended.
func (j *job) Exit() cores.Exit {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.exit
}

// path is a file's, in the directory of the program.
func path(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

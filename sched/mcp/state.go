package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// stateDir is the folder of the state directory in which programs' output is.
// A process that was started has a slot: the files N.stdout and N.stderr, and
// a record of its program in the file jobs, at N times the record's size, from
// which a later server sees what still runs.
//
// To make and unlink files is what a start costs most, and file systems punish
// those who do both quickly: ext4 passes over every file that anybody unlinked in
// the last minute. So the files of a removed process are used again, emptied,
// for the next process of the same user: what a program may have kept open, it
// shares with itself. And once a program was started, the files of some more
// are made ahead.
type stateDir struct {
	path      string
	lock      *os.File // the folder, locked against other servers
	jobs      *os.File
	leftovers []string
	left      []int // their slots

	mu     sync.Mutex
	next   int   // the first slot that was never used
	free   []int // slots without files
	spare  map[uint32][]int
	spares int   // in all of spare
	ready  []int // slots with files that nobody ever had
	making bool
	made   sync.WaitGroup // what makes them
}

const (
	jobsName   = "jobs"
	recordSize = 256
	maxSpares  = 64
	maxReady   = 2
)

// open makes the folder and takes it, finds what runs, and removes what an
// earlier server left of programs that have ended.
func (d *stateDir) open(base string) (err error) {
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.path, d.spare = filepath.Join(base, "procs"), make(map[uint32][]int)
	// Programs run as other users: they reach their files by descriptors only.
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if d.lock, err = os.Open(d.path); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return sys.Errorf(syscall.EBUSY, "state directory %s: another server has it (give each its own with -state)", base)
	}
	if d.jobs, err = os.OpenFile(filepath.Join(d.path, jobsName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	names, err := d.lock.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	for _, name := range names {
		number, isOut := strings.CutSuffix(name, "."+stdoutName)
		if n, err := strconv.Atoi(number); isOut && err == nil {
			d.found(n)
		}
	}
	return nil
}

// found looks at a slot of an earlier server.
func (d *stateDir) found(n int) {
	if line, alive := d.recorded(n); alive {
		d.next = max(d.next, n+1)
		d.left = append(d.left, n)
		d.leftovers = append(d.leftovers, line+" (output in "+d.base(n)+".*)")
		return
	}
	_ = d.remove(n) // what cannot be removed is in nobody's way: it is used again
}

// base is the path of a slot's files, but for their names.
func (d *stateDir) base(n int) string { return filepath.Join(d.path, strconv.Itoa(n)) }

// take takes a slot for a process of this user.
func (d *stateDir) take(uid uint32) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if list := d.spare[uid]; len(list) > 0 {
		d.spares--
		n, d.spare[uid] = list[len(list)-1], list[:len(list)-1]
		return n
	}
	defer d.prepare()
	if last := len(d.ready) - 1; last >= 0 {
		n, d.ready = d.ready[last], d.ready[:last]
		return n
	}
	return d.fresh()
}

// fresh returns a slot without files. d.mu is held.
func (d *stateDir) fresh() (n int) {
	if last := len(d.free) - 1; last >= 0 {
		n, d.free = d.free[last], d.free[:last]
		return n
	}
	d.next++
	return d.next - 1
}

// prepare sees to it that there will be slots with files. d.mu is held.
func (d *stateDir) prepare() {
	if d.making || d.spare == nil {
		return
	}
	d.making = true
	d.made.Go(func() {
		for d.ahead() {
		}
	})
}

// ahead makes the files of a slot; false if there are enough, or if it cannot:
// the process that needs them will say why.
func (d *stateDir) ahead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spare == nil || len(d.ready) >= maxReady {
		d.making = false
		return false
	}
	n := d.fresh()
	d.mu.Unlock()
	err := d.make(n)
	if err != nil {
		_ = d.remove(n) // half of it may be there
	}
	d.mu.Lock()
	if err != nil {
		d.free = append(d.free, n)
		d.making = false
		return false
	}
	d.ready = append(d.ready, n)
	return true
}

// make makes a slot's files.
func (d *stateDir) make(n int) error {
	for _, name := range []string{stdoutName, stderrName} {
		fd, err := unix.Open(d.base(n)+"."+name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

// give gives a slot back. Its files are kept, empty, for the user's next
// process, unless they may still be read.
func (d *stateDir) give(n int, uid uint32, again bool) error {
	base := d.base(n)
	again = again && empty(base+"."+stdoutName) && empty(base+"."+stderrName)
	d.mu.Lock()
	if again && d.spares < maxSpares && d.spare != nil {
		defer d.mu.Unlock()
		d.spares++
		d.spare[uid] = append(d.spare[uid], n)
		return nil
	}
	d.mu.Unlock()
	err := d.remove(n)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, n)
	return err
}

// empty makes a file empty, which costs nothing if it is; false if it cannot.
func empty(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && (st.Size == 0 || unix.Truncate(path, 0) == nil)
}

// remove removes a slot's files.
func (d *stateDir) remove(n int) error {
	var first error
	for _, name := range []string{stdoutName, stderrName} {
		if err := os.Remove(d.base(n) + "." + name); err != nil && !errors.Is(err, os.ErrNotExist) && first == nil {
			first = err
		}
	}
	return first
}

// clear gives the folder up and removes it, but for the output of what an
// earlier server left running and still runs.
func (d *stateDir) clear() {
	if d.lock == nil {
		return // given up before
	}
	alive := 0
	for _, n := range d.left {
		if _, runs := d.recorded(n); runs {
			alive++
		} else {
			_ = d.remove(n)
		}
	}
	d.close()
	if alive == 0 {
		_ = os.Remove(filepath.Join(d.path, jobsName))
		_ = os.Remove(d.path)
	}
}

// close gives the folder up, without the files that nobody uses.
func (d *stateDir) close() {
	d.mu.Lock()
	unused := d.spare
	d.spare = nil
	d.mu.Unlock()
	d.made.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range slices.Concat(slices.Concat(slices.Collect(maps.Values(unused))...), d.ready) {
		_ = d.remove(n)
	}
	d.ready = nil
	for _, f := range []*os.File{d.jobs, d.lock} {
		if f != nil {
			f.Close()
		}
	}
	d.jobs, d.lock = nil, nil
}

// record writes down which program is a slot's: pid, start time, process,
// arguments, as far as there is room. Where that fails a later server will not
// know of it, which does not harm this one.
func (d *stateDir) record(n, pid int, name string, args []string) error {
	start := startTime(pid)
	if start == "" {
		return nil // it has ended already
	}
	text := fmt.Appendf(make([]byte, 0, recordSize), "%d %s %s %s", pid, start, name, strings.Join(args, " "))
	text = append(text[:min(len(text), recordSize-1)], '\n')
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs == nil {
		return os.ErrClosed
	}
	_, err := d.jobs.WriteAt(append(text, make([]byte, recordSize-len(text))...), int64(n)*recordSize)
	return err
}

// recorded tells of the program of a slot, and whether it still runs.
func (d *stateDir) recorded(n int) (line string, alive bool) {
	b := make([]byte, recordSize)
	if _, err := d.jobs.ReadAt(b, int64(n)*recordSize); err != nil {
		return "", false
	}
	text, _, _ := strings.Cut(string(b), "\n")
	fields := strings.SplitN(text, " ", 4)
	if len(fields) < 4 {
		return "", false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || startTime(pid) != fields[1] {
		return "", false
	}
	return fmt.Sprintf("%s (pid %d) runs on: %s", fields[2], pid, strings.ToValidUTF8(fields[3], "")), true
}

// startTime is when a Linux process was started, in ticks since boot, as its
// stat has it: with the pid it names one process for ever. "" if there is none.
func startTime(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything; 20 fields after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' {
		return ""
	}
	return string(fields[19])
}

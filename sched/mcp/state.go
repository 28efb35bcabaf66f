package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// stateDir is the folder of the state directory in which each process that
// was started has a folder, named by its serial: its output, and a record of
// its program, from which a later server sees what still runs.
type stateDir struct {
	path      string
	lock      *os.File // the folder, locked against other servers
	highest   uint64   // serial that is in use
	leftovers []string
}

// recordName is the file with the record: pid, start time, name, arguments.
const recordName = "job"

// open makes the folder and takes it, finds what runs, and removes what an
// earlier server left of programs that have ended.
func (d *stateDir) open(base string) (err error) {
	d.path = filepath.Join(base, "procs")
	// Programs run as other users: they reach their files by descriptors only.
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if d.lock, err = os.Open(d.path); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.lock.Close()
		return sys.Errorf(syscall.EBUSY, "state directory %s: another server has it (give each its own with -state)", base)
	}
	names, err := d.lock.Readdirnames(-1)
	if err != nil {
		d.close()
		return fmt.Errorf("state directory: %w", err)
	}
	for _, name := range names {
		d.found(name)
	}
	return nil
}

// found looks at a folder of an earlier server's process.
func (d *stateDir) found(name string) {
	serial, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return // not ours
	}
	dir := filepath.Join(d.path, name)
	if line, alive := readRecord(dir); alive {
		d.highest = max(d.highest, serial)
		d.leftovers = append(d.leftovers, line+" (output in "+dir+")")
		return
	}
	_ = removeDir(dir) // what cannot be removed is in nobody's way: see make
}

// make makes a process's folder.
func (d *stateDir) make(serial uint64) (string, error) {
	dir := filepath.Join(d.path, strconv.FormatUint(serial, 10))
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		_ = removeDir(dir)
		err = os.Mkdir(dir, 0o700)
	}
	return dir, err
}

// clear removes the folder itself if no program's output is in it.
func (d *stateDir) clear() { _ = os.Remove(d.path) }

func (d *stateDir) close() { d.lock.Close() }

// removeDir removes a process's folder. Only files that we made are in it.
func removeDir(dir string) error {
	for _, name := range []string{stdoutName, stderrName, recordName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(dir)
}

// record writes down which program is the process's. Where that fails a later
// server will not know it, which does not harm this one.
func (s *Set) record(p *Proc, pid int) {
	start := startTime(pid)
	if start == "" {
		return // it has ended already
	}
	text := fmt.Appendf(nil, "%d %s %s %s\n", pid, start, p.meta.Name, strings.Join(p.Exec(), " "))
	if err := os.WriteFile(filepath.Join(p.folder(), recordName), text, 0o600); err != nil {
		s.Log.Warn("process not recorded", "proc", p.meta.Name, "err", err)
	}
}

// readRecord tells of the program of a folder, and whether it still runs.
func readRecord(dir string) (line string, alive bool) {
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return "", false
	}
	fields := strings.SplitN(strings.TrimSuffix(string(text), "\n"), " ", 4)
	if len(fields) < 4 {
		return "", false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || startTime(pid) != fields[1] {
		return "", false
	}
	return fmt.Sprintf("%s (pid %d) runs on: %s", fields[2], pid, fields[3]), true
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

// files are the ends of a program's files.
type files struct {
	stdin, stdout, stderr *os.File // the program's
	input                 *os.File // ours
}

// openFiles makes the program's folder and files.
func (p *Proc) openFiles() (f files, err error) {
	dir, err := p.set.state.make(p.meta.Serial)
	if err != nil {
		return f, fileError(err)
	}
	p.mu.Lock()
	p.dir = dir
	p.mu.Unlock()
	defer func() {
		if err != nil {
			f.closeChild()
			p.dropFiles()
			err = fileError(err)
		}
	}()
	u := p.User()
	if f.stdout, err = openOutput(dir, stdoutName, u); err != nil {
		return f, err
	}
	if f.stderr, err = openOutput(dir, stderrName, u); err != nil {
		return f, err
	}
	if f.stdin, f.input, err = inputPipe(); err != nil {
		return f, err
	}
	p.out.begin(dir)
	return f, nil
}

// openOutput makes a log. It is the user's, so that programs can open
// /dev/stdout.
func openOutput(dir, name string, u *sys.User) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil || int(u.UID) == os.Geteuid() {
		return f, err
	}
	if err := f.Chown(int(u.UID), int(u.GID)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// inputPipe makes a pipe of which only our end never blocks.
func inputPipe() (theirs, ours *os.File, err error) {
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fd[1], true); err != nil {
		unix.Close(fd[0])
		unix.Close(fd[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd[0]), "stdin"), os.NewFile(uintptr(fd[1]), "stdin"), nil
}

// closeChild closes the ends that are the program's.
func (f files) closeChild() {
	for _, end := range []*os.File{f.stdin, f.stdout, f.stderr} {
		if end != nil {
			end.Close()
		}
	}
}

// folder returns the process's part of the state directory.
func (p *Proc) folder() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dir
}

// dropFiles removes the process's part of the state directory.
func (p *Proc) dropFiles() {
	p.mu.Lock()
	dir := p.dir
	p.dir = ""
	p.mu.Unlock()
	p.out.abort()
	if dir == "" {
		return
	}
	if err := removeDir(dir); err != nil {
		p.set.Log.Warn("output not removed", "proc", p.meta.Name, "err", err)
	}
}

// standardPath is where programs are found that were given no PATH.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// path returns the PATH of a program: the server's own for its own user.
func (s *Set) path(u *sys.User) string {
	if own := os.Getenv("PATH"); own != "" && int(u.UID) == os.Geteuid() {
		return own
	}
	return standardPath
}

// homes remembers the users' home directories for some time, as a look-up may
// go over a network. The zero homes is ready.
type homes struct {
	mu    sync.Mutex
	dirs  map[uint32]string
	since time.Time
}

// keepHomes is how long a change of the users' database may go unnoticed.
const keepHomes = 30 * time.Second

func (h *homes) of(uid uint32) string {
	h.mu.Lock()
	if time.Since(h.since) > keepHomes {
		h.dirs, h.since = make(map[uint32]string), time.Now()
	}
	dir, ok := h.dirs[uid]
	h.mu.Unlock()
	if ok {
		return dir
	}
	dir = "/"
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil && u.HomeDir != "" {
		dir = u.HomeDir
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirs[uid] = dir
	return dir
}

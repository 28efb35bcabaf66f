package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// A cgroup is a group by cgroup v2.
type cgroup struct {
	gs  *groups
	dir string
	fd  int // until the program is started
}

// basePrefix begins the names of drivers' cgroups; the server's pid follows.
const basePrefix = "warren-"

// Cgroup tells in which cgroup v2 directory drivers make those of their jobs,
// or why they can make none. On a hybrid machine v2 is mounted beside v1's
// hierarchies and has no controllers, which is all that is needed here. root
// is where /proc and /sys are.
func Cgroup(root string) (dir, why string) {
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return "", err.Error()
	}
	mount := cgroup2Mount(string(mounts))
	if mount == "" {
		return "", "cgroup v2 is not mounted"
	}
	mine, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return "", err.Error()
	}
	path, ok := ownPath(string(mine))
	if !ok {
		return "", "this process is in no cgroup v2"
	}
	dir = filepath.Join(root, mount, path)
	// Who clones into a cgroup must be able to write that of the common ancestor.
	if err := unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK); err != nil {
		return "", fmt.Sprintf("%s is not ours to write (%v)", dir, err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0); errno == unix.ENOSYS || errno == unix.EPERM {
		return "", "clone3 is not to be had (a container's seccomp filter?)"
	}
	return dir, ""
}

// ownPath is the v2 line of a /proc/PID/cgroup.
func ownPath(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path), true
		}
	}
	return "", false
}

// cgroup2Mount finds where a mountinfo has cgroup v2.
func cgroup2Mount(text string) string {
	for line := range strings.Lines(text) {
		left, right, _ := strings.Cut(line, " - ")
		words := strings.Fields(left)
		if strings.HasPrefix(right, "cgroup2 ") && len(words) > 4 {
			return unoctal.Replace(words[4])
		}
	}
	return ""
}

// makeBase makes the driver's cgroup, or says why there can be none.
func makeBase(parent string) (dir, why string) {
	name := filepath.Join(parent, basePrefix+strconv.Itoa(os.Getpid()))
	dir = name
	for n := 1; ; n++ {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) || n > 1000 {
			return "", err.Error()
		}
		dir = name + "." + strconv.Itoa(n) // another driver's, or an old one's
	}
	for _, need := range []string{"cgroup.kill", "cgroup.freeze"} {
		if unix.Access(filepath.Join(dir, need), unix.F_OK) != nil {
			os.Remove(dir)
			return "", "this kernel has no " + need + " (Linux 5.14 has)"
		}
	}
	return dir, ""
}

// sweep removes what dead servers left: cgroups with no process in them.
func sweep(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, basePrefix+"*"))
	for _, dir := range dirs {
		word, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), basePrefix), ".")
		pid, err := strconv.Atoi(word)
		if err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			removeTree(dir)
		}
	}
}

// removeTree removes a cgroup and those below it, as far as they are empty.
func removeTree(dir string) error {
	for _, below := range cgroupsBelow(dir) {
		removeTree(below)
	}
	return unix.Rmdir(dir)
}

func makeCgroup(gs *groups, dir string) (*cgroup, error) {
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return nil, sys.Errorf(sys.Errno(err), "exec: cannot make cgroup %s: %v", dir, err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Rmdir(dir)
		return nil, sys.Errorf(sys.Errno(err), "exec: cannot open cgroup %s: %v", dir, err)
	}
	return &cgroup{gs: gs, dir: dir, fd: fd}, nil
}

func (g *cgroup) attach(attr *syscall.SysProcAttr) {
	attr.UseCgroupFD, attr.CgroupFD = true, g.fd
}

func (g *cgroup) environ(env []string) []string { return env }

func (g *cgroup) started() {
	unix.Close(g.fd)
	g.fd = -1
}

func (g *cgroup) discard() { g.remove() }

// remove removes the cgroup, which fails with EBUSY if a process is left.
func (g *cgroup) remove() error {
	err := unix.Rmdir(g.dir)
	if err != nil && !g.populated() {
		err = removeTree(g.dir) // the program made cgroups of its own
	}
	if err == nil {
		g.gs.gone()
	}
	return err
}

func (g *cgroup) write(file, text string) error {
	fd, err := unix.Open(filepath.Join(g.dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	if err == unix.ENODEV { // it was removed since the file was opened
		err = unix.ENOENT
	}
	return err
}

func (g *cgroup) pids(int) []int {
	var out []int
	b, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	for word := range bytes.FieldsSeq(b) {
		if n, err := strconv.Atoi(string(word)); err == nil {
			out = append(out, n)
		}
	}
	for _, below := range cgroupsBelow(g.dir) {
		out = append(out, (&cgroup{dir: below}).pids(0)...)
	}
	return out
}

// cgroupsBelow lists the cgroups in a cgroup. Mostly there are none, which its
// link count tells.
func cgroupsBelow(dir string) []string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || st.Nlink <= 2 {
		return nil
	}
	var out []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

func (g *cgroup) kill(int) error { return g.write("cgroup.kill", "1") }

func (g *cgroup) freeze(_ int, on bool) error {
	if on {
		return g.write("cgroup.freeze", "1")
	}
	return g.write("cgroup.freeze", "0")
}

func (g *cgroup) used(int) (user, sys time.Duration) {
	b, _ := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	return microseconds(b, "user_usec "), microseconds(b, "system_usec ")
}

// microseconds reads the value of a key, which ends in a blank, of a flat file.
func microseconds(b []byte, key string) time.Duration {
	_, rest, _ := bytes.Cut(b, []byte(key))
	n, _, _ := number(rest, 0)
	return time.Duration(n) * time.Microsecond
}

func (g *cgroup) populated() bool {
	b, err := os.ReadFile(filepath.Join(g.dir, "cgroup.events"))
	return err == nil && bytes.Contains(b, []byte("populated 1"))
}

// finish: mostly nothing is left, and removing the cgroup proves it.
func (g *cgroup) finish(w *watcher, _ int, done func()) {
	if g.remove() == nil {
		done()
		return
	}
	events, err := unix.Open(filepath.Join(g.dir, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		g.gs.log.Warn("cgroup", "dir", g.dir, "error", err)
		done()
		return
	}
	g.kill(0)
	g.await(w, events, func() {
		unix.Close(events)
		if err := g.remove(); err != nil {
			g.gs.log.Warn("cgroup cannot be removed", "dir", g.dir, "error", err)
		}
		done()
	})
}

// await calls f when the last process is gone. A read arms the descriptor:
// what changes after it makes it ready.
func (g *cgroup) await(w *watcher, events int, f func()) {
	var buf [256]byte
	n, err := unix.Pread(events, buf[:], 0)
	if err == nil && bytes.Contains(buf[:n], []byte("populated 1")) {
		err = w.add(events, unix.EPOLLPRI, func() { g.await(w, events, f) })
		if err == nil {
			return
		}
	}
	f()
}

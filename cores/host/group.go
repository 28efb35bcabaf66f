package host

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A group holds a job's processes together: a cgroup, or what /proc tells.
type group interface {
	// attach makes a process that is started with attr a member.
	attach(attr *syscall.SysProcAttr)
	// environ is the environment for the program.
	environ(env []string) []string
	// started says that the program was, or was not, started.
	started()
	// discard removes a group that never had a process.
	discard()
	// pids lists the processes; pid is the program's.
	pids(pid int) []int
	// kill ends all processes; freeze stops or continues them.
	kill(pid int) error
	freeze(pid int, on bool) error
	// used is the time that all of them used.
	used(pid int) (user, sys time.Duration)
	// finish kills what is left when the program has ended, removes the
	// group, and then calls done. It does not block.
	finish(w *watcher, pid int, done func())
}

// groups makes groups: in a cgroup of this driver, which is made with the
// first job, or without if there can be none.
type groups struct {
	log *slog.Logger

	mu     sync.Mutex
	opened bool
	base   string // the driver's cgroup; "": there is none
	marker string // what tells jobs without a cgroup in their environment, but the serial
	live   int    // cgroups in base
	closed bool
}

// create makes the group of a job.
func (gs *groups) create(name string, serial uint64) (group, error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if !gs.opened {
		gs.opened = true
		gs.open()
	}
	id := strconv.FormatUint(serial, 10)
	if gs.base == "" {
		return &session{mark: gs.marker + id}, nil
	}
	dir := filepath.Join(gs.base, strings.ReplaceAll(name, "/", "_")+"."+id)
	g, err := makeCgroup(gs, dir)
	if errors.Is(err, syscall.ENOENT) { // somebody tidied the empty base away
		os.Mkdir(gs.base, 0o755)
		g, err = makeCgroup(gs, dir)
	}
	if err != nil {
		return nil, err
	}
	gs.live++
	return g, nil
}

// open makes the driver's cgroup. gs.mu is held.
func (gs *groups) open() {
	gs.marker = "WARREN_JOB=" + strconv.FormatInt(time.Now().UnixNano(), 36) + "."
	parent, why := Cgroup("/")
	if why == "" {
		sweep(parent)
		gs.base, why = makeBase(parent)
	}
	if why != "" {
		gs.log.Warn("no cgroups: programs are followed through /proc", "why", why)
	}
}

// owns reports whether a process belongs to a job.
func (gs *groups) owns(pid int) bool {
	gs.mu.Lock()
	base, marker := gs.base, gs.marker
	gs.mu.Unlock()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if base != "" {
		b, err := os.ReadFile(filepath.Join(proc, "cgroup"))
		return err == nil && strings.Contains(string(b), "/"+filepath.Base(base)+"/")
	}
	return marker != "" && marked(proc, func(entry string) bool { return strings.HasPrefix(entry, marker) })
}

// marked reports whether a process has an entry in its environment that is so.
func marked(proc string, is func(entry string) bool) bool {
	b, err := os.ReadFile(filepath.Join(proc, "environ"))
	return err == nil && slices.ContainsFunc(strings.Split(string(b), "\x00"), is)
}

// gone counts a removed cgroup; the last one takes the driver's with it, if that is closed.
func (gs *groups) gone() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.live--
	gs.end()
}

func (gs *groups) close() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.closed = true
	gs.end()
}

// end removes the driver's cgroup when it is not needed. gs.mu is held.
func (gs *groups) end() {
	if gs.closed && gs.live == 0 && gs.base != "" {
		os.Remove(gs.base)
	}
}

package host

import (
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A session is a group without a cgroup: the processes of the program's
// session or process group, their descendants, and those that have inherited
// a mark in their environment, which few programs clear. What hides from all four is not found.
type session struct {
	mark string
}

func (g *session) attach(*syscall.SysProcAttr) {}

func (g *session) environ(env []string) []string { return append(slices.Clip(env), g.mark) }
func (g *session) started()                      {}
func (g *session) discard()                      {}

func (g *session) pids(pid int) []int {
	var all []procStat
	for _, n := range numbers("/proc") {
		if st, ok := statOf(filepath.Join("/proc", strconv.Itoa(n))); ok && st.state != 'Z' && st.state != 'X' {
			all = append(all, st)
		}
	}
	mine := map[int]bool{}
	is := func(entry string) bool { return entry == g.mark }
	for _, st := range all {
		if st.pid == pid || st.session == pid || st.pgrp == pid || marked(filepath.Join("/proc", strconv.Itoa(st.pid)), is) {
			mine[st.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, st := range all {
			if (mine[st.ppid] || st.ppid == pid) && !mine[st.pid] {
				mine[st.pid], grown = true, true
			}
		}
	}
	out := make([]int, 0, len(mine))
	for n := range mine {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// kill goes on until it finds nobody new: a process may fork while the others are looked for.
func (g *session) kill(pid int) error {
	killed := map[int]bool{}
	for range rounds {
		grown := false
		for _, n := range g.pids(pid) {
			unix.Kill(n, unix.SIGKILL)
			if !killed[n] {
				killed[n], grown = true, true
			}
		}
		if !grown {
			return nil
		}
	}
	return unix.EAGAIN
}

func (g *session) freeze(pid int, on bool) error {
	sig := unix.SIGCONT
	if on {
		sig = unix.SIGSTOP
	}
	for _, n := range g.pids(pid) {
		unix.Kill(n, sig)
	}
	return nil
}

func (g *session) used(pid int) (user, sys time.Duration) {
	st, _ := statOf(filepath.Join("/proc", strconv.Itoa(pid)))
	return st.user, st.used + st.waited - st.user
}

func (g *session) finish(_ *watcher, pid int, done func()) {
	go func() {
		for delay := time.Millisecond; ; delay = min(2*delay, time.Second) {
			g.kill(pid)
			if len(g.pids(pid)) == 0 {
				done()
				return
			}
			<-time.After(delay) // for the kernel to bury them
		}
	}()
}

package host

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A procStat is what /proc tells of a process or thread.
type procStat struct {
	pid, ppid, pgrp, session int
	state                    byte
	comm                     string
	used                     time.Duration // user and system time
	waited                   time.Duration // that of its waited-for children
	user                     time.Duration // the user's part of used and waited
	start                    time.Duration // after boot
	cpu                      int           // where it ran last
}

// The fields of /proc/PID/stat after the command, counted from the state.
const (
	fState, fPPID, fPgrp, fSession     = 0, 1, 2, 3
	fUser, fSys, fChildUser, fChildSys = 11, 12, 13, 14
	fStart, fCPU, fLast                = 19, 36, 37
)

// parseProcStat reads a line of /proc/PID/stat. The command may hold anything.
func parseProcStat(b []byte) (procStat, bool) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || shut < open {
		return procStat{}, false
	}
	f := bytes.Fields(b[shut+1:])
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	if err != nil || len(f) < fLast {
		return procStat{}, false
	}
	at := func(i int) int { n, _ := strconv.Atoi(string(f[i])); return n }
	ticks := func(i int) time.Duration { return time.Duration(at(i)) * tick }
	return procStat{
		pid: pid, ppid: at(fPPID), pgrp: at(fPgrp), session: at(fSession),
		state: f[fState][0], comm: string(b[open+1 : shut]),
		used: ticks(fUser) + ticks(fSys), waited: ticks(fChildUser) + ticks(fChildSys),
		user: ticks(fUser) + ticks(fChildUser), start: ticks(fStart), cpu: at(fCPU),
	}, true
}

// statOf reads the stat of a process, or of a thread if the path says so.
func statOf(dir string) (procStat, bool) {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return procStat{}, false
	}
	return parseProcStat(b)
}

// numbers lists the entries of a directory that are numbers, in order: the
// processes of /proc, the threads of a task directory.
func numbers(dir string) []int {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil // the process ended
	}
	out := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// threadsOf lists the threads of a process, in the order they were made
// (unless their numbers have wrapped), the main one first.
func threadsOf(pid int) []int {
	tids := numbers(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if i := slices.Index(tids, pid); i > 0 {
		tids = slices.Insert(slices.Delete(tids, i, i+1), 0, pid)
	}
	return tids
}

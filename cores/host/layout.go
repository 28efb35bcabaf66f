package host

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

// How threads are laid over a job's cores. A thread that is pinned to one core
// leaves that to every thread and process it makes, so pinning what is about
// to multiply would put it all on one core until somebody looks again. Hence a
// job floats over all its cores as it starts, is pinned when it is
// one process whose two or more threads, one vcore each, have stayed the same from one look
// to the next, and floats for good once it has had a second process.

// A laying is the state of that.
type laying struct {
	timer  *time.Timer
	delay  time.Duration
	seen   []int // threads at the last look
	pinned []int // vcores' indices of seen; nil: they float
	floats bool  // for good
}

// The looks: soon after a change, then rarer, up to the driver's period; but
// not so rare while a pinned thread may make another on its own core.
const (
	firstLook = time.Millisecond
	openLook  = 100 * time.Millisecond
)

func (l *laying) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// look starts looking at the job's threads, if that can matter.
func (j *job) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lay.stop()
	if j.over || j.lay.floats || j.pin == cores.PinNone || len(j.slots) < 2 {
		return
	}
	j.lay.delay = firstLook
	j.lay.timer = time.AfterFunc(firstLook, j.relay)
}

// relay looks once, lays the threads, and sets the time of the next look.
func (j *job) relay() {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := &j.lay
	if j.over || l.floats || len(j.slots) < 2 {
		return
	}
	if len(j.group.pids(j.pid)) > 1 {
		l.floats = true
		j.float()
		return
	}
	tids := threadsOf(j.pid)
	if slices.Equal(tids, l.seen) {
		if l.pinned == nil {
			j.nail()
		}
		l.delay = min(2*l.delay, j.d.period)
	} else {
		j.changed(tids)
		l.delay = firstLook
	}
	if l.pinned != nil && len(l.pinned) < len(j.slots) {
		l.delay = min(l.delay, openLook)
	}
	l.timer.Reset(l.delay)
}

// changed takes note of other threads: those of a pinned job are laid at once. j.mu is held.
func (j *job) changed(tids []int) {
	pinned := j.lay.pinned != nil
	j.lay.seen = tids
	if !pinned {
		return
	}
	if len(tids) <= len(j.slots) {
		j.nail()
	} else {
		j.float()
	}
}

// nail pins the threads that were seen one to one, if there are two or more
// and not more than vcores. j.mu is held.
func (j *job) nail() {
	l := &j.lay
	if len(l.seen) < 2 || len(l.seen) > len(j.slots) {
		l.pinned = nil
		return
	}
	l.pinned = j.order()[:len(l.seen)]
	for i, tid := range l.seen {
		var m mask
		m.add(j.d.infos[j.slots[l.pinned[i]].Core].CPU)
		if err := setAffinity(tid, &m); err != nil && !errors.Is(err, syscall.ESRCH) {
			j.float() // a core went away: all of them, as far as they are there
			return
		}
	}
}

// float lets every thread run on all of the job's cores. j.mu is held.
func (j *job) float() {
	j.lay.pinned = nil
	if err := j.moveAll(j.mask()); err != nil {
		j.d.log.Warn("threads cannot be laid over their cores", "pid", j.pid, "error", err)
	}
}

// mask is the CPUs of the job. j.mu is held.
func (j *job) mask() mask {
	var m mask
	for _, s := range j.slots {
		m.add(j.d.infos[s.Core].CPU)
	}
	return m
}

// order is the order in which vcores get threads.
func (j *job) order() []int {
	if j.pin == cores.PinSpread {
		return farthest(len(j.slots), func(a, b int) int { return j.d.Distance(j.slots[a].Core, j.slots[b].Core) })
	}
	out := make([]int, len(j.slots))
	for i := range out {
		out[i] = i
	}
	return out
}

// farthest orders n places so that each is as far as can be from those before
// it, beginning with 0.
func farthest(n int, distance func(a, b int) int) []int {
	out := []int{0}
	near := make([]int, n) // distance to the nearest one taken
	for i := range near {
		near[i] = distance(0, i)
	}
	near[0] = -1
	for len(out) < n {
		best := slices.Index(near, slices.Max(near))
		out = append(out, best)
		for i := range near {
			if near[i] >= 0 {
				near[i] = min(near[i], distance(best, i))
			}
		}
		near[best] = -1
	}
	return out
}

// Place moves every thread of the job to these slots, or none.
func (j *job) Place(slots []cores.Slot) error {
	m, err := j.d.maskOf(slots)
	if err != nil {
		return err
	}
	if err := j.place(slots, m); err != nil {
		return err
	}
	j.look()
	return nil
}

func (j *job) place(slots []cores.Slot, m mask) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	if err := j.moveAll(m); err != nil {
		return sys.Errorf(sys.Errno(err), "the program cannot be moved: %v", sys.Errno(err))
	}
	pinned := j.lay.pinned != nil
	j.slots, j.lay.pinned = slices.Clone(slots), nil
	if pinned {
		j.nail()
	}
	return nil
}

// rounds bounds how often moveAll looks for threads that were made meanwhile.
// Those made by threads already moved are where they belong.
const rounds = 100

// moveAll gives all threads this affinity, or on an error all the one they had. j.mu is held.
func (j *job) moveAll(m mask) error {
	var old []mask         // the affinities that threads had: mostly all the same one
	moved := map[int]int{} // tid to index in old
	for range rounds {
		grown := false
		for _, tid := range j.threads() {
			if _, ok := moved[tid]; ok {
				continue
			}
			was, err := affinity(tid)
			if err == nil && was != m {
				err = setAffinity(tid, &m)
				grown = true
			}
			if errors.Is(err, syscall.ESRCH) {
				continue
			}
			if err != nil {
				for tid, i := range moved {
					setAffinity(tid, &old[i])
				}
				return err
			}
			if len(old) == 0 || old[len(old)-1] != was {
				old = append(old, was)
			}
			moved[tid] = len(old) - 1
		}
		if !grown {
			return nil
		}
	}
	return unix.EAGAIN
}

// threads lists those of all processes of the job. j.mu is held.
func (j *job) threads() []int {
	var out []int
	for _, pid := range j.group.pids(j.pid) {
		out = append(out, threadsOf(pid)...)
	}
	return out
}

// Threads lists the job's threads and, where they are pinned one to one, their vcores.
func (j *job) Threads() []cores.Thread {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		return nil
	}
	tids := j.threads()
	out := make([]cores.Thread, len(tids))
	for i, tid := range tids {
		out[i] = cores.Thread{TID: tid, VCore: -1}
		if k := slices.Index(j.lay.seen, tid); k >= 0 && k < len(j.lay.pinned) {
			out[i].VCore = j.slots[j.lay.pinned[k]].VCore
		}
	}
	if len(out) == 1 && len(j.slots) == 1 {
		out[0].VCore = j.slots[0].VCore
	}
	return out
}

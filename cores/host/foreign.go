package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"warren/cores"
)

// A foreign scan finds busy tasks that are no job's. It is made when somebody
// asks, at most once a period, and compares with the one before; a task that
// is new to it counts from its start.
type foreign struct {
	root string

	mu   sync.Mutex
	when time.Time
	last map[int]time.Duration // time used, by process, and by -thread
	busy []busyTask
}

type busyTask struct {
	pid, permille, cpu int
	comm               string
}

// busyEnough is the least permille of a CPU that is worth telling: five ticks of a second.
const busyEnough = 50

// leastSpan is the least time to look over: Linux counts in ticks of 10 ms.
const leastSpan = 100 * tick

// Foreign tells of busy tasks on these cores that are not ours.
func (d *Driver) Foreign(ids []cores.ID) []string {
	f := &d.foreign
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.when) >= max(d.period, leastSpan) {
		f.scan(now, d.groups.owns)
	}
	onCPU := map[int]cores.ID{}
	for _, id := range ids {
		if d.has(id) {
			onCPU[d.infos[id].CPU] = id
		}
	}
	var out []string
	for _, t := range perProcess(f.busy) {
		if id, ok := onCPU[t.cpu]; ok {
			out = append(out, fmt.Sprintf("pid %d %q %d permille on core %d", t.pid, t.comm, t.permille, id))
		}
	}
	return out
}

// perProcess adds the threads up that a process has on a CPU.
func perProcess(threads []busyTask) []busyTask {
	var sums []busyTask
	for _, t := range threads {
		i := slices.IndexFunc(sums, func(s busyTask) bool { return s.pid == t.pid && s.cpu == t.cpu })
		if i < 0 {
			sums = append(sums, t)
			continue
		}
		sums[i].permille = min(sums[i].permille+t.permille, 1000)
	}
	return sums
}

// scan looks at all processes, and at the threads of those that are busy. f.mu is held.
func (f *foreign) scan(now time.Time, ours func(pid int) bool) {
	last, span, up := f.last, now.Sub(f.when), uptime(sysfs(f.root))
	f.when, f.last, f.busy = now, make(map[int]time.Duration, len(last)), nil
	permille := func(key int, st procStat) int {
		f.last[key] = st.used
		used, over := st.used, up-st.start
		if before, ok := last[key]; ok && over > span {
			used, over = st.used-before, span
		}
		return int(used * 1000 / max(over, leastSpan))
	}
	proc := filepath.Join(f.root, "proc")
	for _, pid := range numbers(proc) {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		st, ok := statOf(dir)
		if !ok || pid == os.Getpid() || permille(pid, st) < busyEnough || ours(pid) {
			continue
		}
		for _, tid := range numbers(filepath.Join(dir, "task")) {
			task, ok := statOf(filepath.Join(dir, "task", strconv.Itoa(tid)))
			if !ok {
				continue
			}
			if n := permille(-tid, task); n >= busyEnough {
				f.busy = append(f.busy, busyTask{pid: pid, permille: n, cpu: task.cpu, comm: task.comm})
			}
		}
	}
}

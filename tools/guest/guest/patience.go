package guest

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// A Patience measures how long somebody has made no progress, by a clock that
// goes as fast as a program can that wants one processor of this machine: on
// two processors that four programs want it goes at half the speed. So a limit
// that holds on an idle machine holds on a busy one, where a plain time would
// run out, and what really hangs is found out on either.
type Patience struct {
	mu   sync.Mutex
	used time.Duration
}

// Tick is how often the clock looks at the machine.
const Tick = 100 * time.Millisecond

// Progress begins anew.
func (p *Patience) Progress() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = 0
}

// Watch calls over whenever there was no progress for limit, and then begins
// anew, until done is closed. Without Linux's /proc/loadavg the clock is a plain one.
func (p *Patience) Watch(done <-chan struct{}, limit time.Duration, over func()) {
	t := time.NewTicker(Tick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-done:
			return
		case now := <-t.C:
			passed := now.Sub(last)
			last = now
			if p.spend(passed, wanting(), limit) {
				over()
			}
		}
	}
}

// spend counts some time in which so many wanted a processor, and reports
// whether the limit is reached.
func (p *Patience) spend(passed time.Duration, wanting int, limit time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if here := runtime.NumCPU(); wanting > here {
		passed = passed * time.Duration(here) / time.Duration(wanting)
	}
	p.used += passed
	if p.used < limit {
		return false
	}
	p.used = 0
	return true
}

// wanting returns how many threads of this machine run or want to.
func wanting() int {
	text, _ := os.ReadFile("/proc/loadavg")
	return parseWanting(text)
}

// parseWanting finds the number in "0.20 0.18 0.12 1/80 11206"; see proc_loadavg(5).
func parseWanting(loadavg []byte) int {
	fields := bytes.Fields(loadavg)
	if len(fields) < 4 {
		return 0
	}
	running, _, _ := bytes.Cut(fields[3], []byte{'/'})
	n, _ := strconv.Atoi(string(running))
	return n
}

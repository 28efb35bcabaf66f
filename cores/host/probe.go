package host

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// probes are the programs of fixed work, one a core at most, and what the last
// one of each core found. See "fixed work quantum" in the literature on
// operating system noise.
type probes struct {
	mu   sync.Mutex
	last map[cores.ID]cores.Probe
}

const (
	// pieceTime is about what a piece of work takes: much less than a tick.
	pieceTime = 20 * time.Microsecond
	// burst is how long the probe works before it lets the Go runtime do what
	// it must, which otherwise would interrupt the thread every 10 ms.
	burst = 5 * time.Millisecond
	// mostProbe is the longest probe.
	mostProbe = time.Minute
)

// Measure starts a thread of this process on the core's CPU.
func (d *Driver) Measure(id cores.ID, took time.Duration) error {
	switch {
	case !d.has(id):
		return sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", id, len(d.infos))
	case took <= 0 || took > mostProbe:
		return sys.Errorf(syscall.EINVAL, "want a time up to %v, not %v", mostProbe, took)
	case d.closed.Load():
		return sys.Errorf(syscall.EPIPE, "the driver is closed")
	}
	began := time.Now()
	if !d.probes.begin(id, began) {
		return sys.Errorf(syscall.EBUSY, "core %d is being measured", id)
	}
	there := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with its affinity here.
		runtime.LockOSThread()
		err := moveTo(d.infos[id].CPU)
		there <- err
		if err == nil {
			d.probes.end(id, probe(began, took, d.closed.Load))
		}
	}()
	if err := <-there; err != nil {
		d.probes.end(id, cores.Probe{})
		return sys.Errorf(sys.Errno(err), "core %d: no thread can be put there: %v", id, err)
	}
	return nil
}

// moveTo puts the calling thread on a CPU.
func moveTo(cpu int) error {
	var m mask
	m.add(cpu)
	return setAffinity(0, &m)
}

// probe works until the time is over, in bursts; stop ends it early.
func probe(began time.Time, took time.Duration, stop func() bool) cores.Probe {
	loops := calibrate()
	p := cores.Probe{Began: began, Least: time.Duration(1<<63 - 1)}
	var spent time.Duration
	for time.Since(began) < took && !stop() {
		for end := time.Now().Add(burst); time.Now().Before(end); {
			t := piece(loops)
			spent += t
			p.Pieces++
			p.Least, p.Most = min(p.Least, t), max(p.Most, t)
			if t >= p.Least+p.Least/2 {
				p.Hits++
			}
		}
		runtime.Gosched()
	}
	if p.Pieces == 0 {
		p.Least = 0 // stopped before it began
	}
	p.Lost = spent - time.Duration(p.Pieces)*p.Least
	p.Took = time.Since(began)
	return p
}

// calibrate finds out how much work a piece is.
func calibrate() int {
	const few = 1 << 10
	least := piece(few)
	for range 100 {
		least = min(least, piece(few))
	}
	return int(few * pieceTime / max(least, 1))
}

// piece does the work and returns the time that it took.
func piece(loops int) time.Duration {
	start := time.Now()
	x := uint64(loops)
	for range loops {
		x = x*6364136223846793005 + 1442695040888963407
	}
	took := time.Since(start)
	if x == 0 {
		return took + 1 // the work must not be thrown away
	}
	return took
}

// of returns what is known of a core: a probe that runs has no figures yet.
func (p *probes) of(id cores.ID) cores.Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[id]
}

// begin notes that a core is being measured; false if it already is.
func (p *probes) begin(id cores.ID, began time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.last[id]; ok && last.Took == 0 {
		return false
	}
	if p.last == nil {
		p.last = make(map[cores.ID]cores.Probe)
	}
	p.last[id] = cores.Probe{Began: began}
	return true
}

// end notes what was found; nothing forgets that the core was measured.
func (p *probes) end(id cores.ID, found cores.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found == (cores.Probe{}) {
		delete(p.last, id)
		return
	}
	p.last[id] = found
}

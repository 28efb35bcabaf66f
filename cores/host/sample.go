package host

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// A sampler reads the counters of all CPUs when somebody asks, at most once a
// period, and serves everybody from that. Nothing runs when nobody asks. Rates
// are over the time between the last two samples: a period for who reads
// steadily, longer for who reads now and then, since boot for the first.
type sampler struct {
	root   string
	limit  int
	period time.Duration

	mu        sync.Mutex
	opened    bool
	stat      source
	irqs      source
	softirqs  source
	schedstat source
	columns   []int
	now, last *sample
}

// A sample is the counters of one moment, by CPU number.
type sample struct {
	when     time.Time
	stats    []cores.Stat
	irqs     irqCount
	softirqs []int64
	switches []int64
}

func newSample(n int) *sample {
	return &sample{
		stats: make([]cores.Stat, n),
		irqs: irqCount{
			total: make([]int64, n), ticks: make([]int64, n), reschedules: make([]int64, n),
			calls: make([]int64, n), tlb: make([]int64, n),
		},
		softirqs: make([]int64, n),
		switches: make([]int64, n),
	}
}

// A source is a file in /proc that is kept open, with memory for its text.
type source struct {
	f   *os.File
	buf []byte
}

func openSource(path ...string) source {
	f, err := os.Open(filepath.Join(path...))
	if err != nil {
		return source{}
	}
	return source{f: f}
}

// read returns the whole text; false if there is none. It is the source's
// until the next read. /proc gives about a page a read.
func (s *source) read() ([]byte, bool) {
	if s.f == nil {
		return nil, false
	}
	b := s.buf[:0]
	for {
		if cap(b)-len(b) < 4<<10 {
			b = append(b, make([]byte, max(cap(b), 16<<10))...)[:len(b)]
		}
		n, err := s.f.ReadAt(b[len(b):cap(b)], int64(len(b)))
		b = b[:len(b)+n]
		if err == io.EOF || err == nil && n == 0 {
			break
		}
		if err != nil {
			return nil, false
		}
	}
	s.buf = b
	return b, len(b) > 0
}

func (s *source) close() {
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}

func (s *sampler) open(root string, limit int, period time.Duration) {
	s.root, s.limit, s.period = root, limit, period
}

// close closes the descriptors; what was sampled stays.
func (s *sampler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
	for _, src := range []*source{&s.stat, &s.irqs, &s.softirqs, &s.schedstat} {
		src.close()
	}
}

// start opens the files, once. s.mu is held.
func (s *sampler) start() {
	if s.opened {
		return
	}
	s.opened = true
	proc := filepath.Join(s.root, "proc")
	s.stat = openSource(proc, "stat")
	s.irqs = openSource(proc, "interrupts")
	s.softirqs = openSource(proc, "softirqs")
	s.schedstat = openSource(proc, "schedstat")
	s.now, s.last = newSample(s.limit), newSample(s.limit)
	s.now.when = time.Now().Add(-uptime(sysfs(s.root)))
}

// uptime is the time since boot; a second if the machine does not tell.
func uptime(r sysfs) time.Duration {
	word, _, _ := strings.Cut(r.text("proc/uptime"), " ")
	s, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return time.Second
	}
	return time.Duration(s * float64(time.Second))
}

// fresh makes the last sample one that is younger than a period. s.mu is held.
func (s *sampler) fresh() {
	s.start()
	if time.Since(s.now.when) < s.period || s.stat.f == nil {
		return
	}
	s.now, s.last = s.last, s.now
	s.now.when = time.Now()
	s.now.take(s)
}

// take fills the sample. A CPU that a file leaves out, as it is offline, keeps
// the counters that it had.
func (m *sample) take(s *sampler) {
	copy(m.stats, s.last.stats)
	if b, ok := s.stat.read(); ok {
		parseStat(b, m.stats)
	}
	clear(m.irqs.total)
	clear(m.irqs.ticks)
	clear(m.irqs.reschedules)
	clear(m.irqs.calls)
	clear(m.irqs.tlb)
	if b, ok := s.irqs.read(); ok {
		s.columns = parseInterrupts(b, s.columns[:0], &m.irqs)
		m.irqs.keep(&s.last.irqs)
	}
	clear(m.softirqs)
	if b, ok := s.softirqs.read(); ok {
		s.columns = parseSoftirqs(b, s.columns[:0], m.softirqs)
	}
	copy(m.switches, s.last.switches)
	if b, ok := s.schedstat.read(); ok {
		parseSchedstat(b, m.switches)
	}
	for cpu := range m.stats {
		st := &m.stats[cpu]
		st.Interrupts = told(s.irqs, m.irqs.total[cpu])
		st.Ticks = told(s.irqs, m.irqs.ticks[cpu])
		st.Switches = told(s.schedstat, m.switches[cpu])
	}
}

// keep takes over the counts of CPUs that have no column now.
func (c *irqCount) keep(last *irqCount) {
	for cpu, n := range c.total {
		if n == 0 {
			c.total[cpu], c.ticks[cpu] = last.total[cpu], last.ticks[cpu]
			c.reschedules[cpu], c.calls[cpu], c.tlb[cpu] = last.reschedules[cpu], last.calls[cpu], last.tlb[cpu]
		}
	}
}

// told is a count, or -1 if the machine has no such file.
func told(s source, n int64) int64 {
	if s.f == nil {
		return -1
	}
	return n
}

// Stats fills dst with each core's counters; slots of one CPU show the same.
func (d *Driver) Stats(dst []cores.Stat) time.Time {
	s := &d.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh()
	for i := range dst {
		dst[i] = s.now.stats[d.infos[i].CPU]
	}
	return s.now.when
}

// Rates fills dst with each core's shares.
func (d *Driver) Rates(dst []cores.Rate) time.Time {
	s := &d.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh()
	for i := range dst {
		cpu := d.infos[i].CPU
		dst[i] = rate(&s.now.stats[cpu], &s.last.stats[cpu])
	}
	return s.now.when
}

// rate is the shares of the time between two counts.
func rate(now, last *cores.Stat) cores.Rate {
	user, sys, idle := since(now.User, last.User), since(now.Sys, last.Sys), since(now.Idle, last.Idle)
	irq := since(now.IRQ, last.IRQ) + since(now.SoftIRQ, last.SoftIRQ)
	total := user + sys + idle + irq + since(now.Steal, last.Steal)
	if total == 0 {
		return cores.Rate{}
	}
	permille := func(t time.Duration) int { return int((t*1000 + total/2) / total) }
	return cores.Rate{User: permille(user), Sys: permille(sys), IRQ: permille(irq), Idle: permille(idle)}
}

// since is never negative: Linux lets some counters go back.
func since[T time.Duration | int64](now, last T) T { return max(now-last, 0) }

// Noise is over the time between the last two samples.
func (d *Driver) Noise(id cores.ID) (cores.Noise, error) {
	if !d.has(id) {
		return cores.Noise{}, sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", id, len(d.infos))
	}
	s := &d.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh()
	cpu := d.infos[id].CPU
	seconds := s.now.when.Sub(s.last.when).Seconds()
	per := func(from source, now, last []int64) float64 {
		if from.f == nil || seconds <= 0 {
			return -1
		}
		return float64(since(now[cpu], last[cpu])) / seconds
	}
	now, last := &s.now.irqs, &s.last.irqs
	return cores.Noise{
		Ticks:       per(s.irqs, now.ticks, last.ticks),
		Interrupts:  per(s.irqs, now.total, last.total),
		SoftIRQs:    per(s.softirqs, s.now.softirqs, s.last.softirqs),
		Reschedules: per(s.irqs, now.reschedules, last.reschedules),
		Calls:       per(s.irqs, now.calls, last.calls),
		TLB:         per(s.irqs, now.tlb, last.tlb),
		Switches:    per(s.schedstat, s.now.switches, s.last.switches),
		Steal:       steal(&s.now.stats[cpu], &s.last.stats[cpu]),
		Probe:       d.probes.of(id),
	}, nil
}

// steal is the permille of the time that the hypervisor kept from the CPU.
func steal(now, last *cores.Stat) int {
	stolen := since(now.Steal, last.Steal)
	total := stolen + since(now.User, last.User) + since(now.Sys, last.Sys) + since(now.Idle, last.Idle) +
		since(now.IRQ, last.IRQ) + since(now.SoftIRQ, last.SoftIRQ)
	if total == 0 {
		return 0
	}
	return int(stolen * 1000 / total)
}

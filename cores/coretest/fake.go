// Package coretest is for tests around drivers: Fake is a driver whose cores
// and jobs do what the test says, and Run is the behaviour that every driver
// owes to its users.
//
// A FakeDriver's lock covers its cores and all its jobs; the functions that a
// test injects are called without it.
package coretest

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// A FakeDriver is a driver with no machine below it: a cores.Driver. Its
// cores are online and idle until the test says otherwise, and its jobs run
// until the test ends them.
type FakeDriver struct {
	infos []cores.Info

	mu         sync.Mutex
	offline    map[cores.ID]bool
	quiet      map[cores.ID]bool
	stats      []cores.Stat
	rates      []cores.Rate
	noise      map[cores.ID]cores.Noise
	foreign    map[cores.ID]string
	jobs       []*FakeJob
	failDo     func(cores.ID, cores.Op) error
	failLaunch func(cores.Program, []cores.Slot) error
	failPlace  func(*FakeJob, []cores.Slot) error
	closed     bool
}

// Fake returns a driver with n cores, one thread each; four and more are laid
// over two sockets, each a NUMA node with a cache of its own.
func Fake(n int) *FakeDriver {
	infos := make([]cores.Info, n)
	for i := range infos {
		half := 0
		if n >= 4 {
			half = i * 2 / n
		}
		infos[i] = cores.Info{
			ID: cores.ID(i), Kind: "cpu", Node: half, Socket: half, LLC: half,
			Core: i, MHz: 2000, ISA: "fake", CPU: i,
		}
	}
	return FakeOf(infos)
}

// FakeOf returns a driver with these cores; their IDs must be their indices.
func FakeOf(infos []cores.Info) *FakeDriver {
	d := &FakeDriver{
		infos:   slices.Clone(infos),
		offline: make(map[cores.ID]bool),
		quiet:   make(map[cores.ID]bool),
		stats:   make([]cores.Stat, len(infos)),
		rates:   make([]cores.Rate, len(infos)),
		noise:   make(map[cores.ID]cores.Noise),
		foreign: make(map[cores.ID]string),
	}
	for i := range d.rates {
		d.rates[i].Idle = 1000
	}
	return d
}

// Name is "fake".
func (d *FakeDriver) Name() string { return "fake" }

// Cores lists the cores.
func (d *FakeDriver) Cores() []cores.Info { return d.infos }

// Online reports whether the core is on.
func (d *FakeDriver) Online(id cores.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.has(id) && !d.offline[id]
}

// SetOnline switches a core as if by another's hand.
func (d *FakeDriver) SetOnline(id cores.ID, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offline[id] = !on
}

// Quiet reports whether QuietOn was the last such switch of the core.
func (d *FakeDriver) Quiet(id cores.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.quiet[id]
}

// Distance is that of cores.Apart; other nodes are 20 away.
func (d *FakeDriver) Distance(a, b cores.ID) int {
	return cores.Apart(d.infos[a], d.infos[b], 20)
}

// Stats copies what SetStat set.
func (d *FakeDriver) Stats(dst []cores.Stat) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(dst, d.stats)
	return time.Now()
}

// SetStat sets a core's counters.
func (d *FakeDriver) SetStat(id cores.ID, s cores.Stat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats[id] = s
}

// Rates copies what SetRate set.
func (d *FakeDriver) Rates(dst []cores.Rate) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(dst, d.rates)
	return time.Now()
}

// SetRate sets a core's shares.
func (d *FakeDriver) SetRate(id cores.ID, r cores.Rate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rates[id] = r
}

// Noise returns what SetNoise set.
func (d *FakeDriver) Noise(id cores.ID) (cores.Noise, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.has(id) {
		return cores.Noise{}, sys.ErrNotExist
	}
	return d.noise[id], nil
}

// SetNoise sets what interrupts a core.
func (d *FakeDriver) SetNoise(id cores.ID, n cores.Noise) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noise[id] = n
}

// Measure finds a core without noise, at once.
func (d *FakeDriver) Measure(id cores.ID, took time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.has(id) {
		return sys.Errorf(syscall.ENXIO, "no core %d", id)
	}
	n := d.noise[id]
	n.Probe = cores.Probe{Began: time.Now(), Took: took, Pieces: 1, Least: took, Most: took}
	d.noise[id] = n
	return nil
}

// Do switches a core, unless FailDo's function refuses.
func (d *FakeDriver) Do(id cores.ID, op cores.Op) error {
	d.mu.Lock()
	fail := d.failDo
	d.mu.Unlock()
	if !d.has(id) {
		return sys.Errorf(syscall.ENXIO, "no core %d", id)
	}
	if fail != nil {
		if err := fail(id, op); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch op {
	case cores.Online:
		d.offline[id] = false
	case cores.Offline:
		d.offline[id] = true
	case cores.QuietOn, cores.QuietOff:
		d.quiet[id] = op == cores.QuietOn
	}
	return nil
}

// FailDo asks this function before each switch; nil: all succeed.
func (d *FakeDriver) FailDo(f func(cores.ID, cores.Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failDo = f
}

// FailLaunch asks this function before each launch; nil: all succeed.
func (d *FakeDriver) FailLaunch(f func(cores.Program, []cores.Slot) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failLaunch = f
}

// FailPlace asks this function before each Place; nil: all succeed.
func (d *FakeDriver) FailPlace(f func(*FakeJob, []cores.Slot) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failPlace = f
}

// Foreign returns what SetForeign set for these cores.
func (d *FakeDriver) Foreign(ids []cores.ID) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, id := range ids {
		if text := d.foreign[id]; text != "" {
			out = append(out, text)
		}
	}
	return out
}

// SetForeign says which foreign task is busy on a core; "": none.
func (d *FakeDriver) SetForeign(id cores.ID, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.foreign[id] = text
}

// Close makes later launches fail; jobs go on.
func (d *FakeDriver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

func (d *FakeDriver) has(id cores.ID) bool { return id >= 0 && int(id) < len(d.infos) }

// usable says why a program cannot be on these slots. d.mu is held.
func (d *FakeDriver) usable(slots []cores.Slot) error {
	if len(slots) == 0 {
		return sys.Errorf(syscall.EINVAL, "no slots")
	}
	for _, s := range slots {
		if !d.has(s.Core) {
			return sys.Errorf(syscall.ENXIO, "no core %d", s.Core)
		}
		if d.offline[s.Core] {
			return sys.Errorf(syscall.EBUSY, "core %d is offline", s.Core)
		}
	}
	return nil
}

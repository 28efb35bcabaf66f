// Package riscv is the driver of simulated RISC-V machines: a cores.Driver
// whose cores, and the time that passes on them, are those of cores/riscv/sim.
// A program is an executable for RV32 that runs on all cores it was given, each
// a rank of it, or one executable for each role of cores.
//
// Files that users name are opened by a child that is the user, so that the
// server neither lends its rights nor waits for a file that it serves itself.
//
// State: the machine has its own; the driver's lock covers what it last
// sampled and where a record goes.
package riscv

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// Options of a driver.
type Options struct {
	Machine *spec.Machine
	Quantum uint64 // cycles of an epoch; 0: sim.DefaultQuantum
	Workers int    // 0: as many as the host has processors
	First   int    // the number of the first core in what is read, if it is one of several machines
	NoHot   bool   // never compile programs
	Heat    int64  // instructions of a program that are interpreted before it is compiled; 0: sim's own number
	// Tell is told of deadlocks, and of output that cannot be written: a kind (deadlock, kept,
	// lost) and a text. nil: nobody.
	Tell func(kind, text string)
	Log  *slog.Logger
}

// A Driver drives a simulated machine: a cores.Simulator.
type Driver struct {
	m      *sim.Machine
	tell   func(kind, text string)
	first  int // the shown number of core 0
	infos  []cores.Info
	off    []atomic.Bool // cores that are offline
	closed atomic.Bool

	mu     sync.Mutex
	sample sample
	record record
}

var _ cores.Simulator = (*Driver)(nil)

// Open brings a machine up.
func Open(o Options) (*Driver, error) {
	so := sim.Options{Quantum: o.Quantum, Workers: o.Workers, First: o.First, NoHot: o.NoHot, Heat: o.Heat, Log: o.Log}
	tell := func(kind, text string) {
		if o.Log != nil && kind != "deadlock" {
			o.Log.Warn("output of a program", "err", text)
		}
		if o.Tell != nil {
			o.Tell(kind, text)
		}
	}
	so.Tell = func(text string) { tell("deadlock", text) }
	m, err := sim.New(o.Machine, so)
	if err != nil {
		return nil, err
	}
	n := o.Machine.Cores()
	d := &Driver{m: m, tell: tell, first: o.First, infos: make([]cores.Info, n), off: make([]atomic.Bool, n)}
	for i := range d.infos {
		d.infos[i] = info(o.Machine, i)
	}
	return d, nil
}

// info is what never changes about a core. Its kind is that of its tile, and its
// role there ("tensix.T1"); the cores of a tile share its SRAM as others do a
// last-level cache.
func info(s *spec.Machine, id int) cores.Info {
	tile, _ := s.Core(id)
	k := &s.Kinds[s.Tiles[tile].Kind]
	kind := k.Name
	if len(k.Cores) > 1 {
		kind += "." + s.Role(id)
	}
	return cores.Info{ID: cores.ID(id), Kind: kind, LLC: tile, Core: id, MHz: s.MHz, ISA: s.CoreKind(id).ISA, CPU: id}
}

// Name is the machine's.
func (d *Driver) Name() string { return d.m.Spec().Name }

// Cores lists the cores.
func (d *Driver) Cores() []cores.Info { return d.infos }

func (d *Driver) has(id cores.ID) bool { return id >= 0 && int(id) < len(d.infos) }

// Online reports whether the core is on.
func (d *Driver) Online(id cores.ID) bool { return d.has(id) && !d.off[id].Load() }

// Distance is 0 for a core and itself, 2 in a tile, then 10 and more: the hops between tiles.
func (d *Driver) Distance(a, b cores.ID) int {
	s := d.m.Spec()
	ta, _ := s.Core(int(a))
	tb, _ := s.Core(int(b))
	switch {
	case a == b:
		return 0
	case ta == tb:
		return 2
	}
	return 9 + min(s.Hops(ta, tb), s.Hops(tb, ta))
}

// shown is a core's number in texts: another machine's may come before.
func (d *Driver) shown(id cores.ID) int { return d.first + int(id) }

// Do switches a core on or off. A simulated core is always quiet.
func (d *Driver) Do(id cores.ID, op cores.Op) error {
	if !d.has(id) {
		return sys.Errorf(syscall.ENXIO, "no core %d", d.shown(id))
	}
	switch op {
	case cores.Online:
		d.off[id].Store(false)
	case cores.Offline:
		switch d.m.State(int(id)) {
		case sim.Running, sim.Parked, sim.Halted:
			return sys.Errorf(syscall.EBUSY, "it runs a program (reset in cores/%d/ctl ends one that was loaded there)", d.shown(id))
		}
		d.off[id].Store(true)
	case cores.QuietOn, cores.QuietOff:
	}
	return nil
}

// Measure is not for simulated cores: nothing interrupts them.
func (d *Driver) Measure(id cores.ID, _ time.Duration) error {
	return sys.Errorf(syscall.EOPNOTSUPP, "core %d is simulated: nothing interrupts it", d.shown(id))
}

// Noise is none: a simulated core runs nothing but its program.
func (d *Driver) Noise(id cores.ID) (cores.Noise, error) {
	if !d.has(id) {
		return cores.Noise{}, sys.ErrNotExist
	}
	return cores.Noise{}, nil
}

// Foreign tells of nobody: no others can be on simulated cores.
func (d *Driver) Foreign([]cores.ID) []string { return nil }

// Close ends all programs: they are in this process.
func (d *Driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.record.file != "" {
		err = d.endRecord(nil, "")
	}
	return errors.Join(err, d.m.Close())
}

// sample is the counters of the last period.
type sample struct {
	at      time.Time
	cycles  uint64
	retired []uint64
	rates   []cores.Rate
}

// period is the least time that rates are measured over.
const period = time.Second

// Rates is the share of the machine's own time that each core ran in the last
// period of the host's: what it retired, by the cycles that passed.
func (d *Driver) Rates(dst []cores.Rate) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.sample
	now := time.Now()
	if s.rates == nil {
		s.retired, s.rates = make([]uint64, len(d.infos)), make([]cores.Rate, len(d.infos))
		for i := range s.rates {
			s.rates[i].Idle = 1000
		}
	}
	if now.Sub(s.at) >= period {
		cycles := d.m.Passed()
		d.measure(cycles - s.cycles)
		s.at, s.cycles = now, cycles
	}
	copy(dst, s.rates)
	return s.at
}

func (d *Driver) measure(cycles uint64) {
	s := &d.sample
	for i := range s.rates {
		retired := d.m.Retired(i)
		var user uint64
		if cycles > 0 && retired > s.retired[i] {
			user = min(1000, (retired-s.retired[i])*1000/cycles)
		}
		s.retired[i] = retired
		s.rates[i] = cores.Rate{User: int(user), Idle: 1000 - int(user)}
	}
}

// Stats is the time that each core ran and did not, in its own clock.
func (d *Driver) Stats(dst []cores.Stat) time.Time {
	cycles := d.m.Passed()
	mhz := uint64(d.m.Spec().MHz)
	for i := range dst {
		retired := min(d.m.Retired(i), cycles)
		dst[i] = cores.Stat{User: micros(retired, mhz), Idle: micros(cycles-retired, mhz), IRQ: -1, SoftIRQ: -1, Steal: -1, Sys: -1, Switches: -1, Interrupts: -1, Ticks: -1}
	}
	return time.Now()
}

func micros(cycles, mhz uint64) time.Duration {
	return time.Duration(cycles*1000/max(1, mhz)) * time.Nanosecond
}

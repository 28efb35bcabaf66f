// Package mix is one machine made of several: a driver whose cores are those
// of other drivers, one after another, so that a program runs on some cores of
// one of them.
//
// It has no state of its own but which cores are whose.
package mix

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// apart is how far cores of different machines are from each other.
const apart = 100

// A Driver is several machines as one: a cores.Driver.
type Driver struct {
	parts []part
	infos []cores.Info
}

// part is one of the machines.
type part struct {
	cores.Driver
	first, end cores.ID // its cores in the whole
}

// New returns the machine that is made of these, which it owns from then on, and
// closes if it fails. If one of them is a simulator, so is the whole; of more
// than one that is EINVAL.
func New(list ...cores.Driver) (cores.Driver, error) {
	d := &Driver{}
	var sim *simulator
	for _, p := range list {
		first := cores.ID(len(d.infos))
		d.add(p, first)
		s, ok := p.(cores.Simulator)
		switch {
		case ok && sim != nil:
			err := sys.Errorf(syscall.EINVAL, "one machine of a mix can be simulated, not both %s and %s", sim.sim.Name(), s.Name())
			for _, p := range list {
				err = errors.Join(err, p.Close())
			}
			return nil, err
		case ok:
			sim = &simulator{Driver: d, sim: s, first: first}
		}
	}
	if sim != nil {
		return sim, nil
	}
	return d, nil
}

// add appends a machine; its numbers of nodes, caches and so on become the
// whole's by counting on.
func (d *Driver) add(p cores.Driver, first cores.ID) {
	base := next(d.infos)
	for _, i := range p.Cores() {
		i.ID += first
		for _, f := range [...]struct{ n, base *int }{
			{&i.Node, &base.Node},
			{&i.Socket, &base.Socket},
			{&i.Die, &base.Die},
			{&i.LLC, &base.LLC},
			{&i.Core, &base.Core},
		} {
			if *f.n >= 0 {
				*f.n += *f.base
			}
		}
		d.infos = append(d.infos, i)
	}
	d.parts = append(d.parts, part{p, first, cores.ID(len(d.infos))})
}

// next are the first numbers that no core has.
func next(infos []cores.Info) (n cores.Info) {
	for _, i := range infos {
		n.Node = max(n.Node, i.Node+1)
		n.Socket = max(n.Socket, i.Socket+1)
		n.Die = max(n.Die, i.Die+1)
		n.LLC = max(n.LLC, i.LLC+1)
		n.Core = max(n.Core, i.Core+1)
	}
	return n
}

// of returns the machine of a core, and its number there; false: there is no such core.
func (d *Driver) of(id cores.ID) (*part, cores.ID, bool) {
	for i := range d.parts {
		if p := &d.parts[i]; id >= p.first && id < p.end {
			return p, id - p.first, true
		}
	}
	return nil, 0, false
}

// Name is the machines' names: "host+blackhole".
func (d *Driver) Name() string {
	names := make([]string, len(d.parts))
	for i := range d.parts {
		names[i] = d.parts[i].Name()
	}
	return strings.Join(names, "+")
}

// Cores lists the cores.
func (d *Driver) Cores() []cores.Info { return d.infos }

// Online reports whether the core is on.
func (d *Driver) Online(id cores.ID) bool {
	p, own, ok := d.of(id)
	return ok && p.Driver.Online(own)
}

// Distance is the machine's own, and 100 between machines.
func (d *Driver) Distance(a, b cores.ID) int {
	p, from, _ := d.of(a)
	q, to, _ := d.of(b)
	if p != q {
		return apart
	}
	return p.Driver.Distance(from, to)
}

// Stats fills dst; its time is the earliest of the machines'.
func (d *Driver) Stats(dst []cores.Stat) time.Time {
	var at time.Time
	for i := range d.parts {
		p := &d.parts[i]
		at = earlier(at, p.Driver.Stats(dst[p.first:p.end]))
	}
	return at
}

// Rates fills dst; its time is the earliest of the machines'.
func (d *Driver) Rates(dst []cores.Rate) time.Time {
	var at time.Time
	for i := range d.parts {
		p := &d.parts[i]
		at = earlier(at, p.Driver.Rates(dst[p.first:p.end]))
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func noCore(id cores.ID) error { return sys.Errorf(syscall.ENXIO, "no core %d", id) }

// Noise is what interrupts a program on the core.
func (d *Driver) Noise(id cores.ID) (cores.Noise, error) {
	p, own, ok := d.of(id)
	if !ok {
		return cores.Noise{}, noCore(id)
	}
	return p.Driver.Noise(own)
}

// Measure starts a program of fixed work on the core.
func (d *Driver) Measure(id cores.ID, took time.Duration) error {
	p, own, ok := d.of(id)
	if !ok {
		return noCore(id)
	}
	return p.Driver.Measure(own, took)
}

// Do switches a core.
func (d *Driver) Do(id cores.ID, op cores.Op) error {
	p, own, ok := d.of(id)
	if !ok {
		return noCore(id)
	}
	return p.Driver.Do(own, op)
}

// split gives slots the numbers of their machine. EINVAL if they are of several.
func (d *Driver) split(slots []cores.Slot) (*part, []cores.Slot, error) {
	if len(slots) == 0 {
		return nil, nil, sys.Errorf(syscall.EINVAL, "cores: a program needs at least one")
	}
	own := slices.Clone(slots)
	var whose *part
	for i, s := range slots {
		p, id, ok := d.of(s.Core)
		switch {
		case !ok:
			return nil, nil, noCore(s.Core)
		case whose != nil && whose != p:
			return nil, nil, sys.Errorf(syscall.EINVAL, "a program runs on one machine: core %d is of %s, core %d of %s (say kind or on, see cores/topology)",
				slots[0].Core, whose.Name(), s.Core, p.Name())
		}
		whose, own[i].Core = p, id
	}
	return whose, own, nil
}

// Launch starts a program on slots of one of the machines.
func (d *Driver) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	whose, own, err := d.split(slots)
	if err != nil {
		return nil, err
	}
	j, err := whose.Driver.Launch(p, own)
	if err != nil {
		if sys.Errno(err) == syscall.ENOEXEC {
			err = sys.Errorf(syscall.ENOEXEC, "%v (on cores of %s; kind says which others: %s)", err, whose.Name(), d.kindsBut(whose))
		}
		return nil, err
	}
	mixed := job{Job: j, d: d, part: whose}
	if debug, ok := j.(cores.DebugJob); ok {
		return debugJob{mixed, debug}, nil
	}
	return mixed, nil
}

// kindsBut are the kinds of cores of the other machines.
func (d *Driver) kindsBut(p *part) string {
	var kinds []string
	for i := range d.infos {
		if id := cores.ID(i); (id < p.first || id >= p.end) && !slices.Contains(kinds, d.infos[i].Kind) {
			kinds = append(kinds, d.infos[i].Kind)
		}
	}
	return strings.Join(kinds, " ")
}

// Foreign tells of busy tasks on these cores that no driver started.
func (d *Driver) Foreign(ids []cores.ID) []string {
	var out []string
	for i := range d.parts {
		p := &d.parts[i]
		var own []cores.ID
		for _, id := range ids {
			if id >= p.first && id < p.end {
				own = append(own, id-p.first)
			}
		}
		if len(own) > 0 {
			out = append(out, p.Driver.Foreign(own)...)
		}
	}
	return out
}

// Close closes the machines.
func (d *Driver) Close() error {
	var errs []error
	for i := range d.parts {
		errs = append(errs, d.parts[i].Driver.Close())
	}
	return errors.Join(errs...)
}

// job is a program of one of the machines.
type job struct {
	cores.Job
	d    *Driver
	part *part
}

// Place moves the program, which cannot leave its machine.
func (j job) Place(slots []cores.Slot) error {
	whose, own, err := j.d.split(slots)
	switch {
	case err != nil:
		return err
	case whose != j.part:
		return sys.Errorf(syscall.EINVAL, "a program stays on its machine: core %d is of %s, not of %s", slots[0].Core, whose.Name(), j.part.Name())
	}
	return j.Job.Place(own)
}

// debugJob is a job that a debugger can be attached to.
type debugJob struct {
	job
	debug cores.DebugJob
}

func (j debugJob) Debug() (cores.Port, error) { return j.debug.Debug() }

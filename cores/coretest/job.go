package coretest

import (
	"slices"
	"sync"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
)

// A FakeJob runs until End, Kill or a SIGKILL: a cores.Job.
type FakeJob struct {
	d       *FakeDriver
	pid     int
	program cores.Program
	done    chan struct{}
	once    sync.Once

	// Under d.mu:
	slots   [][]cores.Slot // of the launch, then of each Place
	signals []int
	frozen  bool
	threads []cores.Thread
	usage   cores.Usage
	exit    cores.Exit
}

// firstPID is that of the first fake job.
const firstPID = 1000

// Launch makes a job, unless FailLaunch's function or an offline core refuses.
func (d *FakeDriver) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	d.mu.Lock()
	fail := d.failLaunch
	d.mu.Unlock()
	if fail != nil {
		if err := fail(p, slots); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, sys.Errorf(syscall.EPIPE, "the driver is closed")
	}
	if len(p.Args) == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "exec: no program")
	}
	if err := d.usable(slots); err != nil {
		return nil, err
	}
	j := &FakeJob{
		d: d, pid: firstPID + len(d.jobs), program: p,
		done: make(chan struct{}), slots: [][]cores.Slot{slices.Clone(slots)},
	}
	j.threads = []cores.Thread{{TID: j.pid, VCore: -1}}
	if len(slots) == 1 {
		j.threads[0].VCore = slots[0].VCore
	}
	d.jobs = append(d.jobs, j)
	return j, nil
}

// Jobs lists all that were launched, in order.
func (d *FakeDriver) Jobs() []*FakeJob {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.jobs)
}

// Job returns the newest job whose program has this name, or nil.
func (d *FakeDriver) Job(name string) *FakeJob {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range slices.Backward(d.jobs) {
		if j.program.Name == name {
			return j
		}
	}
	return nil
}

// End ends the job with this exit; the first end counts.
func (j *FakeJob) End(e cores.Exit) {
	j.once.Do(func() {
		j.d.mu.Lock()
		if e.Usage == (cores.Usage{}) {
			e.Usage = j.usage
		}
		j.exit, j.threads = e, nil
		j.d.mu.Unlock()
		close(j.done)
	})
}

// Program returns what was launched.
func (j *FakeJob) Program() cores.Program { return j.program }

// Slots returns where the job is now.
func (j *FakeJob) Slots() []cores.Slot {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return slices.Clone(j.slots[len(j.slots)-1])
}

// Placed returns the slots of the launch and of each successful Place, in order.
func (j *FakeJob) Placed() [][]cores.Slot {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return slices.Clone(j.slots)
}

// Signals returns the signals that the job got, in order.
func (j *FakeJob) Signals() []int {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return slices.Clone(j.signals)
}

// Frozen reports whether the job is stopped.
func (j *FakeJob) Frozen() bool {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return j.frozen
}

// SetThreads says which threads the job has.
func (j *FakeJob) SetThreads(t ...cores.Thread) {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	j.threads = t
}

// SetUsage says what the job has used.
func (j *FakeJob) SetUsage(u cores.Usage) {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	j.usage = u
}

// PID is a number from 1000 on.
func (j *FakeJob) PID() int { return j.pid }

// Place records the slots, unless FailPlace's function or an offline core refuses.
func (j *FakeJob) Place(slots []cores.Slot) error {
	j.d.mu.Lock()
	fail := j.d.failPlace
	j.d.mu.Unlock()
	if fail != nil {
		if err := fail(j, slots); err != nil {
			return err
		}
	}
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	if err := j.d.usable(slots); err != nil {
		return err
	}
	j.slots = append(j.slots, slices.Clone(slots))
	return nil
}

// Signal records the signal; SIGKILL ends the job.
func (j *FakeJob) Signal(sig int) error {
	j.d.mu.Lock()
	err := j.alive()
	if err == nil {
		j.signals = append(j.signals, sig)
	}
	j.d.mu.Unlock()
	if err == nil && sig == int(syscall.SIGKILL) {
		j.End(cores.Exit{Signal: sig})
	}
	return err
}

// Freeze records the state.
func (j *FakeJob) Freeze(on bool) error {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	if err := j.alive(); err != nil {
		return err
	}
	j.frozen = on
	return nil
}

// Kill ends the job as SIGKILL does.
func (j *FakeJob) Kill() error {
	j.End(cores.Exit{Signal: int(syscall.SIGKILL)})
	return nil
}

// Threads returns what SetThreads set: at first one, none after the end.
func (j *FakeJob) Threads() []cores.Thread {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return slices.Clone(j.threads)
}

// Usage returns what SetUsage set.
func (j *FakeJob) Usage() cores.Usage {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return j.usage
}

// Done is closed at the end.
func (j *FakeJob) Done() <-chan struct{} { return j.done }

// Exit returns what End was given.
func (j *FakeJob) Exit() cores.Exit {
	j.d.mu.Lock()
	defer j.d.mu.Unlock()
	return j.exit
}

// alive fails with ESRCH after the end. j.d.mu is held.
func (j *FakeJob) alive() error {
	select {
	case <-j.done:
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	default:
		return nil
	}
}

package sim

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A Job is a program on some cores: the vcores of a many-core process.
type Job struct {
	m     *Machine
	name  string
	write func(fd int, p []byte) error
	done  chan struct{}
	exit  Exit

	// Under Machine.mu:
	cores   []int32       // per rank; -1: it has none
	lost    map[int]*lost // ranks without a core
	image   func(role string) (*Image, error)
	live    int // cores that have not ended
	arrived int // at the barrier
	frozen  bool
	held    bool             // till a record that is replayed has its start
	failed  [2]syscall.Errno // why output to files 1 and 2 could not be written last
	input   []byte
	eof     bool
	more    func() // asks for more input; nil: none comes
	ready   func() ([]byte, bool)
	asking  bool    // more was called
	askers  []int32 // cores that wait for input
	ended   bool
	stuck   bool   // a deadlock was told
	stuckAt uint64 // how many instructions its cores had retired then
	// What came from the file while a record was replayed.
	later    []byte
	laterEOF bool
}

// An Exit is how a job ended.
type Exit struct {
	Code   int
	Signal int    // 0: it exited
	Reason string // of a fault: where, and what
}

// An Image is what some of a job's cores run.
type Image struct {
	ELF  []byte
	Args []string // with the program's name
	Env  []string
}

// A Launch says what a job runs.
type Launch struct {
	Name string
	// Cores are the places of the ranks, in order.
	Cores []int
	// Image returns what a core runs, by its role.
	Image func(role string) (*Image, error)
	// Write takes what the cores write to files 1 and 2, an epoch's at a time,
	// in order of time; nil: it is shown on consoles only. What it fails to write it
	// keeps, and tries again when it is called the next time, perhaps with nothing;
	// until that succeeds, the program's writes to the file fail.
	Write func(fd int, p []byte) error
	// More asks for input: Feed must be called some time later. It must not
	// wait. nil: the input is empty.
	More func()
	// Ready returns input that is there already, and whether it has ended: none, and
	// More is called. Time stands meanwhile. p is the caller's until it is called
	// again. nil: there is none.
	Ready func() (p []byte, eof bool)
	// Held: do not begin before Freeze(false).
	Held bool
}

// Launch starts a program on cores, or leaves everything as it was: ENOEXEC,
// ENOMEM, EBUSY where something runs.
func (m *Machine) Launch(l Launch) (*Job, error) {
	j := &Job{m: m, name: l.Name, write: l.Write, more: l.More, ready: l.Ready, image: l.Image, eof: l.More == nil, done: make(chan struct{})}
	runs := m.runs(l.Image, m.prepare)
	for _, id := range l.Cores {
		if _, err := runs.on(id); err != nil {
			return nil, err
		}
		j.cores = append(j.cores, int32(id))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed()
	}
	ids := make(coreSet, len(l.Cores))
	for _, id := range l.Cores {
		if ids[int32(id)] {
			return nil, sys.Errorf(syscall.EINVAL, "core %d is named twice", m.shown(int32(id)))
		}
		ids[int32(id)] = true
	}
	runs.share()
	list := make([]roleRun, len(l.Cores))
	for rank, id := range l.Cores {
		var err error
		if list[rank], err = runs.on(id); err != nil {
			return nil, err
		}
		if err := m.fits(int32(id), list[rank].p, list[rank].image, ids); err != nil {
			return nil, err
		}
	}
	if err := runs.clash(j.cores); err != nil {
		return nil, err
	}
	j.frozen = l.Held
	m.vacate(j.cores)
	begun := make([]start, len(list))
	for rank := range list {
		c := &m.cores[j.cores[rank]]
		m.install(c, list[rank].p)
		begun[rank] = start{c, list[rank].image}
	}
	m.fill(begun)
	for rank := range begun {
		m.enter(begun[rank].c, j, int32(rank))
	}
	j.live = len(j.cores)
	m.jobs[j] = struct{}{}
	m.noteStart(j)
	return j, nil
}

// stands reports whether the job's cores do not run, as somebody said.
func (j *Job) stands() bool { return j.frozen || j.held }

// all are the cores that the job has, by rank. m.mu is held.
func (j *Job) all() iter.Seq[*core] {
	return func(yield func(*core) bool) {
		for _, id := range j.cores {
			if id < 0 || j.m.cores[id].job != j {
				continue
			}
			if !yield(&j.m.cores[id]) {
				return
			}
		}
	}
}

// enter makes a loaded core a rank of a job that runs. m.mu is held.
func (m *Machine) enter(c *core, j *Job, rank int32) {
	c.job, c.rank, c.state = j, rank, Running
	c.lift(m.now)
	c.began = m.now
	if c.debug.attached() {
		c.debug.session.found(c)
	}
	m.publish(c)
	m.queue(c.tile)
	m.start()
}

// finish takes note of the cores that have ended, and ends the jobs that have
// none left, or that one of them ended as a whole.
func (m *Machine) finish() {
	list := m.gather(func(w *worker) *[]int32 { return &w.ended })
	for _, id := range list {
		c := &m.cores[id]
		j := c.job
		if c.state == Halted {
			m.halted(c)
			continue
		}
		if j == nil || j.ended || c.state != Exited && c.state != Faulted {
			continue
		}
		j.live--
		switch {
		case c.state == Faulted:
			m.endJob(j, Exit{Signal: int(c.faultSignal()), Reason: m.faultText(c)})
		case c.all:
			m.endJob(j, Exit{Code: int(c.code) & 0xff})
		case j.live == 0:
			m.endJob(j, Exit{Code: m.exitCode(j)})
		}
	}
	m.tellHalts(list)
	for _, id := range list {
		c := &m.cores[id]
		if j := c.job; j != nil && !j.ended && !c.live() {
			m.tiles[c.tile].dirty.Store(true) // others may have waited for it
			m.queue(c.tile)
			m.servePorts(c)
			m.tellDebugger(c)
		}
	}
	if len(list) > 0 {
		m.tellWaiters()
	}
}

// exitCode is that of the first rank that did not end with 0.
func (m *Machine) exitCode(j *Job) int {
	for c := range j.all() {
		if code := int(c.code) & 0xff; code != 0 {
			return code
		}
	}
	return 0
}

// endJob ends a job: its cores stand as they are, to be looked at, until
// something else is loaded. m.mu is held.
func (m *Machine) endJob(j *Job, e Exit) {
	if j.ended {
		return
	}
	j.ended, j.exit, m.stilled = true, e, true
	delete(m.jobs, j)
	m.log.held = slices.DeleteFunc(m.log.held, func(h *Job) bool { return h == j })
	for rank, l := range j.lost {
		m.release(l.was.prog)
		l.was.account.gone, l.was.account.held = true, nil
		delete(j.lost, rank)
	}
	for c := range j.all() {
		if !c.live() {
			continue
		}
		c.state, c.wait = Exited, noWait
		c.drop()
		m.publish(c)
	}
	for c := range j.all() {
		m.servePorts(c)
	}
	j.askers = nil
	close(j.done)
	for c := range j.all() {
		m.tellDebugger(c)
	}
	if d := j.debugger(); d != nil {
		d.leave()
	}
	m.tellWaiters()
}

// Done is closed when the job has ended.
func (j *Job) Done() <-chan struct{} { return j.done }

// Exit is how it ended; call it after that.
func (j *Job) Exit() Exit {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	return j.exit
}

// Freeze stops the job's cores, or lets them go on. What is told of them is exact
// while they stand. ESRCH if it has ended.
func (j *Job) Freeze(on bool) error {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	if j.ended {
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	}
	if on != j.frozen {
		j.m.logJob(j, map[bool]string{true: "stop", false: "cont"}[on], "")
		j.m.freeze(j, on)
	}
	return nil
}

func (m *Machine) freeze(j *Job, on bool) {
	j.frozen, m.stilled = on, true
	m.thaw(j)
	if on {
		for c := range j.all() {
			m.publish(c) // some epochs do not
		}
	}
}

// thaw lets a job's cores go on, if nobody holds them. m.mu is held.
func (m *Machine) thaw(j *Job) {
	if j.stands() {
		return
	}
	for c := range j.all() {
		if !c.live() || c.state == Halted {
			continue
		}
		if c.state == Running {
			c.lift(m.now)
		}
		m.tiles[c.tile].dirty.Store(true)
		m.queue(c.tile)
	}
	m.start()
}

// Signal ends the job as that signal does. ESRCH if it has ended.
func (j *Job) Signal(sig int) error {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	if j.ended {
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	}
	j.m.logJob(j, "signal", strconv.Itoa(sig))
	j.m.endJob(j, Exit{Signal: sig})
	return nil
}

// Cycles is what the job's cores have run, in cycles, without what they waited.
func (j *Job) Cycles() uint64 {
	var n uint64
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	for c := range j.all() {
		n += j.m.Retired(int(c.id))
	}
	for _, l := range j.lost {
		n += l.was.hart.Instret
	}
	return n
}

// shown is a core's number for those who read.
func (m *Machine) shown(id int32) int { return int(id) + m.opt.First }

// coreName says which core it is, for people: "core 5 (3,1) T0".
func (m *Machine) coreName(id int32) string {
	t := &m.spec.Tiles[m.cores[id].tile]
	return strings.TrimSpace(fmt.Sprintf("core %d (%d,%d) %s", m.shown(id), t.X, t.Y, m.spec.Role(int(id))))
}

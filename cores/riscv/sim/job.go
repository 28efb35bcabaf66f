package sim

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"warren/cores/riscv/exe"
	"warren/cores/riscv/hot"
	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A program is an executable as cores run it: decoded once, shared by all.
type program struct {
	sum    [32]byte
	raw    []byte
	exe    *exe.Program
	image  *rv.Image
	users  int
	heat   atomic.Int64 // instructions that were run
	tohost uint32       // where the program tells its end; 0: nowhere

	compiling sync.Mutex // held while it is compiled
	modules   map[shape]*hot.Module
}

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
	failed  syscall.Errno // why output cannot be written any more
	input   []byte
	eof     bool
	more    func()  // asks for more input; nil: none comes
	asking  bool    // more was called
	askers  []int32 // cores that wait for input
	ended   bool
	told    string // the deadlock that was told last
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
	// in order of time; nil: it is shown on consoles only.
	Write func(fd int, p []byte) error
	// More asks for input: Feed must be called some time later. It must not
	// wait. nil: the input is empty.
	More func()
	// Held: do not begin before Freeze(false).
	Held bool
}

// prepare checks an executable and decodes it; ENOEXEC if it is none.
func (m *Machine) prepare(raw []byte) (*program, error) {
	sum := sha256.Sum256(raw)
	m.mu.Lock()
	p := m.programs[sum]
	m.mu.Unlock()
	if p != nil {
		return p, nil
	}
	return newProgram(sum, raw)
}

// preparedLocked is prepare with m.mu held.
func (m *Machine) preparedLocked(raw []byte) (*program, error) {
	sum := sha256.Sum256(raw)
	if p := m.programs[sum]; p != nil {
		return p, nil
	}
	return newProgram(sum, raw)
}

func newProgram(sum [32]byte, raw []byte) (*program, error) {
	e, err := exe.Parse(raw)
	if err != nil {
		return nil, err
	}
	var text []rv.Text
	for _, s := range e.Segments {
		if s.Exec {
			text = append(text, rv.Text{Addr: s.Addr, Bytes: s.Data})
		}
	}
	image, err := rv.NewImage(text)
	if err != nil {
		return nil, err
	}
	p := &program{sum: sum, raw: raw, exe: e, image: image}
	if addr, ok := e.Addr("tohost"); ok {
		p.tohost = addr
	}
	return p, nil
}

// Launch starts a program on cores, or leaves everything as it was: ENOEXEC,
// ENOMEM, EBUSY where something runs.
func (m *Machine) Launch(l Launch) (*Job, error) {
	j := &Job{m: m, name: l.Name, write: l.Write, more: l.More, image: l.Image, eof: l.More == nil, done: make(chan struct{})}
	type loaded struct {
		p     *program
		image *Image
	}
	byRole := make(map[string]loaded)
	bySum := make(map[[32]byte]*program) // one for all roles that run the same
	list := make([]loaded, len(l.Cores))
	for rank, id := range l.Cores {
		role := m.spec.Role(id)
		at, ok := byRole[role]
		if !ok {
			image, err := l.Image(role)
			if err != nil {
				return nil, err
			}
			if at.p, err = m.prepare(image.ELF); err != nil {
				return nil, err
			}
			if same := bySum[at.p.sum]; same != nil {
				at.p = same
			}
			bySum[at.p.sum] = at.p
			at.image = image
			byRole[role] = at
		}
		list[rank] = at
		j.cores = append(j.cores, int32(id))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed()
	}
	for i, id := range l.Cores {
		if slices.Contains(l.Cores[:i], id) {
			return nil, sys.Errorf(syscall.EINVAL, "core %d is named twice", m.shown(int32(id)))
		}
	}
	for rank := range list {
		if err := m.fits(int32(l.Cores[rank]), list[rank].p, list[rank].image); err != nil {
			return nil, err
		}
	}
	j.frozen = l.Held
	for _, id := range j.cores {
		m.reset(&m.cores[id])
	}
	m.clearTiles(j)
	for rank := range list {
		c := &m.cores[j.cores[rank]]
		m.put(c, list[rank].p)
		m.enter(c, j, int32(rank), list[rank].image)
	}
	j.live = len(j.cores)
	m.jobs[j] = struct{}{}
	m.log.note(m.epochs, "start", l.Name)
	return j, nil
}

// fits says why a program cannot be loaded on a core. m.mu is held.
func (m *Machine) fits(id int32, p *program, image *Image) error {
	c := &m.cores[id]
	if c.job != nil && !c.job.ended {
		return sys.Errorf(syscall.EBUSY, "core %d runs %s", m.shown(id), c.job.name)
	}
	return m.fitsThere(id, p, image)
}

// fitsThere says why a core's memory cannot take a program.
func (m *Machine) fitsThere(id int32, p *program, image *Image) error {
	c := &m.cores[id]
	kind := &m.spec.Kinds[m.spec.Tiles[c.tile].Kind]
	stack := 0
	for _, s := range [][]string{image.Args, image.Env} {
		for _, word := range s {
			stack += len(word) + 5
		}
	}
	for _, s := range p.exe.Segments {
		private := inRange(s.Addr, s.MemSize, PrivateBase, kind.PrivateSize)
		if !private && !inRange(s.Addr, s.MemSize, kind.SRAMBase, kind.SRAMSize) {
			return sys.Errorf(syscall.ENOMEM, "core %d (%s) has no memory at 0x%x-0x%x, where the program is to lie: program memory is 0x%x-0x%x, SRAM 0x%x-0x%x (build it with warren cc)",
				m.shown(id), m.spec.Role(int(id)), s.Addr, uint64(s.Addr)+uint64(s.MemSize)-1, uint32(PrivateBase), uint64(PrivateBase)+uint64(kind.PrivateSize)-1, kind.SRAMBase, uint64(kind.SRAMBase)+uint64(kind.SRAMSize)-1)
		}
		if private && uint64(s.Addr-PrivateBase)+uint64(s.MemSize)+uint64(stack)+leastStack > uint64(kind.PrivateSize) {
			return sys.Errorf(syscall.ENOMEM, "core %d: the program ends at 0x%x, which leaves less than %d bytes of its %d for the stack", m.shown(id), uint64(s.Addr)+uint64(s.MemSize), leastStack, kind.PrivateSize)
		}
		if !private {
			if err := m.clash(c, p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastStack is the stack that a program must have room for.
const leastStack = 1024

func inRange(addr, n, base, size uint32) bool {
	off := uint64(addr - base)
	return off+uint64(n) <= uint64(size)
}

// clearTiles makes the SRAM zero of the tiles that nothing else uses. m.mu is held.
func (m *Machine) clearTiles(j *Job) {
	last := int32(-1)
	for _, id := range slices.Sorted(slices.Values(j.cores)) {
		t := m.cores[id].tile
		if t == last {
			continue
		}
		last = t
		if !m.tileBusy(t) && !m.tileLoaded(t) {
			m.clearSRAM(t)
		}
	}
}

// clearSRAM makes the SRAM of a tile what it was at first. m.mu is held.
func (m *Machine) clearSRAM(t int32) {
	clearMemory(m.sram(t))
	tl := &m.tiles[t]
	tl.shared, tl.ro = nil, 0
	tl.life++
}

// tileBusy reports whether a job that has not ended has a core in the tile.
func (m *Machine) tileBusy(t int32) bool {
	list := m.tileCores(t)
	for i := range list {
		if j := list[i].job; j != nil && !j.ended {
			return true
		}
	}
	return false
}

// put loads a program into the memory of a core, which is idle. m.mu is held.
func (m *Machine) put(c *core, p *program) {
	m.reset(c)
	if p.users == 0 {
		m.programs[p.sum] = p
	}
	p.users++
	h := new(rv.Hart)
	private, _ := m.private(c)
	h.Win[0] = rv.Window{Base: PrivateBase, Mem: private}
	h.Win[1] = rv.Window{Base: m.sramBase(c.tile), Mem: m.sram(c.tile)}
	h.ID, h.Image = uint32(c.id), p.image
	c.hart, c.prog = h, p
	for _, s := range p.exe.Segments {
		b, _ := m.at(c, s.Addr, int(s.MemSize))
		n := copy(b, s.Data)
		clear(b[n:])
		if !inRange(s.Addr, s.MemSize, PrivateBase, uint32(len(private))) {
			m.shared(c.tile).lay(part{addr: s.Addr, size: s.MemSize, what: fmt.Sprintf("program (core %d)", m.shown(c.id)), prog: p})
		}
	}
	for _, s := range p.exe.Segments {
		if s.Write || s.MemSize == 0 {
			continue
		}
		end := s.Addr + s.MemSize
		if inRange(s.Addr, s.MemSize, PrivateBase, uint32(len(private))) {
			h.Win[0].RO = max(h.Win[0].RO, end-PrivateBase)
		} else {
			m.protect(c.tile, end)
		}
	}
	h.Win[1].RO = m.tiles[c.tile].ro
	c.account = &account{core: c.id}
	c.state, c.resume = Ready, Ready
	h.PC = p.exe.Entry
	h.X[2] = PrivateBase + uint32(len(private))
	c.brk = p.exe.End()
	m.publish(c)
}

// reset makes a core what it was before anything was loaded. m.mu is held.
func (m *Machine) reset(c *core) {
	c.drop()
	if c.prog != nil {
		m.release(c.prog)
	}
	if c.hart != nil {
		private, _ := m.private(c)
		clearMemory(private)
	}
	c.hart, c.prog, c.job, c.rank = nil, nil, nil, -1
	if c.account != nil {
		c.account.gone = true
		c.account = nil
	}
	if c.listed {
		m.sleepers = slices.DeleteFunc(m.sleepers, func(id int32) bool { return id == c.id })
	}
	c.state, c.resume, c.wait, c.asked, c.met, c.csr, c.answered = Idle, Idle, noWait, false, false, false, false
	c.listed, c.cold = false, false
	c.code, c.all, c.mark, c.marks, c.ring, c.image = 0, false, 0, 0, nil, nil
	if c.debug != nil {
		c.debug = &debug{session: c.debug.session}
		m.setBreaks(c)
	}
	m.emptyBoxes(c)
	m.publish(c)
	m.retired[c.id].Store(0)
}

// release takes one of a program's users away.
func (m *Machine) release(p *program) {
	if p.users--; p.users > 0 {
		return
	}
	delete(m.programs, p.sum)
	for s, module := range p.modules {
		if err := module.Close(); err != nil {
			m.opt.Log.Warn("compiled program", "err", err)
		}
		delete(p.modules, s)
	}
}

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
func (m *Machine) enter(c *core, j *Job, rank int32, image *Image) {
	h := c.hart
	c.job, c.rank, c.state = j, rank, Running
	if image == nil {
		image = new(Image)
	}
	h.X[2] = m.pushArgs(c, image)
	c.lift(m.now)
	c.began = m.now
	m.publish(c)
	m.queue(c.tile)
	m.start()
}

// pushArgs lays arguments and environment on the stack as Linux does, and
// returns the stack pointer.
func (m *Machine) pushArgs(c *core, image *Image) uint32 {
	mem := c.hart.Win[0].Mem
	top := uint32(len(mem))
	var words []uint32
	place := func(list []string) {
		for _, s := range list {
			top -= uint32(len(s)) + 1
			copy(mem[top:], s)
			mem[top+uint32(len(s))] = 0
			words = append(words, PrivateBase+top)
		}
		words = append(words, 0)
	}
	words = append(words, uint32(len(image.Args)))
	place(image.Args)
	place(image.Env)
	words = append(words, 0, 0) // the end of the auxiliary vector
	top = (top - uint32(len(words))*4) &^ 15
	for i, word := range words {
		putWord(mem[top+uint32(i)*4:], word)
	}
	return PrivateBase + top
}

func putWord(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
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
		default:
			m.tiles[c.tile].dirty.Store(true) // others may have waited for it
			m.queue(c.tile)
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
	j.ended, j.exit = true, e
	delete(m.jobs, j)
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
	j.askers = nil
	close(j.done)
	for c := range j.all() {
		m.tellDebugger(c)
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

// Freeze stops the job's cores, or lets them go on. ESRCH if it has ended.
func (j *Job) Freeze(on bool) error {
	j.m.mu.Lock()
	defer j.m.mu.Unlock()
	if j.ended {
		return sys.Errorf(syscall.ESRCH, "the program has ended")
	}
	j.m.freeze(j, on)
	return nil
}

func (m *Machine) freeze(j *Job, on bool) {
	j.frozen = on
	m.thaw(j)
}

// thaw lets a job's cores go on, if nobody holds them. m.mu is held.
func (m *Machine) thaw(j *Job) {
	if j.frozen {
		return
	}
	for c := range j.all() {
		if !c.live() {
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

// Feed gives the job more input; eof: there is no more.
func (j *Job) Feed(p []byte, eof bool) {
	m := j.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.replaying() { // till its end the input comes from the record
		j.later, j.laterEOF = append(j.later, p...), j.laterEOF || eof
		return
	}
	m.feedFile(j, p, eof)
}

// feedFile is feed for what comes from a file. m.mu is held.
func (m *Machine) feedFile(j *Job, p []byte, eof bool) {
	for c := range j.all() {
		m.log.input(m.epochs, "stdin", int(c.id), 0, p, eof)
		break
	}
	m.feed(j, p, eof)
}

func (m *Machine) feed(j *Job, p []byte, eof bool) {
	if j.ended {
		return
	}
	j.input = append(j.input, p...)
	j.eof = j.eof || eof
	j.asking = false
	m.input()
	m.start()
}

// input gives cores the input that they wait for, in order. m.mu is held.
func (m *Machine) input() {
	for _, id := range m.gather(func(w *worker) *[]int32 { return &w.asks }) {
		if c := &m.cores[id]; c.job != nil && !c.job.ended && c.parkedFor(forInput) {
			c.job.askers = append(c.job.askers, id)
		}
	}
	for j := range m.jobs {
		for len(j.askers) > 0 && (len(j.input) > 0 || j.eof) {
			m.giveInput(j, &m.cores[j.askers[0]])
			j.askers = j.askers[1:]
		}
		if len(j.askers) > 0 && !j.asking && !m.log.replaying() {
			j.asking = true
			j.more()
		}
	}
}

func (m *Machine) giveInput(j *Job, c *core) {
	if !c.parkedFor(forInput) {
		return
	}
	a := c.hart.X[registerArg0:]
	b, writable := m.at(c, a[1], int(min(a[2], maxTransfer)))
	if b == nil || !writable {
		m.resume(c, errorValue(syscall.EFAULT))
		return
	}
	n := copy(b, j.input)
	if j.input = j.input[n:]; len(j.input) == 0 {
		j.input = nil
	}
	m.resume(c, uint32(n))
}

// speak passes on what was written in the epoch, in order of time.
func (m *Machine) speak() {
	var all []saying
	for _, w := range m.workers {
		all = append(all, w.says...)
		clear(w.says)
		w.says = w.says[:0]
	}
	slices.SortFunc(all, func(a, b saying) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.core, b.core), cmp.Compare(a.seq, b.seq))
	})
	for i := range all {
		s := &all[i]
		c := &m.cores[s.core]
		if s.host >= 0 {
			m.serveReaders(c, uint8(s.host))
			continue
		}
		m.show(c, s)
		if j := c.job; j != nil && j.write != nil && j.failed == 0 {
			if err := j.write(int(s.fd), s.data); err != nil {
				j.failed = sys.Errno(err)
			}
		}
	}
}

// shown is a core's number for those who read.
func (m *Machine) shown(id int32) int { return int(id) + m.opt.First }

// coreName says which core it is, for people: "core 5 (3,1) T0".
func (m *Machine) coreName(id int32) string {
	t := &m.spec.Tiles[m.cores[id].tile]
	return strings.TrimSpace(fmt.Sprintf("core %d (%d,%d) %s", m.shown(id), t.X, t.Y, m.spec.Role(int(id))))
}

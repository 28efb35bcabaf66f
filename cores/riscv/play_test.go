package riscv

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"

	"warren/cores"
	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
	"warren/fs"
	"warren/fs/post"
	"warren/fs/sys"
	"warren/fs/tree"
	"warren/kern"
	"warren/kern/chans"
	"warren/sched"
	"warren/sched/mcp"
)

// mesh is a grid as mesh=3x2 is one, but with less memory to look through.
const mesh = `machine mesh
grid 3 2
network mesh
clock 1000
overhead 10
hop 9
flit 64
kind mesh
core core rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
sram 0 32K
private 64K
tiles mesh x=0-2,y=0-1
`

// twins is a machine some of whose cores share a tile.
const twins = `machine twins
grid 2 1
network mesh
clock 1000
overhead 10
hop 9
flit 64
kind pair
core A rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
core B rv32imafdc_zicsr_zicntr_zifencei_zba_zbb
sram 0 32K
private 32K
kind one
core C rv32imac_zicsr_zicntr_zifencei
sram 0 16K
private 64K
tiles pair x=0,y=0
tiles one x=1,y=0
`

// A play is a script of operations on the files of a machine, being played.
//
// In a still play each operation is done when the machine has come to rest, so
// that what comes of it does not depend on how fast anything is.
type play struct {
	t     testing.TB
	still bool
	d     *Driver
	tap   *tap
	root  fs.Node
	set   *mcp.Set
	user  *sys.User
	dir   string
	n     int // cores
	files []*file
	gdbs  int          // of the files
	wild  map[int]bool // cores whose program may never end
	saved bool         // there is a snapshot
	wilds bool         // with such a program
	hurry bool         // do not wait now
	trace []string
	life  *time.Timer // ends the test when nothing happens any more
}

// A tap is the driver, and knows which jobs it launched.
type tap struct {
	*Driver

	mu   sync.Mutex
	jobs map[cores.Job]string
}

func (d *tap) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	j, err := d.Driver.Launch(p, slots)
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.jobs[j] = p.Name
	}
	return j, err
}

// noSign is how long nothing may happen before a play counts as hung.
const noSign = 2 * time.Minute

// A file is one that the play keeps open.
type file struct {
	path  string
	h     fs.Handle
	flags fs.Flags
	calls []*question
}

// A question is a call, and its answer.
type question struct {
	fs.Call
	what string

	mu       sync.Mutex
	answered chan struct{}
	data     []byte
	n        int
	err      error
	lost     func()
}

func (q *question) answer(p []byte, lost func(), n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.answered:
		panic("a call was answered twice: " + q.what)
	default:
	}
	q.data, q.lost, q.n, q.err = bytes.Clone(p), lost, n, err
	close(q.answered)
}

func (q *question) Data(p []byte, lost func()) { q.answer(p, lost, 0, nil) }
func (q *question) Count(n int)                { q.answer(nil, nil, n, nil) }
func (q *question) Error(err error)            { q.answer(nil, nil, 0, err) }

func (q *question) done() bool {
	select {
	case <-q.answered:
		return true
	default:
		return false
	}
}

func (p *play) ask(count int, what string) *question {
	q := &question{answered: make(chan struct{}), what: what}
	q.Init(p.user, 1, q, count, false)
	return q
}

// begin brings a machine up.
func begin(t testing.TB, dir string, twin, still bool, workers int) *play {
	t.Helper()
	text := mesh
	if twin {
		text = twins
	}
	s, err := spec.Parse("my.machine", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Machine: s, Workers: workers, NoHot: true}
	if workers > 1 { // programs are compiled as soon as they run alone
		o.NoHot, o.Heat = false, 1
	}
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &play{t: t, still: still, d: d, tap: &tap{Driver: d, jobs: make(map[cores.Job]string)}, dir: dir, n: s.Cores(), wild: make(map[int]bool)}
	p.life = time.AfterFunc(noSign, func() {
		all := make([]byte, 1<<20)
		panic(fmt.Sprintf("nothing happens any more:\n%s\n%s", strings.Join(p.trace, "\n"), all[:runtime.Stack(all, true)]))
	})
	users := new(sys.Users)
	p.user = users.ByUID(uint32(os.Geteuid()), uint32(os.Getegid()))
	m := kern.New(p.tap, kern.Options{})
	scheduler := sched.New(m, sched.Options{Self: p.user, Users: users})
	p.set, err = mcp.NewSet(mcp.Config{Sched: scheduler, Machine: m, Driver: p.tap, StateDir: filepath.Join(dir, "state"), Events: m.Events(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	p.root = tree.New(tree.Config{
		Kern: m, Sched: scheduler, Procs: p.set, Chans: chans.NewSet(m.Events()), Posts: post.NewSet(post.Config{Class: tree.ClassFar}),
		Clients: func() int { return 1 }, Log: func() string { return "info" }, SetLog: func(string) error { return nil }, Halt: func() {},
	})
	return p
}

func (p *play) note(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

// fail ends the test, and tells what was done.
func (p *play) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(p.trace, "\n"))
}

// walk finds a file.
func (p *play) walk(path string) (fs.Node, error) {
	n := p.root
	for name := range strings.SplitSeq(path, "/") {
		next, err := n.Walk(&p.ask(0, path).Call, name)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

func (p *play) open(path string, f fs.Flags) (*file, error) {
	n, err := p.walk(path)
	if err != nil {
		return nil, err
	}
	h, _, err := n.Open(&p.ask(0, path).Call, f)
	if err != nil {
		return nil, err
	}
	return &file{path: path, h: h, flags: f}, nil
}

// read begins to read, write to write. What is asked is answered now or parked.
func (p *play) read(f *file, off int64, count int) *question {
	q := p.ask(count, "read "+f.path)
	f.h.Read(&q.Call, off)
	return p.begun(f, q)
}

func (p *play) write(f *file, data []byte) *question {
	q := p.ask(0, "write "+f.path)
	f.h.Write(&q.Call, data, -1)
	return p.begun(f, q)
}

func (p *play) begun(f *file, q *question) *question {
	if p.still && !p.hurry {
		p.settle()
	}
	if !q.Answered() && !q.Parked() {
		p.fail("%s is neither answered nor does it wait", q.what)
	}
	if !q.done() {
		f.calls = append(f.calls, q)
		return q
	}
	p.checkError(q.what, q.err)
	return q
}

// cat reads all of a file that waits for nothing.
func (p *play) cat(path string) string {
	p.t.Helper()
	text, err := p.tryCat(path)
	if err != nil {
		p.fail("%s: %v", path, err)
	}
	return text
}

func (p *play) tryCat(path string) (string, error) {
	p.t.Helper()
	f, err := p.open(path, fs.ORead)
	if err != nil {
		return "", err
	}
	defer f.h.Close()
	var all []byte
	for {
		q := p.read(f, int64(len(all)), 1<<16)
		if !q.done() {
			p.fail("a read of %s waits", path)
		}
		if q.err != nil {
			return "", q.err
		}
		if len(q.data) == 0 {
			return string(all), nil
		}
		all = append(all, q.data...)
	}
}

// echo writes commands to a ctl, which must be answered at once.
func (p *play) echo(text, path string) error {
	p.t.Helper()
	f, err := p.open(path, fs.OWrite|fs.OTrunc)
	if err != nil {
		p.checkError(path, err)
		return err
	}
	defer f.h.Close()
	q := p.write(f, []byte(text))
	if !q.done() {
		p.fail("%q >%s waits", text, path)
	}
	if q.err == nil && q.n != len(text) {
		return errors.New("a later line failed")
	}
	return q.err
}

// do is echo of what may be refused: then nothing may have changed.
func (p *play) do(text, path string) error {
	p.t.Helper()
	quiet := p.quiet()
	before := ""
	if quiet {
		before = p.look()
	}
	err := p.echo(text, path)
	p.note("%q >%s: %v", text, path, err)
	if err != nil && quiet {
		if after := p.look(); after != before {
			p.fail("it was refused, and changed something:\n%s", differ(before, after))
		}
	}
	return err
}

// differ is the lines in which texts differ.
func differ(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out strings.Builder
	for i := range max(len(as), len(bs)) {
		var x, y string
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if x != y {
			fmt.Fprintf(&out, "- %s\n+ %s\n", x, y)
		}
	}
	return out.String()
}

// checkError holds an error to what a user may expect of one.
func (p *play) checkError(what string, err error) {
	p.t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	first, _ := utf8.DecodeRuneInString(text)
	switch no := sys.Errno(err); {
	case no == 0 || no == syscall.EIO:
		p.fail("%s: the error %q has the number %d", what, text, no)
	case text == "" || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n") || strings.Contains(text, "%!"):
		p.fail("%s: the error is %q", what, text)
	case unicode.IsUpper(first) || strings.HasSuffix(text, "."):
		p.fail("%s: the error %q is not in the style of all", what, text)
	}
}

// quiet reports whether the machine is at rest, and nothing will change that by itself.
func (p *play) quiet() bool {
	if !p.d.m.Resting() || !p.ended() {
		return false
	}
	if p.still {
		return true
	}
	idle := p.gdbs == 0
	p.set.List(0, func(proc *mcp.Proc) bool { // those that wait may begin
		s := proc.State()
		idle = idle && (s == mcp.New || s == mcp.Done)
		return idle
	})
	return idle
}

// ended reports whether the processes know of all jobs that have ended.
func (p *play) ended() bool {
	p.tap.mu.Lock()
	defer p.tap.mu.Unlock()
	for j, name := range p.tap.jobs {
		if j.Signal(0) == nil {
			continue
		}
		if proc, ok := p.set.Get(name); ok && proc.State() != mcp.Done {
			return false
		}
		delete(p.tap.jobs, j)
	}
	return true
}

// settle waits until the machine is at rest.
func (p *play) settle() {
	for n := 0; !p.d.m.Resting() || !p.ended(); n++ {
		time.Sleep(time.Duration(min(n, 100)) * 10 * time.Microsecond)
	}
}

// tierless hides whether a core's program is compiled, which must not matter.
var tierless = strings.NewReplacer("tier compiled", "tier any", "tier interpreted", "tier any")

// look is what can be seen of the machine, but for what depends on the hour.
func (p *play) look() string { return p.lookAt("hart", "ctl") }

// lookAt shows these files of cores, and what is not of one core.
func (p *play) lookAt(files ...string) string {
	var b strings.Builder
	show := func(path string) {
		text, err := p.tryCat(path)
		fmt.Fprintf(&b, "%s (%v)\n", path, err)
		for line := range strings.Lines(text) {
			b.WriteString(path + ": " + line)
		}
	}
	for i := range p.n {
		for _, name := range files {
			show(fmt.Sprintf("cores/%d/%s", i, name))
		}
	}
	for _, path := range []string{"cores/ctl", "cores/time", "cores/blocked"} {
		show(path)
	}
	p.set.List(0, func(proc *mcp.Proc) bool {
		name := proc.Meta().Name
		fmt.Fprintf(&b, "%s is %s\n", name, proc.State())
		show("procs/" + name + "/ctl")
		return true
	})
	fmt.Fprintf(&b, "memory %s\n", p.d.m.Hash())
	return b.String()
}

// hart is a line of a core's hart file.
func (p *play) hart(core int, key string) string {
	for line := range strings.Lines(p.cat(fmt.Sprintf("cores/%d/hart", core))) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	p.fail("core %d has no %s", core, key)
	return ""
}

// step does one operation, and looks whether all is as it should be.
func (p *play) step(op, a, b, c byte) {
	p.life.Reset(noSign)
	operations[int(op)%len(operations)](p, a, b, c)
	if p.still {
		p.settle()
	}
	for i, f := range p.files {
		p.sort(f)
		var core int
		if _, err := fmt.Sscanf(f.path, "cores/%d/wait", &core); err != nil || !strings.HasSuffix(f.path, "/wait") || len(f.calls) == 0 {
			continue
		}
		switch state := p.hart(core, "state"); state {
		case "halted":
			if p.gdbs > 0 {
				break // a debugger is told, and nobody else
			}
			fallthrough
		case "exited", "faulted":
			if p.sort(f); len(f.calls) > 0 {
				p.fail("core %d has %s, and its wait (file %d) waits on", core, state, i)
			}
		}
	}
}

// sort drops the calls of a file that were answered.
func (p *play) sort(f *file) {
	left := f.calls[:0]
	for _, q := range f.calls {
		if !q.done() {
			left = append(left, q)
			continue
		}
		p.tell(f, q)
	}
	f.calls = left
}

// tell notes an answer that came late.
func (p *play) tell(f *file, q *question) {
	if errno := sys.Errno(q.err); errno != syscall.EINTR {
		p.checkError(q.what, q.err)
	}
	p.note("  answer of %s: %s", q.what, p.answerText(f.path, q))
}

// answerText is what can be compared of an answer.
func (p *play) answerText(path string, q *question) string {
	if !strings.HasPrefix(path, "cores/") && path != "console" || strings.HasSuffix(path, "/gdb") || strings.HasSuffix(path, "/trace") {
		return fmt.Sprintf("(%v)", q.err) // of another time each time
	}
	return fmt.Sprintf("%q %d %v", q.data, q.n, q.err)
}

// shut closes a file as a front end does, when its calls have been cancelled.
func (p *play) shut(f *file) {
	for _, q := range f.calls {
		q.Interrupt()
		if !q.done() {
			p.fail("%s was interrupted, and is not answered", q.what)
		}
	}
	p.sort(f)
	f.h.Close()
	if strings.HasSuffix(f.path, "/gdb") {
		p.gdbs--
	}
}

// end takes everything down: at the end nothing may be left.
func (p *play) end() {
	p.note("the end")
	p.life.Reset(noSign)
	waits := p.files
	p.files = nil
	for _, f := range waits { // debuggers first: they hold cores
		if strings.HasSuffix(f.path, "/gdb") {
			p.shut(f)
		} else {
			p.files = append(p.files, f)
		}
	}
	live := make(map[string]bool)
	for i := range p.n {
		switch p.hart(i, "state") {
		case "running", "parked", "frozen":
			live[fmt.Sprintf("cores/%d/wait", i)] = true
		}
	}
	p.resetAll()
	for _, f := range p.files {
		if p.sort(f); live[f.path] && len(f.calls) > 0 {
			p.fail("%s waits on, and the core was reset", f.path)
		}
	}
	p.settle()
	p.checkIdle()
	for _, f := range p.files {
		p.shut(f)
	}
}

// resetAll makes all cores what they were at first, and ends a replay.
func (p *play) resetAll() {
	p.endProcs()
	all := fmt.Sprintf("0-%d", p.n-1)
	if err := p.echo("online "+all+"\nreset "+all+"\nreplay /dev/null\n", "cores/ctl"); err != nil {
		p.fail("reset of all: %v", err)
	}
}

// endProcs ends all processes and removes them.
func (p *play) endProcs() {
	var names []string
	p.set.List(0, func(proc *mcp.Proc) bool {
		names = append(names, proc.Meta().Name)
		return true
	})
	for _, name := range names {
		proc, ok := p.set.Get(name)
		if !ok {
			continue
		}
		err := p.echo("kill KILL\n", "procs/"+name+"/ctl")
		if s := proc.State(); err != nil && s != mcp.New && s != mcp.Done && s != mcp.Ending {
			p.fail("kill of %s, which is %s: %v", name, s, err)
		}
		for n := 0; proc.State() != mcp.New && proc.State() != mcp.Done; n++ {
			time.Sleep(time.Duration(min(n, 100)) * 10 * time.Microsecond)
		}
		if err := p.echo("rm\n", "procs/"+name+"/ctl"); err != nil {
			p.fail("rm of %s: %v", name, err)
		}
	}
}

// checkIdle fails unless the machine is as it was at first.
func (p *play) checkIdle() {
	for i := range p.n {
		if s := p.hart(i, "state"); s != "idle" {
			p.fail("core %d is %s after a reset", i, s)
		}
		if text := p.cat(fmt.Sprintf("cores/%d/regs", i)); text != "" {
			p.fail("core %d has registers after a reset:\n%s", i, text)
		}
		for line := range strings.Lines(p.cat(fmt.Sprintf("cores/%d/map", i))) {
			if !strings.Contains(line, "free") {
				p.fail("core %d has this in its memory after a reset: %s", i, line)
			}
		}
	}
	if text := p.cat("cores/blocked"); text != "" {
		p.fail("blocked after a reset:\n%s", text)
	}
	if text := p.cat("procs/stat"); text != "" {
		p.fail("processes after their removal:\n%s", text)
	}
	if text := p.memory(); text != "" {
		p.fail("memory is not zero after a reset:\n%s", text)
	}
}

// memory is what all memory has, a line each for pieces of it that are not zero.
func (p *play) memory() string {
	var b strings.Builder
	for i := range p.n {
		f, err := p.open(fmt.Sprintf("cores/%d/mem", i), fs.ORead)
		if err != nil {
			p.fail("mem: %v", err)
		}
		for _, at := range []int64{0, sim.PrivateBase} {
			for {
				q := p.read(f, at, 64<<10)
				if q.err != nil || len(q.data) == 0 {
					break
				}
				if !bytes.Equal(q.data, zeros[:len(q.data)]) {
					fmt.Fprintf(&b, "core %d from 0x%x: %x\n", i, at, sha256.Sum256(q.data))
				}
				at += int64(len(q.data))
			}
		}
		f.h.Close()
	}
	return b.String()
}

var zeros [64 << 10]byte

// close takes the machine down.
func (p *play) close() {
	p.life.Reset(noSign)
	p.set.Halt()
	if err := p.d.Close(); err != nil {
		p.fail("close: %v", err)
	}
	p.life.Stop()
}

// playFiles plays a script, and returns what came of it.
func playFiles(t testing.TB, dir string, script []byte, twin, still bool, workers int) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	before := goleak.IgnoreCurrent()
	p := begin(t, dir, twin, still, workers)
	closed := false
	defer func() {
		if !closed { // it failed
			p.life.Stop()
		}
	}()
	for n := 0; n < mostSteps && len(script) >= 4; n++ {
		p.step(script[0], script[1], script[2], script[3])
		script = script[4:]
	}
	found := ""
	if still {
		p.settle()
		p.note("at last\n%s", p.lookAt("hart", "regs", "map", "fault", "ring", "ctl"))
		found = tierless.Replace(strings.Join(p.trace, "\n"))
	}
	p.end()
	p.close()
	closed = true
	if err := goleak.Find(before); err != nil {
		p.fail("%v", err)
	}
	return found
}

// mostSteps bounds a script: each step is four bytes.
const mostSteps = 40

package riscv

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"warren/cores"
	"warren/fs"
	"warren/sched/mcp"
)

// operations are what a script can do, the frequent ones several times. What
// they do is said by three bytes.
var operations = []func(p *play, a, b, c byte){
	(*play).opLoad, (*play).opLoad, (*play).opLoad, (*play).opRubbish, (*play).opRubbish, (*play).opRun, (*play).opRun, (*play).opRun,
	(*play).opStop, (*play).opStep, (*play).opStep, (*play).opBreak, (*play).opReset, (*play).opReset, (*play).opQuantum,
	(*play).opRecord, (*play).opReplay, (*play).opSnapshot, (*play).opRestore, (*play).opDamaged, (*play).opThereAndBack, (*play).opCheckpoint,
	(*play).opExec, (*play).opExec, (*play).opProc, (*play).opProc, (*play).opProc, (*play).opStdin,
	(*play).opRegister, (*play).opMemory, (*play).opMemory, (*play).opSend, (*play).opSend, (*play).opSend,
	(*play).opWatch, (*play).opWatch, (*play).opWatch, (*play).opAgain, (*play).opAgain, (*play).opInterrupt, (*play).opClose,
	(*play).opLose, (*play).opCat, (*play).opCat, (*play).opDebug, (*play).opDebug, (*play).opDebug,
	(*play).opNonsense, (*play).opNonsense, (*play).opCtl, (*play).opSwitch,
}

func pick[T any](list []T, n byte) T { return list[int(n)%len(list)] }

// setWord is a set of cores, as a user may write it.
func (p *play) setWord(n byte) string {
	if n < 128 {
		return fmt.Sprint(int(n) % p.n)
	}
	return pick([]string{
		"0-1", "0-1", "0-2", "1-2", "0,2", fmt.Sprintf("0-%d", p.n-1), fmt.Sprintf("0-%d", p.n-1), "x=0,y=0", "x=0-1,y=0", "role=B", "role=core",
		"x=0", "0-99", "7", "x=9", "1-0", "2,0",
	}, n)
}

// ids are the cores of a set; nil if it is none.
func (p *play) ids(set string) cores.Set {
	if strings.Contains(set, "=") {
		ids, _ := p.d.Select(set)
		return ids
	}
	ids, _ := cores.ParseSet(set, p.n)
	return ids
}

// unruly reports whether what runs on a core of the set might never end, where
// the machine is to come to rest.
func (p *play) unruly(set cores.Set) bool {
	for _, id := range set {
		if p.still && p.wild[int(id)] {
			return true
		}
	}
	return false
}

func (p *play) tame(set cores.Set, wild bool) {
	for _, id := range set {
		p.wild[int(id)] = wild
	}
}

// allWild reports whether some core's program may never end.
func (p *play) anyWild() bool {
	for _, wild := range p.wild {
		if wild {
			return true
		}
	}
	return false
}

// put makes a file for the machine to read.
func (p *play) put(name string, data []byte) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// program is one that n says.
func (p *play) program(n byte) (path string, i image) {
	if n%4 == 3 {
		return p.put("calls", calls(uint64(n))), image{reads: true}
	}
	i = pick(programs, n>>2)
	return p.put(strings.ReplaceAll(i.name, " ", "-"), i.elf()), i
}

func (p *play) opLoad(a, b, c byte) {
	set := p.setWord(a)
	path, i := p.program(b)
	if p.do(fmt.Sprintf("load %s %s %s\n", set, path, strings.Repeat("x", int(c)%7*int(c))), "cores/ctl") != nil {
		return
	}
	p.tame(p.ids(set), i.endless)
	if c%4 > 0 && !p.unruly(p.ids(set)) {
		p.do("run "+set+"\n", "cores/ctl")
	}
}

func (p *play) opRubbish(a, b, c byte) {
	good := pick(programs, a)
	path := p.put("rubbish", rubbish(good.elf(), b, c))
	set := p.setWord(a >> 2)
	if p.do(fmt.Sprintf("load %s %s\n", set, path), "cores/ctl") == nil {
		p.tame(p.ids(set), true)
		if !p.still {
			p.do("run "+set+"\n", "cores/ctl")
		}
	}
}

func (p *play) opRun(a, b, _ byte) {
	set := p.setWord(a)
	if p.unruly(p.ids(set)) {
		p.do(fmt.Sprintf("step %s %d\n", set, b), "cores/ctl")
		return
	}
	if b%2 == 0 && a < 128 {
		p.do("run\n", "cores/"+set+"/ctl")
		return
	}
	p.do("run "+set+"\n", "cores/ctl")
}

func (p *play) opStop(a, _, _ byte) { p.do("stop "+p.setWord(a)+"\n", "cores/ctl") }

func (p *play) opStep(a, b, _ byte) {
	steps := []string{"1", "2", "3", "10", "100", "5000", "0x10", "0", "-1", "18446744073709551615"}
	if !p.still {
		p.do(fmt.Sprintf("step %s %s\n", p.setWord(a), pick(steps, b)), "cores/ctl")
		return
	}
	core, n := p.busy(a), pick(steps[:7], b)
	before := p.retired(core)
	if p.do(fmt.Sprintf("step %s\n", n), fmt.Sprintf("cores/%d/ctl", core)) != nil {
		return
	}
	want, _ := strconv.ParseUint(n, 0, 64)
	breaks := strings.Contains(p.cat(fmt.Sprintf("cores/%d/ctl", core)), "break ")
	switch did := p.retired(core) - before; {
	case did > want, did < want && p.hart(core, "state") == "halted" && !breaks:
		p.fail("core %d retired %d instructions", core, did)
	}
}

// retired is how many instructions a core has retired.
func (p *play) retired(core int) uint64 {
	n, _ := strconv.ParseUint(p.hart(core, "retired"), 10, 64)
	return n
}

func (p *play) opBreak(a, b, _ byte) {
	p.do(fmt.Sprintf("break %s %s\n", p.setWord(a), pick([]string{
		"main", "_start", "none", "0x80000008", "0x80000010", "0x80000020", "0x80000001", "nobody", "4294967296", "0", "-2", "0xfffffffe", "0x1010",
	}, b)), "cores/ctl")
}

func (p *play) opReset(a, _, _ byte) {
	set := p.setWord(a)
	live := make(map[string]bool)
	for _, id := range p.ids(set) {
		switch p.hart(int(id), "state") {
		case "running", "parked", "frozen":
			live[fmt.Sprintf("cores/%d/wait", id)] = true
		}
	}
	if p.do("reset "+set+"\n", "cores/ctl") != nil {
		return
	}
	p.tame(p.ids(set), false)
	for _, f := range p.files {
		if p.sort(f); live[f.path] && len(f.calls) > 0 {
			p.fail("%s waits on, and the core was reset", f.path)
		}
	}
}

func (p *play) opQuantum(a, _, _ byte) {
	p.do("quantum "+pick([]string{"1", "7", "19", "100", "1000", "10000", "100000", "0", "100001", "x", "-1", "1000"}, a)+"\n", "cores/ctl")
}

func (p *play) opRecord(a, b, _ byte) {
	file := filepath.Join(p.dir, "record")
	p.do("record "+pick([]string{file, "off", file, "off", "/nowhere/x", p.dir, "relative", "drop", "''"}, a)+"\n", "cores/ctl")
}

func (p *play) opReplay(a, b, c byte) {
	var cycles, epochs uint64
	_, _ = fmt.Sscanf(p.cat("cores/time"), "cycles %d\nepochs %d", &cycles, &epochs)
	line := func(kind string, ahead uint64, channel byte, end bool, data string) string {
		return fmt.Sprintf("%d %s %d %d %t %s\n", epochs+ahead, kind, int(b)%p.n, channel, end, data)
	}
	text := ""
	switch a % 8 {
	case 0, 1:
		text = line("chan", uint64(c), 0, false, "aGVsbG8=") + line("chan", uint64(c)+5, c%16, false, "-")
	case 2:
		text = line("stdin", uint64(c), 0, false, "aGVsbG8=") + line("stdin", uint64(c)*2, 0, true, "-")
	case 3:
		text = line("chan", 1<<43, 0, false, "-")
	case 4:
		text = line(pick([]string{"chan", "stdin", "other", ""}, b), uint64(c)-9, c, true, pick([]string{"=", "a", "-", "aGVsbG8="}, c))
	case 5:
		text = "# nothing\n"
	case 6:
		if p.do("replay "+filepath.Join(p.dir, "record")+"\n", "cores/ctl") == nil {
			return
		}
	}
	p.do("replay "+p.put("replay", []byte(text))+"\n", "cores/ctl")
}

func (p *play) snapshot() string { return filepath.Join(p.dir, "snapshot") }

func (p *play) opSnapshot(a, _, _ byte) {
	if p.do("snapshot "+pick([]string{p.snapshot(), p.snapshot(), p.snapshot(), "/nowhere/x", p.dir, "x"}, a)+"\n", "cores/ctl") == nil {
		p.saved, p.wilds = true, p.anyWild()
	}
}

func (p *play) opRestore(a, _, _ byte) {
	file := pick([]string{p.snapshot(), p.snapshot(), p.snapshot(), "/dev/null", p.dir}, a)
	if p.do("restore "+file+"\n", "cores/ctl") == nil {
		for i := range p.n {
			p.wild[i] = p.wilds
		}
	}
}

// opDamaged restores a snapshot that something happened to.
func (p *play) opDamaged(a, b, c byte) {
	raw, err := os.ReadFile(p.snapshot())
	if p.still || err != nil {
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		p.fail("the snapshot: %v", err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		p.fail("the snapshot: %v", err)
	}
	random := rand.New(rand.NewPCG(uint64(a), uint64(b)<<8|uint64(c)))
	for range 1 + a%4 {
		i := random.IntN(len(all))
		if c%2 == 0 { // where the fields are, not memory
			i = len(all) - 1 - random.IntN(min(len(all), 2000))
		}
		all[i] ^= byte(1 + random.IntN(255))
	}
	if a%16 == 15 {
		all = all[:random.IntN(len(all))]
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(all) // to memory
	_ = w.Close()
	p.do("restore "+p.put("damaged", out.Bytes())+"\n", "cores/ctl")
}

// opThereAndBack makes a snapshot, resets all, and restores it: all is as it was.
func (p *play) opThereAndBack(_, _, _ byte) {
	for _, f := range p.files {
		if strings.HasSuffix(f.path, "/gdb") {
			return
		}
	}
	if !p.quiet() || p.do("snapshot "+p.snapshot()+"\n", "cores/ctl") != nil {
		return
	}
	p.saved, p.wilds = true, p.anyWild()
	goesOn := false // when it is restored
	for i := range p.n {
		state, wait := p.hart(i, "state"), p.hart(i, "wait")
		goesOn = goesOn || state == "frozen" || wait == "'input'"
	}
	before := p.machine()
	p.resetAll()
	p.settle()
	if err := p.do("restore "+p.snapshot()+"\n", "cores/ctl"); err != nil {
		p.fail("the snapshot is refused: %v", err)
	}
	if goesOn {
		return
	}
	p.settle()
	if after := p.machine(); after != before {
		p.fail("not what the snapshot was of:\n%s", differ(before, after))
	}
}

// opCheckpoint runs programs, makes a snapshot while they run, and lets them end,
// or come to where they wait. From the snapshot they must come to the same.
func (p *play) opCheckpoint(a, b, c byte) {
	for _, f := range p.files {
		p.shut(f)
	}
	p.files, p.wild = nil, make(map[int]bool)
	p.resetAll()
	p.settle()
	p.do("quantum "+pick([]string{"7", "19", "100", "1000"}, c)+"\n", "cores/ctl")
	var loaded []string
	for i, n := range []byte{a, b, a ^ b} {
		path, image := p.program(n)
		if c%2 == 0 || image.endless {
			path = p.file("traffic")
		}
		for id := range p.n {
			if (int(c>>2)+id)%3 == i {
				loaded = append(loaded, fmt.Sprint(id))
				p.must(fmt.Sprintf("load %d %s", id, path), "cores/ctl")
			}
		}
	}
	p.hurry = true
	began, _ := p.d.m.Now()
	err := p.echo("run "+strings.Join(loaded, ",")+"\n", "cores/ctl")
	for now := began; !p.d.m.Resting() && now < began+uint64(a)*uint64(a)/4; now, _ = p.d.m.Now() {
		runtime.Gosched()
	}
	if err = errors.Join(err, p.echo("snapshot "+p.snapshot()+"\n", "cores/ctl")); err != nil {
		p.fail("run, and a snapshot: %v", err)
	}
	p.hurry = false
	p.settle()
	want := p.machine()
	p.saved, p.wilds = true, false
	p.resetAll()
	p.must("restore "+p.snapshot(), "cores/ctl")
	if got := p.machine(); got != want {
		p.fail("from the snapshot it went another way:\n%s", differ(want, got))
	}
	p.note("%s", want)
}

// machine is what a snapshot keeps that can be seen.
func (p *play) machine() string {
	var b strings.Builder
	for i := range p.n {
		for _, name := range []string{"hart", "regs", "map", "ring"} {
			path := fmt.Sprintf("cores/%d/%s", i, name)
			b.WriteString(path + "\n" + p.cat(path))
		}
	}
	b.WriteString(p.cat("cores/time") + p.cat("cores/blocked"))
	return tierless.Replace(b.String()) + p.memory() + p.d.m.Hash()
}

var procNames = []string{"p", "q", "r"}

func (p *play) opExec(a, b, c byte) {
	name := pick(procNames, a)
	if _, ok := p.set.Get(name); ok {
		if p.do("rm\n", "procs/"+name+"/ctl") != nil {
			return
		}
	}
	procs, err := p.walk("procs")
	if err != nil {
		p.fail("procs: %v", err)
	}
	if err := procs.Change(&p.ask(0, "mkdir").Call, fs.Change{Op: fs.OpMake, Name: name, Mode: 0o777}); err != nil {
		p.fail("mkdir procs/%s: %v", name, err)
	}
	path, i := p.program(b)
	if p.still && (i.endless || i.reads) {
		return
	}
	switch {
	case c >= 240:
		path = p.put("rubbish", rubbish(programs[0].elf(), b, c))
		if p.still {
			return
		}
	case c >= 232:
		path = "/nowhere"
	}
	ctl := "procs/" + name + "/ctl"
	want := fmt.Sprint(1 + int(c)%p.n)
	if !p.still && c%8 == 7 {
		want = fmt.Sprintf("1..%d", p.n)
	}
	p.do(fmt.Sprintf("exec %s a b\ncores %s\nclass %s\n", path, want, pick([]string{"shared", "exclusive", "quiet"}, c>>3)), ctl)
	start := "start now\n"
	if !p.still && c%4 == 1 {
		start = "start\n"
	}
	if p.do(start, ctl) == nil {
		for i := range p.n { // it has reset what it got
			if p.hart(i, "process") == name {
				p.wild[i] = false
			}
		}
	}
}

func (p *play) opProc(a, b, c byte) {
	var names []string
	p.set.List(0, func(proc *mcp.Proc) bool {
		names = append(names, proc.Meta().Name)
		return true
	})
	if len(names) == 0 {
		return
	}
	name := pick(names, a)
	verbs := []string{
		"kill", "kill KILL", "stop", "cont", "stop", "cont", "eof", "rm", "start now", "env A=b", "kill 99", "kill CHLD",
		// From here on the scheduler may act later.
		fmt.Sprintf("cores %d", 1+int(c)%p.n), fmt.Sprintf("cores %d", 1+int(c)%p.n), fmt.Sprintf("cores 1..%d", 1+int(c)%p.n), "yield 1", "yield vcore 0",
		fmt.Sprintf("on %d-%d", int(c)%p.n, p.n-1), "on any", "gang on", "gang off", "start", "near 1", "class exclusive", "class shared", "prov 1", "prov none", "kill INT",
	}
	if p.still {
		verbs = verbs[:12]
	}
	p.do(pick(verbs, b)+"\n", "procs/"+name+"/ctl")
}

func (p *play) opStdin(a, b, _ byte) {
	if p.still {
		return
	}
	f, err := p.open("procs/"+pick(procNames, a)+"/stdin", fs.OWrite)
	if err != nil {
		return
	}
	p.note("%d bytes >%s", int(b)*100, f.path)
	p.write(f, bytes.Repeat([]byte("line\n"), int(b)*20))
	p.files = append(p.files, f)
}

func (p *play) opRegister(a, b, c byte) {
	core := p.busy(a)
	value := pick([]string{"0", "1", "0x80000000", "0x80000008", "0x80001000", "0xffffffff", "0x80000001", "0x100000000", "18446744073709551615", "-1", "x", "2001", "2007", "93"}, c)
	if p.still && p.hart(core, "state") == "frozen" {
		return // it might never come to rest then
	}
	name, file := pick(cores.Registers(), b), fmt.Sprintf("cores/%d/regs", core)
	quiet := p.quiet()
	if p.do(name+" "+value+"\n", file) != nil {
		return
	}
	p.wild[core] = true
	v, _ := strconv.ParseUint(value, 0, 64)
	if want := fmt.Sprintf("%s 0x%08x\n", name, v); quiet && name != "fcsr" && !strings.Contains("\n"+p.cat(file), "\n"+want) {
		p.fail("%s does not say %s", file, want)
	}
}

// addresses of memory, of all kinds.
var addresses = []int64{0, 4, wordAt, wordAt, sramAt, 16<<10 - 2, 32<<10 - 2, textAt - 2, textAt, textAt + 8, dataAt, dataAt, bufAt, textAt + 32<<10 - 2, textAt + 64<<10 - 2, 1<<32 - 2, 1 << 32, 1 << 40}

func (p *play) opMemory(a, b, c byte) {
	f, err := p.open(fmt.Sprintf("cores/%d/mem", int(a)%p.n), fs.ORead|fs.OWrite)
	if err != nil {
		p.fail("mem: %v", err)
	}
	defer f.h.Close()
	at := pick(addresses, b)
	if c%3 == 0 {
		q := p.read(f, at, 1+int(c)*16)
		p.note("read of mem at 0x%x: %v", at, q.err)
		return
	}
	quiet := p.quiet()
	before := ""
	if quiet {
		before = p.look()
	}
	q := p.ask(0, "write of mem")
	f.h.Write(&q.Call, bytes.Repeat([]byte{c}, 1+int(c)%9), at)
	p.begun(f, q)
	p.note("write to %s at 0x%x: %d %v", f.path, at, q.n, q.err)
	if q.err == nil {
		p.wild[int(a)%p.n] = true
		if got := p.peek(int(a)%p.n, at, q.n); quiet && p.quiet() && strings.Trim(got, string([]byte{c})) != "" {
			p.fail("memory at 0x%x has %x after the write", at, got)
		}
	} else if quiet && p.look() != before {
		p.fail("it was refused, and changed something:\n%s", differ(before, p.look()))
	}
}

// busy is a core that has a program, if one has.
func (p *play) busy(n byte) int {
	for i := range p.n {
		if core := (int(n) + i) % p.n; p.hart(core, "state") != "idle" {
			return core
		}
	}
	return int(n) % p.n
}

// keep keeps a file open, but not too many.
func (p *play) keep(f *file) {
	if p.files = append(p.files, f); len(p.files) > 24 {
		p.shut(p.files[0])
		p.files = p.files[1:]
	}
}

func (p *play) opSend(a, b, c byte) {
	f, err := p.open(fmt.Sprintf("cores/%d/chan/%d", int(a)%p.n, b%4), fs.OWrite|fs.ORead)
	if err != nil {
		p.fail("chan: %v", err)
	}
	size := 1 + int(c)%64
	if c >= 250 {
		size = pick([]int{0, 1 << 16, 1<<16 + 1, 1 << 15, 4096, 5000}, c)
	}
	for range 1 + int(b)>>2%4*30 {
		q := p.write(f, bytes.Repeat([]byte{c}, size))
		if !q.done() {
			break
		}
	}
	p.note("%d bytes >%s, %d wait", size, f.path, len(f.calls))
	p.keep(f)
}

// opWatch opens a file and begins to read it.
func (p *play) opWatch(a, b, c byte) {
	core := int(a) % p.n
	path := fmt.Sprintf(pick([]string{
		"cores/%d/wait", "cores/%d/wait", "cores/%d/cons", "cores/%d/chan/1", "cores/%d/chan/3", "cores/%d/trace", "cores/%d/mbox", "cores/%d/wait",
	}, b), core)
	switch b >> 4 {
	case 0:
		path = pick([]string{"console", "events"}, b)
	case 1:
		path = "procs/" + pick(procNames, a) + "/" + pick([]string{"wait", "events", "follow"}, b)
	}
	f, err := p.open(path, fs.ORead)
	if err != nil {
		p.checkError(path, err)
		return
	}
	p.keep(f)
	p.readOn(f, c)
}

func (p *play) readOn(f *file, c byte) {
	if (p.still || strings.HasSuffix(f.path, "/wait")) && len(f.calls) > 0 {
		return // a read that waits for another gets its turn some time
	}
	q := p.read(f, -1, pick([]int{1 << 16, 1 << 16, 10, 1}, c))
	p.note("read of %s: %v, %s", f.path, q.done(), p.answerText(f.path, q))
}

// opAgain reads on in a file that is open.
func (p *play) opAgain(a, _, c byte) {
	if len(p.files) == 0 {
		return
	}
	if f := pick(p.files, a); f.flags&fs.ORead != 0 {
		p.readOn(f, c)
	}
}

// opInterrupt cancels what waits at a file.
func (p *play) opInterrupt(a, b, _ byte) {
	if len(p.files) == 0 {
		return
	}
	f := pick(p.files, a)
	if len(f.calls) == 0 {
		return
	}
	q := pick(f.calls, b)
	q.Interrupt()
	if !q.done() {
		p.fail("%s was interrupted, and is not answered", q.what)
	}
	p.sort(f)
}

func (p *play) opClose(a, _, _ byte) {
	if len(p.files) == 0 {
		return
	}
	i := int(a) % len(p.files)
	p.note("close of %s", p.files[i].path)
	p.shut(p.files[i])
	p.files = append(p.files[:i], p.files[i+1:]...)
}

// opLose reads, and then says that the answer could not be passed on.
func (p *play) opLose(a, _, c byte) {
	if len(p.files) == 0 {
		return
	}
	f := pick(p.files, a)
	if f.flags&fs.ORead == 0 || len(f.calls) > 0 {
		return
	}
	q := p.read(f, -1, 1<<16)
	if !q.done() || q.lost == nil {
		return
	}
	p.note("a lost answer of %s", f.path)
	if c%2 == 0 { // something is between
		p.readOn(f, c)
	}
	q.lost()
}

func (p *play) opCat(a, b, c byte) {
	path := pick([]string{"cores/blocked", "cores/time", "cores/stat", "cores/topology", "cores/distance", "cores/ctl", "status", "errors", "procs/stat", "sched/alloc", "sched/queue", "help"}, b)
	switch {
	case c < 160:
		path = fmt.Sprintf("cores/%d/%s", int(a)%p.n, pick([]string{"hart", "regs", "map", "fault", "ring", "ctl", "status", "stat", "noise"}, b))
	case c < 200:
		path = "procs/" + pick(procNames, a) + "/" + pick([]string{"status", "ctl", "cores", "explain", "stdout", "stderr"}, b)
	}
	text, err := p.tryCat(path)
	if err == nil && text != "" && !strings.HasSuffix(text, "\n") && !strings.Contains(path, "/std") {
		p.fail("%s does not end in a newline: %q", path, text)
	}
}

// packets are what gdb might say, and what it would not; the first ones let nothing run.
var packets = []string{
	"?", "g", "m80000000,40", "m0,10", "mfffffff0,20", "qXfer:threads:read::0,fff", "qXfer:features:read:target.xml:0,fff", "qfThreadInfo", "T0", "T9", "Hg1", "Hc-1",
	"Z0,80000004,4", "Z1,80000008,4", "z0,80000004,4", "Z2,80001000,4", "Z3,400,4", "z2,80001000,4", "p20", "p0a", "qRcmd,7768657265", "qRcmd,6d6170", "D", "QStartNoAckMode", "vCont?",
	"vCont;s", "s", "vCont;s:1", "qSupported:hwbreak+",
	// Not where the machine is to come to rest.
	"vCont;c", "c", "vCont;c:1;s", "vCont;r80000000,80000010:1", "M80001000,4:01020304", "X80001000,2:ab", "M80000000,4:00000000", "P20=00000080", "P0a=ffffffff", "G00", "k", "vKill;1", "c80000008",
	"vCont;", "Z9,,", "m,", "P", "vCont;s:zz", "R00", "!",
}

// stillPackets is how many of them let nothing run.
const stillPackets = 29

func (p *play) opDebug(a, b, c byte) {
	var f *file
	for _, open := range p.files {
		if strings.HasSuffix(open.path, "/gdb") && a%4 > 0 {
			f = open
		}
	}
	if f == nil {
		if p.still && p.anyWild() {
			return // what it lets go may run for ever
		}
		path := fmt.Sprintf("cores/%d/gdb", p.busy(a>>2))
		if a >= 200 {
			path = "procs/" + pick(procNames, a) + "/gdb"
		}
		var err error
		if f, err = p.open(path, fs.ORead|fs.OWrite); err != nil {
			p.checkError(path, err)
			return
		}
		p.gdbs++
		p.files = append(p.files, f)
	}
	p.say(f, b, c)
	if !p.still {
		p.say(f, c, a)
		p.say(f, b^a, b)
	}
}

// say has a debugger say something, and reads what it hears.
func (p *play) say(f *file, b, c byte) {
	list := packets
	if p.still {
		list = packets[:stillPackets]
	}
	packet := pick(list, b)
	sum := byte(0)
	for i := range len(packet) {
		sum += packet[i]
	}
	text := fmt.Sprintf("$%s#%02x", packet, sum)
	switch {
	case c >= 250:
		text = "\x03"
	case c >= 245 && !p.still:
		text = string([]byte{c, b, '$', c, '#', b, '~', '}', '-', '+'}[:b%11])
	case c >= 240:
		text = "-"
	case c >= 230:
		text = "+"
	}
	q := p.write(f, []byte(text))
	p.note("%q >%s: %v, %v", text, f.path, q.done(), q.err)
	if c%2 == 0 {
		p.readOn(f, 0)
	}
}

// opNonsense writes what is no command, or none for this.
func (p *play) opNonsense(a, b, c byte) {
	text := pick([]string{
		"lod 0 /x", "load", "load 0", "load 0 relative", "load 0 ''", "load 0 '/x", "run 0 1", "run 0-99999999", "step 0", "step 0 1 2", "step 0 x", "break 0", "reset",
		"reset x=", "reset y=1-0", "reset z=3", "reset role=", "stop role=nobody", "quantum", "quantum 99999999999999999999", "\x00", "\xff\xfe", "'", "''", "reset 0\nreset 1", "reset 0\nrest 1\n",
		"load 0 /dev/zero", "load 0 /", "load 0 /nowhere", "load 0 /proc/self/mem", "snapshot", "restore /nowhere", "replay /nowhere", "record", "reset 0 0", "halt", "pc", "pc 1 2", "ra 0xg",
		strings.Repeat("a", 5000), strings.Repeat("reset 99\n", 100), "load 0 " + strings.Repeat("/a", 3000), "break 0 " + strings.Repeat("m", 2000), "start", "measure 0 1s", "quiet 0 on", "offline 0 hard",
	}, a)
	path := pick([]string{"cores/ctl", "cores/ctl", "cores/ctl", fmt.Sprintf("cores/%d/ctl", int(c)%p.n), fmt.Sprintf("cores/%d/regs", int(c)%p.n)}, b)
	if strings.Contains(text, "/dev/zero") && c%8 > 0 {
		return // it takes a while
	}
	p.do(text, path)
}

// opCtl writes what a ctl says back to it.
func (p *play) opCtl(a, b, _ byte) {
	path := pick([]string{"cores/ctl", fmt.Sprintf("cores/%d/ctl", int(a)%p.n), fmt.Sprintf("cores/%d/regs", int(a)%p.n)}, b)
	quiet := p.quiet()
	text := p.cat(path)
	if err := p.echo(text, path); err != nil && quiet {
		p.fail("%s does not take what it gave: %v\n%s", path, err, text)
	}
	if again := p.cat(path); again != text && quiet {
		p.fail("%s is another when it was written back:\n%s", path, differ(text, again))
	}
}

// opSwitch switches cores on and off.
func (p *play) opSwitch(a, b, _ byte) {
	p.do(pick([]string{"offline", "online", "online", "offline force", "role mgmt", "role app", "quiet on", "quiet off"}, b)+"\n", fmt.Sprintf("cores/%d/ctl", int(a)%p.n))
}

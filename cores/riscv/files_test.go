package riscv

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
)

// newPlay is a play that a test makes itself, step by step.
func newPlay(t *testing.T, twin bool) *play {
	p := begin(t, t.TempDir(), twin, true, 1)
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		p.end()
		p.close()
	})
	return p
}

// must does what may not fail, and waits for what comes of it.
func (p *play) must(text, path string) {
	p.t.Helper()
	if err := p.do(text+"\n", path); err != nil {
		p.fail("%v", err)
	}
	p.settle()
}

// file is the path of a program.
func (p *play) file(name string) string {
	for _, i := range programs {
		if i.name == name {
			return p.put(strings.ReplaceAll(name, " ", "-"), i.elf())
		}
	}
	p.fail("no program %s", name)
	return ""
}

// poke writes to memory.
func (p *play) poke(core int, at int64, text string) {
	f, err := p.open(fmt.Sprintf("cores/%d/mem", core), fs.OWrite)
	if err != nil {
		p.fail("%v", err)
	}
	defer f.h.Close()
	q := p.ask(0, "poke")
	if f.h.Write(&q.Call, []byte(text), at); q.err != nil {
		p.fail("%v", q.err)
	}
}

// peek reads memory.
func (p *play) peek(core int, at int64, n int) string {
	f, err := p.open(fmt.Sprintf("cores/%d/mem", core), fs.ORead)
	if err != nil {
		p.fail("%v", err)
	}
	defer f.h.Close()
	return string(p.read(f, at, n).data)
}

// TestOfflineCores: what concerns the whole machine needs no core of it online.
func TestOfflineCores(t *testing.T) {
	p := newPlay(t, false)
	p.must("offline 1,3", "cores/ctl")
	p.must("quantum 100", "cores/ctl")
	p.must("snapshot "+p.snapshot(), "cores/ctl")
	p.must("restore "+p.snapshot(), "cores/ctl")
	p.must(strings.TrimSpace(p.cat("cores/ctl")), "cores/ctl")
	if text := p.cat("cores/ctl"); !strings.Contains(text, "offline 1,3\n") {
		t.Errorf("they are online again:\n%s", text)
	}
}

// TestIdleMemory: memory of cores without a program is kept in a snapshot, and is
// zero after a reset.
func TestIdleMemory(t *testing.T) {
	p := newPlay(t, false)
	p.poke(0, textAt+0x5000, "program memory")
	p.poke(2, wordAt, "of its tile")
	before := p.memory()
	p.must("snapshot "+p.snapshot(), "cores/ctl")
	p.must("reset 0-5", "cores/ctl")
	if got := p.memory(); got != "" {
		t.Errorf("after a reset:\n%s", got)
	}
	p.must("restore "+p.snapshot(), "cores/ctl")
	if got := p.memory(); got != before {
		t.Errorf("after a restore:\n%swant\n%s", got, before)
	}
	// What others sent to a tile where nothing runs.
	p.must("reset 0-5", "cores/ctl")
	p.must("load 0 "+p.file("shares"), "cores/ctl")
	p.must("run 0", "cores/ctl")
	p.must("snapshot "+p.snapshot(), "cores/ctl")
	p.must("reset 0-5", "cores/ctl")
	p.must("restore "+p.snapshot(), "cores/ctl")
	if got := p.peek(4, wordAt, 6); got != "hello\n" {
		t.Errorf("what was sent to a tile is %q", got)
	}
}

// TestRestoreRests: a machine at rest is restored to the same time, and what has
// ended is known to have.
func TestRestoreRests(t *testing.T) {
	p := newPlay(t, false)
	p.must("load 0 "+p.file("barrier"), "cores/ctl")
	p.must("load 1 "+p.file("echo"), "cores/ctl")
	p.must("load 2 "+p.file("load"), "cores/ctl")
	p.must("run 0\nrun 1\nrun 2", "cores/ctl")
	p.must("exec "+p.file("word")+"\non 4\nstart", "procs/"+p.mkdir("p")+"/ctl")
	p.must("kill KILL", "procs/p/ctl")
	before := p.machine()
	told := p.stopText(4)
	p.must("snapshot "+p.snapshot(), "cores/ctl")
	p.resetAll()
	p.must("restore "+p.snapshot(), "cores/ctl")
	if after := p.machine(); after != before {
		t.Errorf("another machine:\n%s", differ(before, after))
	}
	if got := p.stopText(4); got != told || !strings.Contains(got, "signal 9") {
		t.Errorf("wait says %q, and said %q", got, told)
	}
}

func (p *play) mkdir(name string) string {
	procs, err := p.walk("procs")
	if err == nil {
		err = procs.Change(&p.ask(0, "mkdir").Call, fs.Change{Op: fs.OpMake, Name: name, Mode: 0o777})
	}
	if err != nil {
		p.fail("mkdir: %v", err)
	}
	return name
}

// stopText is what wait says of a core that has stopped.
func (p *play) stopText(core int) string {
	f, err := p.open(fmt.Sprintf("cores/%d/wait", core), fs.ORead)
	if err != nil {
		p.fail("%v", err)
	}
	defer p.shut(f)
	return string(p.read(f, -1, 1<<16).data)
}

// TestProgramsInSRAM: a program that has gone from its tile leaves its place free
// there, also while others run in the tile; and where programs lie is restored.
func TestProgramsInSRAM(t *testing.T) {
	p := newPlay(t, true)
	lies := p.file("tile memory")
	p.must("load 1 "+p.file("echo"), "cores/ctl")
	p.must("run 1", "cores/ctl")
	for range 2 {
		p.must("load 0 "+lies, "cores/ctl")
		p.must("run 0", "cores/ctl")
		p.must("reset 0", "cores/ctl")
	}
	if text := p.cat("cores/0/map"); strings.Contains(text, "program (") {
		t.Errorf("what was reset lies there:\n%s", text)
	}
	p.poke(0, sramAt, "mine") // nothing protects it any more
	p.must("reset 1", "cores/ctl")

	p.must("load 0 "+lies, "cores/ctl")
	p.must("run 0", "cores/ctl")
	p.must("load 1 "+p.file("echo"), "cores/ctl") // clears the tile
	before := p.machine()
	p.must("snapshot "+p.snapshot(), "cores/ctl")
	p.resetAll()
	p.must("restore "+p.snapshot(), "cores/ctl")
	if after := p.machine(); after != before {
		t.Errorf("another machine:\n%s", differ(before, after))
	}
}

// TestWaitUnderDebugger: wait tells nothing of halts by a debugger, whenever it was opened.
func TestWaitUnderDebugger(t *testing.T) {
	p := newPlay(t, false)
	p.must("load 0 "+p.file("echo"), "cores/ctl")
	p.must("run 0", "cores/ctl")
	var waits []*question
	wait := func() {
		f, err := p.open("cores/0/wait", fs.ORead)
		if err != nil {
			p.fail("%v", err)
		}
		p.files = append(p.files, f)
		waits = append(waits, p.read(f, -1, 1<<16))
	}
	wait()
	for _, how := range []string{"it goes on", "it was halted"} {
		if how == "it was halted" {
			p.must("stop 0", "cores/ctl")
			for _, q := range waits {
				if !strings.HasPrefix(string(q.data), "0 halted") {
					t.Errorf("wait says %q after a stop", q.data)
				}
			}
			waits = nil
		}
		gdb, err := p.open("cores/0/gdb", fs.OWrite)
		if err != nil {
			p.fail("%v", err)
		}
		p.write(gdb, []byte("+"))
		p.settle()
		wait()
		for _, q := range waits {
			if q.done() {
				t.Errorf("%s: wait says %q of a core that a debugger holds", how, q.data)
			}
		}
		gdb.h.Close()
		p.settle()
		if done := waits[len(waits)-1].done(); done != (how == "it was halted") {
			t.Errorf("%s: after the debugger has gone, wait has told: %v", how, done)
		}
	}
}

// TestTruncatedPrograms loads a program that is cut off after each of its bytes.
func TestTruncatedPrograms(t *testing.T) {
	good := programs[1].elf()
	d := openMachine(t, "mesh=1x1")
	defer d.Close()
	dir := t.TempDir()
	p := &play{t: t, dir: dir}
	loaded := 0
	for n := range good {
		if n%16 > 2 && n > 52+64 && n < len(good)-8 {
			continue
		}
		err := d.LoadProgram(nil, cores.Set{0}, []string{p.put("cut", good[:n])})
		switch {
		case err == nil: // its symbols are damaged at most
			loaded++
		case sys.Errno(err) != syscall.ENOEXEC:
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if loaded == 0 || bytes.Contains(d.AppendHart(nil, 0), []byte("idle")) {
		t.Error("what is whole but for its symbols was not loaded")
	}
	if err := d.LoadProgram(nil, cores.Set{0}, []string{filepath.Join(dir, "none")}); sys.Errno(err) != syscall.ENOENT {
		t.Error(err)
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
	"warren/testdata"
	"warren/tools/cc"
)

// riscvPrograms are the programs of one core, and how often each does its work
// in the interpreter: for about a second.
var riscvPrograms = []struct {
	name string
	reps int
}{{"mix", 1200}, {"sieve", 600}, {"matmul", 300}, {"crc", 800}, {"fib", 60}}

// A riscvRig is the programs, compiled, in a folder of their own.
type riscvRig struct {
	dir  string
	qemu string // "": it is not installed
}

func newRiscvRig() (*riscvRig, error) {
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return nil, err
	}
	r := &riscvRig{dir: dir}
	if err := os.CopyFS(filepath.Join(dir, "src"), testdata.Programs); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	r.qemu, _ = exec.LookPath("qemu-riscv32")
	return r, nil
}

func (r *riscvRig) close() { os.RemoveAll(r.dir) }

// build compiles a program, and returns where it is.
func (r *riscvRig) build(source string, flags ...string) (string, error) {
	out := filepath.Join(r.dir, strings.TrimSuffix(filepath.Base(source), ".c"))
	args := append([]string{"-O2", "-o", out, filepath.Join(r.dir, "src", "riscv", source)}, flags...)
	line, err := cc.Command{Args: args}.Line(context.Background())
	if err != nil {
		return "", err
	}
	if said, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", source, err, said)
	}
	return out, nil
}

// A riscvRun is what a program on some cores came to.
type riscvRun struct {
	took    time.Duration
	retired float64
	out     string
}

func (r riscvRun) mips() float64 { return r.retired / r.took.Seconds() / 1e6 }

// simulate runs a program on the first n cores of a machine.
func simulate(machine string, o sim.Options, n int, file string, args ...string) (riscvRun, error) {
	var run riscvRun
	s, err := spec.Shipped(machine)
	if err != nil {
		return run, err
	}
	m, err := sim.New(s, o)
	if err != nil {
		return run, err
	}
	defer m.Close()
	elf, err := os.ReadFile(file)
	if err != nil {
		return run, err
	}
	var out bytes.Buffer
	image := &sim.Image{ELF: elf, Args: append([]string{file}, args...)}
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	begin := time.Now()
	j, err := m.Launch(sim.Launch{
		Name: "bench", Cores: places, Image: func(string) (*sim.Image, error) { return image, nil },
		Write: func(_ int, p []byte) error { out.Write(p); return nil },
	})
	if err != nil {
		return run, err
	}
	<-j.Done()
	run = riscvRun{took: time.Since(begin), retired: float64(j.Cycles()), out: out.String()}
	if e := j.Exit(); e.Signal != 0 {
		return run, fmt.Errorf("%s: %s", file, e.Reason)
	}
	return run, nil
}

// peer runs a program under qemu-riscv32 or by itself.
func (r *riscvRig) peer(command ...string) (riscvRun, error) {
	begin := time.Now()
	out, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		return riscvRun{}, fmt.Errorf("%s: %w", command[0], err)
	}
	return riscvRun{took: time.Since(begin), out: string(out)}, nil
}

// benchRISCV measures the simulated machines.
func benchRISCV() ([]benchRow, error) {
	r, err := newRiscvRig()
	if err != nil {
		return nil, err
	}
	defer r.close()
	var rows []benchRow
	for _, part := range []func() ([]benchRow, error){r.oneCore, r.manyCores, r.messages, r.memory, r.watched} {
		got, err := part()
		if err != nil {
			return rows, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// oneCore compares the tiers with qemu, a program at a time.
func (r *riscvRig) oneCore() ([]benchRow, error) {
	var rows []benchRow
	cold, hot, n := 1.0, 1.0, 0.0
	for _, p := range riscvPrograms {
		file, err := r.build("bench/" + p.name + ".c")
		if err != nil {
			return nil, err
		}
		reps := strconv.Itoa(p.reps)
		interpreted, err := simulate("mesh=1x1", sim.Options{NoHot: true, Workers: 1}, 1, file, reps)
		if err != nil {
			return nil, err
		}
		more := strconv.Itoa(5 * p.reps)
		compiled, err := simulate("mesh=1x1", sim.Options{Workers: 1}, 1, file, more)
		if err != nil {
			return nil, err
		}
		low := benchRow{Work: "riscv: one core, interpreter: " + p.name, Ours: interpreted.mips(), Unit: "MIPS", OK: true}
		high := benchRow{Work: "riscv: one core, compiled: " + p.name, Ours: compiled.mips(), Unit: "MIPS", OK: true}
		if r.qemu == "" {
			low.Note = "qemu-riscv32 is not installed (qemu-user): nothing to compare with"
			rows = append(rows, low, high)
			continue
		}
		peer, err := r.peer(r.qemu, file, more)
		if err != nil {
			return nil, err
		}
		if peer.out != compiled.out {
			return nil, fmt.Errorf("%s says %q here and %q under qemu", p.name, compiled.out, peer.out)
		}
		peer.retired = compiled.retired
		for _, row := range []*benchRow{&low, &high} {
			row.Peer, row.Ratio = peer.mips(), row.Ours/peer.mips()
			row.Against = "qemu-riscv32 with the same executable"
		}
		cold, hot, n = cold*low.Ratio, hot*high.Ratio, n+1
		rows = append(rows, low, high)
	}
	if n > 0 {
		rows = append(rows,
			benchRow{Work: "riscv: one core, interpreter: geometric mean", Unit: "x qemu"}.level(math.Pow(cold, 1/n), 0.17),
			benchRow{Work: "riscv: one core, compiled: geometric mean", Unit: "x qemu"}.level(math.Pow(hot, 1/n), 0.65))
	}
	return rows, nil
}

// level is a row whose figure is itself the ratio, which is to be at least the bar.
func (r benchRow) level(got, bar float64) benchRow {
	r.Ours, r.Ratio = got, got
	r.Bar, r.OK = fmt.Sprintf(">=%.2f", bar), got >= bar
	return r
}

// below is a row whose figure is to be at most the bar.
func (r benchRow) below(got, bar float64) benchRow {
	r.Ours = got
	r.Bar, r.OK = fmt.Sprintf("<=%g", bar), got <= bar
	return r
}

const blackholeCores = 752

// manyCores has all cores of a Blackhole busy.
func (r *riscvRig) manyCores() ([]benchRow, error) {
	file, err := r.build("bench/mix.c")
	if err != nil {
		return nil, err
	}
	const reps = "3"
	one, err := simulate("mesh=1x1", sim.Options{NoHot: true, Workers: 1}, 1, file, "1000")
	if err != nil {
		return nil, err
	}
	cpus := runtime.NumCPU()
	runs := make(map[string]riscvRun)
	for _, c := range []struct {
		name string
		reps string
		o    sim.Options
	}{
		{"1 worker", reps, sim.Options{NoHot: true, Workers: 1}},
		{"2 workers", reps, sim.Options{NoHot: true, Workers: 2}},
		{"cold, 10,000", "30", sim.Options{NoHot: true, Workers: cpus, Quantum: 10_000}},
		{"hot, 10,000", "30", sim.Options{Workers: cpus, Quantum: 10_000}},
	} {
		if runs[c.name], err = simulate("blackhole", c.o, blackholeCores, file, c.reps); err != nil {
			return nil, err
		}
	}
	each := benchRow{Work: "riscv: 752 busy cores, quantum 1000, 1 CPU, beside one core", Peer: one.mips(), Unit: "MIPS", Ours: runs["1 worker"].mips(), Against: "one core in the interpreter"}
	scale := benchRow{Work: "riscv: 752 busy cores, 2 CPUs beside 1", Peer: runs["1 worker"].mips(), Unit: "MIPS", Ours: runs["2 workers"].mips(), Against: "the same with 1 worker"}
	hot := benchRow{Work: "riscv: 752 busy cores, quantum 10000, compiled beside interpreted", Peer: runs["cold, 10,000"].mips(), Unit: "MIPS", Ours: runs["hot, 10,000"].mips(), Against: "the interpreter"}
	return []benchRow{each.held(true, 0.95), scale.held(true, 1.8), hot.held(true, 1.3)}, nil
}

// messages has neighbours send each other words.
func (r *riscvRig) messages() ([]benchRow, error) {
	file, err := r.build("bench/pairs.c")
	if err != nil {
		return nil, err
	}
	const rounds, burst = 2000, 8
	run, err := simulate("mesh=16x4", sim.Options{Workers: 1}, 64, file, strconv.Itoa(rounds))
	if err != nil {
		return nil, err
	}
	row := benchRow{Work: "riscv: messages of 4 bytes to the neighbour, 1 CPU", Unit: "1/s", Ours: 64 * rounds * burst / run.took.Seconds()}
	row.Bar, row.OK = ">=1e6", row.Ours >= 1e6
	return []benchRow{row}, nil
}

// memory brings up 100,000 cores, and lets 1,000 of them run.
func (r *riscvRig) memory() ([]benchRow, error) {
	file, err := r.build("hello.c")
	if err != nil {
		return nil, err
	}
	small, err := startBenchServer("mesh=1x1", true)
	if err != nil {
		return nil, err
	}
	base, err := small.resident()
	if err := joinErr(err, small.stop()); err != nil {
		return nil, err
	}
	const side, width = 250, 400
	s, err := startBenchServer(fmt.Sprintf("mesh=%dx%d", width, side), true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	full, err := s.resident()
	if err != nil {
		return nil, err
	}
	const ran = 1000
	if err := s.write("cores/ctl", fmt.Sprintf("load 0-%d %s\nrun 0-%d\n", ran-1, file, ran-1)); err != nil {
		return nil, err
	}
	if _, err := os.ReadFile(filepath.Join(s.mount, "cores", strconv.Itoa(ran-1), "wait")); err != nil {
		return nil, err
	}
	after, err := s.resident()
	if err != nil {
		return nil, err
	}
	const pages = 4 << 10 * 8 // of program memory that such a program touches: text, data, heap, stack
	return []benchRow{
		benchRow{Work: "riscv: 100,000 cores, start to ready", Unit: "s"}.below(s.ready.Seconds(), 5),
		benchRow{Work: "riscv: 100,000 cores, memory", Unit: "MiB"}.below(full/(1<<20), 1024),
		benchRow{Work: "riscv: a core that never ran", Unit: "bytes"}.below((full-base)/(side*width), 8<<10),
		benchRow{Work: "riscv: a core that ran hello, with its touched memory", Unit: "bytes"}.below((after-full)/ran, 32<<10+pages),
	}, nil
}

func (b *benchServer) write(file, text string) error {
	f, err := os.OpenFile(filepath.Join(b.mount, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// watched reads cores/stat while all cores run.
func (r *riscvRig) watched() ([]benchRow, error) {
	file, err := r.build("bench/mix.c")
	if err != nil {
		return nil, err
	}
	s, err := startBenchServer("blackhole", true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.write("cores/ctl", fmt.Sprintf("load 0-751 %s 1000000\nrun 0-751\n", file)); err != nil {
		return nil, err
	}
	stat := filepath.Join(s.mount, "cores/stat")
	took, err := median(50, func() error {
		b, err := os.ReadFile(stat)
		if err == nil && bytes.Count(b, []byte("\n")) != blackholeCores {
			err = fmt.Errorf("%s: not a line a core", stat)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.write("cores/ctl", "reset 0-751\n"); err != nil {
		return nil, err
	}
	return []benchRow{benchRow{Work: "riscv: cat cores/stat of 752 running cores", Unit: "ms"}.below(took/1e3, 5)}, nil
}

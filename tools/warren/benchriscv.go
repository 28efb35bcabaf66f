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

	"warren/cores/riscv/hot"
	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
	"warren/fs/ninep/bench9"
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
	stats   []hot.Stats // of the program, each time that it was compiled
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
	runtime.GC() // what others left is not to be collected meanwhile
	begin := time.Now()
	j, err := m.Launch(sim.Launch{
		Name: "bench", Cores: places, Image: func(string) (*sim.Image, error) { return image, nil },
		Write: func(_ int, p []byte) error { out.Write(p); return nil },
	})
	if err != nil {
		return run, err
	}
	<-j.Done()
	run = riscvRun{took: time.Since(begin), retired: float64(j.Cycles()), out: out.String(), stats: m.Compiled(0)}
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
	for _, part := range []func() ([]benchRow, error){r.oneCore, r.compile, r.manyCores, r.messages, r.memory, r.watched} {
		got, err := part()
		if err != nil {
			return rows, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// oneCore compares the tiers with qemu and, as the floor, with the same source
// compiled for the host, a program at a time.
func (r *riscvRig) oneCore() ([]benchRow, error) {
	const turns = 3
	var rows []benchRow
	cold, hot, n := 1.0, 1.0, 0.0
	for _, p := range riscvPrograms {
		file, err := r.build("bench/" + p.name + ".c")
		if err != nil {
			return nil, err
		}
		tier := func(reps string, o sim.Options) func() (riscvRun, error) {
			o.Workers = 1
			return func() (riscvRun, error) { return simulate("mesh=1x1", o, 1, file, reps) }
		}
		long := strconv.Itoa(5 * p.reps)
		low, high := tier(strconv.Itoa(p.reps), sim.Options{NoHot: true}), tier(long, sim.Options{})
		want, err := high()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		runs := []func() (riscvRun, error){low, high}
		native, qemu := r.native(p.name), r.qemu
		for _, command := range [][]string{{qemu, file}, {native}} {
			if command[0] != "" {
				runs = append(runs, r.same(want, append(command, long)...))
			}
		}
		all, err := inTurns(turns, runs...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		pair := []benchRow{{Work: "riscv: one core, interpreter: " + p.name}, {Work: "riscv: one core, compiled: " + p.name}}
		for k := range pair {
			row := &pair[k]
			row.Ours, row.Unit, row.OK = bench9.Median(all[k]), "MIPS", true
			if native != "" {
				row.Floor = bench9.Median(all[len(all)-1])
				*row = row.aboveFloor(0)
				if len(rows) == 0 && k == 0 {
					row.Note = "riscv: one core: floor is the same source compiled for the host"
				}
			}
			if qemu == "" {
				row.Note = "qemu-riscv32 is not installed (qemu-user): nothing to compare with"
				continue
			}
			row.Peer, row.Ratio, row.Against = bench9.Median(all[2]), over(all[k], all[2]), "qemu-riscv32 with the same executable"
		}
		rows = append(rows, pair...)
		if qemu != "" {
			cold, hot, n = cold*pair[0].Ratio, hot*pair[1].Ratio, n+1
		}
	}
	if n > 0 {
		rows = append(rows,
			benchRow{Work: "riscv: one core, interpreter: geometric mean", Unit: "x qemu"}.level(math.Pow(cold, 1/n), 0.17),
			benchRow{Work: "riscv: one core, compiled: geometric mean", Unit: "x qemu"}.level(math.Pow(hot, 1/n), 0.65))
	}
	return rows, nil
}

// native compiles a program for the host; "" where that cannot be done.
func (r *riscvRig) native(name string) string {
	out := filepath.Join(r.dir, name+".native")
	if exec.Command("gcc", "-O2", "-o", out, filepath.Join(r.dir, "src/riscv/bench", name+".c")).Run() != nil {
		return ""
	}
	return out
}

// same runs a command that is to say what a simulated core said, and counts
// the instructions of that.
func (r *riscvRig) same(want riscvRun, command ...string) func() (riscvRun, error) {
	return func() (riscvRun, error) {
		run, err := r.peer(command...)
		if err == nil && run.out != want.out {
			err = fmt.Errorf("%s says %q, and here it is %q", command[0], run.out, want.out)
		}
		run.retired = want.retired
		return run, err
	}
}

// compile measures how long a core waits for its program to be compiled.
func (r *riscvRig) compile() ([]benchRow, error) {
	file, err := r.build("bench/mix.c")
	if err != nil {
		return nil, err
	}
	// measure returns the quickest of some times, and how often the program was compiled.
	measure := func(heat int64) (best hot.Stats, times int, err error) {
		const tries = 5
		for range tries {
			run, err := simulate("mesh=1x1", sim.Options{Workers: 1, Heat: heat}, 1, file, "1000")
			if err != nil {
				return best, 0, err
			}
			if len(run.stats) == 0 {
				return best, 0, fmt.Errorf("%s was not compiled", file)
			}
			times = max(times, len(run.stats))
			if s := run.stats[0]; best.Functions == 0 || s.Translate+s.Compile < best.Translate+best.Compile {
				best = s
			}
		}
		return best, times, nil
	}
	const atOnce = -1 // nothing is known then of which functions are hot
	part, times, err := measure(0)
	if err != nil {
		return nil, err
	}
	all, _, err := measure(atOnce)
	if err != nil {
		return nil, err
	}
	ms := func(s hot.Stats) float64 { return float64((s.Translate + s.Compile).Microseconds()) / 1000 }
	bar := math.Round(50 * float64(all.Functions) / 100)
	row := benchRow{Work: "riscv: compile: mix", Unit: "ms"}.below(ms(part), bar)
	row.Note = fmt.Sprintf("riscv: compile: mix: %d hot functions of %d instructions, compiled %d times at most; the bar is 50 ms for 100 functions of the %d of the program",
		part.Functions, part.Instructions, times, all.Functions)
	whole := benchRow{
		Work: "riscv: compile: mix, all of it", Unit: "ms", Ours: ms(all), OK: true,
		Note: fmt.Sprintf("riscv: compile: mix, all of it: %d functions of %d instructions, as they are if nothing is known of what is hot; no bar", all.Functions, all.Instructions),
	}
	return []benchRow{row, whole}, nil
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

// inTurns runs each of some runs n times, in turns, as what else the machine does
// should fall on all of them. It returns the MIPS of each, a figure a turn.
func inTurns(n int, runs ...func() (riscvRun, error)) ([][]float64, error) {
	all := make([][]float64, len(runs))
	for range n {
		for i, run := range runs {
			r, err := run()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], r.mips())
		}
	}
	return all, nil
}

// over is the median of how many times as fast a was as b in the same turn.
func over(a, b []float64) float64 {
	var ratios []float64
	for i := range a {
		ratios = append(ratios, a[i]/b[i])
	}
	return bench9.Median(ratios)
}

// manyCores has all cores of a Blackhole busy.
func (r *riscvRig) manyCores() ([]benchRow, error) {
	file, err := r.build("bench/mix.c")
	if err != nil {
		return nil, err
	}
	one := func() (riscvRun, error) {
		return simulate("mesh=1x1", sim.Options{NoHot: true, Workers: 1}, 1, file, "750")
	}
	// So many repetitions that the start, when the host finds memory for all cores, is a
	// small part.
	busy := func(n int, o sim.Options) func() (riscvRun, error) {
		reps := strconv.Itoa(6 * blackholeCores / n)
		return func() (riscvRun, error) { return simulate("blackhole", o, n, file, reps) }
	}
	// What else the host does shows more in what uses all of a cache, and changes
	// from second to second: many turns.
	const turns = 11
	compare := func(work, against string, bar float64, ours, peer func() (riscvRun, error)) (benchRow, error) {
		got, err := inTurns(turns, peer, ours)
		if err != nil {
			return benchRow{}, err
		}
		b := benchRow{Work: "riscv: " + work, Unit: "MIPS", Against: against, Ours: bench9.Median(got[1]), Peer: bench9.Median(got[0])}.held(true, bar)
		b.Ratio = over(got[1], got[0])
		b.OK = b.Ratio >= bar
		return b, nil
	}
	cpus := runtime.NumCPU()
	cold := sim.Options{NoHot: true, Workers: cpus, Quantum: 10_000}
	hot := cold
	hot.NoHot = false
	single := sim.Options{NoHot: true, Workers: 1}
	const all = blackholeCores
	each, err := compare("752 busy cores, quantum 1000, 1 CPU, beside one core", "one core in the interpreter", 0.95, busy(all, single), one)
	if err != nil {
		return nil, err
	}
	scale, err := compare("752 busy cores, 2 CPUs beside 1", "the same with 1 worker", 1.8, busy(all, sim.Options{NoHot: true, Workers: 2}), busy(all, single))
	if err != nil {
		return nil, err
	}
	tiers, err := compare("752 busy cores, quantum 10000, compiled beside interpreted", "the interpreter", 1.3, busy(all, hot), busy(all, cold))
	if err != nil {
		return nil, err
	}
	// As many as the caches nearest to a processor hold, so that what is compared is the
	// engine and not the host's memory.
	const few = 100
	near, err := compare("100 busy cores, quantum 1000, 1 CPU, beside one core", "one core in the interpreter", 0.95, busy(few, single), one)
	if err != nil {
		return nil, err
	}
	short, err := compare("100 busy cores, quantum 1000, compiled beside interpreted", "the interpreter", 1, busy(few, sim.Options{Workers: cpus}), busy(few, sim.Options{NoHot: true, Workers: cpus}))
	return []benchRow{each, near, scale, tiers, short}, err
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

// memory brings up 100,000 cores, and lets 1,000 of them run, then all.
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
	all, err := s.process(file, side*width)
	if err != nil {
		return nil, err
	}
	const pages = 4 << 10 * 8 // of program memory that such a program touches: text, data, heap, stack
	return []benchRow{
		benchRow{Work: "riscv: 100,000 cores, start to ready", Unit: "s"}.below(s.ready.Seconds(), 5),
		benchRow{Work: "riscv: 100,000 cores, memory", Unit: "MiB"}.below(full/(1<<20), 1024),
		benchRow{Work: "riscv: a core that never ran", Unit: "bytes"}.below((full-base)/(side*width), 8<<10),
		benchRow{Work: "riscv: a core that ran hello, with its touched memory", Unit: "bytes"}.below((after-full)/ran, 32<<10+pages),
		{Work: "riscv: 100,000 cores, hello on all of them", Unit: "s", Ours: all.Seconds(), OK: true},
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

// process runs a program as a process of n cores, and returns how long that took
// from its start to its end.
func (b *benchServer) process(file string, n int) (time.Duration, error) {
	if err := os.Mkdir(filepath.Join(b.mount, "procs/all"), 0o755); err != nil {
		return 0, err
	}
	if err := b.write("procs/all/ctl", fmt.Sprintf("exec %s\ncores %d\n", file, n)); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := b.write("procs/all/ctl", "start\n"); err != nil {
		return 0, err
	}
	end, err := os.ReadFile(filepath.Join(b.mount, "procs/all/wait"))
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	var status int
	if _, err := fmt.Sscanf(string(end), "all %d", &status); err != nil || status != 0 {
		return 0, fmt.Errorf("%s on %d cores ended with %q", file, n, end)
	}
	return took, nil
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

package cc

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
)

// patience is how long the time of a machine may stand; it is no measure.
const patience = time.Minute

// A simulated run is a program on a machine, with what it is to say.
type simulated struct {
	name     string
	machine  string
	cores    func(*spec.Machine) []int
	programs map[string]string // by role; "" is for all others
	sram     bool              // texts in SRAM
	args     string
	input    string
	want     []string // lines of standard output, in any order
}

// first are the first cores of a machine.
func first(n int) func(*spec.Machine) []int {
	return func(*spec.Machine) []int {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		return list
	}
}

// square are all cores of the tiles of a rectangle, but those of the roles left out.
func square(w, h int, without ...string) func(*spec.Machine) []int {
	return func(m *spec.Machine) []int {
		var list []int
		for id := range m.Cores() {
			tile, _ := m.Core(id)
			at := m.Tiles[tile]
			if int(at.X) < w && int(at.Y) < h && !slices.Contains(without, m.Role(id)) {
				list = append(list, id)
			}
		}
		return list
	}
}

func simulatedRuns() []simulated {
	one := func(source string) map[string]string { return map[string]string{"": source} }
	var list []simulated
	for _, n := range []int{1, 2, 3, 7, 16} {
		for _, way := range []string{"ring", "tree"} {
			list = append(list, simulated{
				name: fmt.Sprintf("%s of %d", way, n), machine: "mesh=4x4", cores: first(n),
				programs: one("noc/allreduce.c"), args: way + " 100", want: []string{reduced(n, 100)},
			})
		}
	}
	var hellos []string
	for i := range 6 {
		hellos = append(hellos, fmt.Sprintf("hello from %d of 6 at %d,%d all", i, i%3, i/3))
	}
	added := []string{"added 9 tiles at 0,0, 0 elements wrong", "added 9 tiles at 1,0, 0 elements wrong", "added 9 tiles at 0,1, 0 elements wrong", "added 9 tiles at 1,1, 0 elements wrong"}
	return append(list,
		simulated{name: "hello", machine: "mesh=3x2", cores: first(6), programs: one("hello.c"), args: "all", want: hellos},
		simulated{name: "pairs", machine: "mesh=2x2", cores: first(4), programs: one("bench/pairs.c"), args: "20", want: []string{""}},
		simulated{name: "primes", machine: "mesh=8x8", cores: first(64), programs: one("noc/sieve.c"), args: "1000000", want: []string{"78498 primes below 1000000"}},
		simulated{name: "word count", machine: "mesh=8x8", cores: first(64), programs: one("noc/wordcount.c"), input: text(), want: []string{strings.TrimSpace(wc(text()))}},
		simulated{name: "word count, no text", machine: "mesh=2x2", cores: first(4), programs: one("noc/wordcount.c"), want: []string{"0 0 0"}},
		simulated{name: "dmm on a mesh", machine: "mesh=4x4", cores: first(16), programs: one("dmm/dmm.c"), args: "4 16", want: []string{"dmm 64x64 sum 0000efae right"}},
		simulated{name: "dmm in clusters", machine: "occamy", cores: square(3, 3), programs: one("dmm/dmm.c"), args: "3 16", want: []string{"dmm 48x48 sum 0000971a right"}},
		simulated{name: "dmm not at the corner", machine: "blackhole", cores: square(5, 4), programs: one("dmm/dmm.c"), args: "3 16 2 1", want: []string{"dmm 48x48 sum 0000971a right"}},
		simulated{
			name: "dmm as kernels in SRAM", machine: "blackhole", cores: square(2, 2), sram: true, args: "2 32",
			programs: map[string]string{"B": "dmm/reader.c", "T1": "dmm/compute.c", "NC": "dmm/writer.c", "": "dmm/idle.c"},
			want:     []string{"dmm 64x64 sum 0000efae right"},
		},
		simulated{name: "axpy", machine: "occamy", cores: first(18), programs: one("snitch/axpy.c"), want: []string{"cluster 0: sum 1310464.0, 0 wrong", "cluster 1: sum 1310464.0, 0 wrong"}},
		simulated{name: "locks", machine: "occamy", cores: first(18), programs: one("snitch/lock.c"), want: []string{"this cluster counted 900, the next 1800"}},
		simulated{
			name: "addition of tiles", machine: "blackhole", cores: square(2, 2, "T0", "T2"),
			args:     "0x100000 0x120000 0x140000 9 banks=2x2 cb0=2048x2 cb1=2048x2 cb16=2048x2",
			programs: map[string]string{"B": "tt/reader.cpp", "T1": "tt/compute.cpp", "NC": "tt/writer.cpp"}, want: added,
		},
		simulated{
			name: "multicast", machine: "wormhole", cores: square(4, 3, "NC", "T0", "T1", "T2"), args: "0 0 3 2 cb0=1024x1 sem5=1",
			programs: one("tt/mcast.cpp"), want: []string{"multicast of 1024 bytes to 11 tiles: all have it"},
		},
	)
}

// reduced is what the all-reduce prints.
func reduced(ranks, words int) string {
	var sum uint32
	for i := range words {
		sum = sum*31 + uint32(ranks*(ranks+1)/2*(i+1))
	}
	return fmt.Sprintf("allreduce %d ranks %d words %08x", ranks, words, sum)
}

// images are programs, compiled when first needed.
type imageKey struct{ source, machine, role string }

type images struct {
	dir  string
	have map[imageKey][]byte
}

func newImages(t *testing.T) *images {
	toolchain(t)
	return &images{t.TempDir(), map[imageKey][]byte{}}
}

func (im *images) get(t *testing.T, source, machine string, sram bool, role string) []byte {
	t.Helper()
	if !sram {
		role = ""
	}
	key := imageKey{source, machine, role}
	if im.have[key] == nil {
		out := filepath.Join(im.dir, "p")
		must(t, Command{Machine: machine, SRAM: sram, Role: role, Args: slices.Concat(strict, []string{"-O2", "-g", "-o", out, programs + source})})
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		im.have[key] = text
	}
	return im.have[key]
}

// bring brings a machine up that has what the silicon has: what is compiled for
// it needs no more.
func bring(t *testing.T, name string, o sim.Options) *sim.Machine {
	t.Helper()
	s, err := spec.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(s.Strict(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// written is what a job wrote to standard output and standard error.
type written struct {
	mu sync.Mutex
	fd [3]bytes.Buffer
}

func (w *written) write(fd int, p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fd[fd].Write(p)
	return nil
}

func (w *written) text(fd int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fd[fd].String()
}

// begin starts a program.
func (im *images) begin(t *testing.T, m *sim.Machine, r simulated) (*sim.Job, *written) {
	t.Helper()
	out := new(written)
	l := sim.Launch{Name: r.name, Cores: r.cores(m.Spec()), Write: out.write}
	l.Image = func(role string) (*sim.Image, error) {
		source, ok := r.programs[role]
		if !ok {
			source = r.programs[""]
		}
		elf := im.get(t, source, r.machine, r.sram, role)
		return &sim.Image{ELF: elf, Args: append([]string{source}, strings.Fields(r.args)...)}, nil
	}
	var job *sim.Job
	more := make(chan struct{}, 1)
	if r.input != "" {
		l.More = func() { more <- struct{}{} }
	}
	job, err := m.Launch(l)
	if err != nil {
		t.Fatal(err)
	}
	if r.input != "" {
		go func() {
			for rest := r.input; ; {
				select {
				case <-job.Done():
					return
				case <-more:
					n := min(len(rest), 5000)
					job.Feed([]byte(rest[:n]), n == len(rest))
					rest = rest[n:]
				}
			}
		}()
	}
	return job, out
}

func ended(t *testing.T, m *sim.Machine, j *sim.Job) sim.Exit {
	t.Helper()
	for was := ^uint64(0); ; {
		select {
		case <-j.Done():
			return j.Exit()
		case <-time.After(patience):
		}
		now := m.Passed()
		if now == was { // where much else runs it only takes long
			t.Fatalf("it did not end, and time stands:\n%s", m.AppendBlocked(nil))
		}
		was = now
	}
}

// TestSimulatedAlone runs what ran under qemu on one core of each machine, and
// wants the same.
func TestSimulatedAlone(t *testing.T) {
	im := newImages(t)
	for _, name := range []string{"mesh=1x1", "blackhole", "wormhole", "occamy"} {
		m := bring(t, name, sim.Options{})
		for _, p := range allPrograms() {
			for _, r := range p.runs {
				t.Run(name+" "+p.source+" "+r.args, func(t *testing.T) {
					if r.input != "" && strings.Contains(p.source, "kv") {
						t.Skip("it takes its input from its channel here: TestSimulatedStore")
					}
					j, out := im.begin(t, m, simulated{
						machine: name, cores: first(1), programs: map[string]string{"": p.source}, args: r.args, input: r.input,
					})
					e := ended(t, m, j)
					if got := out.text(1); got != r.want || (r.status < 0) != (e.Signal != 0) || r.status >= 0 && e.Code != r.status {
						t.Errorf("%+v, output %q, stderr %q: want %d, %q", e, got, out.text(2), r.status, r.want)
					}
				})
			}
		}
	}
}

// TestSimulated runs programs that use the network: what they say does not
// depend on the number of workers, nor on the quantum; and how many instructions
// each core retires does not depend on the number of workers.
func TestSimulated(t *testing.T) {
	im := newImages(t)
	for _, r := range simulatedRuns() {
		t.Run(r.name, func(t *testing.T) {
			retired := map[uint64]string{} // by quantum
			for _, o := range []sim.Options{{Workers: 1}, {Workers: 2}, {Workers: 8}, {Workers: 2, Quantum: 19}, {Workers: 2, Quantum: 20000}} {
				m := bring(t, r.machine, o)
				j, out := im.begin(t, m, r)
				e := ended(t, m, j)
				got := strings.Split(strings.TrimSpace(out.text(1)), "\n")
				slices.Sort(got)
				want := slices.Sorted(slices.Values(r.want))
				if !slices.Equal(got, want) || e.Code != 0 || e.Signal != 0 {
					t.Errorf("%+v: %+v, output %q, stderr %q: want %q", o, e, got, out.text(2), want)
				}
				if r.input != "" {
					continue // when it comes is up to the host
				}
				now := fmt.Sprint(retiredBy(m, r.cores(m.Spec())))
				if was := cmp.Or(retired[o.Quantum], now); was != now {
					t.Errorf("%+v: %s instructions were retired, and %s", o, was, now)
				}
				retired[o.Quantum] = now
			}
		})
	}
}

func retiredBy(m *sim.Machine, cores []int) []uint64 {
	var list []uint64
	for _, id := range cores {
		list = append(list, m.Retired(id))
	}
	return list
}

// TestSimulatedDeadlock: the machine tells of it.
func TestSimulatedDeadlock(t *testing.T) {
	im := newImages(t)
	told := make(chan string, 16)
	m := bring(t, "mesh=2x2", sim.Options{Tell: func(s string) { told <- s }})
	im.begin(t, m, simulated{machine: "mesh=2x2", cores: first(4), programs: map[string]string{"": "noc/deadlock.c"}})
	select {
	case s := <-told:
		blocked := string(m.AppendBlocked(nil))
		if !strings.Contains(s, "wait for each other") || strings.Count(blocked, "\n") != 4 || !strings.Contains(blocked, "barrier") {
			t.Errorf("%s\n%s", s, blocked)
		}
	case <-time.After(patience):
		t.Fatal("nothing was told")
	}
}

// TestSimulatedFault: a fault names its function and its line.
func TestSimulatedFault(t *testing.T) {
	im := newImages(t)
	text, err := os.ReadFile(programs + "fault.c")
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "the fault is here")
	line := fmt.Sprintf("fault.c:%d", strings.Count(before, "\n")+1)
	m := bring(t, "mesh=1x1", sim.Options{})
	j, _ := im.begin(t, m, simulated{machine: "mesh=1x1", cores: first(1), programs: map[string]string{"": "fault.c"}})
	e := ended(t, m, j)
	fault := string(m.AppendFault(nil, 0))
	for _, part := range []string{"bad_load", line, "0x40000000"} {
		if !strings.Contains(fault, part) || !strings.Contains(e.Reason, part) {
			t.Errorf("no %s in %q, or in %+v", part, fault, e)
		}
	}
}

// A call is a read or a write of a channel.
type call struct {
	answer chan string
	once   sync.Once
}

func (c *call) say(s string) (said bool) {
	c.once.Do(func() { c.answer <- s; said = true })
	return said
}

func (c *call) Deliver(p []byte, _ func()) bool { return c.say(string(p)) }
func (c *call) Done(int) bool                   { return c.say("written") }
func (c *call) Fail(err error) bool             { return c.say("error: " + err.Error()) }
func (c *call) Nonblock() bool                  { return false }
func (c *call) Park(func())                     {}

// TestSimulatedStore feeds the key-value store through channels of its cores.
func TestSimulatedStore(t *testing.T) {
	im := newImages(t)
	const n = 5
	m := bring(t, "mesh=5x1", sim.Options{})
	j, _ := im.begin(t, m, simulated{machine: "mesh=5x1", cores: first(n), programs: map[string]string{"": "noc/kv.c"}})
	wait := func(c *call) string {
		select {
		case s := <-c.answer:
			return s
		case <-time.After(patience):
			t.Fatalf("no answer:\n%s", m.AppendBlocked(nil))
			return ""
		}
	}
	say := func(core int, text string) {
		ch := m.Chan(core, 0, true)
		defer ch.Close()
		c := &call{answer: make(chan string, 1)}
		ch.Put(c, []byte(text))
		if got := wait(c); got != "written" {
			t.Fatal(got)
		}
	}
	hear := func(core int) string {
		ch := m.Chan(core, 1, false)
		defer ch.Close()
		c := &call{answer: make(chan string, 1)}
		ch.Take(c)
		return strings.TrimSuffix(wait(c), "\n")
	}
	want := func(core int, command, answer string) {
		t.Helper()
		say(core, command+"\n")
		if got := hear(core); got != answer {
			t.Errorf("core %d, %s: %q, want %q", core, command, got, answer)
		}
	}
	const keys = 100
	for i := range keys {
		want(i%n, fmt.Sprintf("put key%d value %d", i, i), "ok")
	}
	for i := range keys {
		want((i+2)%n, fmt.Sprintf("get key%d", i), fmt.Sprintf("value %d", i))
	}
	want(3, "get nothing", "no nothing")
	want(4, "del key7", "ok")
	want(0, "get key7", "no key7")
	// Many at once, to all cores, in messages of several lines.
	for core := range n {
		say(core, strings.Repeat(fmt.Sprintf("get key%d\n", 10+core), 20))
	}
	for core := range n {
		for range 20 {
			if got := hear(core); got != fmt.Sprintf("value %d", 10+core) {
				t.Errorf("core %d: %q", core, got)
			}
		}
	}
	sum := 0
	for core := range n {
		var c int
		say(core, "count\n")
		if _, err := fmt.Sscan(hear(core), &c); err != nil || c == 0 {
			t.Errorf("core %d has %d keys: %v", core, c, err)
		}
		sum += c
	}
	if sum != keys-1 {
		t.Errorf("%d keys, want %d", sum, keys-1)
	}
	say(2, "quit\n")
	if e := ended(t, m, j); e.Code != 0 || e.Signal != 0 {
		t.Errorf("%+v", e)
	}
}

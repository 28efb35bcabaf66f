package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"warren/cores/riscv/exe"
)

// chaosRuns is how many random runs the tests below try: WARREN_CHAOS, or a few.
func chaosRuns(t *testing.T) int {
	text := os.Getenv("WARREN_CHAOS")
	if text == "" {
		return 8
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A chaos is a random run: programs on a machine that do anything, and what the host
// gives to them and takes from them.
type chaos struct {
	seed    uint64
	machine string
	quantum uint64
	jobs    []chaosJob
}

type chaosJob struct {
	cores []int
	args  []string
}

func newChaos(seed uint64) chaos {
	r := rand.New(rand.NewPCG(seed, 1))
	c := chaos{
		seed:    seed,
		machine: []string{"mesh=3x3", "small"}[r.IntN(2)],
		quantum: []uint64{minQuantum, 50, 1000, 20000}[r.IntN(4)],
	}
	n := map[string]int{"mesh=3x3": 9, "small": 12}[c.machine]
	order := r.Perm(n)
	for i := range 1 + r.IntN(3) {
		size := min(1+r.IntN(5), len(order))
		if size == 0 {
			break
		}
		c.jobs = append(c.jobs, chaosJob{order[:size], []string{"prog", fmt.Sprint(seed*10 + uint64(i)), fmt.Sprint(20 + r.IntN(150))}})
		order = order[size:]
	}
	return c
}

func (c *chaos) bring(t *testing.T, o Options) *Machine {
	t.Helper()
	o.Quantum = c.quantum
	if c.machine == "small" {
		return bringSmall(t, o)
	}
	return bring(t, c.machine, o)
}

// A chaosRun is a machine that does a chaos.
type chaosRun struct {
	*Machine
	t     *testing.T
	elf   []byte
	words uint32 // where they lie
	jobs  []*Job
	out   output
	chans map[[2]int]*Chan
	took  map[[2]int][]*call // reads of channels
	mu    sync.Mutex
	asked []*Job // jobs that wait for input
	feeds bool
}

func (c *chaos) run(t *testing.T, elf []byte, m *Machine, feeds bool) *chaosRun {
	program, err := exe.Parse(elf)
	if err != nil {
		t.Fatal(err)
	}
	words, ok := program.Addr("words")
	if !ok {
		t.Fatal("no words")
	}
	r := &chaosRun{Machine: m, t: t, elf: elf, words: words, feeds: feeds, chans: make(map[[2]int]*Chan), took: make(map[[2]int][]*call)}
	for id := range m.cores { // a core waits otherwise where a file is open
		for num := range 4 {
			r.chans[[2]int{id, num}] = m.Chan(id, uint8(num), feeds)
		}
	}
	return r
}

// begin starts a job of a chaos.
func (r *chaosRun) begin(j chaosJob) {
	r.t.Helper()
	image := &Image{ELF: r.elf, Args: j.args}
	var job *Job
	begun := make(chan struct{})
	l := Launch{Name: "chaos", Cores: j.cores, Write: r.out.write, Image: func(string) (*Image, error) { return image, nil }}
	if r.feeds {
		l.More = func() {
			go func() {
				<-begun
				r.mu.Lock()
				defer r.mu.Unlock()
				r.asked = append(r.asked, job)
			}()
		}
	}
	var err error
	if job, err = r.Launch(l); err != nil {
		r.t.Fatal(err)
	}
	close(begun)
	r.jobs = append(r.jobs, job)
}

// take reads a channel: now, or when there is something.
func (r *chaosRun) take(at [2]int) {
	c := newCall()
	r.chans[at].Take(c)
	r.took[at] = append(r.took[at], c)
}

// disturb does for some time what files can do.
func (r *chaosRun) disturb(rnd *rand.Rand) {
	for range 60 {
		at := [2]int{rnd.IntN(len(r.cores)), rnd.IntN(4)}
		switch rnd.IntN(9) {
		case 0, 1:
			r.chans[at].Put(newCall(), []byte(strings.Repeat("x", rnd.IntN(500))))
		case 2:
			r.take(at)
		case 3:
			r.mu.Lock()
			asked := r.asked
			r.asked = nil
			r.mu.Unlock()
			for _, j := range asked {
				j.Feed([]byte(strings.Repeat("in", rnd.IntN(100))), rnd.IntN(4) == 0)
			}
		case 4:
			until(r.t, "at rest", r.Resting)
		case 5:
			was := r.Passed()
			for range 1000 {
				if r.Passed() != was || r.Resting() {
					break
				}
			}
		case 6: // the words that it waits for, and others
			addr := r.words + uint32(rnd.IntN(64))*4
			if rnd.IntN(4) == 0 {
				addr = r.spec.Kinds[r.spec.Tiles[r.Machine.cores[at[0]].tile].Kind].SRAMBase + 4096
			}
			_ = r.WriteMemory(at[0], []byte{byte(rnd.IntN(4)), 0, 0, 0}, addr) // there may be none
		case 7:
			const tp = 4 // which nothing uses
			_ = r.SetRegister(at[0], tp, rnd.Uint64()>>32)
		case 8:
			j := r.jobs[rnd.IntN(len(r.jobs))]
			if rnd.IntN(8) == 0 {
				_ = j.Signal(1 + rnd.IntN(15))
			} else {
				_ = j.Freeze(rnd.IntN(2) == 0)
			}
		}
	}
	for _, j := range r.jobs {
		_ = j.Freeze(false)
	}
}

// state is all that came of it.
func (r *chaosRun) state() string {
	r.t.Helper()
	h := hash(r.t, r.Machine)
	now, epochs := r.Now()
	return fmt.Sprintf("%s at %d in epoch %d, it wrote %q", h, now, epochs, r.out.String())
}

// answers are the messages that were read; who waits in vain gives up.
func (r *chaosRun) answers() map[[2]int][]string {
	all := make(map[[2]int][]string)
	for at, calls := range r.took {
		for _, c := range calls {
			select {
			case s := <-c.answer:
				all[at] = append(all[at], s)
			default:
				c.cancel()
			}
		}
	}
	return all
}

// TestChaosReplay records random runs, which the host disturbs at moments of its own,
// and replays them with other workers, compiled and interpreted, on machines that are
// new or old: they end in the same state.
func TestChaosReplay(t *testing.T) {
	elf := build(t, "chaos.c")
	for seed := range chaosRuns(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newChaos(uint64(seed))
			m := c.bring(t, Options{})
			start, err := m.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			m.Record(true)
			first := c.run(t, elf, m, true)
			rnd := rand.New(rand.NewPCG(uint64(seed), 2))
			for _, j := range c.jobs {

				first.begin(j)
				first.disturb(rnd)
			}
			want := first.state()
			record := m.Record(false)
			answers := first.answers()

			again := func(name string, m *Machine) {
				t.Helper()
				if err := m.Replay(record); err != nil {
					t.Fatal(err)
				}
				r := c.run(t, elf, m, true)
				for _, j := range c.jobs {
					r.begin(j)
				}
				for at, list := range answers {
					for range list {
						r.take(at)
					}
				}
				if got := r.state(); got != want {
					t.Fatalf("%s: %s\nand recorded %s\n%+v\n%s", name, got, want, c, record)
				}
				if got := r.answers(); fmt.Sprint(got) != fmt.Sprint(answers) {
					t.Errorf("%s: %v was read, and recorded %v", name, got, answers)
				}
			}
			again("interpreted", c.bring(t, Options{Workers: 1, NoHot: true}))
			again("2 workers", c.bring(t, Options{Workers: 2}))
			again("3 workers, compiled", c.bring(t, Options{Workers: 3, Heat: -1}))
			for _, j := range first.jobs {
				_ = j.Signal(9) // it may have ended
			}
			hash(t, m)
			if err := m.Restore(start); err != nil {
				t.Fatal(err)
			}
			again("the same machine", m)
		})
	}
}

// TestChaosRestore takes snapshots of random runs anywhere in them, and has them go on
// on machines that are new or old: they end in the same state.
func TestChaosRestore(t *testing.T) {
	elf := build(t, "chaos.c")
	for seed := range chaosRuns(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newChaos(uint64(seed))
			m := c.bring(t, Options{})
			r := c.run(t, elf, m, false)
			for _, j := range c.jobs {
				r.begin(j)
				until(t, "at rest", m.Resting)
			}
			want := r.state()
			for _, j := range r.jobs {
				_ = j.Signal(9) // it may have ended
			}
			old := m
			for i, o := range []Options{{Workers: 1, NoHot: true}, {Workers: 2}, {Workers: 3, Heat: -1}} {
				m := c.bring(t, o)
				r := c.run(t, elf, m, false)
				var saved [][]byte
				for _, j := range c.jobs {
					r.begin(j)
					for range 3 {
						s, err := m.Snapshot()
						if err != nil {
							t.Fatal(err)
						}
						saved = append(saved, s)
					}
					until(t, "at rest", m.Resting)
				}
				if got := r.state(); got != want {
					t.Fatalf("%+v: %s\nand before %s\n%+v", o, got, want, c)
				}
				last := saved[len(saved)-3:]
				for k, s := range last {
					if k == i {
						m = old
						if err := m.Reset(first(len(m.cores))); err != nil {
							t.Fatal(err)
						}
					} else {
						m = c.bring(t, o)
					}
					if err := m.Restore(s); err != nil {
						t.Fatal(err)
					}
					if got := hash(t, m); got != strings.Fields(want)[0] {
						t.Errorf("%+v, snapshot %d of %d: another state\n%+v", o, k, len(last), c)
					}
				}
			}
		})
	}
}

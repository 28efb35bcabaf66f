package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/bench9"
)

// A size9P says how much the 9p bench does. Servers take turns, in many short
// rounds, of which the median counts; so what else the machine does falls on
// all, and chance on none.
type size9P struct {
	rounds int
	each   time.Duration // of a round
	conns  int           // with a call in flight each
	reads  int           // that are parked
	wakes  int           // in a round
	calls  int           // of which allocations are counted
}

// whole9P is what the bars are for.
func whole9P() size9P {
	return size9P{rounds: 25, each: 50 * time.Millisecond, conns: 1000, reads: 10000, wakes: 400, calls: 20000}
}

// most9P ends a bench whose servers do not answer.
const most9P = 10 * time.Minute

// bench9PCommand is a server of the 9p bench.
func bench9PCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench-9p KIND DIR", Hidden: true, Args: words(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "tree" {
				return bench9.Main(args[0], args[1], nil)
			}
			return withTree(func(root fs.Node) error { return bench9.Main(args[0], args[1], root) })
		},
	}
}

// lab9P is the servers of a run.
type lab9P struct {
	context.Context
	size9P
	dir   string
	ours  *bench9.Server
	peers []*bench9.Server
	floor *bench9.Server
	bare  *bench9.Server // the floor with a thread that blocks
	note  string
	all   []*bench9.Server
}

// bench9P compares the 9P server with others and with the floor.
func bench9P() ([]benchRow, error) { return measure9P(whole9P()) }

func measure9P(size size9P) (rows []benchRow, err error) {
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), most9P)
	defer cancel()
	l := &lab9P{Context: ctx, size9P: size, dir: dir}
	defer l.close()
	if err := l.begin(); err != nil {
		return nil, err
	}
	for _, measure := range []func() ([]benchRow, error){l.speed, l.crowd, l.parked, l.allocs} {
		got, err := measure()
		if err != nil {
			return rows, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

func (l *lab9P) close() {
	for _, s := range l.all {
		s.Close()
	}
}

// start starts a server of ours in a process of its own.
func (l *lab9P) start(kind string) (*bench9.Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.dir, "")
	if err != nil {
		return nil, err
	}
	s, err := bench9.Start(kind, dir, func(kind, dir string) *exec.Cmd {
		cmd := exec.Command(self, "bench-9p", kind, dir)
		cmd.Args[0] = "warren" // not the name of a test binary
		cmd.Stderr = os.Stderr
		return cmd
	})
	if err == nil {
		l.all = append(l.all, s)
	}
	return s, err
}

// begin starts the servers that are compared.
func (l *lab9P) begin() error {
	for kind, at := range map[string]**bench9.Server{"static": &l.ours, "floor": &l.floor, "thread": &l.bare} {
		var err error
		if *at, err = l.start(kind); err != nil {
			return err
		}
	}
	for _, kind := range []string{"p9", "go9p"} {
		s, err := l.start(kind)
		if err != nil {
			return err
		}
		l.peers = append(l.peers, s)
	}
	diod, err := bench9.StartDiod(l.dir)
	switch {
	case errors.Is(err, bench9.ErrNoDiod):
		l.note = "9p: not compared with diod: " + err.Error()
	case err != nil:
		return err
	default:
		l.peers, l.all = append(l.peers, diod), append(l.all, diod)
	}
	return nil
}

// against says what a peer is.
func against(name string) string {
	return map[string]string{
		"p9":   "hugelgupf/p9 v0.4.1 localfs",
		"go9p": "knusbaum/go9p v1.18.0, files in memory, 9P2000",
		"diod": "diod -f -n -N -S -U root -c /dev/null -l SOCK -e DIR",
	}[name]
}

// best fills in the best of the peers, of which there are raw rates.
func (l *lab9P) best(r benchRow) benchRow {
	for _, p := range l.peers {
		if rate := r.Raw[p.Name]; rate > r.Peer {
			r.Peer, r.Against = rate, against(p.Name)
		}
	}
	r.Note = l.note
	return r
}

// bars9P are what the speeds of the works are held to, in their order.
var bars9P = [...]struct{ peer, floor float64 }{{1.4, 1.15}, {1.5, 1.2}, {1.3, 1.15}}

// manyBar is what is held to with many calls in flight, of the peer's rate.
const manyBar = 3

func (l *lab9P) speed() (rows []benchRow, err error) {
	servers := append([]*bench9.Server{l.ours, l.floor, l.bare}, l.peers...)
	targets := make([]bench9.Target, len(servers))
	for i, s := range servers {
		targets[i] = s.Target
	}
	got, err := bench9.Compare(l, targets, []int{1, 16}, l.rounds, l.each)
	for i, r := range got {
		row := benchRow{
			Work: fmt.Sprintf("9p: %s, %d in flight", r.Work, r.Flight), Unit: "1/s",
			Ours: r.Rates[0], Floor: r.Rates[1], Raw: map[string]float64{"the floor of a thread that blocks": r.Rates[2]},
		}
		for i, p := range l.peers {
			row.Raw[p.Name] = r.Rates[i+3]
		}
		row = l.best(row)
		if bar := bars9P[i/2]; r.Flight == 1 {
			row = row.held(true, bar.peer).aboveFloor(bar.floor)
		} else {
			row = row.held(true, manyBar).aboveFloor(0)
		}
		rows = append(rows, row)
	}
	return rows, err
}

// A gathering is a server and its crowd.
type gathering struct {
	*bench9.Server
	crowd *bench9.Crowd
	rates []float64     // of the rounds
	per   bench9.Memory // of a connection
}

// crowd measures many connections with one call in flight each.
func (l *lab9P) crowd() ([]benchRow, error) {
	var all []*gathering
	defer func() {
		for _, g := range all {
			g.crowd.Close()
		}
	}()
	for _, s := range append([]*bench9.Server{l.ours, l.floor}, l.peers...) {
		g, err := l.gather(s)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	for range l.rounds {
		for _, g := range all {
			rate, err := g.crowd.Run(l, l.each)
			if err != nil {
				return nil, err
			}
			g.rates = append(g.rates, rate)
		}
	}
	return l.crowdRows(all), nil
}

// gather makes a crowd and lets it do something, so that its connections have
// what they need; and sees what they cost when they are idle again.
func (l *lab9P) gather(s *bench9.Server) (*gathering, error) {
	g := &gathering{Server: s}
	before, err := s.Memory()
	if err != nil {
		return nil, err
	}
	if g.crowd, err = bench9.OpenCrowd(l, s.Target, bench9.Works()[0], l.conns); err != nil {
		return nil, err
	}
	if _, err = g.crowd.Run(l, l.each); err != nil {
		g.crowd.Close()
		return nil, err
	}
	g.per, err = s.Memory()
	g.per = g.per.Less(before, l.conns)
	return g, err
}

func (l *lab9P) crowdRows(all []*gathering) []benchRow {
	const most = 16 << 10
	work := fmt.Sprintf("9p: %s, %d connections", bench9.Works()[0].Name, l.conns)
	ours, floor := all[0], all[1]
	rate := benchRow{Work: work, Unit: "1/s", Ours: bench9.Median(ours.rates), Floor: bench9.Median(floor.rates), Raw: make(map[string]float64)}
	memory := benchRow{
		Work: "9p: memory an idle connection", Unit: "bytes", Ours: ours.per.Resident, Bar: fmt.Sprintf("<=%d", most), OK: ours.per.Resident <= most,
		Raw: map[string]float64{"heap": ours.per.Heap, "stacks": ours.per.Stacks},
	}
	for _, g := range all[2:] {
		rate.Raw[g.Name] = bench9.Median(g.rates)
		memory.Raw[g.Name] = g.per.Resident
	}
	rate = l.best(rate).held(true, 2).aboveFloor(0)
	if !rate.OK {
		rate.Note = fmt.Sprintf("9p: with %d connections the floor itself is %.2f times the best peer", l.conns, rate.Floor/rate.Peer)
	}
	return []benchRow{rate, memory}
}

// parkedFile is where reads are parked.
const parkedFile = "chans/bench/data"

// parked measures reads that wait, and what waking one costs when there are many.
func (l *lab9P) parked() ([]benchRow, error) {
	one, _, _, err := l.park(1)
	if err != nil {
		return nil, err
	}
	defer one.Close()
	many, files, reads, err := l.park(l.reads)
	if err != nil {
		return nil, err
	}
	defer many.Close()
	const memoryBar, spare, wakeBar = 1 << 10, 2, 1.2
	memory := benchRow{
		Work: fmt.Sprintf("9p: memory a parked read, %d of them", l.reads), Unit: "bytes", Ours: reads.Resident,
		Bar: fmt.Sprintf("<=%d", memoryBar), OK: reads.Resident <= memoryBar,
		Raw: map[string]float64{"its heap": reads.Heap, "its open file, which has a fid": files.Resident, "heap of that": files.Heap},
	}
	extra := reads.Goroutines * float64(l.reads)
	goroutines := benchRow{
		Work: fmt.Sprintf("9p: goroutines for %d parked reads", l.reads), Unit: "count", Ours: extra,
		Bar: fmt.Sprintf("<=%d", spare), OK: extra <= spare,
	}
	wake := benchRow{
		Work: fmt.Sprintf("9p: wake-up with %d parked reads", l.reads), Unit: "us",
		Against: "with one parked read; the median of rounds in turns, and of their ratios",
	}
	if wake.Ours, wake.Peer, wake.Ratio, err = l.wake(many, one); err != nil {
		return nil, err
	}
	wake.Bar, wake.OK = fmt.Sprintf("<=%.2f", wakeBar), wake.Ratio <= wakeBar
	return []benchRow{memory, goroutines, wake}, nil
}

// park has n reads wait at a server of its own; and says what an open file and
// a read cost.
func (l *lab9P) park(n int) (p *bench9.Parked, file, read bench9.Memory, err error) {
	s, err := l.start("tree")
	if err != nil {
		return nil, file, read, err
	}
	if err := bench9.Mkdir(l, s.Target, parkedFile); err != nil {
		return nil, file, read, err
	}
	m := make([]bench9.Memory, 0, 3)
	for _, step := range []func() error{
		func() error { return nil },
		func() (err error) { p, err = bench9.OpenParked(l, s.Target, parkedFile, n); return err },
		func() error { return p.Park(l) },
	} {
		err := step()
		if err == nil {
			var now bench9.Memory
			now, err = s.Memory()
			m = append(m, now)
		}
		if err != nil {
			if p != nil {
				p.Close()
			}
			return nil, file, read, err
		}
	}
	return p, m[1].Less(m[0], n), m[2].Less(m[1], n), nil
}

// wake returns the median times of waking a read of either, in microseconds,
// and the median of their ratios.
func (l *lab9P) wake(many, one *bench9.Parked) (slow, fast, ratio float64, err error) {
	var all [3][]float64
	for range l.rounds {
		var round [2]float64
		for i, p := range []*bench9.Parked{many, one} {
			times := make([]float64, l.wakes)
			for j := range times {
				took, err := p.Wake(l)
				if err != nil {
					return 0, 0, 0, err
				}
				times[j] = float64(took.Nanoseconds()) / 1e3
			}
			round[i] = bench9.Median(times)
			all[i] = append(all[i], round[i])
		}
		all[2] = append(all[2], round[0]/round[1])
	}
	return bench9.Median(all[0]), bench9.Median(all[1]), bench9.Median(all[2]), nil
}

// allocs counts what calls allocate: of files in memory, of such from tables,
// and of a file of the tree of a machine.
func (l *lab9P) allocs() (rows []benchRow, err error) {
	for _, kind := range []struct{ name, small string }{{"static", ""}, {"tables", ""}, {"tree", "cores/1/status"}} {
		s := l.ours
		if kind.name != "static" {
			if s, err = l.start(kind.name); err != nil {
				return rows, err
			}
		}
		if kind.small != "" {
			s.Paths[bench9.Small] = kind.small
		}
		a, err := bench9.MeasureAllocs(l, s, kind.small == "", l.calls)
		if err != nil {
			return rows, err
		}
		rows = append(rows, allocRows(kind.name, a, kind.small == "")...)
	}
	return rows, nil
}

func allocRows(name string, a bench9.Allocs, writes bool) []benchRow {
	const some = 0.01 // of the collector's own, and of the measurement's
	row := func(call string, got, bar float64) benchRow {
		return benchRow{Work: "9p: allocations, " + name + ", " + call, Unit: "count", Ours: got, Bar: fmt.Sprintf("<=%g", bar), OK: got <= bar+some}
	}
	rows := []benchRow{
		row("read", a.Read, 0), row("getattr", a.Getattr, 0), row("clunk", a.Clunk, 0),
		row("walk", a.Walk, 2), row("open", a.Open, 2),
	}
	if writes {
		rows = append(rows, row("write", a.Write, 0))
	}
	return rows
}

package bench9

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"warren/fs/ninep"
)

// TestMain is a server's process, too, if it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		if err := Main(os.Args[2], os.Args[3], newTables()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func command(kind, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "serve", kind, dir)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// start starts servers that end with the test.
func start(tb testing.TB, kinds ...string) []*Server {
	var all []*Server
	dir := tb.TempDir()
	for _, kind := range kinds {
		s, err := Start(kind, dir, command)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(s.Close)
		all = append(all, s)
	}
	return all
}

// startAll starts every server that can be compared; diod if it is installed.
func startAll(tb testing.TB) []Target {
	var targets []Target
	for _, s := range start(tb, "static", "tables", "tree", "p9", "go9p", "floor", "thread") {
		targets = append(targets, s.Target)
	}
	diod, err := StartDiod(tb.TempDir())
	if errors.Is(err, ErrNoDiod) {
		tb.Log(err)
		return targets
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(diod.Close)
	return append(targets, diod.Target)
}

func TestCompare(t *testing.T) {
	rows, err := Compare(t.Context(), startAll(t), []int{1, 16}, 1, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * len(Works()); len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
	for _, r := range rows {
		for i, rate := range r.Rates {
			if rate <= 0 {
				t.Errorf("%s with %d in flight: rate %v at target %d", r.Work, r.Flight, rate, i)
			}
		}
	}
}

func TestCrowd(t *testing.T) {
	for _, target := range startAll(t) {
		c, err := OpenCrowd(t.Context(), target, Works()[0], 20)
		if err != nil {
			t.Fatal(err)
		}
		rate, err := c.Run(t.Context(), 5*time.Millisecond)
		if err != nil || rate <= 0 {
			t.Errorf("%s: %v, %v", target.Name, rate, err)
		}
		c.Close()
	}
}

// What waits for a server waits until its context ends only.
func TestCancel(t *testing.T) {
	target := start(t, "tables")[0].Target
	ctx, cancel := context.WithCancel(t.Context())
	p, err := OpenParked(ctx, target, "d/stream", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	stop := p.reader.until(ctx)
	defer stop()
	cancel()
	if _, err := p.reader.calls([]ninep.Msg{chain{fid: p.fid(0)}.read(1)}); err == nil {
		t.Error("a read that waits was answered")
	}
}

func TestParked(t *testing.T) {
	s := start(t, "tables")[0]
	p, err := OpenParked(t.Context(), s.Target, "d/stream", 50)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Park(t.Context()); err != nil {
		t.Fatal(err)
	}
	woken := make(map[int]bool)
	for range p.offs {
		if took, err := p.Wake(t.Context()); err != nil || took <= 0 {
			t.Fatalf("%v, %v", took, err)
		}
		woken[p.woken] = true
	}
	if len(woken) != len(p.offs) {
		t.Errorf("of %d reads, %d were woken in turn", len(p.offs), len(woken))
	}
	if m, err := s.Memory(); err != nil || m.Goroutines > 20 {
		t.Errorf("%v goroutines (%v)", m.Goroutines, err)
	}
}

// The allocations are the same however busy the machine is, but for the few
// that the measuring itself makes.
func TestAllocs(t *testing.T) {
	const few = 0.2
	for _, s := range start(t, "static", "tables") {
		a, err := MeasureAllocs(t.Context(), s, true, 1000)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", s.Name, a)
		if max(a.Read, a.Write, a.Getattr, a.Clunk) > few {
			t.Errorf("%s: read, write, getattr or clunk allocate: %+v", s.Name, a)
		}
		if max(a.Walk, a.Open) > 2+few {
			t.Errorf("%s: walk or open allocate more than 2: %+v", s.Name, a)
		}
	}
}

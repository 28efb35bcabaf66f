package bench9

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peers starts all servers: ours, p9's, the floor.
func peers(tb testing.TB) []Target {
	var targets []Target
	for _, start := range []func(string) (*Peer, error){StartStatic, StartP9, StartFloor} {
		p, err := start(tb.TempDir())
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(p.Close)
		targets = append(targets, p.Target)
	}
	return targets
}

func TestCompare(t *testing.T) {
	rows, err := Compare(t.Context(), peers(t), []int{1, 16}, 1, 5*time.Millisecond)
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

func BenchmarkCompare(b *testing.B) {
	rows, err := Compare(b.Context(), peers(b), []int{1, 16}, 5, 100*time.Millisecond)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range rows {
		ours, p9, floor := r.Rates[0], r.Rates[1], r.Rates[2]
		fmt.Printf("%-22s %2d in flight: ours %7.0f/s p9 %7.0f/s (%.2fx) floor %7.0f/s (%.2f of its time)\n",
			r.Work, r.Flight, ours, p9, ours/p9, floor, floor/ours)
	}
	b.ReportMetric(0, "ns/op")
}

func BenchmarkServer(b *testing.B) {
	t := peers(b)[0]
	for _, w := range Works() {
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", w.Name, flight), func(b *testing.B) {
				rate, err := Run(b.Context(), t, w, flight, 300*time.Millisecond)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(rate, "works/s")
			})
		}
	}
}

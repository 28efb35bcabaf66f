package sim

import (
	"sync/atomic"
	"testing"
)

// TestCrew gives many helpers many small pieces of work: each part is done
// once, and none is left when the piece is.
func TestCrew(t *testing.T) {
	m := &Machine{}
	for i := range 8 {
		m.workers = append(m.workers, &worker{m: m, num: i})
	}
	for _, looks := range []int{1, 100} {
		k := newCrew(m.workers, looks)
		for range 5000 {
			var done [5]atomic.Int32
			k.spread(m.workers[0], len(done), func(_ *worker, part int) { done[part].Add(1) })
			for part := range done {
				if n := done[part].Load(); n != 1 {
					t.Fatalf("part %d was done %d times", part, n)
				}
			}
			if n := k.left.Load(); n != 0 {
				t.Fatalf("%d helpers are left", n)
			}
		}
		k.end()
	}
}

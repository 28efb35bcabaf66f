package kern

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
)

// A ledger is what kernels are measured against: one lock, no view, no trace,
// no deadline, nothing that can fail.
type ledger struct {
	mu    sync.Mutex
	owner []Owner
}

func (l *ledger) claim(o Owner, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		if l.owner[i] != (Owner{}) {
			return false
		}
	}
	for i := range n {
		l.owner[i] = o
	}
	return true
}

// A published ledger also shows others one version of the whole, as a machine does.
type publishedLedger struct {
	mu   sync.Mutex
	view *View
}

func (l *publishedLedger) move(op MoveOp, o Owner, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := make([]*Core, n)
	for i := range n {
		c := l.view.Core(cores.ID(i))
		c.move(Move{Op: op, Owner: o}, c.Since)
		changed[i] = &c
	}
	l.view = l.view.with(changed)
}

const benchCores = 4096

// BenchmarkClaimRelease is a claim and a release of n cores, against the same
// under one lock, bare and with a version published for each.
func BenchmarkClaimRelease(b *testing.B) {
	for _, n := range []int{1, 2, 16, 256, 1024} {
		b.Run(fmt.Sprintf("kernels/%d", n), func(b *testing.B) {
			m := New(coretest.Fake(benchCores), Options{})
			claim, release := all(Claim, db, 0, cores.ID(n-1)), all(Release, db, 0, cores.ID(n-1))
			b.ReportAllocs()
			for b.Loop() {
				if m.Agree(claim) != nil || m.Agree(release) != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run(fmt.Sprintf("published/%d", n), func(b *testing.B) {
			l := &publishedLedger{view: New(coretest.Fake(benchCores), Options{}).View()}
			b.ReportAllocs()
			for b.Loop() {
				l.move(Claim, db, n)
				l.move(Release, db, n)
			}
		})
		b.Run(fmt.Sprintf("mutex/%d", n), func(b *testing.B) {
			l := &ledger{owner: make([]Owner, benchCores)}
			b.ReportAllocs()
			for b.Loop() {
				if !l.claim(db, n) {
					b.Fatal("refused")
				}
				clear(l.owner[:n])
			}
		})
	}
}

// BenchmarkView reads the whole machine, and commits to one core of it.
func BenchmarkView(b *testing.B) {
	for _, n := range []int{4096, 100_000} {
		m := New(coretest.Fake(n), Options{})
		b.Run(fmt.Sprintf("all/%d", n), func(b *testing.B) {
			for b.Loop() {
				online := 0
				for c := range m.View().All() {
					if c.Online {
						online++
					}
				}
				if online != n {
					b.Fatal(online)
				}
			}
		})
		b.Run(fmt.Sprintf("commit/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			at := cores.ID(n - 1)
			for b.Loop() {
				m.Agree(all(Claim, db, at, at))
				m.Agree(all(Release, db, at, at))
			}
		})
	}
}

// BenchmarkMachine is the cost of a machine of idle cores.
func BenchmarkMachine(b *testing.B) {
	d := coretest.Fake(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var m *Machine
	for b.Loop() {
		m = New(d, Options{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e5, "B/core")
	runtime.KeepAlive(m)
}

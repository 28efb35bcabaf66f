package sim

import (
	"runtime"
	"sync/atomic"
)

// A crew is the workers beside the conductor, for as long as that runs. An epoch
// may be shorter than it takes to wake a goroutine on another processor, so they
// look out for the next piece of work for a while before they sleep.
type crew struct {
	turn   atomic.Uint32             // grows with each piece of work
	left   atomic.Int32              // helpers that have not finished it
	shares []share                   // of its parts, by worker
	do     func(w *worker, part int) // nil: the end
	rest   []*helper
	looks  int // how often it is looked for what comes, before sleeping
}

// A share is parts that lie next to each other. Each worker does those of its own
// share, and then helps others with theirs: so it does mostly what it did in the
// last piece of work, whose memory its processor has at hand. It begins with the
// last of them, which were done last: parts that are handed on in the order in
// which they were done are gone through back and forth, as a cache likes it.
type share struct {
	left  atomic.Int64 // the next part, and one
	first int64
	_     [48]byte // no other's in its line of the cache
}

// A helper is a worker's goroutine.
type helper struct {
	w      *worker
	asleep atomic.Bool
	wake   chan struct{}
}

// lookouts is how often the next piece of work is looked for before sleeping,
// where each worker has a processor: for some 20 us.
const lookouts = 20_000

// looksFor is how often so many workers look out: not at all, nearly, if they
// have not a processor each.
func looksFor(workers int) int {
	if workers <= min(runtime.GOMAXPROCS(0), runtime.NumCPU()) {
		return lookouts
	}
	return 1
}

func newCrew(workers []*worker, looks int) *crew {
	k := &crew{looks: looks, shares: make([]share, len(workers))}
	for _, w := range workers[1:] {
		h := &helper{w: w, wake: make(chan struct{}, 1)}
		k.rest = append(k.rest, h)
		go k.help(h)
	}
	return k
}

// spread does n parts of a piece of work, each by one of the workers.
func (k *crew) spread(first *worker, n int, do func(*worker, int)) {
	k.begin(n, do)
	k.work(first)
	for i := 0; k.left.Load() > 0; i++ {
		if i%k.looks == k.looks-1 {
			runtime.Gosched()
		}
	}
}

// begin gives the helpers a piece of work.
func (k *crew) begin(n int, do func(*worker, int)) {
	k.do = do
	for i := range k.shares {
		k.shares[i].first = int64(n * i / len(k.shares))
		k.shares[i].left.Store(int64(n * (i + 1) / len(k.shares)))
	}
	k.left.Store(int32(len(k.rest)))
	k.turn.Add(1)
	for _, h := range k.rest {
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// end lets the helpers go.
func (k *crew) end() { k.begin(0, nil) }

// work does parts until there are none left.
func (k *crew) work(w *worker) {
	for i := range k.shares {
		s := &k.shares[(w.num+i)%len(k.shares)]
		for {
			part := s.left.Add(-1)
			if part < s.first {
				break
			}
			k.do(w, int(part))
		}
	}
}

// help is a helper's life.
func (k *crew) help(h *helper) {
	for turn := uint32(0); ; {
		turn = k.await(h, turn)
		if k.do == nil {
			return
		}
		k.work(h.w)
		k.left.Add(-1)
	}
}

// await waits for the piece of work after this turn, and returns its turn. A
// helper that is quick may be woken for the piece that it has done already.
func (k *crew) await(h *helper, turn uint32) uint32 {
	for {
		for range k.looks {
			if now := k.turn.Load(); now != turn {
				return now
			}
		}
		h.asleep.Store(true)
		if k.turn.Load() == turn || !h.asleep.CompareAndSwap(true, false) {
			<-h.wake
		}
	}
}

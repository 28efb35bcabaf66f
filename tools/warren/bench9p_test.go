package main

import (
	"strings"
	"testing"
	"time"
)

// TestBench9P: the bench measures all that it says, whatever comes of it.
func TestBench9P(t *testing.T) {
	rows, err := measure9P(size9P{rounds: 1, each: 2 * time.Millisecond, conns: 10, reads: 20, wakes: 5, calls: 50})
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]int)
	for _, r := range rows {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.Work, "9p: "), ",")
		kinds[name]++
		if r.Unit == "1/s" && (r.Ours <= 0 || r.Peer <= 0 || r.Floor <= 0 || r.Ratio <= 0 || r.FloorRatio <= 0 || r.Raw["p9"] <= 0 || r.Raw["go9p"] <= 0) {
			t.Errorf("not all was measured: %+v", r)
		}
	}
	want := map[string]int{
		"walk+getattr+clunk": 3, "walk+open+read+clunk": 2, "read4k": 2, "memory an idle connection": 1, "memory a parked read": 1,
		"goroutines for 20 parked reads": 1, "wake-up with 20 parked reads": 1, "allocations": 17,
	}
	for name, n := range want {
		if kinds[name] != n {
			t.Errorf("%d rows of %s, want %d", kinds[name], name, n)
		}
	}
}

package sched_test

import (
	"fmt"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/kern"
)

// BenchmarkStart starts and releases a process on a machine that 1,000 others
// share, which have nothing to do with it.
func BenchmarkStart(b *testing.B) {
	for _, n := range []int{64, 4096} {
		infos := make([]cores.Info, n)
		for i := range infos {
			infos[i] = cores.Info{ID: cores.ID(i), Kind: "cpu", Core: i / 2, SMT: i % 2, LLC: i / 16, Node: i / 64, Socket: i / 128}
		}
		for _, words := range []string{"1", "1 exclusive", "16 exclusive"} {
			b.Run(fmt.Sprintf("%d/%s", n, words), func(b *testing.B) {
				r := newRigOn(b, coretest.FakeOf(infos), kern.Options{Mgmt: cores.Set{0}})
				for i := range 1000 {
					r.run(fmt.Sprint(i), "1")
				}
				b.ResetTimer()
				for b.Loop() {
					r.run("x", words).release()
				}
			})
		}
	}
}

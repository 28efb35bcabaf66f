package hot

import (
	"context"
	"math"
	"os/exec"
	"testing"
	"time"

	"warren/cores/riscv/rv"
)

// BenchmarkPrograms runs each program once in the hot tier and once under
// qemu-riscv32, and reports MIPS of both and their ratio.
func BenchmarkPrograms(b *testing.B) {
	product := 1.0
	n := 0
	scale := map[string]string{"sieve": "-DSCALE=25", "matmul": "-DSCALE=25", "crc": "-DSCALE=60", "fib": "-DSCALE=100", "mark": "-DSCALE=50"}
	for _, name := range programs {
		b.Run(name, func(b *testing.B) {
			file := build(b, name, scale[name])
			e := New(context.Background())
			defer e.Close()
			var ours, qemu time.Duration
			var count uint64
			for b.Loop() {
				ours, qemu = time.Hour, time.Hour
				for range 3 {
					p := load(b, file)
					m, err := e.Compile(p.hart)
					if err != nil {
						b.Fatal(err)
					}
					i, err := m.Instance(p.mem, 0, privSize)
					if err != nil {
						b.Fatal(err)
					}
					start := time.Now()
					p.finish(b, func(n int64) rv.Why { return i.Run(p.hart, n) }, 1<<40)
					ours = min(ours, time.Since(start))
					count = p.hart.Instret
					i.Close()
					m.Close()
					start = time.Now()
					if err := exec.Command("qemu-riscv32", file).Run(); err != nil {
						b.Skip("qemu-riscv32 is not installed")
					}
					qemu = min(qemu, time.Since(start))
				}
			}
			b.ReportMetric(float64(count)/1e6/ours.Seconds(), "MIPS")
			b.ReportMetric(float64(count)/1e6/qemu.Seconds(), "qemu-MIPS")
			b.ReportMetric(qemu.Seconds()/ours.Seconds(), "ratio")
			product *= qemu.Seconds() / ours.Seconds()
			n++
		})
	}
	b.Logf("geometric mean of the ratios: %.3f", math.Pow(product, 1/float64(n)))
}

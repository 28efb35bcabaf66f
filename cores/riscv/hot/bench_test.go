package hot

import (
	"context"
	"math"
	"os/exec"
	"strconv"
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
					m, err := e.Compile(p.hart, Choice{})
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

// BenchmarkInstance makes and closes an instance, and enters it once.
func BenchmarkInstance(b *testing.B) {
	p := pair(b, engine(b), words(encI(0x13, 0, 10, 10, 1), ret), true)
	for b.Loop() {
		i, err := p.inst.m.Instance(p.gotMem, 0, tortPriv)
		if err != nil {
			b.Fatal(err)
		}
		p.got.PC, p.got.X[1] = privBase, privBase+2048
		i.Run(p.got, 2)
		i.Close()
	}
}

// BenchmarkEntry enters and leaves an instance.
func BenchmarkEntry(b *testing.B) {
	p := pair(b, engine(b), words(encI(0x13, 0, 10, 10, 1), ret), true)
	for b.Loop() {
		p.got.PC, p.got.X[1] = privBase, privBase+2048
		p.inst.Run(p.got, 2)
		p.inst.poor = 0
	}
}

// BenchmarkQuantum runs a program in budgets of a machine's quanta.
func BenchmarkQuantum(b *testing.B) {
	for _, q := range []int64{100, 1000, 10_000, 100_000} {
		b.Run(strconv.FormatInt(q, 10), func(b *testing.B) {
			file := build(b, "mark", "-DSCALE=3")
			e := engine(b)
			var count uint64
			start := time.Now()
			for b.Loop() {
				p := load(b, file)
				m, err := e.Compile(p.hart, Choice{})
				if err != nil {
					b.Fatal(err)
				}
				i, err := m.Instance(p.mem, 0, privSize)
				if err != nil {
					b.Fatal(err)
				}
				start = time.Now()
				p.finish(b, func(n int64) rv.Why { return i.Run(p.hart, n) }, q)
				count = p.hart.Instret
			}
			b.ReportMetric(float64(count)/1e6/time.Since(start).Seconds(), "MIPS")
		})
	}
}

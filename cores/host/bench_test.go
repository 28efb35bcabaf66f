package host

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"warren/cores"
)

// The synthetic machine of the parsers' benchmarks.
const benchCPUs = 1024

func statText(n int) []byte {
	var b strings.Builder
	b.WriteString("cpu  1 2 3 4 5 6 7 8 9 10\n")
	for i := range n {
		fmt.Fprintf(&b, "cpu%d %d 2 %d %d 5 6 7 8 9 10\n", i, i*1000, i*100, i*123456)
	}
	b.WriteString("intr 12345" + strings.Repeat(" 0", 2000) + "\nctxt 1\n")
	return []byte(b.String())
}

func header(n int) string {
	var b strings.Builder
	b.WriteString("     ")
	for i := range n {
		fmt.Fprintf(&b, "      CPU%-4d", i)
	}
	return b.String() + "\n"
}

func interruptsText(n, rows int) []byte {
	var b strings.Builder
	b.WriteString(header(n))
	row := func(label, text string, every int) {
		fmt.Fprintf(&b, "%4s:", label)
		for i := range n {
			v := 0
			if i%every == 0 {
				v = 1000 * i
			}
			fmt.Fprintf(&b, " %10d", v)
		}
		b.WriteString("  " + text + "\n")
	}
	for i := range rows {
		row(fmt.Sprint(i), "PCI-MSI 12345-edge      nvme0q"+fmt.Sprint(i), n)
	}
	row("LOC", "Local timer interrupts", 1)
	row("RES", "Rescheduling interrupts", 1)
	row("CAL", "Function call interrupts", 1)
	row("TLB", "TLB shootdowns", 1)
	b.WriteString(" ERR:          7\n MIS:          0\n")
	return []byte(b.String())
}

func BenchmarkParseStat(b *testing.B) {
	text, dst := statText(benchCPUs), make([]cores.Stat, benchCPUs)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		parseStat(text, dst)
	}
}

func BenchmarkParseInterrupts(b *testing.B) {
	text, m := interruptsText(benchCPUs, 400), newSample(benchCPUs)
	columns := parseInterrupts(text, nil, &m.irqs)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		columns = parseInterrupts(text, columns[:0], &m.irqs)
	}
}

func BenchmarkSample(b *testing.B) {
	d, err := Open(Options{Slots: 4096})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	s := &d.sampler
	stats := make([]cores.Stat, 4096)
	d.Stats(stats)
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			s.now.take(s)
		}
	})
	b.Run("stats4096", func(b *testing.B) {
		for b.Loop() {
			d.Stats(stats)
		}
	})
	b.Run("online4096", func(b *testing.B) {
		for b.Loop() {
			for i := range stats {
				d.Online(cores.ID(i))
			}
		}
	})
}

func BenchmarkStart(b *testing.B) {
	d, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.Run("launch", func(b *testing.B) {
		for b.Loop() {
			j, err := d.Launch(cores.Program{Name: "true", Args: []string{"/bin/true"}}, []cores.Slot{{Core: 1}})
			if err != nil {
				b.Fatal(err)
			}
			<-j.Done()
		}
	})
	spawn := func(args ...string) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				p, err := os.StartProcess(args[0], args, &os.ProcAttr{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("spawn", spawn("/bin/true"))
	if path, err := exec.LookPath("taskset"); err == nil {
		b.Run("taskset", spawn(path, "-c", "1", "/bin/true"))
	}
}

package host

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"warren/cores"
)

const armInterrupts = `           CPU0       CPU2
 11:        100        200     GICv3  27 Level     arch_timer
 14:          5          0     GICv3  33 Level     uart-pl011
IPI0:         7          8       Rescheduling interrupts
IPI1:         9         10       Function call interrupts
Err:          3
`

const x86Interrupts = `            CPU0       CPU1
   0:         42          0   IO-APIC   2-edge      timer
 NMI:          0          1   Non-maskable interrupts
 LOC:       1000       2000   Local timer interrupts
 RES:         11         12   Rescheduling interrupts
 CAL:         13         14   Function call interrupts
 TLB:         15         16   TLB shootdowns
 ERR:          9
 MIS:          9
`

func TestParseInterrupts(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want irqCount
	}{
		"x86": {x86Interrupts, irqCount{
			total: []int64{1081, 2043, 0}, ticks: []int64{1000, 2000, 0}, reschedules: []int64{11, 12, 0},
			calls: []int64{13, 14, 0}, tlb: []int64{15, 16, 0},
		}},
		"arm, CPU 1 offline": {armInterrupts, irqCount{
			total: []int64{121, 0, 218}, ticks: []int64{100, 0, 200}, reschedules: []int64{7, 0, 8},
			calls: []int64{9, 0, 10}, tlb: []int64{0, 0, 0},
		}},
		"cut": {x86Interrupts[:100], irqCount{
			total: []int64{42, 0, 0}, ticks: []int64{0, 0, 0}, reschedules: []int64{0, 0, 0},
			calls: []int64{0, 0, 0}, tlb: []int64{0, 0, 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newSample(3).irqs
			parseInterrupts([]byte(test.text), nil, &got)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(irqCount{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	text := "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu2 10 20 30 40 50 60 70\ncpu9 1 1 1 1 1 1 1 1\nintr 5 cpu1 7\n"
	got := make([]cores.Stat, 3)
	parseStat([]byte(text), got)
	want := []cores.Stat{
		{User: 3 * tick, Sys: 3 * tick, Idle: 9 * tick, IRQ: 6 * tick, SoftIRQ: 7 * tick, Steal: 8 * tick},
		{},
		{User: 30 * tick, Sys: 30 * tick, Idle: 90 * tick, IRQ: 60 * tick, SoftIRQ: 70 * tick},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSchedstat(t *testing.T) {
	text := "version 17\ntimestamp 1\ncpu0 0 0 5 1 2 3 100 200 77\ndomain0 MC 3 1 2 3\ncpu1 0 0 5 1 2 3 100 200 88\n"
	got := make([]int64, 2)
	parseSchedstat([]byte(text), got)
	if got[0] != 77 || got[1] != 88 {
		t.Errorf("switches %v", got)
	}
}

func TestParsersDoNotAllocate(t *testing.T) {
	stat, irqs := statText(64), interruptsText(64, 10)
	m := newSample(64)
	columns := parseInterrupts(irqs, nil, &m.irqs)
	n := testing.AllocsPerRun(10, func() {
		parseStat(stat, m.stats)
		columns = parseInterrupts(irqs, columns[:0], &m.irqs)
		columns = parseSoftirqs(irqs, columns[:0], m.softirqs)
		parseSchedstat(stat, m.switches)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte(x86Interrupts))
	f.Add([]byte(armInterrupts))
	f.Add([]byte("cpu0 1 2\ncpu\ncpu1"))
	f.Add([]byte("CPUCPU1 CPU99999999999999999999\n1: 2"))
	f.Add([]byte("12 (a) b) R 1 1 1 0 -1 0 0 0 0 0 1 1 1 1 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newSample(4)
		parseStat(b, m.stats)
		parseSchedstat(b, m.switches)
		parseInterrupts(b, nil, &m.irqs)
		parseSoftirqs(b, nil, m.softirqs)
		parseProcStat(b)
		parseMounts(string(b))
	})
}

func rewrite(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The first answer is at once and since boot; then each is over a period, and
// within one nothing is read again.
func TestSampling(t *testing.T) {
	tr := oneSocket()
	tr["proc/uptime"] = "100.00 50.00"
	tr["proc/stat"] = "cpu0 1000 0 1000 8000 0 0 0 0\ncpu1 0 0 0 10000 0 0 0 0"
	tr["proc/interrupts"] = x86Interrupts
	root := tr.root(t)
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Options{Root: root})
		defer d.Close()
		rates, stats := make([]cores.Rate, 2), make([]cores.Stat, 2)
		first := d.Rates(rates)
		if rates[0] != (cores.Rate{User: 100, Sys: 100, Idle: 800}) || rates[1] != (cores.Rate{Idle: 1000}) {
			t.Errorf("since boot: %+v", rates)
		}
		if n, err := d.Noise(1); err != nil || math.Abs(n.Ticks-20) > 0.1 || n.Switches != -1 || n.SoftIRQs != -1 {
			t.Errorf("noise since boot: %+v, %v", n, err)
		}
		rewrite(t, root, "proc/stat", "cpu0 1050 0 1000 8040 0 0 10 0\ncpu1 0 0 0 10050 0 0 0 50\n")
		if again := d.Stats(stats); !again.Equal(first) || stats[0].User != 10*time.Second || stats[0].Switches != -1 {
			t.Errorf("within the period: %v, %+v", again, stats[0])
		}
		time.Sleep(time.Second)
		if next := d.Rates(rates); next.Sub(first) != time.Second {
			t.Errorf("the next sample is %v later", next.Sub(first))
		}
		if rates[0] != (cores.Rate{User: 500, IRQ: 100, Idle: 400}) || rates[1] != (cores.Rate{Idle: 500}) {
			t.Errorf("over a second: %+v", rates)
		}
		if n, _ := d.Noise(1); n.Steal != 500 || n.Ticks != 0 {
			t.Errorf("noise over a second: %+v", n)
		}
		// A CPU that goes offline keeps its counters.
		rewrite(t, root, "proc/stat", "cpu0 1050 0 1000 8040 0 0 10 0\n")
		rewrite(t, root, "proc/interrupts", "      CPU0\nLOC: 1001  Local timer interrupts\n")
		time.Sleep(time.Second)
		if d.Stats(stats); stats[1].Idle != 100500*time.Millisecond || stats[1].Ticks != 2000 {
			t.Errorf("offline: %+v", stats[1])
		}
	})
}

// A machine that tells of nothing still answers.
func TestNothingToSample(t *testing.T) {
	d := open(t, Options{Root: oneSocket().root(t)})
	defer d.Close()
	stats := make([]cores.Stat, 2)
	d.Stats(stats)
	if n, err := d.Noise(0); err != nil || n.Ticks != -1 {
		t.Errorf("noise %+v, %v", n, err)
	}
}

package host

import (
	"bytes"
	"encoding/binary"
	"time"

	"warren/cores"
)

// The parsers go over a file once, allocate nothing, and take what they do
// not understand for the end of a line. Their results are by CPU number;
// CPUs beyond the slices are passed over.

// tick is the unit of /proc/stat: Linux shows 100 of them a second on every machine.
const tick = 10 * time.Millisecond

// number reads blanks and a decimal from b[i:]; ok is false, and the index
// that of the first byte after the blanks, where there is no digit.
func number(b []byte, i int) (n int64, next int, ok bool) {
	for i < len(b) && b[i] == ' ' {
		i++
	}
	start := i
	for i < len(b) && b[i]-'0' < 10 {
		if n < 1<<59 { // beyond it is no count, but must not become negative
			n = n*10 + int64(b[i]-'0')
		}
		i++
	}
	return n, i, i > start
}

// lineEnd returns the index of the newline at or after i, or len(b).
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(b)
}

// cpuLine tells of which CPU a line "cpuN …" at i is, and where its numbers begin.
func cpuLine(b []byte, i int) (cpu, next int, ok bool) {
	if !bytes.HasPrefix(b[i:], []byte("cpu")) || i+3 >= len(b) || b[i+3] == ' ' {
		return 0, 0, false
	}
	n, next, ok := number(b, i+3)
	return int(n), next, ok
}

// parseStat reads the times of /proc/stat.
func parseStat(b []byte, dst []cores.Stat) {
	for i := 0; i < len(b); i = lineEnd(b, i) + 1 {
		if !bytes.HasPrefix(b[i:], []byte("cpu")) {
			return // the CPUs come first
		}
		cpu, next, ok := cpuLine(b, i)
		if !ok || cpu >= len(dst) {
			continue
		}
		var f [8]time.Duration // user nice system idle iowait irq softirq steal
		for k := range f {
			var n int64
			if n, next, ok = number(b, next); !ok {
				break
			}
			f[k] = time.Duration(n) * tick
		}
		s := &dst[cpu]
		s.User, s.Sys, s.Idle = f[0]+f[1], f[2], f[3]+f[4]
		s.IRQ, s.SoftIRQ, s.Steal = f[5], f[6], f[7]
		i = next
	}
}

// parseSchedstat reads how often each CPU of /proc/schedstat gave a task its
// turn: the ninth number.
func parseSchedstat(b []byte, dst []int64) {
	for i := 0; i < len(b); i = lineEnd(b, i) + 1 {
		cpu, next, ok := cpuLine(b, i)
		if !ok || cpu >= len(dst) {
			continue
		}
		var n int64
		for k := 0; k < 9 && ok; k++ {
			n, next, ok = number(b, next)
		}
		if ok {
			dst[cpu] = n
		}
		i = next
	}
}

// parseColumns reads which CPU each column of a matrix with the header
// "CPU0 CPU2 …" is of, and where the header ends.
func parseColumns(b []byte, columns []int) ([]int, int) {
	end := lineEnd(b, 0)
	for i := 0; i < end; {
		if b[i] != 'C' {
			i++
			continue
		}
		n, next, _ := number(b[:end], min(i+3, end))
		columns = append(columns, int(n))
		i = max(next, i+1)
	}
	return columns, end + 1
}

// blanks is eight of them, as one word.
const blanks = 0x2020202020202020

// addRow adds the numbers of a row, which begin at i, to the counts of the columns' CPUs.
func addRow(b []byte, i int, columns []int, total, kind []int64) {
	for _, cpu := range columns {
		if i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:]) == blanks {
			i += 8 // the fields are 11 wide and most of them 0
		}
		n, next, ok := number(b, i)
		if !ok {
			return
		}
		i = next
		if n == 0 || cpu >= len(total) {
			continue
		}
		total[cpu] += n
		if kind != nil {
			kind[cpu] += n
		}
	}
}

// An irqCount counts what interrupted each CPU.
type irqCount struct {
	total, ticks, reschedules, calls, tlb []int64
}

// kind returns the counter for a row of /proc/interrupts besides the total,
// by what the row says it is, which unlike its label is the same on all machines.
func (c *irqCount) kind(row []byte) []int64 {
	switch {
	case bytes.HasSuffix(row, []byte("Local timer interrupts")),
		bytes.HasSuffix(row, []byte("arch_timer")),
		bytes.HasSuffix(row, []byte("riscv-timer")):
		return c.ticks
	case bytes.HasSuffix(row, []byte("Rescheduling interrupts")):
		return c.reschedules
	case bytes.HasSuffix(row, []byte("unction call interrupts")):
		return c.calls
	case bytes.HasSuffix(row, []byte("TLB shootdowns")):
		return c.tlb
	}
	return nil
}

// parseInterrupts reads /proc/interrupts into c, which is zero before.
// columns is memory to use, and returned.
func parseInterrupts(b []byte, columns []int, c *irqCount) []int {
	columns, i := parseColumns(b, columns)
	for i < len(b) {
		end := lineEnd(b, i)
		row := b[i:end]
		i = end + 1
		colon := bytes.IndexByte(row, ':')
		if colon < 0 {
			continue
		}
		switch label := bytes.TrimLeft(row[:colon], " "); string(label) {
		case "ERR", "Err", "MIS":
			continue // of the machine, not of a CPU
		}
		addRow(row, colon+1, columns, c.total, c.kind(row))
	}
	return columns
}

// parseSoftirqs adds up the columns of /proc/softirqs.
func parseSoftirqs(b []byte, columns []int, total []int64) []int {
	columns, i := parseColumns(b, columns)
	for i < len(b) {
		end := lineEnd(b, i)
		row := b[i:end]
		i = end + 1
		if colon := bytes.IndexByte(row, ':'); colon >= 0 {
			addRow(row, colon+1, columns, total, nil)
		}
	}
	return columns
}

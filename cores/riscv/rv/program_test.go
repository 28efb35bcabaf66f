package rv_test

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"warren/cores/riscv/rv"
)

var programs = []string{"mark", "sieve", "matmul", "crc", "fib"}

var abi = map[string]string{"rv32im": "ilp32", "rv32imac": "ilp32", "rv32imafdc": "ilp32d"}

const gcc = "riscv64-unknown-elf-gcc"

// compile builds a program of testdata, as one file for Linux and bare harts.
func compile(t testing.TB, name, march string) string {
	t.Helper()
	if _, err := exec.LookPath(gcc); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), name)
	out, err := exec.Command(gcc, "-O2", "-march="+march, "-mabi="+abi[march], "-ffreestanding", "-nostdlib", "-static",
		"-Wl,-Ttext=0x80000000", "-o", file, filepath.Join("testdata", name+".c"), "-lgcc").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// load returns a hart with 1 MiB of memory at the entry of an ELF file.
func load(t testing.TB, file string) *rv.Hart {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const low = base - 0x1000
	mem := make([]byte, 1<<20)
	var texts []rv.Text
	ro := uint32(0)
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		at := mem[p.Vaddr-low:][:p.Filesz]
		if _, err := io.ReadFull(p.Open(), at); err != nil {
			t.Fatal(err)
		}
		if p.Flags&elf.PF_X != 0 {
			end := uint32(p.Vaddr + p.Filesz - low)
			texts = append(texts, rv.Text{Addr: base, Bytes: mem[base-low : end]})
			ro = end
		}
	}
	im, err := rv.NewImage(texts)
	if err != nil {
		t.Fatal(err)
	}
	h := &rv.Hart{PC: uint32(f.Entry), Image: im}
	h.Win[0] = rv.Window{Base: low, RO: ro, Mem: mem}
	h.X[2] = low + 1<<20 - 16
	return h
}

// finish runs a program to its exit, and returns what it wrote.
func finish(t testing.TB, h *rv.Hart, run func() rv.Why) string {
	t.Helper()
	var out bytes.Buffer
	for {
		switch why := run(); {
		case why == rv.Budget:
		case why != rv.Call:
			t.Fatalf("%v at %#x: %+v", why, h.PC, h.Trap)
		case h.X[17] == 64:
			out.Write(h.Win[0].Mem[h.X[11]-h.Win[0].Base:][:h.X[12]])
			h.X[10] = h.X[12]
		default:
			return out.String()
		}
	}
}

// Programs that gcc made write what they write under qemu, for the plainest
// and the fullest instruction set. They run a while: only their beginning is
// run here, step by step as well as by the loop.
func TestPrograms(t *testing.T) {
	for _, march := range []string{"rv32im", "rv32imac", "rv32imafdc"} {
		for _, name := range append(programs, "float") {
			if name == "float" && march != "rv32imafdc" {
				continue
			}
			file := compile(t, name, march)
			a, b := load(t, file), load(t, file)
			for range 300 {
				n := int64(b.Instret%1000 + 1)
				whyA, whyB := a.Run(n), b.Debug(n, nil)
				if got, want := state(whyA, a), state(whyB, b); got != want || !bytes.Equal(a.Win[0].Mem, b.Win[0].Mem) {
					t.Fatalf("%s for %s by Run: %s; by Debug: %s", name, march, got, want)
				}
			}
		}
	}
}

func BenchmarkPrograms(b *testing.B) {
	for _, name := range append(programs, "float") {
		b.Run(name, func(b *testing.B) {
			march := "rv32im"
			if name == "float" {
				march = "rv32imafdc"
			}
			file := compile(b, name, march)
			var ours, theirs time.Duration
			retired := uint64(0)
			for b.Loop() {
				h := load(b, file)
				start := time.Now()
				got := finish(b, h, func() rv.Why { return h.Run(1 << 40) })
				ours += time.Since(start)
				retired += h.Instret
				start = time.Now()
				want, err := exec.Command("qemu-riscv32", file).Output()
				theirs += time.Since(start)
				if err != nil {
					b.Skip(err)
				}
				if got != string(want) {
					b.Fatalf("wrote %q, qemu-riscv32 %q", got, want)
				}
			}
			b.ReportMetric(float64(retired)/ours.Seconds()/1e6, "MIPS")
			b.ReportMetric(float64(retired)/theirs.Seconds()/1e6, "qemu-MIPS")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-qemu")
		})
	}
}

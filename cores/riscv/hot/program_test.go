package hot

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"testing"

	"warren/cores/riscv/rv"
)

const (
	privBase = 0x80000000
	privSize = 1 << 20
	sramSize = 128 << 10
)

// build compiles a program of testdata; the test is skipped without a compiler.
func build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("riscv64-unknown-elf-gcc")
	if err != nil {
		t.Skip("riscv64-unknown-elf-gcc is not installed")
	}
	out := filepath.Join(t.TempDir(), name)
	args := append([]string{
		"-O2", "-march=rv32im", "-mabi=ilp32", "-nostdlib", "-nostartfiles", "-static", "-ffreestanding",
		"-fno-builtin", "-Wl,-Ttext=0x80000000", "-o", out, filepath.Join("testdata", name+".c"), "-lgcc",
	}, flags...)
	if text, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// A program is a hart with a program in its memory.
type program struct {
	hart *rv.Hart
	mem  []byte // window 0, then window 1
	out  []byte
}

func load(t testing.TB, file string) *program {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &program{hart: &rv.Hart{PC: uint32(f.Entry)}, mem: make([]byte, privSize+sramSize)}
	p.hart.Win[0] = rv.Window{Base: privBase, Mem: p.mem[:privSize]}
	p.hart.Win[1] = rv.Window{Base: 0, Mem: p.mem[privSize:]}
	var texts []rv.Text
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type != elf.SHT_PROGBITS {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		copy(p.mem[s.Addr-privBase:], data)
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			texts = append(texts, rv.Text{Addr: uint32(s.Addr), Bytes: data})
		}
		if s.Flags&elf.SHF_WRITE == 0 {
			p.hart.Win[0].RO = max(p.hart.Win[0].RO, uint32(s.Addr-privBase+s.Size))
		}
	}
	if p.hart.Image, err = rv.NewImage(texts); err != nil {
		t.Fatal(err)
	}
	p.hart.X[2] = privBase + privSize - 64
	return p
}

// serve does a system call, and says whether the program goes on.
func (p *program) serve() bool {
	h := p.hart
	if h.X[17] != 64 {
		return false
	}
	at := h.X[11] - privBase
	p.out = append(p.out, p.mem[at:at+h.X[12]]...)
	h.X[10] = h.X[12]
	return true
}

// finish runs to the end.
func (p *program) finish(t testing.TB, run func(int64) rv.Why, budget int64) {
	t.Helper()
	for {
		switch why := run(budget); why {
		case rv.Budget:
		case rv.Call:
			if !p.serve() {
				return
			}
		default:
			t.Fatalf("stopped for %v at %#x: %+v", why, p.hart.PC, p.hart.Trap)
		}
	}
}

package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// twoKinds has cores of little and of much.
const twoKinds = `machine two
grid 2 1
%s
kind k
core little rv32i
core much rv32imafdc_zicsr_zicntr_zifencei_zba_zbb_zbs
sram 0 32K
private 256K
tiles k x=0-1,y=0
`

func bringTwo(t testing.TB, extra string, o Options) *Machine {
	t.Helper()
	return bringFile(t, fmt.Sprintf(twoKinds, extra), o)
}

// assemble builds a program of assembler for an ISA, which it has in its attributes.
func assemble(t testing.TB, march, text string) []byte {
	t.Helper()
	dir := t.TempDir()
	file, script := filepath.Join(dir, "p.S"), filepath.Join(dir, "p.ld")
	if err := os.WriteFile(script, []byte("ENTRY(_start) SECTIONS { . = 0x80000000; .text : { *(.text) } }"), 0o600); err != nil {
		t.Fatal(err)
	}
	text = ".globl _start\n_start:\n" + text + "\nli a0, 0\nli a7, 94\necall\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return buildFile(t, file, "-nostdlib", "-march="+march, "-mabi=ilp32", "-Wl,--no-gc-sections", "-T"+script)
}

// TestLacking runs instructions that a core lacks, in both tiers: words, so that
// the file says nothing of them.
func TestLacking(t *testing.T) {
	for text, want := range map[string]string{
		"mul a0, a1, a2":        "0x02c58533 (of M, which rv32i does not have)",
		"amoadd.w a0, a1, (a2)": "0x00b6252f (of Zaamo, which rv32i does not have)",
		"lr.w a0, (a2)":         "0x1006252f (of Zalrsc, which rv32i does not have)",
		"fadd.s fa0, fa1, fa2":  "0x00c5f553 (of F, which rv32i does not have)",
		"fadd.d fa0, fa1, fa2":  "0x02c5f553 (of D, which rv32i does not have)",
		"csrr a0, mscratch":     "0x34002573 (of Zicsr, which rv32i does not have)",
		"csrr a0, cycle":        "0xc0002573 (of Zicsr Zicntr, which rv32i does not have)",
		"fence.i":               "0x0000100f (of Zifencei, which rv32i does not have)",
		"sh1add a0, a1, a2":     "0x20c5a533 (of Zba, which rv32i does not have)",
		"andn a0, a1, a2":       "0x40c5f533 (of Zbb, which rv32i does not have)",
		"bset a0, a1, a2":       "0x28c59533 (of Zbs, which rv32i does not have)",
		"c.addi a0, 1":          "0x00000505 (of C, which rv32i does not have)",
		"sret":                  "0x10200073, pc",
	} {
		word, _, _ := strings.Cut(want, " ")
		word = strings.TrimSuffix(word, ",")
		body := "li a0, 1000\nla a2, stack\n1: addi a0, a0, -1\nbnez a0, 1b\nplace: .word " + word + "\n"
		if strings.HasPrefix(text, "c.") {
			body = strings.Replace(body, ".word "+word, ".half "+word+", 1", 1)
		}
		elf := assemble(t, "rv32i", body+".equ stack, 0x80010000\n")
		for _, o := range []Options{{NoHot: true}, {Heat: -1, Quantum: MaxQuantum}} {
			m := bringTwo(t, "", o)
			e := ended(t, launch(t, m, elf, 1, new(output)))
			if e.Signal != int(syscall.SIGILL) || !strings.Contains(e.Reason, "illegal instruction "+want) || !strings.Contains(e.Reason, " place") {
				t.Errorf("%s: %+v", text, e)
			}
			if fault := string(m.AppendFault(nil, 0)); !strings.Contains(fault, "instruction "+word+"\n") {
				t.Errorf("%s: %s", text, fault)
			}
			if hot := m.cores[0].inst != nil && m.cores[0].inst.Cycles > 1900; hot == o.NoHot {
				t.Errorf("%s: in the hot tier: %v", text, hot)
			}
			if text == "sret" {
				continue
			}
			if e := endedOn(t, m, elf, 1); e.Signal != 0 {
				t.Errorf("%s: on a core that has everything: %+v", text, e)
			}
			m = bringTwo(t, "extra m a f d c zicsr zicntr zifencei zba zbb zbs", o)
			if e := ended(t, launch(t, m, elf, 1, new(output))); e.Signal != 0 {
				t.Errorf("%s: on a core that has it extra: %+v", text, e)
			}
		}
	}
}

func endedOn(t testing.TB, m *Machine, elf []byte, id int) Exit {
	t.Helper()
	return ended(t, launchOn(t, m, elf, []int{id}))
}

// TestLackingAtLoad: a program that was compiled for more than a core has, and
// uses it, is refused there.
func TestLackingAtLoad(t *testing.T) {
	m := bringTwo(t, "", Options{})
	stock := build(t, "small.c")
	for _, err := range []error{
		m.Load([]int{0}, &Image{ELF: stock}),
		m.Load([]int{1, 0}, &Image{ELF: stock}),
		tryLaunch(m, stock, 1, 0),
	} {
		if sys.Errno(err) != syscall.ENOEXEC || !strings.Contains(err.Error(), "M C") || !strings.Contains(err.Error(), "core 0 (0,0) little has not: it is rv32i (") {
			t.Errorf("%v", err)
		}
	}
	if m.State(0) != Idle || m.State(1) != Idle {
		t.Error("something was loaded")
	}
	if e := endedOn(t, m, stock, 1); e.Signal != 0 {
		t.Errorf("%+v", e)
	}
	// Flags and attributes that are not made use of do no harm, nor do others' names.
	for march, text := range map[string]string{"rv32g": "addi a0, a0, 1", "rv32gc": ".option norvc\naddi a0, a0, 1\nadd a0, a0, a1"} {
		if e := endedOn(t, m, assemble(t, march, ".option norvc\n"+text), 0); e.Signal != 0 {
			t.Errorf("%s: %+v", march, e)
		}
	}
	for text, want := range map[string]string{"c.addi a0, 1": "for cores that have C, and", "fmv.w.x fa0, a0": "have F, and", "fcvt.d.s fa0, fa0": "have D, and", "amoswap.w a0, a0, (sp)": "have Zaamo, and"} {
		if err := tryLaunch(m, assemble(t, "rv32gc", ".option norvc\n.option push\n.option rvc\n"+text+"\n.option pop"), 0); sys.Errno(err) != syscall.ENOEXEC || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// What is not simulated at all.
	if err := tryLaunch(m, assemble(t, "rv32i_zbc", "clmul a0, a0, a0"), 1); sys.Errno(err) != syscall.ENOEXEC || !strings.Contains(err.Error(), "have zbc, and") {
		t.Errorf("%v", err)
	}
}

func tryLaunch(m *Machine, elf []byte, ids ...int) error {
	_, err := m.Launch(Launch{Name: "test", Cores: ids, Image: func(string) (*Image, error) { return &Image{ELF: elf}, nil }})
	return err
}

// TestStrict: the shipped machines run stock programs by what they have extra,
// and not when they are as the silicon is.
func TestStrict(t *testing.T) {
	stock := build(t, "small.c")
	for name, want := range map[string]string{"blackhole": "C", "wormhole": "C", "occamy": "C"} {
		s, err := spec.Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, strict := range []bool{false, true} {
			if strict {
				s = s.Strict()
			}
			m, err := New(s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			switch err := tryLaunch(m, stock, 0); {
			case !strict && err != nil, strict && (err == nil || !strings.Contains(err.Error(), "have "+want+", and")):
				t.Errorf("%s, strict %v: %v", name, strict, err)
			}
			if hart := string(m.AppendHart(nil, 0)); strings.Contains(hart, "\nextra -\n") != strict {
				t.Errorf("%s, strict %v: %s", name, strict, hart)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestMoveToLess moves ranks, and restores a snapshot, where cores have less.
func TestMoveToLess(t *testing.T) {
	m := bringTwo(t, "", Options{})
	elf := assemble(t, "rv32i", "li a7, 2010\nli a0, 5000\necall\nplace: .word 0x02c58533\n") // sleeps, then mul
	j, err := m.Launch(Launch{Name: "test", Cores: []int{1}, Held: true, Image: func(string) (*Image, error) { return &Image{ELF: elf}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	place(t, j, map[int]int{0: 2})
	if err := j.Freeze(false); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, j); e.Signal != int(syscall.SIGILL) || !strings.Contains(e.Reason, "of M, which rv32i does not have") {
		t.Errorf("it was moved to a core without M: %+v", e)
	}
	stock := build(t, "small.c")
	if j, err = m.Launch(Launch{Name: "test", Cores: []int{1}, Held: true, Image: func(string) (*Image, error) { return &Image{ELF: stock}, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := j.Place(map[int]int{0: 2}); sys.Errno(err) != syscall.ENOEXEC {
		t.Errorf("%v", err)
	}
	place(t, j, map[int]int{0: 3})

	s, err := spec.Shipped("occamy")
	if err != nil {
		t.Fatal(err)
	}
	with := bring(t, "occamy", Options{})
	if err := with.Load([]int{0}, &Image{ELF: stock}); err != nil {
		t.Fatal(err)
	}
	saved, err := with.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	without, err := New(s.Strict(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	if err := without.Restore(saved); sys.Errno(err) != syscall.ENOEXEC && sys.Errno(err) != syscall.EINVAL || !strings.Contains(fmt.Sprint(err), "have C, and") {
		t.Errorf("%v", err)
	}
}

// TestDebuggersFloats: gdb is shown the registers that there are.
func TestDebuggersFloats(t *testing.T) {
	m := bringTwo(t, "", Options{})
	if a, b := m.Debugger(0).FLen(), m.Debugger(1).FLen(); a != 0 || b != 64 {
		t.Errorf("%d and %d", a, b)
	}
	if n := bringTwo(t, "extra f", Options{}).Debugger(0).FLen(); n != 32 {
		t.Errorf("%d", n)
	}
	if err := m.Load([]int{0}, &Image{ELF: assemble(t, "rv32i", "nop")}); err != nil {
		t.Fatal(err)
	}
	for reg := range 65 {
		if _, err := m.Register(0, reg); err != nil {
			t.Errorf("register %d: %v", reg, err)
		}
	}
}

// A call from user mode is for the program's own machine mode, if it has a
// handler, whatever its number: that is the system there.
func TestCallFromUserMode(t *testing.T) {
	elf := assemble(t, "rv32i_zicsr", `
	la t0, handler
	csrw mtvec, t0
	la t0, user
	csrw mepc, t0
	li t0, 0x1800
	csrc mstatus, t0
	mret
user:	li a0, 7
	li a7, 93
	ecall
	.align 2
handler: csrr a0, mcause
	li a7, 93
	ecall`)
	m := bring(t, "mesh=1x1", Options{})
	if e := ended(t, launch(t, m, elf, 1, new(output))); e.Signal != 0 || e.Code != 8 {
		t.Errorf("%+v, want the cause of a call from user mode", e)
	}
}

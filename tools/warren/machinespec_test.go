package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/spec"
)

func TestMachineSpec(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.machine")
	text := "machine own\ngrid 2 1\nkind k\ncore c rv32i\nprivate 64K\ntiles k x=0-1,y=0\n"
	if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := spec.Parse("example", []byte(machineExample)); err != nil {
		t.Errorf("the manual's example: %v", err)
	}
	m, err := parseSpec("host,cores=3+mesh=2x3,workers=2,quantum=500,interpret")
	if err != nil {
		t.Fatal(err)
	}
	if h, ok := m.host(); !ok || h.slots != 3 || len(m) != 2 {
		t.Errorf("host %+v, %t of %d parts", h, ok, len(m))
	}
	if p := m[1]; p.sim.Cores() != 6 || p.workers != 2 || p.quantum != 500 || !p.cold {
		t.Errorf("mesh %+v", p)
	}
	for name, want := range map[string]bool{"blackhole": true, "blackhole,strict": false} {
		m, err := parseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		if has := m[0].sim.CoreKind(0).Has&isa.C != 0; has != want {
			t.Errorf("%s has C: %t", name, has)
		}
	}
	for name, want := range map[string]int{"blackhole": 752, "wormhole": 416, "occamy": 216, own: 2} {
		m, err := parseSpec(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := m.host(); ok || m[0].sim.Cores() != want {
			t.Errorf("%s has %d cores, want %d; host %t", name, m[0].sim.Cores(), want, ok)
		}
	}
}

func TestMachineSpecRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "want host, host,cores=N",
		"host+":                 "want host, host,cores=N",
		"host+host":             "host comes once, and first",
		"mesh=2x2+host":         "host comes once, and first (want host+mesh=2x2)",
		"host+mesh=2x2+occamy":  "one part can be simulated, not both mesh=2x2 and occamy",
		"host,workers=2":        `unknown option "workers" (cores?)`,
		"host,strict":           `unknown option "strict" (cores?)`,
		"host,cores=0":          "cores=0: want 1 to 131072",
		"mesh=2x2,cores=2":      `unknown option "cores" (workers, quantum, interpret or strict?)`,
		"mesh=2x2,quantum=many": "quantum=many: want 1 to",
		"mesh=2x2,workers=":     "workers=: want 1 to 1024",
		"mesh=0x2":              "want width and height",
		"blackhol":              "want one of blackhole wormhole occamy mesh=WxH",
		"./none.machine":        "no such file",
		"/dev/zero":             "are no machine description",
		"/proc/self/status":     "/proc/self/status:1: no key",
	} {
		if m, err := parseSpec(text); m != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
}

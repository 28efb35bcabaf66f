package isa

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Set{
		"rv32i":                        0,
		"rv32imac":                     M | A | C,
		"rv32if":                       F | Zicsr,
		"rv32imafdc_zba_zbb_zbs":       M | A | F | D | C | Zicsr | Zba | Zbb | Zbs,
		"rv32i_zicntr":                 Zicntr | Zicsr,
		"rv32im_zaamo":                 M | Zaamo,
		"rv32ima_zaamo_zalrsc":         M | A,
		"rv32imafdc_zicntr_zifencei":   All &^ (Zba | Zbb | Zbs),
		"rv32ic_zicsr_zifencei_zalrsc": C | Zicsr | Zifencei | Zalrsc,
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want rv32i", "rv64i": "64-bit", "rv32e": "want rv32i", "rv32iv": "no extension v", "rv32iam": "m is not in its place",
		"rv32imm": "m is not in its place", "rv32id": "d needs f", "rv32i_m": "no extension m", "rv32i_": "no extension  (", "rv32i_zba_zba": "zba twice",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if s, err := Named([]string{"c", "zalrsc", "d"}); err != nil || s != C|Zalrsc|D|F|Zicsr {
		t.Errorf("%s, %v", s, err)
	}
	if _, err := Named([]string{"c", "C"}); err == nil {
		t.Error("an upper-case letter was taken")
	}
}

func TestString(t *testing.T) {
	for set, want := range map[Set]string{
		0: "", M | C: "M C", A: "A", Zaamo: "Zaamo", Zalrsc | D: "D Zalrsc", All: "M A F D C Zicsr Zicntr Zifencei Zba Zbb Zbs",
	} {
		if set.String() != want {
			t.Errorf("%s, want %s", set, want)
		}
	}
}

func TestCompiled(t *testing.T) {
	for _, test := range []struct {
		arch  string
		want  Set
		other string
	}{
		{"rv32i2p1_m2p0_a2p1_c2p0_zicsr2p0", M | A | C | Zicsr, ""},
		{"rv32imac", M | A | C, ""},
		{"rv32i2p0m2p0a2p0f2p0d2p0", M | A | F | D, ""},
		{"rv32g", M | A | F | D | Zicsr | Zifencei, ""},
		{"rv32gcv", M | A | F | D | C | Zicsr | Zifencei, "v"},
		{"rv32i2p1_m2p0_zmmul1p0_zaamo1p0_zca1p0_zcf1p0", M | Zaamo | C | F, ""},
		{"rv32imc_zba1p0_zvl128b1p0_zfh1p0_xtheadba", M | C | Zba, "zvl128b zfh xtheadba"},
		{"rv32i2p1_b1p0", Zba | Zbb | Zbs, ""},
		{"rv32imzicsr", M | Zicsr, ""},
		{"rv64gc", 0, ""},
		{"", 0, ""},
		{"rv32", 0, ""},
		{"rv32i2", 0, ""},
		{"rv32i2p", 0, "p"},
		{"rv32__m", M, ""},
	} {
		got, other := Compiled(test.arch)
		if got != test.want || strings.Join(other, " ") != test.other {
			t.Errorf("%s: %s and %q, want %s and %q", test.arch, got, other, test.want, test.other)
		}
	}
}

// FuzzCompiled: whatever is written there, it comes to an end.
func FuzzCompiled(f *testing.F) {
	f.Add("rv32i2p1_m2p0")
	f.Add("rv32i2pz")
	f.Fuzz(func(t *testing.T, arch string) {
		s, other := Compiled(arch)
		if s&^All != 0 || slices.Contains(other, "") {
			t.Errorf("%s %q", s, other)
		}
		if _, err := Parse(arch); err == nil && other != nil {
			t.Errorf("%q: %q are simulated", arch, other)
		}
	})
}

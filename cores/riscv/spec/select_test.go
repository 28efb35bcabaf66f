package spec_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSelectFrom: where a machine's cores are numbered from another number on,
// that is how they are named, and what they are is as ever.
func TestSelectFrom(t *testing.T) {
	m := shipped(t, "mesh=4x2")
	for text, want := range map[string]string{"2-5,x=0": "[0]", "9": "[7]", "x=0": "[0 4]", "2-9,tile=1": "[1]"} {
		if ids, err := m.SelectFrom(2, text); err != nil || fmt.Sprint(ids) != want {
			t.Errorf("%q: %v, %v, want %s", text, ids, err, want)
		}
	}
	for _, text := range []string{"0-1", "10"} {
		if ids, err := m.SelectFrom(2, text); err == nil {
			t.Errorf("%q: %v", text, ids)
		}
	}
}

func TestSelect(t *testing.T) {
	m := shipped(t, "blackhole")
	for text, want := range map[string]string{
		"0-3,8":                     "[0 1 2 3 8]",
		"8,0-3,2":                   "[0 1 2 3 8]",
		" 751\n":                    "[751]",
		"tile=0":                    "[0 1 2 3 4]",
		"x=1,y=0":                   "[5 6 7 8 9]",
		"tile=0-1,role=T1":          "[3 8]",
		"tile=0,role=t0,T1":         "[2 3]",
		"0-9,role=B":                "[0 5]",
		"y=11,x=0,13":               "[724 725 750 751]",
		"kind=dram,y=0":             "[700 701]",
		"kind=Ethernet,x=0,role=E1": "[725]",
		"x=13-16,y=11":              "[722 723 750 751]", // 14 is empty
	} {
		ids, err := m.Select(text)
		if got := fmt.Sprint(ids); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]int{"role=T1": 140, "x=0-13,y=0-9": 700, "kind=dram,ethernet": 52, "0-751": 752, "x=0-16": 752} {
		if ids, err := m.Select(text); err != nil || len(ids) != want || !slices.IsSorted(ids) {
			t.Errorf("%q: %d cores, %v, want %d", text, len(ids), err, want)
		}
	}
}

func TestSelectRefuses(t *testing.T) {
	m := shipped(t, "blackhole")
	for _, test := range []struct {
		text, want string
		errno      syscall.Errno
	}{
		{"", "is no number or range (want terms such as", syscall.EINVAL},
		{"0-3,", `"" is no number`, syscall.EINVAL},
		{"all", `"all" is no number or range`, syscall.EINVAL},
		{"z=1", `no key "z"`, syscall.EINVAL},
		{"=1", `no key ""`, syscall.EINVAL},
		{"x=", `"" is no number`, syscall.EINVAL},
		{"x=3-1", "3-1 runs backwards", syscall.EINVAL},
		{"x=-1", `"-1" is no number`, syscall.EINVAL},
		{"x=1,x=2", "x twice (want a list, such as x=0-3,8)", syscall.EINVAL},
		{"role=T1,role=T0", "role twice (want a list, such as role=T0,T1)", syscall.EINVAL},
		{"role=", "a name is missing after role=", syscall.EINVAL},
		{"x=17", "no x 17: this machine has 0-16", syscall.ENXIO},
		{"y=12", "no y 12: this machine has 0-11", syscall.ENXIO},
		{"tile=178", "no tile 178: this machine has 0-177", syscall.ENXIO},
		{"752", "no core 752: this machine has 0-751", syscall.ENXIO},
		{"role=T9", `no role "T9": this machine has B NC T0 T1 T2 D E0 E1`, syscall.ENXIO},
		{"kind=arc", `no kind "arc": this machine has tensix dram ethernet`, syscall.ENXIO},
		{"x=14,y=0", "no core of this machine is x=14,y=0", syscall.ENXIO},
		{"kind=dram,role=T1", "no core of this machine is", syscall.ENXIO},
		{"99999999999", "is no number", syscall.EINVAL},
	} {
		ids, err := m.Select(test.text)
		if ids != nil || err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.errno) {
			t.Errorf("%q: %v, %v, want …%s…", test.text, ids, err, test.want)
		}
	}
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"0-3,8", "x=0-1,y=0-1", "role=T1,kind=tensix", "tile=3", "x=1,,2"} {
		f.Add(s)
	}
	m := shipped(f, "occamy")
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := m.Select(text)
		if (err == nil) != (len(ids) > 0) {
			t.Fatalf("%v and %v", ids, err)
		}
		if err == nil && (!slices.IsSorted(ids) || ids[0] < 0 || ids[len(ids)-1] >= m.Cores()) {
			t.Fatalf("%q is %v", text, ids)
		}
	})
}

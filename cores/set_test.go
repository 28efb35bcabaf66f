package cores

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestParseSet(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		errno    syscall.Errno
		text     string
	}{
		{in: "0", want: "0"},
		{in: "0-3,8", want: "0-3,8"},
		{in: "8,3,2,1,0,2-3", want: "0-3,8"},
		{in: "5,4", want: "4-5"},
		{in: "0-15", want: "0-15"},
		{in: "", errno: syscall.EINVAL, text: "want a list such as 0-3,8"},
		{in: "a", errno: syscall.EINVAL, text: "want a list"},
		{in: "1,", errno: syscall.EINVAL, text: "want a list"},
		{in: "-1", errno: syscall.EINVAL, text: "want a list"},
		{in: "1-", errno: syscall.EINVAL, text: "want a list"},
		{in: "1 2", errno: syscall.EINVAL, text: "want a list"},
		{in: "3-1", errno: syscall.EINVAL, text: "3-1 runs backwards"},
		{in: "16", errno: syscall.ENXIO, text: "no core 16: this machine has 0-15"},
		{in: "0-2000000000", errno: syscall.ENXIO, text: "no core 2000000000"},
		{in: "99999999999999999999", errno: syscall.EINVAL, text: "want a list"},
	} {
		got, err := ParseSet(tt.in, 16)
		if tt.errno != 0 {
			if !errors.Is(err, tt.errno) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%q: %v, want %v: %s", tt.in, err, tt.errno, tt.text)
			}
			continue
		}
		if err != nil || got.String() != tt.want {
			t.Errorf("%q: %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
	if _, err := ParseSet("1", 1); err == nil || !strings.Contains(err.Error(), "only core 0") {
		t.Errorf("a core beyond the only one: %v", err)
	}
}

func TestSets(t *testing.T) {
	a, b := NewSet(3, 1, 2, 1), NewSet(2, 9)
	if got := a.Minus(b).String(); got != "1,3" {
		t.Errorf("minus: %s", got)
	}
	if got := a.And(b).String(); got != "2" {
		t.Errorf("and: %s", got)
	}
	if a.String() != "1-3" || !a.Has(2) || a.Has(0) || Set(nil).String() != "-" {
		t.Errorf("%s changed, or has what it has not", a)
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add("0-3,8")
	f.Add("1,1,1-1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet(text, 64)
		if err != nil {
			return
		}
		if len(s) == 0 || !slices.IsSorted(s) || s[0] < 0 || s[len(s)-1] > 63 {
			t.Fatalf("%q: %v", text, s)
		}
		again, err := ParseSet(s.String(), 64)
		if err != nil || !slices.Equal(again, s) {
			t.Fatalf("%q: %v prints as %s, which is %v (%v)", text, s, s, again, err)
		}
	})
}

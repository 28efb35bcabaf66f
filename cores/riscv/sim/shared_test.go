package sim

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
	"warren/tools/cc"
)

// buildL1 compiles a program for a role of blackhole, whose text lies in SRAM.
func buildL1(t *testing.T, role, source string) *Image {
	t.Helper()
	in := filepath.Join(t.TempDir(), "l1.c")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Image{ELF: buildWith(t, cc.Command{Machine: "blackhole", SRAM: true, Role: role, Args: []string{in}}), Args: []string{in}}
}

const (
	allocates = "#include <warren.h>\nint main(void) { warren_alloc(4096, 64, \"my buffer\"); return warren_recv(0, 0, 0, 0); }\n"
	receives  = "#include <warren.h>\nint main(void) { return warren_recv(1, 0, 0, 0); }\n"
)

// TestPrivateMap: a loaded core's map tells of its program memory, too.
func TestPrivateMap(t *testing.T) {
	m := bring(t, "mesh=1x1", Options{})
	load(t, m, build(t, "wait.c"), []int{0}, "barrier")
	at(t, m, 0, Parked)
	list := lines(string(m.AppendMap(nil, 0)))
	if len(list) < 4 || !strings.HasSuffix(list[1], " r 'text and constants'") || !strings.HasSuffix(list[2], " rw 'data'") ||
		!strings.HasPrefix(list[len(list)-1], "0x800") || !strings.HasSuffix(list[len(list)-1], " rw 'stack, and free'") {
		t.Errorf("map:\n%s", strings.Join(list, "\n"))
	}
}

// TestClash: what is loaded, run or allocated in a tile's SRAM is not laid over,
// nor made read-only; what is gone makes room.
func TestClash(t *testing.T) {
	first, other, apart := buildL1(t, "B", allocates), buildL1(t, "B", receives), buildL1(t, "T1", receives)
	m := bring(t, "blackhole", Options{})
	refused := func(words string, err error) {
		t.Helper()
		if sys.Errno(err) != syscall.EADDRINUSE || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ok(m.Load([]int{0}, first))
	refused("core 3 (0,0) T1: 0x1000-", m.Load([]int{3}, other))
	ok(m.Load([]int{0}, other)) // in place of the first
	ok(m.Load([]int{3}, other)) // shares it
	ok(m.Load([]int{0, 3}, first))
	ok(m.Reset([]int{3}))
	ok(m.Run([]int{0}))
	at(t, m, 0, Parked)
	refused("is taken by program (core 0)", m.Load([]int{3}, other))
	refused("would be read-only, with my buffer (core 0)", m.Load([]int{3}, apart))
	if text := string(m.AppendMap(nil, 0)); !strings.Contains(text, "rw 'my buffer (core 0)'") || !strings.Contains(text, "r 'program (core 0)'") {
		t.Errorf("map:\n%s", text)
	}
	ok(m.Reset([]int{0}))
	ok(m.Load([]int{0}, first))
	ok(m.Load([]int{3}, apart))
	if text := string(m.AppendMap(nil, 3)); strings.Count(text, "'program (core ") != 2 {
		t.Errorf("map:\n%s", text)
	}
	ok(m.Reset([]int{3}))
	if text := string(m.AppendMap(nil, 0)); strings.Count(text, "'program (core ") != 1 {
		t.Errorf("map:\n%s", text)
	}
	ok(m.Reset([]int{0}))

	images := map[string]*Image{"B": first, "T1": other}
	_, err := m.Launch(Launch{Name: "both", Cores: []int{0, 3}, Image: func(role string) (*Image, error) { return images[role], nil }})
	refused("core 3 (0,0) T1: its program would lie at 0x1000-", err)
	grows, err := m.Launch(Launch{Name: "grows", Cores: []int{5}, Image: func(role string) (*Image, error) { return images[role], nil }})
	if err != nil {
		t.Fatal(err)
	}
	refused("core 3 (0,0) T1: its program would lie at 0x1000-", grows.Place(map[int]int{0: 5, 1: 0, 2: 3}))
	images["T1"] = apart
	ok(grows.Place(map[int]int{0: 5, 1: 0, 2: 3}))
	ok(grows.Signal(int(syscall.SIGKILL)))
	ended(t, grows)
	j, err := m.Launch(Launch{Name: "both", Cores: []int{0, 3}, Image: func(role string) (*Image, error) { return images[role], nil }})
	ok(err)
	if j != nil {
		ok(j.Signal(int(syscall.SIGKILL)))
		ended(t, j)
	}
}

// TestRefusalsNameThings: what cannot be done says to what, and what would help.
func TestRefusalsNameThings(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	for want, err := range map[string]error{
		"/tmp/x: this is no ELF executable: build it with warren cc": m.Load([]int{0}, &Image{ELF: []byte("rubbish"), Args: []string{"/tmp/x"}}),
		"step: nothing is loaded on core 1 (load FILE first)":        m.Step([]int{1}, 1),
		"break: nothing is loaded on core 1 (load FILE first)":       m.Break([]int{1}, "main"),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestFaultTexts: a store says whether there is no memory, or whether that is read-only.
func TestFaultTexts(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=1x1", Options{})
	for what, want := range map[string]string{
		"text": "store to text or constants, which are read-only, address 0x8",
		"load": "load where there is no memory, address 0x70000000",
	} {
		e := ended(t, launchOn(t, m, elf, []int{0}, what))
		take := newCall()
		m.Ended(0).Take(take)
		if got := take.wait(t); !strings.HasPrefix(got, "0 faulted 139 'core 0 ") {
			t.Errorf("wait: %q", got)
		}
		if !strings.Contains(e.Reason, want) || !strings.Contains(string(m.AppendFault(nil, 0)), want[:15]) {
			t.Errorf("%s: %q\n%s", what, e.Reason, m.AppendFault(nil, 0))
		}
	}
}

// TestOwnConsole: who comes late reads what this program wrote, not what others
// did on the core before.
func TestOwnConsole(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=1x1", Options{})
	for _, word := range []string{"first", "second"} {
		ended(t, launchOn(t, m, elf, []int{0}, "args", word))
		take := newCall()
		r := m.Cons(0)
		r.Take(take)
		if got := take.wait(t); got != "0 prog\n" {
			t.Errorf("%q", got)
		}
		take = newCall()
		r.Take(take)
		take.wait(t)
		take = newCall()
		r.Take(take)
		if got := take.wait(t); got != "0 "+word+"\n" {
			t.Errorf("%q", got)
		}
		r.Close()
	}
}

package sim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// place moves a job.
func place(t testing.TB, j *Job, ranks map[int]int) {
	t.Helper()
	if err := j.Place(ranks); err != nil {
		t.Fatal(err)
	}
}

// TestMoveParked moves ranks that wait for each of the things that only the
// machine, or a file, can answer.
func TestMoveParked(t *testing.T) {
	elf := build(t, "wait.c")
	t.Run("barrier", func(t *testing.T) {
		m := bring(t, "mesh=4x2", Options{})
		j := launchOn(t, m, elf, []int{0, 1, 2}, "barrier")
		at(t, m, 2, Parked)
		at(t, m, 1, Parked)
		until(t, "two at the barrier", func() bool { return strings.Contains(string(m.AppendBlocked(nil)), "where 2 of 3 are") })
		place(t, j, map[int]int{0: 0, 1: 1})
		put(t, m, 0, 0, "go on")
		at(t, m, 0, Exited)
		place(t, j, map[int]int{0: 0, 1: 1, 2: 7})
		if e := ended(t, j); e != (Exit{}) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("input", func(t *testing.T) {
		m := bring(t, "mesh=4x2", Options{})
		asked := make(chan struct{}, 1)
		image := &Image{ELF: elf, Args: []string{"prog", "input"}}
		j, err := m.Launch(Launch{Name: "in", Cores: []int{0}, Image: func(string) (*Image, error) { return image, nil }, More: func() { asked <- struct{}{} }})
		if err != nil {
			t.Fatal(err)
		}
		<-asked
		place(t, j, map[int]int{0: 5})
		j.Feed([]byte("A"), true)
		if e := ended(t, j); e.Code != 'A' {
			t.Errorf("%+v", e)
		}
	})
	t.Run("sleep", func(t *testing.T) {
		m := bring(t, "mesh=4x2", Options{NoHot: true})
		load(t, m, build(t, "small.c"), []int{7}, "spin")
		j := launchOn(t, m, elf, []int{0, 1}, "sleep", "100000000")
		at(t, m, 1, Parked)
		place(t, j, map[int]int{0: 1, 1: 0})
		if e := ended(t, j); e != (Exit{}) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("tile", func(t *testing.T) {
		m := bringSmall(t, Options{})
		j := launchOn(t, m, elf, []int{0, 1, 2}, "tile", "then wait")
		for id := range 3 {
			at(t, m, id, Parked)
		}
		put(t, m, 0, 0, "x")
		put(t, m, 1, 0, "x")
		until(t, "two at the barrier", func() bool { return strings.Count(string(m.AppendBlocked(nil)), "where 2 of 3 are") == 2 })
		place(t, j, map[int]int{0: 0, 1: 1, 2: 4}) // those who are left are all
		at(t, m, 0, Exited)
		put(t, m, 4, 0, "x")
		if e := ended(t, j); e != (Exit{}) {
			t.Errorf("%+v", e)
		}
	})
}

// TestMoveTransfers: what is on its way to a rank finds it where it is, or waits for it.
func TestMoveTransfers(t *testing.T) {
	elf := build(t, "wait.c")
	m := bring(t, "mesh=8x8", Options{Quantum: 3})
	for range 20 { // as far as they came when they are moved
		j := launchOn(t, m, elf, []int{0, 63}, "late")
		at(t, m, 0, Parked)
		at(t, m, 63, Parked)
		put(t, m, 0, 1, "go on")
		for _, ranks := range []map[int]int{{0: 0}, {0: 0, 1: 9}} {
			if err := j.Place(ranks); err != nil && sys.Errno(err) != syscall.ESRCH { // it may have ended
				t.Fatal(err)
			}
		}
		if e := ended(t, j); e != (Exit{}) {
			t.Errorf("%+v\n%s", e, m.AppendBlocked(nil))
		}
	}
}

// TestMoveUnderFiles: the open channels of a core stay its own when what runs there changes.
func TestMoveUnderFiles(t *testing.T) {
	m := bring(t, "mesh=4x2", Options{})
	j := launchOn(t, m, build(t, "small.c"), []int{0, 1}, "echo")
	in, out := m.Chan(1, 0, true), m.Chan(1, 1, false)
	at(t, m, 1, Parked)
	place(t, j, map[int]int{0: 0})
	take, send := newCall(), newCall()
	out.Take(take)
	in.Put(send, []byte("nobody"))
	if got := send.wait(t); got != "error chan: nothing is loaded on core 1 (load FILE in its ctl, or start a process on it)" {
		t.Error(got)
	}
	place(t, j, map[int]int{0: 0, 1: 1})
	send = newCall()
	in.Put(send, []byte("hello"))
	if got := take.wait(t); got != "HELLO" {
		t.Errorf("%q", got)
	}
	if d, err := j.Debugger(); err != nil || len(d.cores) != 2 {
		t.Errorf("%v", err)
	}
	place(t, j, nil)
	if _, err := j.Debugger(); sys.Errno(err) != syscall.ESRCH {
		t.Errorf("a debugger of no cores: %v", err)
	}
	if err := j.Place(map[int]int{0: 0, 3: 5}); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("a rank with none before it: %v", err)
	}
	if _, err := m.Snapshot(); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("snapshot without all ranks: %v", err)
	}
	if err := j.Signal(9); err != nil {
		t.Fatal(err)
	}
}

// again makes another machine what a machine is.
func again(t testing.TB, m *Machine) *Machine {
	t.Helper()
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	other := bring(t, m.Spec().Name, Options{})
	if err := other.Restore(saved); err != nil {
		t.Fatal(err)
	}
	return other
}

// TestRestoreStates: halted, stepping and waiting cores go on as they would have.
func TestRestoreStates(t *testing.T) {
	small, elf := build(t, "small.c"), build(t, "wait.c")
	m := bring(t, "mesh=2x2", Options{})
	if err := m.Load([]int{0}, &Image{ELF: small, Args: []string{"prog", "exit", "7"}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Load([]int{1}, &Image{ELF: small, Args: []string{"prog", "exit", "8"}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Break([]int{1}, "main"); err != nil {
		t.Fatal(err)
	}
	if err := m.Run([]int{1}); err != nil {
		t.Fatal(err)
	}
	at(t, m, 1, Halted)
	load(t, m, elf, []int{2}, "zeroed")
	at(t, m, 2, Parked)
	m = again(t, m)
	if got := m.Breaks(1); len(got) != 1 || got[0] != "main" {
		t.Errorf("breakpoints %q", got)
	}
	if err := m.Run([]int{1, 0}); err != nil {
		t.Fatal(err)
	}
	put(t, m, 2, 0, "go on")
	for id, code := range map[int]int32{0: 7, 1: 8, 2: 0} {
		at(t, m, id, Exited)
		m.mu.Lock()
		if got := m.cores[id].code; got != code {
			t.Errorf("core %d ended with %d, not %d", id, got, code)
		}
		m.mu.Unlock()
	}
}

// full is a machine whose cores all wait for room in a channel of core 0, which
// waits for its file.
func full(t testing.TB) *Machine {
	t.Helper()
	m := bring(t, "mesh=4x2", Options{Quantum: 100})
	launchOn(t, m, build(t, "wait.c"), first(8), "full")
	until(t, "full", func() bool {
		return strings.Count(string(m.AppendBlocked(nil)), "to take one of its 16 messages on channel 0") == 7
	})
	return m
}

// TestRestoreCredits: senders that wait for a full channel go on after a restore.
func TestRestoreCredits(t *testing.T) {
	other := again(t, full(t))
	put(t, other, 0, 1, "go on")
	at(t, other, 0, Exited)
	at(t, other, 7, Exited)
}

// TestRestoreOld takes a machine back to where it was: what runs then takes the
// same time again.
func TestRestoreOld(t *testing.T) {
	elf := build(t, "mixed.c")
	m := bring(t, "mesh=4x4", Options{})
	start, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var want string
	for range 3 {
		ended(t, launch(t, m, elf, 16, new(output), "20"))
		h := hash(t, m)
		if want = cmp.Or(want, h); h != want {
			t.Fatal("it went otherwise than before")
		}
		if err := m.Restore(start); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreStopped restores a program that was stopped long before the snapshot:
// it goes on from then.
func TestRestoreStopped(t *testing.T) {
	m := bring(t, "mesh=4x1", Options{})
	j := launch(t, m, build(t, "small.c"), 1, new(output), "spin")
	until(t, "running", func() bool { return m.Retired(0) > 1000 })
	if err := j.Freeze(true); err != nil {
		t.Fatal(err)
	}
	load(t, m, build(t, "wait.c"), []int{2}, "sleep", "50000000")
	at(t, m, 2, Exited)
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	was, _ := m.Now()
	other := bring(t, "mesh=4x1", Options{})
	if err := other.Restore(saved); err != nil {
		t.Fatal(err)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if now := other.cores[0].now(); now < was {
		t.Errorf("the machine was at cycle %d, and the core goes on at %d", was, now)
	}
}

// TestSnapshotKeepsTransfers: what a core sent arrives though it has been reset, also
// in a snapshot.
func TestSnapshotKeepsTransfers(t *testing.T) {
	m := bringFile(t, "machine slow\ngrid 40 1\nnetwork mesh\nclock 1000\nhop 100000\nkind one\ncore core rv32imac_zicsr\nsram 0x10000000 64K\nprivate 1M\ntiles one x=0-39,y=0\n", Options{Quantum: 1000})
	elf := buildText(t, `#include <warren.h>
int main(int argc, char **argv)
{
	uint32_t x = 7, to = warren_at(39, 0);
	volatile uint32_t *word = (void *)(uintptr_t)(warren_info(WARREN_SRAM) + 1024);
	if (argc > 1)
		return warren_put(to, (void *)word, &x, sizeof x) + warren_add(to, (void *)word, 1);
	warren_wait(word, WARREN_EQUAL, 8);
	return *word;
}
`)
	load(t, m, build(t, "small.c"), []int{20}, "spin") // meanwhile time goes on slowly
	load(t, m, elf, []int{39})
	load(t, m, elf, []int{0}, "sends")
	at(t, m, 0, Exited)
	if err := m.Reset([]int{0}); err != nil {
		t.Fatal(err)
	}
	if err := m.Halt([]int{20}); err != nil {
		t.Fatal(err)
	}
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	at(t, m, 39, Exited)
	other := bringUp(t, m.Spec(), Options{})
	if err := other.Restore(saved); err != nil {
		t.Fatal(err)
	}
	at(t, other, 39, Exited)
	if a, b := m.AppendHart(nil, 39), other.AppendHart(nil, 39); !bytes.Equal(a, b) || m.cores[39].code != 8 {
		t.Errorf("it ended so:\n%s, the restored one so:\n%s", a, b)
	}
}

// TestFlippedSnapshots: no bit of a snapshot can change unseen, nor its end be
// missing, nor anything follow it.
func TestFlippedSnapshots(t *testing.T) {
	good, err := full(t).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	other := bring(t, "mesh=4x2", Options{})
	unpack := func(b []byte) []byte {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil
		}
		data, err := io.ReadAll(z)
		if err != nil {
			return nil
		}
		return data
	}
	refused := func(what string, at int, b []byte) {
		t.Helper()
		if err := other.Restore(b); sys.Errno(err) != syscall.EINVAL {
			t.Errorf("%s at %d of %d: %v", what, at, len(good), err)
		}
	}
	const header = 10 // of gzip: the time and such, which say nothing
	for at := header; at < len(good); at += 1 + len(good)/997 {
		b := bytes.Clone(good)
		b[at] ^= 1 << (at % 8)
		if !bytes.Equal(unpack(b), unpack(good)) { // some bits only fill bytes up
			refused("a bit", at, b)
		}
	}
	for n := 1; n < 20; n++ {
		refused("the end", len(good)-n, good[:len(good)-n])
	}
	refused("more", len(good), append(bytes.Clone(good), "junk"...))
	if err := other.Restore(good); err != nil {
		t.Error(err)
	}
}

// TestDamagedSnapshots: what is wrong with a snapshot is found before anything changes.
func TestDamagedSnapshots(t *testing.T) {
	m := full(t)
	m.mu.Lock()
	good, err := m.save()
	m.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	good.Ops = append(good.Ops, savedOp{At: good.Now + 5, Src: 1, From: 1, Kind: uint8(opMessage), Data: []byte("x")})
	other := bring(t, "mesh=4x2", Options{})
	pack := func(s *savedMachine) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := s.write(z); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, harm := range map[string]func(s *savedMachine){
		"source of a message": func(s *savedMachine) { s.Cores[0].Boxes[0].In[0].Src = 99 },
		"source of an op":     func(s *savedMachine) { s.Ops[0].From = 99 },
		"place of an op":      func(s *savedMachine) { s.Ops[0].Tile = 5 },
		"time of an op":       func(s *savedMachine) { s.Ops[0].At = 1 << 63 },
		"time":                func(s *savedMachine) { s.Now = 1<<64 - 1 },
		"a core's time":       func(s *savedMachine) { s.Cores[1].Skew = 1 << 60 },
		"sleep":               func(s *savedMachine) { s.Cores[1].Until = 1 << 63 },
		"waypoints":           func(s *savedMachine) { s.Cores[1].Marks = 5 },
		"halted":              func(s *savedMachine) { s.Cores[1].State, s.Cores[1].Resume = uint8(Halted), uint8(Ready) },
		"rank":                func(s *savedMachine) { s.Cores[1].Rank = 2 },
		"job":                 func(s *savedMachine) { s.Cores[1].Job = 7 },
		"memory":              func(s *savedMachine) { s.Cores[1].Memory[0].At = 1 << 31 },
		"memory of none":      func(s *savedMachine) { s.Cores[1].Memory[0] = savedPage{At: 5} },
		"memory of a tile":    func(s *savedMachine) { s.Tiles[0].Memory = []savedPage{{At: 0}} },
		"a core too many":     func(s *savedMachine) { s.Cores = append(s.Cores, make([]savedCore, 8)...) },
		"unread messages":     func(s *savedMachine) { s.Cores[0].Boxes[0].Unread = 1 },
		"program":             func(s *savedMachine) { s.Programs[0] = []byte("#!/bin/sh\n") },
		"part":                func(s *savedMachine) { s.Tiles[0].Parts = []savedPart{{1 << 20, 1, "x", -1, false}} },
		"name":                func(s *savedMachine) { s.Jobs[0].Name = "two\nlines" },
		"name of two words":   func(s *savedMachine) { s.Jobs[0].Name = "two words" },
		"text of a part":      func(s *savedMachine) { s.Tiles[0].Parts = []savedPart{{64, 1, "x\n", -1, false}} },
		"text of a break":     func(s *savedMachine) { s.Cores[1].Breaks = []savedBreak{{4, "\xff"}} },
		"x0":                  func(s *savedMachine) { s.Cores[1].X[0] = 1 },
	} {
		s, err := m.readSnapshot(pack(good))
		if err != nil {
			t.Fatal(err)
		}
		harm(s)
		if err := other.Restore(pack(s)); sys.Errno(err) != syscall.EINVAL && sys.Errno(err) != syscall.ENOEXEC {
			t.Errorf("%s: %v", name, err)
		}
		if other.State(0) != Idle {
			t.Fatalf("%s: it was loaded", name)
		}
	}
	if err := other.Restore(pack(good)); err != nil {
		t.Error(err)
	}
}

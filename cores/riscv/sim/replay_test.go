package sim

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// TestReplay gives a machine the record of another, and finds the same end.
func TestReplay(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	in := m.Chan(0, 0, true)
	defer in.Close()
	results := m.Chan(0, 1, false)
	defer results.Close()
	var out output
	j := launch(t, m, elf, 1, &out, "echo")
	for _, word := range []string{"one", "two", "three", ""} {
		put := newCall()
		in.Put(put, []byte(word))
		put.wait(t)
		if word != "" {
			take := newCall()
			results.Take(take)
			take.wait(t)
		}
	}
	ended(t, j)
	record := m.Record(false)
	other := bring(t, "mesh=2x1", Options{})
	if err := other.Replay(record); err != nil {
		t.Fatal(err)
	}
	ended(t, launch(t, other, elf, 1, &out, "echo"))
	a, _ := m.Now()
	b, _ := other.Now()
	if a != b || m.Retired(0) != other.Retired(0) {
		t.Errorf("%d cycles and %d instructions, again %d and %d\n%s", a, m.Retired(0), b, other.Retired(0), record)
	}
	// The same again, on the machine that is older now.
	was, retired := a, m.Retired(0)
	hash(t, m)
	if err := m.Replay(record); err != nil {
		t.Fatal(err)
	}
	ended(t, launch(t, m, elf, 1, &out, "echo"))
	if now, _ := m.Now(); now != 2*was || m.Retired(0) != retired {
		t.Errorf("again it took until %d after %d, and %d instructions, not %d", now, was, m.Retired(0), retired)
	}
	fine := bring(t, "mesh=2x1", Options{Quantum: 19})
	if err := fine.Replay(record); sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "epochs of 1000 cycles, and here they have 19 (quantum 1000 first)") {
		t.Error(err)
	}
	for _, bad := range []string{"x", "1 chan 0 0 false", "1 chan 9 0 false -", "1 other 0 0 false -", "1 chan 0 0 false !", "5 chan 0 0 false -\n4 chan 0 0 false -"} {
		if err := bring(t, "mesh=2x1", Options{}).Replay([]byte(bad)); sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestNobodyTakes: what nobody is there to take is refused, and is in no record.
func TestNobodyTakes(t *testing.T) {
	elf := build(t, "small.c")
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	refused := func(text, want string) {
		t.Helper()
		ch, c := m.Chan(0, 0, true), newCall()
		defer ch.Close()
		ch.Put(c, []byte(text))
		if got := c.wait(t); !strings.HasPrefix(got, "error chan: "+want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	refused("early", "nothing is loaded on core 0")
	j := launch(t, m, elf, 1, new(output), "echo")
	at(t, m, 0, Parked)
	put(t, m, 0, 0, "hello")
	put(t, m, 0, 0, "")
	ended(t, j)
	refused("late", "the program of core 0 has ended")
	cycles, _ := m.Now()
	record := m.Record(false)
	if s := string(record); strings.Count(s, " chan ") != 2 {
		t.Errorf("record:\n%s", s)
	}
	again := bring(t, "mesh=2x1", Options{})
	if err := again.Replay(record); err != nil {
		t.Fatal(err)
	}
	ended(t, launch(t, again, elf, 1, new(output), "echo"))
	if now, _ := again.Now(); now != cycles {
		t.Errorf("%d cycles, and in the record %d", now, cycles)
	}
}

// TestReplayPrograms: programs that are started one after another begin when they did,
// whether they are started early or late when it is replayed.
func TestReplayPrograms(t *testing.T) {
	elf := build(t, "small.c")
	begin := func(m *Machine, id int) *Job {
		t.Helper()
		return launchOn(t, m, elf, []int{id}, "echo")
	}
	m := bring(t, "mesh=3x1", Options{})
	m.Record(true)
	p := begin(m, 0)
	at(t, m, 0, Parked)
	put(t, m, 0, 0, "one")
	hash(t, m)
	q := begin(m, 1)
	hash(t, m)
	put(t, m, 1, 0, "two")
	hash(t, m)
	put(t, m, 0, 0, "")
	ended(t, p)
	load(t, m, elf, []int{2}, "args")
	at(t, m, 2, Exited)
	put(t, m, 1, 0, "three")
	hash(t, m)
	put(t, m, 1, 0, "")
	ended(t, q)
	record := m.Record(false)
	if n := strings.Count(string(record), " start "); n != 3 {
		t.Fatalf("%d starts:\n%s", n, record)
	}
	want := m.Hash()

	for _, late := range []bool{false, true} {
		var told []string
		again := bring(t, "mesh=3x1", Options{Workers: 2, Tell: func(s string) { told = append(told, s) }})
		if err := again.Replay(record); err != nil {
			t.Fatal(err)
		}
		var jobs []*Job
		for i := range 2 {
			if late {
				hash(t, again)
			}
			jobs = append(jobs, begin(again, i))
		}
		if late {
			hash(t, again)
		} else {
			ended(t, jobs[0])
		}
		load(t, again, elf, []int{2}, "args")
		for _, j := range jobs {
			ended(t, j)
		}
		at(t, again, 2, Exited)
		if h := hash(t, again); h != want {
			t.Errorf("late %t: it went otherwise", late)
		}
		if late && (len(told) != 2 || !strings.HasPrefix(told[0], "replay: time stands until ")) {
			t.Errorf("told: %q", told)
		}
	}

	// One that is killed while it waits for its start, and a replay that is ended.
	again := bring(t, "mesh=3x1", Options{})
	if err := again.Replay(record); err != nil {
		t.Fatal(err)
	}
	p, q = begin(again, 0), begin(again, 1)
	if err := q.Signal(9); err != nil {
		t.Fatal(err)
	}
	ended(t, q)
	q = begin(again, 1)
	if err := again.Replay(nil); err != nil {
		t.Fatal(err)
	}
	for i, j := range []*Job{p, q} {
		ch, c := again.Chan(i, 0, true), newCall()
		ch.Put(c, nil)
		// The record may have come to the message that ends it before it was ended itself.
		if got := c.wait(t); got != "done" && got != fmt.Sprintf("error chan: the program of core %d has ended", i) {
			t.Error(got)
		}
		ch.Close()
		ended(t, j)
	}
}

// TestRecordRestored: a record begins anew when its machine is restored, and none is
// while one is replayed.
func TestRecordRestored(t *testing.T) {
	elf := build(t, "small.c")
	run := func(m *Machine) {
		t.Helper()
		j := launch(t, m, elf, 1, new(output), "echo")
		at(t, m, 0, Parked)
		put(t, m, 0, 0, "")
		ended(t, j)
	}
	m := bring(t, "mesh=2x1", Options{})
	run(m)
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m.Record(true)
	run(m)
	if err := m.Restore(saved); err != nil {
		t.Fatal(err)
	}
	run(m)
	cycles, _ := m.Now()
	record := m.Record(false)
	again := bring(t, "mesh=2x1", Options{})
	if err := again.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if err := again.Replay(record); err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(saved); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("restored while a record is replayed: %v", err)
	}
	ended(t, launch(t, again, elf, 1, new(output), "echo"))
	if now, _ := again.Now(); now != cycles {
		t.Errorf("%d cycles, and in the record %d", now, cycles)
	}
}

// stamps sends its time to the host again and again, more often than a channel has
// room for, and then one message of each size up to where only one has.
const stamps = `#include <warren.h>
static char big[60000];
int main(void)
{
	for (int i = 0; i < 300; i++) {
		uint32_t now = warren_cycles();
		warren_host(1, &now, sizeof now);
		if (i % 40 == 0)
			warren_sleep(3000);
	}
	for (uint32_t n = 1; n < sizeof big; n = 2 * n) {
		*(uint32_t *)big = warren_cycles();
		warren_host(1, big, n);
	}
	return 0;
}
`

// TestReplayReads: when the host read what cores sent is input, as they wait for it.
func TestReplayReads(t *testing.T) {
	elf := buildText(t, stamps)
	const messages = 300 + 16
	read := func(c *Chan, all *[]string) {
		take := newCall()
		c.Take(take)
		*all = append(*all, take.wait(t))
	}
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	results := m.Chan(0, 1, false)
	j := launch(t, m, elf, 2, new(output))
	var first []string
	for len(first) < messages {
		for range min(1+len(first)%7, messages-len(first)) { // in gulps, each when the machine has come to rest
			read(results, &first)
		}
		if len(first)%5 == 0 {
			hash(t, m)
		}
	}
	other := m.Chan(1, 1, false)
	var rest []string
	for len(rest) < messages {
		read(other, &rest)
	}
	ended(t, j)
	cycles, _ := m.Now()
	record := m.Record(false)

	for name, reads := range map[string]bool{"read": true, "not read": false} {
		again := bring(t, "mesh=2x1", Options{Workers: 2})
		if err := again.Replay(record); err != nil {
			t.Fatal(err)
		}
		results, other := again.Chan(0, 1, false), again.Chan(1, 1, false)
		j := launch(t, again, elf, 2, new(output))
		var got, more []string
		if !reads { // more is kept than a channel holds, also in a snapshot
			ended(t, j)
			saved, err := again.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if again = bring(t, "mesh=2x1", Options{}); again.Restore(saved) != nil {
				t.Fatal(again.Restore(saved))
			}
			results, other = again.Chan(0, 1, false), again.Chan(1, 1, false)
		}
		for len(got) < messages {
			read(other, &more)
			read(results, &got)
		}
		ended(t, j)
		if now, _ := again.Now(); now != cycles || again.Retired(0) != m.Retired(0) || again.Retired(1) != m.Retired(1) {
			t.Errorf("%s: %d cycles, %d and %d instructions, and in the record %d, %d and %d", name, now, again.Retired(0), again.Retired(1), cycles, m.Retired(0), m.Retired(1))
		}
		if strings.Join(got, "") != strings.Join(first, "") || strings.Join(more, "") != strings.Join(rest, "") {
			t.Errorf("%s: the cores sent something else than in the record", name)
		}
	}

	// A record of one core's reads, given to a program that sends less; and one that
	// ends before the reads do.
	short := bring(t, "mesh=2x1", Options{})
	if err := short.Replay(record); err != nil {
		t.Fatal(err)
	}
	ended(t, launch(t, short, build(t, "small.c"), 1, new(output), "exit", "0"))
	half := bring(t, "mesh=2x1", Options{})
	lines := strings.SplitAfter(string(record), "\n")
	if err := half.Replay([]byte(strings.Join(lines[:len(lines)/3], "") + endLine + "\n")); err != nil {
		t.Fatal(err)
	}
	results, other = half.Chan(0, 1, false), half.Chan(1, 1, false)
	j = launch(t, half, elf, 2, new(output))
	var got, more []string
	for len(got) < messages {
		read(results, &got)
	}
	for len(more) < messages {
		read(other, &more)
	}
	ended(t, j)
}

// TestInputAfterReplay: what came from files during a replay is not lost.
func TestInputAfterReplay(t *testing.T) {
	elf := build(t, "wait.c")
	m := bring(t, "mesh=2x1", Options{})
	asked := make(chan struct{}, 9)
	image := &Image{ELF: elf, Args: []string{"prog", "input"}}
	j, err := m.Launch(Launch{Name: "in", Cores: []int{0}, Image: func(string) (*Image, error) { return image, nil }, More: func() { asked <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	_, epochs := m.Now()
	if err := m.Replay(fmt.Appendf(nil, "%d chan 1 0 false -\n", epochs+1000)); err != nil {
		t.Fatal(err)
	}
	j.Feed([]byte("A"), false) // asked for before the replay
	if err := m.Replay(nil); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, j); e.Code != 'A' {
		t.Errorf("%+v", e)
	}
}

// TestReplayWrites: memory and registers that were written, stops and kills are input, too.
func TestReplayWrites(t *testing.T) {
	elf := buildText(t, `#include <warren.h>
volatile uint32_t go;
int main(void)
{
	uint64_t n = 0;
	register uint32_t stop __asm__("s11") = 0;
	while (!go)
		n++;
	do {
		n++;
		__asm__ volatile("" : "+r"(stop));
	} while (!stop);
	uint64_t now = warren_cycles();
	warren_host(1, &n, sizeof n);
	warren_host(1, &now, sizeof now);
	for (;;)
		n++;
}
`)
	const s11 = 27
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	results := m.Chan(0, 1, false)
	j := launch(t, m, elf, 2, new(output))
	until(t, "they run", func() bool { return m.Retired(0) > 1000 && m.Retired(1) > 1000 })
	if err := j.Freeze(true); err != nil {
		t.Fatal(err)
	}
	addr := symbol(t, m, 0, "go")
	if err := m.WriteMemory(0, []byte{1, 0, 0, 0}, addr); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteMemory(0, []byte{1}, 0xfffffff0); err == nil {
		t.Error("there is no memory there")
	}
	if err := j.Freeze(false); err != nil {
		t.Fatal(err)
	}
	read := func(c *Chan) string {
		take := newCall()
		c.Take(take)
		return take.wait(t)
	}
	var first []string
	for len(first) < 2 { // the register may have been set before it looks for it
		take := newCall()
		results.Take(take)
		until(t, "it sends", func() bool {
			if err := m.SetRegister(0, s11, 1); err != nil {
				t.Fatal(err)
			}
			return len(take.answer) > 0
		})
		first = append(first, take.wait(t))
	}
	if err := j.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	want := hash(t, m)
	record := m.Record(false)
	for _, kind := range []string{" mem 0 ", " reg 0 ", " stop 0 ", " cont 0 ", " signal 0 "} {
		if !strings.Contains(string(record), kind) {
			t.Errorf("the record has no%s:\n%s", kind, record)
		}
	}
	if n := strings.Count(string(record), " mem "); n != 1 {
		t.Errorf("%d writes of memory", n)
	}

	again := bring(t, "mesh=2x1", Options{Workers: 2, NoHot: true})
	if err := again.Replay(record); err != nil {
		t.Fatal(err)
	}
	if err := again.WriteMemory(1, []byte{1}, 0x1000); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("mem is written while a record is replayed: %v", err)
	}
	results = again.Chan(0, 1, false)
	j = launch(t, again, elf, 2, new(output))
	if got := []string{read(results), read(results)}; !slices.Equal(got, first) {
		t.Errorf("%q, and in the record %q", got, first)
	}
	if e := ended(t, j); e.Signal != int(syscall.SIGTERM) {
		t.Errorf("%+v", e)
	}
	if got := hash(t, again); got != want {
		t.Errorf("another state")
	}
	for _, bad := range []string{"1 mem 0 0 false AAA=", "1 reg 0 0 false AAAA", "1 signal 0 0 false MTAw", "1 signal 0 0 false -"} {
		if err := bring(t, "mesh=2x1", Options{}).Replay([]byte(bad)); sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "line 1: data: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// counts counts until a message comes, and tells how far it came, three times.
const counts = `#include <warren.h>
#include <stdio.h>
int main(void)
{
	char text[8];
	for (int i = 0; i < 3; i++) {
		unsigned long n = 0;
		while (warren_try_recv(0, text, sizeof text, 0) < 0)
			n++;
		printf("%lu\n", n);
	}
	return 0;
}
`

// TestReplayHeldUp: time stands in a replay while what would run is halted, stopped, or stands
// in a debugger, and the input comes when it came; also from a snapshot of what was halted.
func TestReplayHeldUp(t *testing.T) {
	elf := buildText(t, counts)
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	var want output
	j := launch(t, m, elf, 1, &want)
	feed := func(m *Machine) {
		t.Helper()
		for range 3 {
			was := m.Retired(0)
			until(t, "it runs", func() bool { return m.Retired(0) > was+20_000_000 })
			put(t, m, 0, 0, "x")
		}
	}
	feed(m)
	ended(t, j)
	hash(t, m)
	cycles, _ := m.Now()
	record := m.Record(false)

	inputs, err := parseRecord(record, 2)
	if err != nil {
		t.Fatal(err)
	}
	first := inputs[1].epoch // after the start
	stands := func(m *Machine) {
		t.Helper()
		until(t, "at rest", m.Resting)
		if _, epochs := m.Now(); epochs >= first {
			t.Errorf("it is epoch %d, and the first input, of %d, was not to come yet", epochs, first)
		}
	}
	for name, holdUp := range map[string]func(m *Machine, j *Job) error{
		"halted": func(m *Machine, _ *Job) error {
			if err := m.Halt([]int{0}); err != nil {
				return err
			}
			stands(m)
			return m.Run([]int{0})
		},
		"break": func(m *Machine, _ *Job) error { // its end comes long after all input
			if err := m.Break([]int{0}, "main"); err != nil {
				return err
			}
			until(t, "at rest", m.Resting)
			m.NoBreaks([]int{0})
			if m.State(0) == Halted { // else it was beyond main already
				stands(m)
				return m.Run([]int{0})
			}
			return nil
		},
		"stopped": func(m *Machine, j *Job) error {
			if err := j.Freeze(true); err != nil {
				return err
			}
			stands(m)
			return j.Freeze(false)
		},
		"debugger": func(m *Machine, j *Job) error {
			b := debugOf(t, j)
			stands(m)
			b.d.Detach(false)
			return nil
		},
	} {
		again := bring(t, "mesh=2x1", Options{Workers: 2})
		if err := again.Replay(record); err != nil {
			t.Fatal(err)
		}
		var got output
		j := launch(t, again, elf, 1, &got)
		if err := holdUp(again, j); err != nil {
			t.Fatal(name, err)
		}
		ended(t, j)
		hash(t, again)
		now, _ := again.Now()
		if name == "break" { // it loses what was left of the epoch
			var was, is int
			fmt.Sscan(want.String(), &was)
			fmt.Sscan(got.String(), &is)
			if is > was || was-is > int(again.Quantum()) {
				t.Errorf("%s: it counted to %d, and in the record to %d", name, is, was)
			}
			continue
		}
		if now != cycles || again.Retired(0) != m.Retired(0) || got.String() != want.String() {
			t.Errorf("%s: it wrote %q until %d, and in the record %q until %d", name, got.String(), now, want.String(), cycles)
		}
	}
}

// TestReplaySnapshot: what was halted in a snapshot is recorded, and replayed, from there on.
func TestReplaySnapshot(t *testing.T) {
	elf := buildText(t, counts)
	m := bring(t, "mesh=2x1", Options{})
	j := launch(t, m, elf, 1, new(output))
	until(t, "it runs", func() bool { return m.Retired(0) > 1000 })
	if err := m.Halt([]int{0}); err != nil {
		t.Fatal(err)
	}
	saved, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m.Record(true)
	if err := m.Run([]int{0}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		was := m.Retired(0)
		until(t, "it runs", func() bool { return m.Retired(0) > was+10_000 })
		put(t, m, 0, 0, "x")
	}
	ended(t, j)
	cycles, _ := m.Now()
	retired := m.Retired(0)
	record := m.Record(false)
	for range 2 {
		again := bring(t, "mesh=2x1", Options{Workers: 2})
		if err := again.Restore(saved); err != nil {
			t.Fatal(err)
		}
		if err := again.Replay(record); err != nil {
			t.Fatal(err)
		}
		until(t, "at rest", again.Resting)
		if err := again.Run([]int{0}); err != nil {
			t.Fatal(err)
		}
		at(t, again, 0, Exited)
		hash(t, again)
		if now, _ := again.Now(); now != cycles || again.Retired(0) != retired {
			t.Errorf("it ended at %d after %d instructions, and in the record at %d after %d", now, again.Retired(0), cycles, retired)
		}
	}
}

// TestRecordsOfOne: a record is of one machine, with epochs of one length.
func TestRecordsOfOne(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	if err := m.SetQuantum(DefaultQuantum); err != nil {
		t.Errorf("set to what it is: %v", err)
	}
	if err := m.SetQuantum(19); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("while a record is made: %v", err)
	}
	launchOn(t, m, build(t, "small.c"), []int{0}, "echo")
	at(t, m, 0, Parked)
	put(t, m, 0, 0, "x")
	record := m.Record(false)
	if err := bring(t, "mesh=3x1", Options{}).Replay(record); sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "of mesh=2x1, and here is mesh=3x1") {
		t.Errorf("the record of another machine: %v", err)
	}
	again := bring(t, "mesh=2x1", Options{})
	if err := again.Replay(record); err != nil {
		t.Fatal(err)
	}
	if err := again.SetQuantum(19); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("while a record is replayed: %v", err)
	}
	long := "1 chan 0 0 false " + strings.Repeat("AAAA", maxMessage/3+1)
	if err := bring(t, "mesh=2x1", Options{}).Replay([]byte(long)); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("a message that is too long: %v", err)
	}
}

// TestRecordDamaged: a record that is not as it was written is refused, unless who
// changed it says so.
func TestRecordDamaged(t *testing.T) {
	m := bring(t, "mesh=2x1", Options{})
	m.Record(true)
	j := launch(t, m, build(t, "small.c"), 1, new(output), "copy")
	j.Feed([]byte("some input"), false)
	j.Feed(nil, true)
	ended(t, j)
	record := m.Record(false)
	lines := strings.SplitAfter(strings.TrimSuffix(string(record), "\n"), "\n")
	if len(lines) < 4 {
		t.Fatalf("%s", record)
	}
	n := len(lines)
	refused := map[string]string{
		"a line is missing":     strings.Join(lines[:1], "") + strings.Join(lines[2:], ""),
		"the header is missing": strings.Join(lines[1:], ""),
		"cut at a line":         strings.Join(lines[:n-1], ""),
		"all but the header":    lines[0],
		"more behind its end":   string(record) + lines[1],
		"another epoch":         strings.Replace(string(record), "from epoch 0", "from epoch 9", 1),
		"another's end":         strings.Join(lines[:n-1], "") + endLine + " 00000000\n",
	}
	for i := 1; i < len(lines[0])-1; i += 7 {
		refused[fmt.Sprintf("%d bytes", i)] = lines[0][:i]
	}
	for what, text := range refused {
		if err := bring(t, "mesh=2x1", Options{}).Replay([]byte(text)); sys.Errno(err) != syscall.EINVAL {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, text := range map[string]string{
		"whole":                  string(record),
		"without its newline":    strings.TrimSpace(string(record)),
		"changed, and that said": strings.Join(lines[:n-1], "") + endLine,
		"of somebody's own":      strings.Join(lines[1:n-1], ""),
		"with a last comment":    strings.Join(lines[1:n-1], "") + "# end of the test\n",
		"of an editor's":         strings.ReplaceAll(strings.Join(lines[:n-1], "")+endLine+" \n", "\n", "\r\n"),
		"nothing":                "",
	} {
		if err := bring(t, "mesh=2x1", Options{}).Replay([]byte(text)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

package riscv

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"warren/cores"
	"warren/cores/coretest"
	"warren/cores/riscv/spec"
	"warren/fs/sys"
	"warren/tools/cc"
)

// program compiles a program of the simulator's tests.
func program(t *testing.T, name string) string {
	t.Helper()
	if err := cc.Available(context.Background()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), name)
	line, err := cc.Command{Args: []string{"-O1", "-g", "-o", out, filepath.Join("sim", "testdata", name+".c")}}.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

func openMachine(t *testing.T, name string) *Driver {
	t.Helper()
	m, err := spec.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Options{Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSuite(t *testing.T) {
	small := program(t, "small")
	coretest.Run(t, func(t *testing.T) cores.Driver { return openMachine(t, "mesh=3x2") }, coretest.Programs{
		Exit:   func(code int) []string { return []string{small, "exit", strconv.Itoa(code)} },
		Run:    []string{small, "spin"},
		Switch: true,
		Inside: true,
	})
}

// slotsOn is a vcore on each of these cores.
func slotsOn(ids ...cores.ID) []cores.Slot {
	out := make([]cores.Slot, len(ids))
	for i, id := range ids {
		out[i] = cores.Slot{VCore: i, Core: id}
	}
	return out
}

func wait(t *testing.T, j cores.Job) cores.Exit {
	t.Helper()
	select {
	case <-j.Done():
		return j.Exit()
	case <-time.After(time.Minute):
		t.Fatal("it did not end")
	}
	return cores.Exit{}
}

// TestFiles has a program read and write files as a process's.
func TestFiles(t *testing.T) {
	d := openMachine(t, "mesh=2x2")
	defer d.Close()
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	j, err := d.Launch(cores.Program{Name: "copy", Args: []string{program(t, "small"), "copy"}, Stdin: in, Stdout: out}, slotsOn(0))
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 20_005)
	if _, err := feed.WriteString(text); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if e := wait(t, j); e.Code != len(text)%100 || e.User <= 0 {
		t.Errorf("%+v", e)
	}
	if got, err := os.ReadFile(out.Name()); err != nil || string(got) != text {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(text), err)
	}
}

// TestInputInTime: input that has come before a program asks for it is given when it
// does, however long the host takes to pass it on.
func TestInputInTime(t *testing.T) {
	small := program(t, "small")
	text := strings.Repeat("the words of a file\n", 10_001)
	run := func() string {
		d := openMachine(t, "mesh=3x2")
		defer d.Close()
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		var fed atomic.Bool
		go func() {
			for rest := text; len(rest) > 0; {
				time.Sleep(rand.N(200 * time.Microsecond)) // of use, whatever comes of it
				n := min(len(rest), 1+rand.N(20_000))
				if _, err := feed.WriteString(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			feed.Close()
			fed.Store(true)
		}()
		j, err := d.Launch(cores.Program{
			Name: "copy", Args: []string{small, "copy"}, Stdin: in, Stdout: out, Pending: func() bool { return !fed.Load() },
		}, slotsOn(0, 1, 2, 3))
		if err != nil {
			t.Fatal(err)
		}
		wait(t, j)
		got, err := os.ReadFile(out.Name())
		if err != nil || len(got) != len(text) {
			t.Errorf("%d bytes of %d: %v", len(got), len(text), err)
		}
		return string(d.AppendTime(nil)) + string(got)
	}
	want := run()
	for range 3 {
		if got := run(); got != want {
			t.Errorf("it went otherwise: %.40s\nand before: %.40s", got, want)
		}
	}
}

// TestFullDisk: what cannot be written is an error to the program, which ends.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	d := openMachine(t, "mesh=2x2")
	defer d.Close()
	j, err := d.Launch(cores.Program{Name: "args", Args: []string{program(t, "small"), "args"}, Stdout: full}, slotsOn(0))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, j)
}

// TestRoles: each role has its own program.
func TestRoles(t *testing.T) {
	small := program(t, "small")
	d := openMachine(t, "blackhole")
	defer d.Close()
	set, err := d.Select("x=2,y=3")
	if err != nil || len(set) != 5 {
		t.Fatalf("%v %v", set, err)
	}
	p := cores.Program{Name: "roles", Roles: map[string][]string{"T1": {small, "exit", "9"}}}
	if _, err := d.Launch(p, slotsOn(set...)); sys.Errno(err) != syscall.EINVAL || !strings.Contains(err.Error(), "role") {
		t.Errorf("a core with nothing to run: %v", err)
	}
	p.Args = []string{small, "args"}
	p.Roles["B"] = []string{small, "exit", "9"} // of rank 0, which says it
	j, err := d.Launch(p, slotsOn(set...))
	if err != nil {
		t.Fatal(err)
	}
	if e := wait(t, j); e.Code != 9 {
		t.Errorf("%+v", e)
	}
}

// TestUsers: a program is opened by its user, who must be able to.
func TestUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	small := program(t, "small")
	d := openMachine(t, "mesh=2x2")
	defer d.Close()
	if err := os.Chmod(small, 0o600); err != nil {
		t.Fatal(err)
	}
	other := &sys.User{UID: 12345, GID: 12345, Name: "other"}
	_, err := d.Launch(cores.Program{Name: "x", Args: []string{small, "exit", "0"}, User: other}, slotsOn(0))
	if sys.Errno(err) != syscall.EACCES {
		t.Errorf("another's file: %v", err)
	}
	if err := d.LoadProgram(other, cores.Set{0}, []string{small}); sys.Errno(err) != syscall.EACCES {
		t.Errorf("load: %v", err)
	}
	if err := d.Snapshot(other, filepath.Join(filepath.Dir(small), "snap")); sys.Errno(err) != syscall.EACCES {
		t.Errorf("snapshot: %v", err)
	}
	dir := t.TempDir()
	shut, link := filepath.Join(dir, "shut"), filepath.Join(dir, "link")
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Mkdir(shut, 0o700), os.Symlink(filepath.Join(shut, "snap"), link)); err != nil {
		t.Fatal(err)
	}
	if err := d.Snapshot(other, link); sys.Errno(err) != syscall.EACCES {
		t.Errorf("snapshot by a link: %v", err)
	}
	if err := d.LoadProgram(sys.Nobody(), cores.Set{0}, []string{small}); sys.Errno(err) != syscall.EPERM {
		t.Errorf("nobody's load: %v", err)
	}
}

// TestSnapshotFile keeps a machine in a file, and a record of what it read.
func TestSnapshotFile(t *testing.T) {
	small := program(t, "small")
	d := openMachine(t, "mesh=2x2")
	defer d.Close()
	dir := t.TempDir()
	snap, record := filepath.Join(dir, "snap"), filepath.Join(dir, "record")
	if err := os.WriteFile(record, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Record(nil, record); err != nil || d.Recording() != record {
		t.Fatalf("%v %q", err, d.Recording())
	}
	if b, err := os.ReadFile(record); err != nil || string(b) != "another" {
		t.Errorf("a record that has begun changes its file: %q, %v", b, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("a record that has begun leaves files behind: %v, %v", list, err)
	}
	if err := d.LoadProgram(nil, cores.Set{1}, []string{small, "exit", "5"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Snapshot(nil, snap); err != nil {
		t.Fatal(err)
	}
	if err := d.Reset(cores.Set{1}); err != nil {
		t.Fatal(err)
	}
	if err := d.Restore(nil, snap); err != nil {
		t.Fatal(err)
	}
	if err := d.RunLoaded(cores.Set{1}); err != nil {
		t.Errorf("run of what was restored: %v", err)
	}
	if err := d.EndRecord(nil, ""); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(record); err != nil || !strings.HasPrefix(string(b), "# warren record of mesh=2x2") {
		t.Errorf("record %q, %v", b, err)
	}
	if err := d.Restore(nil, filepath.Join(dir, "none")); sys.Errno(err) != syscall.ENOENT {
		t.Errorf("restore of nothing: %v", err)
	}
	if err := d.Snapshot(nil, "relative"); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("snapshot at a relative path: %v", err)
	}
}

// TestShownNumbers: behind another machine's cores, texts have the numbers of the whole.
func TestShownNumbers(t *testing.T) {
	m, err := spec.Shipped("mesh=2x1")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Options{Machine: m, First: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Do(1, cores.Offline); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"load: core 11 is offline":                             d.LoadProgram(nil, cores.Set{1}, []string{"/bin/true"}),
		"core 11 is simulated: nothing interrupts it":          d.Measure(1, time.Second),
		"step: nothing is loaded on core 10 (load FILE first)": d.Step(cores.Set{0}, 1),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if set, err := d.Select("11,x=1"); err != nil || set.String() != "1" {
		t.Errorf("%v, %v", set, err)
	}
}

// recordInVain begins a record to a file whose folder is gone before it ends.
func recordInVain(t *testing.T, d *Driver, file string) {
	t.Helper()
	dir := filepath.Dir(file)
	if err := errors.Join(os.Mkdir(dir, 0o700), d.Record(nil, file), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
}

// TestRecordIsKept: a record that cannot be written is kept until it can, and the
// end of the machine writes it.
func TestRecordIsKept(t *testing.T) {
	d := openMachine(t, "mesh=1x1")
	dir := filepath.Join(t.TempDir(), "dir")
	file := filepath.Join(dir, "record")
	for range 2 {
		recordInVain(t, d, file)
		if err := d.EndRecord(nil, ""); sys.Errno(err) != syscall.ENOENT || !strings.Contains(err.Error(), "record off tries again") || d.Recording() != file {
			t.Errorf("%v, recording %q", err, d.Recording())
		}
		for _, other := range []string{file, file + "2"} {
			if err := d.Record(nil, other); sys.Errno(err) != syscall.EBUSY || !strings.Contains(err.Error(), "record drop gives it up") {
				t.Errorf("a record of %s while another is kept: %v", other, err)
			}
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.EndRecord(nil, ""); err != nil || d.Recording() != "" {
			t.Errorf("%v, recording %q", err, d.Recording())
		}
		if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "# warren record of mesh=1x1") {
			t.Errorf("record %q, %v", b, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Record(nil, file); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) == 0 {
		t.Errorf("record %q, %v", b, err)
	}
}

// TestSRAM: programs that lie in their tile's SRAM, each role in its own place;
// what would lie where another does is refused, with the map that says so.
func TestSRAM(t *testing.T) {
	program(t, "small") // skips without a compiler
	dir := t.TempDir()
	link := func(name, role string, flags ...string) string {
		t.Helper()
		out := filepath.Join(dir, name)
		args := append([]string{"-O1", "-g", "-o", out, filepath.Join("sim", "testdata", "small.c")}, flags...)
		line, err := cc.Command{Machine: "blackhole", SRAM: true, Role: role, Args: args}.Line(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		return out
	}
	b, t1, again := link("b", "B"), link("t1", "T1"), link("again", "B", "-O2")
	d := openMachine(t, "blackhole")
	defer d.Close()
	set, err := d.Select("x=0,y=0")
	if err != nil {
		t.Fatal(err)
	}
	p := cores.Program{Name: "sram", Args: []string{b, "exit", "3"}, Roles: map[string][]string{"T1": {t1, "exit", "0"}}}
	j, err := d.Launch(p, slotsOn(set...))
	if err != nil {
		t.Fatal(err)
	}
	if e := wait(t, j); e.Code != 3 {
		t.Errorf("%+v", e)
	}
	text := string(d.AppendMap(nil, set[0]))
	if strings.Count(text, " r 'program (core ") != 2 {
		t.Errorf("the map has not two programs:\n%s", text)
	}
	spin := cores.Program{Name: "spin", Args: []string{b, "spin"}}
	if j, err = d.Launch(spin, slotsOn(set[:2]...)); err != nil {
		t.Fatal(err)
	}
	_, err = d.Launch(cores.Program{Name: "other", Args: []string{again, "spin"}}, slotsOn(set[2]))
	if sys.Errno(err) != syscall.EADDRINUSE || !strings.Contains(err.Error(), "is taken by program (core 0)") {
		t.Errorf("a program where another lies: %v", err)
	}
	if err := j.Kill(); err != nil {
		t.Error(err)
	}
	wait(t, j)
}

// TestRecordIsDropped: a record can be given up, also one that could not be written.
func TestRecordIsDropped(t *testing.T) {
	d := openMachine(t, "mesh=1x1")
	defer d.Close()
	file := filepath.Join(t.TempDir(), "dir", "record")
	for _, ended := range []bool{false, true} {
		recordInVain(t, d, file)
		if ended && d.EndRecord(nil, "") == nil {
			t.Error("a record was written where nothing can be")
		}
		if ended {
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			if err := d.EndRecord(nil, elsewhere); err != nil || d.Recording() != "" {
				t.Errorf("elsewhere: %v, recording %q", err, d.Recording())
			}
			if b, err := os.ReadFile(elsewhere); err != nil || !strings.HasPrefix(string(b), "# warren record of mesh=1x1") {
				t.Errorf("elsewhere: %q, %v", b, err)
			}
			if err := d.EndRecord(nil, elsewhere); sys.Errno(err) != syscall.EINVAL {
				t.Errorf("off FILE without a record: %v", err)
			}
		}
		d.DropRecord()
		if d.Recording() != "" || d.m.Recording() {
			t.Errorf("ended %t: recording %q after drop", ended, d.Recording())
		}
		if err := d.EndRecord(nil, ""); err != nil {
			t.Errorf("ended %t: off after drop: %v", ended, err)
		}
	}
}

// TestOutputWithoutRoom: what a program wrote and could not be stored is written when
// there is room, and told of if there never is.
func TestOutputWithoutRoom(t *testing.T) {
	small := program(t, "small")
	m, err := spec.Shipped("mesh=2x1")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	d, err := Open(Options{Machine: m, Tell: func(kind, text string) { told <- kind + " " + text }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if !strings.HasPrefix(got, want) {
				t.Errorf("told %q, want %q…", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("not told %q", want)
		}
	}
	const kept = "no space left on device: what it wrote before is kept, and tried again when it writes or ends"
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	j, err := d.Launch(cores.Program{Name: "a", Args: []string{small, "args"}, Stdout: full}, slotsOn(0))
	if err != nil {
		t.Fatal(err)
	}
	if e := wait(t, j); e.Code != 1 {
		t.Errorf("%+v: output is lost and nobody is told", e)
	}
	hear("kept a: " + kept)
	hear("lost a: the last ")

	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skipf("no file system that can be full: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	j, err = d.Launch(cores.Program{Name: "b", Args: []string{small, "fill", "350"}, Stdout: out}, slotsOn(1))
	if err != nil {
		t.Fatal(err)
	}
	hear("kept b: " + kept)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, j); e.Code != 0 || e.Signal != 0 {
		t.Errorf("%+v", e)
	}
	if b, err := os.ReadFile(out.Name()); err != nil || string(b) != strings.Repeat("x", 350_000) {
		t.Errorf("%d bytes, %v: want 350000", len(b), err)
	}
}

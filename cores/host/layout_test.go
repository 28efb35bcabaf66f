package host

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"warren/cores"
)

func TestFarthest(t *testing.T) {
	line := func(a, b int) int { return max(a-b, b-a) }
	for n, want := range map[int][]int{1: {0}, 2: {0, 1}, 5: {0, 4, 2, 1, 3}, 8: {0, 7, 3, 5, 1, 2, 4, 6}} {
		if got := farthest(n, line); !slices.Equal(got, want) {
			t.Errorf("%d in a line: %v, want %v", n, got, want)
		}
	}
}

// On two sockets with two threads a core, spread takes the other socket
// second and siblings last.
func TestSpread(t *testing.T) {
	d := open(t, Options{Root: twoSockets().root(t)})
	defer d.Close()
	j := newJob(d, cores.Program{Pin: cores.PinSpread}, []cores.Slot{{Core: 0}, {Core: 4}, {Core: 1}, {Core: 2}}, nil)
	if got := j.order(); !slices.Equal(got, []int{0, 3, 2, 1}) {
		t.Errorf("order %v", got)
	}
	j.pin = cores.PinCompact
	if got := j.order(); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("order %v", got)
	}
}

// threadsEnv makes the test binary a program with so many more threads than
// Go needs. It says "ready", and when it is told to, starts a child.
const threadsEnv = "HOST_TEST_THREADS"

func TestThreadsAreLaid(t *testing.T) {
	if text := os.Getenv(threadsEnv); text != "" {
		beThreads(t, text)
		return
	}
	d := open(t, Options{Slots: 64})
	defer d.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer tell.Close()
	hear, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hear.Close()
	slots := make([]cores.Slot, 40)
	for i := range slots {
		slots[i] = cores.Slot{VCore: i, Core: cores.ID(i)}
	}
	j, err := d.Launch(cores.Program{
		Name: "threads", Dir: "/", Stdin: in, Stdout: out, Stderr: os.Stderr,
		Args: []string{exe, "-test.run", "^" + t.Name() + "$"}, Env: append(os.Environ(), threadsEnv+"=8"),
	}, slots)
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer j.Kill()
	said := bufio.NewReader(hear)
	if line, err := said.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}

	eventually(t, "threads pinned one to one", func() bool { return laid(d, j.Threads(), slots) })
	moved := slices.Clone(slots)
	for i := range moved {
		moved[i].Core = cores.ID(63 - i)
	}
	if err := j.Place(moved); err != nil {
		t.Fatal(err)
	}
	if ths := j.Threads(); len(ths) > 8 && !laid(d, ths, moved) {
		t.Errorf("after the move: %+v", ths)
	}
	if err := j.Place(moved[:3]); err != nil {
		t.Fatal(err)
	}
	if ths := j.Threads(); slices.ContainsFunc(ths, func(th cores.Thread) bool { return th.VCore != -1 }) {
		t.Errorf("more threads than vcores: %+v", ths)
	}
	if err := j.Place(slots); err != nil {
		t.Fatal(err)
	}
	eventually(t, "threads pinned again", func() bool { return laid(d, j.Threads(), slots) })

	// With a second process it floats, for good.
	io.WriteString(tell, "child\n")
	if line, err := said.ReadString('\n'); err != nil || line != "child\n" {
		t.Fatalf("%q, %v", line, err)
	}
	all := affinityOf(os.Getpid())
	eventually(t, "threads that float", func() bool {
		return !slices.ContainsFunc(j.Threads(), func(th cores.Thread) bool {
			return th.VCore != -1 || !slices.Equal(affinityOf(th.TID), all)
		})
	})
}

// laid reports whether the threads have a vcore each, in order, and run there only.
func laid(d *Driver, ths []cores.Thread, slots []cores.Slot) bool {
	for i, th := range ths {
		if th.VCore != i || !slices.Equal(affinityOf(th.TID), cores.Set{cores.ID(d.infos[slots[i].Core].CPU)}) {
			return false
		}
	}
	return len(ths) > 8
}

func beThreads(t *testing.T, text string) {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan bool)
	for range n {
		go func() {
			runtime.LockOSThread()
			locked <- true
			select {}
		}()
		<-locked
	}
	os.Stdout.WriteString("ready\n")
	bufio.NewReader(os.Stdin).ReadString('\n')
	child := exec.Command("sleep", "1000000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("child\n")
	child.Wait()
}

// A move that one thread refuses is none at all.
func TestMoveIsAllOrNothing(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	j, err := d.Launch(cores.Program{Name: "x", Args: []string{"sleep", "1000000"}, Dir: "/"}, core0)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Kill()
	before := affinityOf(j.PID())
	var nowhere mask
	nowhere.add(maxCPU - 1)
	j.(*job).mu.Lock()
	err = j.(*job).moveAll(nowhere)
	j.(*job).mu.Unlock()
	if err != unix.EINVAL || !slices.Equal(affinityOf(j.PID()), before) {
		t.Errorf("%v, now on %s, before %s", err, affinityOf(j.PID()), before)
	}
}

func TestForeign(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	spin := []string{"sh", "-c", "while :; do :; done"}
	ours, err := d.Launch(cores.Program{Name: "x", Args: spin, Dir: "/"}, core0)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Kill()
	theirs := exec.Command(spin[0], spin[1:]...)
	if err := theirs.Start(); err != nil {
		t.Fatal(err)
	}
	defer theirs.Wait()
	defer theirs.Process.Kill()
	where := mask{}
	where.add(d.infos[0].CPU)
	if err := setAffinity(theirs.Process.Pid, &where); err != nil {
		t.Fatal(err)
	}
	prefix := "pid " + strconv.Itoa(theirs.Process.Pid) + ` "sh" `
	var all []string
	eventually(t, "the foreign task is told of", func() bool {
		all = d.Foreign([]cores.ID{0})
		return slices.ContainsFunc(all, func(s string) bool {
			return strings.HasPrefix(s, prefix) && strings.HasSuffix(s, " permille on core 0")
		})
	})
	ofOurs := "pid " + strconv.Itoa(ours.PID()) + " "
	if slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, ofOurs) }) {
		t.Errorf("our own is called foreign: %q", all)
	}
	if got := d.Foreign(nil); got != nil {
		t.Errorf("on no cores: %q", got)
	}
}

func TestProcStat(t *testing.T) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	st, ok := parseProcStat([]byte("12 (a ) R (b) " + rest))
	if !ok || st.pid != 12 || st.comm != "a ) R (b" || st.ppid != os.Getppid() || st.start == 0 {
		t.Errorf("%+v, %v", st, ok)
	}
	if _, ok := parseProcStat([]byte("12 (cut")); ok {
		t.Error("a cut line is read")
	}
	if _, ok := statOf(filepath.Join("/proc", "0")); ok {
		t.Error("process 0 has a stat")
	}
}

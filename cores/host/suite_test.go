package host

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"warren/cores"
	"warren/cores/coretest"
)

// nap is a sleep that only this run of the tests has.
var nap = fmt.Sprintf("9%d.5", os.Getpid())

func programs() coretest.Programs {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return coretest.Programs{
		Exit:     func(code int) []string { return sh("exit " + strconv.Itoa(code)) },
		Die:      func(sig int) []string { return sh("kill -" + strconv.Itoa(sig) + " $$") },
		Run:      []string{"sleep", "1000000"},
		Hide:     sh("(setsid sleep " + nap + " &); exec sleep 1000000"),
		Leave:    sh("(setsid sleep " + nap + " &); exit 0"),
		Hidden:   hidden,
		Affinity: affinityOf,
		Where:    where,
		Left:     left,
	}
}

func hidden() int {
	n := 0
	for _, pid := range numbers("/proc") {
		b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if string(b) == "sleep\x00"+nap+"\x00" {
			n++
		}
	}
	return n
}

func affinityOf(tid int) cores.Set {
	m, err := affinity(tid)
	if err != nil {
		return nil
	}
	var out cores.Set
	for cpu := range maxCPU {
		if m.has(cpu) {
			out = append(out, cores.ID(cpu))
		}
	}
	return out
}

// where asks a program with no shell before it.
func where(t *testing.T, d cores.Driver, slots []cores.Slot) cores.Set {
	t.Helper()
	out := output(t, d, slots, "grep", "Cpus_allowed_list", "/proc/self/status")
	_, list, _ := strings.Cut(strings.TrimSpace(out), "\t")
	set, err := cores.ParseSet(list, maxCPU)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return set
}

// output runs a program and returns what it printed.
func output(t *testing.T, d cores.Driver, slots []cores.Slot, args ...string) string {
	t.Helper()
	return outputOf(t, d, slots, cores.Program{Name: "output", Args: args, Dir: "/"})
}

func outputOf(t *testing.T, d cores.Driver, slots []cores.Slot, p cores.Program) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p.Stdout, p.Stderr = f, f
	j, err := d.Launch(p, slots)
	if err != nil {
		t.Fatal(err)
	}
	await(t, j)
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func await(t *testing.T, j cores.Job) cores.Exit {
	t.Helper()
	select {
	case <-j.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the program has not ended")
	}
	return j.Exit()
}

// left is what this process has on the machine.
func left() []string {
	var out []string
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range links {
		if to, err := os.Readlink(fd); err == nil && !strings.HasPrefix(to, "/proc/") {
			out = append(out, "fd "+to)
		}
	}
	for _, pid := range numbers("/proc") {
		if st, ok := statOf(filepath.Join("/proc", strconv.Itoa(pid))); ok && st.ppid == os.Getpid() {
			out = append(out, "child "+st.comm)
		}
	}
	if parent, why := Cgroup("/"); why == "" {
		dirs, _ := filepath.Glob(filepath.Join(parent, basePrefix+strconv.Itoa(os.Getpid())+"*"))
		out = append(out, dirs...)
	}
	seen := map[string]bool{}
	for _, tid := range threadsOf(os.Getpid()) {
		seen["thread on "+affinityOf(tid).String()] = true
	}
	for text := range seen {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// warm makes what the runtime keeps, so that left finds it before and after.
func warm(t *testing.T) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
}

func logTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func open(t *testing.T, o Options) *Driver {
	t.Helper()
	o.Log = logTo(t)
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHost(t *testing.T) {
	warm(t)
	coretest.Run(t, func(t *testing.T) cores.Driver { return open(t, Options{}) }, programs())
}

func TestSlots(t *testing.T) {
	warm(t)
	p := programs()
	p.Switch = true
	coretest.Run(t, func(t *testing.T) cores.Driver { return open(t, Options{Slots: 5}) }, p)
}

// openWithout opens a driver that has no cgroups.
func openWithout(t *testing.T) *Driver {
	t.Helper()
	d := open(t, Options{Slots: 3})
	d.groups.opened, d.groups.marker = true, "WARREN_JOB=test"+strconv.Itoa(os.Getpid())+"."
	return d
}

func TestWithoutCgroups(t *testing.T) {
	warm(t)
	coretest.Run(t, func(t *testing.T) cores.Driver { return openWithout(t) }, programs())
}

// TestSessionsApart: job 1 without a cgroup is not jobs 10 to 19 as well.
func TestSessionsApart(t *testing.T) {
	d := openWithout(t)
	jobs := make([]*job, 20)
	for i := range jobs {
		j, err := d.Launch(cores.Program{Name: "apart", Args: programs().Run, Dir: "/"}, []cores.Slot{{Core: 0}})
		if err != nil {
			t.Fatal(err)
		}
		jobs[i] = j.(*job)
	}
	for i, j := range jobs {
		if pids := j.group.pids(j.pid); !slices.Equal(pids, []int{j.pid}) {
			t.Errorf("job %d, process %d, has the processes %d", i+1, j.pid, pids)
		}
	}
	for _, j := range jobs {
		if err := j.Kill(); err != nil {
			t.Error(err)
		}
		<-j.Done()
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"warren/cores"
	"warren/fs/sys"
)

// A tree is a captured root: files and their text.
type tree map[string]string

func (tr tree) root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tr {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (tr tree) cpu(n, socket, die int, siblings, llc string) {
	dir := fmt.Sprintf("%s/cpu%d/", cpuDir, n)
	tr[dir+"topology/physical_package_id"] = strconv.Itoa(socket)
	tr[dir+"topology/die_id"] = strconv.Itoa(die)
	tr[dir+"topology/cluster_id"] = "65535"
	tr[dir+"topology/core_id"] = "0" // of its socket: not to be used as it is
	tr[dir+"topology/thread_siblings_list"] = siblings
	for i, c := range []struct{ level, kind, shared string }{
		{"1", "Data", siblings}, {"1", "Instruction", siblings}, {"2", "Unified", siblings}, {"3", "Unified", llc},
	} {
		if c.shared == "" {
			continue // no third level
		}
		cache := fmt.Sprintf("%scache/index%d/", dir, i)
		tr[cache+"level"], tr[cache+"type"], tr[cache+"shared_cpu_list"] = c.level, c.kind, c.shared
	}
}

func (tr tree) cpus(present, online string) tree {
	tr[cpuDir+"/present"], tr[cpuDir+"/online"] = present, online
	return tr
}

func oneSocket() tree {
	tr := tree{}.cpus("0-1", "0-1")
	tr.cpu(0, 0, 0, "0", "0-1")
	tr.cpu(1, 0, 0, "1", "0-1")
	tr["proc/cpuinfo"] = "processor\t: 0\ncpu MHz\t\t: 2596.096\n\nprocessor\t: 1\ncpu MHz\t\t: 2600.000"
	return tr
}

// twoSockets has CPUs numbered as on many servers: all first threads, then all second ones.
func twoSockets() tree {
	tr := tree{}.cpus("0-7", "0-7")
	for n := range 8 {
		s := n / 2 % 2
		tr.cpu(n, s, 0, fmt.Sprintf("%d,%d", n%4, n%4+4), fmt.Sprintf("%d-%d,%d-%d", 2*s, 2*s+1, 2*s+4, 2*s+5))
		tr[fmt.Sprintf("%s/cpu%d/cpufreq/cpuinfo_max_freq", cpuDir, n)] = "3500000"
	}
	tr["sys/devices/system/node/online"] = "0-1"
	tr["sys/devices/system/node/node0/cpulist"], tr["sys/devices/system/node/node1/cpulist"] = "0-1,4-5", "2-3,6-7"
	tr["sys/devices/system/node/node0/distance"], tr["sys/devices/system/node/node1/distance"] = "10 21", "21 10"
	return tr
}

func discovered(t *testing.T, tr tree, only cores.Set) []cores.Info {
	t.Helper()
	topo, err := discover(tr.root(t), only)
	if err != nil {
		t.Fatal(err)
	}
	for i := range topo.infos {
		topo.infos[i].ISA = ""
	}
	return topo.infos
}

func TestOneSocket(t *testing.T) {
	want := []cores.Info{
		{ID: 0, Kind: "cpu", Node: -1, Core: 0, MHz: 2596, CPU: 0},
		{ID: 1, Kind: "cpu", Node: -1, Core: 1, MHz: 2600, CPU: 1},
	}
	if diff := cmp.Diff(want, discovered(t, oneSocket(), nil)); diff != "" {
		t.Error(diff)
	}
}

func TestTwoSocketsWithThreads(t *testing.T) {
	info := func(id, place, core, smt int) cores.Info {
		return cores.Info{
			ID: cores.ID(id), CPU: id, Kind: "cpu", Node: place, Socket: place, LLC: place, Core: core, SMT: smt, MHz: 3500,
		}
	}
	want := []cores.Info{
		info(0, 0, 0, 0), info(1, 0, 1, 0), info(2, 1, 2, 0), info(3, 1, 3, 0),
		info(4, 0, 0, 1), info(5, 0, 1, 1), info(6, 1, 2, 1), info(7, 1, 3, 1),
	}
	if diff := cmp.Diff(want, discovered(t, twoSockets(), nil)); diff != "" {
		t.Error(diff)
	}
}

func TestDistance(t *testing.T) {
	d := open(t, Options{Root: twoSockets().root(t)})
	defer d.Close()
	for b, want := range []int{0, 2, 21, 21, 1, 2, 21, 21} {
		if got := d.Distance(0, cores.ID(b)); got != want {
			t.Errorf("distance of 0 and %d: %d, want %d", b, got, want)
		}
	}
}

func TestHybrid(t *testing.T) {
	tr := tree{}.cpus("0-3", "0-3")
	tr.cpu(0, 0, 0, "0-1", "0-3")
	tr.cpu(1, 0, 0, "0-1", "0-3")
	tr.cpu(2, 0, 0, "2", "0-3")
	tr.cpu(3, 0, 0, "3", "0-3")
	intel := tr
	intel["sys/devices/cpu_core/cpus"], intel["sys/devices/cpu_atom/cpus"] = "0-1", "2-3"
	kindsAre(t, intel, "P", "P", "E", "E")

	arm := tree{}.cpus("0-3", "0-3")
	for n, capacity := range []string{"250", "250", "700", "1024"} {
		arm.cpu(n, 0, -1, strconv.Itoa(n), "")
		arm[fmt.Sprintf("%s/cpu%d/cpu_capacity", cpuDir, n)] = capacity
	}
	kindsAre(t, arm, "E", "E", "M", "P")

	for n := range 4 {
		arm[fmt.Sprintf("%s/cpu%d/cpu_capacity", cpuDir, n)] = "1024"
	}
	kindsAre(t, arm, "cpu", "cpu", "cpu", "cpu")
}

func kindsAre(t *testing.T, tr tree, want ...string) {
	t.Helper()
	for i, info := range discovered(t, tr, nil) {
		if info.Kind != want[i] {
			t.Errorf("core %d is %q, want %q", i, info.Kind, want[i])
		}
	}
}

// An offline CPU has no topology in sysfs; numbers may have holes; without a
// third level the second is the last cache.
func TestHolesAndOffline(t *testing.T) {
	tr := tree{}.cpus("0,2,5-6", "0,2,6")
	tr.cpu(0, 0, -1, "0,2", "")
	tr.cpu(2, 0, -1, "0,2", "")
	tr.cpu(6, 1, -1, "6", "")
	want := []cores.Info{
		{ID: 0, CPU: 0, Kind: "cpu", Node: -1, Die: -1, LLC: 0, Core: 0, SMT: 0, MHz: -1},
		{ID: 1, CPU: 2, Kind: "cpu", Node: -1, Die: -1, LLC: 0, Core: 0, SMT: 1, MHz: -1},
		{ID: 2, CPU: 5, Kind: "cpu", Node: -1, Socket: -1, Die: -1, LLC: -1, Core: -1, SMT: -1, MHz: -1},
		{ID: 3, CPU: 6, Kind: "cpu", Node: -1, Socket: 1, Die: -1, LLC: 1, Core: 1, SMT: 0, MHz: -1},
	}
	if diff := cmp.Diff(want, discovered(t, tr, nil)); diff != "" {
		t.Error(diff)
	}
	d := open(t, Options{Root: tr.root(t)})
	defer d.Close()
	for id, want := range []bool{true, true, false, true} {
		if got := d.Online(cores.ID(id)); got != want {
			t.Errorf("core %d online: %v", id, got)
		}
	}
	if _, err := d.maskOf([]cores.Slot{{Core: 1}, {Core: 2}}); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("slots on an offline core: %v", err)
	}
}

func TestOnly(t *testing.T) {
	infos := discovered(t, twoSockets(), cores.NewSet(3, 6))
	if len(infos) != 2 || infos[0].CPU != 3 || infos[1].CPU != 6 || infos[1].ID != 1 {
		t.Errorf("only 3,6: %+v", infos)
	}
	if _, err := discover(oneSocket().root(t), cores.NewSet(1, 7)); sys.Errno(err) != syscall.ENXIO {
		t.Errorf("only CPUs that are not there: %v", err)
	}
	if _, err := discover(t.TempDir(), nil); sys.Errno(err) != syscall.ENXIO {
		t.Errorf("a machine with no CPUs: %v", err)
	}
}

func TestSlotsLieOverCPUs(t *testing.T) {
	d := open(t, Options{Root: twoSockets().root(t), Slots: 20})
	defer d.Close()
	if d.Name() != "host,cores=20" || len(d.Cores()) != 20 {
		t.Fatalf("%s has %d cores", d.Name(), len(d.Cores()))
	}
	for i, info := range d.Cores() {
		if int(info.ID) != i || info.CPU != i%8 || info.Core != i || info.SMT != 0 || info.Socket != i%8/2%2 {
			t.Errorf("slot %d: %+v", i, info)
		}
	}
	if got := d.Distance(0, 8); got != 2 {
		t.Errorf("slots of one CPU are %d apart", got)
	}
}

// Linux switches a captured CPU by a file like any other.
func TestPlug(t *testing.T) {
	tr := twoSockets()
	tr[cpuDir+"/cpu3/online"] = "1"
	root := tr.root(t)
	d := open(t, Options{Root: root})
	defer d.Close()
	if err := d.Do(3, cores.Offline); err != nil {
		t.Fatal(err)
	}
	if got := sysfs(root).number(cpuDir, "cpu3/online"); got != 0 {
		t.Errorf("cpu3/online is %d", got)
	}
	if err := d.Do(0, cores.Offline); sys.Errno(err) != syscall.EOPNOTSUPP {
		t.Errorf("a CPU with no switch: %v", err)
	}
	if err := d.Do(0, cores.Online); err != nil {
		t.Errorf("what is on already: %v", err)
	}
	if err := d.Do(0, cores.QuietOn); sys.Errno(err) != syscall.EOPNOTSUPP {
		t.Errorf("quiet on: %v", err)
	}
	if err := d.Do(0, cores.QuietOff); err != nil {
		t.Errorf("quiet off: %v", err)
	}
}

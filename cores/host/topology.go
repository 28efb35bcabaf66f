package host

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
)

// A topology is what sysfs tells of the CPUs that are used.
type topology struct {
	infos     []cores.Info // in CPU order
	limit     int          // CPU numbers of the machine are below it
	distances map[int][]int
	nodes     []int // the columns of distances
}

// sysfs reads small files below a root.
type sysfs string

func (r sysfs) text(path ...string) string {
	b, err := os.ReadFile(filepath.Join(string(r), filepath.Join(path...)))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number reads a decimal; -1 if there is none.
func (r sysfs) number(path ...string) int {
	n, err := strconv.Atoi(r.text(path...))
	if err != nil {
		return -1
	}
	return n
}

// list reads a Linux list of CPUs; nil if there is none.
func (r sysfs) list(path ...string) cores.Set {
	set, err := cores.ParseSet(r.text(path...), maxCPU)
	if err != nil {
		return nil
	}
	return set
}

const cpuDir = "sys/devices/system/cpu"

// discover finds the CPUs that this process may use, of those in only (nil: all).
func discover(root string, only cores.Set) (topology, error) {
	r := sysfs(root)
	present := r.list(cpuDir, "present")
	if present == nil {
		return topology{}, sys.Errorf(syscall.ENXIO, "no cores: %s tells of none", filepath.Join(root, cpuDir))
	}
	if beyond := only.Minus(present); len(beyond) > 0 {
		return topology{}, sys.Errorf(syscall.ENXIO, "no CPU %s: this machine has %s", beyond, present)
	}
	use := usable(r, present)
	if only != nil {
		use = use.And(only)
	}
	if len(use) == 0 {
		return topology{}, sys.Errorf(syscall.ENXIO, "no cores: this process may use none of CPUs %s", only)
	}
	t := topology{limit: int(present[len(present)-1]) + 1}
	t.readDistances(r)
	t.readCores(r, use)
	return t, nil
}

// usable returns the CPUs that the process may run on. One that is offline is
// in no affinity; it counts as usable when nothing narrows the others.
func usable(r sysfs, present cores.Set) cores.Set {
	online := r.list(cpuDir, "online")
	if r != "/" {
		return present // a captured tree
	}
	m, err := affinity(0)
	if err != nil {
		return online
	}
	mine := slices.DeleteFunc(slices.Clone(present), func(c cores.ID) bool { return !m.has(int(c)) })
	if len(online.Minus(mine)) == 0 {
		return present
	}
	return mine
}

// readCores fills infos.
func (t *topology) readCores(r sysfs, use cores.Set) {
	kind := kinds(r, use)
	nodeOf := t.nodeOf(r)
	isa := machine(runtime.GOARCH)
	clocks := clocks(r)
	llcs, smts := newIndex(), newIndex()
	members := map[int]int{} // of a physical core, so far
	for i, id := range use {
		cpu := int(id)
		dir := filepath.Join(cpuDir, "cpu"+strconv.Itoa(cpu))
		info := cores.Info{
			ID: cores.ID(i), CPU: cpu, Kind: kind(cpu), ISA: isa,
			Node: -1, Socket: r.number(dir, "topology/physical_package_id"),
			Die: r.number(dir, "topology/die_id"), Core: -1, SMT: -1,
			LLC: llcs.of(lastCache(r, dir)), MHz: clock(r, dir, clocks[cpu]),
		}
		if node, ok := nodeOf[cpu]; ok {
			info.Node = node
		}
		siblings := r.text(dir, "topology/thread_siblings_list")
		if info.Core = smts.of(siblings); info.Core >= 0 {
			info.SMT = members[info.Core]
			members[info.Core]++
		}
		t.infos = append(t.infos, info)
	}
}

// An index numbers texts in the order they come; "" has no number.
type index map[string]int

func newIndex() index { return index{} }

func (x index) of(text string) int {
	if text == "" {
		return -1
	}
	n, ok := x[text]
	if !ok {
		n = len(x)
		x[text] = n
	}
	return n
}

// lastCache names the highest cache of a CPU that holds data, by the CPUs that share it.
func lastCache(r sysfs, dir string) string {
	level, shared := 0, ""
	for i := 0; ; i++ {
		cache := filepath.Join(dir, "cache", "index"+strconv.Itoa(i))
		l := r.number(cache, "level")
		if l < 0 {
			return shared
		}
		if l > level && r.text(cache, "type") != "Instruction" {
			level, shared = l, strconv.Itoa(l)+":"+r.text(cache, "shared_cpu_list")
		}
	}
}

// clock is the highest clock in MHz: cpufreq's, else what cpuinfo says.
func clock(r sysfs, dir string, cpuinfo int) int {
	if khz := r.number(dir, "cpufreq/cpuinfo_max_freq"); khz > 0 {
		return khz / 1000
	}
	if cpuinfo > 0 {
		return cpuinfo
	}
	return -1
}

// clocks reads the MHz of /proc/cpuinfo, by CPU.
func clocks(r sysfs) map[int]int {
	out := map[int]int{}
	cpu := -1
	for line := range strings.Lines(r.text("proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "processor":
			cpu, _ = strconv.Atoi(value)
		case "cpu MHz":
			if mhz, err := strconv.ParseFloat(value, 64); err == nil {
				out[cpu] = int(mhz)
			}
		}
	}
	return out
}

// kinds returns what kind a CPU is: on hybrid machines "P" and "E", and "M"
// for those between, else "cpu".
func kinds(r sysfs, use cores.Set) func(cpu int) string {
	if atoms := r.list("sys/devices/cpu_atom/cpus"); atoms != nil {
		return func(cpu int) string {
			if atoms.Has(cores.ID(cpu)) {
				return "E"
			}
			return "P"
		}
	}
	capacity := map[int]int{}
	least, most := 0, 0
	for _, id := range use {
		c := r.number(cpuDir, "cpu"+strconv.Itoa(int(id)), "cpu_capacity")
		if c < 0 {
			continue
		}
		capacity[int(id)] = c
		most = max(most, c)
		if least == 0 || c < least {
			least = c
		}
	}
	return func(cpu int) string {
		c, ok := capacity[cpu]
		switch {
		case !ok || least == most:
			return "cpu"
		case c == most:
			return "P"
		case c == least:
			return "E"
		}
		return "M"
	}
}

const nodeDir = "sys/devices/system/node"

// nodeOf maps CPUs to NUMA nodes.
func (t *topology) nodeOf(r sysfs) map[int]int {
	out := map[int]int{}
	for _, node := range t.nodes {
		for _, cpu := range r.list(nodeDir, "node"+strconv.Itoa(node), "cpulist") {
			out[int(cpu)] = node
		}
	}
	return out
}

// readDistances reads the NUMA matrix.
func (t *topology) readDistances(r sysfs) {
	t.distances = map[int][]int{}
	for _, id := range r.list(nodeDir, "online") {
		t.nodes = append(t.nodes, int(id))
		var row []int
		for _, word := range strings.Fields(r.text(nodeDir, "node"+strconv.Itoa(int(id)), "distance")) {
			n, _ := strconv.Atoi(word)
			row = append(row, n)
		}
		t.distances[int(id)] = row
	}
}

// distance is NUMA's; 10 for one node, 20 where the machine does not tell.
func (t *topology) distance(a, b int) int {
	if a == b {
		return 10
	}
	row := t.distances[a]
	if i := slices.Index(t.nodes, b); i >= 0 && i < len(row) {
		return row[i]
	}
	return 20
}

// machine is Linux's name of a Go architecture.
func machine(goarch string) string {
	names := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}
	return cmp.Or(names[goarch], goarch)
}

// layOver makes n slots over these CPUs, round robin. Slots of one CPU share
// where it sits, but each counts as a core of its own.
func layOver(cpus []cores.Info, n int) []cores.Info {
	out := make([]cores.Info, n)
	for i := range out {
		out[i] = cpus[i%len(cpus)]
		out[i].ID, out[i].Core, out[i].SMT = cores.ID(i), i, 0
	}
	return out
}

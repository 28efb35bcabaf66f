// Package host drives the cores of the Linux machine it runs on.
//
// # What it does
//
// Cores come from sysfs: the CPUs that this process may use, or N slots laid
// over them for development. Counters come from /proc, read when somebody asks
// and at most once a period, so that an idle daemon never ticks.
//
// A job is a real process: leader of its own session and process group, in a
// cgroup v2 of its own where one can be made, on its cores from its first
// instruction on (the thread that forks takes their affinity first). One
// goroutine in the runtime's poller waits for the pidfds of all jobs. When the
// program ends, whatever else the job left is killed before Done closes, as
// systemd does with KillMode=control-group. Without a cgroup the job's
// processes are found in /proc by session, group, parent and an environment
// variable that they inherit, WARREN_JOB.
//
// Freeze uses cgroup.freeze, which no program sees or can undo and which
// keeps pending signals, unlike SIGSTOP, which a later SIGCONT of anybody
// undoes; SIGSTOP is what is left without a cgroup.
//
// # Paths of users
//
// A program, its directory, and what PATH names may lie on the mount that this
// very daemon serves. Go starts programs with vfork: until the child's exec is
// through, the thread that forked stands still, and the garbage collector waits for it. A child
// that walks into our own mount meanwhile would wait for a daemon that waits
// for the child. So the daemon resolves such paths only as far as they stay on
// local file systems (openat2 with RESOLVE_NO_XDEV, from mounts known to be
// local), and starts those that do not through /bin/sh, which does the
// walking after its own exec, as the user; what is wrong with such a path is
// then told by the shell, in the program's output and exit status. Nothing
// else in this package touches a path that a user gave.
//
// Two ways into our mount are not seen: a local program whose interpreter lies
// there, and a link that is changed between the look and the exec. Both are
// served all the same, unless a collection begins just then: then the daemon
// stands still until the mount is aborted (/sys/fs/fuse/connections/N/abort).
//
// # State and locks
//
// The Driver owns the sample, the cgroup and the scans for foreign tasks, each
// under its own lock; a job owns its placement under its own. A job's
// lock is never held while another is taken.
package host

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"warren/cores"
)

// Options say which cores, and where things are. The zero Options are this
// machine with all that the process may use.
type Options struct {
	Slots  int           // lay so many slots over the CPUs, for development; 0: a core each
	Only   cores.Set     // Linux CPU numbers to use; nil: all that the process may
	Period time.Duration // of sampling; 0: a second
	Root   string        // where /proc and /sys are, for tests; "": /
	Log    *slog.Logger  // nil: none
}

// A Driver is a cores.Driver of a Linux machine.
type Driver struct {
	name   string
	period time.Duration
	log    *slog.Logger
	topo   topology
	infos  []cores.Info
	slots  bool // infos are slots, not CPUs

	online  onlineSet
	sampler sampler
	probes  probes
	foreign foreign
	paths   paths
	groups  groups
	watch   watcher
	devnull *os.File
	forks   chan struct{} // bounds the threads that stand still in vfork
	serial  atomic.Uint64 // of jobs
	closed  atomic.Bool
}

// Open returns the driver of this machine. ENXIO if there is no core to use.
func Open(o Options) (*Driver, error) {
	root := o.Root
	if root == "" {
		root = "/"
	}
	if o.Period == 0 {
		o.Period = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	topo, err := discover(root, o.Only)
	if err != nil {
		return nil, err
	}
	devnull, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		name:    "host",
		period:  o.Period,
		log:     o.Log,
		topo:    topo,
		infos:   topo.infos,
		devnull: devnull,
		forks:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if o.Slots > 0 {
		d.name += ",cores=" + strconv.Itoa(o.Slots)
		d.infos, d.slots = layOver(topo.infos, o.Slots), true
	}
	// Programs get three files and nothing that this process was started with.
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	d.online.open(root, len(d.infos))
	d.sampler.open(root, topo.limit, o.Period)
	d.foreign.root = root
	d.groups.log = o.Log
	return d, nil
}

// Name is the machine's spec: "host" or "host,cores=16".
func (d *Driver) Name() string { return d.name }

// Cores lists the cores; the slice is the driver's.
func (d *Driver) Cores() []cores.Info { return d.infos }

// Distance goes by siblings, caches, sockets and NUMA distances.
func (d *Driver) Distance(a, b cores.ID) int {
	x, y := d.infos[a], d.infos[b]
	return cores.Apart(x, y, d.topo.distance(x.Node, y.Node))
}

// Close stops sampling and releases what the driver holds; jobs go on, and
// their ends are still reported.
func (d *Driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.sampler.close()
	d.watch.close()
	d.groups.close()
	d.paths.close()
	return d.devnull.Close()
}

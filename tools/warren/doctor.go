package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/cores/host"
	"warren/tools/cc"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor [-o json]",
		Short:   "what this host can do, what is missing, and the command that mends it",
		Example: "warren doctor",
		Long: "Doctor looks at what a server would find on this host, as the user who calls\n" +
			"it, and changes nothing. It prints a line a check: ok, warn for what warren can\n" +
			"do without, FAIL for what it cannot, then what was found and what follows from\n" +
			"it, and on the next line the command that mends it. The exit status is 1 if\n" +
			"a check failed.",
		Args:              words(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := format.check(cmd); err != nil {
			return err
		}
		findings := thisPatient().examine()
		if err := printFindings(os.Stdout, findings, format.json()); err != nil {
			return err
		}
		if slices.ContainsFunc(findings, func(f finding) bool { return f.Verdict == verdictFail }) {
			return exitStatus(1)
		}
		return nil
	}
	return cmd
}

// The verdicts of a check.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "FAIL"
)

// A finding is the outcome of a check.
type finding struct {
	Verdict string `json:"verdict"`
	What    string `json:"what"`
	Found   string `json:"found"`
	Effect  string `json:"effect,omitempty"`
	Mend    string `json:"mend,omitempty"` // a command for Debian's root, "" if nothing is to be mended
}

func printFindings(w io.Writer, findings []finding, json bool) error {
	if json {
		return writeJSON(w, findings)
	}
	for _, f := range findings {
		line := fmt.Sprintf("%-4s %s: %s", f.Verdict, f.What, f.Found)
		if f.Effect != "" {
			line += "; " + f.Effect
		}
		if f.Mend != "" {
			line += "\n     mend: " + f.Mend
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// A patient is a host as the checks see it, so that tests can bring their own.
type patient struct {
	root     string // of /dev, /etc, /proc, /sys
	euid     int
	socket   string // where a server would listen
	state    string // where it would keep its state
	find     func(program string) (path string, err error)
	pidfd    func() error
	openable func(path string) error // for reading and writing
	compiles func() error            // for simulated machines
}

func thisPatient() *patient {
	socket := strings.TrimPrefix(defaultSocket(), "unix!")
	if socket == "" { // XDG_RUNTIME_DIR is not set: this is where it would be
		socket = fmt.Sprintf("/run/user/%d/warren.sock", os.Geteuid())
	}
	return &patient{
		root: "/", euid: os.Geteuid(), find: exec.LookPath,
		socket: socket, state: defaultState(),
		pidfd: func() error {
			fd, err := unix.PidfdOpen(os.Getpid(), 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		},
		openable: func(path string) error { return unix.Access(path, unix.R_OK|unix.W_OK) },
		compiles: func() error { return cc.Available(context.Background()) },
	}
}

// examine makes all checks.
func (p *patient) examine() []finding {
	return []finding{
		p.kernel(), p.permissions(), p.cores(), p.isolation(), p.numa(),
		p.cgroups(), p.cpusets(), p.fuse(), p.fusermount(), p.allowOther(), p.v9fs(),
		p.writable("socket", filepath.Dir(p.socket), "server needs -listen unix!PATH somewhere else"),
		p.writable("state", p.state, "server needs -state DIR somewhere else"),
		p.compiler(),
	}
}

func good(what, format string, args ...any) finding {
	return finding{Verdict: verdictOK, What: what, Found: fmt.Sprintf(format, args...)}
}

func (p *patient) path(name string) string { return filepath.Join(p.root, name) }

// text is a file's, without blanks around it; "" if there is none.
func (p *patient) text(name string) string {
	b, _ := os.ReadFile(p.path(name))
	return strings.TrimSpace(string(b))
}

func (p *patient) exists(name string) bool {
	_, err := os.Stat(p.path(name))
	return err == nil
}

// newKernel is what mends an old one.
const newKernel = "apt-get install -y linux-image-amd64 && reboot"

func (p *patient) kernel() finding {
	release := p.text("proc/sys/kernel/osrelease")
	if err := p.pidfd(); err != nil {
		return finding{
			verdictFail, "kernel", fmt.Sprintf("Linux %s, pidfd_open: %v", release, err),
			"programs cannot be started: Linux 5.4 or later is needed, and no filter of system calls", newKernel,
		}
	}
	if !atLeast(release, 5, 14) {
		return finding{
			verdictWarn, "kernel", "Linux " + release + ", which has no cgroup.kill (5.14 has)",
			"programs are followed through /proc, and one that hides well may escape a kill", newKernel,
		}
	}
	return good("kernel", "Linux %s, pidfd, cgroup.kill", release)
}

// atLeast compares the first two numbers of a kernel release.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n < 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

func (p *patient) permissions() finding {
	if p.euid == 0 {
		return good("permissions", "root: starts programs as any user, switches cores, shows the mount to all")
	}
	return finding{
		verdictWarn, "permissions", fmt.Sprintf("uid %d, not root", p.euid),
		"a server starts programs only as yourself and cannot switch cores online or offline", "sudo warren serve",
	}
}

func (p *patient) cores() finding {
	d, err := host.Open(host.Options{Root: p.root})
	if err != nil {
		return finding{verdictFail, "cores", err.Error(), "there is nothing to run programs on", "mount -t sysfs sysfs /sys"}
	}
	defer d.Close()
	infos := d.Cores()
	count := func(key func(cores.Info) int) int {
		seen := map[int]bool{}
		for _, info := range infos {
			if k := key(info); k >= 0 {
				seen[k] = true
			}
		}
		return max(1, len(seen))
	}
	var kinds []string
	var off cores.Set
	for _, info := range infos {
		if !slices.Contains(kinds, info.Kind) {
			kinds = append(kinds, info.Kind)
		}
		if !d.Online(info.ID) {
			off = append(off, info.ID)
		}
	}
	found := fmt.Sprintf("%d usable, present %s, physical %d, sockets %d, last-level caches %d, kinds %s",
		len(infos), p.text("sys/devices/system/cpu/present"),
		count(func(i cores.Info) int { return i.Core }), count(func(i cores.Info) int { return i.Socket }),
		count(func(i cores.Info) int { return i.LLC }), strings.Join(kinds, " "))
	if len(off) > 0 {
		return finding{
			verdictWarn, "cores", found + ", offline " + off.String(), "what is offline runs nothing until it is switched on",
			fmt.Sprintf("warren write cores/ctl online %s", off),
		}
	}
	return good("cores", "%s", found)
}

func (p *patient) isolation() finding {
	list := func(name string) string {
		if s := p.text("sys/devices/system/cpu/" + name); s != "" && s != "(null)" {
			return s
		}
		return "none"
	}
	f := good("isolation", "isolcpus %s, nohz_full %s", list("isolated"), list("nohz_full"))
	f.Effect = "the timer interrupts programs on cores without nohz_full"
	return f
}

func (p *patient) numa() finding {
	nodes, err := cores.ParseSet(p.text("sys/devices/system/node/online"), 1<<16)
	if err != nil {
		return good("numa", "not told: all memory counts as near")
	}
	return good("numa", "%d nodes (%s)", len(nodes), nodes)
}

func (p *patient) cgroups() finding {
	layout := "cgroup v2"
	if p.exists("sys/fs/cgroup/unified") {
		layout = "hybrid (v1, and a v2 beside it)"
	} else if !p.exists("sys/fs/cgroup/cgroup.controllers") {
		layout = "cgroup v1"
	}
	dir, why := host.Cgroup(p.root)
	if why == "" {
		return good("cgroups", "%s; jobs get their own below %s", layout, dir)
	}
	f := finding{
		verdictWarn, "cgroups", layout + ": " + why,
		"programs are followed through /proc, and one that hides well may escape a kill", "",
	}
	switch {
	case strings.Contains(why, "not mounted"):
		f.Mend = "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
	case p.euid != 0:
		f.Mend = "systemd-run --user --scope -p Delegate=yes warren serve"
	}
	return f
}

// cpusets tells of the controller that quiet cores will need.
func (p *patient) cpusets() finding {
	for _, dir := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} {
		if slices.Contains(strings.Fields(p.text(dir+"/cgroup.controllers")), "cpuset") {
			return good("cpuset", "controller of cgroup v2")
		}
	}
	return finding{
		verdictWarn, "cpuset", "no cpuset controller on cgroup v2",
		"cores are pinned, not partitioned: the tier of exclusive is pinned",
		`sed -i 's/^GRUB_CMDLINE_LINUX="/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && update-grub && reboot`,
	}
}

// noMount is what follows when there is no FUSE.
const noMount = "serve -mount does not work: the tree is reached over 9P (warren ls, cat, write)"

func (p *patient) fuse() finding {
	if !p.exists("dev/fuse") {
		return finding{verdictWarn, "fuse", "no /dev/fuse", noMount, "modprobe fuse"}
	}
	if err := p.openable(p.path("dev/fuse")); err != nil {
		return finding{verdictWarn, "fuse", fmt.Sprintf("/dev/fuse: %v", err), noMount, "chmod 0666 /dev/fuse"}
	}
	return good("fuse", "/dev/fuse")
}

func (p *patient) fusermount() finding {
	path, err := p.find("fusermount3")
	if err == nil {
		return good("fusermount3", "%s", path)
	}
	f := finding{verdictWarn, "fusermount3", "not installed", noMount, "apt-get install -y fuse3"}
	if p.euid == 0 {
		f.Effect = "root does without it, other users cannot mount"
	}
	return f
}

func (p *patient) allowOther() finding {
	if p.euid == 0 {
		return good("allow_other", "root's mounts are open to all users")
	}
	for line := range strings.Lines(p.text("etc/fuse.conf")) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return good("allow_other", "user_allow_other in /etc/fuse.conf")
		}
	}
	return finding{
		verdictWarn, "allow_other", "no user_allow_other in /etc/fuse.conf",
		"only you see into a mount that you make", "echo user_allow_other >>/etc/fuse.conf",
	}
}

// v9fs is Linux's own 9P client, another way to mount the tree.
func (p *patient) v9fs() finding {
	const effect = "mount -t 9p does not work; warren mount does"
	for line := range strings.Lines(p.text("proc/filesystems")) {
		if slices.Contains(strings.Fields(line), "9p") {
			return good("9p", "in the kernel: mount -t 9p works too")
		}
	}
	modules, _ := filepath.Glob(p.path("lib/modules/" + p.text("proc/sys/kernel/osrelease") + "/kernel/fs/9p/9p.ko*"))
	if len(modules) > 0 {
		return good("9p", "a module: mount -t 9p works after modprobe 9p 9pnet_fd")
	}
	f := good("9p", "not in this kernel")
	f.Effect = effect
	return f
}

// compiler is for programs of simulated machines.
func (p *patient) compiler() finding {
	if err := p.compiles(); err != nil {
		found, _, _ := strings.Cut(err.Error(), ": as root, ")
		return finding{verdictWarn, "riscv", found, "warren cc does not work: programs for simulated machines are compiled elsewhere", cc.Install}
	}
	return good("riscv", "gcc and picolibc: warren cc works")
}

// writable checks a directory, or if it is not there the one it will be made in.
func (p *patient) writable(what, dir, effect string) finding {
	at := dir
	for !p.exists(at) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	if err := p.openable(p.path(at)); err != nil {
		mend := fmt.Sprintf("install -d -o %s %s", strconv.Itoa(p.euid), dir)
		return finding{verdictFail, what, fmt.Sprintf("%s: %v", at, err), effect, mend}
	}
	return good(what, "%s", dir)
}

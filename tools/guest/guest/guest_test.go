package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"
)

// needGuest skips a test where no guest can be run; in CI that is a failure.
func needGuest(t *testing.T) {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts virtual machines: not with -short")
	}
}

// small is a guest that boots fast.
func small(script string) Options { return Options{Script: script, CPUs: 1, Memory: 256} }

// TestRun looks at what comes back of a script, and at what it finds.
func TestRun(t *testing.T) {
	needGuest(t)
	var live bytes.Buffer
	o := small(`
echo out
echo err >&2
echo again >/dev/stderr
cat /etc/mine
/usr/local/bin/mine
bash -c 'echo bash $BASH_VERSINFO' | sed 's/[0-9]/N/g'
warren ls -h | head -n 1
grep -o marked /proc/cmdline
ping -c 1 127.0.0.1 >/dev/null && echo loopback
(sleep 1000; echo too late) &
kill -TERM $$
echo not reached`)
	o.Files = map[string][]byte{"/etc/mine": []byte("a file\n"), "/usr/local/bin/mine": []byte("#!/bin/sh\necho a program\n")}
	o.Programs, o.Cmdline, o.Output = []string{"bash"}, "marked", &live
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	const want = "out\nerr\nagain\na file\na program\nbash N\nlist directories of the tree\nmarked\nloopback\n"
	if r.Output != want {
		t.Errorf("the script printed\n%s, want\n%s", r.Output, want)
	}
	if live.String() != r.Output {
		t.Errorf("what came as it was printed is different: %s", live.String())
	}
	if r.Status != 128+15 {
		t.Errorf("exit status %d of a script that SIGTERM ended", r.Status)
	}
	if r.Boot <= 0 || r.Boot > r.Total {
		t.Errorf("%v to the script, %v in all", r.Boot, r.Total)
	}
}

// TestPanic has the kernel die under the script.
func TestPanic(t *testing.T) {
	needGuest(t)
	r, err := Run(t.Context(), small("echo before\necho c >/proc/sysrq-trigger\nsleep 1000"))
	if err == nil || !strings.Contains(err.Error(), "did not come to its script's end") || !strings.Contains(r.Console, "Kernel panic") {
		t.Errorf("%v; the console:\n%s", err, r.Console)
	}
	// What was printed may be on its way when the kernel dies.
	if !strings.HasPrefix("before\n", r.Output) {
		t.Errorf("output %q", r.Output)
	}
}

// TestCancel ends a guest whose script waits.
func TestCancel(t *testing.T) {
	needGuest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := small("echo here\nsleep 1000")
	o.Output = writerFunc(cancel)
	r, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) || r.Output != "here\n" {
		t.Errorf("%v, output %q", err, r.Output)
	}
	left, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range left {
		if line, _ := os.ReadFile(name); bytes.Contains(line, []byte(qemu)) && parent(filepath.Dir(name)) == os.Getpid() {
			t.Errorf("QEMU is still there: %s", name)
		}
	}
}

// TestStuck has a script that hangs until it is ended, one that is not to be
// ended, and a machine without a script. The kernel prints much, so that the
// boot is no silence.
func TestStuck(t *testing.T) {
	needGuest(t)
	o := small("echo $$ >/tmp/pid; echo here; exec sleep 1000")
	o.Cmdline, o.Patience, o.Stuck = "loglevel=7", 4*time.Second, "echo stuck; kill $(cat /tmp/pid)"
	if r, err := Run(t.Context(), o); err != nil || r.Output != "here\nstuck\n" || r.Status != 128+15 {
		t.Errorf("%v, status %d, output %q", err, r.Status, r.Output)
	}
	o.Stuck = "echo again"
	r, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "printed nothing for 4s") || r.Output != "here\nagain\nagain\n" {
		t.Errorf("%v, output %q", err, r.Output)
	}
	o.Cmdline, o.Stuck = "loglevel=7 rdinit=/bin/sleep -- 1000", "" // in place of our first process
	if r, err = Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "did not come to its script:") {
		t.Errorf("%v, output %q", err, r.Output)
	}
}

// TestPatience has the clock go slower where more than the processors are wanted.
func TestPatience(t *testing.T) {
	here := runtime.NumCPU()
	for _, tt := range []struct {
		wanting int
		steps   int
	}{{0, 10}, {1, 10}, {here, 10}, {2 * here, 20}, {5 * here, 50}} {
		var p Patience
		steps := 1
		for !p.spend(Tick, tt.wanting, 10*Tick) {
			steps++
		}
		if steps != tt.steps {
			t.Errorf("%d want %d processors: over after %d steps, want %d", tt.wanting, here, steps, tt.steps)
		}
	}
	var p Patience
	for range 100 {
		if p.spend(9*Tick, 0, 10*Tick) {
			t.Fatal("over, though there was progress")
		}
		p.Progress()
	}
	for text, want := range map[string]int{"0.20 0.18 0.12 17/80 11206\n": 17, "": 0, "1 2 3": 0, "1 2 3 x/y 5": 0} {
		if n := parseWanting([]byte(text)); n != want {
			t.Errorf("%q: %d want a processor, not %d", text, n, want)
		}
	}
	if wanting() < 1 {
		t.Error("nobody runs, not even this test")
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// parent returns the parent of a process, by its folder in /proc.
func parent(dir string) (pid int) {
	text, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			for _, digit := range strings.TrimSpace(value) {
				pid = pid*10 + int(digit-'0')
			}
		}
	}
	return pid
}

// TestBadOptions are refused before anything is started.
func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{CPUs: -1}, {CPUs: 6, Nodes: 4}, {CPUs: 4, Nodes: -2}, {Memory: 100, Nodes: 2}} {
		if err := o.fill(); err == nil {
			t.Errorf("%d processors, %d nodes, %d MiB are accepted", o.CPUs, o.Nodes, o.Memory)
		}
	}
	var o Options
	if err := o.fill(); err != nil || o.CPUs != 16 || o.Nodes != 2 || o.Memory != 512 {
		t.Errorf("by default %d processors, %d nodes, %d MiB: %v", o.CPUs, o.Nodes, o.Memory, err)
	}
}

// TestArguments has QEMU's awkward values.
func TestArguments(t *testing.T) {
	o := Options{CPUs: 6, Nodes: 3, Memory: 301, Ports: map[string]string{"b": "/tmp/a,b", "a": "/x"}, QEMU: []string{"-more"}}
	args := strings.Join(o.arguments(kernel{image: "/k"}, "/i"), " ")
	for _, want := range []string{
		"-smp 6,sockets=3,cores=2,threads=1 -m 300M", "id=mem2,size=100M -numa node,nodeid=2,memdev=mem2,cpus=4-5",
		"socket,id=port0,path=/x -device virtserialport,chardev=port0,name=a",
		"socket,id=port1,path=/tmp/a,,b -device virtserialport,chardev=port1,name=b -more",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("no %s in %s", want, args)
		}
	}
}

// TestLoadOrder has each module after those that it needs.
func TestLoadOrder(t *testing.T) {
	needGuest(t)
	k, err := findKernel()
	if err != nil {
		t.Fatal(err)
	}
	order, err := k.loadOrder(append(defaultModules, "virtio-pci", "virtio_console"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range order {
		needs, err := dependencies(m.code)
		if err != nil {
			t.Fatal(err)
		}
		for _, need := range needs {
			if !slices.Contains(names, need) {
				t.Errorf("%s comes before %s", m.name, need)
			}
		}
		if slices.Contains(names, m.name) {
			t.Errorf("%s comes twice", m.name)
		}
		names = append(names, m.name)
	}
	if !slices.Contains(names, "9p") || !slices.Contains(names, "virtio_ring") {
		t.Errorf("the order is %v", names)
	}
	if _, err := k.loadOrder([]string{"no_such"}); err == nil || !strings.Contains(err.Error(), "no module no_such") {
		t.Errorf("an unknown module: %v", err)
	}
}

// TestImage has directories before what is in them, and first files stay.
func TestImage(t *testing.T) {
	im := image{have: map[string]bool{}}
	im.add(cpio.StaticFile("/a/b/c", "first", 0o644))
	im.add(cpio.StaticFile("a/b/../b/c", "second", 0o644))
	im.add(cpio.Symlink("a/b/d", "c"))
	if err := im.addSystem(Options{Script: "echo hello", Files: map[string][]byte{"/etc/passwd": []byte("own")}}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{".": true}
	content := map[string]string{}
	for _, r := range im.records {
		if !seen[path.Dir(r.Name)] || seen[r.Name] {
			t.Errorf("%s comes too early, or twice", r.Name)
		}
		seen[r.Name] = true
		if r.ReaderAt != nil {
			b := make([]byte, r.FileSize)
			_, _ = r.ReadAt(b, 0)
			content[r.Name] = string(b)
		}
	}
	for name, want := range map[string]string{"a/b/c": "first", "a/b/d": "c", "etc/passwd": "own", "script": "#!/bin/sh\necho hello"} {
		if content[name] != want {
			t.Errorf("%s is %q, want %q", name, content[name], want)
		}
	}
}

// TestWanted is what Fetch unpacks.
func TestWanted(t *testing.T) {
	for name, want := range map[string]bool{
		"boot/vmlinuz-6.1.0-56-amd64":                                      true,
		"boot/System.map-6.1.0-56-amd64":                                   false,
		"lib/modules/6.1.0-56-amd64/modules.builtin":                       true,
		"lib/modules/6.1.0-56-amd64/kernel/fs/9p/9p.ko":                    true,
		"usr/lib/modules/6.12/kernel/net/9p/9pnet.ko.xz":                   true,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/gpu/drm/i915/i915.ko":   false,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/virtio/virtio_ring.ko":  true,
		"usr/share/doc/linux-image-6.1.0-56-amd64/changelog.Debian.gz":     false,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/net/ethernet/x/x.ko.xz": false,
	} {
		if wanted(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for file, want := range map[string]string{"kernel/a-b.ko": "a_b", "9p.ko.xz": "9p", "x.ko.zst": "x", "readme": "-"} {
		if name, ok := moduleName(file); ok && name != want || !ok && want != "-" {
			t.Errorf("%s is module %s", file, name)
		}
	}
}

// TestTail keeps the end.
func TestTail(t *testing.T) {
	var all bytes.Buffer
	end := tail{most: 5, next: &all}
	for _, s := range []string{"abc", "def", "ghijklmnop", "q"} {
		if n, err := end.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if end.buf.String() != "mnopq" || all.String() != "abcdefghijklmnopq" {
		t.Errorf("%q of %q", end.buf.String(), all.String())
	}
}

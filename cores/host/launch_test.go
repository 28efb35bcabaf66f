package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

var core0 = []cores.Slot{{Core: 0}}

func script(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually polls for what the kernel brings about in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestRefusalsOfExec(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	closed := script(t, "closed", "#!/bin/sh\n", 0o644)
	bare := script(t, "bare", "echo hello\n", 0o755)
	orphan := script(t, "orphan", "#!/no/interpreter\n", 0o755)
	for _, test := range []struct {
		name string
		args []string
		dir  string
		no   syscall.Errno
		text string
	}{
		{"no file", []string{"/no/such"}, "/", syscall.ENOENT, "exec: /no/such: file does not exist"},
		{"no name", []string{"no-such-program"}, "/", syscall.ENOENT, "exec: no-such-program: not found in the program's PATH"},
		{"dir from nowhere", []string{"/bin/true"}, "etc", syscall.EINVAL, "dir: etc: want a path from the root"},
		{"no directory", []string{"/bin/true"}, "/no/dir", syscall.ENOENT, "dir: /no/dir: file does not exist"},
		{"directory is a file", []string{"/bin/true"}, "/etc/passwd", syscall.ENOTDIR, "exec: /bin/true in /etc/passwd: not a directory"},
		{"closed", []string{closed}, "/", syscall.EACCES, "exec: " + closed + ": permission denied"},
		{"a directory", []string{"/etc"}, "/", syscall.EACCES, "exec: /etc: is a directory"},
		{"no #!", []string{bare}, "/", syscall.ENOEXEC, "exec: " + bare + ": not a program (a script must begin with #!, such as #!/bin/sh)"},
		{"no interpreter", []string{orphan}, "/", syscall.ENOENT, "exec: " + orphan + ": its interpreter (the #! line's, or the dynamic loader) does not exist"},
		{"NUL", []string{"/bin/true", "a\x00b"}, "/", syscall.EINVAL, "exec: /bin/true: invalid argument"},
		{"too long", []string{"/bin/true", strings.Repeat("x", 1<<20)}, "/", syscall.E2BIG, "exec: /bin/true: arguments and environment are too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, err := d.Launch(cores.Program{Name: "test", Args: test.args, Dir: test.dir}, core0)
			if err == nil {
				await(t, j)
				t.Fatal("it started")
			}
			if sys.Errno(err) != test.no || err.Error() != test.text {
				t.Errorf("errno %d (%v), want %d (%s)", sys.Errno(err), err, test.no, test.text)
			}
		})
	}
}

// Names are looked up as execvp does: in order, passing over what cannot be executed.
func TestSearch(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	first := filepath.Dir(script(t, "prog", "not for execution", 0o644))
	second := filepath.Dir(script(t, "prog", "#!/bin/sh\necho second $0 $1\n", 0o755))
	third := filepath.Dir(script(t, "prog", "#!/bin/sh\necho third\n", 0o755))
	env := []string{"PATH=/nowhere", "PATH=" + first + ":" + second + ":" + third}
	run := func(dir string, env []string, args ...string) string {
		return outputOf(t, d, core0, cores.Program{Name: "test", Args: args, Env: env, Dir: dir})
	}
	want := "second " + second + "/prog x\n"
	if got := run("/", env, "prog", "x"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := run(third, nil, "./prog"); got != "third\n" {
		t.Errorf("below the directory: %q", got)
	}
	if got := run(third, []string{"PATH=:/bin"}, "prog"); got != "third\n" {
		t.Errorf("in the directory, by an empty PATH entry: %q", got)
	}
	if got := run(filepath.Dir(third), []string{"PATH=" + filepath.Base(third)}, "prog"); got != "third\n" {
		t.Errorf("by a relative PATH entry: %q", got)
	}

	// The same again as if the file system were served by somebody.
	d.paths.mu.Lock()
	d.paths.refresh()
	d.paths.local = map[string]bool{"/": false}
	d.paths.mu.Unlock()
	if got := run("/", env[1:], "prog", "x"); got != want {
		t.Errorf("through the shell: %q, want %q", got, want)
	}
	if got := run(third, env[1:], "./prog", "it's $HOME"); got != "third\n" {
		t.Errorf("through the shell, below the directory: %q", got)
	}
	j, err := d.Launch(cores.Program{Name: "test", Args: []string{"no-such-program"}, Dir: "/"}, core0)
	if err != nil {
		t.Fatal(err)
	}
	if e := await(t, j); e.Code != 127 {
		t.Errorf("no program, through the shell: %+v", e)
	}
}

// A program may live and work on a mount that this process serves: even with
// one processor for everything and the garbage collector at work.
func TestProgramOnOurOwnMount(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs /dev/fuse and root")
	}
	dir := t.TempDir()
	server, err := fs.Mount(dir, &fs.Inode{}, &fs.Options{OnAdd: nil, MountOptions: fuse.MountOptions{FsName: "hosttest", DirectMount: true}})
	if err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer server.Unmount()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	d := open(t, Options{})
	defer d.Close()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link} {
		got := outputOf(t, d, core0, cores.Program{Name: "test", Args: []string{"pwd", "-P"}, Dir: path})
		if strings.TrimSpace(got) != dir {
			t.Errorf("in %s: %q, want %s", path, got, dir)
		}
	}
	j, err := d.Launch(cores.Program{Name: "test", Args: []string{link + "/none"}, Dir: "/"}, core0)
	if err != nil {
		t.Fatal(err)
	}
	if e := await(t, j); e.Code != 127 {
		t.Errorf("a program that is not on the mount: %+v", e)
	}
}

func TestMounts(t *testing.T) {
	text := `27 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
42 27 0:39 / /mnt/w rw,nosuid - fuse.warren warren rw
43 42 0:40 / /mnt/w/in rw - tmpfs tmpfs rw
44 27 0:41 / /mnt/a\040b rw - tmpfs tmpfs rw
45 27 0:42 / /mnt/twice rw - nfs4 server rw
46 27 0:43 / /mnt/twice rw - tmpfs tmpfs rw
cut
`
	p := paths{local: parseMounts(text)}
	p.mounts, _ = os.Open("/proc/self/mountinfo")
	defer p.close()
	p.changed()
	for path, want := range map[string]string{
		"/": "/", "/mnt": "/", "/mnt/what": "/", "/mnt/wide": "/", "/mnt/w": "", "/mnt/w/x": "", "/mnt/w/in/x": "",
		"/mnt/a b/c": "/mnt/a b", "/mnt/twice": "",
	} {
		if mount, ok := p.mountOf(path); mount != want || ok != (want != "") {
			t.Errorf("%s is on %q, %v, want %q", path, mount, ok, want)
		}
	}
}

func TestCredential(t *testing.T) {
	me, other := &sys.User{UID: 7}, &sys.User{UID: 8, GID: 9, Groups: []uint32{10}}
	for _, test := range []struct {
		name string
		euid int
		u    *sys.User
		uid  int // to become; -1: nobody else; -2: refused
	}{
		{"nobody in particular", 7, nil, -1},
		{"itself", 7, me, -1},
		{"another", 7, other, -2},
		{"root for another", 0, other, 8},
		{"root for itself", 0, &sys.User{}, -1},
		{"root for none", 0, sys.Nobody(), -2},
		{"none for none", sys.NobodyID, sys.Nobody(), -2},
	} {
		cred, err := credential(test.euid, test.u)
		switch {
		case test.uid == -2:
			if !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v", test.name, err)
			}
		case err != nil || (cred == nil) != (test.uid == -1) || cred != nil && int(cred.Uid) != test.uid:
			t.Errorf("%s: %+v, %v", test.name, cred, err)
		}
	}
}

func TestRunsAsTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	d := open(t, Options{})
	defer d.Close()
	u := &sys.User{UID: 12345, GID: 23456, Groups: []uint32{34567}}
	out := outputOf(t, d, core0, cores.Program{Name: "id", Args: []string{"sh", "-c", "id -u; id -g; id -G"}, Dir: "/", User: u})
	if strings.Join(strings.Fields(out), " ") != "12345 23456 23456 34567" {
		t.Errorf("id says %q", out)
	}
	// What is root's alone is refused to the program, though the server could.
	secret := t.TempDir()
	if err := os.Chmod(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range []cores.Program{
		{Name: "x", Args: []string{"/bin/true"}, Dir: secret, User: u},
		{Name: "x", Args: []string{secret + "/none"}, Dir: "/", User: u},
	} {
		if _, err := d.Launch(p, core0); sys.Errno(err) != syscall.EACCES {
			t.Errorf("%q in %s: %v", p.Args, p.Dir, err)
		}
	}
}

func TestStandardFiles(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	in, err := os.Open(script(t, "in", "from stdin\n", 0o644))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p := cores.Program{
		Name: "files", Dir: "/", Stdin: in,
		Args: []string{"sh", "-c", `cat; echo "$A"; echo err >&2; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0`},
		Env:  []string{"PATH=/usr/bin:/bin", "A=b"},
	}
	got := outputOf(t, d, core0, p)
	if want := "from stdin\nb\nerr\n4\n" + in.Name() + "\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Stdin = nil
	if got := outputOf(t, d, core0, p); !strings.HasSuffix(got, "/dev/null\n") {
		t.Errorf("with no standard input: %q", got)
	}
}

// A frozen program gets the signals of meanwhile when it goes on, once each,
// and sees nothing of the freeze.
func TestFreezeKeepsSignals(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := func() string { b, _ := os.ReadFile(out); return string(b) }
	prog := `trap 'echo cont' CONT; trap 'echo usr1' USR1; trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done`
	launched, err := d.Launch(cores.Program{Name: "x", Args: []string{"sh", "-c", prog}, Dir: "/", Stdout: f}, core0)
	if err != nil {
		t.Fatal(err)
	}
	defer launched.Kill()
	j := launched.(*job)
	if _, ok := j.group.(*cgroup); !ok {
		t.Skip("needs cgroup v2")
	}
	eventually(t, "ready", func() bool { return text() == "ready\n" })
	if err := j.Freeze(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "frozen", func() bool {
		b, _ := os.ReadFile(filepath.Join(j.group.(*cgroup).dir, "cgroup.events"))
		return strings.Contains(string(b), "frozen 1")
	})
	if err := j.Signal(int(syscall.SIGUSR1)); err != nil {
		t.Fatal(err)
	}
	if text() != "ready\n" {
		t.Errorf("while frozen: %q", text())
	}
	if err := j.Freeze(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal of meanwhile", func() bool { return text() == "ready\nusr1\n" })
	if err := j.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if e := await(t, j); e.Code != 9 || text() != "ready\nusr1\nbye\n" {
		t.Errorf("%+v, %q", e, text())
	}
}

// A program may make cgroups of its own below the job's.
func TestCgroupsBelow(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	run := func(args ...string) (*job, string) {
		j, err := d.Launch(cores.Program{Name: "cgroup.kill", Args: args, Dir: "/", Env: os.Environ()}, core0)
		if err != nil {
			t.Fatal(err)
		}
		g, ok := j.(*job).group.(*cgroup)
		if !ok {
			j.Kill()
			t.Skip("needs cgroup v2")
		}
		return j.(*job), g.dir
	}
	j, dir := run("sleep", "1000000")
	defer j.Kill()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Skipf("cannot make cgroups: %v", err)
	}
	if err := os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(strconv.Itoa(j.PID())), 0); err != nil {
		t.Fatal(err)
	}
	if ths := j.Threads(); len(ths) != 1 || ths[0].TID != j.PID() {
		t.Errorf("threads %+v", ths)
	}
	if !d.groups.owns(j.PID()) || d.groups.owns(os.Getpid()) {
		t.Error("the driver does not know its own")
	}
	if err := j.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, j)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is left: %v", err)
	}
}

func TestUsage(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	j, err := d.Launch(cores.Program{Name: "x", Args: []string{"sh", "-c", "while :; do :; done"}, Dir: "/"}, core0)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Kill()
	eventually(t, "20 ms of work", func() bool { u := j.Usage(); return u.User+u.Sys > 20*time.Millisecond })
	before := j.Usage()
	j.Kill()
	if u := await(t, j).Usage; u.User < before.User || u.Sys < before.Sys || u.Real < before.Real || u.Real < u.User {
		t.Errorf("at exit %+v, before %+v", u, before)
	}
}

// serverEnv makes the test binary a server that launches what it says and
// then waits to be killed.
const serverEnv = "HOST_TEST_SERVER"

func TestProgramsOutliveTheServer(t *testing.T) {
	if prog := os.Getenv(serverEnv); prog != "" {
		d, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		j, err := d.Launch(cores.Program{Name: "left", Args: strings.Fields(prog), Dir: "/"}, core0)
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("pid " + strconv.Itoa(j.PID()) + "\n")
		select {}
	}
	server := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	server.Env = append(os.Environ(), serverEnv+"=sleep 1000000")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "pid ")))
	if err != nil {
		t.Fatal(err)
	}
	server.Process.Kill()
	server.Wait()
	if unix.Kill(pid, 0) != nil {
		t.Error("the program ended with the server")
	}
	base := baseOf(t, server.Process.Pid)
	again := func() {
		d := open(t, Options{})
		defer d.Close()
		output(t, d, core0, "true")
	}
	again()
	if base != "" {
		if _, err := os.Stat(base); err != nil {
			t.Errorf("the next server took the cgroup of what still runs: %v", err)
		}
	}
	unix.Kill(pid, unix.SIGKILL)
	eventually(t, "the end of the program", func() bool {
		st, ok := statOf(filepath.Join("/proc", strconv.Itoa(pid)))
		return !ok || st.state == 'Z'
	})
	again()
	if base != "" {
		if _, err := os.Stat(base); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the next server did not sweep %s: %v", base, err)
		}
	}
}

// baseOf is the cgroup of the driver of a process, "" without cgroups.
func baseOf(t *testing.T, pid int) string {
	t.Helper()
	parent, why := Cgroup("/")
	if why != "" {
		return ""
	}
	dir := filepath.Join(parent, basePrefix+strconv.Itoa(pid))
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// Somebody who tidies up may remove a driver's cgroup while it is empty.
func TestBaseTidiedAway(t *testing.T) {
	d := open(t, Options{})
	defer d.Close()
	output(t, d, core0, "true")
	if d.groups.base == "" {
		t.Skip("needs cgroup v2")
	}
	if err := os.Remove(d.groups.base); err != nil {
		t.Fatal(err)
	}
	if got := output(t, d, core0, "echo", "still"); got != "still\n" {
		t.Errorf("%q", got)
	}
}

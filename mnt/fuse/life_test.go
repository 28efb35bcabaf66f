package fuse

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	wfs "warren/fs"
	wtest "warren/fs/fstest"
	"warren/fs/sys"
)

// Variables that make the test binary a server, to be killed, or the victim of
// a storm.
const (
	serveDir = "WARREN_TEST_FUSE_DIR"
	stormDir = "WARREN_TEST_FUSE_STORM"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(stormDir); dir != "" {
		rounds, err := strconv.Atoi(os.Args[1])
		if err == nil {
			err = storm(dir, rounds)
		}
		if err != nil {
			fmt.Println("failed:", err)
		}
		return
	}
	dir := os.Getenv(serveDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	mnt, err := Mount(wtest.NewTree().Root, dir, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	mnt.Wait()
}

// server starts a server of its own process on a directory.
func serverOn(t *testing.T, dir string, as *syscall.Credential) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("the server says %q, %v", line, err)
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

func mountCount(t *testing.T, dir string) int {
	t.Helper()
	at, err := mountsAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(at)
}

func TestKilledServer(t *testing.T) {
	need(t)
	dir := mountPoint(t)
	kill(t, serverOn(t, dir, nil))
	if _, err := os.Stat(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("stat of a dead mount: %v", err)
	}
	if err := Clear(dir); err != nil {
		t.Errorf("clearing a dead mount: %v", err)
	}
	if n := mountCount(t, dir); n != 0 {
		t.Errorf("%d mounts after Clear", n)
	}
}

// TestMountOverDead mounts over a mount whose server was killed just now, when the
// kernel still has the attributes of its root.
func TestMountOverDead(t *testing.T) {
	need(t)
	dir := mountPoint(t)
	server := serverOn(t, dir, nil)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	kill(t, server)
	m, err := Mount(wtest.NewTree().Root, dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := mountCount(t, dir); n != 1 {
		t.Errorf("%d mounts", n)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
}

func TestClearLive(t *testing.T) {
	need(t)
	m := mountTree(t, wtest.NewTree())
	held, err := syscall.Open(filepath.Join(m.where.dir, "queue"), syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Clear(m.where.dir); err != nil {
		t.Errorf("clearing a mount in use: %v", err)
	}
	if n := mountCount(t, m.where.dir); n != 0 {
		t.Errorf("%d mounts", n)
	}
	if err := syscall.Close(held); err != nil {
		t.Error(err)
	}
	m.Wait() // the server sees that it is over
}

func TestClearRefuses(t *testing.T) {
	need(t)
	dir := t.TempDir()
	for _, tt := range []struct{ dir, want string }{
		{dir, "nothing is mounted on " + dir},
		{"/proc", "what is mounted on /proc is not a warren (proc)"},
		{filepath.Join(dir, "no", "where"), "no such file or directory"},
	} {
		if err := Clear(tt.dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("clearing %s: %v, want %q", tt.dir, err, tt.want)
		}
	}
}

func TestMountRefuses(t *testing.T) {
	need(t)
	live := mountTree(t, wtest.NewTree()).where.dir
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir   string
		errno syscall.Errno
	}{
		{dir, syscall.ENOTEMPTY},
		{file, syscall.ENOTDIR},
		{filepath.Join(dir, "missing"), syscall.ENOENT},
		{filepath.Join(dir, "missing", "too"), syscall.ENOENT},
		{live, syscall.EBUSY},
	} {
		m, err := Mount(wtest.NewTree().Root, tt.dir, options(t))
		if err == nil {
			_ = m.Unmount()
		}
		if sys.Errno(err) != tt.errno || !strings.HasPrefix(err.Error(), "mount: "+tt.dir) {
			t.Errorf("mount on %s: %v, want %v", tt.dir, err, tt.errno)
		}
	}
}

// TestMountByLink mounts by a symbolic link and a path with odd characters.
func TestMountByLink(t *testing.T) {
	need(t)
	base := t.TempDir()
	odd, link := filepath.Join(base, "a b\\c"), filepath.Join(base, "link")
	if err := errors.Join(os.Mkdir(odd, 0o755), os.Symlink("a b\\c", link)); err != nil {
		t.Fatal(err)
	}
	m, err := Mount(wtest.NewTree().Root, link, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := mountCount(t, odd); n != 1 {
		t.Errorf("%d mounts on the directory", n)
	}
	if err := Clear(link); err != nil {
		t.Error(err)
	}
	m.Wait()
	if err := m.Unmount(); err != nil {
		t.Errorf("unmounting again: %v", err)
	}
}

// TestUnmountBusy unmounts while others have files open, wait, and stand in a
// directory: nothing holds it up, and all of them find out.
func TestUnmountBusy(t *testing.T) {
	needRoot(t)
	tree := wtest.NewTree()
	m := mountTree(t, tree)
	reader, end := start(t, []string{"/bin/sh"}, m.where.dir, `cd $D/objs; exec 4<$D/status; cat $D/queue; cat $D/queue; exec sleep 1000 <&4`)
	until(t, "the reader waits", func() bool {
		_, r, _ := tree.Queue.State()
		return r == 1
	})
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	if n := mountCount(t, m.where.dir); n != 0 {
		t.Errorf("%d mounts", n)
	}
	m.Wait()
	if n := tree.Opens(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	_ = reader.Process.Kill()
	_ = ends(t, "the reader", end)
}

// TestMountUmountByCommand lets umount(8) end a mount.
func TestMountUmountByCommand(t *testing.T) {
	needRoot(t)
	m := mountTree(t, wtest.NewTree())
	if out, err := exec.Command("umount", m.where.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Wait()
}

func TestType(t *testing.T) {
	need(t)
	m := mountTree(t, wtest.NewTree())
	at, err := mountsAt(m.where.dir)
	if err != nil || len(at) != 1 || at[0].fstype != "fuse.warren" {
		t.Errorf("mounted are %+v, %v", at, err)
	}
}

// TestHelper mounts as those do who are not root.
func TestHelper(t *testing.T) {
	need(t)
	if _, err := helper(); err != nil {
		t.Skip(err)
	}
	dir := mountPoint(t)
	dev, err := mountHelper(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	m := newMount(wtest.NewTree().Root, dev, options(t))
	if m.where, err = placeOf(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "wall/inside")); string(got) != "behind the wall\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	m.Wait()
}

// TestUser mounts as a user, which needs a device that users may open.
func TestUser(t *testing.T) {
	needRoot(t)
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode()&0o006 != 0o006 {
		t.Skipf("users may not open /dev/fuse here: %v, %v", st.Mode(), err)
	}
	dir := mountPoint(t)
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	kill(t, serverOn(t, dir, &syscall.Credential{Uid: 12345, Gid: 12345}))
	if err := Clear(dir); err != nil {
		t.Error(err)
	}
}

// descriptors returns what files the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestNothingStays(t *testing.T) {
	need(t)
	before := descriptors(t)
	for range 3 {
		tree := wtest.NewTree()
		m := mountTree(t, tree)
		a := access{m.where.dir, wtest.Root()}
		if _, err := a.ReadDir(""); err != nil {
			t.Error(err)
		}
		for _, path := range []string{"queue", "log", "objs/clone"} {
			f, err := a.Open(path, wfs.ORead)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		m.Wait()
		if n := tree.Opens(); n != 0 {
			t.Errorf("%d files are open", n)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// TestGoFS lets Go's own suite read a mount as Go's programs do.
func TestGoFS(t *testing.T) {
	need(t)
	dir := mountPoint(t)
	m, err := Mount(wtest.Plain(), dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	if err := fstest.TestFS(os.DirFS(dir), "empty", "none", "sub/log", "sub/sub/text"); err != nil {
		t.Error(err)
	}
}

// TestGoProgram reads a stream as any Go program does, whose runtime makes the
// descriptor non-blocking behind its back.
func TestGoProgram(t *testing.T) {
	need(t)
	tree := wtest.NewTree()
	m := mountTree(t, tree)
	f, err := os.Open(filepath.Join(m.where.dir, "queue"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, err := f.Read(b)
		got <- fmt.Sprint(string(b[:n]), err)
	}()
	until(t, "the reader waits", func() bool {
		_, r, _ := tree.Queue.State()
		return r == 1
	})
	if err := os.WriteFile(filepath.Join(m.where.dir, "queue"), []byte("hello"), 0); err != nil {
		t.Error(err)
	}
	select {
	case text := <-got:
		if text != "hello<nil>" {
			t.Errorf("read %q", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("the read never ends")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestWritersOfOneFile writes through copies of one descriptor: those who wait
// do not keep each other from waiting, and each can be killed.
func TestWritersOfOneFile(t *testing.T) {
	need(t)
	if kernelMinor(t) < 40 {
		t.Skip("this kernel makes writes of one file wait for each other")
	}
	tree := wtest.NewTree()
	m := mountTree(t, tree)
	f, err := access{m.where.dir, wtest.Root()}.Open("queue", wfs.OWrite|wfs.OTrunc)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := f.Write(t.Context(), []byte("fill")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	for _, c := range []context.Context{t.Context(), ctx} {
		go func() {
			_, err := f.Write(c, []byte("more"))
			errs <- err
		}()
	}
	until(t, "both wait", func() bool {
		_, _, w := tree.Queue.State()
		return w == 2
	})
	cancel()
	if err := ends(t, "the cancelled write", errs); err != syscall.EINTR {
		t.Errorf("the cancelled write: %v", err)
	}
	r := access{m.where.dir, wtest.Root()}
	in, err := r.Open("queue", wfs.ORead)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := in.Read(t.Context(), make([]byte, 10)); err != nil {
			t.Error(err)
		}
	}
	if err := ends(t, "the other write", errs); err != nil {
		t.Errorf("the other write: %v", err)
	}
	if err := errors.Join(f.Close(), in.Close()); err != nil {
		t.Error(err)
	}
}

// kernelMinor returns the kernel's version of the FUSE protocol, of which the
// major is 7, by way of the kernel's own version.
func kernelMinor(t *testing.T) int {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	switch {
	case major > 6 || major == 6 && minor >= 16:
		return 44
	case major == 6 && minor >= 9:
		return 40
	}
	return 31
}

// TestClosedDirectory closes a directory whose names the kernel remembers.
func TestClosedDirectory(t *testing.T) {
	needRoot(t)
	if kernelMinor(t) < 44 {
		t.Skip("this kernel remembers names for some seconds")
	}
	m := mountTree(t, wtest.NewTree())
	root, alice := access{m.where.dir, wtest.Root()}, access{m.where.dir, wtest.Alice()}
	if err := root.Chmod("wall", 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := alice.Stat("wall/inside"); err != nil {
			t.Fatal(err)
		}
	}
	if err := root.Chmod("wall", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Stat("wall/inside"); err != syscall.EACCES {
		t.Errorf("alice's stat: %v", err)
	}
	if _, err := alice.Open("wall/inside", wfs.ORead); err != syscall.EACCES {
		t.Errorf("alice's open: %v", err)
	}
}

// known returns how many files the kernel knows.
func known(m *Mounted) int {
	m.srv.nodes.mu.RLock()
	defer m.srv.nodes.mu.RUnlock()
	return len(m.srv.nodes.byID)
}

// TestNodes lists many files, of which few are remembered, and makes and
// removes objects, of which none are.
func TestNodes(t *testing.T) {
	need(t)
	m := mountTree(t, wtest.NewTree())
	a := access{m.where.dir, wtest.Root()}
	if all, err := a.ReadDir("big"); err != nil || len(all) != wtest.BigSize {
		t.Errorf("%d entries, %v", len(all), err)
	}
	before := known(m)
	if before > wtest.BigSize/10 {
		t.Errorf("%d files are remembered after a listing of %d", before, wtest.BigSize)
	}
	for range 50 {
		if err := a.Mkdir("objs/x", 0o777); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"objs/x/ctl", "objs/x/data", "objs/x/status", "ctl", "queue"} {
			if _, err := a.Stat(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Remove("objs/x"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the kernel forgets what is gone", func() bool { return known(m) <= before+10 })
}

// TestCreateInRemoved opens files as shells do, to be made if they are not there,
// in the directory of an object that was removed, and where none can be made.
func TestCreateInRemoved(t *testing.T) {
	need(t)
	tree := wtest.NewTree()
	a := access{mountTree(t, tree).where.dir, wtest.Root()}
	if err := a.Mkdir("objs/x", 0o777); err != nil {
		t.Fatal(err)
	}
	dir, err := syscall.Open(a.path("objs/x"), syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(dir)
	create := func(name string) error {
		fd, err := syscall.Openat(dir, name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o666)
		if err == nil {
			syscall.Close(fd)
		}
		return err
	}
	if err := create("data"); err != nil {
		t.Errorf("a file that is there: %v", err)
	}
	if err := create("none"); err != syscall.EPERM {
		t.Errorf("one that is not: %v", err)
	}
	var c wfs.Call // not of the kernel, which answers by itself for what it has removed
	c.Init(wtest.Root(), 0, nil, 0, false)
	objs, err := tree.Root.Walk(&c, "objs")
	if err != nil {
		t.Fatal(err)
	}
	if err := objs.Change(&c, wfs.Change{Op: wfs.OpRemove, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := create("data"); err != syscall.ENOENT {
		t.Errorf("one of a removed object: %v", err)
	}
}

// TestSeekInDirectory continues a listing from every position in turn.
func TestSeekInDirectory(t *testing.T) {
	need(t)
	m := mountTree(t, wtest.NewTree())
	fd, err := syscall.Open(m.where.dir, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var names []string
	pos := int64(0)
	for {
		if _, err := syscall.Seek(fd, pos, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := syscall.ReadDirent(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		// One entry at a time: struct linux_dirent64 has d_off at 8 and the name at 19.
		pos = int64(binary.NativeEndian.Uint64(buf[8:]))
		names = append(names, unix.ByteSliceToString(buf[19:]))
	}
	if got, want := strings.Join(names, " "), ". .. status table ctl log queue private objs big wall"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

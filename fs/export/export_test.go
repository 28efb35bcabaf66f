package export

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	p9test "github.com/hugelgupf/p9/fsimpl/test"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stand is a directory out of which nothing may get, what lies beside it,
// and a server.
type stand struct {
	t       *testing.T
	in, out string
	srv     *Server
}

func newStand(t *testing.T, o Options) *stand {
	t.Helper()
	top := t.TempDir()
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &stand{t: t, in: filepath.Join(top, "in"), out: filepath.Join(top, "out")}
	s.must(os.Mkdir(s.in, 0o755), os.Mkdir(s.out, 0o755))
	s.put("in/hello", "hello\n")
	s.put("out/secret", "secret\n")
	s.must(os.Chmod(filepath.Join(s.out, "secret"), 0o644))
	srv, err := New(s.in, o)
	if err != nil {
		t.Fatal(err)
	}
	s.srv = srv
	t.Cleanup(srv.Close)
	return s
}

func (s *stand) must(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) path(name string) string { return filepath.Join(filepath.Dir(s.in), name) }

func (s *stand) put(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(s.path(name), []byte(text), 0o644))
}

func (s *stand) text(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	s.must(err)
	return string(b)
}

// me is the user of this process.
func me() *sys.User { return new(sys.Users).ByUID(uint32(os.Geteuid()), uint32(os.Getegid())) }

// connect returns a connection of a user.
func (s *stand) connect(u *sys.User) net.Conn {
	s.t.Helper()
	here, there := socketPair(s.t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.srv.ServeConn(there, ninep.Identity{User: u})
	}()
	s.t.Cleanup(func() {
		here.Close()
		<-done
	})
	return here
}

func socketPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

// attach returns the root, as p9's own client has it.
func (s *stand) attach(u *sys.User) p9.File {
	s.t.Helper()
	c, err := p9.NewClient(s.connect(u))
	s.must(err)
	root, err := c.Attach("")
	s.must(err)
	return root
}

func (s *stand) walk(root p9.File, path string) p9.File {
	s.t.Helper()
	var names []string
	if path != "" {
		names = strings.Split(path, "/")
	}
	_, f, err := root.Walk(names)
	s.must(err)
	return f
}

func (s *stand) read(root p9.File, path string) string {
	s.t.Helper()
	f := s.walk(root, path)
	defer f.Close()
	text, err := readAll(f)
	s.must(err)
	return text
}

func readAll(f p9.File) (string, error) {
	if _, _, err := f.Open(p9.ReadOnly); err != nil {
		return "", err
	}
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return string(b[:n]), err
}

func wantErrno(t *testing.T, what string, err error, want ...linux.Errno) {
	t.Helper()
	if err == nil || !slices.Contains(want, linux.ExtractErrno(err)) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestSuite is p9's own for file systems.
func TestSuite(t *testing.T) {
	s := newStand(t, Options{Write: true})
	s.must(os.Remove(s.path("in/hello")))
	se := s.srv.session(nil, ninep.Identity{User: me()})
	p9test.TestFile(t, se)
	p9test.TestReadWriteFS(t, se)
	p9test.TestReadOnlyFS(t, se, p9test.WithDir("", "file2"))
}

// TestChanges does everything that can be done to files.
func TestChanges(t *testing.T) {
	s := newStand(t, Options{Write: true})
	root := s.attach(me())
	dir := s.walk(root, "")
	f, _, _, err := dir.Create("made", p9.ReadWrite, 0o640, p9.NoUID, p9.NoGID)
	s.must(err)
	if _, err := f.WriteAt([]byte("0123456789"), 0); err != nil {
		t.Error(err)
	}
	s.must(f.FSync())
	when := time.Unix(1e9, 5e6)
	s.must(f.SetAttr(p9.SetAttrMask{Size: true, Permissions: true}, p9.SetAttr{Size: 4, Permissions: 0o604}))
	s.must(f.SetAttr(p9.SetAttrMask{MTime: true, MTimeNotSystemTime: true}, p9.SetAttr{MTimeSeconds: 1e9, MTimeNanoSeconds: 5e6}))
	fi, err := os.Stat(s.path("in/made"))
	s.must(err)
	if fi.Mode() != 0o604 || !fi.ModTime().Equal(when) || s.text("in/made") != "0123" {
		t.Errorf("%v %v %q", fi.Mode(), fi.ModTime(), s.text("in/made"))
	}
	if _, err := root.Mkdir("sub", 0o751, p9.NoUID, p9.NoGID); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(s.path("in/sub")); err != nil || fi.Mode() != os.ModeDir|0o751 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	sub := s.walk(root, "sub")
	s.must(root.RenameAt("made", sub, "moved"))
	if text := s.read(root, "sub/moved"); text != "0123" {
		t.Errorf("moved: %q", text)
	}
	if _, err := f.WriteAt([]byte("x"), 4); err != nil || s.text("in/sub/moved") != "0123x" {
		t.Errorf("write to a file that was moved: %v", err)
	}
	moved := s.walk(root, "sub/moved")
	s.must(root.Link(moved, "linked"))
	if s.text("in/linked") != "0123x" {
		t.Error("linked is another file")
	}
	if _, err := root.Symlink("sub/moved", "soft", p9.NoUID, p9.NoGID); err != nil {
		t.Error(err)
	}
	if text, err := s.walk(root, "soft").Readlink(); err != nil || text != "sub/moved" {
		t.Errorf("%q, %v", text, err)
	}
	wantErrno(t, "a directory that is not empty", root.UnlinkAt("sub", 0x200), linux.ENOTEMPTY)
	s.must(sub.UnlinkAt("moved", 0), root.UnlinkAt("linked", 0), root.UnlinkAt("soft", 0), root.UnlinkAt("sub", 0x200))
	if fis, err := os.ReadDir(s.in); err != nil || len(fis) != 1 {
		t.Errorf("%v, %v", fis, err)
	}
	if st, err := root.StatFS(); err != nil || st.BlockSize == 0 || st.NameLength == 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestReadOnly tries to change things.
func TestReadOnly(t *testing.T) {
	s := newStand(t, Options{})
	before, err := os.Lstat(s.path("in/hello"))
	s.must(err)
	root := s.attach(me())
	hello := s.walk(root, "hello")
	for what, try := range map[string]func() error{
		"create": func() error {
			_, _, _, err := s.walk(root, "").Create("new", p9.ReadWrite, 0o644, p9.NoUID, p9.NoGID)
			return err
		},
		"mkdir":    func() error { _, err := root.Mkdir("new", 0o755, p9.NoUID, p9.NoGID); return err },
		"symlink":  func() error { _, err := root.Symlink("hello", "new", p9.NoUID, p9.NoGID); return err },
		"link":     func() error { return root.Link(hello, "new") },
		"rename":   func() error { return root.RenameAt("hello", root, "new") },
		"unlink":   func() error { return root.UnlinkAt("hello", 0) },
		"truncate": func() error { return hello.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}) },
		"chmod":    func() error { return hello.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{}) },
		"write":    func() error { _, _, err := s.walk(root, "hello").Open(p9.WriteOnly); return err },
		"rdwr":     func() error { _, _, err := s.walk(root, "hello").Open(p9.ReadWrite); return err },
		"trunc":    func() error { _, _, err := s.walk(root, "hello").Open(p9.ReadOnly | unix.O_TRUNC); return err },
	} {
		wantErrno(t, what, try(), linux.EROFS)
	}
	after, err := os.Lstat(s.path("in/hello"))
	s.must(err)
	if names, _ := os.ReadDir(s.in); len(names) != 1 || after.ModTime() != before.ModTime() || after.Size() != before.Size() {
		t.Errorf("something changed: %v %v", names, after)
	}
}

// TestBigDirectory lists more than a message holds, with both clients.
func TestBigDirectory(t *testing.T) {
	s := newStand(t, Options{})
	s.must(os.Mkdir(s.path("in/big"), 0o755))
	const n = 3000
	for i := range n {
		s.put(fmt.Sprintf("in/big/%d-%s", i, strings.Repeat("x", i%200)), "")
	}
	check := func(client string, names []string) {
		t.Helper()
		slices.Sort(names)
		if all := len(names); all != n || len(slices.Compact(names)) != n {
			t.Errorf("%s: %d names, %d different, want %d", client, all, len(slices.Compact(names)), n)
		}
	}
	d := s.walk(s.attach(me()), "big")
	_, _, err := d.Open(p9.ReadOnly)
	s.must(err)
	var names []string
	for cookie := uint64(0); ; {
		entries, err := d.Readdir(cookie, 8192)
		s.must(err)
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			names = append(names, e.Name)
		}
		cookie = entries[len(entries)-1].Offset
	}
	check("p9", names)
	cl, err := client.New(t.Context(), s.connect(me()), client.Options{Msize: 8192, Dialects: []ninep.Dialect{ninep.DotL}})
	s.must(err)
	defer cl.Close()
	stats, err := cl.ReadDir(t.Context(), "big")
	s.must(err)
	names = nil
	for _, st := range stats {
		names = append(names, st.Name)
	}
	check("warren", names)
	f, err := cl.Open(t.Context(), "hello", fs.ORead)
	s.must(err)
	if text, err := io.ReadAll(f); err != nil || string(text) != "hello\n" {
		t.Errorf("%q, %v", text, err)
	}
	s.must(f.Close())
}

// TestRights is that of a server that is root: the kernel judges the user.
func TestRights(t *testing.T) {
	s := newStand(t, Options{Write: true})
	if !s.srv.switches {
		t.Skip("needs root, and the capabilities to be others")
	}
	user := &sys.User{UID: 12345, GID: 12346, Groups: []uint32{12347}, Name: "glenda"}
	s.put("in/private", "root's")
	s.put("in/team", "the team's")
	s.must(os.Chmod(s.path("in/private"), 0o600), os.Chmod(s.path("in/team"), 0o660), os.Chown(s.path("in/team"), 0, 12347))
	s.must(os.Mkdir(s.path("in/closed"), 0o700), os.Mkdir(s.path("in/open"), 0o777))
	s.must(os.Chmod(s.path("in/open"), 0o777))
	s.put("in/closed/x", "x")
	root := s.attach(user)
	_, err := readAll(s.walk(root, "private"))
	wantErrno(t, "private", err, linux.EACCES)
	if text := s.read(root, "team"); text != "the team's" {
		t.Errorf("team: %q", text)
	}
	_, _, err = root.Walk([]string{"closed", "x"})
	wantErrno(t, "closed", err, linux.EACCES)
	_, _, _, err = s.walk(root, "").Create("new", p9.ReadWrite, 0o644, p9.NoUID, p9.NoGID)
	wantErrno(t, "create", err, linux.EACCES)
	wantErrno(t, "chown", s.walk(root, "team").SetAttr(p9.SetAttrMask{UID: true}, p9.SetAttr{UID: 12345}), linux.EPERM)
	f, _, _, err := s.walk(root, "open").Create("mine", p9.ReadWrite, 0o600, p9.NoUID, p9.NoGID)
	s.must(err)
	s.must(f.Close())
	var st unix.Stat_t
	s.must(unix.Stat(s.path("in/open/mine"), &st))
	if st.Uid != 12345 || st.Gid != 12346 || st.Mode&0o777 != 0o600 {
		t.Errorf("mine belongs to %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	nobody := s.attach(nil)
	if text := s.read(nobody, "hello"); text != "hello\n" {
		t.Errorf("nobody reads %q", text)
	}
	_, err = nobody.Mkdir("x", 0o755, p9.NoUID, p9.NoGID)
	wantErrno(t, "nobody makes a directory", err, linux.EROFS)
	_, err = readAll(s.walk(nobody, "private"))
	wantErrno(t, "nobody reads what is private", err, linux.EACCES)
	if text := s.read(s.attach(me()), "private"); text != "root's" {
		t.Errorf("and root reads %q", text)
	}
}

// TestThreadsStayThemselves does things as others in many threads, and looks
// that none of them keeps an identity.
func TestThreadsStayThemselves(t *testing.T) {
	if !canSwitch() {
		t.Skip("needs root, and the capabilities to be others")
	}
	done := make(chan error)
	for i := range uint32(16) {
		go func() {
			var errs []error
			for j := range uint32(200) {
				u := &sys.User{UID: 20000 + i, GID: 30000 + j, Groups: []uint32{40000 + i}}
				errs = append(errs, as(u, func() error {
					if uid, _ := unix.SetfsuidRetUid(-1); uid != int(u.UID) {
						return fmt.Errorf("became %d, not %d", uid, u.UID)
					}
					return nil
				}))
			}
			done <- errors.Join(errs...)
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err == nil && !bytes.Contains(text, []byte("\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n")) {
			t.Errorf("%s:\n%s", task, text)
		}
	}
}

// TestRefused is that of a server that cannot be others.
func TestRefused(t *testing.T) {
	s := newStand(t, Options{Write: true})
	s.srv.switches = false
	for _, u := range []*sys.User{nil, {UID: 12345, Name: "glenda"}} {
		c, err := p9.NewClient(s.connect(u))
		s.must(err)
		_, err = c.Attach("")
		wantErrno(t, "attach", err, linux.EPERM)
	}
	if text := s.read(s.attach(me()), "hello"); text != "hello\n" {
		t.Errorf("its own user reads %q", text)
	}
}

// TestUmask: the mode that a client asks for is the one it gets, and the
// process's umask is what it was when the server is closed.
func TestUmask(t *testing.T) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	srv, err := New(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if during := unix.Umask(0); during != 0 {
		t.Errorf("umask is %o while serving", during)
	}
	srv.Close()
	if after := unix.Umask(0); after != 0o027 {
		t.Errorf("umask is %o after", after)
	}
}

func TestNew(t *testing.T) {
	for path, want := range map[string]syscall.Errno{
		filepath.Join(t.TempDir(), "nothing"): syscall.ENOENT,
		"/dev/null":                           syscall.ENOTDIR,
	} {
		if _, err := New(path, Options{}); sys.Errno(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

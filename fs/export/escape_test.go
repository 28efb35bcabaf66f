package export

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// TestNoWayOut tries the ways out that stand still.
func TestNoWayOut(t *testing.T) {
	s := newStand(t, Options{Write: true})
	s.must(os.Symlink(s.path("out/secret"), s.path("in/file")),
		os.Symlink("../out", s.path("in/dir")),
		os.Symlink(s.path("out/new"), s.path("in/dangling")),
		os.Symlink("/proc/self/root", s.path("in/magic")))
	root := s.attach(me())
	for _, path := range []string{"..", ".", "", "dir/secret", "../out/secret", "dir/../../out", "magic/etc", "file/x", "x/../hello"} {
		if _, f, err := root.Walk(strings.Split(path, "/")); err == nil {
			t.Errorf("a walk to %q got to %v", path, f)
		}
	}
	for _, name := range []string{"file", "dir", "dangling", "magic"} {
		_, err := readAll(s.walk(root, name))
		wantErrno(t, "open "+name, err, linux.EINVAL, linux.ELOOP, linux.EPERM)
	}
	if text, err := s.walk(root, "file").Readlink(); err != nil || text != s.path("out/secret") {
		t.Errorf("the text of a link: %q, %v", text, err)
	}
	link := s.walk(root, "file")
	if err := link.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}); err == nil {
		t.Error("a link was truncated")
	}
	if err := link.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o777}); err == nil {
		t.Error("a link got a mode")
	}
	s.must(link.SetAttr(p9.SetAttrMask{MTime: true, MTimeNotSystemTime: true}, p9.SetAttr{MTimeSeconds: 1}))
	if _, _, _, err := s.walk(root, "").Create("dangling", p9.ReadWrite, 0o666, p9.NoUID, p9.NoGID); err == nil {
		t.Error("a file was made through a link")
	}
	for _, name := range []string{"../new", "..", ".", "", "sub/new", "a\x00b"} {
		if _, err := root.Mkdir(name, 0o777, p9.NoUID, p9.NoGID); err == nil {
			t.Errorf("a directory %q was made", name)
		}
		if err := root.RenameAt("hello", root, name); err == nil {
			t.Errorf("hello was renamed to %q", name)
		}
		if err := root.UnlinkAt(name, 0); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	s.untouched()
}

// untouched fails the test if anything outside has changed.
func (s *stand) untouched() {
	s.t.Helper()
	entries, err := os.ReadDir(s.out)
	s.must(err)
	if len(entries) != 1 || s.text("out/secret") != "secret\n" {
		s.t.Errorf("outside are %v, and %q", entries, s.text("out/secret"))
	}
	fi, err := os.Stat(s.path("out/secret"))
	s.must(err)
	if fi.Mode() != 0o644 || fi.ModTime().Unix() == 1 {
		s.t.Errorf("the mode is %v, the time %v", fi.Mode(), fi.ModTime())
	}
}

// TestAttachName: the name in a Tattach is walked to like any other.
func TestAttachName(t *testing.T) {
	s := newStand(t, Options{})
	s.must(os.Symlink("../out", s.path("in/dir")), os.Mkdir(s.path("in/sub"), 0o755))
	for _, name := range []string{"..", "../out", "dir/secret", "sub/../../out", "/..", "//"} {
		c, err := p9.NewClient(s.connect(me()))
		s.must(err)
		if _, err := c.Attach(name); err == nil {
			t.Errorf("attached to %q", name)
		}
	}
	c, err := p9.NewClient(s.connect(me()))
	s.must(err)
	if _, err := c.Attach("/sub"); err != nil {
		t.Error(err)
	}
}

// TestSwapped swaps what was walked to for a link that leads out, and then
// goes on.
func TestSwapped(t *testing.T) {
	s := newStand(t, Options{Write: true})
	s.must(os.Mkdir(s.path("in/d"), 0o755))
	s.put("in/d/secret", "mine\n")
	s.put("in/f", "mine\n")
	root := s.attach(me())
	d, f, f2 := s.walk(root, "d"), s.walk(root, "f"), s.walk(root, "f")
	s.must(os.Rename(s.path("in/d"), s.path("in/was-d")), os.Symlink(s.out, s.path("in/d")),
		os.Rename(s.path("in/f"), s.path("in/was-f")), os.Symlink(s.path("out/secret"), s.path("in/f")))
	if text := s.read(d, "secret"); text != "mine\n" {
		t.Errorf("below the directory is %q", text)
	}
	if text, err := readAll(f); err != nil || text != "mine\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
	s.must(f2.SetAttr(p9.SetAttrMask{Size: true, Permissions: true, MTime: true}, p9.SetAttr{Permissions: 0o600}))
	if _, err := d.Mkdir("new", 0o755, p9.NoUID, p9.NoGID); err != nil {
		t.Error(err)
	}
	s.must(d.UnlinkAt("secret", 0))
	if fi, err := os.Stat(s.path("in/was-f")); err != nil || fi.Size() != 0 || fi.Mode() != 0o600 {
		t.Errorf("the file that was meant: %v, %v", fi, err)
	}
	s.untouched()
}

// TestRaces swaps names for links that lead out all the time, while clients
// do all they can with them.
func TestRaces(t *testing.T) {
	const rounds = 300
	s := newStand(t, Options{Write: true})
	stop := s.swap()
	var all sync.WaitGroup
	for range 2 {
		root := s.attach(me())
		all.Go(func() {
			for range rounds {
				s.attack(root)
			}
		})
	}
	all.Wait()
	stop()
	s.untouched()
}

// TestRacesAreRaces holds the races to finding something: localfs by itself
// does get out when a name is swapped between two looks at it.
func TestRacesAreRaces(t *testing.T) {
	s := newStand(t, Options{Write: true})
	s.must(os.Mkdir(s.path("in/d"), 0o755), os.Symlink(s.out, s.path("in/l")))
	s.put("in/d/secret", "mine\n")
	root, err := localfs.Attacher(s.in).Attach()
	s.must(err)
	d := s.walk(root, "d")
	s.must(unix.Renameat2(unix.AT_FDCWD, s.path("in/d"), unix.AT_FDCWD, s.path("in/l"), unix.RENAME_EXCHANGE))
	if text := s.read(d, "secret"); text != "secret\n" {
		t.Errorf("read %q", text)
	}
}

// swap exchanges directory and link, file and link, until stop.
func (s *stand) swap() (stop func()) {
	s.must(os.Mkdir(s.path("in/d"), 0o777), os.Symlink(s.out, s.path("in/ld")), os.Symlink(s.path("out/secret"), s.path("in/lf")))
	s.put("in/d/secret", "mine\n")
	s.put("in/f", "mine\n")
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
			}
			for _, pair := range [][2]string{{"d", "ld"}, {"f", "lf"}} {
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(s.in, pair[0]), unix.AT_FDCWD, filepath.Join(s.in, pair[1]), unix.RENAME_EXCHANGE)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// attack does what would be seen outside, had it got there. Most of it fails,
// half of the time as the name is a link just then.
func (s *stand) attack(root p9.File) {
	for _, path := range [][]string{{"f"}, {"d", "secret"}} {
		for _, change := range []func(p9.File){
			func(f p9.File) {
				if text, err := readAll(f); err == nil && strings.HasPrefix(text, "secret") {
					s.t.Errorf("read what is outside through %v", path)
				}
			},
			func(f p9.File) {
				if _, _, err := f.Open(p9.WriteOnly); err == nil {
					_, _ = f.WriteAt([]byte("mine\n"), 0)
				}
			},
			func(f p9.File) { _ = f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 5}) },
			func(f p9.File) {
				_ = f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o640})
			},
		} {
			if _, f, err := root.Walk(path); err == nil {
				change(f)
				f.Close()
			}
		}
	}
	if _, d, err := root.Walk([]string{"d"}); err == nil {
		_, _ = d.Mkdir("new", 0o755, p9.NoUID, p9.NoGID)
		_, _ = d.Symlink("x", "soft", p9.NoUID, p9.NoGID)
		_ = d.RenameAt("secret", d, "moved")
		_ = d.RenameAt("moved", d, "secret")
		_ = d.UnlinkAt("new", 0x200)
		_ = d.UnlinkAt("soft", 0)
		d.Close()
	}
}

package fuse

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	wfs "warren/fs"
	"warren/fs/fstest"
)

// need skips a test on a machine that cannot mount. Where the tests run for
// the record, a device that is there must work.
func need(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse here")
	}
	if os.Geteuid() == 0 {
		return
	}
	if _, err := helper(); err != nil {
		skip(t, err.Error())
	}
}

// skip skips a test, but not where the tests run for the record.
func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// needRoot skips a test that acts as several users.
func needRoot(t testing.TB) {
	t.Helper()
	need(t)
	if os.Geteuid() != 0 {
		skip(t, "only root can act as another user")
	}
}

// mountPoint makes a directory that all may enter, and cleans up whatever is
// mounted there in the end.
func mountPoint(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		at, err := mountsAt(dir)
		if err != nil {
			t.Error(err)
		}
		if len(at) > 0 {
			t.Errorf("%s is still mounted", dir)
			_ = unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE)
		}
	})
	return dir
}

func options(t testing.TB) Options {
	return Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// mountTree mounts a tree for a test.
func mountTree(t testing.TB, tree *fstest.Tree) *Mounted {
	t.Helper()
	return mountNode(t, tree.Root)
}

// mountNode mounts the tree of a node for a test.
func mountNode(t testing.TB, root wfs.Node) *Mounted {
	t.Helper()
	need(t)
	m, err := Mount(root, mountPoint(t), options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		m.Wait()
		goleak.VerifyNone(t)
	})
	return m
}

package mcp

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMadeAhead: once there was a process, the files of the next are there
// before it starts; and none stays when nobody uses them.
func TestMadeAhead(t *testing.T) {
	base := t.TempDir()
	var d stateDir
	if err := d.open(base); err != nil {
		t.Fatal(err)
	}
	there := func() int {
		names, err := filepath.Glob(filepath.Join(d.path, "*.std*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if n := there(); n != 0 {
		t.Errorf("%d files before there was a process", n)
	}
	taken := map[int]bool{d.take(0): true}
	for range 3 * maxReady {
		d.made.Wait()
		if n := there(); n < 2*maxReady {
			t.Errorf("%d files are there, and %d were to be made ahead", n, 2*maxReady)
		}
		n := d.take(0)
		if taken[n] {
			t.Errorf("slot %d was taken twice", n)
		}
		taken[n] = true
		for _, name := range []string{stdoutName, stderrName} {
			if fi, err := os.Stat(d.base(n) + "." + name); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s of slot %d: %v, %v", name, n, fi, err)
			}
		}
	}
	for n := range taken {
		if err := d.give(n, 0, false); err != nil {
			t.Error(err)
		}
	}
	d.clear()
	if _, err := os.Stat(filepath.Join(base, "procs")); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

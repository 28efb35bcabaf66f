package host

import (
	"syscall"
	"testing"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

func TestMeasure(t *testing.T) {
	d, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const took = 500 * time.Millisecond // longer than a busy machine stalls
	if err := d.Measure(0, took); err != nil {
		t.Fatal(err)
	}
	if err := d.Measure(0, took); sys.Errno(err) != syscall.EBUSY {
		t.Errorf("a second probe at the same time: %v", err)
	}
	var p cores.Probe
	for p.Took == 0 {
		n, err := d.Noise(0)
		if err != nil || n.Probe.Began.IsZero() {
			t.Fatalf("%+v, %v", n.Probe, err)
		}
		p = n.Probe
		<-time.After(time.Millisecond)
	}
	if p.Took < took || p.Pieces == 0 || p.Least <= 0 || p.Most < p.Least || p.Hits > p.Pieces || p.Lost < 0 {
		t.Errorf("found %+v", p)
	}
	if err := d.Measure(0, time.Millisecond); err != nil {
		t.Errorf("measuring again: %v", err)
	}
	for _, bad := range []struct {
		id    cores.ID
		took  time.Duration
		errno syscall.Errno
	}{{-1, took, syscall.ENXIO}, {cores.ID(len(d.Cores())), took, syscall.ENXIO}, {0, 0, syscall.EINVAL}, {0, time.Hour, syscall.EINVAL}} {
		if err := d.Measure(bad.id, bad.took); sys.Errno(err) != bad.errno {
			t.Errorf("core %d for %v: %v", bad.id, bad.took, err)
		}
	}
}

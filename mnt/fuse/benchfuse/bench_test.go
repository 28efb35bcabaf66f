package benchfuse

import (
	"os"
	"testing"

	"warren/fs/fstest"
)

// TestRun checks that the measurement measures; the ratio is told, not judged,
// as a test must not fail for a busy machine.
func TestRun(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse here")
	}
	if os.Geteuid() != 0 {
		t.Skip("the peer is mounted by root only")
	}
	res, err := Run(fstest.NewTree().Root, "big/f7", Options{Rounds: 11})
	if err != nil {
		t.Fatal(err)
	}
	if res.Size != len("small\n") || res.Ours <= 0 || res.Peer <= 0 || res.Ratio <= 0 {
		t.Errorf("%+v", res)
	}
	t.Logf("ours %.0f/s, peer %.0f/s at best; ratio %.2f", res.Ours, res.Peer, res.Ratio)
}

// BenchmarkStatus prints the figures of a full run.
func BenchmarkStatus(b *testing.B) {
	for b.Loop() {
		res, err := Run(fstest.NewTree().Root, "big/f7", Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(res.Ours, "ours/s")
		b.ReportMetric(res.Peer, "peer/s")
		b.ReportMetric(res.Ratio, "ratio")
	}
}

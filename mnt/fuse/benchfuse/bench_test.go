package benchfuse

import (
	"os"
	"testing"
	"time"

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
	res, err := Run(fstest.NewTree().Root, "big/f7", Options{Rounds: 5, Each: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if res.Size != len("small\n") || res.Ours <= 0 || res.Peer <= 0 {
		t.Errorf("%+v", res)
	}
	t.Logf("ours %.0f/s, peer %.0f/s, ratio %.2f (medians; best: %.0f/s, %.0f/s)", res.OursMedian, res.PeerMedian, res.Ratio(), res.Ours, res.Peer)
}

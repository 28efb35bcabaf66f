// Package benchfuse measures how fast a small file of a mounted tree is
// opened, read and closed, beside a minimal go-fuse file of the same size, at
// the same depth and with the same flags and timeouts, in turns in one run.
package benchfuse

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"warren/fs"
	"warren/mnt/fuse"
)

// Options say how long to measure. The zero Options are good.
type Options struct {
	Rounds int           // of each side, in turns; 0: 41
	Each   time.Duration // of a round; 0: 25 ms
}

// A Result has the rates of the best round of each side, in open+read+close
// per second.
type Result struct {
	Ours, Peer float64
	// Ratio is how many times as long ours takes as the peer: the median
	// of the rounds, each compared with the round beside it, so that what
	// else the machine does falls on both.
	Ratio float64
	Size  int // bytes of the file
}

// Run mounts the tree, and the peer, on directories of its own, and reads the
// file at a path (without leading slash) of the tree.
func Run(root fs.Node, path string, o Options) (res Result, err error) {
	if o.Rounds == 0 {
		o.Rounds = 41
	}
	if o.Each == 0 {
		o.Each = 25 * time.Millisecond
	}
	tmp, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	ours, peer := filepath.Join(tmp, "ours"), filepath.Join(tmp, "peer")
	if err := errors.Join(os.Mkdir(ours, 0o700), os.Mkdir(peer, 0o700)); err != nil {
		return res, err
	}
	m, err := fuse.Mount(root, ours, fuse.Options{})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, m.Unmount()) }()
	text, err := readFile(filepath.Join(ours, path))
	if err != nil {
		return res, err
	}
	srv, err := mountPeer(peer, path, text)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, srv.Unmount()) }()
	res.Size = len(text)
	return res, measure(&res, filepath.Join(ours, path), filepath.Join(peer, path), o)
}

func measure(res *Result, ours, peer string, o Options) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ratios []float64
	for range o.Rounds {
		a, err := round(ours, o.Each)
		if err != nil {
			return err
		}
		b, err := round(peer, o.Each)
		if err != nil {
			return err
		}
		res.Ours, res.Peer = max(res.Ours, a), max(res.Peer, b)
		ratios = append(ratios, b/a)
	}
	slices.Sort(ratios)
	res.Ratio = ratios[len(ratios)/2]
	return nil
}

// round reads a file again and again, and returns how often a second.
func round(path string, d time.Duration) (float64, error) {
	buf := make([]byte, 4096)
	start := time.Now()
	n := 0
	for time.Since(start) < d {
		for range 16 {
			if err := once(path, buf); err != nil {
				return 0, err
			}
			n++
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

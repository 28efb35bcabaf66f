package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"warren/fs"
	"warren/mnt/fuse/benchfuse"
)

// withTree brings a machine up, on a socket of its own, to do something with
// its tree.
func withTree(do func(root fs.Node) error) error {
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startServer(serverOptions{
		machine: machineSpec{{slots: 4}}, state: dir, listen: []string{"unix!" + filepath.Join(dir, "sock")},
		log: new(slog.LevelVar), logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	defer s.stop()
	return do(s.root)
}

// benchFUSE compares the status of a process with a file of a minimal server.
func benchFUSE() ([]benchRow, error) {
	var got benchfuse.Result
	err := withTree(func(root fs.Node) (err error) {
		got, err = benchfuse.Run(root, "cores/1/status", benchfuse.Options{})
		return err
	})
	if err != nil {
		return nil, err
	}
	row := benchRow{
		Work: "fuse: open+read+close of cores/1/status", Unit: "1/s", Ours: got.Ours, Peer: got.Peer,
		Against: "a minimal go-fuse file of the same size and depth; the ratio is of times",
	}
	row.Ratio = got.Ratio
	row.Bar, row.OK = "<=1.20", row.Ratio <= 1.2
	return []benchRow{row}, nil
}

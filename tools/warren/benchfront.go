package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"warren/fs/ninep/bench9"
	"warren/mnt/fuse/benchfuse"
)

// How long each server does each work in turn, and how often.
const (
	bench9Rounds = 5
	bench9Each   = 300 * time.Millisecond
)

// bench9P compares the 9P server with p9's localfs and with the floor.
func bench9P() (rows []benchRow, err error) {
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var targets []bench9.Target
	for _, start := range []func(string) (*bench9.Peer, error){bench9.StartStatic, bench9.StartP9, bench9.StartFloor} {
		peer, err := start(dir)
		if err != nil {
			return nil, err
		}
		defer peer.Close()
		targets = append(targets, peer.Target)
	}
	got, err := bench9.Compare(context.Background(), targets, []int{1, 16}, bench9Rounds, bench9Each)
	for _, r := range got {
		row := benchRow{
			Work: fmt.Sprintf("9p: %s, %d in flight", r.Work, r.Flight), Unit: "1/s",
			Ours: r.Rates[0], Peer: r.Rates[1], Floor: r.Rates[2], Against: "hugelgupf/p9 v0.4.1 localfs",
		}
		rows = append(rows, row.held(true, 1))
	}
	return rows, err
}

// benchFUSE compares the status of a process with a file of a minimal server.
func benchFUSE() ([]benchRow, error) {
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := startServer(serverOptions{machine: spec{slots: 4}, state: dir, log: new(slog.LevelVar), logger: quiet})
	if err != nil {
		return nil, err
	}
	defer s.stop()
	got, err := benchfuse.Run(s.root, "cores/1/status", benchfuse.Options{})
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

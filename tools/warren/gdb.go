package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
)

func gdbCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "gdb PATH",
		Short:   "connect gdb to a simulated core, or to all cores of a process",
		Example: `gdb-multiarch -batch -ex 'target remote | warren gdb cores/5' -ex 'info registers pc' hello.elf`,
		Long: "Gdb passes gdb's remote protocol between its own input and output and the\n" +
			"file gdb of a simulated core (PATH is cores/N) or of a process on simulated\n" +
			"cores (procs/NAME), whose vcores are gdb's threads. The cores halt when gdb\n" +
			"connects, and go on when it detaches or ends. A machine of many busy cores and\n" +
			"long epochs may answer late: set remotetimeout 60 before target remote.",
		Args:              words(1, 1),
		ValidArgsFunction: completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
				return passGDB(ctx, cl, path.Join(args[0], "gdb"))
			})
		},
	}
}

// passGDB passes bytes both ways until one side ends.
func passGDB(ctx context.Context, cl *client.Client, p string) error {
	f, err := cl.Open(ctx, p, fs.ORead|fs.OWrite)
	if err != nil {
		return pathError(ctx, cl, p, err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- copyFile(ctx, f, os.Stdout) }()
	go func() { ended <- copyIn(ctx, f, os.Stdin, true) }()
	err = <-ended
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return refusal(ctx, cl, p, err)
}

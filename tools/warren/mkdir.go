package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"warren/fs/ninep/client"
)

func mkdirCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "mkdir PATH...",
		Short:             "make named objects: processes, channels",
		Example:           "warren mkdir procs/db chans/work",
		Args:              words(1, -1),
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			return eachPath(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
				return cl.Mkdir(ctx, p, 0o777)
			})
		},
	}
}

// eachPath does something to every path and tells of each that failed.
func eachPath(cmd *cobra.Command, paths []string, do func(ctx context.Context, cl *client.Client, p string) error) error {
	return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
		var failed []error
		for _, p := range paths {
			failed = append(failed, pathError(ctx, cl, p, do(ctx, cl, p)))
		}
		return errors.Join(failed...)
	})
}

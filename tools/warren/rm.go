package main

import (
	"context"

	"github.com/spf13/cobra"

	"warren/fs/ninep/client"
)

func rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rm PATH...",
		Short:             "remove idle objects with all their files",
		Example:           "warren rm procs/db chans/work",
		Args:              words(1, -1),
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			return eachPath(cmd, args, func(ctx context.Context, cl *client.Client, p string) error {
				return cl.Remove(ctx, p)
			})
		},
	}
}

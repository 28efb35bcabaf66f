package main

import (
	"github.com/spf13/cobra"

	"warren/mnt/fuse"
)

func umountCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "umount DIR",
		Short:   "take a mount away, also that of a server that was killed",
		Example: "warren umount /mnt",
		Args:    words(1, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return fuse.Clear(args[0])
		},
	}
}

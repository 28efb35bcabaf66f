package main

import (
	"errors"

	"github.com/spf13/cobra"

	"warren/fs/ninep/client"
	"warren/mnt/fuse"
)

func mountCommand() *cobra.Command {
	var o fuse.Options
	var talk client.Options
	cmd := &cobra.Command{
		Use:     "mount [-allow-other] [-stream NAME]... ADDR DIR",
		Short:   "mount a 9P server's tree through FUSE, until SIGTERM or SIGINT",
		Example: "warren mount unix!/run/warren.sock /mnt",
		Long: "Mount mounts the tree of any 9P server on an empty directory and stays in the\n" +
			"foreground. SIGTERM, SIGINT and umount end it and leave nothing behind; so\n" +
			"does the end of the server, which is an error.",
		Args:              words(2, 2),
		ValidArgsFunction: completeMount,
		RunE: func(cmd *cobra.Command, args []string) error {
			talk.TLS = clientTLS(cmd)
			return mount(args[0], args[1], talk, o)
		},
	}
	cmd.Flags().StringArrayVar(&talk.Streams, "stream", nil, "name of files that give a message a read on this server, as often as wanted")
	cmd.Flags().BoolVar(&o.AllowOther, "allow-other", false, "let other users in; the server judges what each may do")
	return cmd
}

// completeMount completes the directory; of addresses it knows nothing.
func completeMount(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// mount mounts and waits for the end: by a signal, by umount, or the server's.
func mount(addr, dir string, talk client.Options, o fuse.Options) error {
	ctx, stop := interruptible()
	defer stop()
	cl, err := client.Dial(ctx, addr, talk)
	if err != nil {
		return ended(ctx, noServer(addr, err))
	}
	defer cl.Close()
	m, err := fuse.Mount(cl.Node(), dir, o)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return m.Unmount()
	case <-cl.Done():
		return errors.Join(cl.Err(), m.Unmount())
	case <-gone(m):
		return nil
	}
}

// gone is closed when the mount is no more.
func gone(m *fuse.Mounted) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		m.Wait()
		close(c)
	}()
	return c
}

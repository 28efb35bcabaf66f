package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func catCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "cat PATH...",
		Short:   "print files of the tree; a stream until it ends or a signal comes",
		Example: "warren cat cores/stat",
		Long: "Cat prints files of the tree to their end. Each read of a stream gives one\n" +
			"message, which is printed at once; SIGINT ends the wait and takes nothing.",
		Args:              words(1, -1),
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
				for _, p := range args {
					if err := copyOut(ctx, cl, p, os.Stdout); err != nil {
						return pathError(ctx, cl, p, err)
					}
				}
				return nil
			})
		},
	}
}

// copyOut writes a file of the tree to w, a read at a time.
func copyOut(ctx context.Context, cl *client.Client, p string, w io.Writer) error {
	f, err := cl.Open(ctx, p, fs.ORead)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Kind() == fs.Directory {
		return sys.ErrIsDir
	}
	return copyFile(ctx, f, w)
}

func copyFile(ctx context.Context, f *client.File, w io.Writer) error {
	buf := make([]byte, f.IOUnit())
	for {
		n, err := f.ReadContext(ctx, buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

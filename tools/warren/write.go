package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func writeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "write PATH [TEXT...]",
		Short:   "write words, or standard input, to a file of the tree",
		Example: "warren write sched/ctl policy spread",
		Long: "Write writes the words with blanks between them and a newline at the end, as\n" +
			"one write: one command of a ctl file, one message of a channel. Without words\n" +
			"it writes standard input: as one write to the end of it, but for files named\n" +
			"lines and stdin, which get what is there as it comes. If the server refuses,\n" +
			"its own words say why.",
		Args:              words(1, -1),
		Annotations:       map[string]string{flagsFirst: "yes"},
		ValidArgsFunction: completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
				return write(ctx, cl, args[0], args[1:])
			})
		},
	}
	cmd.Flags().SetInterspersed(false) // the text may look like flags
	return cmd
}

func write(ctx context.Context, cl *client.Client, p string, words []string) error {
	f, err := cl.Open(ctx, p, fs.OWrite|fs.OTrunc)
	if err != nil {
		return pathError(ctx, cl, p, err)
	}
	if len(words) > 0 {
		_, err = f.WriteContext(ctx, []byte(strings.Join(words, " ")+"\n"))
	} else {
		err = copyIn(ctx, f, os.Stdin, live(path.Base(p)))
	}
	closed := f.Close()
	if err == nil && sys.Errno(closed) == syscall.ENOTCONN {
		return nil // what was answered is done: halt, for one, after which nobody is there
	}
	return errors.Join(refusal(ctx, cl, p, err), closed)
}

// live says that what is written to the file is a flow of bytes or lines, in
// which the bounds of a write mean nothing.
func live(name string) bool { return name == "lines" || name == "stdin" }

// copyIn writes all of r: each read at once (live), or as few writes as can
// be, cut at the end of a line.
func copyIn(ctx context.Context, f *client.File, r io.Reader, live bool) error {
	buf := make([]byte, f.IOUnit())
	for held := 0; ; {
		n, err := r.Read(buf[held:])
		held += n
		end := held
		if !live && err == nil {
			end = fullLines(buf, held)
		}
		if end > 0 {
			if _, err := f.WriteContext(ctx, buf[:end]); err != nil {
				return err
			}
			held = copy(buf, buf[end:held])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fullLines returns how much of a buffer to write before the end of the input
// is known: nothing until the buffer is full, then up to the last newline.
func fullLines(buf []byte, held int) int {
	if held < len(buf) {
		return 0
	}
	if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
		return i + 1
	}
	return held
}

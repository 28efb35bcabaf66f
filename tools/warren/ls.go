package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

func lsCommand() *cobra.Command {
	var long bool
	cmd := &cobra.Command{
		Use:               "ls [-l] [-o json] [PATH...]",
		Short:             "list directories of the tree",
		Example:           "warren ls -l procs",
		ValidArgsFunction: completePaths,
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "mode, owner, group, size, time and name")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := format.check(cmd); err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{"/"}
		}
		return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
			return list(ctx, cl, args, long, format.json())
		})
	}
	return cmd
}

// An entry is a file as ls shows it.
type entry struct {
	Path string
	fs.Stat
}

// list prints what the paths name. One that cannot be listed is told of, and
// the others are printed all the same.
func list(ctx context.Context, cl *client.Client, paths []string, long, asJSON bool) error {
	var all []entry
	var failed []error
	for _, p := range paths {
		entries, err := entriesOf(ctx, cl, p)
		if err != nil {
			failed = append(failed, pathError(ctx, cl, p, err))
		}
		all = append(all, entries...)
	}
	out := bufio.NewWriter(os.Stdout)
	var err error
	switch {
	case asJSON:
		err = printJSON(out, all)
	case long:
		err = printLong(out, all)
	default:
		for _, e := range all {
			fmt.Fprintln(out, e.Path)
		}
	}
	return errors.Join(append(failed, err, out.Flush())...)
}

// entriesOf returns a directory's entries in natural order, or the file itself.
func entriesOf(ctx context.Context, cl *client.Client, p string) ([]entry, error) {
	st, err := cl.Stat(ctx, p)
	if err != nil {
		return nil, err
	}
	if st.Qid.Kind != fs.Directory {
		return []entry{{p, st}}, nil
	}
	stats, err := cl.ReadDir(ctx, p)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(stats, func(a, b fs.Stat) int { return natural(a.Name, b.Name) })
	entries := make([]entry, len(stats))
	for i, st := range stats {
		entries[i] = entry{strings.TrimPrefix(path.Join(p, st.Name), "/"), st}
	}
	return entries, nil
}

// natural orders names so that cores/10 comes after cores/9.
func natural(a, b string) int {
	if digits(a) && digits(b) {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func printLong(w io.Writer, entries []entry) error {
	var users sys.Users
	tw := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	for _, e := range entries {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\n", modeString(e.Stat),
			users.Name(e.UID), users.Group(e.GID), e.Size, e.Mtime.Format("2006-01-02 15:04"), e.Path)
	}
	return tw.Flush()
}

func modeString(st fs.Stat) string {
	mode := os.FileMode(st.Mode & 0o777)
	if st.Qid.Kind == fs.Directory {
		mode |= os.ModeDir
	}
	return mode.String()
}

// jsonEntry has the fields that -o json prints for a file.
type jsonEntry struct {
	Name  string    `json:"name"`
	Path  string    `json:"path"`
	Dir   bool      `json:"dir"`
	Mode  string    `json:"mode"`
	UID   uint32    `json:"uid"`
	GID   uint32    `json:"gid"`
	Size  int64     `json:"size"`
	Mtime time.Time `json:"mtime"`
	Qid   uint64    `json:"qid"`
}

func printJSON(w io.Writer, entries []entry) error {
	rows := make([]jsonEntry, len(entries))
	for i, e := range entries {
		rows[i] = jsonEntry{
			Name: e.Name, Path: e.Path, Dir: e.Qid.Kind == fs.Directory,
			Mode: fmt.Sprintf("%04o", e.Mode), UID: e.UID, GID: e.GID,
			Size: e.Size, Mtime: e.Mtime.UTC(), Qid: e.Qid.Path,
		}
	}
	return writeJSON(w, rows)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

package main

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"warren/fs"
)

// completionTime bounds how long a shell waits for names.
const completionTime = 2 * time.Second

// completePaths completes a path of the tree by asking the server.
func completePaths(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	cl, err := dial(ctx, cmd)
	if err != nil {
		return nil, directive
	}
	defer cl.Close()
	dir, prefix := path.Split(word)
	stats, err := cl.ReadDir(ctx, dir)
	if err != nil {
		return nil, directive
	}
	var names []string
	for _, st := range stats {
		if !strings.HasPrefix(st.Name, prefix) {
			continue
		}
		name := dir + st.Name
		if st.Qid.Kind == fs.Directory {
			name += "/"
		}
		names = append(names, name)
	}
	return names, directive
}

// completeFirst completes a path as the first word only.
func completeFirst(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completePaths(cmd, args, word)
}

// completeFlag completes the value of a flag that has few.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag
	}
}

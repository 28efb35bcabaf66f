// Warren is the one program: the server of a machine's tree and the commands
// that reach it, or any other 9P server.
//
// Each command has a file of its own with a function that makes it; they are
// listed in rootCommand and share nothing but what dial.go (finding and calling
// the server), complete.go (tree paths for the shell) and flags.go hold.
//
// Exit statuses: 0, 1 for a refusal or a failure, 2 for a wrong command line,
// 128 + N when signal N ended the command. run has its own, see run.go.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra" // commands, help and shell completions from one description
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs a command line and returns the exit status.
func execute(args []string) int {
	root := rootCommand()
	root.SetArgs(longFlags(root, args))
	return report(root.Execute())
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "warren",
		Short: "a machine of many cores as a tree of files",
		Long: "Warren shows a machine and its many-core processes as a tree of files\n" +
			"and reaches that tree, or any other, over 9P.",
		Args:          cobra.ArbitraryArgs,
		RunE:          unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringP("addr", "a", "",
		"address of the server (default $WARREN_ADDR, then the running server's socket)")
	addTLSFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd, "%s", err)
	})
	root.AddCommand(
		lsCommand(),
		catCommand(),
		writeCommand(),
		mkdirCommand(),
		rmCommand(),
		psCommand(),
		runCommand(),
		mountCommand(),
		umountCommand(),
		serveCommand(),
		exportCommand(),
		proxyCommand(),
		certCommand(),
		ccCommand(),
		gdbCommand(),
		demoCommand(),
		doctorCommand(),
		docsCommand(),
		benchCommand(),
		benchEchoCommand(),
		bench9PCommand(),
	)
	return root
}

// unknownCommand is reached when no command matched.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += " (" + strings.Join(near, ", ") + "?)"
	}
	return usagef(cmd, "%s", text)
}

// An exitStatus is the end of a command that has already said what it had to.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// A usageError is a command line that cannot be right.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// usagef makes a usageError that says where to read on.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &usageError{fmt.Sprintf("%s (see %s -help)", text, cmd.CommandPath())}
}

// report prints an error, in one line (each), and returns the exit status.
func report(err error) int {
	var status exitStatus
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(os.Stderr, "warren:", strings.TrimSpace(line))
	}
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// words checks the number of words after the flags; most < 0 is any number.
func words(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef(cmd, "want: %s", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		}
		return nil
	}
}

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag" // the flags that cobra hands out
)

// flagsFirst marks a command whose flags end at its first word, as what
// follows is somebody else's command line.
const flagsFirst = "flags first"

// longFlags rewrites "-name" to "--name" where the command has a flag of that
// name, so that flags may be written with one dash, as everywhere in the
// manual, or with two. What is no flag of the command is left alone.
func longFlags(root *cobra.Command, args []string) []string {
	out := slices.Clone(args)
	cmd := root
	for i := skipCompletion(out); i < len(out); i++ {
		word := out[i]
		if word == "--" {
			break
		}
		if len(word) > 1 && word[0] == '-' {
			flag, long, inWord := findFlag(cmd, word)
			if long {
				out[i] = "-" + word
			}
			if flag != nil && !inWord && flag.NoOptDefVal == "" {
				i++ // its value, whatever it looks like
			}
			continue
		}
		sub := subcommand(cmd, word)
		if sub == nil && cmd.Annotations[flagsFirst] != "" {
			break
		}
		if sub != nil {
			cmd = sub
		}
		if cmd.DisableFlagParsing {
			break // it reads its own
		}
	}
	return out
}

// skipCompletion returns where the command line begins that a shell wants completed.
func skipCompletion(args []string) int {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return 1
	}
	return 0
}

func subcommand(cmd *cobra.Command, word string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == word || sub.HasAlias(word) {
			return sub
		}
	}
	return nil
}

// findFlag returns the command's flag that a word names, whether it does so by
// its long name after one dash, and whether the word holds the value as well.
func findFlag(cmd *cobra.Command, word string) (flag *pflag.Flag, long, inWord bool) {
	cmd.InitDefaultHelpFlag()
	name, _, inWord := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if name == "" {
		return nil, false, false
	}
	if flag := lookup(cmd, name); flag != nil && len(name) > 1 {
		return flag, !strings.HasPrefix(word, "--"), inWord
	}
	short := cmd.Flags().ShorthandLookup(name[:1])
	if short == nil {
		short = cmd.InheritedFlags().ShorthandLookup(name[:1])
	}
	return short, false, inWord || len(name) > 1
}

func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	if flag := cmd.Flags().Lookup(name); flag != nil {
		return flag
	}
	return cmd.InheritedFlags().Lookup(name)
}

package main

import "github.com/spf13/cobra"

// An outputFormat is the value of -o.
type outputFormat struct{ name string }

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command) *outputFormat {
	f := new(outputFormat)
	cmd.Flags().StringVarP(&f.name, "output", "o", "text", "text, or json for programs")
	completeFlag(cmd, "output", "text", "json")
	return f
}

func (f *outputFormat) check(cmd *cobra.Command) error {
	if f.name != "text" && f.name != "json" {
		return usagef(cmd, "-o %s: want text or json", f.name)
	}
	return nil
}

func (f *outputFormat) json() bool { return f.name == "json" }

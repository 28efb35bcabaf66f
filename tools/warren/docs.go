package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"warren/fs/tree"
)

// docsCommand writes the manual pages from the commands and from the tables
// of the tree, or checks that those which are there say what is true now.
func docsCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:    "docs [-check] DIR",
		Short:  "write the manual pages to a directory",
		Hidden: true,
		Args:   words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, page := range map[string][]byte{
				"warren.1": commandPage(cmd.Root()),
				"warren.4": tree.ManPage(),
			} {
				if err := putPage(filepath.Join(args[0], name), page, check); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, and fail if a page differs")
	return cmd
}

func putPage(name string, page []byte, check bool) error {
	if !check {
		return os.WriteFile(name, page, 0o644)
	}
	have, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, page) {
		return fmt.Errorf("%s is out of date: run go run ./tools/warren docs %s", name, filepath.Dir(name))
	}
	return nil
}

// commandPage returns the manual page warren(1), in the man macros of troff.
func commandPage(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString(".\\\" Made from the commands by \"warren docs\". Do not edit.\n.TH WARREN 1 \"\" \"warren\" \"User commands\"\n")
	fmt.Fprintf(&b, ".SH NAME\nwarren \\- %s\n.SH SYNOPSIS\n.B warren\n.RI [ \"\\-a ADDR\" \"] \" command \" [\" argument \" ...]\"\n", escape(root.Short))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", paragraphs(root.Long))
	manFlags(&b, root.PersistentFlags())
	b.WriteString(".SH COMMANDS\n")
	for _, cmd := range root.Commands() {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		manCommand(&b, cmd)
	}
	b.WriteString(".SH ADDRESSES\n" + paragraphs("unix!/path, tcp!host!port, vsock!cid!port and fd!3; also unix:/path and tcp:host:port. "+
		"Without one: the environment's WARREN_ADDR, then $XDG_RUNTIME_DIR/warren.sock if it answers, then /run/warren.sock.") + "\n")
	b.WriteString(".SH EXIT STATUS\n" + paragraphs("0; 1 for a refusal or a failure; 2 for a wrong command line; 128 + N when signal N ended the command. "+
		"That of run is the program's, or 128 + N when signal N ended the program.") + "\n")
	b.WriteString(".SH SEE ALSO\n.BR warren (4)\n")
	return b.Bytes()
}

func manCommand(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, ".SS %s\n", escape(strings.TrimSuffix(cmd.Use, " [flags]")))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintln(b, paragraphs(text))
	manFlags(b, cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		b.WriteString(".PP\n.EX\n")
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			fmt.Fprintln(b, "  "+escape(line))
		}
		b.WriteString(".EE\n")
	}
}

func manFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "-" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", escape(strings.TrimSpace(name+" "+kind)), escape(usage))
	})
}

// paragraphs escapes text and puts a paragraph macro at its empty lines.
func paragraphs(text string) string {
	lines := strings.Split(escape(text), "\n")
	for i, line := range lines {
		if line == "" {
			lines[i] = ".PP"
		} else if line[0] == '.' || line[0] == '\'' {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}

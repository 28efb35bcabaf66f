package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"warren/cores/riscv/spec"
	"warren/fs/ninep"
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
				"warren.4": tree.ManPage(protocolSection()),
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

// protocolSection returns what warren(4) says of the messages of 9P.
func protocolSection() []byte {
	var b bytes.Buffer
	b.WriteString(".SH 9P MESSAGES\n" + paragraphs("What the server does with each request of 9P2000, 9P2000.u and 9P2000.L. After a name are the fields of the request, then those of the answer; "+
		"those in brackets 9P2000 does not have. A message that the dialect does not have fails with EOPNOTSUPP, one whose fields do not fill it with EBADMSG, an unknown fid with EBADF; "+
		"one whose size is impossible ends the connection. What lies on another machine is asked there.") + "\n")
	for _, m := range ninep.Messages() {
		fmt.Fprintf(&b, ".TP\n.B %s\n.I %s\n(%s; answer: %s)\n.br\n", m.Name, escape(m.Fields), strings.Join(m.Dialects, ", "), escape(cmp.Or(m.Answer, "no fields")))
		if m.Refused != "" {
			fmt.Fprintf(&b, "Always fails: %s.\n", escape(m.Refused))
		}
		b.WriteString(paragraphs(m.Doc) + "\n")
	}
	return b.Bytes()
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
		for _, sub := range cmd.Commands() {
			manCommand(&b, sub)
		}
	}
	b.WriteString(".SH ADDRESSES\n" + paragraphs("unix!/path, tcp!host!port, tls!host!port, vsock!cid!port and fd!3 (a descriptor that we were started with); also unix:/path and tcp:host:port. "+
		"Without one: the environment's WARREN_ADDR, then $XDG_RUNTIME_DIR/warren.sock if it answers, then /run/warren.sock.") + "\n")
	b.WriteString(".SH MACHINES\n" + paragraphs(machinesText) + "\n")
	manExample(&b, machineExample)
	for _, k := range spec.Keys() {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escape(k[0]), escape(k[1]))
	}
	b.WriteString(".SH ENVIRONMENT\n" + paragraphs("WARREN_ADDR: the server. WARREN_TLS_CERT, WARREN_TLS_KEY, WARREN_TLS_CA: what clients show and believe at tls addresses.") + "\n")
	b.WriteString(".SH EXIT STATUS\n" + paragraphs("0; 1 for a refusal or a failure; 2 for a wrong command line; 128 + N when signal N ended the command. "+
		"That of run is the program's, or 128 + N when signal N ended the program.") + "\n")
	b.WriteString(".SH SEE ALSO\n.BR warren (4)\n")
	return b.Bytes()
}

func manCommand(b *bytes.Buffer, cmd *cobra.Command) {
	name := strings.TrimPrefix(cmd.Parent().CommandPath()+" "+cmd.Use, cmd.Root().Name()+" ")
	fmt.Fprintf(b, ".SS %s\n", escape(strings.TrimSuffix(name, " [flags]")))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintln(b, paragraphs(text))
	manFlags(b, cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		manExample(b, cmd.Example)
	}
}

// manExample writes lines as they are.
func manExample(b *bytes.Buffer, text string) {
	b.WriteString(".PP\n.EX\n")
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(b, "  "+escape(line))
	}
	b.WriteString(".EE\n")
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

// machinesText is what the manual says of machines, before the keys.
const machinesText = `Serve's -machine is host (this machine's cores), host,cores=N (N slots laid over them), the name of a simulated machine (blackhole, wormhole, occamy, mesh=WxH), the path of a description, or host and one simulated machine with + between them, whose cores then come behind the host's: host+blackhole.

Behind a simulated machine's name may stand, after commas: workers=N (how many processors of the host run it; at first all), quantum=CYCLES (of an epoch; see warren(4)), interpret (compile nothing) and strict (cores have the instructions of their ISAs and nothing extra): mesh=8x8,quantum=19. But for strict they change how fast it is, and the quantum what is rounded.

A description is a text file with a fact a line; # begins a comment. Sizes and addresses are decimal, or 0x..., or have K, M or G behind them. Those from core to barrier are about the kind above them. Tiles, and the cores in them, are numbered in the order of the lines tiles, and of each by rows from the top. Errors name the file and the line. The lines that there are, behind a plain grid as an example:`

const machineExample = `machine small
grid 4 2
kind node
core main rv32imac_zicsr_zicntr
sram 0 128K
private 1M
tiles node x=0-3,y=0-1`

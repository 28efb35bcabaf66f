package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"warren/tools/cc"
)

func ccCommand() *cobra.Command {
	var c cc.Command
	cmd := &cobra.Command{
		Use:   "cc [-m MACHINE] [-l1] [-role ROLE] [-o FILE] [GCC-FLAG...] FILE...",
		Short: "compile C or C++ for the cores of a simulated machine",
		Long: "Cc calls a stock gcc for RISC-V with the flags, the headers (warren.h, and those of\n" +
			"TT-Metalium's kernels and Snitch's runtime), the start-up code and the linker script of a\n" +
			"simulated machine; with -c, -S or -E as gcc does. All other flags are gcc's. If it is not\n" +
			"installed, or has no C library, cc says which packages are missing. CC in the environment\n" +
			"names another gcc. -### shows the command line and runs nothing. C++ has no library: no\n" +
			"exceptions, no types of run time, no std but what C has.\n\n" +
			"Programs lie in private memory, which each simulated core has from 0x80000000 on, and what uses\n" +
			"no network runs under qemu-riscv32, too. With -l1 text and constants lie in the SRAM of the\n" +
			"tile, at the place of the role, for all its cores to run; data stay private.",
		Example: "warren cc -O2 -Wall -o hello.elf hello.c\n" +
			"warren cc -m blackhole -l1 -role T1 -O2 -o compute.elf hello.c",
		DisableFlagParsing: true, // most are not ours
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			rest, help, err := ccFlags(cmd, &c, args)
			switch {
			case err != nil:
				return err
			case help:
				return cmd.Help()
			case len(rest) == 0:
				return usagef(cmd, "want: warren %s", cmd.Use)
			}
			c.Args = rest
			return compile(cmd, c)
		},
	}
	// For the manual: RunE reads them itself.
	f := cmd.Flags()
	f.StringVarP(&c.Machine, "machine", "m", "", "`machine` to compile for, as serve takes it, such as blackhole, or a file; mesh needs no size (default RV32IMAC, which all shipped machines and qemu run, but none that is strict)")
	f.BoolVar(&c.SRAM, "l1", false, "put text and constants into the tile's SRAM")
	f.StringVar(&c.Role, "role", "", "`role` of the cores that run it, by name or number (default the machine's first): their ISA, and with -l1 their place in SRAM")
	f.StringP("output", "o", "a.out", "`file` to write")
	return cmd
}

// ccFlags takes our flags out of a compiler's command line.
func ccFlags(cmd *cobra.Command, c *cc.Command, args []string) (rest []string, help bool, err error) {
	words := map[string]*string{"-m": &c.Machine, "-machine": &c.Machine, "-role": &c.Role}
	for i := 0; i < len(args); i++ {
		name, value, inWord := strings.Cut(args[i], "=")
		if strings.HasPrefix(name, "--") {
			name = name[1:]
		}
		to := words[name]
		switch {
		case to != nil && inWord:
			*to = value
		case to != nil && i+1 == len(args):
			return nil, false, usagef(cmd, "%s: what follows?", args[i])
		case to != nil:
			i++
			*to = args[i]
		case args[i] == "-l1" || args[i] == "--l1":
			c.SRAM = true
		case args[i] == "-h" || args[i] == "-help" || args[i] == "--help":
			return nil, true, nil
		default:
			rest = append(rest, args[i])
		}
	}
	return rest, false, nil
}

// compile runs the compiler, whose exit status is ours.
func compile(cmd *cobra.Command, c cc.Command) error {
	ctx, stop := interruptible()
	defer stop()
	line, err := c.Line(ctx)
	if err != nil {
		return err
	}
	gcc := exec.CommandContext(ctx, line[0], line[1:]...)
	gcc.Stdin, gcc.Stdout, gcc.Stderr = os.Stdin, cmd.OutOrStdout(), os.Stderr
	var exit *exec.ExitError
	if err := gcc.Run(); errors.As(err, &exit) && exit.Exited() {
		return exitStatus(exit.ExitCode())
	} else if err != nil {
		return ended(ctx, err)
	}
	return nil
}

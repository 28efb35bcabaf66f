// Guest runs a shell script in a virtual machine with warren in it:
//
//	go run ./tools/guest [-smp 16] [-numa 2] [-mem 512M] SCRIPT
//
// SCRIPT is a file, or - for standard input. The output comes as it is
// printed, and the exit status is the script's; 125 means that there was no
// guest. -fetch gets Debian's kernel into the cache first (alone: only that).
// See package tools/guest/guest for what is in the guest.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"warren/tools/guest/guest"
)

// failed is the exit status when it is not the script's.
const failed = 125

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	o := guest.Options{Output: os.Stdout}
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	flags.IntVar(&o.CPUs, "smp", 16, "processors")
	flags.IntVar(&o.Nodes, "numa", 0, "NUMA nodes (0: two, or one if the processors are odd)")
	memory := flags.String("mem", "512M", "memory, as 512M or 2G")
	flags.StringVar(&o.Cmdline, "append", "", "more kernel parameters")
	modules := flags.String("modules", "", "more kernel modules, separated by commas")
	programs := flags.String("programs", "bash,dash", "programs of this machine to take along, separated by commas")
	fetch := flags.Bool("fetch", false, "get Debian's kernel if there is none")
	times := flags.Bool("v", false, "say how long it took")
	if err := flags.Parse(args); err != nil {
		return failed, nil // the flags have said it
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *fetch {
		if err := guest.Fetch(ctx); err != nil || flags.NArg() == 0 {
			return statusOf(err), err
		}
	}
	if o.Memory, err = mebibytes(*memory); err != nil {
		return failed, err
	}
	o.Modules, o.Programs = list(*modules), list(*programs)
	if o.Script, err = read(flags.Args()); err != nil {
		return failed, err
	}
	r, err := guest.Run(ctx, o)
	if err != nil {
		return failed, err
	}
	if *times {
		fmt.Fprintf(os.Stderr, "guest: %.1f s to the script, %.1f s in all\n", r.Boot.Seconds(), r.Total.Seconds())
	}
	return r.Status, nil
}

func statusOf(err error) int {
	if err != nil {
		return failed
	}
	return 0
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// mebibytes reads 512M or 2G.
func mebibytes(s string) (int, error) {
	unit := 1
	digits, giga := strings.CutSuffix(s, "G")
	if giga {
		unit = 1024
	} else {
		digits = strings.TrimSuffix(s, "M")
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("memory %q: want a size as 512M or 2G", s)
	}
	return n * unit, nil
}

// read reads the script that the arguments name.
func read(args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("want one script, or - for standard input (see -h)")
	}
	if args[0] == "-" {
		text, err := io.ReadAll(os.Stdin)
		return string(text), err
	}
	text, err := os.ReadFile(args[0])
	return string(text), err
}

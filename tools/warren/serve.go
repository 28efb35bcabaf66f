package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func serveCommand() *cobra.Command {
	var (
		o       serverOptions
		machine string
		level   string
	)
	cmd := &cobra.Command{
		Use:   "serve [-machine SPEC] [-listen ADDR]... [-mount DIR] [-state DIR] [-cores SET]",
		Short: "show this machine as a tree, until SIGTERM or halt",
		Long: "Serve shows a machine as a tree over 9P, and mounts it if told to.\n" +
			"It says \"ready\" when it is. SIGTERM and SIGINT end the server and leave\n" +
			"programs running; \"echo halt >ctl\" ends the programs, then the server.",
		Example: "warren serve -mount /mnt\n" +
			"warren serve -machine host,cores=16 -listen unix!/tmp/w.sock -state /tmp/w",
		Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.machine, err = parseSpec(machine); err != nil {
				return usagef(cmd, "%s", err)
			}
			o.log = new(slog.LevelVar)
			if err := o.log.UnmarshalText([]byte(level)); err != nil {
				return usagef(cmd, "log level %q: want debug, info, warn or error", level)
			}
			o.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.log}))
			return serve(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&machine, "machine", "host", "what to serve: host (this machine's cores), or host,cores=N (N slots laid over them)")
	f.StringArrayVar(&o.listen, "listen", nil, "address to listen at, as often as wanted (default unix!/run/warren.sock; for others than root, warren.sock in $XDG_RUNTIME_DIR)")
	f.StringVar(&o.mount, "mount", "", "directory to mount the tree at")
	f.StringVar(&o.state, "state", defaultState(), "directory for the output of programs, and for what must outlive the server")
	f.StringVar(&o.only, "cores", "", "the cores to use; no others are touched (default all)")
	f.StringVar(&level, "log", "info", "what to log: debug, info, warn or error")
	f.BoolVar(&o.insecure, "insecure", false, "believe the user name that a TCP client claims")
	return cmd
}

func serve(o serverOptions) error {
	if len(o.listen) == 0 {
		if defaultSocket() == "" {
			return errors.New("where to listen? give -listen unix!PATH, as XDG_RUNTIME_DIR is not set")
		}
		o.listen = []string{defaultSocket()}
	}
	ctx, stop := interruptible()
	defer stop()
	s, err := startServer(o)
	if err != nil {
		return err
	}
	fmt.Printf("warren: %s, %d cores, at %s\n", s.driver.Name(), len(s.driver.Cores()), strings.Join(s.addrs, " "))
	if s.opt.mount != "" {
		fmt.Printf("warren: mounted at %s\n", s.opt.mount)
	}
	fmt.Println("warren: ready")
	s.wait(ctx)
	return s.stop()
}

// defaultSocket is where a server listens that was not told otherwise, and
// where clients look for it; "" if there is no such place.
func defaultSocket() string {
	if os.Geteuid() == 0 {
		return "unix!" + systemSocket
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return "unix!" + filepath.Join(dir, "warren.sock")
	}
	return ""
}

// defaultState is where a server keeps its state that was not told otherwise.
func defaultState() string {
	if os.Geteuid() == 0 {
		return "/var/lib/warren"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "warren")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return fmt.Sprintf("/tmp/warren-%d", os.Geteuid())
	}
	return filepath.Join(home, ".local", "state", "warren")
}

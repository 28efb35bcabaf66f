package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"warren/fs/sys"
)

func serveCommand() *cobra.Command {
	var (
		o       serverOptions
		machine string
		level   string
		users   string
	)
	cmd := &cobra.Command{
		Use:   "serve [-machine SPEC] [-listen ADDR]... [-mount DIR] [-state DIR] [-cores SET] [-tls-cert FILE -tls-key FILE -tls-ca FILE [-tls-users FILE]]",
		Short: "show this machine as a tree, until SIGTERM or halt",
		Long: "Serve shows a machine as a tree over 9P, and mounts it if told to.\n" +
			"It says \"ready\" when it is. SIGTERM and SIGINT end the server and leave\n" +
			"programs running; \"echo halt >ctl\" ends the programs, then the server.\n\n" +
			"With -tls-cert, -tls-key and -tls-ca everything that comes over TCP must be TLS 1.3,\n" +
			"and every client must show a certificate that an authority of -tls-ca vouches for;\n" +
			"who does not gets nothing. The name in the certificate (its subject's common name, else its\n" +
			"first DNS name, mail address or URI) is the user, by way of -tls-users; names and numbers that\n" +
			"a client claims lower nobody but root. The files are read again when they have changed.\n" +
			"Without TLS, who comes over TCP is the user none.\n\n" +
			"Without -listen, the sockets are those that systemd hands over, if it does; systemd is\n" +
			"told when the server is ready and when it stops, and its watchdog that the server answers.",
		Example: "warren serve -mount /mnt\n" +
			"warren serve -machine host,cores=16 -listen unix!/tmp/w.sock -state /tmp/w\n" +
			"warren serve -listen tls!*!5640 -tls-cert box.pem -tls-key box.key -tls-ca ca.pem",
		Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.machine, err = parseSpec(machine); err != nil {
				return usagef(cmd, "%s", err)
			}
			if o.logger, o.log, err = newLogger(cmd, level); err != nil {
				return err
			}
			if o.tls, err = serverTLS(cmd, users, new(sys.Users), o.logger); err != nil {
				return err
			}
			return serve(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&machine, "machine", "host", "what to serve: host (this machine's cores), host,cores=N (N slots laid over them), blackhole, wormhole, occamy, mesh=WxH, a file such as ./my.machine, or host+ and one of these (see MACHINES)")
	f.StringArrayVar(&o.listen, "listen", nil, "address to listen at, as often as wanted (default unix!/run/warren.sock; for others than root, warren.sock in $XDG_RUNTIME_DIR)")
	f.StringVar(&o.mount, "mount", "", "directory to mount the tree at")
	f.StringVar(&o.state, "state", defaultState(), "directory for the output of programs, and for what must outlive the server")
	f.StringVar(&o.only, "cores", "", "the cores to use; no others are touched (default all)")
	addLogFlag(f, &level)
	addUsersFlag(f, &users)
	f.BoolVar(&o.insecure, "insecure", false, "believe the user name that a TCP client claims")
	return cmd
}

func addLogFlag(f *pflag.FlagSet, level *string) {
	f.StringVar(level, "log", "info", "what to log: debug, info, warn or error")
}

// newLogger returns a log on standard error, and what changes its level.
func newLogger(cmd *cobra.Command, level string) (*slog.Logger, *slog.LevelVar, error) {
	v := new(slog.LevelVar)
	if err := v.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, usagef(cmd, "log level %q: want debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: v})), v, nil
}

func serve(o serverOptions) error {
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
	ready(o.logger, s.addrs)
	watching, unwatch := context.WithCancel(ctx)
	go watch(watching, o.logger, s.answers)
	s.wait(ctx)
	unwatch()
	stopping(o.logger)
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

// ownSocket is defaultSocket for a server.
func ownSocket() (string, error) {
	if addr := defaultSocket(); addr != "" {
		return addr, nil
	}
	return "", errors.New("where to listen? give -listen unix!PATH, as XDG_RUNTIME_DIR is not set")
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

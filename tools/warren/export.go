package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"warren/fs/export"
	"warren/fs/sys"
)

// exportOptions are what an export is started with.
type exportOptions struct {
	listen []string
	write  bool
	level  string
	users  string
}

func exportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [-rw] [-listen ADDR]... [-tls-cert FILE -tls-key FILE -tls-ca FILE [-tls-users FILE]] DIR",
		Short: "serve a directory of this host over 9P2000.L, until SIGTERM",
		Long: "Export serves an ordinary directory, with its files and directories, to clients of 9P2000.L\n" +
			"such as Linux and warren mount. Nothing outside of it can be reached: symbolic links are\n" +
			"shown, and followed by nobody here. Devices, pipes and sockets are not opened; there are no\n" +
			"locks and no extended attributes.\n\n" +
			"An export by root gives each client the rights of its user on this host, as the kernel judges\n" +
			"them; who comes over TCP without TLS is nobody, and only reads. An export by anybody else is for\n" +
			"that user and root, and has that user's rights. The names that clients claim do not count: all\n" +
			"of a connection has the rights of who made it.\n\n" +
			"A connection may have some thousands of files at a time, and name a million: mount again after that.",
		Example: "warren export -listen unix!/tmp/src.sock src",
		Args:    words(1, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runExport(cmd, o, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.write, "rw", false, "let clients change things (default: they read)")
	f.StringArrayVar(&o.listen, "listen", nil, "address to listen at, as often as wanted (default unix!/run/warren-export.sock; for others than root, warren-export.sock in $XDG_RUNTIME_DIR)")
	addLogFlag(f, &o.level)
	addUsersFlag(f, &o.users)
	return cmd
}

func runExport(cmd *cobra.Command, o exportOptions, dir string) error {
	log, _, err := newLogger(cmd, o.level)
	if err != nil {
		return err
	}
	users := new(sys.Users)
	tls, err := serverTLS(cmd, o.users, users, log)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	ds, err := doors(o.listen, exportSocket, tls...)
	if err != nil {
		return err
	}
	srv, err := export.New(dir, export.Options{Write: o.write, Users: users, Log: log})
	if err != nil {
		return closeAfter(err, ds)
	}
	how := "to be read"
	if o.write {
		how = "to be read and changed"
	}
	fmt.Printf("warren: %s, %s, at %s\n", dir, how, strings.Join(addrsOf(ds), " "))
	wait := serveDoors(ds, srv.Serve, log)
	<-ctx.Done()
	stopping(log)
	srv.Close()
	wait()
	return nil
}

// serveDoors serves what comes in, says that all is ready, and returns what
// waits for the end.
func serveDoors(ds []door, serve func(net.Listener) error, log *slog.Logger) (wait func()) {
	var all sync.WaitGroup
	for _, d := range ds {
		all.Go(func() {
			if err := serve(d); err != nil && !errors.Is(err, net.ErrClosed) {
				log.Error("listening ended", "addr", d.addr, "err", err)
			}
		})
	}
	fmt.Println("warren: ready")
	ready(log, addrsOf(ds))
	return all.Wait
}

// exportSocket is where an export listens that was not told otherwise.
func exportSocket() (string, error) {
	const name = "warren-export.sock"
	if os.Geteuid() == 0 {
		return "unix!" + filepath.Join(filepath.Dir(systemSocket), name), nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return "unix!" + filepath.Join(dir, name), nil
	}
	return "", errors.New("where to listen? give -listen unix!PATH, as XDG_RUNTIME_DIR is not set")
}

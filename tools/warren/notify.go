package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon" // tells systemd how we are

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
)

// ready tells the service manager that started us, if one did, that we serve.
func ready(log *slog.Logger, addrs []string) {
	tell(log, daemon.SdNotifyReady+"\nSTATUS=serving at "+strings.Join(addrs, " "))
}

// stopping tells it that we are about to end.
func stopping(log *slog.Logger) { tell(log, daemon.SdNotifyStopping+"\nSTATUS=ending") }

func tell(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell the service manager", "state", state, "err", err)
	}
}

// watch tells the service manager's watchdog, if it has one, that we are
// alive, as long as the check says so.
func watch(ctx context.Context, log *slog.Logger, check func(context.Context) error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, limit/3)
		err := check(within)
		cancel()
		if err != nil {
			log.Warn("the server does not answer itself", "err", err)
			continue
		}
		tell(log, daemon.SdNotifyWatchdog)
	}
}

// answers reads the machine's status as a client would.
func (s *server) answers(ctx context.Context) error {
	here, there := net.Pipe()
	go s.ninep.ServeConn(there, ninep.Identity{User: s.self})
	cl, err := client.New(ctx, here, client.Options{Dialects: []ninep.Dialect{ninep.DotL}, Uname: s.self.Name, UID: &s.self.UID})
	if err != nil {
		return err
	}
	defer cl.Close()
	f, err := cl.Open(ctx, "status", fs.ORead)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 256)
	n, err := f.Read(b)
	if err == nil && n == 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"warren/fs/ninep"
	"warren/fs/sys"
)

func proxyCommand() *cobra.Command {
	var p proxy
	var listen, level string
	cmd := &cobra.Command{
		Use:   "proxy [-any] -listen unix!PATH ADDR",
		Short: "give clients that know no TLS a socket to a server that wants it, until SIGTERM",
		Long: "Proxy listens on a unix socket and passes each connection on to the server at ADDR, as it\n" +
			"is, over a connection of its own. So Linux (v9fs) and Plan 9's programs can reach a\n" +
			"tls address, as the user whom the certificate names. As they act with that certificate, only\n" +
			"the user who runs the proxy, and root, may connect; all that they do there is done as that user.",
		Example: "warren proxy -listen unix!/tmp/far.sock tls!box.example!5640 -tls-cert glenda.pem -tls-key glenda.key -tls-ca ca.pem",
		Args:    words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			network, _, err := ninep.ParseAddr(listen)
			if err != nil || network != "unix" {
				return usagef(cmd, "-listen %q: want unix!PATH", listen)
			}
			if _, _, err := ninep.ParseAddr(args[0]); err != nil {
				return usagef(cmd, "%s", err)
			}
			if p.log, _, err = newLogger(cmd, level); err != nil {
				return err
			}
			p.to, p.option = args[0], ninep.WithTLS(clientTLS(cmd))
			return p.run(listen)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "", "unix socket to listen at")
	f.BoolVar(&p.any, "any", false, "let every user of this host connect, as you")
	addLogFlag(f, &level)
	return cmd
}

// A proxy passes connections on.
type proxy struct {
	to     string
	option ninep.Option
	any    bool
	log    *slog.Logger
	ctx    context.Context // ends calls under way
}

const (
	maxProxied = 256              // connections
	dialTime   = 10 * time.Second // to reach the server
	endTime    = 10 * time.Second // for one side to end after the other
)

func (p *proxy) run(listen string) error {
	ctx, stop := interruptible()
	defer stop()
	p.ctx = ctx
	ds, err := doors([]string{listen}, nil)
	if err != nil {
		return err
	}
	if err := p.restrict(listen); err != nil {
		return closeAfter(err, ds)
	}
	g := ninep.Gate{Handle: p.handle, Users: new(sys.Users), Log: p.log, MaxConns: maxProxied}
	fmt.Printf("warren: %s, at %s\n", p.to, strings.Join(addrsOf(ds), " "))
	wait := serveDoors(ds, g.Serve, p.log)
	<-ctx.Done()
	stopping(p.log)
	g.Close()
	wait()
	return nil
}

// restrict keeps others from the socket. They would be hung up anyway.
func (p *proxy) restrict(listen string) error {
	_, path, err := ninep.ParseAddr(listen)
	if err != nil || p.any || strings.HasPrefix(path, "@") {
		return err
	}
	return os.Chmod(path, 0o600)
}

// handle passes one connection on.
func (p *proxy) handle(nc net.Conn, id ninep.Identity) {
	defer nc.Close()
	if !p.any && !ours(id.User) {
		p.log.Warn("refused: neither ours nor root's", "pid", id.PID)
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, dialTime)
	far, err := ninep.Dial(ctx, p.to, p.option)
	cancel()
	if err != nil {
		p.log.Warn("cannot reach the server", "err", err)
		return
	}
	defer far.Close()
	stop := context.AfterFunc(p.ctx, func() { far.Close() })
	defer stop()
	join(nc, far)
}

// ours reports whether a user may use what is ours.
func ours(u *sys.User) bool {
	return u != nil && !u.None && (u.UID == 0 || u.UID == uint32(os.Geteuid()))
}

// join copies both ways until both sides have ended, or some time after the
// first has.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
			err = half.CloseWrite()
		}
		if err != nil {
			to.Close()
			from.Close()
		}
		done <- struct{}{}
	}
	go pass(a, b)
	go pass(b, a)
	<-done
	for _, nc := range []net.Conn{a, b} {
		_ = nc.SetDeadline(time.Now().Add(endTime)) // on a closed one this fails, and does not matter
	}
	<-done
}

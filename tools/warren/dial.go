package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"warren/fs/ninep"
	"warren/fs/ninep/client"
)

// systemSocket is where the machine's own server listens.
const systemSocket = "/run/warren.sock"

// address returns the server's address by TREE.md, "Addresses".
func address(cmd *cobra.Command) string {
	if a, _ := cmd.Flags().GetString("addr"); a != "" {
		return a
	}
	if a := os.Getenv("WARREN_ADDR"); a != "" {
		return a
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		own := filepath.Join(dir, "warren.sock")
		if nc, err := net.DialTimeout("unix", own, time.Second); err == nil {
			nc.Close()
			return "unix!" + own
		}
	}
	return "unix!" + systemSocket
}

// dial connects to the server. The dialect that carries both the text of an
// error and its number comes first, as people read what commands print.
func dial(ctx context.Context, cmd *cobra.Command) (*client.Client, error) {
	return dialAddr(ctx, address(cmd), clientTLS(cmd))
}

func dialAddr(ctx context.Context, addr string, tls func(host string) (*tls.Config, error)) (*client.Client, error) {
	cl, err := client.Dial(ctx, addr, client.Options{
		Dialects: []ninep.Dialect{ninep.DotU, ninep.DotL, ninep.Classic},
		TLS:      tls,
	})
	return cl, noServer(addr, err)
}

// noServer says what to do about a server that is not there.
func noServer(addr string, err error) error {
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no server at %s (start one with: warren serve)", addr)
	}
	if err != nil && strings.HasSuffix(err.Error(), "tls: bad certificate") {
		return fmt.Errorf("%w (the server must believe its authority, and know the user whom it names)", err)
	}
	return err
}

// withServer runs do with a connection to the server and a context that ends
// with SIGINT or SIGTERM; a command that was ended so has that exit status.
func withServer(cmd *cobra.Command, do func(ctx context.Context, cl *client.Client) error) error {
	ctx, stop := interruptible()
	defer stop()
	cl, err := dial(ctx, cmd)
	if err != nil {
		return ended(ctx, err)
	}
	defer cl.Close()
	return ended(ctx, do(ctx, cl))
}

// An interrupt is the cause of a context that a signal ended.
type interrupt struct{ sig syscall.Signal }

func (i interrupt) Error() string { return i.sig.String() }

// interruptible returns a context that SIGINT, SIGTERM or SIGHUP ends; until stop.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case s := <-sigs:
			signal.Stop(sigs) // the next one kills
			cancel(interrupt{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(sigs)
		cancel(nil)
	}
}

// ended turns an error into the exit status of a command that a signal ended.
func ended(ctx context.Context, err error) error {
	var i interrupt
	if err != nil && errors.As(context.Cause(ctx), &i) {
		return exitStatus(128 + int(i.sig))
	}
	return err
}

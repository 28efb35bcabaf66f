package main

import (
	"errors"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation" // by systemd's own developers: sockets that it opened for us

	"warren/fs/ninep"
)

// A door is where a server can be reached.
type door struct {
	net.Listener
	addr string
}

// doors opens all addresses or none. Without any they are the sockets that
// systemd gave us or, if there are none, otherwise.
func doors(addrs []string, otherwise func() (string, error), opts ...ninep.Option) ([]door, error) {
	if len(addrs) == 0 {
		if given := activation.Files(true); len(given) > 0 {
			defer closeAll(given)
			return openDoors(given, func(f *os.File) (net.Listener, error) { return ninep.Inherited(f, opts...) })
		}
		addr, err := otherwise()
		if err != nil {
			return nil, err
		}
		addrs = []string{addr}
	}
	return openDoors(addrs, func(addr string) (net.Listener, error) { return ninep.Listen(addr, opts...) })
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func openDoors[T any](from []T, open func(T) (net.Listener, error)) ([]door, error) {
	var ds []door
	for _, f := range from {
		l, err := open(f)
		if err != nil {
			return nil, errors.Join(err, closeDoors(ds))
		}
		ds = append(ds, door{l, ninep.AddrOf(l)})
	}
	return ds, nil
}

func closeDoors(ds []door) error {
	var errs []error
	for _, d := range ds {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// closeAfter closes them all because of an error.
func closeAfter(err error, ds []door) error { return errors.Join(err, closeDoors(ds)) }

// addrsOf returns the addresses, those of this machine that need no
// certificate first: programs are told the first.
func addrsOf(ds []door) []string {
	var local, other []string
	for _, d := range ds {
		if strings.HasPrefix(d.addr, "unix!") {
			local = append(local, d.addr)
		} else {
			other = append(other, d.addr)
		}
	}
	return append(local, other...)
}

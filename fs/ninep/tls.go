package ninep

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"syscall"

	"warren/fs/sys"
)

// An Option tells Dial or Listen more than the address does.
type Option func(*options)

type options struct {
	client func(host string) (*tls.Config, error)
	server *tls.Config
	who    func(*x509.Certificate) (*sys.User, error)
}

func optionsOf(opts []Option) *options {
	o := new(options)
	for _, set := range opts {
		set(o)
	}
	return o
}

// WithTLS lets Dial reach tls addresses; config is asked for each connection
// what to show the host, and whom to believe that it is the host.
func WithTLS(config func(host string) (*tls.Config, error)) Option {
	return func(o *options) { o.client = config }
}

// ServeTLS makes every TCP listener speak TLS. The config must demand a
// certificate of the client and verify it, and who says whose it is.
func ServeTLS(config *tls.Config, who func(*x509.Certificate) (*sys.User, error)) Option {
	return func(o *options) { o.server, o.who = config, who }
}

// secure wraps a listener that anybody can reach.
func (o *options) secure(l net.Listener) net.Listener {
	if o.server == nil || l.Addr().Network() != "tcp" {
		return l
	}
	return &tlsListener{Listener: l, config: o.server, who: o.who}
}

type tlsListener struct {
	net.Listener
	config *tls.Config
	who    func(*x509.Certificate) (*sys.User, error)
}

// Accept returns a Prover.
func (l *tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{Conn: tls.Server(nc, l.config), who: l.who}, nil
}

// A tlsConn is a connection whose client shows a certificate.
type tlsConn struct {
	*tls.Conn
	who func(*x509.Certificate) (*sys.User, error)
}

// Prove does the handshake.
func (c *tlsConn) Prove(ctx context.Context) (Identity, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return Identity{}, err
	}
	shown := c.ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return Identity{}, sys.Errorf(syscall.EACCES, "no certificate was shown")
	}
	u, err := c.who(shown[0])
	return Identity{User: u, Far: true}, err
}

func dialTLS(ctx context.Context, address string, o *options) (net.Conn, error) {
	if o.client == nil {
		return nil, sys.Errorf(syscall.EINVAL, "TLS takes a certificate to show, its key, and the CA of the server")
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := o.client(host)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{Config: config}
	return d.DialContext(ctx, "tcp", address)
}

// Package keys is the files that TLS needs: our certificate and its key, the
// authorities that we believe, and a table of who is who. It also makes a
// small authority and certificates of it, for a lab.
//
// The files are looked at for every connection and read again when one of
// them has changed, so certificates are renewed without a restart; what
// cannot be used is told to the log, and what was there before stays in
// force. Connections that are there already are left alone.
//
// Keys owns what was read. Its one lock is held while files are read, and
// nothing else is locked under it.
package keys

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"warren/fs/sys"
)

// Files are the names of PEM files, and of a table of users.
type Files struct {
	Cert, Key string // ours
	CA        string // of the other side
	Users     string // see User; may be empty
	Serve     bool   // ours must be a server's certificate: clients accept no other
}

// Keys are what the files say.
type Keys struct {
	files Files
	users *sys.Users
	log   *slog.Logger

	mu     sync.Mutex
	stamps [4]stamp // of what was read last, for better or worse
	now    *material
}

// material is one reading of the files.
type material struct {
	cert  tls.Certificate
	ca    *x509.CertPool
	names map[string]string // nil: there is no table
}

// A stamp tells versions of a file apart.
type stamp struct {
	inode uint64
	size  int64
	time  time.Time
}

// Load reads the files. The log is told what is wrong with later versions of
// them; it may be nil.
func Load(f Files, users *sys.Users, log *slog.Logger) (*Keys, error) {
	for _, need := range [][2]string{{f.Cert, "a certificate"}, {f.Key, "the key of the certificate"}, {f.CA, "the certificate of an authority"}} {
		if need[0] == "" {
			return nil, sys.Errorf(syscall.EINVAL, "TLS takes %s", need[1])
		}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keys{files: f, users: users, log: log, stamps: f.stamps()}
	var err error
	k.now, err = f.read()
	return k, err
}

func (f Files) stamps() (s [4]stamp) {
	for i, name := range []string{f.Cert, f.Key, f.CA, f.Users} {
		if fi, err := os.Stat(name); err == nil {
			s[i] = stamp{size: fi.Size(), time: fi.ModTime()}
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				s[i].inode = st.Ino
			}
		}
	}
	return s
}

func (f Files) read() (*material, error) {
	if err := private(f.Key); err != nil {
		return nil, err
	}
	m := new(material)
	var err error
	if m.cert, err = tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		return nil, fmt.Errorf("%s, %s: %w", f.Cert, f.Key, err)
	}
	if use := m.cert.Leaf.ExtKeyUsage; f.Serve && len(use)+len(m.cert.Leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(use, x509.ExtKeyUsageServerAuth) && !slices.Contains(use, x509.ExtKeyUsageAny) {
		return nil, sys.Errorf(syscall.EINVAL, "%s: this certificate is not a server's: no client accepts it (warren cert server makes one that they do)", f.Cert)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	m.ca = x509.NewCertPool()
	if !m.ca.AppendCertsFromPEM(text) {
		return nil, sys.Errorf(syscall.EINVAL, "%s: no certificate in it", f.CA)
	}
	if f.Users != "" {
		m.names, err = readUsers(f.Users)
	}
	return m, err
}

// private refuses a key that everybody may read. A group may: that is how
// systems give a service its key.
func private(name string) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	if fi.Mode().Perm()&0o007 != 0 {
		return sys.Errorf(syscall.EACCES, "%s: everybody may use this key (mend it with: chmod o= %s)", name, name)
	}
	return nil
}

// current returns what the files say now, or the last that made sense.
func (k *Keys) current() *material {
	k.mu.Lock()
	defer k.mu.Unlock()
	stamps := k.files.stamps() // before reading, so that what is written meanwhile is read again
	if stamps == k.stamps {
		return k.now
	}
	k.stamps = stamps
	m, err := k.files.read()
	if err != nil {
		k.log.Warn("tls: files have changed and cannot be used; the old ones stay in force", "err", err)
		return k.now
	}
	k.log.Info("tls: files have changed and were read again")
	k.now = m
	return m
}

// Server returns what a listener needs: TLS 1.3, and a certificate of every
// client that an authority vouches for and that names a user. Whoever has
// none fails the handshake.
func (k *Keys) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return k.server(k.current()), nil
		},
	}
}

// server is the config of one connection. No session is resumed: each
// connection is judged by the files as they are.
func (k *Keys) server(m *material) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{m.cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              m.ca,
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := k.User(cs.PeerCertificates[0])
			return err
		},
	}
}

// Client returns what it takes to call a host: TLS 1.3, our certificate, and
// a certificate of the host that an authority vouches for.
func (k *Keys) Client(host string) (*tls.Config, error) {
	m := k.current()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   host,
		Certificates: []tls.Certificate{m.cert},
		RootCAs:      m.ca,
	}, nil
}

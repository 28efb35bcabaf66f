package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"warren/fs/sys"
)

// A CA is an authority that lives in a directory: its certificate ca.pem, its
// key ca.key, and the certificates that it made, NAME.pem and NAME.key.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// How long certificates are good for. An authority outlives what it makes.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	Life     = 365 * 24 * time.Hour
	backdate = time.Hour // clocks differ
)

// NewCA makes an authority in a directory, which is made if need be. EEXIST if
// there is one.
func NewCA(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	t := template("warren lab CA", caLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	ca := &CA{dir: dir, cert: t}
	return ca, ca.make("ca", t)
}

// OpenCA opens the authority in a directory.
func OpenCA(dir string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sys.Errorf(syscall.ENOENT, "no authority in %s (make one with: warren cert init)", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, sys.Errorf(syscall.EINVAL, "%s: ca.pem is not the certificate of an authority", dir)
	}
	return &CA{dir: dir, cert: pair.Leaf, key: key}, nil
}

// Server makes NAME.pem and NAME.key for a server that is reached by these
// host names or addresses.
func (ca *CA) Server(name string, life time.Duration, hosts ...string) error {
	t := template(name, life)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return ca.issue(name, t)
}

// User makes NAME.pem and NAME.key for a client whom servers shall know by
// that name.
func (ca *CA) User(name string, life time.Duration) error {
	t := template(name, life)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return ca.issue(name, t)
}

func template(name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(life),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

// issue makes a certificate that lasts no longer than the authority.
func (ca *CA) issue(name string, t *x509.Certificate) error {
	if err := checkName(name); err != nil {
		return err
	}
	if time.Now().After(ca.cert.NotAfter) {
		return sys.Errorf(syscall.EKEYEXPIRED, "the authority in %s ended on %s: make a new one in another directory",
			ca.dir, ca.cert.NotAfter.Format(time.DateOnly))
	}
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	return ca.make(name, t)
}

// maxName is the longest common name, in bytes, that X.509 allows.
const maxName = 64

// checkName refuses what cannot be a file's name and a user's.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxName || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "."),
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }):
		return sys.Errorf(syscall.EINVAL, "name %q: want 1 to %d letters, digits and the like, not starting with - or .", name, maxName)
	case name == "ca":
		return sys.Errorf(syscall.EINVAL, "name %q: that is the authority's", name)
	}
	return nil
}

// make makes a key and a certificate for it, signed by the authority, or by
// itself if it is the authority's own, and writes both.
func (ca *CA) make(name string, t *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if ca.key == nil {
		ca.key = key
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(ca.dir, name+".key")
	if err := put(keyFile, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	if err := put(filepath.Join(ca.dir, name+".pem"), "CERTIFICATE", cert, 0o644); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

// put writes a file that is not there yet.
func put(name, kind string, der []byte, perm os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return sys.Errorf(syscall.EEXIST, "%s is there already: remove it first, or choose another name or directory", name)
	}
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

package keys

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"warren/fs/ninep"
	"warren/fs/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// me is the name of this process's user.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// newCA makes an authority with a server "box" and a client of our own name.
func newCA(t *testing.T) *CA {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if _, err := NewCA(dir); err != nil {
		t.Fatal(err)
	}
	ca, err := OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ca.Server("box", Life, "localhost", "127.0.0.1"), ca.User(me(t), Life)); err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *CA) file(name string) string { return filepath.Join(ca.dir, name) }

func (ca *CA) files(name string) Files {
	return Files{Cert: ca.file(name + ".pem"), Key: ca.file(name + ".key"), CA: ca.file("ca.pem")}
}

// A house is a server that greets everybody whom it lets in.
type house struct {
	addr   string
	served atomic.Int32
	said   said // by the log
	last   atomic.Pointer[sys.User]
}

// said is text that one goroutine writes and another reads.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const greeting = "welcome"

func open(t *testing.T, f Files, set ...func(*ninep.Gate)) *house {
	t.Helper()
	h := new(house)
	k, err := Load(f, new(sys.Users), slog.New(slog.NewTextHandler(&h.said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ninep.Listen("tls!127.0.0.1!0", ninep.ServeTLS(k.Server(), k.User))
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ninep.AddrOf(l)
	g := &ninep.Gate{Users: new(sys.Users), Proof: 5 * time.Second, Handle: func(nc net.Conn, id ninep.Identity) {
		h.served.Add(1)
		h.last.Store(id.User)
		_, _ = io.WriteString(nc, greeting)
		nc.Close()
	}}
	for _, set := range set {
		set(g)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	t.Cleanup(func() {
		g.Close()
		<-done
	})
	return h
}

// visit returns what a client gets, and the certificate that it saw.
func visit(t *testing.T, addr string, config func(string) (*tls.Config, error)) (string, *x509.Certificate, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	nc, err := ninep.Dial(ctx, addr, ninep.WithTLS(config))
	if err != nil {
		return "", nil, err
	}
	defer nc.Close()
	b, err := io.ReadAll(nc)
	return string(b), nc.(*tls.Conn).ConnectionState().PeerCertificates[0], err
}

func (h *house) welcomes(t *testing.T, f Files) *x509.Certificate {
	t.Helper()
	k, err := Load(f, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, cert, err := visit(t, h.addr, k.Client)
	if err != nil || text != greeting {
		t.Fatalf("got %q, %v", text, err)
	}
	return cert
}

// refuses checks that a client gets nothing, and is not served.
func (h *house) refuses(t *testing.T, what string, config func(string) (*tls.Config, error)) {
	t.Helper()
	before := h.served.Load()
	if text, _, err := visit(t, h.addr, config); err == nil || text != "" {
		t.Errorf("%s: got %q, %v", what, text, err)
	}
	if h.served.Load() != before {
		t.Errorf("%s: was served", what)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	h := open(t, ca.files("box"))
	h.welcomes(t, ca.files(me(t)))
	if u := h.last.Load(); u == nil || u.UID != uint32(os.Geteuid()) {
		t.Errorf("it was %v", u)
	}
	for _, name := range []string{"nosuchuser", "0", "none"} {
		if err := ca.User(name, Life); err != nil {
			t.Fatal(err)
		}
	}
	if err := ca.User("old", -time.Minute); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from *CA
		name string
	}{
		"another authority":      {other, me(t)},
		"an unknown user":        {ca, "nosuchuser"},
		"a number":               {ca, "0"},
		"a server's certificate": {ca, "box"},
		"one that has ended":     {ca, "old"},
	} {
		f := c.from.files(c.name)
		f.CA = ca.file("ca.pem")
		k, err := Load(f, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.refuses(t, name, k.Client)
	}
	good, err := Load(ca.files(me(t)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*tls.Config)) func(string) (*tls.Config, error) {
		return func(host string) (*tls.Config, error) {
			c, err := good.Client(host)
			change(c)
			return c, err
		}
	}
	h.refuses(t, "no certificate", with(func(c *tls.Config) { c.Certificates = nil }))
	h.refuses(t, "TLS 1.2", with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 }))
	h.welcomes(t, ca.files("none"))
	if u := h.last.Load(); !u.None {
		t.Errorf("none is %v", u)
	}
}

// TestPlainClient talks 9P to a TLS server.
func TestPlainClient(t *testing.T) {
	h := open(t, newCA(t).files("box"))
	for _, text := range []string{"\x15\x00\x00\x00\x64\xff\xff\x00\x20\x00\x00\x08\x009P2000.L", "GET / HTTP/1.0\r\n\r\n"} {
		nc, err := ninep.Dial(t.Context(), strings.Replace(h.addr, "tls", "tcp", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, text); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(nc)
		if strings.Contains(string(b), greeting) || h.served.Load() != 0 || len(b) > 16 {
			t.Errorf("got %q", b)
		}
	}
}

// TestHosts: whom a client believes.
func TestHosts(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	if err := ca.Server("far", Life, "far.example"); err != nil {
		t.Fatal(err)
	}
	k, err := Load(ca.files(me(t)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Files{
		"another host's":    ca.files("far"),
		"a user's":          ca.files(me(t)),
		"another authority": other.files("box"),
	} {
		h := open(t, f)
		h.refuses(t, name, k.Client)
	}
	if _, err := ninep.Dial(t.Context(), "tls!127.0.0.1!1"); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("without keys: %v", err)
	}
	if _, err := ninep.Listen("tls!127.0.0.1!0"); sys.Errno(err) != syscall.EINVAL {
		t.Errorf("without keys: %v", err)
	}
}

// renew replaces a certificate of ours.
func renew(t *testing.T, ca *CA, name string, make func() error) {
	t.Helper()
	if err := errors.Join(os.Remove(ca.file(name+".pem")), os.Remove(ca.file(name+".key")), make()); err != nil {
		t.Fatal(err)
	}
}

// TestRenewed: files are read again when they have changed, and not trusted
// when they make no sense.
func TestRenewed(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	f := ca.files("box")
	h := open(t, f)
	first := h.welcomes(t, ca.files(me(t)))
	renew(t, ca, "box", func() error { return ca.Server("box", Life, "127.0.0.1") })
	second := h.welcomes(t, ca.files(me(t)))
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("a new certificate was not taken up")
	}
	if err := os.WriteFile(f.Cert, []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	third := h.welcomes(t, ca.files(me(t)))
	if second.SerialNumber.Cmp(third.SerialNumber) != 0 || !strings.Contains(h.said.String(), "cannot be used") {
		t.Errorf("the log says %s", &h.said)
	}
	renew(t, ca, "box", func() error { return ca.Server("box", Life, "127.0.0.1") })
	h.welcomes(t, ca.files(me(t)))

	text, err := os.ReadFile(other.file("ca.pem"))
	if err == nil {
		err = os.WriteFile(f.CA, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	k, err := Load(other.files(me(t)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	believe := func(host string) (*tls.Config, error) { // the server, whose own certificate is the old authority's
		c, err := k.Client(host)
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(ca.cert)
		return c, err
	}
	if text, _, err := visit(t, h.addr, believe); err != nil || text != greeting {
		t.Errorf("a client of the new authority: %q, %v", text, err)
	}
	old, err := Load(Files{Cert: ca.file(me(t) + ".pem"), Key: ca.file(me(t) + ".key"), CA: ca.file("ca.pem")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.refuses(t, "a client of the old authority", func(host string) (*tls.Config, error) {
		c, err := old.Client(host)
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(ca.cert)
		return c, err
	})
}

// TestUsers: the table says who is who, and what is not in it is nobody.
func TestUsers(t *testing.T) {
	ca := newCA(t)
	if err := errors.Join(ca.User("alice", Life), ca.User("bob", Life)); err != nil {
		t.Fatal(err)
	}
	f := ca.files("box")
	f.Users = ca.file("users")
	table := func(text string) {
		t.Helper()
		if err := os.WriteFile(f.Users, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	table("# who is who\n\nalice " + me(t) + " # that is me\n'carol d''or' none\n")
	h := open(t, f)
	h.welcomes(t, ca.files("alice"))
	if u := h.last.Load(); u.UID != uint32(os.Geteuid()) {
		t.Errorf("alice is %v", u)
	}
	bob, err := Load(ca.files("bob"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.refuses(t, "bob, who is not in the table", bob.Client)
	mine, err := Load(ca.files(me(t)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.refuses(t, "a local user who is not in the table", mine.Client)
	table("bob none\nalice nosuchuser\n")
	h.welcomes(t, ca.files("bob"))
	if u := h.last.Load(); !u.None {
		t.Errorf("bob is %v", u)
	}
	alice, err := Load(ca.files("alice"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.refuses(t, "alice, who is nobody any more", alice.Client)
	table("bob none extra\n")
	h.welcomes(t, ca.files("bob"))
	if said := h.said.String(); !strings.Contains(said, "users:1: want") {
		t.Errorf("the log says %s", said)
	}
}

func TestReadUsers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	for text, want := range map[string]string{
		"a b\n'x y' z # w\n":  "",
		"":                    "",
		"a\n":                 "users:1: want",
		"a b\nc d e\n":        "users:2: want",
		"a b\n\n#\na c\n":     "users:4: a has a line already",
		"'a b\n":              "users:1: want",
		"a b #c\nd e # f g\n": "",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readUsers(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestName(t *testing.T) {
	uri, err := url.Parse("spiffe://lab/glenda")
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]x509.Certificate{
		"cn":                  {Subject: pkix.Name{CommonName: "cn"}, DNSNames: []string{"dns"}},
		"dns":                 {DNSNames: []string{"dns", "more"}, EmailAddresses: []string{"a@b"}},
		"a@b":                 {EmailAddresses: []string{"a@b"}, URIs: []*url.URL{uri}},
		"spiffe://lab/glenda": {URIs: []*url.URL{uri}},
		"":                    {},
	} {
		if got := Name(&c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	good := ca.files("box")
	for what, f := range map[string]Files{
		"no certificate": {Key: good.Key, CA: good.CA},
		"no key":         {Cert: good.Cert, CA: good.CA},
		"no CA":          {Cert: good.Cert, Key: good.Key},
		"other key":      {Cert: good.Cert, Key: other.file("box.key"), CA: good.CA},
		"CA is a key":    {Cert: good.Cert, Key: good.Key, CA: good.Key},
		"missing":        {Cert: good.Cert, Key: good.Key, CA: good.CA + "x"},
		"of a client":    {Cert: ca.file(me(t) + ".pem"), Key: ca.file(me(t) + ".key"), CA: good.CA, Serve: true},
		"missing users":  {Cert: good.Cert, Key: good.Key, CA: good.CA, Users: "nothing"},
	} {
		if _, err := Load(f, nil, nil); err == nil {
			t.Errorf("%s: loaded", what)
		}
	}
	server := good
	server.Serve = true
	if _, err := Load(server, nil, nil); err != nil {
		t.Errorf("a server's: %v", err)
	}
	if err := os.Chmod(good.Key, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(good, nil, nil); sys.Errno(err) != syscall.EACCES || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a key that all may read: %v", err)
	}
}

func TestCA(t *testing.T) {
	ca := newCA(t)
	for name, want := range map[string]os.FileMode{"ca.pem": 0o644, "ca.key": 0o600, "box.pem": 0o644, "box.key": 0o600} {
		if fi, err := os.Stat(ca.file(name)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
	before, err := os.ReadFile(ca.file("box.key"))
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"another box":      ca.Server("box", Life, "x"),
		"another user":     ca.User("box", Life),
		"the CA":           func() error { _, err := NewCA(ca.dir); return err }(),
		"a half of a pair": errors.Join(os.Remove(ca.file("box.pem")), ca.User("box", Life)),
	} {
		if sys.Errno(err) != syscall.EEXIST {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, err := os.ReadFile(ca.file("box.key")); err != nil || string(before) != string(after) {
		t.Errorf("a key was overwritten: %v", err)
	}
	if err := os.WriteFile(ca.file("left.pem"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ca.User("left", Life); sys.Errno(err) != syscall.EEXIST {
		t.Error(err)
	}
	if _, err := os.Stat(ca.file("left.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key without a certificate was left: %v", err)
	}
	for _, name := range []string{"", "ca", "../x", "a/b", ".hidden", "-flag", "a b", "a\n", strings.Repeat("x", 65)} {
		if err := ca.User(name, Life); sys.Errno(err) != syscall.EINVAL {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := ca.User("long", 100*Life); err != nil {
		t.Fatal(err)
	}
	if c := certificate(t, ca.file("long.pem")); c.NotAfter.After(ca.cert.NotAfter) {
		t.Error("a certificate outlives its authority")
	}
	c := certificate(t, ca.file(me(t)+".pem"))
	if life := time.Until(c.NotAfter); life > Life || life < Life-time.Hour || c.IsCA {
		t.Errorf("%v of life, CA: %v", life, c.IsCA)
	}
	if _, err := OpenCA(t.TempDir()); sys.Errno(err) != syscall.ENOENT || !strings.Contains(err.Error(), "cert init") {
		t.Error(err)
	}
	old := *ca.cert
	old.NotAfter = time.Now().Add(-time.Hour)
	ended := &CA{dir: ca.dir, cert: &old, key: ca.key}
	if err := ended.User("late", Life); sys.Errno(err) != syscall.EKEYEXPIRED {
		t.Error(err)
	}
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

package keys

import (
	"crypto/x509"
	"os"
	"strings"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// User returns the local user that a certificate stands for: the one whom the
// table of users gives its name, or without a table the user of that name.
// EACCES if there is none.
func (k *Keys) User(c *x509.Certificate) (*sys.User, error) {
	name := Name(c)
	local, err := k.local(name)
	if err != nil {
		return nil, err
	}
	if local == "none" {
		return sys.Nobody(), nil
	}
	u, err := k.users.ByName(local)
	if err != nil {
		return nil, sys.Errorf(syscall.EACCES, "certificate of %q: %v", name, err)
	}
	return u, nil
}

// local is the name of the local user.
func (k *Keys) local(name string) (string, error) {
	names := k.current().names
	if names != nil {
		if local, ok := names[name]; ok && name != "" {
			return local, nil
		}
		return "", sys.Errorf(syscall.EACCES, "certificate of %q: %s has no such name", name, k.files.Users)
	}
	if strings.Trim(name, "0123456789") == "" {
		return "", sys.Errorf(syscall.EACCES, "certificate of %q: a name is wanted, and a number is none", name)
	}
	return name, nil
}

// Name returns whom a certificate names: its subject's common name or, if it
// has none, its first DNS name, mail address or URI.
func Name(c *x509.Certificate) string {
	names := []string{c.Subject.CommonName}
	names = append(append(names, c.DNSNames...), c.EmailAddresses...)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	return ""
}

// readUsers reads the table of users: on each line the name in a certificate,
// quoted as in rc if there are blanks in it, and the name or uid of a local
// user, or "none". # begins a comment.
func readUsers(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words, err := fs.Words(line)
		if err == nil && len(words) > 2 && words[2][0] == '#' {
			words = words[:2]
		}
		if err != nil || len(words) != 2 {
			return nil, sys.Errorf(syscall.EINVAL, "%s:%d: want: the name in a certificate, and a local user's", file, n)
		}
		if _, twice := names[words[0]]; twice {
			return nil, sys.Errorf(syscall.EINVAL, "%s:%d: %s has a line already", file, n, fs.Quote(words[0]))
		}
		names[words[0]] = words[1]
	}
	return names, nil
}

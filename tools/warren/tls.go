package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"warren/fs/ninep"
	"warren/fs/ninep/keys"
	"warren/fs/sys"
)

// The flags that name the files of TLS, and what the environment calls them.
var tlsFlags = [...]struct{ flag, env, usage string }{
	{"tls-cert", "WARREN_TLS_CERT", "`file` of our certificate, for TLS"},
	{"tls-key", "WARREN_TLS_KEY", "`file` of its key"},
	{"tls-ca", "WARREN_TLS_CA", "`file` of the authorities that vouch for the other side"},
}

// addTLSFlags adds them to the program: servers and clients have them all.
func addTLSFlags(f *pflag.FlagSet) {
	for _, t := range tlsFlags {
		f.String(t.flag, "", t.usage+" (clients: default $"+t.env+")")
	}
}

func tlsFiles(get func(i int) string) keys.Files {
	return keys.Files{Cert: get(0), Key: get(1), CA: get(2)}
}

func flagOf(cmd *cobra.Command, i int) string {
	value, _ := cmd.Flags().GetString(tlsFlags[i].flag)
	return value
}

// clientTLS returns what dials tls addresses. The files are read when there is
// such an address to dial.
func clientTLS(cmd *cobra.Command) func(host string) (*tls.Config, error) {
	return dialTLS(func(i int) string {
		if name := flagOf(cmd, i); name != "" {
			return name
		}
		return os.Getenv(tlsFlags[i].env)
	}, noKeys("a tls address"))
}

// postTLS is clientTLS for what a server posts. Its own certificate is not one
// that clients show, so it goes by the environment alone.
func postTLS() func(host string) (*tls.Config, error) {
	return dialTLS(func(i int) string { return os.Getenv(tlsFlags[i].env) },
		sys.Errorf(syscall.EINVAL, "a tls address takes a client's certificate: %s, %s and %s in the server's environment", tlsFlags[0].env, tlsFlags[1].env, tlsFlags[2].env))
}

// dialTLS is clientTLS with the files that get says; lack is the error if it
// does not.
func dialTLS(get func(i int) string, lack error) func(host string) (*tls.Config, error) {
	load := sync.OnceValues(func() (*keys.Keys, error) {
		files := tlsFiles(get)
		if files.Cert == "" || files.Key == "" || files.CA == "" {
			return nil, lack
		}
		k, err := keys.Load(files, new(sys.Users), nil)
		if err != nil { // a file that is missing is not a server that is
			err = sys.Errorf(syscall.EINVAL, "%v", err)
		}
		return k, err
	})
	return func(host string) (*tls.Config, error) {
		k, err := load()
		if err != nil {
			return nil, err
		}
		return k.Client(host)
	}
}

// noKeys says what TLS takes.
func noKeys(what string) error {
	var flags, vars []string
	for _, t := range tlsFlags {
		flags, vars = append(flags, "-"+t.flag), append(vars, t.env)
	}
	return sys.Errorf(syscall.EINVAL, "%s takes %s, or for clients %s in the environment (warren cert makes such files)",
		what, strings.Join(flags, " "), strings.Join(vars, " "))
}

// addUsersFlag adds what only servers have.
func addUsersFlag(f *pflag.FlagSet, users *string) {
	f.StringVar(users, "tls-users", "", "`file` of lines \"name user\": who the clients are that show a certificate of that name"+
		" (default the local users of the same names)")
}

// serverTLS returns what Listen needs, nothing if no flag asks for TLS. The
// environment is the clients': a server does not change because of it.
func serverTLS(cmd *cobra.Command, tableOfUsers string, users *sys.Users, log *slog.Logger) ([]ninep.Option, error) {
	files := tlsFiles(func(i int) string { return flagOf(cmd, i) })
	if files == (keys.Files{}) && tableOfUsers == "" {
		return nil, nil
	}
	if files.Cert == "" || files.Key == "" || files.CA == "" {
		return nil, noKeys("serving TLS")
	}
	files.Users, files.Serve = tableOfUsers, true
	k, err := keys.Load(files, users, log)
	if err != nil {
		return nil, err
	}
	return []ninep.Option{ninep.ServeTLS(k.Server(), k.User)}, nil
}

package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"warren/fs/ninep/keys"
)

func certCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "make an authority and certificates for TLS in a lab",
		Long: "Cert makes what TLS takes where there is no authority that does: certificates of its own\n" +
			"authority, as PEM files in a directory. NAME.pem is a certificate and may be seen by all, NAME.key is\n" +
			"its key and may not; who has ca.key can be anybody. Nothing is overwritten: to renew a\n" +
			"certificate, remove it and its key and make it again; servers take it up by themselves.",
		Example: "warren cert init\nwarren cert server box box.example localhost 127.0.0.1\nwarren cert user glenda",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "`directory` of the authority and its certificates")
	cmd.AddCommand(certInit(&dir), certServer(&dir), certUser(&dir))
	return cmd
}

func certInit(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:     "init",
		Short:   "make an authority: ca.pem and ca.key",
		Long:    "Make an authority, ca.pem and ca.key, that lasts ten years.",
		Example: "warren cert init",
		Args:    words(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := keys.NewCA(*dir)
			return made(*dir, "ca", err)
		},
	}
}

func certServer(dir *string) *cobra.Command {
	var days int
	cmd := &cobra.Command{
		Use:     "server NAME HOST...",
		Short:   "make a certificate for a server that is reached by these host names or addresses",
		Example: "warren cert server box box.example localhost 127.0.0.1",
		Args:    words(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return issue(cmd, *dir, args[0], days, func(ca *keys.CA, life time.Duration) error {
				return ca.Server(args[0], life, args[1:]...)
			})
		},
	}
	addDays(cmd, &days)
	return cmd
}

func certUser(dir *string) *cobra.Command {
	var days int
	cmd := &cobra.Command{
		Use:     "user NAME",
		Short:   "make a certificate for a user, whom servers know by that name",
		Example: "warren cert user glenda",
		Args:    words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return issue(cmd, *dir, args[0], days, func(ca *keys.CA, life time.Duration) error {
				return ca.User(args[0], life)
			})
		},
	}
	addDays(cmd, &days)
	return cmd
}

// maxDays bounds a certificate's life; the authority's is the real bound.
const maxDays = 3650

func addDays(cmd *cobra.Command, days *int) {
	cmd.Flags().IntVar(days, "days", int(keys.Life/(24*time.Hour)), "how many `days` it is good for, if the authority is")
}

func issue(cmd *cobra.Command, dir, name string, days int, do func(*keys.CA, time.Duration) error) error {
	if days < 1 || days > maxDays {
		return usagef(cmd, "-days %d: want 1 to %d", days, maxDays)
	}
	ca, err := keys.OpenCA(dir)
	if err != nil {
		return err
	}
	return made(dir, name, do(ca, time.Duration(days)*24*time.Hour))
}

// made says what was made.
func made(dir, name string, err error) error {
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	fmt.Printf("%s.pem %s.key\n", path, path)
	return nil
}

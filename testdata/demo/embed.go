// Package demo carries the shell scripts that "warren demo" runs, so that the
// program needs nothing beside itself.
package demo

import "embed"

// Scripts holds wordcount.sh, which is started with a folder and a file of
// names in it, and worker.sh, which it starts on each core.
//
//go:embed *.sh
var Scripts embed.FS

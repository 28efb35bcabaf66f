package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// errorsTime bounds the wait for the text of an error.
const errorsTime = 2 * time.Second

// pathError puts the path before the text of an error.
func pathError(ctx context.Context, cl *client.Client, p string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", p, refusal(ctx, cl, p, err))
}

// refusal gives an error the server's own words. 9P2000.L carries a number
// only; a tree of ours has the text in its errors file.
func refusal(ctx context.Context, cl *client.Client, p string, err error) error {
	if err == nil || cl.Dialect() != ninep.DotL || ctx.Err() != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, errorsTime)
	defer cancel()
	var log bytes.Buffer
	if copyOut(ctx, cl, "errors", &log) != nil {
		return err
	}
	if text := lastError(log.String(), p, os.Getpid()); text != "" {
		return sys.Errorf(sys.Errno(err), "%s", text)
	}
	return err
}

// lastError finds the newest error of this process on a path in the errors
// file, whose lines are: time pid path verb 'text'.
func lastError(log, p string, pid int) string {
	text := ""
	for line := range strings.Lines(log) {
		w, err := fs.Words(strings.TrimSuffix(line, "\n"))
		if err != nil || len(w) < 5 || path.Clean("/"+w[2]) != path.Clean("/"+p) {
			continue
		}
		if w[1] == "-" || w[1] == strconv.Itoa(pid) {
			text = w[4]
		}
	}
	return text
}

package riscv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"warren/fs/sys"
)

// fileTime is how long a user's file may take: it may lie anywhere.
const fileTime = 10 * time.Second

// child is a command that is the user.
func child(ctx context.Context, u *sys.User, dir, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	if dir != "" {
		cmd.Dir = dir
	}
	cmd.WaitDelay = time.Second
	me := os.Geteuid()
	switch {
	case u == nil || int(u.UID) == me && !u.None:
	case u.None:
		return nil, sys.Errorf(syscall.EPERM, "a connection with no identity opens no files")
	case me != 0:
		return nil, sys.Errorf(syscall.EPERM, "a server that is not root opens files only as itself (uid %d, not %d)", me, u.UID)
	default:
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}}
	}
	return cmd, nil
}

// readAs reads a file of at most so many bytes as the user who names it.
func readAs(u *sys.User, dir, file string, most int64) ([]byte, error) {
	if file == "" || strings.IndexByte(file, 0) >= 0 {
		return nil, sys.Errorf(syscall.EINVAL, "bad file name %q", file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fileTime)
	defer cancel()
	cmd, err := child(ctx, u, "", "cat", "--", path(dir, file))
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(out, most+1))
	if int64(len(b)) > most {
		cancel()
		_ = cmd.Wait()
		return nil, sys.Errorf(syscall.EFBIG, "%s: more than %d bytes", file, most)
	}
	return b, fileError(file, ctx, errors.Join(err, cmd.Wait()), said.String())
}

// writeAs writes a file as the user who names it. It appears whole or not at all.
func writeAs(u *sys.User, file string, data []byte) error {
	if !strings.HasPrefix(file, "/") || strings.IndexByte(file, 0) >= 0 {
		return sys.Errorf(syscall.EINVAL, "want an absolute path, not %q", file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fileTime)
	defer cancel()
	const script = `t=$(mktemp "$1.XXXXXX") && cat >"$t" && mv -f -- "$t" "$1" || { s=$?; rm -f -- "$t"; exit $s; }`
	cmd, err := child(ctx, u, "", "sh", "-c", script, "sh", file)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), &said
	return fileError(file, ctx, cmd.Run(), said.String())
}

// fileError finds the errno in what a command said.
func fileError(file string, ctx context.Context, err error, said string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return sys.Errorf(syscall.ETIMEDOUT, "%s: took longer than %v", file, fileTime)
	}
	for _, no := range []syscall.Errno{syscall.ENOENT, syscall.EACCES, syscall.EISDIR, syscall.ENOTDIR, syscall.ENOSPC, syscall.EROFS, syscall.EPERM, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if strings.Contains(strings.ToLower(said), no.Error()) {
			return sys.Errorf(no, "%s: %v", file, no)
		}
	}
	return sys.Errorf(syscall.EACCES, "%s: %s", file, strings.TrimSpace(said))
}

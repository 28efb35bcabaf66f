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
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"} // sh was found by it as well
	if dir != "" {
		cmd.Dir = dir
	}
	// It ends with all that it has started, and may clear up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	me := os.Geteuid()
	switch {
	case u == nil || int(u.UID) == me && !u.None:
	case u.None:
		return nil, sys.Errorf(syscall.EPERM, "a connection with no identity opens no files")
	case me != 0:
		return nil, sys.Errorf(syscall.EPERM, "a server that is not root opens files only as itself (uid %d, not %d)", me, u.UID)
	default:
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	return cmd, nil
}

// read reads the file $1 and waits for nobody: what has nothing to read yet, such as
// a stream of a mount, is an error. Of pipes dd does not say so: opened like this,
// they seem empty. Where dd is not GNU's, cat waits until the time is over.
const read = `
if [ -p "$1" ]; then echo "Resource temporarily unavailable" >&2; exit 1; fi
if dd if=/dev/null of=/dev/null iflag=nonblock status=none 2>/dev/null; then
	exec dd if="$1" iflag=nonblock bs=64k status=none
fi
exec cat -- "$1"`

// readAs reads a file of at most so many bytes as the user who names it. EINVAL
// for pipes and streams.
func readAs(u *sys.User, dir, file string, most int64) ([]byte, error) {
	if file == "" || strings.IndexByte(file, 0) >= 0 {
		return nil, sys.Errorf(syscall.EINVAL, "bad file name %q", file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fileTime)
	defer cancel()
	cmd, err := child(ctx, u, "", "sh", "-c", read, "sh", path(dir, file))
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

// replace writes what it reads to the file $1: to where that leads if it is a link.
// A regular file appears whole or not at all; into a device or pipe it writes, as
// there is nothing to be put in the place of that. What is wrong with a link cat says.
// Busybox's readlink -f takes relative links for those of its own folder. With $2 it
// only finds out whether it could: in a folder such as /tmp nobody replaces others' files.
const replace = `
if [ -d "$1" ]; then echo "Is a directory" >&2; exit 1; fi
if [ -e "$1" ] && [ ! -f "$1" ]; then
	if [ "$2" ]; then [ -w "$1" ] || { echo "Permission denied" >&2; exit 1; }; else cat >"$1"; fi
	exit
fi
f=$1 n=0
while [ -L "$f" ]; do
	l=$(readlink -- "$f") && [ $((n += 1)) -le 40 ] || { cat -- "$1" >/dev/null; exit 1; }
	case $l in /*) f=$l ;; *) f=${f%/*}/$l ;; esac
done
d=${f%/*}/
if [ -f "$f" ] && [ -k "$d" ] && [ ! -O "$f" ] && [ ! -O "$d" ] && [ "$(id -u)" != 0 ]; then
	echo "Operation not permitted" >&2; exit 1
fi
trap 'rm -f -- "$t"; exit 1' TERM
t=$(mktemp "$f.XXXXXX") || exit
if [ "$2" ]; then rm -f -- "$t"; exit; fi
cat >"$t" && mv -f -- "$t" "$f" || { s=$?; rm -f -- "$t"; exit $s; }`

// writeAs writes a file as the user who names it.
func writeAs(u *sys.User, file string, data []byte) error { return replaceAs(u, file, "", data) }

// writableAs reports why a user cannot write a file; what it holds stays.
func writableAs(u *sys.User, file string) error { return replaceAs(u, file, "try", nil) }

func replaceAs(u *sys.User, file, try string, data []byte) error {
	if !strings.HasPrefix(file, "/") || strings.IndexByte(file, 0) >= 0 {
		return sys.Errorf(syscall.EINVAL, "want an absolute path, not %q", file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fileTime)
	defer cancel()
	cmd, err := child(ctx, u, "", "sh", "-c", replace, "sh", file, try)
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
	text := strings.ToLower(said)
	if strings.Contains(text, syscall.EAGAIN.Error()) {
		return sys.Errorf(syscall.EINVAL, "%s: a pipe or stream, not a file (cat it into one first)", file)
	}
	for _, no := range []syscall.Errno{syscall.ENOENT, syscall.EACCES, syscall.EISDIR, syscall.ENOTDIR, syscall.ENOSPC, syscall.EROFS, syscall.EPERM, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if strings.Contains(text, no.Error()) {
			return sys.Errorf(no, "%s: %v", file, no)
		}
	}
	return sys.Errorf(syscall.EACCES, "%s: %s", file, strings.TrimSpace(said))
}

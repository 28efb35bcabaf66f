package fuse

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	wfs "warren/fs"
	"warren/fs/fstest"
	"warren/fs/sys"
)

// access uses a mount as a user, with system calls of our own: the os package
// starts over after an interrupt, and polls.
type access struct {
	dir  string
	user *sys.User
}

// as runs a system call with the rights of the user. The thread is given up if
// it cannot be made root's again.
func (a access) as(call func() error) error {
	if a.user.Root() {
		return call()
	}
	runtime.LockOSThread()
	if err := errors.Join(unix.Setfsgid(int(a.user.GID)), unix.Setfsuid(int(a.user.UID))); err != nil {
		return err
	}
	defer func() {
		if unix.Setfsuid(0) == nil && unix.Setfsgid(0) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return call()
}

func (a access) path(p string) string { return filepath.Join(a.dir, p) }

func (a access) Open(path string, f wfs.Flags) (fstest.File, error) {
	flags := syscall.O_CLOEXEC
	switch {
	case f&wfs.ORead != 0 && f&wfs.OWrite != 0:
		flags |= syscall.O_RDWR
	case f&wfs.OWrite != 0:
		flags |= syscall.O_WRONLY
	}
	for _, v := range []struct {
		tree  wfs.Flags
		linux int
	}{
		// As the shell has it: > and >> create.
		{wfs.OTrunc, syscall.O_TRUNC | syscall.O_CREAT},
		{wfs.OAppend, syscall.O_APPEND | syscall.O_CREAT},
		{wfs.ONonblock, syscall.O_NONBLOCK},
	} {
		if f&v.tree != 0 {
			flags |= v.linux
		}
	}
	file := &openFile{fd: -1}
	err := a.as(func() (err error) {
		file.fd, err = syscall.Open(a.path(path), flags, 0o666)
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (a access) Stat(path string) (wfs.Stat, error) {
	var st syscall.Stat_t
	if err := a.as(func() error { return syscall.Lstat(a.path(path), &st) }); err != nil {
		return wfs.Stat{}, err
	}
	kind := wfs.Text
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		kind = wfs.Directory
	}
	return wfs.Stat{
		Name: filepath.Base(path), Mode: st.Mode & 0o777, UID: st.Uid, GID: st.Gid, Size: st.Size,
		Qid: wfs.Qid{Path: st.Ino, Kind: kind},
	}, nil
}

func (a access) ReadDir(path string) (all []wfs.Stat, err error) {
	err = a.as(func() error {
		d, err := os.Open(a.path(path))
		if err != nil {
			return err
		}
		defer d.Close()
		entries, err := d.ReadDir(-1)
		for _, e := range entries {
			kind := wfs.Text
			if e.Type() == fs.ModeDir {
				kind = wfs.Directory
			}
			all = append(all, wfs.Stat{Name: e.Name(), Qid: wfs.Qid{Kind: kind}})
		}
		return err
	})
	return all, err
}

func (a access) Mkdir(path string, mode uint32) error {
	return a.as(func() error { return syscall.Mkdir(a.path(path), mode) })
}

func (a access) Remove(path string) error {
	return a.as(func() error {
		err := syscall.Rmdir(a.path(path))
		if err == syscall.ENOTDIR {
			err = syscall.Unlink(a.path(path))
		}
		return err
	})
}

func (a access) LastError(path string) (text string, err error) {
	err = a.as(func() error {
		size, err := unix.Getxattr(a.path(path), wfs.ErrorAttr, nil)
		if err != nil {
			return err
		}
		buf := make([]byte, size)
		n, err := unix.Getxattr(a.path(path), wfs.ErrorAttr, buf)
		text = string(buf[:n])
		return err
	})
	return text, err
}

func (a access) Chmod(path string, mode uint32) error {
	return a.as(func() error { return syscall.Chmod(a.path(path), mode) })
}

type openFile struct{ fd int }

// interruptible runs a system call and interrupts its thread when ctx ends,
// until it returns.
func interruptible(ctx context.Context, call func() (int, error)) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := unix.Gettid()
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			// SIGURG is what the runtime itself interrupts threads with.
			_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	defer func() { close(done); <-gone }()
	for {
		n, err := call()
		if err != syscall.EINTR || ctx.Err() != nil {
			return max(n, 0), err
		}
	}
}

func (f *openFile) Read(ctx context.Context, p []byte) (int, error) {
	n, err := interruptible(ctx, func() (int, error) { return syscall.Read(f.fd, p) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (f *openFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := interruptible(context.Background(), func() (int, error) { return syscall.Pread(f.fd, p, off) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (f *openFile) Write(ctx context.Context, p []byte) (int, error) {
	return interruptible(ctx, func() (int, error) { return syscall.Write(f.fd, p) })
}

func (f *openFile) Close() error { return syscall.Close(f.fd) }

func TestSuite(t *testing.T) {
	needRoot(t)
	mounts := make(map[*fstest.Tree]string)
	fstest.Run(t, func(t *testing.T, tree *fstest.Tree, u *sys.User) fstest.Access {
		if mounts[tree] == "" {
			mounts[tree] = mountTree(t, tree).where.dir
			t.Cleanup(func() { delete(mounts, tree) })
		}
		return access{mounts[tree], u}
	})
}

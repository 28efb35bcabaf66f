package export

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hugelgupf/p9/fsimpl/localfs"
	"github.com/hugelgupf/p9/fsimpl/templatefs"
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// A file is what a fid stands for. p9 sees to it that it is closed once, when
// nothing uses it any more. Locks, extended attributes and devices to be made
// are refused, by NoopFile.
type file struct {
	templatefs.NoopFile
	se     *session
	fd     int // O_PATH: the file itself
	closed atomic.Bool

	mu    sync.Mutex
	local p9.File  // localfs, at fd
	dir   *listing // of an open directory
}

// fdPath is the path that leads to what a descriptor is of.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// file makes a file of a descriptor, which it owns from here on.
func (se *session) file(fd int) (*file, error) {
	if int(se.files.Add(1)) > se.srv.opt.MaxFiles {
		se.files.Add(-1)
		unix.Close(fd)
		return nil, linux.EMFILE
	}
	local, err := localfs.Attacher(fdPath(fd)).Attach()
	if err != nil {
		se.files.Add(-1)
		unix.Close(fd)
		return nil, answer(err)
	}
	return &file{se: se, fd: fd, local: local}, nil
}

// Close gives up the descriptors.
func (f *file) Close() error {
	if f.closed.Swap(true) {
		return linux.EBADF
	}
	f.se.files.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir != nil {
		f.dir.f.Close()
	}
	return errors.Join(f.local.Close(), unix.Close(f.fd))
}

// Walk returns what lies below, each name in the one before it. No names: the
// same file again.
func (f *file) Walk(names []string) ([]p9.QID, p9.File, error) {
	fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, answer(err)
	}
	var qids []p9.QID
	for _, name := range names {
		next, st, err := f.se.step(fd, name)
		unix.Close(fd)
		if err != nil {
			return nil, nil, err
		}
		qids = append(qids, f.se.srv.qid(&st))
		fd = next
	}
	g, err := f.se.file(fd)
	if err != nil {
		return nil, nil, err
	}
	return qids, g, nil
}

// step opens one name in a directory. It goes neither up nor through links.
func (se *session) step(dir int, name string) (fd int, st unix.Stat_t, err error) {
	if err := plain(name); err != nil {
		return -1, st, err
	}
	err = se.do(func() error {
		fd, err = unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, st, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, answer(err)
	}
	if !se.names.add(se.srv, dir, name) {
		unix.Close(fd)
		return -1, st, linux.ENFILE
	}
	return fd, st, nil
}

// GetAttr returns what stat(2) has.
func (f *file) GetAttr(mask p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return p9.QID{}, p9.AttrMask{}, p9.Attr{}, answer(err)
	}
	mask.BTime, mask.Gen, mask.DataVersion = false, false, false
	return f.se.srv.qid(&st), mask, attributes(&st), nil
}

// openFlags are those that concern the server; what else a client says
// concerns its own kernel. O_APPEND does too: the client gives the offset.
const openFlags = unix.O_ACCMODE | unix.O_TRUNC | unix.O_SYNC | unix.O_DSYNC

// Open opens the file.
func (f *file) Open(mode p9.OpenFlags) (p9.QID, uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return p9.QID{}, 0, answer(err)
	}
	kind := p9.FileMode(st.Mode)
	changes := mode.Mode() != p9.ReadOnly || mode&unix.O_TRUNC != 0
	switch {
	case mode.Mode() == p9.OpenFlagsModeMask:
		return p9.QID{}, 0, linux.EINVAL
	case changes && !f.se.write:
		return p9.QID{}, 0, linux.EROFS
	case kind.IsDir():
		return f.se.srv.qid(&st), 0, f.list()
	case !kind.IsRegular():
		return p9.QID{}, 0, linux.EPERM
	}
	err := f.se.do(func() error {
		_, _, err := f.local.Open(mode&openFlags | unix.O_NOCTTY)
		return err
	})
	return f.se.srv.qid(&st), 0, err
}

// ReadAt reads from an open file.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.dir != nil {
		return 0, linux.EISDIR
	}
	return f.local.ReadAt(p, off)
}

// WriteAt writes to an open file.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.local.WriteAt(p, off)
	return n, answer(err)
}

// FSync puts an open file on the disk.
func (f *file) FSync() error {
	if f.dir != nil {
		return answer(f.dir.f.Sync())
	}
	return answer(f.local.FSync())
}

// Readlink returns the text of a symbolic link, which means something to the
// client only.
func (f *file) Readlink() (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(f.fd, "", b)
	if err != nil {
		return "", answer(err)
	}
	return string(b[:n]), nil
}

// StatFS returns what statfs(2) has.
func (f *file) StatFS() (p9.FSStat, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &st); err != nil {
		return p9.FSStat{}, answer(err)
	}
	return p9.FSStat{
		Type: uint32(st.Type), BlockSize: uint32(st.Bsize),
		Blocks: st.Blocks, BlocksFree: st.Bfree, BlocksAvailable: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree,
		FSID: uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32, NameLength: uint32(st.Namelen),
	}, nil
}

// plain refuses what is no name of a file in a directory.
func plain(name string) error {
	if name == "" || name == "." || name == ".." {
		return linux.EINVAL
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return linux.EINVAL
		}
	}
	return nil
}

// answer makes an error one that p9 answers with the number it has: p9 itself
// makes EACCES of EPERM, and EEXIST of ENOTEMPTY.
func answer(err error) error {
	var own linux.Errno
	var no syscall.Errno
	switch {
	case err == nil, errors.As(err, &own):
		return err
	case errors.As(err, &no):
		return linux.Errno(no)
	case errors.Is(err, os.ErrClosed):
		return linux.EBADF
	}
	return linux.EIO
}

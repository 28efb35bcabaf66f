package export

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"os"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// A listing is an open directory. localfs forgets entries of one that does not
// fit in a message, so directories are read here, by the kernel's own cookies.
type listing struct {
	f   *os.File
	at  uint64 // the cookie that buf begins at
	buf []byte // records of getdents64(2) that are still to be told
}

// list opens the directory.
func (f *file) list() error {
	var d *os.File
	err := f.se.do(func() (err error) {
		d, err = os.OpenFile(fdPath(f.fd), unix.O_RDONLY|unix.O_DIRECTORY, 0)
		return err
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dir = &listing{f: d}
	return nil
}

const (
	direntSize = 24 // bytes of an entry of Rreaddir but for its name
	fewest     = 16 // entries looked for, whatever the message holds
	dirBuffer  = 32 << 10
)

// Readdir returns the entries from a cookie on. There may be more of them than
// have room in count bytes; p9 leaves out what does not fit.
func (f *file) Readdir(cookie uint64, count uint32) (p9.Dirents, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir == nil {
		return nil, linux.EBADF
	}
	if err := f.dir.seek(cookie); err != nil {
		return nil, answer(err)
	}
	var entries p9.Dirents
	for len(entries) < max(int(min(count, maxMessage))/direntSize, fewest) {
		name, qid, err := f.dir.next(f)
		if err != nil {
			return nil, answer(err)
		}
		if name == "" {
			break
		}
		if name != "." && name != ".." {
			entries = append(entries, p9.Dirent{QID: qid, Offset: f.dir.at, Type: qid.Type, Name: name})
		}
	}
	return entries, nil
}

// seek goes to a cookie.
func (d *listing) seek(cookie uint64) error {
	if cookie == d.at && cookie != 0 {
		return nil
	}
	d.buf = nil
	if _, err := unix.Seek(int(d.f.Fd()), int64(cookie), 0); err != nil {
		return err
	}
	d.at = cookie
	return nil
}

// next returns the next entry; no name is the end.
func (d *listing) next(f *file) (string, p9.QID, error) {
	if len(d.buf) == 0 {
		b := make([]byte, dirBuffer)
		n, err := unix.Getdents(int(d.f.Fd()), b)
		if err != nil || n == 0 {
			return "", p9.QID{}, err
		}
		d.buf = b[:n]
	}
	le := binary.NativeEndian
	ino, next, size, kind := le.Uint64(d.buf), le.Uint64(d.buf[8:]), le.Uint16(d.buf[16:]), d.buf[18]
	name, _, _ := bytes.Cut(d.buf[19:size], []byte{0})
	d.buf, d.at = d.buf[size:], next
	return string(name), f.entry(string(name), ino, kind), nil
}

// entry is the qid of an entry: by looking at it or, where that may not be, by
// what the directory has of it.
func (f *file) entry(name string, ino uint64, kind uint8) p9.QID {
	var st unix.Stat_t
	err := f.se.do(func() error { return unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		st = unix.Stat_t{Dev: f.se.srv.dev, Ino: ino, Mode: uint32(kind) << 12}
	}
	return f.se.srv.qid(&st)
}

// qid names a file: by its number on the device of the root, and on others by
// a hash of device and number.
func (s *Server) qid(st *unix.Stat_t) p9.QID {
	path := st.Ino
	if st.Dev != s.dev {
		path = maphash.Comparable(s.seed, [2]uint64{st.Dev, st.Ino})
	}
	return p9.QID{Type: p9.FileMode(st.Mode).QIDType(), Version: uint32(st.Mtim.Sec) ^ uint32(st.Mtim.Nsec), Path: path}
}

func attributes(st *unix.Stat_t) p9.Attr {
	return p9.Attr{
		Mode: p9.FileMode(st.Mode), UID: p9.UID(st.Uid), GID: p9.GID(st.Gid), NLink: p9.NLink(st.Nlink), RDev: p9.Dev(st.Rdev),
		Size: uint64(st.Size), BlockSize: uint64(st.Blksize), Blocks: uint64(st.Blocks),
		ATimeSeconds: uint64(st.Atim.Sec), ATimeNanoSeconds: uint64(st.Atim.Nsec),
		MTimeSeconds: uint64(st.Mtim.Sec), MTimeNanoSeconds: uint64(st.Mtim.Nsec),
		CTimeSeconds: uint64(st.Ctim.Sec), CTimeNanoSeconds: uint64(st.Ctim.Nsec),
	}
}

package export

import (
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// change does something to a name in a directory, if that may be.
func (f *file) change(name string, op func() error) error {
	if !f.se.write {
		return linux.EROFS
	}
	if err := plain(name); err != nil {
		return err
	}
	return f.se.do(op)
}

// Create makes and opens a file.
func (f *file) Create(name string, mode p9.OpenFlags, perm p9.FileMode, uid p9.UID, gid p9.GID) (p9.File, p9.QID, uint32, error) {
	var local p9.File
	err := f.change(name, func() (err error) {
		local, _, _, err = f.local.Create(name, mode&openFlags|unix.O_NOCTTY, perm.Permissions(), uid, gid)
		return err
	})
	if err != nil {
		return nil, p9.QID{}, 0, err
	}
	g, qid, err := f.created(name, local)
	if err != nil {
		local.Close()
		return nil, p9.QID{}, 0, err
	}
	return g, qid, 0, nil
}

// created returns the file that localfs has just made and opened. Should the
// name be another file's by now, it is ESTALE.
func (f *file) created(name string, local p9.File) (p9.File, p9.QID, error) {
	fd, st, err := f.se.step(f.fd, name)
	if err != nil {
		return nil, p9.QID{}, err
	}
	_, _, made, err := local.GetAttr(p9.AttrMaskAll)
	same := p9.AttrMask{Mode: true, UID: true, GID: true, RDev: true, MTime: true, CTime: true}
	if err == nil && attributes(&st).WithMask(same) != made.WithMask(same) {
		err = linux.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return nil, p9.QID{}, answer(err)
	}
	g, err := f.se.file(fd)
	if err != nil {
		return nil, p9.QID{}, err
	}
	g.local = local
	return g, f.se.srv.qid(&st), nil
}

// Mkdir makes a directory.
func (f *file) Mkdir(name string, perm p9.FileMode, uid p9.UID, gid p9.GID) (p9.QID, error) {
	err := f.change(name, func() error {
		_, err := f.local.Mkdir(name, perm.Permissions(), uid, gid)
		return err
	})
	return f.made(name, err)
}

// Symlink makes a symbolic link, which nothing here follows.
func (f *file) Symlink(target, name string, uid p9.UID, gid p9.GID) (p9.QID, error) {
	err := f.change(name, func() error {
		_, err := f.local.Symlink(target, name, uid, gid)
		return err
	})
	return f.made(name, err)
}

// made returns the qid of what was made.
func (f *file) made(name string, err error) (p9.QID, error) {
	if err != nil {
		return p9.QID{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return p9.QID{}, answer(err)
	}
	return f.se.srv.qid(&st), nil
}

// Link makes another name of a file. localfs would link the way to it.
func (f *file) Link(target p9.File, name string) error {
	old, ok := target.(*file)
	if !ok {
		return linux.EXDEV
	}
	return f.change(name, func() error {
		return unix.Linkat(unix.AT_FDCWD, fdPath(old.fd), f.fd, name, unix.AT_SYMLINK_FOLLOW)
	})
}

// RenameAt moves a name, to another directory perhaps.
func (f *file) RenameAt(name string, dir p9.File, newName string) error {
	to, ok := dir.(*file)
	if !ok {
		return linux.EXDEV
	}
	if err := plain(newName); err != nil {
		return err
	}
	return f.change(name, func() error { return f.local.RenameAt(name, to.local, newName) })
}

// UnlinkAt removes a name. p9 keeps every name that could not be removed, so
// there is an end to those.
func (f *file) UnlinkAt(name string, flags uint32) error {
	err := f.change(name, func() error { return f.local.UnlinkAt(name, flags) })
	if err != nil && f.se.failed.Add(1) > maxFailed {
		f.se.hangUp()
	}
	return err
}

// SetAttr changes mode, owner, size and times. localfs knows sizes only.
func (f *file) SetAttr(valid p9.SetAttrMask, to p9.SetAttr) error {
	if !f.se.write {
		return linux.EROFS
	}
	return f.se.do(func() error {
		if valid.UID || valid.GID {
			if err := f.chown(valid, to); err != nil {
				return err
			}
		}
		if valid.Permissions {
			if err := unix.Chmod(fdPath(f.fd), uint32(to.Permissions.Permissions())); err != nil {
				return err
			}
		}
		if valid.Size {
			if err := f.local.SetAttr(p9.SetAttrMask{Size: true}, to); err != nil {
				return err
			}
		}
		if valid.ATime || valid.MTime {
			return f.touch(valid, to)
		}
		return nil
	})
}

func (f *file) chown(valid p9.SetAttrMask, to p9.SetAttr) error {
	uid, gid := -1, -1
	if valid.UID {
		uid = int(to.UID)
	}
	if valid.GID {
		gid = int(to.GID)
	}
	return unix.Fchownat(f.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

// touch sets times: to those given, or to now.
func (f *file) touch(valid p9.SetAttrMask, to p9.SetAttr) error {
	when := func(set, given bool, s, ns uint64) unix.Timespec {
		switch {
		case !set:
			return unix.Timespec{Nsec: unix.UTIME_OMIT}
		case !given:
			return unix.Timespec{Nsec: unix.UTIME_NOW}
		}
		return unix.Timespec{Sec: int64(s), Nsec: int64(ns)}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fdPath(f.fd), []unix.Timespec{
		when(valid.ATime, valid.ATimeNotSystemTime, to.ATimeSeconds, to.ATimeNanoSeconds),
		when(valid.MTime, valid.MTimeNotSystemTime, to.MTimeSeconds, to.MTimeNanoSeconds),
	}, 0)
}

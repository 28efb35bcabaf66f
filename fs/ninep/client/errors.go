package client

import (
	"syscall"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// remoteError is the server's refusal in m: the text and the number, one made
// from the other where the dialect carries only one.
func remoteError(m *ninep.Msg) error {
	errno := syscall.Errno(m.Errno)
	if m.Type == ninep.Rlerror {
		if errno == 0 {
			errno = syscall.EREMOTEIO
		}
		return &sys.Error{Errno: errno, Text: textOf(errno)}
	}
	if errno == 0 {
		errno = errnoOf(m.Ename)
	}
	if m.Ename == "" {
		return &sys.Error{Errno: errno, Text: textOf(errno)}
	}
	return &sys.Error{Errno: errno, Text: m.Ename}
}

// facts are the errors that have one text in every tree of ours.
var facts = [...]error{
	sys.ErrNotExist, sys.ErrPermission, sys.ErrNotOwner, sys.ErrExist, sys.ErrNotDir,
	sys.ErrIsDir, sys.ErrNotOpen, sys.ErrNoCreate, sys.ErrNoRemove, sys.ErrNoRename,
	sys.ErrInterrupted, sys.ErrAgain, sys.ErrTooLong, sys.ErrClosed, sys.ErrGone, sys.ErrFull, sys.ErrLoop,
}

// textOf says an errno in words: ours if we have any, else the system's.
func textOf(errno syscall.Errno) string {
	switch errno {
	case syscall.EACCES:
		return sys.ErrPermission.Error()
	case syscall.ENOENT:
		return sys.ErrNotExist.Error()
	}
	return errno.Error()
}

// others are texts that servers elsewhere use: Plan 9's and its ports'.
var others = map[string]syscall.Errno{
	"file not found":                  syscall.ENOENT,
	"not found":                       syscall.ENOENT,
	"no such file":                    syscall.ENOENT,
	"directory entry not found":       syscall.ENOENT,
	"file exists":                     syscall.EEXIST,
	"file is a directory":             syscall.EISDIR,
	"walk in non-directory":           syscall.ENOTDIR,
	"walk -- in a non-directory":      syscall.ENOTDIR,
	"directory not empty":             syscall.ENOTEMPTY,
	"permission denied.":              syscall.EACCES,
	"bad offset in directory":         syscall.EINVAL,
	"bad use of fid":                  syscall.EBADF,
	"unknown fid":                     syscall.EBADF,
	"fid unknown or out of range":     syscall.EBADF,
	"file in use":                     syscall.EBUSY,
	"exclusive use file already open": syscall.EBUSY,
	"authentication failed":           syscall.EACCES,
}

// errnoOf finds the number that a text means; EREMOTEIO if it is none that is known.
func errnoOf(text string) syscall.Errno {
	for _, fact := range facts {
		if fact.Error() == text {
			return sys.Errno(fact)
		}
	}
	if errno, ok := others[text]; ok {
		return errno
	}
	for errno := syscall.Errno(1); errno < maxErrno; errno++ {
		if errno.Error() == text {
			return errno
		}
	}
	return syscall.EREMOTEIO
}

// maxErrno is one above Linux's numbers.
const maxErrno = 134

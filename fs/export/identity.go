package export

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// as does something with the file system identity of a user: uid, gid and
// groups, and without root's privileges over files. These belong to a thread,
// which this goroutine has to itself meanwhile; should the thread not become
// itself again, the goroutine keeps it, and its lesser rights.
func as(u *sys.User, op func() error) error {
	runtime.LockOSThread()
	own, err := unix.Getgroups()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = become(u.UID, u.GID, u.Groups)
	if err == nil {
		err = op()
	}
	if become(uint32(os.Geteuid()), uint32(os.Getegid()), unsigned(own)) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// become changes the file system identity of this thread. The uid is last when
// it is taken and does not matter when it is given back, as the right to set
// groups is another one.
func become(uid, gid uint32, groups []uint32) error {
	if err := setGroups(groups); err != nil {
		return err
	}
	if err := setID(unix.SYS_SETFSGID, gid); err != nil {
		return err
	}
	return setID(unix.SYS_SETFSUID, uid)
}

// setID sets an id that the kernel gives no error for, and looks.
func setID(call uintptr, id uint32) error {
	syscall.RawSyscall(call, uintptr(id), 0, 0)
	const none = ^uintptr(0) // is no id, so nothing is set
	if now, _, _ := syscall.RawSyscall(call, none, 0, 0); uint32(now) != id {
		return sys.Errorf(syscall.EPERM, "the server cannot act as id %d", id)
	}
	return nil
}

// setGroups sets the groups of this thread only, unlike the function of
// package syscall.
func setGroups(groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, no := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); no != 0 {
		return no
	}
	return nil
}

func unsigned(ids []int) []uint32 {
	out := make([]uint32, len(ids))
	for i, id := range ids {
		out[i] = uint32(id)
	}
	return out
}

// canSwitch reports whether this process may take on the identity of others.
func canSwitch() bool {
	return os.Geteuid() == 0 && as(sys.Nobody(), func() error { return nil }) == nil
}

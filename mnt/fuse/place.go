package fuse

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// fsName is the type of our mounts: fuse.warren in /proc/mounts.
const fsName = "warren"

// A place is where a tree is mounted.
type place struct {
	dir   string // absolute, without symbolic links
	minor uint32 // of the device, which is the number of the FUSE connection
}

// A mountLine is a line of /proc/self/mountinfo.
type mountLine struct {
	minor  uint32
	dir    string
	fstype string
}

// mountsAt returns what is mounted on a directory, the topmost last.
func mountsAt(dir string) ([]mountLine, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseMounts(f)
	return slices.DeleteFunc(all, func(m mountLine) bool { return m.dir != dir }), err
}

// parseMounts reads the format of proc_pid_mountinfo(5).
func parseMounts(r io.Reader) ([]mountLine, error) {
	var all []mountLine
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		dash := slices.Index(f, "-")
		if dash < 5 || dash+1 >= len(f) {
			continue
		}
		_, minor, _ := strings.Cut(f[2], ":")
		n, err := strconv.ParseUint(minor, 10, 32)
		if err != nil {
			continue
		}
		all = append(all, mountLine{minor: uint32(n), dir: unescape(f[4]), fstype: f[dash+1]})
	}
	return all, s.Err()
}

// unescape undoes the kernel's \040 for a blank in a path.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// resolve makes a path as mountinfo has it, without touching what may be a
// dead mount at its end.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if to, err := os.Readlink(abs); err == nil {
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(abs), to)
		}
		abs = to
	}
	if abs == "/" {
		return abs, nil
	}
	up, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(up, filepath.Base(abs)), nil
}

// placeOf returns the place of what is mounted on a directory.
func placeOf(dir string) (place, error) {
	at, err := mountsAt(dir)
	if err == nil && len(at) == 0 {
		err = sys.Errorf(syscall.ENOENT, "mount: %s is not mounted any more", dir)
	}
	if err != nil {
		return place{}, err
	}
	return place{dir, at[len(at)-1].minor}, nil
}

// prepare resolves the directory for a mount, and clears it of dead ones.
func prepare(dir string) (string, error) {
	path, err := resolve(dir)
	if err != nil {
		return "", sys.Errorf(sys.Errno(err), "mount: %s: %v (want an empty directory)", dir, sys.Errno(err))
	}
	for {
		at, err := mountsAt(path)
		if err != nil {
			return "", err
		}
		if len(at) == 0 || at[len(at)-1].fstype != "fuse."+fsName {
			break
		}
		switch probe(path) {
		case nil:
			return "", sys.Errorf(syscall.EBUSY, "mount: %s has a warren mounted on it (warren umount %s)", dir, dir)
		case syscall.ENOTCONN:
			if err := unmount(path, lazily); err != nil {
				return "", sys.Errorf(sys.Errno(err), "mount: clearing the dead mount on %s: %v", dir, err)
			}
		default:
			return "", sys.Errorf(syscall.EBUSY, "mount: %s has a mount on it that does not answer (warren umount %s)", dir, dir)
		}
	}
	return path, usable(path, dir)
}

// usable says why a directory cannot be mounted on; name is what the user calls it.
func usable(path, name string) error {
	d, err := os.Open(path)
	if err != nil {
		return sys.Errorf(sys.Errno(err), "mount: %s: %v (want an empty directory)", name, sys.Errno(err))
	}
	defer d.Close()
	switch _, err := d.Readdirnames(1); {
	case err == nil:
		return sys.Errorf(syscall.ENOTEMPTY, "mount: %s is not empty (want an empty directory)", name)
	case err != io.EOF:
		return sys.Errorf(syscall.ENOTDIR, "mount: %s is not a directory (want an empty one)", name)
	}
	return nil
}

// probe asks a mount's server for its file system: nil if it lives, ENOTCONN if
// it is dead, and ETIMEDOUT if it does not answer. A stat would be answered by
// the kernel for a second more, which knows the directory from before.
func probe(path string) error {
	const patience = 2 * time.Second
	got := make(chan error, 1)
	go func() {
		var st syscall.Statfs_t
		err := syscall.Statfs(path, &st)
		got <- err
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case err := <-got:
		return err
	case <-t.C:
		return syscall.ETIMEDOUT
	}
}

// attach makes the mount and returns the kernel's end of the connection. Root
// who may not mount, in a container, tries as others do.
func attach(dir string, allowOther bool) (dev int, err error) {
	isRoot := os.Geteuid() == 0
	if isRoot {
		if dev, err = mountDirect(dir); err == nil {
			return dev, nil
		}
	}
	dev, helperErr := mountHelper(dir, allowOther || isRoot)
	if helperErr == nil {
		return dev, nil
	}
	if err == nil {
		err = helperErr
	}
	return -1, attachError(dir, err)
}

func attachError(dir string, err error) error {
	return sys.Errorf(sys.Errno(err), "mount: %s: %v (warren doctor tells what is missing)", dir, err)
}

// mountDirect is what root does: mount(2).
func mountDirect(dir string) (int, error) {
	dev, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	opts := "fd=" + strconv.Itoa(dev) + ",rootmode=40000,user_id=" + strconv.Itoa(os.Geteuid()) +
		",group_id=" + strconv.Itoa(os.Getegid()) + ",allow_other,max_read=" + strconv.Itoa(maxWrite)
	err = syscall.Mount(fsName, dir, "fuse."+fsName, syscall.MS_NOSUID|syscall.MS_NODEV, opts)
	if err != nil {
		syscall.Close(dev)
		return -1, err
	}
	return dev, nil
}

// mountHelper asks fusermount3, which passes the connection over a socket.
func mountHelper(dir string, allowOther bool) (int, error) {
	bin, err := helper()
	if err != nil {
		return -1, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	opts := "fsname=" + fsName + ",subtype=" + fsName + ",max_read=" + strconv.Itoa(maxWrite)
	if allowOther {
		opts += ",allow_other"
	}
	cmd := exec.Command(bin, "-o", opts, "--", dir)
	cmd.ExtraFiles = []*os.File{theirs} // file 3
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	out, err := cmd.CombinedOutput()
	theirs.Close()
	if err != nil {
		return -1, helperError(out, err)
	}
	return receiveFile(int(ours.Fd()))
}

// helper finds the program by which users mount.
func helper() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", sys.Errorf(syscall.ENOENT, "only root mounts without fusermount3 (apt-get install fuse3)")
}

// helperError is what the helper complains of.
func helperError(out []byte, err error) error {
	text := strings.TrimSpace(string(out))
	switch {
	case text == "":
		return sys.Errorf(syscall.EPERM, "fusermount3: %v", err)
	case strings.Contains(text, "busy"):
		return sys.Errorf(syscall.EBUSY, "%s", text)
	}
	return sys.Errorf(syscall.EPERM, "%s", text)
}

// receiveFile takes the descriptor that the helper sent.
func receiveFile(sock int) (int, error) {
	var data [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, data[:], control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return -1, err
	}
	if len(msgs) == 1 {
		if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, sys.Errorf(syscall.EPROTO, "fusermount3 sent no descriptor")
}

// How hard to unmount: not if it is in use; out of sight at once, to end when
// the last who uses it leaves; or that, and cut them off, which only root can.
const (
	politely = 0
	lazily   = unix.MNT_DETACH
	byForce  = unix.MNT_DETACH | unix.MNT_FORCE
)

// unmount takes the topmost mount off a directory.
func unmount(path string, how int) error {
	args := []string{"-u"}
	if how != politely {
		args = append(args, "-z")
	}
	if os.Geteuid() == 0 {
		err := unix.Unmount(path, how|unix.UMOUNT_NOFOLLOW)
		if err != unix.EPERM {
			return err
		}
	}
	bin, err := helper()
	if err != nil {
		return err
	}
	out, err := exec.Command(bin, append(args, "--", path)...).CombinedOutput()
	if err != nil {
		return helperError(out, err)
	}
	return nil
}

// Clear takes a warren's mount off a directory, whether its server lives or was
// killed. Who has files open there keeps them as long as the server lives.
func Clear(dir string) error {
	path, err := resolve(dir)
	if err != nil {
		return sys.Errorf(sys.Errno(err), "umount: %s: %v", dir, sys.Errno(err))
	}
	at, err := mountsAt(path)
	switch {
	case err != nil:
		return err
	case len(at) == 0:
		return sys.Errorf(syscall.EINVAL, "umount: nothing is mounted on %s", dir)
	case at[len(at)-1].fstype != "fuse."+fsName:
		return sys.Errorf(syscall.EINVAL, "umount: what is mounted on %s is not a warren (%s)", dir, at[len(at)-1].fstype)
	}
	err = unmount(path, politely)
	if sys.Errno(err) == syscall.EBUSY {
		err = unmount(path, lazily)
	}
	if err != nil {
		return sys.Errorf(sys.Errno(err), "umount: %s: %v", dir, err)
	}
	return nil
}

// detach takes our mount off its directory.
func (m *Mounted) detach(how int) error {
	at, err := mountsAt(m.where.dir)
	if err != nil {
		return err
	}
	mine := slices.IndexFunc(at, func(e mountLine) bool { return e.minor == m.where.minor })
	switch {
	case mine < 0:
		return nil // somebody unmounted it
	case mine < len(at)-1:
		return sys.Errorf(syscall.EBUSY, "umount: something else is mounted over %s", m.where.dir)
	}
	return unmount(m.where.dir, how)
}

// abort cuts off who still has files open, if the kernel lets us: the server
// must not have to wait for them.
func (m *Mounted) abort() error {
	path := "/sys/fs/fuse/connections/" + strconv.FormatUint(uint64(m.where.minor), 10) + "/abort"
	return os.WriteFile(path, []byte("1"), 0)
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mounts are what a Linux program expects to find. The last ones are not in
// every kernel.
var mounts = []struct {
	kind, dir, options string
	optional           bool
}{
	{"proc", "/proc", "", false},
	{"sysfs", "/sys", "", false},
	{"devtmpfs", "/dev", "", false},
	{"devpts", "/dev/pts", "", false},
	{"tmpfs", "/dev/shm", "", false},
	{"tmpfs", "/run", "mode=755", false},
	{"tmpfs", "/tmp", "", false},
	{"cgroup2", "/sys/fs/cgroup", "", true},
	{"debugfs", "/sys/kernel/debug", "", true},
}

func mountAll() error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil && !m.optional {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.options); err != nil && !m.optional {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil {
			return err
		}
	}
	return os.Chmod("/tmp", 0o1777)
}

// loadModules loads the image's modules, whose names say the order.
func loadModules() error {
	files, err := filepath.Glob("/lib/guest/*.ko")
	if err != nil {
		return err
	}
	for _, file := range files { // Glob sorts
		if err := loadModule(file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// loopback brings the interface lo up, which the kernel gives 127.0.0.1.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(req)))
	if errno != 0 {
		return fmt.Errorf("bring lo up: %w", errno)
	}
	return nil
}

func setHostname() error { return unix.Sethostname([]byte("guest")) }

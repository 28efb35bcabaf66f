package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// portTime is how long a port may take to appear after its driver was loaded:
// milliseconds, but for a machine that is very busy.
const portTime = 2 * time.Minute

// openPort opens the virtio-serial port of that name. Its descriptor blocks.
// The driver finds ports in its own time, so this waits for it.
func openPort(name string) (*os.File, error) {
	for end := time.Now().Add(portTime); ; time.Sleep(5 * time.Millisecond) {
		dev := findPort(name)
		if dev != "" {
			fd, err := unix.Open(dev, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), name), nil
			}
			// The name may be known before the file is there, and an earlier user
			// of the port may be about to end.
			if err != unix.ENOENT && err != unix.EBUSY {
				return nil, fmt.Errorf("port %s: %w", name, err)
			}
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("there is no virtio-serial port named %s", name)
		}
	}
}

// findPort returns the device of a port, as /dev/vport0p1; "" if there is none (yet).
func findPort(name string) string {
	const class = "/sys/class/virtio-ports"
	entries, _ := os.ReadDir(class)
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(class, e.Name(), "name"))
		if strings.TrimSpace(string(text)) == name {
			return filepath.Join("/dev", e.Name())
		}
	}
	return ""
}

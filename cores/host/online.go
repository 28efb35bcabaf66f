package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// An onlineSet knows which cores are on. CPUs may be switched by others, so
// their state is read again when it is older than keepOnline; slots have a
// switch of their own here.
type onlineSet struct {
	root string

	mu   sync.Mutex
	cpus mask
	read time.Time
	off  []bool // slots or cores switched off here
}

// keepOnline is how old an answer may be: a listing of all cores is then one state.
const keepOnline = 50 * time.Millisecond

func (s *onlineSet) open(root string, n int) {
	s.root, s.off = root, make([]bool, n)
}

// cpu reports whether a CPU is on. s.mu is held.
func (s *onlineSet) cpu(n int) bool {
	if now := time.Now(); now.Sub(s.read) > keepOnline {
		s.cpus, s.read = mask{}, now
		for _, id := range sysfs(s.root).list(cpuDir, "online") {
			s.cpus.add(int(id))
		}
	}
	return s.cpus.has(n)
}

// Online reports whether the core can run programs now.
func (d *Driver) Online(id cores.ID) bool {
	if !d.has(id) {
		return false
	}
	d.online.mu.Lock()
	defer d.online.mu.Unlock()
	return !d.online.off[id] && d.online.cpu(d.infos[id].CPU)
}

func (d *Driver) has(id cores.ID) bool { return id >= 0 && int(id) < len(d.infos) }

// Do switches a core. A slot's switch is this driver's own; a CPU's is the
// kernel's (CPU hot-plug), and needs root.
func (d *Driver) Do(id cores.ID, op cores.Op) error {
	if !d.has(id) {
		return sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", id, len(d.infos))
	}
	switch op {
	case cores.QuietOn:
		return sys.Errorf(syscall.EOPNOTSUPP,
			"quiet: a quiet core is a cgroup v2 cpuset partition, and this version makes none (class exclusive keeps other programs of warren off a core)")
	case cores.QuietOff:
		return nil // no core ever is
	}
	on := op == cores.Online
	if d.slots {
		d.online.mu.Lock()
		defer d.online.mu.Unlock()
		d.online.off[id] = !on
		return nil
	}
	return d.plug(d.infos[id].CPU, on)
}

// plug switches a CPU in the kernel.
func (d *Driver) plug(cpu int, on bool) error {
	d.online.mu.Lock()
	defer d.online.mu.Unlock()
	d.online.read = time.Time{}
	if d.online.cpu(cpu) == on {
		return nil
	}
	word, value := "offline", "0"
	if on {
		word, value = "online", "1"
	}
	path := filepath.Join(d.online.root, cpuDir, "cpu"+strconv.Itoa(cpu), "online")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	d.online.read = time.Time{}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return sys.Errorf(syscall.EOPNOTSUPP, "%s: Linux cannot switch CPU %d of this machine (there is no %s)", word, cpu, path)
	case errors.Is(err, os.ErrPermission):
		return sys.Errorf(syscall.EPERM, "%s: only a server that is root can switch CPUs", word)
	}
	return sys.Errorf(sys.Errno(err), "%s: Linux refuses to switch CPU %d: %v", word, cpu, sys.Errno(err))
}

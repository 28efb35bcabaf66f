package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// paths tells whether a user's path can be walked without asking a file
// server: see the package comment.
type paths struct {
	mu     sync.Mutex
	mounts *os.File        // /proc/self/mountinfo, which polls ready when mounts change
	local  map[string]bool // by mount point
	buf    []byte
}

// localTypes are the file systems that answer from this kernel.
var localTypes = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "f2fs": true, "bcachefs": true,
	"zfs": true, "vfat": true, "exfat": true, "iso9660": true, "squashfs": true, "erofs": true,
	"tmpfs": true, "ramfs": true, "rootfs": true, "devtmpfs": true, "overlay": true, "virtiofs": true, "proc": true, "sysfs": true,
}

// isLocal reports whether path, which is absolute, stays on one local file
// system all the way. A path that ends too early is as local as its beginning.
func (p *paths) isLocal(path string) bool {
	mount, ok := p.mountOf(filepath.Clean(path))
	if !ok {
		return false
	}
	dir, err := unix.Open(mount, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	rest, err := filepath.Rel(mount, filepath.Clean(path))
	if err != nil {
		return false
	}
	fd, err := unix.Openat2(dir, rest, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == nil {
		unix.Close(fd)
		return true
	}
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES)
}

// mountOf returns the mount that a path is on by its text, if that and all
// that it is mounted on are local.
func (p *paths) mountOf(path string) (mount string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refresh() || !p.local["/"] {
		return "", false
	}
	mount = "/"
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if local, is := p.local[path[:i]]; is {
			if !local {
				return "", false
			}
			mount = path[:i]
		}
	}
	return mount, true
}

// refresh reads the mounts if they changed. p.mu is held.
func (p *paths) refresh() bool {
	if p.mounts == nil {
		f, err := os.Open("/proc/self/mountinfo")
		if err != nil {
			return false
		}
		p.mounts = f
	} else if p.local != nil && !p.changed() {
		return true
	}
	src := source{f: p.mounts, buf: p.buf}
	b, ok := src.read()
	if !ok {
		p.local = nil
		return false
	}
	p.buf, p.local = src.buf, parseMounts(string(b))
	return true
}

// changed asks the kernel whether mounts came or went since it was last asked.
func (p *paths) changed() bool {
	fds := []unix.PollFd{{Fd: int32(p.mounts.Fd()), Events: unix.POLLPRI}}
	n, err := unix.Poll(fds, 0)
	return err != nil || n > 0
}

func (p *paths) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mounts != nil {
		p.mounts.Close()
		p.mounts = nil
	}
}

// parseMounts reads a mountinfo: mount points, and whether each is local. Of
// several mounts on one point all must be.
func parseMounts(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		words := strings.Fields(left)
		if !ok || len(words) < 5 {
			continue
		}
		kind, _, _ := strings.Cut(right, " ")
		point := unoctal.Replace(words[4])
		was, again := out[point]
		out[point] = localTypes[kind] && (was || !again)
	}
	return out
}

// unoctal undoes what the kernel does to blanks in mount points.
var unoctal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// defaultPath is searched when a program's environment has no PATH.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// candidates lists what a program's name may stand for, in order, as execvp(3)
// would try them. ok is false if the search would leave the local file systems
// before it is over.
func (p *paths) candidates(name, dir string, env []string) (files []string, ok bool) {
	if strings.Contains(name, "/") {
		if !p.isLocal(absolute(dir, name)) {
			return nil, false
		}
		return []string{name}, true
	}
	for entry := range strings.SplitSeq(searchPath(env), ":") {
		file := filepath.Join(absolute(dir, entry), name)
		if !p.isLocal(file) {
			return files, false
		}
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			files = append(files, file)
		}
	}
	return files, true
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// searchPath is PATH of an environment; the last one counts, as in exec.Cmd.
func searchPath(env []string) string {
	path := defaultPath
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = value
		}
	}
	return path
}

// shim is what starts a program whose path may be on a file server: after its
// own exec it may wait as long as it likes. It looks names up as execvp(3) does.
func shim(name, dir string, args []string) []string {
	script := `cd -- "$1" && shift && exec "$@"`
	return append([]string{"/bin/sh", "-c", script, "sh", dir, name}, args[1:]...)
}

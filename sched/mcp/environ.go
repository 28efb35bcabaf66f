package mcp

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"warren/cores"
	"warren/fs/sys"
)

// environ is the program's environment: what the user set, the least that
// programs need, and what tells it its place. What the user set wins.
func (p *Proc) environ(u *sys.User, set []string, on []cores.ID) []string {
	n := strconv.Itoa(len(on))
	env := []string{
		"PATH=" + p.set.path(u), "HOME=" + p.set.homes.of(u.UID),
		"USER=" + u.Name, "LOGNAME=" + u.Name, "SHELL=/bin/sh", "LANG=C.UTF-8",
		"WARREN_PROC=" + p.meta.Name, "WARREN_CORES=" + cores.NewSet(on...).String(),
		"OMP_NUM_THREADS=" + n, "GOMAXPROCS=" + n,
	}
	if mount := p.set.Mount(); mount != "" {
		env = append(env, "WARREN="+mount)
	}
	if addr := p.set.Addr(); addr != "" {
		env = append(env, "WARREN_ADDR="+addr)
	}
	for _, kv := range set {
		key, _, _ := strings.Cut(kv, "=")
		env, _ = withEnv(env, key, kv)
	}
	return env
}

// standardPath is where programs are found that were given no PATH.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// path returns the PATH of a program: the server's own for its own user.
func (s *Set) path(u *sys.User) string {
	if own := os.Getenv("PATH"); own != "" && int(u.UID) == os.Geteuid() {
		return own
	}
	return standardPath
}

// homes remembers the users' home directories for some time, as a look-up may
// go over a network. The zero homes is ready.
type homes struct {
	mu    sync.Mutex
	dirs  map[uint32]string
	since time.Time
}

// keepHomes is how long a change of the users' database may go unnoticed.
const keepHomes = 30 * time.Second

func (h *homes) of(uid uint32) string {
	h.mu.Lock()
	if time.Since(h.since) > keepHomes {
		h.dirs, h.since = make(map[uint32]string), time.Now()
	}
	dir, ok := h.dirs[uid]
	h.mu.Unlock()
	if ok {
		return dir
	}
	dir = "/"
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil && u.HomeDir != "" {
		dir = u.HomeDir
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirs[uid] = dir
	return dir
}

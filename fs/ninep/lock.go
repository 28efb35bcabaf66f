package ninep

import (
	"sync"
	"syscall"

	"warren/fs/sys"
)

// lockTable holds the record locks of all connections of a server. They bind
// nobody who does not ask for locks. Its lock is held over nothing else.
type lockTable struct {
	mu    sync.Mutex
	files map[uint64][]recordLock // by qid path
	of    map[*conn]int           // how many
}

// maxLocks bounds what the locks of a connection can cost.
const maxLocks = 4096

// A recordLock is of the bytes from start on, before end (0: of all there will be).
type recordLock struct {
	owner
	f          *fid // with which it goes
	write      bool
	start, end uint64
}

// An owner is who does not stand in his own way: a process of a client.
type owner struct {
	c      *conn
	client string
	pid    uint32
}

// The types of Lock but 0, which is for reading, and the answers to a Tlock.
const (
	lockWrite   = 1
	lockNone    = 2
	lockGranted = 0
	lockBlocked = 1
)

// lock carries out a Tlock. It never waits: a client that wants to asks again.
func (c *exchange) lock(f *fid) error {
	want, err := c.wanted(f)
	if err != nil {
		return err
	}
	granted, err := c.srv.locks.set(f.qid.Path, want, c.m.Lock.Type == lockNone)
	c.r.Status = lockBlocked
	if granted {
		c.r.Status, f.locked = lockGranted, true
	}
	return err
}

// getlock carries out a Tgetlock: it tells of a lock that is in the way, if any.
func (c *exchange) getlock(f *fid) error {
	want, err := c.wanted(f)
	if err != nil {
		return err
	}
	c.r.Lock = c.m.Lock
	c.r.Lock.Type = lockNone
	if h, ok := c.srv.locks.inWay(f.qid.Path, want); ok {
		c.r.Lock = Lock{Start: h.start, Length: h.end, PID: h.pid, Client: h.client}
		if h.end > 0 {
			c.r.Lock.Length = h.end - h.start
		}
		if h.write {
			c.r.Lock.Type = lockWrite
		}
	}
	return nil
}

// wanted is the lock that c.m asks for.
func (c *exchange) wanted(f *fid) (recordLock, error) {
	l := &c.m.Lock
	h := recordLock{owner: owner{c.conn, l.Client, l.PID}, f: f, write: l.Type == lockWrite, start: l.Start}
	if l.Length > 0 {
		h.end = l.Start + l.Length
	}
	switch {
	case !f.open:
		return h, sys.ErrNotOpen
	case l.Type > lockNone:
		return h, sys.Errorf(syscall.EINVAL, "lock of type %d: 0 is for reading, 1 for writing, 2 unlocks", l.Type)
	case l.Length > 0 && h.end <= l.Start:
		return h, sys.Errorf(syscall.EINVAL, "lock of %d bytes at %d: there are no such bytes", l.Length, l.Start)
	}
	return h, nil
}

// meets reports whether two locks have bytes in common.
func (h *recordLock) meets(g *recordLock) bool {
	return (g.end == 0 || h.start < g.end) && (h.end == 0 || g.start < h.end)
}

// inWay returns a lock that keeps want from being granted.
func (t *lockTable) inWay(path uint64, want recordLock) (recordLock, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conflict(path, &want)
}

// conflict is inWay with the lock held.
func (t *lockTable) conflict(path uint64, want *recordLock) (recordLock, bool) {
	for _, h := range t.files[path] {
		if h.owner != want.owner && (h.write || want.write) && h.meets(want) {
			return h, true
		}
	}
	return recordLock{}, false
}

// set grants a lock, in place of what the owner has of these bytes, or unlocks.
// It is false if another's lock is in the way.
func (t *lockTable) set(path uint64, want recordLock, unlock bool) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !unlock {
		if _, ok := t.conflict(path, &want); ok {
			return false, nil
		}
	}
	all := make([]recordLock, 0, len(t.files[path])+2)
	for _, h := range t.files[path] {
		if h.owner == want.owner && h.meets(&want) {
			all = h.without(&want, all)
		} else {
			all = append(all, h)
		}
	}
	if !unlock {
		all = append(all, want)
	}
	return true, t.put(path, all, want.c)
}

// without appends what is left of a lock when a part of it is taken away.
func (h recordLock) without(part *recordLock, to []recordLock) []recordLock {
	if h.start < part.start {
		before := h
		before.end = part.start
		to = append(to, before)
	}
	if part.end > 0 && (h.end == 0 || h.end > part.end) {
		h.start = part.end
		to = append(to, h)
	}
	return to
}

// put makes these the locks of a file, where only those of one connection have
// changed. t.mu is held.
func (t *lockTable) put(path uint64, all []recordLock, c *conn) error {
	n := t.of[c] + len(all) - len(t.files[path])
	if len(all) > len(t.files[path]) && n > maxLocks {
		return sys.Errorf(syscall.ENOLCK, "too many locks: at most %d on a connection", maxLocks)
	}
	if t.files == nil {
		t.files, t.of = make(map[uint64][]recordLock), make(map[*conn]int)
	}
	if t.files[path], t.of[c] = all, n; len(all) == 0 {
		delete(t.files, path)
	}
	if n == 0 {
		delete(t.of, c)
	}
	return nil
}

// release unlocks what was locked with a fid of c, which is being closed.
func (t *lockTable) release(c *conn, f *fid) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []recordLock
	for _, h := range t.files[f.qid.Path] {
		if h.f != f {
			left = append(left, h)
		}
	}
	_ = t.put(f.qid.Path, left, c) // fewer than before always fit
}

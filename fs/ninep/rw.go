package ninep

import (
	"math"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// read carries out a Tread.
func (c *exchange) read(f *fid) error {
	count := min(c.m.Count, c.msize-ReadSize)
	switch {
	case !f.open || f.flags&fs.ORead == 0:
		return sys.ErrNotOpen
	case f.isDir():
		return c.readRecords(f, int(count))
	case c.m.Offset > math.MaxInt64:
		return sys.Errorf(syscall.EINVAL, "offset %d is too big", c.m.Offset)
	case count == 0 || f.stream && c.continued(f, count):
		c.r.Data = nil
		return nil
	}
	off := int64(c.m.Offset)
	r := c.begin(f, int(count))
	if f.stream && f.continues() {
		c.watch(r, off, count)
	}
	f.handle.Read(&r.call, off)
	c.settle(r)
	return errLater
}

// write carries out a Twrite.
func (c *exchange) write(f *fid) error {
	switch {
	case !f.open || f.flags&fs.OWrite == 0:
		return sys.ErrNotOpen
	case c.m.Offset > math.MaxInt64:
		return sys.Errorf(syscall.EINVAL, "offset %d is too big", c.m.Offset)
	}
	r := c.begin(f, 0)
	if uint32(len(c.m.Data)) >= f.iounit {
		r.call.MarkSplit()
	}
	f.handle.Write(&r.call, c.m.Data, int64(c.m.Offset))
	c.settle(r)
	return errLater
}

// rest is what Linux v9fs will ask for after a short answer from a stream:
// from end on, and from lo to hi bytes. None if hi is 0.
type rest struct {
	end    int64
	lo, hi uint32
}

// continues reports whether the client asks for the rest after a short read.
// One that opened with O_NONBLOCK does not.
func (f *fid) continues() bool { return f.att.v9fs && f.flags&fs.ONonblock == 0 }

// continued reports whether c.m asks for the rest after a short read, and
// forgets it: that is answered once with 0 bytes.
func (c *exchange) continued(f *fid, count uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := f.rest
	f.rest.hi = 0
	return int64(c.m.Offset) == rest.end && rest.lo <= count && count <= rest.hi
}

// watch prepares a read whose client may ask for the rest. One of iounit bytes
// may be a part of a longer read, whose rest is as long again; so that it is
// never filled, unless there is more of the message, it gets a byte less.
func (c *exchange) watch(r *request, off int64, count uint32) {
	r.watch, r.off, r.want = true, off, count
	if count == r.f.iounit && count > 1 {
		less := int(count) - 1
		r.call.Init(r.f.user(), c.id.PID, r, less, r.call.Nonblock())
	}
}

// answered takes note of what a client will ask for after n bytes came. If the
// message was cut, it is welcome to its rest. conn.mu is held.
func (f *fid) answered(r *request, n int) {
	f.rest = rest{}
	if n == 0 || r.call.Cut() {
		return
	}
	f.rest = rest{end: r.off + int64(n), lo: r.want - uint32(n), hi: r.want - uint32(n)}
	if r.want == f.iounit {
		f.rest.hi = r.want
	}
}

// readRecords carries out a Tread of a directory: whole stat records, from
// offset 0 or from where the last read ended.
func (c *exchange) readRecords(f *fid, count int) error {
	if c.dialect == DotL {
		return sys.ErrIsDir
	}
	switch c.m.Offset {
	case 0:
		f.dirOff, f.dirNext = 0, 0
	case f.dirOff:
	default:
		return sys.Errorf(syscall.EINVAL, "directory read at offset %d: from 0 or %d it can go on", c.m.Offset, f.dirOff)
	}
	b, next, short := c.scratch[:0], f.dirNext, false
	var record Stat
	err := c.listNode(f, next, func(s fs.Stat, after uint64) bool {
		c.record(&record, &s)
		n := len(b)
		if b = AppendStat(b, c.dialect, &record); len(b) > count {
			b, short = b[:n], true
			return false
		}
		next = after
		return true
	})
	if err := c.listed(b, short, count, err); err != nil {
		return err
	}
	f.dirOff += uint64(len(b))
	f.dirNext = next
	return nil
}

// listed makes the data of a directory read the answer.
func (c *exchange) listed(b []byte, short bool, count int, err error) error {
	if cap(b) <= keepScratch {
		c.scratch = b
	}
	switch {
	case err != nil:
		return err
	case short && len(b) == 0:
		return sys.Errorf(syscall.EINVAL, "directory read of %d bytes: too few for the next entry", count)
	}
	c.r.Data = b
	return nil
}

// keepScratch is the largest buffer for directories that is kept.
const keepScratch = 64 << 10

// The cookies of Treaddir are those of the node, but the ones after "." and "..".
const (
	afterDot    = 1 << 62
	afterDotDot = afterDot + 1
)

// readdir carries out a Treaddir: "." and "..", then what the node lists.
func (c *exchange) readdir(f *fid) error {
	if !f.open {
		return sys.ErrNotOpen
	}
	if !f.isDir() {
		return sys.ErrNotDir
	}
	count := int(min(c.m.Count, c.msize-ReadSize))
	b, short := c.scratch[:0], false
	add := func(qid fs.Qid, name string, next uint64) bool {
		n := len(b)
		de := Dirent{Qid: wireQid(qid), Next: next, Type: typeFile, Name: name}
		if qid.Kind == fs.Directory {
			de.Type = typeDir
		}
		if b = AppendDirent(b, &de); len(b) > count {
			b, short = b[:n], true
		}
		return !short
	}
	cookie := c.m.Offset
	if cookie == 0 && add(f.qid, ".", afterDot) {
		cookie = afterDot
	}
	if cookie == afterDot && add(c.above(f), "..", afterDotDot) {
		cookie = afterDotDot
	}
	if short {
		return c.listed(b, short, count, nil)
	}
	if cookie == afterDotDot {
		cookie = 0
	}
	err := c.listNode(f, cookie, func(s fs.Stat, after uint64) bool { return add(s.Qid, s.Name, after) })
	return c.listed(b, short, count, err)
}

// The d_type of Linux.
const (
	typeDir  = 4
	typeFile = 8
)

// above returns the qid of the directory above, or the fid's own.
func (c *exchange) above(f *fid) fs.Qid {
	up, err := c.step(f, f.node, f.qid, "..")
	if err != nil || up == f.node {
		return f.qid
	}
	defer up.Release()
	return up.Qid()
}

package ninep

import (
	"errors"
	"log/slog"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// errLater says that a request has its answer, or will get it, from elsewhere.
var errLater = errors.New("answered elsewhere")

// handle carries out one request.
func (c *exchange) handle(frame []byte) {
	c.trace(frame)
	c.dec.Dialect = c.dialect
	err := c.dec.Decode(&c.m, frame)
	if err == nil {
		c.r.Type, c.r.Tag = c.m.Type+1, c.m.Tag
		err = c.dispatch()
	}
	if err != errLater {
		c.answer(err)
	}
}

// answer appends c.r as the reply to c.m, or an error.
func (c *exchange) answer(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	flushed := c.away && c.req.silent && sys.Errno(err) == syscall.EINTR
	if err == nil {
		n := len(c.out)
		if c.out, err = Append(c.out, c.dialect, &c.r); len(c.out)-n > int(c.msize) {
			c.out, err = c.out[:n], sys.Errorf(syscall.EMSGSIZE, "the answer does not fit in %d bytes", c.msize)
		}
	}
	if err != nil && !flushed {
		c.appendError(c.m.Tag, err)
	}
	if c.away {
		c.back()
	}
}

// dispatch fills c.r, or returns the error to answer with.
func (c *exchange) dispatch() error {
	c.f = nil
	switch {
	case c.m.Type&1 != 0:
		return sys.Errorf(syscall.EPROTO, "%v is not a request", c.m.Type)
	case !c.version && c.m.Type != Tversion:
		return sys.Errorf(syscall.EPROTO, "%v before Tversion", c.m.Type)
	}
	switch c.m.Type {
	case Tversion:
		return c.negotiate()
	case Tauth:
		return acts[Tauth].refuse
	case Tattach:
		return c.attach()
	case Tflush:
		c.flushTag()
		return errLater
	}
	f, err := c.fids.get(c.m.Fid)
	if err != nil {
		return err
	}
	if f.alone || f.guests > 0 {
		if err := c.crowded(f); err != nil {
			return err
		}
	}
	c.f = f
	switch c.m.Type {
	case Twalk:
		return c.walk(f)
	case Topen:
		return c.open(f)
	case Tlopen:
		return c.lopen(f)
	case Tcreate:
		return c.create(f)
	case Tlcreate:
		return c.lcreate(f)
	case Tread:
		return c.read(f)
	case Twrite:
		return c.write(f)
	case Treaddir:
		return c.readdir(f)
	case Tclunk:
		c.f = nil
		c.clunk(f)
		return nil
	case Tremove:
		c.f = nil
		return c.remove(f)
	case Tstat:
		return c.stat(f)
	case Twstat:
		return c.wstat(f)
	case Tgetattr:
		return c.getattr(f)
	case Tsetattr:
		return c.setattr(f)
	}
	return c.linux(f)
}

// linux carries out what only 9P2000.L has and is seldom used, and refuses what
// the tree does not have.
func (c *exchange) linux(f *fid) error {
	switch c.m.Type {
	case Tmkdir:
		return c.mkdir(f)
	case Tunlinkat:
		return c.unlinkat(f)
	case Tstatfs:
		c.r.Statfs = Statfs{Type: fsMagic, Bsize: blockSize, Namelen: 255}
		return nil
	case Tfsync:
		return nil
	case Tlock:
		return c.lock(f)
	case Tgetlock:
		return c.getlock(f)
	case Txattrwalk:
		return c.xattrwalk(f)
	}
	return acts[c.m.Type].refuse
}

const (
	fsMagic   = 0x65735546 // FUSE_SUPER_MAGIC, as on a FUSE mount of the tree: GNU tail -f never polls what says V9FS_MAGIC
	blockSize = 4096
)

// negotiate agrees upon dialect and msize. All that was before is gone.
func (c *exchange) negotiate() error {
	if c.m.Msize < MinMsize {
		return sys.Errorf(syscall.EINVAL, "msize %d is too small: at least %d", c.m.Msize, MinMsize)
	}
	c.abort()
	d, ok := dialectOf(c.m.Version)
	c.mu.Lock()
	c.dialect, c.msize, c.numeric = d, min(c.m.Msize, or(c.srv.Msize, MaxMsize)), false
	c.mu.Unlock()
	c.version = ok
	c.r.Msize, c.r.Version = c.msize, "unknown"
	if ok {
		c.r.Version = d.String()
	}
	c.srv.log(slog.LevelDebug, "9p: version", "client", c.line.RemoteAddr(), "asked", c.m.Version, "dialect", c.r.Version)
	return nil
}

// dialectOf finds the dialect that a client's version string asks for: what
// follows a period may be dropped until one is known.
func dialectOf(version string) (Dialect, bool) {
	for {
		for d := Classic; d <= DotL; d++ {
			if version == d.String() {
				return d, true
			}
		}
		i := strings.LastIndexByte(version, '.')
		if i < 0 {
			return Classic, false
		}
		version = version[:i]
	}
}

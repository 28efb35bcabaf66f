package ninep

import (
	"strings"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// auth refuses: who asks is known from the transport. Linux's clients go on
// after ENOENT only.
func (c *exchange) auth() error {
	return sys.Errorf(syscall.ENOENT, "no authentication required")
}

// attach makes a fid of the root or, if the name says so, of a directory below.
func (c *exchange) attach() error {
	if c.m.Afid != NoFid {
		return sys.Errorf(syscall.EINVAL, "attach: afid %d was never made: no authentication required", c.m.Afid)
	}
	user, err := c.who()
	if err != nil {
		return err
	}
	path, v9fs, err := parseAname(c.m.Aname)
	if err != nil {
		return err
	}
	f, err := c.fids.make(c.m.Fid)
	if err != nil {
		return err
	}
	f.att = &attachment{user: user, v9fs: v9fs || c.dialect == DotL, root: c.root.qid}
	f.share(c.root)
	f.half = true
	c.fids.put(f)
	if err := c.descend(f, path); err != nil {
		c.discard(f)
		return err
	}
	f.att.root, f.half = f.qid, false
	if v9fs && c.dialect == Classic {
		c.mu.Lock()
		c.numeric = true
		c.mu.Unlock()
	}
	c.r.Qid = wireQid(f.qid)
	return nil
}

// descend walks f down a path.
func (c *exchange) descend(f *fid, path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		n, err := c.step(f, f.node, f.qid, name)
		if err != nil {
			return err
		}
		if n != f.node {
			f.own(n)
		}
	}
	if !f.isDir() {
		return sys.Errorf(syscall.ENOTDIR, "attach: %q is not a directory", path)
	}
	return nil
}

// parseAname takes an attach name apart: a path, and options after commas.
func parseAname(aname string) (path string, v9fs bool, err error) {
	for i, word := range strings.Split(aname, ",") {
		switch {
		case word == "v9fs":
			v9fs = true
		case i == 0:
			path = word
		default:
			return "", false, sys.Errorf(syscall.EINVAL, "attach: unknown option %q (v9fs?)", word)
		}
	}
	return path, v9fs, nil
}

// who returns the user that an attach is for. What the client claims may only
// lower what the transport knows of it: root may be anybody.
func (c *exchange) who() (*sys.User, error) {
	peer := c.id.User
	if peer == nil {
		if !c.id.Claim {
			return sys.Nobody(), nil
		}
		peer = &sys.User{Name: "root"}
		if c.m.NUname == NoUID && c.m.Uname == "" {
			return sys.Nobody(), nil
		}
	}
	switch {
	case c.m.NUname != NoUID:
		return c.numbered(peer, c.m.NUname)
	case c.m.Uname == "" || c.m.Uname == peer.Name:
		return peer, nil
	case peer.Root() && c.m.Uname == "none":
		return sys.Nobody(), nil
	case peer.Root():
		return c.srv.Users.ByName(c.m.Uname)
	}
	return nil, sys.Errorf(syscall.EPERM, "attach: you are %s and cannot be %s", peer.Name, c.m.Uname)
}

// numbered returns the user of a claimed uid.
func (c *exchange) numbered(peer *sys.User, uid uint32) (*sys.User, error) {
	switch {
	case uid == peer.UID && !peer.None:
		return peer, nil
	case peer.Root():
		return c.srv.Users.ByUID(uid, uid), nil
	}
	return nil, sys.Errorf(syscall.EPERM, "attach: your uid is %d and cannot be %d", peer.UID, uid)
}

func wireQid(q fs.Qid) Qid { return Qid{q.Type(), q.Vers, q.Path} }

package ninep

import (
	"slices"
	"strings"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// attach makes a fid of the root or, if the name says so, of a directory below.
func (c *exchange) attach() error {
	if c.m.Afid != NoFid {
		return sys.Errorf(syscall.EINVAL, "attach: afid %d was never made: no authentication required", c.m.Afid)
	}
	user, err := c.who()
	if err != nil {
		return err
	}
	wish, err := parseAname(c.m.Aname)
	if err != nil {
		return err
	}
	if user, err = c.from(user, wish.via); err != nil {
		return err
	}
	f, err := c.fids.make(c.m.Fid)
	if err != nil {
		return err
	}
	f.att = &attachment{user: user, v9fs: wish.v9fs || c.dialect == DotL, root: c.root.qid}
	f.share(c.root)
	f.half = true
	c.fids.put(f)
	if err := c.descend(f, wish.path); err != nil {
		c.discard(f)
		return err
	}
	f.att.root, f.half = f.qid, false
	if wish.v9fs && c.dialect == Classic {
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

// A wish is what an attach name asks for: a path, and options after commas.
type wish struct {
	path string
	v9fs bool
	via  []string // the servers that the request comes through, the first first
}

func parseAname(aname string) (w wish, err error) {
	for i, word := range strings.Split(aname, ",") {
		via, isVia := strings.CutPrefix(word, "via=")
		switch {
		case word == "v9fs":
			w.v9fs = true
		case isVia:
			w.via = strings.Split(via, "+")
		case i == 0:
			w.path = word
		default:
			return w, sys.Errorf(syscall.EINVAL, "attach: unknown option %q (v9fs?)", word)
		}
	}
	return w, nil
}

// maxVia is how many servers a request may come through.
const maxVia = 8

// from notes the servers that ask on behalf of a user, so that no way through
// them leads back to one of them: not to us, for a start.
func (c *exchange) from(u *sys.User, via []string) (*sys.User, error) {
	switch {
	case len(via) == 0:
		return u, nil
	case len(via) > maxVia:
		return nil, sys.Errorf(syscall.ELOOP, "attach: more than %d servers in a row", maxVia)
	case c.srv.ID != "" && slices.Contains(via, c.srv.ID):
		return nil, sys.ErrLoop
	}
	from := *u
	from.Via = via
	return &from, nil
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
	case c.id.Far && !peer.Root() && c.m.Uname != "none":
		return peer, nil
	case c.m.NUname != NoUID:
		return c.numbered(peer, c.m.NUname)
	case c.m.Uname == "" || c.m.Uname == peer.Name:
		return peer, nil
	case c.m.Uname == "none":
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

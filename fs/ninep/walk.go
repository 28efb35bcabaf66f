package ninep

import (
	"strings"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// walk carries out a Twalk. It may succeed in part: then there is no new fid.
func (c *exchange) walk(f *fid) error {
	if c.m.Newfid == c.m.Fid {
		return c.walkSelf(f)
	}
	g, err := c.fids.make(c.m.Newfid)
	if err != nil {
		return err
	}
	g.att, g.half = f.att, true
	c.fids.put(g)
	n, err := c.steps(f)
	switch {
	case err != nil || len(c.r.Qids) < len(c.m.Names):
		c.discard(g)
		return err
	case n == f.node:
		g.share(f)
	default:
		g.node, g.qid = n, n.Qid()
	}
	g.half = false
	return nil
}

// walkSelf moves the fid itself.
func (c *exchange) walkSelf(f *fid) error {
	if f.open && len(c.m.Names) > 0 {
		return sys.Errorf(syscall.EBUSY, "fid %d is open and cannot be moved", f.num)
	}
	n, err := c.steps(f)
	if err == nil && len(c.r.Qids) == len(c.m.Names) && n != f.node {
		f.own(n)
	}
	return err
}

// steps walks c.m.Names from f and puts the qids into c.r. An error at the
// first name is one; at a later name it ends the walk, unless it is another
// machine's: clients take a walk that ends early for a file that is not there.
// The node at the end of a whole walk is the caller's, unless it is f's own.
func (c *exchange) steps(f *fid) (fs.Node, error) {
	c.r.Qids = c.r.Qids[:0]
	at, qid := f.node, f.qid
	for i, name := range c.m.Names {
		next, err := c.step(f, at, qid, name)
		if next != at && at != f.node {
			at.Release()
		}
		if err != nil {
			if i > 0 && (!qid.Remote || aboutName(err)) {
				err = nil
			}
			return nil, err
		}
		at = next
		if at != f.node {
			qid = at.Qid()
		} else {
			qid = f.qid
		}
		c.r.Qids = append(c.r.Qids, wireQid(qid))
	}
	return at, nil
}

// aboutName reports whether a walk failed for the name, not for the way there.
func aboutName(err error) bool {
	switch sys.Errno(err) {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM:
		return true
	}
	return false
}

// step walks one name from a node. ".." at the attachment's root stays there,
// and "." does in 9P2000.L, whose directories have it.
func (c *exchange) step(f *fid, at fs.Node, qid fs.Qid, name string) (fs.Node, error) {
	switch {
	case qid.Kind != fs.Directory:
		return nil, sys.ErrNotDir
	case name == ".." && qid.Path == f.att.root.Path:
		return at, nil
	case name == "." && c.dialect == DotL:
		return at, nil
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return c.walkNode(f, at, qid, name)
}

// checkName refuses what can be no file's name.
func checkName(name string) error {
	if name == "" || name == "." || strings.ContainsAny(name, "/\x00") {
		return sys.Errorf(syscall.EINVAL, "bad file name %q", name)
	}
	return nil
}

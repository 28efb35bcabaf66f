package client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// A fid is a number that the server knows a file by. It is clunked when the
// last holder drops it.
type fid struct {
	c    *conn
	num  uint32
	qid  ninep.Qid
	refs atomic.Int32
}

// fidNumbers gives out numbers. The connection's lock protects it.
type fidNumbers struct {
	free []uint32
	next uint32
}

func (c *conn) newFid() *fid {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &fid{c: c}
	f.refs.Store(1)
	if n := len(c.fids.free); n > 0 {
		f.num = c.fids.free[n-1]
		c.fids.free = c.fids.free[:n-1]
		return f
	}
	f.num = c.fids.next
	c.fids.next++
	return f
}

// freed takes back a number that the server does not know any more.
func (c *conn) freed(num uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fids.free = append(c.fids.free, num)
}

// unused takes back the number of a fid that a call should have made and did
// not. After a call that was given up nobody knows: then it is never used again.
func (c *conn) unused(f *fid, err error) {
	if !errors.As(err, new(givenUp)) {
		c.freed(f.num)
	}
}

func (f *fid) hold() *fid {
	f.refs.Add(1)
	return f
}

// drop lets go of the fid without waiting for the server.
func (f *fid) drop() {
	if f.refs.Add(-1) > 0 {
		return
	}
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.send(&ninep.Msg{Type: ninep.Tclunk, Fid: f.num}, func(*ninep.Msg, error) { c.freed(f.num) })
	}
}

// clunk drops the last hold on the fid and waits for what the server says.
func (f *fid) clunk(ctx context.Context) error {
	err := f.c.rpc(ctx, &ninep.Msg{Type: ninep.Tclunk, Fid: f.num}, nil)
	f.c.unused(f, err)
	return err
}

// remove is Tremove, which clunks whatever comes of it.
func (f *fid) remove(ctx context.Context) error {
	err := f.c.rpc(ctx, &ninep.Msg{Type: ninep.Tremove, Fid: f.num}, nil)
	f.c.unused(f, err)
	return err
}

// split cuts a path into its names.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// walk returns a new fid of the file that the names lead to; none: of f's.
func (f *fid) walk(ctx context.Context, names ...string) (*fid, error) {
	cur := f.hold()
	for {
		n := min(len(names), ninep.MaxWalk)
		next, done, err := cur.step(ctx, names[:n])
		if err == nil && next == nil && done > 0 {
			// It stopped half way and did not say why: the next name will.
			n = done
			next, _, err = cur.step(ctx, names[:n])
		}
		cur.drop()
		if err != nil {
			return nil, err
		}
		if next == nil {
			return nil, sys.ErrNotExist
		}
		cur, names = next, names[n:]
		if len(names) == 0 {
			return cur, nil
		}
	}
}

// step is one Twalk. It makes a fid only if all names could be walked, and
// returns how many could.
func (f *fid) step(ctx context.Context, names []string) (*fid, int, error) {
	to := f.c.newFid()
	to.qid = f.qid
	done := 0
	m := ninep.Msg{Type: ninep.Twalk, Fid: f.num, Newfid: to.num, Names: names}
	err := f.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		done = len(r.Qids)
		if done > len(names) {
			return badReply("Rwalk with %d qids for %d names", done, len(names))
		}
		if done > 0 {
			to.qid = r.Qids[done-1]
		}
		return nil
	})
	if err != nil || done < len(names) {
		f.c.unused(to, err)
		return nil, done, err
	}
	return to, done, nil
}

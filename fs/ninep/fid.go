package ninep

import (
	"iter"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// A fid is a client's name for a file, open or not. Who has the turn may touch
// it, but for the fields at the end.
type fid struct {
	num    uint32
	node   fs.Node
	qid    fs.Qid
	att    *attachment
	handle fs.Handle // once it is open
	open   bool
	rclose bool // remove the file when the fid is clunked
	stream bool
	locked bool // there may be locks that go with it
	flags  fs.Flags
	iounit uint32

	half   bool // half made, or half gone: no request may name it
	alone  bool // an exchange is away that opens or moves it
	guests int  // exchanges that are away and use the node

	dirOff  uint64 // directory read of 9P2000: the offset that may come next
	dirNext uint64 // and the cookie there

	prev, next *fid // ring of the fids that share the node

	// Guarded by conn.mu.
	calls *request // parked at the handle
	rest  rest
}

// An attachment is what a Tattach agreed upon.
type attachment struct {
	user *sys.User
	root fs.Qid // ".." goes no further
	v9fs bool   // reads of streams are continued as Linux does
}

func (f *fid) user() *sys.User { return f.att.user }

// isRoot reports whether the fid stands for what was attached to.
func (f *fid) isRoot() bool { return f.qid.Path == f.att.root.Path }

func (f *fid) isDir() bool { return f.qid.Kind == fs.Directory }

// lowFids is how many fids are found by index; clients count from 0.
const lowFids = 1024

// A fidTable is the fids of a connection.
type fidTable struct {
	low   []*fid
	high  map[uint32]*fid
	count int
	limit int
	free  *fid // clunked ones, to be used again
	frees int
}

// maxFree is how many clunked fids are kept for new ones.
const maxFree = 64

// find returns the fid of that number, nil if there is none.
func (t *fidTable) find(num uint32) *fid {
	if num >= lowFids {
		return t.high[num]
	}
	if num < uint32(len(t.low)) {
		return t.low[num]
	}
	return nil
}

func (t *fidTable) get(num uint32) (*fid, error) {
	if f := t.find(num); f != nil && !f.half {
		return f, nil
	}
	return nil, sys.Errorf(syscall.EBADF, "unknown fid %d", num)
}

// make returns a fresh fid that is not in the table yet.
func (t *fidTable) make(num uint32) (*fid, error) {
	if num == NoFid {
		return nil, sys.Errorf(syscall.EBADF, "fid %d stands for none", num)
	}
	if t.find(num) != nil {
		return nil, sys.Errorf(syscall.EINVAL, "fid %d is in use", num)
	}
	if t.count >= t.limit {
		return nil, sys.Errorf(syscall.EMFILE, "too many fids: at most %d on a connection", t.limit)
	}
	f := t.free
	if f == nil {
		f = new(fid)
	} else {
		t.free = f.next
		t.frees--
	}
	f.num = num
	f.next, f.prev = f, f
	return f, nil
}

func (t *fidTable) put(f *fid) {
	t.count++
	if f.num >= lowFids {
		if t.high == nil {
			t.high = make(map[uint32]*fid)
		}
		t.high[f.num] = f
		return
	}
	if n := int(f.num) + 1; n > len(t.low) {
		t.low = append(t.low, make([]*fid, n-len(t.low))...)
	}
	t.low[f.num] = f
}

func (t *fidTable) del(num uint32) {
	t.count--
	if num < lowFids {
		t.low[num] = nil
	} else {
		delete(t.high, num)
	}
}

// recycle keeps a fid that is not in the table any more for make.
func (t *fidTable) recycle(f *fid) {
	*f = fid{}
	if t.frees < maxFree {
		f.next, t.free = t.free, f
		t.frees++
	}
}

func (t *fidTable) all() iter.Seq[*fid] {
	return func(yield func(*fid) bool) {
		for _, f := range t.low {
			if f != nil && !yield(f) {
				return
			}
		}
		for _, f := range t.high {
			if !yield(f) {
				return
			}
		}
	}
}

// share makes f another name of the file that g names.
func (f *fid) share(g *fid) {
	f.node, f.qid = g.node, g.qid
	f.prev, f.next = g, g.next
	g.next.prev = f
	g.next = f
}

// own gives f a node of its own.
func (f *fid) own(n fs.Node) {
	f.release()
	f.node, f.qid = n, n.Qid()
}

// release lets go of the node.
func (f *fid) release() {
	if f.next == f && f.node != nil {
		f.node.Release()
	}
	f.prev.next, f.next.prev = f.next, f.prev
	f.next, f.prev = f, f
	f.node = nil
}

// clunk ends a fid: what waits at it is cancelled and answered, then the
// handle is closed.
func (c *exchange) clunk(f *fid) {
	c.shut(f)
	if f.rclose {
		_ = c.removeNode(f) // nobody is there to be told
	}
	c.discard(f)
}

// discard lets go of a fid that is shut.
func (c *exchange) discard(f *fid) {
	f.release()
	c.fids.del(f.num)
	c.fids.recycle(f)
}

// shut closes the fid's handle. An answer that another goroutine is just
// giving is waited for, as is another machine that is asked to stop.
func (c *exchange) shut(f *fid) {
	f.half = true
	c.mu.Lock()
	var all []*request
	for r := f.calls; r != nil; r = r.next {
		all = append(all, r)
	}
	c.mu.Unlock()
	for i := len(all) - 1; i >= 0; i-- { // the oldest first
		all[i].call.Interrupt()
	}
	if c.busy(f) {
		c.await(f)
	}
	if f.locked {
		c.srv.locks.release(c.conn, f)
		f.locked = false
	}
	if f.handle != nil {
		f.handle.Close()
		f.handle = nil
	}
	f.open = false
}

func (c *conn) busy(f *fid) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.calls != nil
}

// await returns when nothing waits at the fid any more.
func (c *exchange) await(f *fid) {
	if _, err := c.depart(f); err != nil {
		c.turn.Unlock() // too many are away: then nobody reads meanwhile
	}
	defer c.arrive()
	c.mu.Lock()
	defer c.mu.Unlock()
	for f.calls != nil {
		c.wait()
	}
}

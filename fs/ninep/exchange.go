package ninep

import (
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// An exchange is the connection with one request at hand, and the answer to it.
//
// The reader uses one again and again, with the turn, until a request comes to
// a node that lies on another machine. Then the reader leaves with it: another
// goroutine goes on reading, and the exchange gives the turn away while it
// waits. It is a parked request meanwhile: a flush, a clunk of its fid, or the
// end of the connection interrupts it.
type exchange struct {
	*conn
	w       *worker  // who carries it out; nil: a goroutine of the connection
	dec     *Decoder // of who carries it out
	m, r    Msg
	req     *request // to be used next; of one that is away: its own
	scratch []byte   // of directory reads
	f       *fid     // that is kept from others while the exchange is away
	away    bool     // another goroutine reads
	fed     bool     // the worker has read from the socket
	last    found    // which it did then
}

// maxAway bounds the exchanges of a connection that wait for other machines,
// as each is a goroutine.
const maxAway = 1024

// depart gives the turn away, to wait for another machine on behalf of the
// fid's user, and returns the call to wait with. arrive takes the turn again.
func (c *exchange) depart(f *fid) (*fs.Call, error) {
	if !c.away {
		if err := c.leave(f); err != nil {
			return nil, err
		}
	}
	c.turn.Unlock()
	return &c.req.call, nil
}

func (c *exchange) arrive() { c.turn.Lock() }

// leave has another goroutine read on.
func (c *exchange) leave(f *fid) error {
	r := c.begin(f, 0)
	r.call.Init(f.user(), c.id.PID, r, 0, false)
	if err := c.park(r); err != nil {
		return err
	}
	c.away = true
	if c.f != nil {
		c.f.alone = c.m.moves(c.f)
		c.f.guests++
	}
	if c.w == nil {
		go c.attend()
		return nil
	}
	c.keep()
	c.w.handOver(c.sock)
	return nil
}

// park makes the exchange known to those who may interrupt it.
func (c *exchange) park(r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.calls[r.tag]; taken {
		return sys.Errorf(syscall.EINVAL, "tag %d is in use", r.tag)
	}
	if r.full || c.conn.away >= maxAway {
		return sys.Errorf(syscall.EAGAIN, "too many calls wait for other machines: at most %d may", maxAway)
	}
	c.conn.away++
	c.hold(r)
	if c.f != nil {
		r.list(c.f)
	}
	return nil
}

// back ends an exchange that was away: its answer is in the out buffer, or
// suppressed. c.mu is held.
func (c *exchange) back() {
	if c.f != nil {
		c.f.alone = false
		c.f.guests--
	}
	c.conn.away--
	c.finish(c.req)
}

// moves reports whether the request changes what the fid stands for, or goes
// on from where the last such request ended.
func (m *Msg) moves(f *fid) bool {
	switch m.Type {
	case Topen, Tlopen, Tcreate, Tlcreate:
		return true
	case Twalk:
		return m.Newfid == m.Fid
	case Tread:
		return f.isDir()
	}
	return false
}

// crowded says why c.m cannot be carried out while others use its fid. A clunk
// always can: it ends them.
func (c *exchange) crowded(f *fid) error {
	if c.m.Type == Tclunk || c.m.Type == Tremove || !f.alone && !c.m.moves(f) {
		return nil
	}
	return sys.Errorf(syscall.EBUSY, "fid %d is in use by a call that is not answered yet", f.num)
}

// What follows asks a node, on behalf of the fid's user.

func (c *exchange) walkNode(f *fid, at fs.Node, qid fs.Qid, name string) (fs.Node, error) {
	if !qid.Remote {
		return at.Walk(c.caller(f), name)
	}
	call, err := c.depart(f)
	if err != nil {
		return nil, err
	}
	defer c.arrive()
	return at.Walk(call, name)
}

func (c *exchange) statNode(f *fid) (fs.Stat, error) {
	if !f.qid.Remote {
		return f.node.Stat(c.caller(f))
	}
	node := f.node
	call, err := c.depart(f)
	if err != nil {
		return fs.Stat{}, err
	}
	defer c.arrive()
	return node.Stat(call)
}

func (c *exchange) listNode(f *fid, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if !f.qid.Remote {
		return f.node.List(c.caller(f), cookie, yield)
	}
	node := f.node
	call, err := c.depart(f)
	if err != nil {
		return err
	}
	defer c.arrive()
	return node.List(call, cookie, yield)
}

func (c *exchange) openNode(f *fid, flags fs.Flags) (fs.Handle, fs.Node, error) {
	if !f.qid.Remote {
		return f.node.Open(c.caller(f), flags)
	}
	node := f.node
	call, err := c.depart(f)
	if err != nil {
		return nil, nil, err
	}
	defer c.arrive()
	return node.Open(call, flags)
}

func (c *exchange) changeNode(f *fid, node fs.Node, qid fs.Qid, ch fs.Change) error {
	if !qid.Remote {
		return node.Change(c.caller(f), ch)
	}
	call, err := c.depart(f)
	if err != nil {
		return err
	}
	defer c.arrive()
	return node.Change(call, ch)
}

func (c *exchange) lastError(f *fid) (string, error) {
	if !f.qid.Remote {
		return fs.LastError(f.node, c.caller(f))
	}
	node := f.node
	call, err := c.depart(f)
	if err != nil {
		return "", err
	}
	defer c.arrive()
	return fs.LastError(node, call)
}

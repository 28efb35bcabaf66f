package fuse

import (
	"sync"
	"sync/atomic"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
)

const rootID = gofuse.FUSE_ROOT_ID

// A node is a file that the kernel knows by its id.
type node struct {
	id     uint64
	file   fs.Node
	remote bool          // its methods may wait for another machine
	slow   atomic.Uint64 // the operations, a bit each, that took long of late
	quick  atomic.Uint32 // how many of those have not since
	own    bool          // not shared: every LOOKUP makes one
	refs   uint64        // lookups that are not forgotten, and open files; guarded by nodes.mu
	mode   atomic.Uint32 // permission bits, as last seen
	sized  atomic.Bool   // an ordinary file of another machine: what it holds is at an offset, and as long as it says
}

// nodes are the files that the kernel knows. An id is never used again, so a
// late request never meets another file.
type nodes struct {
	mu     sync.RWMutex
	last   uint64
	byID   map[uint64]*node
	byPath map[uint64]*node // by qid; those that are shared
}

func (t *nodes) init(root fs.Node) {
	t.last = rootID
	t.byID = map[uint64]*node{rootID: {id: rootID, file: root, remote: root.Qid().Remote, refs: 1}}
	t.byPath = make(map[uint64]*node)
}

// get returns the node of that id, nil if there is none.
func (t *nodes) get(id uint64) *node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// slow notes that an operation of a node takes long, so that it is not waited for
// the next times.
func (t *nodes) slow(id uint64, op uint32) {
	if n := t.get(id); n != nil {
		n.quick.Store(0)
		n.slow.Or(opBit(op))
	}
}

// quick notes that one that was slow is not, or no more. A text is made by the
// first of many reads, so that says little.
func (t *nodes) quick(id uint64, op uint32) {
	const enough = 100
	if n := t.get(id); n != nil && n.slow.Load()&opBit(op) != 0 && n.quick.Add(1) == enough {
		n.slow.Store(0)
	}
}

// opBit is the bit of an operation. Those above 63 are all counted as one: there
// is none of them that a node could be slow at.
func opBit(op uint32) uint64 { return 1 << min(op, 63) }

// hold returns the node and keeps it until it is forgotten once more.
func (t *nodes) hold(id uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n != nil {
		n.refs++
	}
	return n
}

// remember returns the node of a file that the kernel is told of. It takes
// the file over.
func (t *nodes) remember(file fs.Node, st *fs.Stat) *node {
	n, known := t.add(file, st.Qid)
	if known {
		file.Release()
	}
	n.seen(st)
	return n
}

// seen notes what stat(2) said of a node.
func (n *node) seen(st *fs.Stat) {
	n.mode.Store(st.Mode)
	n.sized.Store(n.remote && st.Qid.Kind == fs.Text && st.Size > 0)
}

func (t *nodes) add(file fs.Node, q fs.Qid) (n *node, known bool) {
	own := q.Kind.Waits()
	t.mu.Lock()
	defer t.mu.Unlock()
	if n = t.byPath[q.Path]; n != nil && !own {
		n.refs++
		return n, true
	}
	t.last++
	n = &node{id: t.last, file: file, remote: q.Remote, own: own, refs: 1}
	t.byID[n.id] = n
	if !own {
		t.byPath[q.Path] = n
	}
	return n, false
}

// forget takes some references back and releases the file after the last.
func (t *nodes) forget(id, count uint64) {
	if n := t.drop(id, count); n != nil {
		n.file.Release()
	}
}

func (t *nodes) drop(id, count uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || id == rootID {
		return nil
	}
	if n.refs -= min(n.refs, count); n.refs > 0 {
		return nil
	}
	delete(t.byID, id)
	if !n.own {
		delete(t.byPath, n.file.Qid().Path)
	}
	return n
}

// releaseAll releases all files but the root, which is the mounter's.
func (t *nodes) releaseAll() {
	t.mu.Lock()
	all := t.byID
	t.byID, t.byPath = nil, nil
	t.mu.Unlock()
	for id, n := range all {
		if id != rootID {
			n.file.Release()
		}
	}
}

// Forget is the kernel's note that it let go of lookups.
func (s *server) Forget(id, count uint64) { s.nodes.forget(id, count) }

package fuse

import (
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// A file is an open file or directory.
type file struct {
	handle fs.Handle
	node   fs.Node   // if it is another file than the one that was opened
	from   *node     // that was opened
	user   *sys.User // the opener, whose rights count
	kind   fs.Kind
	// nonblock is what open(2) said. What fcntl(2) sets later is not looked at:
	// Go's runtime sets it on every file that it can poll, and as a mount says
	// that all are ready, its reads would fail and then wait for ever.
	nonblock bool
	refs     atomic.Int32 // 1 until RELEASE, and 1 for each request in flight
}

// done lets go of a file; the last to do so closes it.
func (f *file) done(s *server) {
	if f.refs.Add(-1) > 0 {
		return
	}
	f.handle.Close()
	if f.node != nil {
		f.node.Release()
	}
	s.nodes.forget(f.from.id, 1)
}

// files are the open files by number.
type files struct {
	mu   sync.RWMutex
	last uint64
	all  map[uint64]*file
}

func (t *files) add(f *file) uint64 {
	f.refs.Store(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[uint64]*file)
	}
	t.last++
	t.all[t.last] = f
	return t.last
}

// get returns a file, to be let go of with done; nil if there is none.
func (t *files) get(fh uint64) *file {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f := t.all[fh]
	if f != nil {
		f.refs.Add(1)
	}
	return f
}

// release closes a file as soon as no request of it is in flight.
func (t *files) release(s *server, fh uint64) {
	t.mu.Lock()
	f := t.all[fh]
	delete(t.all, fh)
	t.mu.Unlock()
	if f != nil {
		f.done(s)
	}
}

func (t *files) closeAll(s *server) {
	t.mu.Lock()
	all := t.all
	t.all = nil
	t.mu.Unlock()
	for _, f := range all {
		f.done(s)
	}
}

// Open opens a file.
func (s *server) Open(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	return s.status(s.open(cancel, &in.InHeader, in.NodeId, in.Flags, out))
}

func (s *server) open(cancel <-chan struct{}, h *gofuse.InHeader, id uint64, flags uint32, out *gofuse.OpenOut) error {
	n := s.nodes.hold(id)
	if n == nil {
		return syscall.ESTALE
	}
	f, err := s.openNode(cancel, h, n, flags)
	if err != nil {
		s.nodes.forget(id, 1)
		return err
	}
	out.Fh = s.files.add(f)
	out.OpenFlags = openFlags(f.kind)
	return nil
}

func (s *server) openNode(cancel <-chan struct{}, h *gofuse.InHeader, n *node, flags uint32) (*file, error) {
	nonblock := flags&syscall.O_NONBLOCK != 0
	r := s.request(s.users.ByUID(h.Uid, h.Gid), h, nil, nonblock)
	r.watch(cancel, n)
	defer r.free()
	handle, opened, err := n.file.Open(&r.call, treeFlags(flags))
	if err != nil {
		return nil, err
	}
	q := opened.Qid()
	f := &file{handle: handle, from: n, user: r.call.User(), kind: q.Kind, nonblock: nonblock}
	if q.Path != n.file.Qid().Path {
		f.node = opened
	}
	return f, nil
}

// treeFlags turns the flags of open(2) into the tree's.
func treeFlags(flags uint32) fs.Flags {
	var f fs.Flags
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		f = fs.ORead
	case syscall.O_WRONLY:
		f = fs.OWrite
	case syscall.O_RDWR:
		f = fs.ORead | fs.OWrite
	}
	for _, v := range [...]struct {
		linux uint32
		tree  fs.Flags
	}{
		{syscall.O_TRUNC, fs.OTrunc},
		{syscall.O_APPEND, fs.OAppend},
		{syscall.O_NONBLOCK, fs.ONonblock},
		{gofuse.FMODE_EXEC, fs.OExec},
	} {
		if flags&v.linux != 0 {
			f |= v.tree
		}
	}
	return f
}

// openFlags says how the kernel is to treat an open file. Nothing is cached.
// Streams have no position: reads and writes of one descriptor do not wait
// for each other, and a shell cannot seek back over what it read. The others
// have one, or "cat clone" would read for ever.
func openFlags(k fs.Kind) uint32 {
	switch k {
	case fs.Directory:
		return 0
	case fs.Stream:
		return gofuse.FOPEN_DIRECT_IO | gofuse.FOPEN_STREAM | gofuse.FOPEN_NONSEEKABLE | gofuse.FOPEN_PARALLEL_DIRECT_WRITES
	}
	return gofuse.FOPEN_DIRECT_IO
}

// Read reads from an open file. A read for the page cache is refused: it
// comes from splice(2) or sendfile(2), of busybox's cat for one, which then
// reads as everybody does. An ordinary file's may come from mmap(2) or execve(2),
// too, which have no other way.
func (s *server) Read(cancel <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	f := s.files.get(in.Fh)
	if f == nil {
		return nil, gofuse.EBADF
	}
	defer f.done(s)
	cached := in.ReadFlags&gofuse.READ_LOCKOWNER == 0
	if cached && f.kind != fs.Bytes && !f.from.sized.Load() {
		return nil, gofuse.EINVAL
	}
	off := int64(in.Offset)
	if f.kind == fs.Stream {
		off = -1
	}
	r := s.request(f.user, &in.InHeader, buf, f.nonblock)
	r.yield(f.from)
	f.handle.Read(&r.call, off)
	r.wait(cancel)
	if r.err != nil {
		defer r.free()
		return nil, s.status(r.err)
	}
	if cached {
		if err := s.fill(cancel, f, &in.InHeader, r, off); err != nil {
			defer r.free()
			return nil, s.status(err)
		}
	}
	if r.lost != nil {
		s.undo.put(in.Unique, r.lost)
	}
	return r, gofuse.OK
}

// fill reads on until the buffer of a read is full, or the file ends: the page
// cache takes less than it asked for as the end of the file.
func (s *server) fill(cancel <-chan struct{}, f *file, h *gofuse.InHeader, r *request, off int64) error {
	for r.n > 0 && r.n < len(r.buf) {
		next := s.request(f.user, h, r.buf[r.n:], f.nonblock)
		f.handle.Read(&next.call, off+int64(r.n))
		next.wait(cancel)
		n, err := next.n, next.err
		next.free()
		if err != nil || n == 0 {
			return err
		}
		r.n += n
	}
	return nil
}

// length returns how long an open text is, as lseek(2) wants to know before
// it goes to the end. Reading from the second byte on continues the snapshot
// that the file has, if any.
func (s *server) length(cancel <-chan struct{}, f *file, h *gofuse.InHeader) (uint64, error) {
	end := int64(1)
	for {
		n, err := s.measure(cancel, f, h, end)
		switch {
		case err != nil:
			return 0, err
		case n == 0 && end == 1: // one byte, or none
			n, err = s.measure(cancel, f, h, 0)
			return uint64(n), err
		case n == 0:
			return uint64(end), nil
		}
		end += int64(n)
	}
}

// measure returns how much there is to read at an offset.
func (s *server) measure(cancel <-chan struct{}, f *file, h *gofuse.InHeader, off int64) (int, error) {
	r := s.request(f.user, h, nil, true)
	defer r.free()
	r.call.Init(f.user, int(h.Pid), (*meter)(r), math.MaxInt32, true)
	f.handle.Read(&r.call, off)
	r.wait(cancel)
	return r.n, r.err
}

// Write writes to an open file.
func (s *server) Write(cancel <-chan struct{}, in *gofuse.WriteIn, data []byte) (uint32, gofuse.Status) {
	f := s.files.get(in.Fh)
	if f == nil {
		return 0, gofuse.EBADF
	}
	defer f.done(s)
	r := s.request(f.user, &in.InHeader, nil, f.nonblock)
	defer r.free()
	if len(data) > maxWrite-os.Getpagesize() {
		r.call.MarkSplit() // the kernel cuts longer ones, at a page
	}
	if f.kind != fs.Stream {
		s.handOver(r.at) // verbs start programs, and more
	}
	f.handle.Write(&r.call, data, int64(in.Offset))
	r.wait(cancel)
	return uint32(r.n), s.status(r.err)
}

// Release closes a file when nobody has it open any more.
func (s *server) Release(_ <-chan struct{}, in *gofuse.ReleaseIn) { s.files.release(s, in.Fh) }

// Ioctl refuses in a way that isatty(3) understands.
func (s *server) Ioctl(<-chan struct{}, *gofuse.IoctlIn, []byte, *gofuse.IoctlOut, []byte) gofuse.Status {
	return gofuse.Status(syscall.ENOTTY)
}

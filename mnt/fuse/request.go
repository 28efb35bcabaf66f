package fuse

import (
	"sync"
	"sync/atomic"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// A request is a call to the tree on behalf of a FUSE request, the sink of
// its answer, and the result of a read as go-fuse wants it.
type request struct {
	call fs.Call
	srv  *server
	at   uint64 // its number with the kernel
	op   uint32 // what is asked
	buf  []byte // of a read: where the data go
	n    int    // bytes read or written
	err  error
	lost func() // takes back what was read

	state atomic.Uint32
	wake  chan struct{} // of capacity 1
	stop  chan struct{} // ends watch
}

// The states of a request: its answer and its wait race for the change.
const (
	running uint32 = iota
	waiting
	answered
)

// begin makes a request to a node, of the process that h names.
func (s *server) begin(cancel <-chan struct{}, h *gofuse.InHeader, n *node) *request {
	r := s.request(s.users.ByUID(h.Uid, h.Gid), h, nil, false)
	r.watch(cancel, n)
	return r
}

// watch sees to it that what a node waits for on another machine ends when the
// request is interrupted, and that others do not wait for it.
func (r *request) watch(cancel <-chan struct{}, n *node) {
	r.yield(n)
	if !n.remote {
		return
	}
	stop := make(chan struct{})
	r.stop = stop
	r.srv.waits.add(r)
	go func() {
		select {
		case <-cancel:
			r.call.Interrupt()
		case <-stop:
		}
	}()
}

// yield hands the lead over if the request may take its time at that node.
func (r *request) yield(n *node) {
	if n.remote || n.slow.Load()&opBit(r.op) != 0 {
		r.srv.handOver(r.at)
	}
}

// request returns a request, ready: the one of the kernel's that h begins. A
// read gets its data in buf.
func (s *server) request(u *sys.User, h *gofuse.InHeader, buf []byte, nonblock bool) *request {
	r := s.requests.Get().(*request)
	r.srv, r.at, r.op, r.buf, r.n, r.err, r.lost, r.stop = s, h.Unique, h.Opcode, buf, 0, nil, nil, nil
	r.state.Store(running)
	r.call.Init(u, int(h.Pid), r, len(buf), nonblock)
	return r
}

// free gives a request back. One that was parked or watched is not used again,
// because a late canceller may still hold it.
func (r *request) free() {
	if r.stop != nil {
		close(r.stop)
		r.srv.waits.remove(r)
		return
	}
	if !r.call.Parked() {
		r.buf = nil
		r.srv.requests.Put(r)
	}
}

// Data takes the answer of a read.
func (r *request) Data(p []byte, lost func()) {
	r.n, r.lost = copy(r.buf, p), lost
	r.answer()
}

// Count takes the answer of a write.
func (r *request) Count(n int) {
	r.n = n
	r.answer()
}

// Error takes a failure.
func (r *request) Error(err error) {
	r.err = err
	r.answer()
}

// A meter is a request that only counts the bytes of a read.
type meter request

// Data takes the answer of a read.
func (m *meter) Data(p []byte, _ func()) { (*request)(m).Count(len(p)) }

// Count takes the answer of a write, which there is none of.
func (m *meter) Count(n int) { (*request)(m).Count(n) }

// Error takes a failure.
func (m *meter) Error(err error) { (*request)(m).Error(err) }

func (r *request) answer() {
	if r.state.Swap(answered) == waiting {
		r.wake <- struct{}{}
	}
}

// wait returns when the request is answered. An interrupt cancels it if it
// waits in the tree; if not, its answer is on the way.
func (r *request) wait(cancel <-chan struct{}) {
	if !r.state.CompareAndSwap(running, waiting) {
		return
	}
	r.srv.handOver(r.at)
	w := &r.srv.waits
	w.add(r)
	defer w.remove(r)
	select {
	case <-r.wake:
	case <-cancel:
		r.call.Interrupt()
		<-r.wake
	}
}

// Size, Bytes, Readv and Done are go-fuse's view of the result of a read: the
// data are in place already.

// Size returns the number of bytes read.
func (r *request) Size() int { return r.n }

// Bytes returns the data.
func (r *request) Bytes([]byte) ([]byte, gofuse.Status) { return r.buf[:r.n], gofuse.OK }

// Readv copies the data, unless they were read into dst.
func (r *request) Readv(dst [][]byte) (int, gofuse.Status) {
	data := r.buf[:r.n]
	for _, d := range dst {
		data = data[copy(d, data):]
	}
	return r.n - len(data), gofuse.OK
}

// Done ends the request.
func (r *request) Done() { r.free() }

// waits are the requests that wait in the tree.
type waits struct {
	mu     sync.Mutex
	all    map[*request]struct{}
	closed atomic.Bool
}

// add puts a request on the list; it is cancelled if the mount is ending.
func (w *waits) add(r *request) {
	w.mu.Lock()
	if w.all == nil {
		w.all = make(map[*request]struct{})
	}
	w.all[r] = struct{}{}
	w.mu.Unlock()
	if w.closed.Load() {
		r.call.Interrupt()
	}
}

func (w *waits) remove(r *request) {
	w.mu.Lock()
	delete(w.all, r)
	w.mu.Unlock()
}

// close cancels all that wait, and what will.
func (w *waits) close() {
	w.closed.Store(true)
	w.mu.Lock()
	all := make([]*request, 0, len(w.all))
	for r := range w.all {
		all = append(all, r)
	}
	w.mu.Unlock()
	for _, r := range all {
		r.call.Interrupt()
	}
}

// status is the errno of an answer. What a dying mount cancels is told that
// the device is gone, so that nobody tries again.
func (s *server) status(err error) gofuse.Status {
	errno := sys.Errno(err)
	if errno == syscall.EINTR && s.waits.closed.Load() {
		errno = syscall.ENODEV
	}
	return gofuse.Status(errno)
}

// undos are what to call if the reply of a read cannot be written, by the
// number of the request.
type undos struct {
	n  atomic.Int32
	mu sync.Mutex
	m  map[uint64]func()
}

func (u *undos) put(unique uint64, lost func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m == nil {
		u.m = make(map[uint64]func())
	}
	u.m[unique] = lost
	u.n.Add(1)
}

func (u *undos) take(unique uint64) func() {
	if u.n.Load() == 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	lost, ok := u.m[unique]
	if ok {
		delete(u.m, unique)
		u.n.Add(-1)
	}
	return lost
}

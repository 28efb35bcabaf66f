// Package fuse mounts a tree of fs.Nodes as a Linux file system.
//
// A Mounted reads requests from the kernel and hands each to go-fuse's protocol
// decoder, which calls the server: an implementation of go-fuse's
// RawFileSystem over fs.Node. There is no tree of inodes: a table keeps the
// nodes that the kernel was told of by LOOKUP and has not forgotten, another
// the open files. One goroutine reads, answers, and reads on; where a request
// may take its time another takes over the reading. A read or write that must
// wait is parked in the tree, and its goroutine sleeps until the answer or an
// interrupt.
//
// # How files behave
//
// A direct write holds the kernel's lock of the inode, so each LOOKUP of a
// file whose writes may wait gets an inode of its own. Streams are opened
// as such, so that a shell that seeks loses nothing and a read and a write
// of one descriptor do not wait for each other. Interrupts cancel waits and
// nothing else: any caught signal sends one. Handles are closed on RELEASE,
// not on FLUSH, which comes with every close of a duplicate.
//
// A file without a size shows one page, as in sysfs: the kernel tells who
// splices a file of size 0 that it is empty, without asking here. Splicing is
// then refused, so that busybox's cat reads as others do; and who seeks to the
// end gets the length of the snapshot.
//
// The kernel remembers fixed names for nameTime, but only in directories that
// all may search: it does not check permissions itself, so in others every
// walk must come here.
//
// # State and locks
//
// nodes.mu, files.mu and waits.mu guard a table each, are held for a few
// instructions, and are never held together or while the tree is called.
// Mounted.lead is the number of the request that the reading goroutine is at;
// who changes it to 0 reads on, or starts who does.
//
// # Rationale
//
// The requests are read here rather than by go-fuse's Server, which does not
// tell when a reply could not be written: a message that was taken from a
// channel would be lost.
package fuse

import (
	"encoding/binary"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// Options of a mount. The zero Options are good.
type Options struct {
	// Users finds the callers; nil: a cache of the mount's own.
	Users *sys.Users
	// AllowOther lets other users in. It is always on when root mounts;
	// others need user_allow_other in /etc/fuse.conf.
	AllowOther bool
	Debug      bool         // log every request
	Log        *slog.Logger // nil: nothing is logged
}

// A Mounted is a mounted tree.
type Mounted struct {
	where place
	dev   int // the kernel's open connection
	srv   *server
	proto *gofuse.ProtocolServer
	log   *slog.Logger
	bufs  sync.Pool // of *[bigBuffer]byte

	idleMem sync.Pool   // of *worker
	probing atomic.Bool // see learnPoll
	workers sync.WaitGroup

	lead    atomic.Uint64 // the number of the request that the leader is at; 0: it reads
	asked   atomic.Uint64 // the node of that request, and
	op      atomic.Uint32 // what is asked of it
	looks   atomic.Bool   // look will be called once more
	clock   *time.Timer   // calls it
	taking  sync.Mutex    // held by look
	watched uint64        // where the leader was then, and
	looked  int           // how often already

	done chan struct{} // closed when everything is given back

	unmounting sync.Mutex
}

// Mount mounts the tree on a directory that must exist and be empty. A dead
// mount of a server that was killed is cleared first.
func Mount(root fs.Node, dir string, o Options) (*Mounted, error) {
	where, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	dev, err := attach(where, o.AllowOther)
	if err != nil {
		return nil, err
	}
	m := newMount(root, dev, o)
	if m.where, err = placeOf(where); err == nil {
		err = m.start()
	}
	if err != nil {
		_ = unmount(where, byForce) // the first error says more
		syscall.Close(dev)
		return nil, err
	}
	return m, nil
}

func newMount(root fs.Node, dev int, o Options) *Mounted {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Users == nil {
		o.Users = new(sys.Users)
	}
	m := &Mounted{
		dev:  dev,
		srv:  newServer(root, o.Users),
		log:  o.Log,
		done: make(chan struct{}),
	}
	m.srv.notify, m.srv.handOver = m.notify, m.handOver
	m.clock = time.AfterFunc(time.Hour, m.look)
	m.clock.Stop()
	m.idleMem.New = func() any { return new(worker) }
	m.bufs.New = func() any { return new([bigBuffer]byte) }
	logger := slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)
	if o.Debug {
		logger = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	}
	m.proto = gofuse.NewProtocolServer(m.srv, m.protocol(logger, o.Debug))
	return m
}

// protocol returns what is agreed with the kernel. Opens do not carry O_TRUNC:
// the kernel would take the file for empty, and writes past the end of a file
// of one descriptor wait for each other, unkillably.
func (m *Mounted) protocol(logger *log.Logger, debug bool) *gofuse.MountOptions {
	return &gofuse.MountOptions{
		Name:                 fsName,
		MaxWrite:             maxWrite,
		MaxBackground:        64,
		ExtraCapabilities:    gofuse.CAP_READDIRPLUS_AUTO,
		DisabledCapabilities: gofuse.CAP_PASSTHROUGH,
		Debug:                debug,
		Logger:               logger,
		PanicHandler: func(v any) gofuse.Status {
			m.log.Error("a file panicked", "panic", v, "stack", stack())
			return gofuse.EIO
		},
	}
}

// start answers the kernel's first request, INIT, and begins to serve.
func (m *Mounted) start() error {
	w := new(worker)
	req, err := m.receive(w)
	if err != nil {
		return sys.Errorf(sys.Errno(err), "mount: the kernel does not talk: %v", err)
	}
	m.handle(w, req)
	m.free(w)
	m.spawn()
	go func() {
		m.workers.Wait()
		m.clock.Stop()
		m.srv.end()
		syscall.Close(m.dev)
		close(m.done)
	}()
	m.learnPoll()
	return nil
}

// Wait returns when the tree is not mounted any more, for whatever reason, and
// all its files are closed.
func (m *Mounted) Wait() { <-m.done }

// How long Unmount waits for users of the mount to leave, and for the kernel
// to hang up once the mount is out of sight.
const (
	patience  = 300 * time.Millisecond
	hangUp    = time.Second
	retryTime = 10 * time.Millisecond
)

// Unmount takes the mount away: calls that wait are cancelled, and files that
// are still open elsewhere fail from now on. It may be called more than once.
func (m *Mounted) Unmount() error {
	m.unmounting.Lock()
	defer m.unmounting.Unlock()
	m.srv.waits.close()
	err := m.detach(politely)
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); {
		if m.ended(retryTime) {
			return nil
		}
		err = m.detach(politely)
	}
	if err != nil {
		if err := m.detach(byForce); err != nil {
			return err
		}
	}
	if err == nil && m.ended(hangUp) {
		return nil
	}
	if err := m.abort(); err != nil || !m.ended(hangUp) {
		m.log.Warn("unmounted, but files are still open there", "dir", m.where.dir, "err", err)
	}
	return nil
}

// ended waits a while for the end of the mount.
func (m *Mounted) ended(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.done:
		return true
	case <-t.C:
		return false
	}
}

// notify sends the kernel a message without a request.
func (m *Mounted) notify(code int32) {
	var b [outHeader]byte
	putHeader(b[:], code, 0)
	// Kernels that do not know the code refuse it, which is no harm.
	_, _ = syscall.Write(m.dev, b[:])
}

// putHeader makes a reply without data, or a notification.
func putHeader(b []byte, code int32, unique uint64) {
	binary.NativeEndian.PutUint32(b, outHeader)
	binary.NativeEndian.PutUint32(b[4:], uint32(code))
	binary.NativeEndian.PutUint64(b[8:], unique)
}

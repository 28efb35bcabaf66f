package host

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A watcher waits for many descriptors with one goroutine, which is parked in
// the runtime's poller: an epoll set is itself a descriptor that polls ready.
// Its zero value is ready; it ends when it is closed and watches nothing more.
type watcher struct {
	mu     sync.Mutex
	epoll  *os.File
	fd     int // of epoll
	calls  map[int32]func()
	busy   bool // the goroutine is in calls, which may add others
	closed bool
}

// add calls f once, from the watcher's goroutine, when fd is ready for events.
// f must not block. fd must stay open until then.
func (w *watcher) add(fd int, events uint32, f func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.start(); err != nil {
		return err
	}
	w.calls[int32(fd)] = f
	err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(fd)})
	if err != nil {
		delete(w.calls, int32(fd))
	}
	return err
}

// start makes the epoll set and its goroutine, if there is none. w.mu is held.
func (w *watcher) start() error {
	if w.epoll != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	w.fd, w.epoll, w.calls = fd, os.NewFile(uintptr(fd), "epoll"), make(map[int32]func())
	conn, err := w.epoll.SyscallConn()
	if err != nil {
		return err
	}
	go w.run(w.epoll, conn)
	return nil
}

// close ends the watcher when its last descriptor was ready.
func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.end()
}

// end closes the epoll set if nothing needs it any more. w.mu is held.
func (w *watcher) end() bool {
	if !w.closed || w.busy || w.epoll == nil || len(w.calls) > 0 {
		return false
	}
	w.epoll.Close()
	w.epoll = nil
	return true
}

// take forgets a descriptor that is ready, so that the next one may have its number.
func (w *watcher) take(fd int32) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = true
	f := w.calls[fd]
	delete(w.calls, fd)
	unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
	return f
}

func (w *watcher) run(epoll *os.File, conn syscall.RawConn) {
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:n] {
			if f := w.take(e.Fd); f != nil {
				f()
			}
		}
		w.mu.Lock()
		w.busy = false
		ended := w.end()
		w.mu.Unlock()
		if ended {
			return
		}
	}
}

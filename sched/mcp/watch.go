package mcp

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// watcher tells followers that a file has grown: one inotify instance and one
// goroutine for all, made when somebody first follows.
type watcher struct {
	mu      sync.Mutex
	file    *os.File // nil until needed
	fd      int      // of file
	outputs map[int32]*output
	closed  bool
}

// add watches a file on behalf of an output; the error is for the user.
func (w *watcher) add(path string, o *output) (int32, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.start(); err != nil {
		return 0, err
	}
	wd, err := unix.InotifyAddWatch(w.fd, path, unix.IN_MODIFY)
	if err != nil {
		return 0, sys.Errorf(sys.Errno(err), "follow: inotify: %v (more: sysctl fs.inotify.max_user_watches)", err)
	}
	w.outputs[int32(wd)] = o
	return int32(wd), nil
}

func (w *watcher) start() error {
	if w.closed {
		return sys.Errorf(syscall.EPIPE, "follow: the server is ending")
	}
	if w.file != nil {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return sys.Errorf(sys.Errno(err), "follow: inotify: %v (more: sysctl fs.inotify.max_user_instances)", err)
	}
	w.fd, w.file = fd, os.NewFile(uintptr(fd), "inotify")
	w.outputs = make(map[int32]*output)
	go w.run(w.file)
	return nil
}

// remove ends a watch. A file that is gone has taken its watch with it.
func (w *watcher) remove(wd int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.outputs, wd)
	if w.file != nil {
		_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
	}
}

func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// run reads events until the file is closed.
func (w *watcher) run(file *os.File) {
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := file.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			size := binary.NativeEndian.Uint32(b[12:])
			b = b[unix.SizeofInotifyEvent+int(size):]
			w.wake(wd, mask&unix.IN_Q_OVERFLOW != 0)
		}
	}
}

// wake wakes an output, or all when events were lost.
func (w *watcher) wake(wd int32, all bool) {
	w.mu.Lock()
	var outputs []*output
	for id, o := range w.outputs {
		if all || id == wd {
			outputs = append(outputs, o)
		}
	}
	w.mu.Unlock()
	for _, o := range outputs {
		o.wake()
	}
}

package fstest

import (
	"context"
	"errors"
	"io"
	"strings"

	"warren/fs"
	"warren/fs/sys"
)

// An Access is a way to use a tree by path, as one user. Paths have no
// leading slash; "" is the root. Errors carry an errno (see sys.Errno), or,
// where the front end has none, the text of the tree's error.
type Access interface {
	Open(path string, f fs.Flags) (File, error)
	// Stat needs to fill in Name, Mode, UID, Size, Qid.Path and whether it is
	// a directory.
	Stat(path string) (fs.Stat, error)
	// ReadDir needs to fill in Name and whether it is a directory.
	ReadDir(path string) ([]fs.Stat, error)
	Mkdir(path string, mode uint32) error
	Remove(path string) error // a file or a directory
	Chmod(path string, mode uint32) error
	// LastError reads the text of the user's last error at a file: ENODATA if
	// there was none, ErrNoTexts if the front end has no way to ask.
	LastError(path string) (string, error)
}

// ErrNoTexts is what a front end without the texts of errors says.
var ErrNoTexts = errors.New("this front end has no way to ask for the text of an error")

// A File is an open file.
type File interface {
	// Read reads what comes next: io.EOF at the end. If ctx ends while it
	// waits, it fails with EINTR, or with ctx's error, and takes nothing.
	Read(ctx context.Context, p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	Write(ctx context.Context, p []byte) (int, error)
	Close() error
}

// Local is the tree itself, in process, as a user.
func Local(root fs.Node, u *sys.User) Access { return &local{root, u} }

type local struct {
	root fs.Node
	user *sys.User
}

// A pending is a call in flight, and its answer.
type pending struct {
	call fs.Call
	done chan struct{}
	data []byte
	n    int
	err  error
}

func (l *local) call(count int, nonblock bool) *pending {
	p := &pending{done: make(chan struct{})}
	p.call.Init(l.user, 0, p, count, nonblock)
	return p
}

// Data, Count and Error are the sink.

func (p *pending) Data(b []byte, _ func()) {
	p.data, p.n = append([]byte(nil), b...), len(b)
	close(p.done)
}
func (p *pending) Count(n int)     { p.n = n; close(p.done) }
func (p *pending) Error(err error) { p.err = err; close(p.done) }

func (p *pending) wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.call.Interrupt()
		<-p.done
	}
	return p.n, p.err
}

// walk returns the node at a path.
func (l *local) walk(path string) (fs.Node, error) {
	c := &l.call(0, false).call
	n := l.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		next, err := n.Walk(c, name)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// parent returns the directory that a path lies in, and the last name.
func (l *local) parent(path string) (fs.Node, string, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	n, err := l.walk(dir)
	return n, name, err
}

func (l *local) Open(path string, f fs.Flags) (File, error) {
	n, err := l.walk(path)
	if err != nil {
		return nil, err
	}
	h, opened, err := n.Open(&l.call(0, f&fs.ONonblock != 0).call, f)
	if err != nil {
		return nil, err
	}
	return &localFile{l: l, h: h, stream: opened.Qid().Kind == fs.Stream, nonblock: f&fs.ONonblock != 0}, nil
}

func (l *local) Stat(path string) (fs.Stat, error) {
	n, err := l.walk(path)
	if err != nil {
		return fs.Stat{}, err
	}
	return n.Stat(&l.call(0, false).call)
}

func (l *local) ReadDir(path string) (all []fs.Stat, err error) {
	n, err := l.walk(path)
	if err != nil {
		return nil, err
	}
	err = n.List(&l.call(0, false).call, 0, func(s fs.Stat, _ uint64) bool {
		all = append(all, s)
		return true
	})
	return all, err
}

func (l *local) Mkdir(path string, mode uint32) error {
	return l.changeIn(path, fs.Change{Op: fs.OpMake, Mode: mode})
}

func (l *local) Remove(path string) error { return l.changeIn(path, fs.Change{Op: fs.OpRemove}) }

func (l *local) changeIn(path string, ch fs.Change) error {
	dir, name, err := l.parent(path)
	if err != nil {
		return err
	}
	ch.Name = name
	return dir.Change(&l.call(0, false).call, ch)
}

func (l *local) Chmod(path string, mode uint32) error {
	n, err := l.walk(path)
	if err != nil {
		return err
	}
	return n.Change(&l.call(0, false).call, fs.Change{Op: fs.OpSet, Set: fs.SetMode, Mode: mode})
}

func (l *local) LastError(path string) (string, error) {
	n, err := l.walk(path)
	if err != nil {
		return "", err
	}
	return fs.LastError(n, &l.call(0, false).call)
}

// localFile is an open file of a local tree.
type localFile struct {
	l        *local
	h        fs.Handle
	stream   bool
	nonblock bool
	off      int64
}

func (f *localFile) Read(ctx context.Context, p []byte) (int, error) {
	off := f.off
	if f.stream {
		off = -1
	}
	n, err := f.read(ctx, p, off)
	f.off += int64(n)
	return n, err
}

func (f *localFile) ReadAt(p []byte, off int64) (int, error) {
	return f.read(context.Background(), p, off)
}

func (f *localFile) read(ctx context.Context, p []byte, off int64) (int, error) {
	c := f.l.call(len(p), f.nonblock)
	f.h.Read(&c.call, off)
	n, err := c.wait(ctx)
	copy(p, c.data)
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (f *localFile) Write(ctx context.Context, p []byte) (int, error) {
	c := f.l.call(0, f.nonblock)
	f.h.Write(&c.call, p, f.off)
	return c.wait(ctx)
}

func (f *localFile) Close() error {
	f.h.Close()
	return nil
}

package mcp

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// The names of a process's output files, behind the base of their path.
const (
	stdoutName = "stdout"
	stderrName = "stderr"
)

// output is where a program's output goes: a file for each of stdout and
// stderr, which the program itself appends to.
type output struct {
	watcher *watcher

	mu      sync.Mutex
	base    string // of the files' paths; "" until the process was started
	opens   int    // files open for reading
	over    bool   // the program has ended: the files are all that there will be
	follows []*Follow
	watch   int32 // of stdout while it is followed
	watched bool
}

// begin says where the files are, which exist by now.
func (o *output) begin(base string) {
	o.mu.Lock()
	o.base = base
	err, follows := o.startWatch(), slices.Clone(o.follows)
	o.mu.Unlock()
	if err == nil {
		return
	}
	for _, f := range follows { // they would wait for the end
		f.fail(err)
	}
}

// abort is begin undone. It reports whether nobody has the files open.
func (o *output) abort() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopWatch()
	o.base = ""
	return o.opens == 0
}

// finish says that the files are complete, and lets the followers go on to
// the end of file.
func (o *output) finish() {
	o.mu.Lock()
	o.over = true
	o.stopWatch()
	follows := slices.Clone(o.follows)
	o.mu.Unlock()
	for _, f := range follows {
		f.finish()
	}
}

func (o *output) startWatch() (err error) {
	if len(o.follows) == 0 || o.base == "" || o.over || o.watched {
		return nil
	}
	o.watch, err = o.watcher.add(o.base+"."+stdoutName, o)
	o.watched = err == nil
	return err
}

func (o *output) stopWatch() {
	if o.watched {
		o.watcher.remove(o.watch)
		o.watched = false
	}
}

// wake is called when the file has grown.
func (o *output) wake() {
	o.mu.Lock()
	follows := slices.Clone(o.follows)
	o.mu.Unlock()
	for _, f := range follows {
		f.wake()
	}
}

// open opens a file for reading; nil before the start.
func (o *output) open(name string) (*os.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.base == "" {
		return nil, nil
	}
	f, err := os.Open(o.base + "." + name)
	if err == nil {
		o.opens++
	}
	return f, err
}

// close closes what open opened.
func (o *output) close(f *os.File) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opens--
	return f.Close()
}

// size is that of a file, 0 before the start.
func (o *output) size(name string) int64 {
	o.mu.Lock()
	base := o.base
	o.mu.Unlock()
	var st unix.Stat_t
	if base == "" || unix.Stat(base+"."+name, &st) != nil {
		return 0
	}
	return st.Size
}

// StdoutSize is how many bytes the program has written to its stdout.
func (p *Proc) StdoutSize() int64 { return p.out.size(stdoutName) }

// StderrSize is how many bytes the program has written to its stderr.
func (p *Proc) StderrSize() int64 { return p.out.size(stderrName) }

// A Log is one open file of a program's output. It can be opened before the
// program is started, and read on when the process was removed.
type Log struct {
	out  *output
	name string

	mu   sync.Mutex
	file *os.File
}

// OpenStdout opens the log of the program's stdout.
func (p *Proc) OpenStdout() *Log { return &Log{out: &p.out, name: stdoutName} }

// OpenStderr opens the log of the program's stderr.
func (p *Proc) OpenStderr() *Log { return &Log{out: &p.out, name: stderrName} }

// ReadAt reads at an offset; 0 bytes and no error at the present end.
func (l *Log) ReadAt(b []byte, off int64) (int, error) {
	f, err := l.open()
	if f == nil || err != nil {
		return 0, err
	}
	n, err := f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fileError(err)
	}
	return n, nil
}

// Size returns the present size, in bytes.
func (l *Log) Size() (int64, error) {
	f, err := l.open()
	if f == nil || err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, fileError(err)
	}
	return st.Size(), nil
}

// open opens the file as soon as there is one; nil: there is not.
func (l *Log) open() (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return l.file, nil
	}
	f, err := l.out.open(l.name)
	if err != nil {
		return nil, fileError(err)
	}
	l.file = f
	return f, nil
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return l.out.close(f)
}

// fileError is an error of one of our own files as a user may see it: it
// keeps the errno and leaves out the path.
func fileError(err error) error {
	no := syscall.EIO
	errors.As(err, &no)
	return sys.Errorf(no, "the state directory: %s", no.Error())
}

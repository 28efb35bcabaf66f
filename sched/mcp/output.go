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

// followChunk is the most that one read of follow gives, in bytes.
const followChunk = 8 << 10

// A Follow is stdout as a stream from its beginning, which ends when the
// program has ended: an fs.Source.
type Follow struct {
	out *output

	mu    sync.Mutex
	log   *Log
	pos   int64
	back  []span // given back by front ends that could not deliver
	buf   []byte
	over  bool
	err   error
	calls []sys.Call
}

// span is a part of the file.
type span struct {
	off int64
	n   int
}

// OpenFollow opens stdout as a stream.
func (p *Proc) OpenFollow() (*Follow, error) {
	o := &p.out
	f := &Follow{out: o, log: p.OpenStdout()}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.follows = append(o.follows, f)
	f.over = o.over
	if err := o.startWatch(); err != nil {
		o.follows = o.follows[:len(o.follows)-1]
		return nil, err
	}
	return f, nil
}

// Take answers with what the program has written since, with end of file
// behind all that it ever wrote, or parks the call until there is one of them.
func (f *Follow) Take(c sys.Call) {
	f.mu.Lock()
	switch {
	case len(f.calls) == 0 && f.answer(c):
		f.mu.Unlock()
		return
	case c.Nonblock():
		defer f.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	c.Park(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i := slices.Index(f.calls, c); i >= 0 {
			f.calls = slices.Delete(f.calls, i, i+1)
		}
	})
}

// serve answers those who wait. f.mu is held.
func (f *Follow) serve() {
	for len(f.calls) > 0 && f.answer(f.calls[0]) {
		f.calls = f.calls[1:]
	}
}

// answer gives a reader the next chunk, or the end; false if it must wait.
func (f *Follow) answer(c sys.Call) bool {
	at, again := span{f.pos, followChunk}, len(f.back) > 0
	if again {
		at = f.back[0]
	}
	if f.buf == nil {
		f.buf = make([]byte, followChunk)
	}
	n, err := f.log.ReadAt(f.buf[:at.n], at.off)
	switch {
	case n > 0:
		at.n = n
		if !c.Deliver(f.buf[:n], func() { f.giveBack(at) }) {
			return true
		}
		if again {
			f.back = f.back[1:]
		} else {
			f.pos += int64(n)
		}
		return true
	case err != nil:
		c.Fail(err)
		return true
	case f.err != nil:
		c.Fail(f.err)
		return true
	case f.over:
		c.Deliver(nil, nil)
		return true
	}
	return false
}

func (f *Follow) giveBack(s span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.back = append(f.back, s)
	slices.SortFunc(f.back, func(a, b span) int { return int(a.off - b.off) })
	f.serve()
}

func (f *Follow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serve()
}

func (f *Follow) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.serve()
}

func (f *Follow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.serve()
}

// Close closes the file.
func (f *Follow) Close() {
	o := f.out
	o.mu.Lock()
	if i := slices.Index(o.follows, f); i >= 0 {
		o.follows = slices.Delete(o.follows, i, i+1)
	}
	if len(o.follows) == 0 {
		o.stopWatch()
	}
	o.mu.Unlock()
	f.log.Close()
}

// fileError is an error of one of our own files as a user may see it: it
// keeps the errno and leaves out the path.
func fileError(err error) error {
	no := syscall.EIO
	errors.As(err, &no)
	return sys.Errorf(no, "the state directory: %s", no.Error())
}

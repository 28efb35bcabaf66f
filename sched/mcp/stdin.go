package mcp

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// stdinBound is how many bytes of a program's input are kept until it reads
// them, beside those in its pipe. A write that finds no room waits; one that is
// larger than the bound goes in alone.
const stdinBound = 1 << 20

// The refusals of a write behind the end of the input.
var (
	errStdinEnded  = sys.Errorf(syscall.EPIPE, "stdin: ended by eof, or by the last close of a writer with hold on")
	errStdinClosed = sys.Errorf(syscall.EPIPE, "stdin: the program has closed it")
)

// input is a process's stdin: what was written and is not yet in the pipe,
// and the writes that wait for room. A goroutine fills the pipe while there is
// something that does not fit it, and only then.
type input struct {
	mu      sync.Mutex
	pipe    *os.File // the end that is written; nil until the program runs
	chunks  [][]byte
	held    int // bytes in chunks and in the pump's hands
	pumping bool
	writers []*inputWrite // that wait, in order
	opens   int           // files open for writing
	hold    bool          // the last close ends the input
	ended   error         // why nothing more is accepted
}

type inputWrite struct {
	call sys.Call
	data []byte
}

// An Input is one open file of a process's stdin.
type Input struct {
	in   *input
	once sync.Once
}

// OpenStdin opens the program's input for writing.
func (p *Proc) OpenStdin() *Input {
	in := &p.stdin
	in.mu.Lock()
	defer in.mu.Unlock()
	in.opens++
	return &Input{in: in}
}

// Put accepts the data as a whole, or parks the call until there is room for
// them. EPIPE when the input or the program has ended.
func (w *Input) Put(c sys.Call, data []byte) { w.in.put(c, data) }

// Close closes the file; with hold on, the last close ends the input.
func (w *Input) Close() {
	w.once.Do(func() {
		in := w.in
		in.mu.Lock()
		defer in.mu.Unlock()
		in.opens--
		if in.opens == 0 && in.hold {
			in.end(errStdinEnded)
		}
	})
}

// EOF ends the program's input: it reads what was written, then end of file.
// Writes that wait fail with EPIPE.
func (p *Proc) EOF() {
	p.stdin.mu.Lock()
	defer p.stdin.mu.Unlock()
	p.stdin.end(errStdinEnded)
}

// SetHold says whether the last close of stdin ends it.
func (p *Proc) SetHold(on bool) {
	p.stdin.mu.Lock()
	defer p.stdin.mu.Unlock()
	p.stdin.hold = on
}

// Hold reports whether the last close of stdin ends it.
func (p *Proc) Hold() bool {
	p.stdin.mu.Lock()
	defer p.stdin.mu.Unlock()
	return p.stdin.hold
}

func (in *input) put(c sys.Call, data []byte) {
	in.mu.Lock()
	switch {
	case in.ended != nil:
		defer in.mu.Unlock()
		c.Fail(in.ended)
		return
	case len(in.writers) == 0 && in.room(len(data)):
		defer in.mu.Unlock()
		in.accept(data, false)
		c.Done(len(data))
		return
	case c.Nonblock():
		defer in.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	w := &inputWrite{c, bytes.Clone(data)}
	in.writers = append(in.writers, w)
	in.mu.Unlock()
	c.Park(func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if i := slices.Index(in.writers, w); i >= 0 {
			in.writers = slices.Delete(in.writers, i, i+1)
			in.admit() // the one behind may be smaller
		}
	})
}

func (in *input) room(n int) bool { return in.held == 0 || in.held+n <= stdinBound }

// accept passes data to the pipe as far as it takes them now, and keeps the
// rest, in the caller's memory if it is ours.
func (in *input) accept(data []byte, ours bool) {
	if in.pipe != nil && in.held == 0 && !in.pumping {
		data = data[in.try(data):]
	}
	if len(data) == 0 || in.ended != nil {
		return
	}
	if !ours {
		data = bytes.Clone(data)
	}
	in.chunks = append(in.chunks, data)
	in.held += len(data)
	in.startPump()
}

// try writes what the pipe takes without waiting.
func (in *input) try(data []byte) (n int) {
	raw, err := in.pipe.SyscallConn()
	if err == nil {
		err = raw.Write(func(fd uintptr) bool {
			n, err = unix.Write(int(fd), data)
			return true
		})
	}
	if errors.Is(err, syscall.EPIPE) {
		in.stop(errStdinClosed)
	}
	return max(n, 0)
}

// admit accepts the writes that wait, as far as there is room.
func (in *input) admit() {
	for len(in.writers) > 0 && in.ended == nil && in.room(len(in.writers[0].data)) {
		w := in.writers[0]
		in.writers = in.writers[1:]
		if w.call.Done(len(w.data)) {
			in.accept(w.data, true)
		}
	}
}

// attach gives the input its pipe; what was written before goes first.
func (in *input) attach(pipe *os.File) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pipe = pipe
	in.startPump()
	in.closeDrained()
}

// pending reports whether the pipe does not have all yet that was written, or the
// end of it.
func (in *input) pending() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.chunks) > 0 || in.pumping || in.ended != nil
}

func (in *input) startPump() {
	if in.pipe != nil && !in.pumping && len(in.chunks) > 0 {
		in.pumping = true
		go in.pump(in.pipe)
	}
}

// pump fills the pipe until nothing is left to write.
func (in *input) pump(pipe *os.File) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.chunks) > 0 {
		data := in.chunks[0]
		in.chunks[0], in.chunks = nil, in.chunks[1:]
		in.mu.Unlock()
		_, err := pipe.Write(data)
		in.mu.Lock()
		if err != nil {
			in.stop(errStdinClosed)
			break
		}
		in.held -= len(data)
		in.admit()
	}
	in.pumping, in.chunks = false, nil
	in.closeDrained()
}

// end accepts nothing more; the program still gets what was accepted.
func (in *input) end(why error) {
	if in.ended == nil {
		in.ended = why
	}
	for _, w := range in.writers {
		w.call.Fail(in.ended)
	}
	in.writers = nil
	in.closeDrained()
}

// stop ends the input at once; what was accepted is dropped.
func (in *input) stop(why error) {
	in.chunks, in.held = nil, 0
	in.end(why)
	in.close()
}

// finish is stop for when the program has ended.
func (in *input) finish(why error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = why
	in.stop(why)
}

func (in *input) closeDrained() {
	if in.ended != nil && len(in.chunks) == 0 && !in.pumping {
		in.close()
	}
}

func (in *input) close() {
	if in.pipe != nil {
		in.pipe.Close()
		in.pipe = nil
	}
}

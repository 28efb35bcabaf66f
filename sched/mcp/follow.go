package mcp

import (
	"slices"
	"sync"

	"warren/fs/sys"
)

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

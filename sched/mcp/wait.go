package mcp

import (
	"slices"
	"sync"

	"warren/fs/sys"
)

// ending is the record of a process's end, and those who wait for it. Each
// reader gets it once, then end of file.
type ending struct {
	mu      sync.Mutex
	over    bool
	gone    chan struct{} // closed when over, if anybody asked
	record  []byte        // nil: it ended without one
	waiters map[*Waiter]struct{}
}

// A Waiter is one open wait file: an fs.Source.
type Waiter struct {
	end   *ending
	given bool
	calls []sys.Call
}

// OpenWait opens the process's wait file.
func (p *Proc) OpenWait() *Waiter {
	e := &p.end
	w := &Waiter{end: e}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiters == nil {
		e.waiters = make(map[*Waiter]struct{})
	}
	e.waiters[w] = struct{}{}
	return w
}

// come says that the end has come; the first time counts.
func (e *ending) come(record []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.over, e.record = true, record
	if e.gone != nil {
		close(e.gone)
	}
	for w := range e.waiters {
		w.serve()
	}
}

// passed returns a channel that is closed when the end has come.
func (e *ending) passed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone == nil {
		e.gone = make(chan struct{})
		if e.over {
			close(e.gone)
		}
	}
	return e.gone
}

// serve answers those who wait. The ending's lock is held.
func (w *Waiter) serve() {
	for len(w.calls) > 0 && w.end.over {
		c := w.calls[0]
		w.calls = w.calls[1:]
		w.answer(c)
	}
}

func (w *Waiter) answer(c sys.Call) {
	if w.given || w.end.record == nil {
		c.Deliver(nil, nil)
		return
	}
	w.given = c.Deliver(w.end.record, w.giveBack)
}

func (w *Waiter) giveBack() {
	w.end.mu.Lock()
	defer w.end.mu.Unlock()
	w.given = false
	w.serve()
}

// Take answers with the record, then with end of file, or parks the call until
// the process has ended.
func (w *Waiter) Take(c sys.Call) {
	e := w.end
	e.mu.Lock()
	switch {
	case e.over:
		defer e.mu.Unlock()
		w.answer(c)
		return
	case c.Nonblock():
		defer e.mu.Unlock()
		c.Fail(sys.ErrAgain)
		return
	}
	w.calls = append(w.calls, c)
	e.mu.Unlock()
	c.Park(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if i := slices.Index(w.calls, c); i >= 0 {
			w.calls = slices.Delete(w.calls, i, i+1)
		}
	})
}

// Close closes the file.
func (w *Waiter) Close() {
	w.end.mu.Lock()
	defer w.end.mu.Unlock()
	delete(w.end.waiters, w)
}

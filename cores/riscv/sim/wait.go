package sim

import (
	"fmt"
	"strconv"

	"warren/fs/sys"
)

// A Waiter is one open file wait of a core: it gives one record when the core
// stops: `core state code 'text'`. A core that has stopped gives it at once.
type Waiter struct {
	m     *Machine
	core  int32
	calls []sys.Call
	given bool
}

// Ended opens the wait of a core.
func (m *Machine) Ended(id int) *Waiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &Waiter{m: m, core: int32(id)}
	if m.waiters == nil {
		m.waiters = make(map[*Waiter]struct{})
	}
	m.waiters[w] = struct{}{}
	return w
}

// stoppedText is the record of a core that has stopped; "" while it goes on. What
// a debugger has halted is the debugger's to know: it will let it go on.
func (m *Machine) stoppedText(c *core) string {
	switch c.state {
	case Exited, Faulted:
	case Halted:
		if c.debug.attached() {
			return ""
		}
	default:
		return ""
	}
	text, code := "exit "+strconv.Itoa(int(c.code)), int(c.code)
	switch {
	case c.state == Faulted:
		text, code = m.faultText(c), 128+int(c.faultSignal())
	case c.state == Halted:
		text = "halted at " + c.symbol(c.hart.PC)
	case c.job != nil && c.job.ended && c.job.exit.Signal != 0:
		text, code = "signal "+strconv.Itoa(c.job.exit.Signal), 128+c.job.exit.Signal
	}
	return fmt.Sprintf("%d %s %d %s\n", m.shown(c.id), c.state, code, quoteWord(text))
}

// tellWaiters answers those who wait for a core that has stopped. m.mu is held.
func (m *Machine) tellWaiters() {
	for w := range m.waiters {
		if len(w.calls) == 0 {
			continue
		}
		if text := m.stoppedText(&m.cores[w.core]); text != "" || m.closed {
			w.answer(text)
		}
	}
}

func (w *Waiter) answer(text string) {
	calls := w.calls
	w.calls = nil
	for _, call := range calls {
		if w.given {
			text = "" // the record was given: end of file
		}
		giveBack := func() {
			w.m.mu.Lock()
			defer w.m.mu.Unlock()
			w.given = false
		}
		w.given = call.Deliver([]byte(text), giveBack) || w.given
	}
}

// Take answers with the record, or parks until there is one; the next read
// finds the end of the file.
func (w *Waiter) Take(call sys.Call) {
	m := w.m
	m.mu.Lock()
	text := m.stoppedText(&m.cores[w.core])
	switch {
	case text != "" || w.given || m.closed:
		w.calls = append(w.calls, call)
		w.answer(text)
		m.mu.Unlock()
		return
	case call.Nonblock():
		m.mu.Unlock()
		call.Fail(sys.ErrAgain)
		return
	}
	w.calls = append(w.calls, call)
	m.mu.Unlock()
	call.Park(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, waits := range w.calls {
			if waits == call {
				w.calls = append(w.calls[:i:i], w.calls[i+1:]...)
				return
			}
		}
	})
}

// Put is for files that are written to.
func (w *Waiter) Put(call sys.Call, _ []byte) { call.Fail(sys.ErrNotOpen) }

// Close ends the wait.
func (w *Waiter) Close() {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	delete(w.m.waiters, w)
}

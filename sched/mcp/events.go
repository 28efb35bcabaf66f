package mcp

import (
	"fmt"
	"strings"
	"syscall"
	"unicode/utf8"

	"warren/fs/sys"
	"warren/kern/feed"
)

// eventBound is how many records an open events file may be behind.
const eventBound = 1024

// OpenEvents opens the process's events: those from now on, and at the end
// its exit, also if that was long ago.
func (p *Proc) OpenEvents() *feed.Queue { return p.feed.Open(eventBound, "") }

// tell sends a record to the process's events.
func (p *Proc) tell(format string, args ...any) {
	if p.feed.Active() {
		p.feed.Emit(fmt.Appendf(nil, format+"\n", args...))
	}
}

// noteBound is the longest note, in bytes.
const noteBound = 4 << 10

// Note sends a text of one line to those who read the process's events.
// EMSGSIZE for one of more than 4 KiB, EINVAL for one that is no text.
func (p *Proc) Note(text string) error {
	if len(text) > noteBound {
		return sys.Errorf(syscall.EMSGSIZE, "note: %d bytes, at most %d", len(text), noteBound)
	}
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return sys.Errorf(syscall.EINVAL, "note: a note is text: this is not UTF-8, or has a NUL in it")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Done {
		return sys.Errorf(syscall.EPIPE, "note: %s is done (%s)", p.meta.Name, p.exit)
	}
	p.tell("note %s", text)
	return nil
}

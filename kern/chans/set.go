package chans

import (
	"fmt"
	"syscall"
	"time"

	"warren/fs/sys"
	"warren/kern/feed"
)

// maxChans bounds the memory that a loop of mkdir can cost.
const maxChans = 1 << 16

// A Set is the channels of a machine, by name.
type Set struct {
	events *feed.Feed
	index  sys.Index[*Chan]
}

// NewSet returns a set with no channels, which tells events (if not nil) what
// is made, closed and removed.
func NewSet(events *feed.Feed) *Set {
	return &Set{events: events}
}

// Make makes a channel that u owns; with no name it gets the next number.
// ErrExist if there is one of this name, ENOSPC if there are too many.
func (s *Set) Make(u *sys.User, name string) (*Chan, error) {
	ch, err := s.add(u, name)
	if err == nil {
		s.tell("made", ch)
	}
	return ch, err
}

func (s *Set) add(u *sys.User, name string) (*Chan, error) {
	return s.index.Add(u, name, maxChans, func(n int) error {
		return sys.Errorf(syscall.ENOSPC, "there are %d channels, the most there can be: remove some", n)
	}, func(m *sys.Meta) *Chan {
		ch := newChan(m)
		ch.set = s
		return ch
	})
}

// Get returns the channel of this name.
func (s *Set) Get(name string) (*Chan, bool) { return s.index.Get(name) }

// List yields the channels whose serial is at least from, in that order,
// until yield says no.
func (s *Set) List(from uint64, yield func(*Chan) bool) { s.index.List(from, yield) }

// Len returns how many channels there are.
func (s *Set) Len() int { return s.index.Len() }

// Remove removes the channel of this name, as its Remove does; ErrNotExist if
// there is none.
func (s *Set) Remove(name string) error {
	ch, ok := s.Get(name)
	if !ok {
		return sys.ErrNotExist
	}
	return ch.Remove()
}

func (s *Set) cut(ch *Chan) error { return s.index.Drop(ch, ch.remove) }

// tell sends a record of the tree's events: time kind object.
func (s *Set) tell(kind string, ch *Chan) {
	if s.events == nil || !s.events.Active() {
		return
	}
	now := time.Now()
	s.events.Emit(fmt.Appendf(nil, "%d.%06d %s chan/%s\n", now.Unix(), now.Nanosecond()/1000, kind, ch.meta.Name))
}

package chans

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
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

	mu     sync.Mutex
	byName map[string]*Chan
	list   []*Chan // in order of their serials
	serial uint64  // of the last one made
	number uint64  // of the next one that clone makes
}

// NewSet returns a set with no channels, which tells events (if not nil) what
// is made, closed and removed.
func NewSet(events *feed.Feed) *Set {
	return &Set{events: events, byName: make(map[string]*Chan)}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= maxChans {
		return nil, sys.Errorf(syscall.ENOSPC, "there are %d channels, the most there can be: remove some", len(s.list))
	}
	if name == "" {
		name = strconv.FormatUint(s.number, 10)
		s.number++
	}
	if s.byName[name] != nil {
		return nil, sys.ErrExist
	}
	s.serial++
	ch := newChan(sys.NewMeta(s.serial, name, u))
	ch.set = s
	s.byName[name] = ch
	s.list = append(s.list, ch)
	return ch, nil
}

// Get returns the channel of this name.
func (s *Set) Get(name string) (*Chan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, ok := s.byName[name]
	return ch, ok
}

// List yields the channels whose serial is at least from, in that order,
// until yield says no.
func (s *Set) List(from uint64, yield func(*Chan) bool) {
	for {
		ch := s.next(from)
		if ch == nil || !yield(ch) {
			return
		}
		from = ch.meta.Serial + 1
	}
}

// next returns the first channel whose serial is at least from.
func (s *Set) next(from uint64) *Chan {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, _ := s.find(from); i < len(s.list) {
		return s.list[i]
	}
	return nil
}

func (s *Set) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(s.list, serial, func(ch *Chan, n uint64) int {
		return int(ch.meta.Serial) - int(n)
	})
}

// Len returns how many channels there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// Remove removes the channel of this name, as its Remove does; ErrNotExist if
// there is none.
func (s *Set) Remove(name string) error {
	ch, ok := s.Get(name)
	if !ok {
		return sys.ErrNotExist
	}
	return ch.Remove()
}

func (s *Set) cut(ch *Chan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ch.remove(); err != nil {
		return err
	}
	delete(s.byName, ch.meta.Name)
	if i, ok := s.find(ch.meta.Serial); ok {
		s.list = slices.Delete(s.list, i, i+1)
	}
	return nil
}

// tell sends a record of the tree's events: time kind object.
func (s *Set) tell(kind string, ch *Chan) {
	if s.events == nil || !s.events.Active() {
		return
	}
	now := time.Now()
	s.events.Emit(fmt.Appendf(nil, "%d.%06d %s chan/%s\n", now.Unix(), now.Nanosecond()/1000, kind, ch.meta.Name))
}

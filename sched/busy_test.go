package sched

import (
	"errors"
	"syscall"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
	"warren/kern"
)

// willing is a claimant that takes what it is granted.
type willing struct{ owner kern.Owner }

func (w *willing) Owner() kern.Owner   { return w.owner }
func (w *willing) User() *sys.User     { return &sys.User{Name: "root"} }
func (w *willing) Granted(Grant) error { return nil }

// TestBusyFromBegin: a claim that is to grow when another has moved is busy before
// anybody is told to move. If it could change in between, one who has to move might
// wait for it, and it for that one.
func TestBusyFromBegin(t *testing.T) {
	s := New(kern.New(coretest.Fake(4), kern.Options{Mgmt: cores.Set{0}}), Options{Users: new(sys.Users)})
	request := func(least, most int, class Class, on cores.Set) Request {
		return Request{Min: least, Max: most, Class: class, On: on, Near: -1, Node: -1}
	}
	start := func(name string, serial uint64, r Request) *willing {
		w := &willing{kern.Owner{Proc: name, Serial: serial}}
		if _, ok, err := s.Start(w, r, true); !ok || err != nil {
			t.Fatalf("%s: %t, %v", name, ok, err)
		}
		return w
	}
	grows := start("grows", 1, request(1, 1, Exclusive, cores.Set{1, 2}))
	moves := start("moves", 2, request(1, 1, Shared, cores.Set{2, 3}))
	s.mu.Lock()
	cl := s.claims[grows.owner]
	for at := cores.ID(2); s.claims[moves.owner].cores[0] != at; { // where it has to move from
		ch := s.shift(s.claims[moves.owner], s.claims[moves.owner].cores[0], at)
		if ch == nil || s.begin(plan{own: ch}) != nil {
			t.Fatal("it does not move")
		}
		s.settle(ch)
	}
	p, err := s.plan(cl, request(2, 2, Exclusive, cores.Set{1, 2}), s.gate)
	if err == nil {
		p.own.tell = true
		err = s.begin(p)
	}
	s.mu.Unlock()
	if err != nil || len(p.others) != 1 {
		t.Fatalf("%v, %d others", err, len(p.others))
	}
	if _, _, err := s.Resize(grows, request(1, 2, Shared, nil)); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("resized in the middle: %v", err)
	}
	s.finish(p)
	if _, _, err := s.Resize(grows, request(1, 2, Shared, nil)); err != nil {
		t.Error(err)
	}
	if s.Release(grows); len(s.Queue()) != 0 {
		t.Error(s.Queue())
	}
}

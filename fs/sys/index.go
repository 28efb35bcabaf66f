package sys

import (
	"slices"
	"strconv"
	"sync"
)

// An Index is the objects of one kind, by name and in the order in which they
// were made. The zero Index is empty.
type Index[T interface{ Meta() *Meta }] struct {
	mu     sync.Mutex
	byName map[string]T
	list   []T    // in order of their serials
	serial uint64 // of the last one made
	number uint64 // of the next one with no name
}

// Add makes an object with this identity of u's and puts it in; with no name it
// gets the next number. ErrExist if there is one of this name; full, made of
// how many there are, if there are most already.
func (x *Index[T]) Add(u *User, name string, most int, full func(n int) error, make func(*Meta) T) (T, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var none T
	if len(x.list) >= most {
		return none, full(len(x.list))
	}
	if name == "" {
		name = strconv.FormatUint(x.number, 10)
		x.number++
	}
	if _, ok := x.byName[name]; ok {
		return none, ErrExist
	}
	x.serial++
	t := make(NewMeta(x.serial, name, u))
	if x.byName == nil {
		x.byName = map[string]T{}
	}
	x.byName[name] = t
	x.list = append(x.list, t)
	return t, nil
}

// Drop takes an object out if may, which is called with the index locked, has
// nothing against it.
func (x *Index[T]) Drop(t T, may func() error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := may(); err != nil {
		return err
	}
	delete(x.byName, t.Meta().Name)
	if i, ok := x.find(t.Meta().Serial); ok {
		x.list = slices.Delete(x.list, i, i+1)
	}
	return nil
}

// Get returns the object of this name.
func (x *Index[T]) Get(name string) (T, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok := x.byName[name]
	return t, ok
}

// Len returns how many objects there are.
func (x *Index[T]) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.list)
}

// All returns the objects, in order.
func (x *Index[T]) All() []T {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.list)
}

// List yields the objects whose serial is at least from, in that order, until
// yield says no. The index is not locked meanwhile.
func (x *Index[T]) List(from uint64, yield func(T) bool) {
	for {
		t, ok := x.next(from)
		if !ok || !yield(t) {
			return
		}
		from = t.Meta().Serial + 1
	}
}

func (x *Index[T]) next(from uint64) (T, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, _ := x.find(from)
	if i == len(x.list) {
		var none T
		return none, false
	}
	return x.list[i], true
}

func (x *Index[T]) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(x.list, serial, func(t T, n uint64) int {
		return int(t.Meta().Serial) - int(n)
	})
}

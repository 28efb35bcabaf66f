package chans

// A list is a line of those who wait, which one can leave from the middle.
// The zero list is empty.
type list[T any] struct {
	head, tail *elem[T]
}

// An elem is one who waits.
type elem[T any] struct {
	T          T
	next, prev *elem[T]
	in         bool
}

// push adds v at the end.
func (l *list[T]) push(v T) *elem[T] {
	e := &elem[T]{T: v, prev: l.tail, in: true}
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
	return e
}

// remove takes e out; nothing happens if it is out already.
func (l *list[T]) remove(e *elem[T]) {
	if !e.in {
		return
	}
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.next, e.prev, e.in = nil, nil, false
}

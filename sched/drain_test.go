package sched_test

import (
	"strings"

	"warren/kern/feed"
)

// reader is a call that takes what there is and never waits.
type reader struct{ text *strings.Builder }

func (r reader) Deliver(p []byte, _ func()) bool { r.text.Write(p); return true }
func (r reader) Done(int) bool                   { return false }
func (r reader) Fail(error) bool                 { return false }
func (r reader) Park(func())                     {}
func (r reader) Nonblock() bool                  { return true }

// drain returns what a queue of events holds.
func drain(q *feed.Queue) string {
	var text strings.Builder
	for had := -1; had < text.Len(); {
		had = text.Len()
		q.Take(reader{&text})
	}
	return text.String()
}

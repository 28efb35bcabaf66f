package sched

import (
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern"
)

// A Class is what a request asks of its cores.
type Class uint8

// The classes. Quiet is placed as Exclusive is; the tier says what it got.
const (
	Shared Class = iota
	Exclusive
	Quiet
)

// String returns the class as a ctl names it.
func (c Class) String() string { return [...]string{"shared", "exclusive", "quiet"}[c] }

// A Request is what a process wants of the machine.
type Request struct {
	Min, Max int       // cores to start and run with; at most
	On       cores.Set // only these; nil: any
	Near     cores.ID  // as near to this core as can be had; -1: anywhere
	Node     int       // only this NUMA node; -1: any
	Kind     string    // only this kind of core; "": any
	Class    Class
	Gang     bool // Max or nothing, at the start and at each change
}

// A Grant is what a process has. Cores is in vcore order, and a vcore keeps
// its number for as long as the process keeps that many.
type Grant struct {
	Cores []cores.ID
	Tier  string
	// Serial grows with each grant of a claimant. A call's answer and a
	// Granted can cross on their way: the one with the lower serial is out
	// of date and to be ignored (Granted then returns nil).
	Serial uint64
}

// A Claimant is who a grant goes to: a process.
//
// It may hold a lock of its own while it calls the scheduler, and take the
// same lock in Granted, so that a call and what it makes of the answer are one
// step; see Serial for answers that cross.
type Claimant interface {
	// Owner never changes; its serial is not used by any other claimant.
	Owner() kern.Owner
	User() *sys.User
	// Granted tells of a change that the claimant did not ask for just now:
	// a queued start, growth, cores taken away or moved. It is called in
	// order, one at a time for each claimant, from a goroutine that holds no
	// lock of the scheduler. An error (the launch or the move failed) makes
	// the scheduler take the cores back to what they were: at a start, all
	// of them, and the claimant is forgotten as by Release.
	Granted(Grant) error
}

// Waiting is a record of the queue: a claimant that waits to start, or to grow.
type Waiting struct {
	Owner    kern.Owner
	Want     int // cores that are missing
	Min, Max int
	Class    Class
	Since    time.Time
	Reason   string
}

// Held says who has a core, or a standing claim on it, and since when.
type Held struct {
	Core  cores.ID
	Owner kern.Owner
	Since time.Time
}

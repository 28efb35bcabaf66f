// Package fs is the left column's centre: what a served file is, whatever
// front end (9P, FUSE, in process) asks for it.
//
// A Node is one file, a Handle one open of it, a Call one request, which may
// be parked. Directories of objects are not written by hand: the tables Dir,
// File and Verb say what files and commands there are, and the tree, the
// argument checks, the error texts, what reading a ctl prints, help, and the
// manual pages all come from them.
//
// State: a Handle owns its own (position, snapshot); a Call is owned by the
// front end that made it. Lock order: a stream's lock, then what it reads
// from, then the front end's (Call's answers are given with locks held).
package fs

import (
	"fmt"
	"strings"
	"time"

	"warren/fs/sys"
)

// A Kind says how a file behaves; see TREE.md rule 2.
type Kind uint8

// The kinds of file.
const (
	Directory Kind = iota
	Text           // a snapshot is taken at offset 0, later offsets continue it; size 0
	Log            // a growing file with its true size
	Stream         // one message a read; blocks; not seekable
	Bytes          // memory: true offsets both ways
	Ctl            // each line written is a command; reading prints the settings as commands
)

// String returns the kind's name as the manual prints it.
func (k Kind) String() string {
	return [...]string{"directory", "text", "log", "stream", "bytes", "ctl"}[k]
}

// Waits reports whether reads or writes of the file may wait, so that a mount
// must keep its opens apart.
func (k Kind) Waits() bool { return k == Stream || k == Ctl }

// A Qid names a file for as long as the server lives; see intro(5).
type Qid struct {
	Path uint64 // never reused
	// Vers is 0 for what must never be cached: contents, and of a directory
	// its name, which may come to stand for another (procs/x).
	Vers uint32
	Kind Kind
	// Remote: the node lies on another machine, or may. Its methods wait for
	// that, so call them where that holds up nobody else. What they wait for
	// ends when the call is interrupted (see Call.Context).
	Remote bool
}

// QTDir and QTAppend are the type bits of a qid on the wire.
const (
	QTDir    = 0x80
	QTAppend = 0x40
)

// Type returns the qid's type byte as 9P sends it.
func (q Qid) Type() uint8 {
	switch q.Kind {
	case Directory:
		return QTDir
	case Log, Ctl:
		return QTAppend
	}
	return 0
}

// A Stat is what ls -l shows.
type Stat struct {
	Qid      Qid
	Name     string
	Mode     uint32 // permission bits, 0o777 at most
	UID, GID uint32
	Size     int64 // bytes; 0 for all kinds but Log and Bytes
	Mtime    time.Time
	Atime    time.Time
}

// Flags say what an open is for.
type Flags uint32

// The flags of an open. Truncate and append are accepted on every file that
// can be written and change nothing (so that > and >> of a shell work).
const (
	ORead Flags = 1 << iota
	OWrite
	OTrunc
	OAppend
	ONonblock
	OExec
)

// A Node is one file. It may be local or lie on another machine, so everything
// can fail. Nodes are values to be dropped: whoever got one calls Release when
// it is done with it. Walk, Stat, Kind and List have no side effects.
type Node interface {
	// Qid is known without asking anybody.
	Qid() Qid
	Stat(c *Call) (Stat, error)
	// Walk returns the file of that name in this directory; ".." is the
	// directory above (the root's is the root). It checks search permission.
	Walk(c *Call, name string) (Node, error)
	// List yields the entries from a cookie on (0 is the start), each with
	// the cookie of the entry after it, until yield says no. It has no "."
	// and no "..". It checks read permission.
	List(c *Call, cookie uint64, yield func(s Stat, next uint64) bool) error
	// Open opens the file for c's user. The node returned is the file that
	// was opened: this one, but for a clone file, whose is the new ctl. It is
	// to be released only if its qid is another than this one's.
	Open(c *Call, f Flags) (Handle, Node, error)
	// Change makes, removes, or sets attributes; all or nothing.
	Change(c *Call, ch Change) error
	Release()
}

// A Change is one change of a node, as its Op says.
type Change struct {
	Op   Op
	Name string // OpMake, OpRemove: of the child
	Mode uint32 // OpMake; OpSet with SetMode
	UID  uint32 // OpSet with SetUID
	GID  uint32 // OpSet with SetGID
	Size int64  // OpSet with SetSize: bytes, for files of other servers
	Set  SetMask
}

// An Op is what a Change does.
type Op uint8

// The changes. OpMake makes a directory; OpSet also stands for truncation
// and times, which every writable file accepts and ignores.
const (
	OpMake Op = iota
	OpRemove
	OpSet
)

// A SetMask says which attributes an OpSet sets.
type SetMask uint8

// The attributes.
const (
	SetMode SetMask = 1 << iota
	SetUID
	SetGID
	SetSize // accepted and ignored
	SetTime // accepted and ignored
)

// command says what an OpSet sets, as a shell would; "" if nothing that stays.
func (ch Change) command() string {
	var b []byte
	if ch.Set&SetMode != 0 {
		b = fmt.Appendf(b, " chmod %04o", ch.Mode)
	}
	if ch.Set&SetUID != 0 {
		b = fmt.Appendf(b, " chown %d", ch.UID)
	}
	if ch.Set&SetGID != 0 {
		b = fmt.Appendf(b, " chgrp %d", ch.GID)
	}
	return strings.TrimPrefix(string(b), " ")
}

// A Handle is one open of a file. Its methods never block: each call is
// answered before they return, or parked. Close is called once, when no call
// is in flight any more (the front end has cancelled them).
type Handle interface {
	// Read answers with at most c.Count() bytes at off; off < 0 is "the
	// next", for front ends that have no offsets on streams.
	Read(c *Call, off int64)
	// Write takes p, which is the caller's again when Write returns.
	Write(c *Call, p []byte, off int64)
	Close()
}

// ErrText returns the text and the errno of an error, for the wire.
func ErrText(err error) (string, uint32) {
	return err.Error(), uint32(sys.Errno(err))
}

// Package bench9 measures 9P servers with one lean client, so that they can be
// compared: the same messages, in the same order, on the same kind of socket,
// each server in a process of its own. It has the servers to compare with, too:
// hugelgupf/p9's localfs, diod, knusbaum/go9p, and the floor, which answers with
// messages of the right size and does nothing else.
//
// The client makes plain system calls on a socket that blocks, so that no
// scheduler of ours is measured. It is one goroutine, which owns all of its
// connections; a Server owns the process behind it.
package bench9

import "warren/fs/ninep"

// A Work is something that a client does again and again.
type Work struct {
	Name  string
	Calls int // round trips
	File  File
	setup func(c chain) []ninep.Msg // once, before
	loop  func(c chain) []ninep.Msg
}

// Works is what is measured for speed.
func Works() []Work {
	return []Work{
		{Name: "walk+getattr+clunk", Calls: 3, loop: statLoop},
		{Name: "walk+open+read+clunk", Calls: 4, loop: openLoop},
		{Name: "read4k", Calls: 1, File: Big, setup: openSetup, loop: readLoop},
	}
}

// A File is one of those that every target has.
type File uint8

// The files.
const (
	Small File = iota // of SmallSize bytes
	Big               // of BigSize bytes
	Sink              // takes SmallSize bytes at a time and forgets them; not every target has it
)

// Sizes of the files that are read.
const (
	SmallSize = 64
	BigSize   = 4096
)

// A Target is a server and where its files lie.
type Target struct {
	Name    string // for people
	Sock    string // path of its socket
	Dialect ninep.Dialect
	Aname   string
	Paths   [3]string // of each File
}

// A chain is calls of which each is sent when the one before is answered.
type chain struct {
	fid     uint32
	path    []string
	dialect ninep.Dialect
}

func (c chain) walk() ninep.Msg {
	return ninep.Msg{Type: ninep.Twalk, Fid: rootFid, Newfid: c.fid, Names: c.path}
}

func (c chain) open(mode uint8) ninep.Msg {
	if c.dialect == ninep.DotL {
		return ninep.Msg{Type: ninep.Tlopen, Fid: c.fid, Flags: uint32(mode)} // the numbers are the same
	}
	return ninep.Msg{Type: ninep.Topen, Fid: c.fid, Mode: mode}
}

func (c chain) getattr() ninep.Msg {
	if c.dialect == ninep.DotL {
		return ninep.Msg{Type: ninep.Tgetattr, Fid: c.fid, Mask: ninep.AttrBasic}
	}
	return ninep.Msg{Type: ninep.Tstat, Fid: c.fid}
}

func (c chain) read(n uint32) ninep.Msg {
	return ninep.Msg{Type: ninep.Tread, Fid: c.fid, Count: n}
}

func (c chain) clunk() ninep.Msg { return ninep.Msg{Type: ninep.Tclunk, Fid: c.fid} }

func statLoop(c chain) []ninep.Msg { return []ninep.Msg{c.walk(), c.getattr(), c.clunk()} }

func openLoop(c chain) []ninep.Msg {
	return []ninep.Msg{c.walk(), c.open(ninep.ModeRead), c.read(SmallSize), c.clunk()}
}

func openSetup(c chain) []ninep.Msg { return []ninep.Msg{c.walk(), c.open(ninep.ModeRead)} }

func readLoop(c chain) []ninep.Msg { return []ninep.Msg{c.read(BigSize)} }

const (
	rootFid = 1
	msize   = 64<<10 - 1 // as much as every server knows
)

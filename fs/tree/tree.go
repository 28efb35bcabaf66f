// Package tree is the bridge between the columns: the tables of the files and
// directories that a machine appears as. It owns no state but the identity of
// the fixed directories: what a file says it asks of the kernels, the
// scheduler, the processes and the channels, at the time of the read.
//
// There is a Go file for each directory, with a function that makes the
// directory's node below a parent (newChans(set) gives func(parent) Node) and
// one that describes its tables for the manual (chansDocs). Tables are only appended to: a row is
// part of a file's qid.
package tree

import (
	"os"

	"warren/fs"
	"warren/fs/post"
	"warren/fs/sys"
	"warren/kern"
	"warren/kern/chans"
	"warren/sched"
	"warren/sched/mcp"
)

// The classes of the tables' qids.
const (
	classRoot uint8 = iota + 1
	classCores
	classCore
	classProcs
	classProc
	classChans
	classChan
	classSched
	classSrv
	classPost
	classFar
	classChannels
)

// A Config is what the tree shows.
type Config struct {
	Version string
	Kern    *kern.Machine
	Sched   *sched.Scheduler
	Procs   *mcp.Set
	Chans   *chans.Set
	Posts   *post.Set
	Clients func() int         // connections and mounts
	Log     func() string      // level of the server's log
	SetLog  func(string) error // debug, info, warn or error
	Halt    func()             // begins to end programs, then the server
}

// New returns the root of the tree.
func New(cfg Config) fs.Node {
	env := new(fs.Env)
	return rootDir().Root(newRoot(cfg, env), env)
}

// fixed is the identity of a directory that is always there. It belongs to the
// user whom the server runs as.
func fixed(name string, mode uint32) *sys.Meta {
	m := sys.NewMeta(0, name, self())
	if mode != 0 {
		m.Chmod("", mode)
	}
	return m
}

func self() *sys.User {
	return &sys.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

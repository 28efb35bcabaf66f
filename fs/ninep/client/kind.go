package client

import (
	"slices"

	"warren/fs"
	"warren/fs/ninep"
)

// kindOf says how a remote file behaves, which 9P does not tell. A mount must
// know two things: whether offsets count, and whether a wait in one open must
// not hold up another.
//
//   - A directory, and a file that only grows, are marked in their qid. Of the
//     latter, ctl and clone are known by name; the others are logs.
//   - The streams of a tree of ours are known by name, as Plan 9's servers use
//     the same names for the same thing (data, in every network's folder);
//     those of other servers are named in Options.
//   - A file of such a name that has a size is none of these: it is an
//     ordinary file, in a folder that a server elsewhere exports.
//   - Everything else honours offsets. It counts as text, not as memory: its
//     size may be a lie (0), so reads go to the server.
func (cl *Client) kindOf(qid ninep.Qid, name string) fs.Kind {
	if qid.Type&fs.QTDir != 0 {
		return fs.Directory
	}
	switch name {
	case "ctl", "clone":
		return fs.Ctl
	case "data", "lines", "events", "follow", "wait", "trace", "stdin", "mbox", "note", "gdb", "cons", "console":
		return fs.Stream
	}
	if slices.Contains(cl.o.Streams, name) {
		return fs.Stream
	}
	if qid.Type&fs.QTAppend != 0 {
		return fs.Log
	}
	return fs.Text
}

// localQid is a remote qid as fs has it. Version 0: what is remote may change
// without our knowledge, so nothing of it is cached.
func (cl *Client) localQid(qid ninep.Qid, name string) fs.Qid {
	return fs.Qid{Path: qid.Path, Kind: cl.kindOf(qid, name), Remote: true}
}

// sizedQid is localQid where the size is known.
func (cl *Client) sizedQid(qid ninep.Qid, name string, size uint64) fs.Qid {
	q := cl.localQid(qid, name)
	if q.Kind.Waits() && size > 0 {
		q.Kind = fs.Text
	}
	return q
}

package ninep

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// An act is what the server does with a request: in words, for the manual, and
// the refusal of those that it never carries out.
type act struct {
	does   string
	refuse error
}

// acts has every request that layouts has. What it does not refuse dispatch
// carries out.
var acts = [128]act{
	Tversion: {does: "Agrees on the dialect and on the lesser msize, from 256 to 1048576 bytes. What follows a period in the client's version is dropped until the rest is known " +
		"(9P2000.L.Google.7 is 9P2000.L); if nothing is, the answer is \"unknown\". All that was before ends: calls that wait are not answered, fids are gone."},
	Tauth: {
		does:   "Who asks is known from the transport. Linux's clients go on after this errno only.",
		refuse: sys.Errorf(syscall.ENOENT, "no authentication required"),
	},
	Tattach: {does: "Makes fid a name of the directory that aname leads to from the root, above which .. does not go. The user is the connection's: uname and n_uname may only lower what it may do. " +
		"aname may have options, after commas: v9fs, for Linux's client in 9P2000 and 9P2000.u (see Tread; in 9P2000, errors then have the C library's texts, which are all that it knows), and via=ID+ID, " +
		"the servers that the request comes through. afid must be ~0."},
	Tflush: {does: "Ends the wait of the call with that tag. Answered after that call's own answer, or in its place; never an error, for a tag that is not in use either. Several flushes of a call are answered in order. " +
		"A read that is flushed takes nothing; a write that had accepted a part answers with its count."},
	Twalk: {does: "Walks at most 16 names and makes newfid a name of where they lead. If a name but the first cannot be walked, the answer has the qids up to it, and no newfid is made. " +
		"An open fid can be walked from but cannot itself be moved (newfid the same as fid). No names: another fid of the same file."},
	Topen: {does: "Opens the file with the rights of the fid's user. Truncation (0x10) is accepted on all files that can be written, and changes nothing; 0x40 removes the file when the fid is clunked; " +
		"append (0x80) is 9P2000.u's. Opening a clone file makes the fid a name of the new object's ctl: the answer has its qid."},
	Tcreate: {does: "With the directory bit (0x80000000): makes an object, as mkdir does, moves the fid to it and opens it. Without: opens the file if it is there, as creat(2) does. " +
		"No other file can be made: EPERM; a directory that exists: EEXIST."},
	Tread: {does: "A file: at most count, and at most msize - 11, bytes from the offset. A stream: one message, or what is left of the last one; waits for one. " +
		"A directory, in 9P2000 and 9P2000.u: as many whole stat records as fit, from offset 0 or where the last read of the fid ended. " +
		"Linux's client asks again for what a short read left: on a stream, in 9P2000.L or with the option v9fs, such a read is answered with 0 bytes, once."},
	Twrite:  {does: "Writes to the file; of ctl files and streams the offset is ignored. A stream takes a write as one message, unless it fills the msize, as a client may have split it: EMSGSIZE. May wait."},
	Tclunk:  {does: "Ends all calls that wait at the fid, which are answered first, closes the file, unlocks what was locked with the fid, and forgets it. Always succeeds."},
	Tremove: {does: "Removes the object that the fid is a name of, if its owner or root asks, and clunks the fid, whatever comes of it. Files of an object cannot be removed: EPERM."},
	Tstat:   {does: "The stat record. In 9P2000.u it has numbers for the owners as well."},
	Twstat: {does: "Changes the mode, the group, and, for root, the owner (by number in 9P2000.u, else by name); all or nothing. Lengths and times are accepted and ignored. " +
		"If no field is set, nothing is done, and that succeeds: all that was written before is done when it is answered. Another name: EPERM."},

	Tstatfs: {does: "The type is that of a FUSE mount (0x65735546), so that tail -f polls; the counts are 0."},
	Tlopen: {does: "As Topen, with Linux's flags. O_CREAT, O_LARGEFILE and such are ignored, O_EXCL too; O_DIRECTORY is checked. With O_NONBLOCK what would wait fails with EAGAIN, " +
		"and reads are answered as in 9P2000 (see Tread)."},
	Tlcreate:  {does: "Opens the file if it is there, and moves the fid to it; with O_EXCL: EEXIST. No file can be made: EPERM."},
	Tsymlink:  {does: "There are no symbolic links.", refuse: sys.ErrNoCreate},
	Tmknod:    {does: "There are no devices.", refuse: sys.ErrNoCreate},
	Trename:   {does: "Names stay. This errno, unlike EOPNOTSUPP, tells Linux's client that Twstat will not do it either.", refuse: sys.ErrNoRename},
	Treadlink: {does: "There are no symbolic links.", refuse: sys.Errorf(syscall.EINVAL, "not a symbolic link")},
	Tgetattr:  {does: "The basic attributes, whichever are asked for. The change time is that of modification."},
	Tsetattr:  {does: "As Twstat: mode, owner and group are changed, size and times accepted and ignored; nothing to set succeeds."},
	Txattrwalk: {does: "Makes newfid the value of user.warren.error, the text of the user's last error, or, without a name, the list of the names of attributes, each with a NUL behind it: " +
		"that one, once there was an error. newfid can be read and clunked. No such attribute, or no error yet: ENODATA."},
	Txattrcreate: {does: "No attribute can be set.", refuse: sys.Errorf(syscall.EOPNOTSUPP, "extended attributes cannot be set")},
	Treaddir:     {does: "As many whole entries as fit, from offset 0 or that of any entry that was told before: \".\", \"..\", and the files. The fid must be open."},
	Tfsync:       {does: "Nothing: what was written is done when the write is answered."},
	Tlock: {does: "Locks a range of the open file for a process (client and pid) of the connection, or unlocks it. The locks of all 9P clients of the server are known to each other; those of a mount's own programs to that mount only. " +
		"If another's lock is in the way the status is 1 (blocked), at once, also with the flag that asks to wait: clients ask again. What is locked with a fid goes with it. At most 4096 on a connection: ENOLCK."},
	Tgetlock:  {does: "Tells of a lock that is in the way of the one that is given; type 2 if none is."},
	Tlink:     {does: "A file has one name.", refuse: sys.ErrNoCreate},
	Tmkdir:    {does: "Makes an object. The mode and the group are the object's own: those of the table, and the user's."},
	Trenameat: {does: "Names stay. This errno, unlike EOPNOTSUPP, tells Linux's client that Trename and Twstat will not do it either.", refuse: sys.ErrNoRename},
	Tunlinkat: {does: "Removes an object, with the flag 0x200 (AT_REMOVEDIR): without, EISDIR. Files cannot be removed: EPERM; with the flag, ENOTDIR."},
}

// A MessageDoc is what the manual says of a request.
type MessageDoc struct {
	Name     string
	Dialects []string
	Fields   string // of the request; those in brackets 9P2000 does not have
	Answer   string // the answer's
	Refused  string // the errno and the text with which it always fails, or ""
	Doc      string
}

// Messages describes every request, in the order of their types.
func Messages() []MessageDoc {
	var all []MessageDoc
	for t := range layouts {
		if l := &layouts[t]; l.name != "" && t%2 == 0 {
			all = append(all, describe(l, &layouts[t+1], &acts[t]))
		}
	}
	return all
}

func describe(l, answer *layout, a *act) MessageDoc {
	m := MessageDoc{Name: l.name, Fields: l.names(), Answer: answer.names(), Doc: a.does}
	for d := Classic; d <= DotL; d++ {
		if l.in.has(d) {
			m.Dialects = append(m.Dialects, d.String())
		}
	}
	if a.refuse != nil {
		name := unix.ErrnoName(sys.Errno(a.refuse))
		m.Refused = strings.Replace(name, "ENOTSUP", "EOPNOTSUPP", 1) + ", " + a.refuse.Error() // one number
	}
	return m
}

// names returns the names of a message's fields.
func (l *layout) names() string {
	var names []string
	for _, f := range l.fields {
		name := f.name
		if f.only != 0 && !f.only.has(Classic) {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

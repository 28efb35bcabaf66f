package ninep

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"

	"warren/fs"
)

// A model is what the tests' tree must do, said once more and as plainly as can
// be: one request after the other, nothing shared with the server. expect says
// which answers there must be after a request, before the next one.
type model struct {
	d      Dialect
	msize  uint32
	root   *mfile
	made   uint64 // files ever made
	fids   map[uint32]*mfid
	calls  []*mcall // that wait, the oldest first
	wrong  string   // the last error of ctl
	locks  []mlock
	answer []answer // that must come now
}

// The limits of the server that a model is of.
const (
	modelFids  = 5
	modelCalls = 3
	modelMsize = 4096
)

// An answer is expected: of a type, or an error, and with what check wants.
type answer struct {
	tag   uint16
	ty    Type
	errno syscall.Errno
	check func(m *Msg) bool
	why   string
}

// A mfile is a file of the model.
type mfile struct {
	name    string
	path    uint64
	kind    fs.Kind
	perm    uint32
	up      *mfile
	kids    []*mfile
	data    string
	mutable bool
	becomes *mfile
	queue   []string // of a source
	waiting []*mcall // at it
}

func (f *mfile) dir() bool { return f.kind == fs.Directory }

// A mfid is a fid.
type mfid struct {
	file   *mfile
	root   *mfile // attached to
	v9fs   bool
	value  *string // of an extended attribute
	open   bool
	handle *mhandle
	read   bool
	write  bool
	wait   bool // without O_NONBLOCK
	rclose bool
	iounit uint32
	off    uint64 // of a directory
	next   uint64 // its cookie there
	rest   rest
}

func (f *mfid) dir() bool       { return f.value == nil && f.file.dir() }
func (f *mfid) stream() bool    { return f.value == nil && f.file.kind == fs.Stream }
func (f *mfid) isRoot() bool    { return f.file.path == f.root.path }
func (f *mfid) continues() bool { return f.v9fs && f.wait }

// A mhandle is an open file.
type mhandle struct {
	of    *mfile // that was opened
	last  string // message
	start int64
	took  int
	busy  *mcall
	turns []*mcall
}

// A mcall is a Tread or Twrite that may wait.
type mcall struct {
	tag   uint16
	f     *mfid
	h     *mhandle
	at    *mfile // where it waits
	write bool
	n     int // of a write: bytes
	off   int64
	count int
	want  uint32 // asked for
	watch bool
	block bool
}

// A mlock is a lock of a whole file.
type mlock struct {
	f     *mfid
	path  uint64
	pid   uint32
	write bool
}

func newModel(d Dialect, t *tree) *model {
	m := &model{d: d, msize: modelMsize, made: uint64(t.made), fids: make(map[uint32]*mfid)}
	copies := make(map[*node]*mfile)
	m.root = copyNode(t.root, nil, copies)
	m.root.up = m.root
	for n, f := range copies {
		if n.becomes != nil {
			f.becomes = copies[n.becomes]
		}
	}
	return m
}

func copyNode(n *node, up *mfile, copies map[*node]*mfile) *mfile {
	f := &mfile{name: n.name, path: n.path, kind: n.kind, perm: n.perm, up: up, data: string(n.data), mutable: n.mutable}
	copies[n] = f
	for _, kid := range n.kids {
		f.kids = append(f.kids, copyNode(kid, f, copies))
	}
	return f
}

func (f *mfile) kid(name string) *mfile {
	i := slices.IndexFunc(f.kids, func(k *mfile) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return f.kids[i]
}

func (m *model) ok(tag uint16, ty Type, why string, check func(*Msg) bool) {
	m.answer = append(m.answer, answer{tag: tag, ty: ty, check: check, why: why})
}

func (m *model) fail(tag uint16, no syscall.Errno) {
	m.answer = append(m.answer, answer{tag: tag, errno: no})
}

// done is a success that says nothing, or a failure.
func (m *model) done(q *Msg, no syscall.Errno) {
	if no != 0 {
		m.fail(q.Tag, no)
		return
	}
	m.ok(q.Tag, q.Type+1, "", nil)
}

// expect carries a request out.
func (m *model) expect(q *Msg) {
	switch q.Type {
	case Tversion:
		m.reset()
		m.ok(q.Tag, Rversion, fmt.Sprint("msize ", m.msize), func(r *Msg) bool { return r.Msize == m.msize })
		return
	case Tauth:
		m.fail(q.Tag, syscall.ENOENT)
		return
	case Tattach:
		m.done(q, m.attach(q))
		return
	case Tflush:
		m.flush(q)
		return
	}
	f := m.fids[q.Fid]
	if f == nil {
		m.fail(q.Tag, syscall.EBADF)
		return
	}
	switch q.Type {
	case Twalk:
		m.walk(q, f)
	case Topen, Tlopen:
		m.opened(q, f, m.open(q, f))
	case Tcreate, Tlcreate:
		m.opened(q, f, m.create(q, f))
	case Tmkdir:
		m.done(q, m.mkdir(f, q.Name))
	case Tread:
		m.read(q, f)
	case Treaddir:
		m.readdir(q, f)
	case Twrite:
		m.write(q, f)
	case Tclunk:
		m.clunk(q.Fid, f)
		m.done(q, 0)
	case Tremove:
		m.shut(f)
		no := m.remove(f)
		delete(m.fids, q.Fid)
		m.done(q, no)
	case Tunlinkat:
		m.done(q, m.unlink(q, f))
	case Tstat, Tgetattr:
		m.stat(q, f)
	case Twstat, Tsetattr:
		m.done(q, m.set(q, f))
	case Txattrwalk:
		m.xattr(q, f)
	case Tlock:
		m.lock(q, f)
	case Tgetlock:
		m.getlock(q, f)
	}
}

// reset is what a Tversion does to what was before.
func (m *model) reset() {
	for _, c := range slices.Clone(m.calls) {
		m.interrupt(c, true)
	}
	nums := make([]uint32, 0, len(m.fids))
	for num := range m.fids {
		nums = append(nums, num)
	}
	slices.Sort(nums)
	for _, num := range nums {
		m.clunk(num, m.fids[num])
	}
}

// room says why a fid cannot be made.
func (m *model) room(num uint32) syscall.Errno {
	switch {
	case num == NoFid:
		return syscall.EBADF
	case m.fids[num] != nil:
		return syscall.EINVAL
	case len(m.fids) >= modelFids:
		return syscall.EMFILE
	}
	return 0
}

func (m *model) attach(q *Msg) syscall.Errno {
	path, option, options := strings.Cut(q.Aname, ",")
	if path == "v9fs" {
		path, option, options = "", path, true
	}
	switch {
	case q.Afid != NoFid || options && option != "v9fs":
		return syscall.EINVAL
	case m.room(q.Fid) != 0:
		return m.room(q.Fid)
	}
	f := &mfid{file: m.root, root: m.root, v9fs: m.d == DotL || options}
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' }) {
		to, no := m.step(f, f.file, name)
		if no != 0 {
			return no
		}
		f.file = to
	}
	if !f.file.dir() {
		return syscall.ENOTDIR
	}
	f.root = f.file
	m.fids[q.Fid] = f
	return 0
}

// step walks a name from at, on behalf of f.
func (m *model) step(f *mfid, at *mfile, name string) (*mfile, syscall.Errno) {
	switch {
	case !at.dir() || f.value != nil:
		return nil, syscall.ENOTDIR
	case name == ".." && at.path == f.root.path, name == "." && m.d == DotL:
		return at, 0
	case name == "" || name == "." || strings.Contains(name, "/"):
		return nil, syscall.EINVAL
	case name == "..":
		return at.up, 0
	case at.kid(name) == nil:
		return nil, syscall.ENOENT
	}
	return at.kid(name), 0
}

func (m *model) walk(q *Msg, f *mfid) {
	self := q.Newfid == q.Fid
	if self && f.open && len(q.Names) > 0 {
		m.fail(q.Tag, syscall.EBUSY)
		return
	}
	if no := m.room(q.Newfid); !self && no != 0 {
		m.fail(q.Tag, no)
		return
	}
	at, paths := f.file, []uint64{}
	for i, name := range q.Names {
		to, no := m.step(f, at, name)
		if no != 0 && i == 0 {
			m.fail(q.Tag, no)
			return
		}
		if no != 0 {
			break
		}
		at = to
		paths = append(paths, at.path)
	}
	whole := len(paths) == len(q.Names)
	switch {
	case whole && self:
		f.file = at
	case whole:
		m.fids[q.Newfid] = &mfid{file: at, root: f.root, v9fs: f.v9fs, value: f.value}
	}
	m.ok(q.Tag, Rwalk, fmt.Sprint("qids ", paths), func(r *Msg) bool {
		return slices.EqualFunc(r.Qids, paths, func(q Qid, path uint64) bool { return q.Path == path })
	})
}

// modes are the rights and the flags of an open.
type modes struct{ read, write, trunc, exec, nonblock, other bool }

func (m *model) modes(q *Msg) (o modes, no syscall.Errno) {
	access := int(q.Mode & 3)
	if m.d == DotL {
		if access = int(q.Flags & 3); access == 3 {
			return o, syscall.EINVAL
		}
		o.trunc, o.nonblock = q.Flags&LTrunc != 0, q.Flags&LNonblock != 0
	} else {
		o.trunc, o.other, o.exec = q.Mode&ModeTrunc != 0, q.Mode&ModeAppend != 0, access == 3
		if o.other && m.d == Classic {
			return o, syscall.EINVAL
		}
	}
	o.read, o.write = access != 1, access == 1 || access == 2
	return o, 0
}

func (m *model) open(q *Msg, f *mfid) syscall.Errno {
	if q.Type == Tlopen && q.Flags&LDirectory != 0 && !f.dir() {
		return syscall.ENOTDIR
	}
	o, no := m.modes(q)
	if no != 0 {
		return no
	}
	if no = m.openAt(f, f.file, o); no == 0 {
		f.rclose = q.Type == Topen && q.Mode&ModeRClose != 0
	}
	return no
}

// openAt opens a file and makes it the fid's.
func (m *model) openAt(f *mfid, file *mfile, o modes) syscall.Errno {
	isDir := file.dir() && f.value == nil
	switch {
	case f.open:
		return syscall.EBUSY
	case isDir && (o.write || o.trunc):
		return syscall.EISDIR
	case f.value != nil && o.write:
		return syscall.EACCES
	case f.value == nil && file.perm&7 == 0:
		return syscall.EACCES
	}
	f.open, f.read, f.write, f.wait = true, o.read, o.write, !o.nonblock
	f.off, f.next = 0, 0
	if f.value == nil {
		f.handle = &mhandle{of: file}
		f.file = file
		if file.becomes != nil {
			f.file = file.becomes
		}
	}
	f.iounit = m.msize - IOSize
	if f.stream() && f.continues() {
		f.iounit--
	}
	return 0
}

// opened answers an open or a create.
func (m *model) opened(q *Msg, f *mfid, no syscall.Errno) {
	if no != 0 {
		m.fail(q.Tag, no)
		return
	}
	path, iounit := f.file.path, f.iounit
	m.ok(q.Tag, q.Type+1, fmt.Sprintf("qid %d, iounit %d", path, iounit), func(r *Msg) bool {
		return r.Qid.Path == path && r.Iounit == iounit
	})
}

func (m *model) create(q *Msg, f *mfid) syscall.Errno {
	o, no := m.modes(q)
	isDir := q.Type == Tcreate && q.Perm&DMDir != 0
	switch {
	case no != 0:
		return no
	case f.open:
		return syscall.EBUSY
	case isDir && (o.write || o.trunc || o.exec || o.other):
		return syscall.EISDIR
	case isDir:
		if no := m.mkdir(f, q.Name); no != 0 {
			return no
		}
	}
	to, no := m.step(f, f.file, q.Name)
	switch {
	case no == syscall.ENOENT:
		return syscall.EPERM
	case no != 0:
		return no
	case to == f.file || q.Type == Tlcreate && q.Flags&LExcl != 0:
		return syscall.EEXIST
	}
	if no = m.openAt(f, to, o); no == 0 {
		f.rclose = q.Type == Tcreate && q.Mode&ModeRClose != 0
	}
	return no
}

func (m *model) mkdir(f *mfid, name string) syscall.Errno {
	switch {
	case !f.dir():
		return syscall.ENOTDIR
	case name == "..":
		return syscall.EEXIST
	case name == "" || name == "." || strings.Contains(name, "/"):
		return syscall.EINVAL
	case !f.file.mutable:
		return syscall.EPERM
	case f.file.kid(name) != nil:
		return syscall.EEXIST
	}
	m.made++
	f.file.kids = append(f.file.kids, &mfile{name: name, path: m.made + 1, kind: fs.Directory, perm: 0o755, up: f.file})
	return 0
}

// data is an answer to a read.
func (m *model) data(tag uint16, want string) {
	m.ok(tag, Rread, fmt.Sprintf("data %.40q", want), func(r *Msg) bool { return string(r.Data) == want })
}

func (m *model) read(q *Msg, f *mfid) {
	count := int(min(q.Count, m.msize-ReadSize))
	switch {
	case !f.open || !f.read:
		m.fail(q.Tag, syscall.EBADF)
		return
	case f.dir():
		m.records(q, f, count)
		return
	case q.Offset > math.MaxInt64:
		m.fail(q.Tag, syscall.EINVAL)
		return
	case count == 0:
		m.data(q.Tag, "")
		return
	}
	off := int64(q.Offset)
	if f.stream() {
		r := f.rest
		f.rest.hi = 0
		if off == r.end && r.lo <= uint32(count) && uint32(count) <= r.hi {
			m.data(q.Tag, "")
			return
		}
		c := &mcall{tag: q.Tag, f: f, h: f.handle, at: f.handle.of, off: off, count: count, want: uint32(count)}
		c.block = f.wait && len(m.calls) < modelCalls
		if c.watch = f.continues(); c.watch && c.want == f.iounit && count > 1 {
			c.count--
		}
		m.message(c, false)
		return
	}
	text := ""
	switch {
	case f.value != nil:
		text = *f.value
	case f.handle.of.becomes != nil:
		text = f.handle.of.becomes.name + "\n"
	default:
		text = f.handle.of.data
	}
	text = text[min(off, int64(len(text))):]
	m.data(q.Tag, text[:min(count, len(text))])
}

// message is a read of a stream, new or one that had to wait for its turn.
func (m *model) message(c *mcall, waited bool) {
	h := c.h
	if h.busy != nil {
		if !c.block {
			m.fail(c.tag, syscall.EAGAIN)
		} else if m.park(c) {
			h.turns = append(h.turns, c)
		}
		return
	}
	if from := c.off - h.start; from >= 0 && from < int64(len(h.last)) {
		h.took = max(h.took, min(int(from)+c.count, len(h.last)))
		m.deliver(c, h.last[from:])
		return
	}
	switch {
	case len(c.at.queue) > 0:
		msg := c.at.queue[0]
		c.at.queue = c.at.queue[1:]
		m.take(c, msg)
	case waited: // and goes on waiting
		h.busy = c
		c.at.waiting = append(c.at.waiting, c)
	case !c.block:
		m.fail(c.tag, syscall.EAGAIN)
	case m.park(c):
		h.busy = c
		c.at.waiting = append(c.at.waiting, c)
	}
}

// park has a call wait, unless its tag is in use.
func (m *model) park(c *mcall) bool {
	for _, other := range m.calls {
		if other.tag == c.tag {
			m.fail(c.tag, syscall.EINVAL)
			return false
		}
	}
	m.calls = append(m.calls, c)
	return true
}

func (m *model) leave(c *mcall) {
	is := func(o *mcall) bool { return o == c }
	m.calls = slices.DeleteFunc(m.calls, is)
	c.at.waiting = slices.DeleteFunc(c.at.waiting, is)
	if c.h != nil {
		c.h.turns = slices.DeleteFunc(c.h.turns, is)
	}
}

// take gives a call a new message.
func (m *model) take(c *mcall, msg string) {
	h := c.h
	h.last, h.start, h.took = msg, c.off, min(len(msg), c.count)
	m.deliver(c, msg)
	m.turn(h, c)
}

// turn lets the next read of an open file go on once c does not wait any more.
func (m *model) turn(h *mhandle, c *mcall) {
	if h.busy == c {
		h.busy = nil
	}
	for h.busy == nil && len(h.turns) > 0 {
		next := h.turns[0]
		h.turns = h.turns[1:]
		m.message(next, true)
	}
}

// deliver answers a read.
func (m *model) deliver(c *mcall, msg string) {
	m.leave(c)
	cut := len(msg) > c.count
	msg = msg[:min(len(msg), c.count)]
	if c.watch {
		c.f.rest = rest{}
		if n := uint32(len(msg)); n > 0 && !cut {
			c.f.rest = rest{end: c.off + int64(n), lo: c.want - n, hi: c.want - n}
			if c.want == c.f.iounit {
				c.f.rest.hi = c.want
			}
		}
	}
	m.data(c.tag, msg)
}

// put has a message come to a stream.
func (m *model) put(f *mfile, msg string) {
	f.queue = append(f.queue, msg)
	for len(f.waiting) > 0 && len(f.queue) > 0 {
		c := f.waiting[0]
		msg := f.queue[0]
		f.queue = f.queue[1:]
		m.take(c, msg)
	}
}

// accept lets the first call go on that waits at a file. A read gets nothing.
func (m *model) accept(f *mfile) bool {
	if len(f.waiting) == 0 {
		return false
	}
	if c := f.waiting[0]; c.write {
		m.leave(c)
		m.wrote(c.tag, c.n)
	} else {
		m.take(c, "")
	}
	return true
}

func (m *model) wrote(tag uint16, n int) {
	m.ok(tag, Rwrite, fmt.Sprint("count ", n), func(r *Msg) bool { return int(r.Count) == n })
}

func (m *model) write(q *Msg, f *mfid) {
	switch {
	case !f.open || !f.write:
		m.fail(q.Tag, syscall.EBADF)
	case q.Offset > math.MaxInt64:
		m.fail(q.Tag, syscall.EINVAL)
	case f.handle.of.name == "stream":
		m.put(f.handle.of, string(q.Data))
		m.wrote(q.Tag, len(q.Data))
	case f.handle.of.kind == fs.Stream:
		c := &mcall{tag: q.Tag, f: f, at: f.handle.of, write: true, n: len(q.Data)}
		before := len(m.answer)
		switch {
		case m.park(c):
			c.at.waiting = append(c.at.waiting, c)
		case c.at.name == "partly": // which accepts a byte, whatever happens
			m.answer = m.answer[:before]
			m.wrote(c.tag, 1)
		}
	case strings.HasPrefix(string(q.Data), "bad"):
		m.wrong = fmt.Sprintf("ctl: unknown verb %q (good?)", string(q.Data))
		m.fail(q.Tag, syscall.EINVAL)
	default:
		m.wrote(q.Tag, len(q.Data))
	}
}

// interrupt ends the wait of a call; a silent one is not told.
func (m *model) interrupt(c *mcall, silent bool) {
	m.leave(c)
	switch {
	case c.write && c.at.name == "partly":
		m.wrote(c.tag, 1)
	case !silent:
		m.fail(c.tag, syscall.EINTR)
	}
	if c.h != nil {
		m.turn(c.h, c)
	}
}

func (m *model) flush(q *Msg) {
	for _, c := range m.calls {
		if c.tag == q.Oldtag && q.Oldtag != q.Tag {
			m.interrupt(c, true)
			break
		}
	}
	m.done(q, 0)
}

// shut closes what a fid has open.
func (m *model) shut(f *mfid) {
	for _, c := range slices.Clone(m.calls) {
		if c.f == f {
			m.interrupt(c, false)
		}
	}
	m.locks = slices.DeleteFunc(m.locks, func(l mlock) bool { return l.f == f })
	f.open = false
}

func (m *model) clunk(num uint32, f *mfid) {
	m.shut(f)
	if f.rclose {
		m.remove(f)
	}
	delete(m.fids, num)
}

// remove removes the fid's file.
func (m *model) remove(f *mfid) syscall.Errno {
	switch {
	case f.isRoot():
		return syscall.EPERM
	case f.value != nil:
		return syscall.ENOTDIR
	}
	return f.file.up.remove(f.file.name)
}

func (f *mfile) remove(name string) syscall.Errno {
	i := slices.IndexFunc(f.kids, func(k *mfile) bool { return k.name == name })
	switch {
	case !f.mutable:
		return syscall.EPERM
	case i < 0:
		return syscall.ENOENT
	}
	f.kids = slices.Delete(slices.Clone(f.kids), i, i+1)
	return 0
}

func (m *model) unlink(q *Msg, f *mfid) syscall.Errno {
	to, no := m.step(f, f.file, q.Name)
	const removeDir = 0x200
	switch {
	case no != 0:
		return no
	case q.Name == "..":
		return syscall.EINVAL
	case to.dir() && q.Flags&removeDir == 0:
		return syscall.EISDIR
	case !to.dir() && q.Flags&removeDir != 0:
		return syscall.ENOTDIR
	}
	return f.file.remove(q.Name)
}

// size is what a file says that it has.
func (f *mfid) size() int {
	switch {
	case f.value != nil:
		return len(*f.value)
	case f.file.kind == fs.Log:
		return len(f.file.data)
	}
	return 0
}

func (m *model) stat(q *Msg, f *mfid) {
	size, path, name := uint64(f.size()), f.file.path, f.file.name
	if f.isRoot() {
		name = "/"
	}
	m.ok(q.Tag, q.Type+1, fmt.Sprintf("%q, path %d, size %d", name, path, size), func(r *Msg) bool {
		if q.Type == Tgetattr {
			return r.Qid.Path == path && r.Attr.Size == size
		}
		return r.Stat.Qid.Path == path && r.Stat.Length == size && r.Stat.Name == name
	})
}

func (m *model) set(q *Msg, f *mfid) syscall.Errno {
	w := &q.Stat
	switch {
	case q.Type == Tsetattr && q.Set.Valid == 0:
		return 0
	case q.Type == Tsetattr && (q.Set.Valid&SetUID != 0 || f.value != nil):
		return syscall.EPERM
	case q.Type == Tsetattr:
		return 0
	case w.Name != "" && w.Name != f.file.name && !f.isRoot():
		return syscall.EPERM
	case w.Mode != NoUID && (w.Mode&DMDir != 0) != f.dir():
		return syscall.EINVAL
	case w.NUID != NoUID && m.d == DotU: // 9P2000 has no numbers
		return syscall.EPERM
	}
	return 0
}

func (m *model) xattr(q *Msg, f *mfid) {
	if q.Name != "" && q.Name != fs.ErrorAttr {
		m.fail(q.Tag, syscall.ENODATA)
		return
	}
	text := m.wrong
	if f.value != nil {
		text = "" // an attribute has none
	}
	no := m.room(q.Newfid)
	switch {
	case no != 0:
	case q.Name != "" && text == "":
		no = syscall.ENODATA
	case q.Name == "" && text != "":
		text = fs.ErrorAttr + "\x00"
	}
	if no != 0 {
		m.fail(q.Tag, no)
		return
	}
	m.fids[q.Newfid] = &mfid{file: f.file, root: f.root, v9fs: f.v9fs, value: &text, open: true, read: true, wait: true, iounit: m.msize - IOSize}
	size := uint64(len(text))
	m.ok(q.Tag, Rxattrwalk, fmt.Sprint("size ", size), func(r *Msg) bool { return r.XSize == size })
}

// inWay returns a lock that keeps the one of q from being granted.
func (m *model) inWay(q *Msg, f *mfid) (mlock, bool) {
	for _, l := range m.locks {
		if l.path == f.file.path && l.pid != q.Lock.PID && (l.write || q.Lock.Type == lockWrite) {
			return l, true
		}
	}
	return mlock{}, false
}

func (m *model) lock(q *Msg, f *mfid) {
	if !f.open {
		m.fail(q.Tag, syscall.EBADF)
		return
	}
	status := uint8(lockBlocked)
	if _, blocked := m.inWay(q, f); !blocked || q.Lock.Type == lockNone {
		status = lockGranted
		m.locks = slices.DeleteFunc(m.locks, func(l mlock) bool { return l.path == f.file.path && l.pid == q.Lock.PID })
		if q.Lock.Type != lockNone {
			m.locks = append(m.locks, mlock{f, f.file.path, q.Lock.PID, q.Lock.Type == lockWrite})
		}
	}
	m.ok(q.Tag, Rlock, fmt.Sprint("status ", status), func(r *Msg) bool { return r.Status == status })
}

func (m *model) getlock(q *Msg, f *mfid) {
	if !f.open {
		m.fail(q.Tag, syscall.EBADF)
		return
	}
	l, found := m.inWay(q, f)
	m.ok(q.Tag, Rgetlock, fmt.Sprintf("lock %v %v", found, l.pid), func(r *Msg) bool {
		return found == (r.Lock.Type != lockNone) && (!found || r.Lock.PID == l.pid && (r.Lock.Type == lockWrite) == l.write)
	})
}

// The bytes of an entry but for its names: fixed fields, and what the names of
// owner, group and last writer (all root) take.
const (
	recordBytes = statSize + 4*2 + 3*len("root")
	recordMore  = 2 + 3*4 // of 9P2000.u
	direntBytes = QidSize + 8 + 1 + 2
)

// records is a read of a directory in 9P2000 and .u.
func (m *model) records(q *Msg, f *mfid, count int) {
	if m.d == DotL {
		m.fail(q.Tag, syscall.EISDIR)
		return
	}
	switch q.Offset {
	case 0:
		f.off, f.next = 0, 0
	case f.off:
	default:
		m.fail(q.Tag, syscall.EINVAL)
		return
	}
	var names []string
	total := 0
	for f.next < uint64(len(f.file.kids)) {
		name := f.file.kids[f.next].name
		size := recordBytes + len(name)
		if m.d == DotU {
			size += recordMore
		}
		if total+size > count {
			break
		}
		total += size
		names = append(names, name)
		f.next++
	}
	if len(names) == 0 && f.next < uint64(len(f.file.kids)) {
		m.fail(q.Tag, syscall.EINVAL)
		return
	}
	f.off += uint64(total)
	m.listed(q, names)
}

// readdir is that of 9P2000.L.
func (m *model) readdir(q *Msg, f *mfid) {
	switch {
	case !f.open:
		m.fail(q.Tag, syscall.EBADF)
		return
	case !f.dir():
		m.fail(q.Tag, syscall.ENOTDIR)
		return
	}
	all := []string{".", ".."}
	for _, kid := range f.file.kids {
		all = append(all, kid.name)
	}
	at := q.Offset
	switch at { // of the entries, "." and ".." counted
	case 0:
	case afterDot, afterDotDot:
		at -= afterDot - 1
	default:
		at += 2
	}
	var names []string
	left := int(min(q.Count, m.msize-ReadSize))
	for ; at < uint64(len(all)) && direntBytes+len(all[at]) <= left; at++ {
		left -= direntBytes + len(all[at])
		names = append(names, all[at])
	}
	if len(names) == 0 && at < uint64(len(all)) {
		m.fail(q.Tag, syscall.EINVAL)
		return
	}
	f.next = cmp.Or(map[uint64]uint64{1: afterDot, 2: afterDotDot}[at], max(at, 2)-2)
	m.listed(q, names)
}

func (m *model) listed(q *Msg, want []string) {
	d := m.d
	m.ok(q.Tag, q.Type+1, fmt.Sprint("entries ", want), func(r *Msg) bool {
		names, err := entryNames(d, r.Data)
		return err == nil && slices.Equal(names, want)
	})
}

// entryNames returns the names in the data of a directory read.
func entryNames(d Dialect, b []byte) (names []string, err error) {
	dec := Decoder{Dialect: d}
	for len(b) > 0 && err == nil {
		var de Dirent
		var s Stat
		if d == DotL {
			b, err = dec.DecodeDirent(b, &de)
			s.Name = de.Name
		} else {
			b, err = dec.DecodeStat(b, &s)
		}
		names = append(names, s.Name)
	}
	return names, err
}

package fs

import (
	"sync"
	"syscall"

	"warren/fs/sys"
)

// file is the node of a row of a directory's table.
type file[T Object] struct {
	dir *dir[T]
	row int
}

func (n *file[T]) def() *File[T] { return &n.dir.d.Files[n.row] }
func (n *file[T]) Qid() Qid      { return n.dir.qid(n.row, n.def().Kind) }
func (n *file[T]) Release()      {}
func (n *file[T]) environ() *Env { return n.dir.env }
func (n *file[T]) path() string  { return n.dir.path() + "/" + n.def().Name }

// LastError is of the whole tree, whichever file is asked.
func (n *file[T]) LastError(c *Call) (string, error) { return n.dir.LastError(c) }

func (n *file[T]) Stat(*Call) (Stat, error) {
	if n.dir.t.Meta().Gone() {
		return Stat{}, sys.ErrGone
	}
	return n.stat(), nil
}

func (n *file[T]) stat() Stat {
	m, f := n.dir.t.Meta(), n.def()
	s := Stat{Qid: n.Qid(), Name: f.Name, Mode: m.Mode(f.Name, f.Perm), Mtime: m.Made, Atime: m.Made}
	s.UID, s.GID = m.Owner()
	if f.Size != nil {
		s.Size = f.Size(n.dir.t)
	}
	return s
}

func (n *file[T]) Walk(_ *Call, name string) (Node, error) {
	if name == ".." {
		return n.dir, nil
	}
	return nil, sys.ErrNotDir
}

func (n *file[T]) List(*Call, uint64, func(Stat, uint64) bool) error { return sys.ErrNotDir }

func (n *file[T]) Change(c *Call, ch Change) error {
	if ch.Op != OpSet {
		return sys.ErrNotDir
	}
	err := setMeta(c.User(), n.dir.t.Meta(), n.def().Name, ch)
	if err != nil {
		n.dir.env.Errors.Add(c, n.path(), "chmod", err)
		return err
	}
	n.dir.env.changed(n.path, ch.command())
	return nil
}

func (n *file[T]) Open(c *Call, f Flags) (Handle, Node, error) {
	h, node, err := n.open(c, f, true)
	if err != nil {
		n.dir.env.Errors.Add(c, n.path(), "open", err)
	}
	return h, node, err
}

// open opens the file. byName is false for the ctl that clone turns into.
func (n *file[T]) open(c *Call, f Flags, byName bool) (Handle, Node, error) {
	def, m := n.def(), n.dir.t.Meta()
	if !Allowed(c.User(), n.stat(), f.Wanted()) {
		return nil, nil, sys.ErrPermission
	}
	if def.Clone != nil {
		return n.clone(c, f)
	}
	if err := m.Opened(); err != nil {
		return nil, nil, err
	}
	h, err := n.handle(c, f, byName)
	if err != nil {
		n.dir.closed()
		return nil, nil, err
	}
	if byName {
		m.Use()
	}
	return h, n, nil
}

// handle makes the open file.
func (n *file[T]) handle(c *Call, f Flags, byName bool) (Handle, error) {
	def := n.def()
	o := opened[T]{file: n, flags: f}
	switch {
	case def.Kind == Text && f&OWrite != 0:
		return nil, sys.Errorf(syscall.EACCES, "%s: a text file is only read", def.Name)
	case def.Kind == Text || def.Kind == Ctl:
		return &snapshot[T]{opened: o, named: byName}, nil
	case def.Open == nil:
		return nil, sys.ErrNotOpen
	}
	inner, err := def.Open(c, n.dir.t, f)
	if err != nil {
		return nil, err
	}
	return &outer[T]{opened: o, inner: inner}, nil
}

// clone makes an object and opens its ctl.
func (n *file[T]) clone(c *Call, f Flags) (Handle, Node, error) {
	made, err := n.def().Clone(c, n.dir.t, n.dir)
	if err != nil {
		return nil, nil, err
	}
	ctl, err := made.Walk(c, "ctl")
	if err != nil {
		return nil, nil, err
	}
	return ctl.(interface {
		open(*Call, Flags, bool) (Handle, Node, error)
	}).open(c, f|ORead|OWrite, false)
}

// opened is what every open file knows.
type opened[T Object] struct {
	file  *file[T]
	flags Flags
}

// failed writes down what went wrong with a read or a write.
func (o *opened[T]) failed(c *Call, err error) {
	o.file.dir.env.Errors.Add(c, o.file.path(), "io", err)
}

func (o *opened[T]) close() { o.file.dir.closed() }

// outer is an open Stream, Log or Bytes file: the rights of the opener, and
// the note of failures, around the file's own handle.
type outer[T Object] struct {
	opened[T]
	inner Handle
}

func (o *outer[T]) Read(c *Call, off int64) {
	if o.flags&ORead == 0 {
		c.Fail(sys.ErrNotOpen)
		return
	}
	c.where = o
	o.inner.Read(c, off)
}

func (o *outer[T]) Write(c *Call, p []byte, off int64) {
	if o.flags&OWrite == 0 {
		c.Fail(sys.ErrNotOpen)
		return
	}
	c.where = o
	o.inner.Write(c, p, off)
}

func (o *outer[T]) Close() {
	o.inner.Close()
	o.close()
}

// snapshot is an open Text or Ctl file: a read at offset 0 renders it, reads
// at later offsets continue what was rendered.
type snapshot[T Object] struct {
	opened[T]
	named bool // opened by name, not through clone

	mu    sync.Mutex
	text  *[]byte // nil until it was rendered
	wrote bool    // since the last render
	start int64   // the offset that text begins at
}

func (s *snapshot[T]) Read(c *Call, off int64) {
	if s.flags&ORead == 0 {
		c.Fail(sys.ErrNotOpen)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if off <= 0 || s.text == nil || s.wrote {
		if err := s.render(c); err != nil {
			c.where = s
			c.Fail(err)
			return
		}
		// A write moved the offset of a descriptor that is read, too.
		s.start = 0
		if s.wrote {
			s.start, s.wrote = max(off, 0), false
		}
	}
	text, at := *s.text, max(off, 0)
	if at >= s.start {
		at -= s.start
	}
	c.Deliver(text[min(at, int64(len(text))):], nil)
}

func (s *snapshot[T]) render(c *Call) (err error) {
	def, t := s.file.def(), s.file.dir.t
	kept := s.text
	if kept == nil {
		kept = s.file.dir.env.buffer()
	}
	b := (*kept)[:0]
	switch {
	case def.Kind == Text:
		b, err = def.Text(c, t, b)
	case !s.named:
		b = append(append(b, t.Meta().Name...), '\n')
	default:
		b = dump(def.Verbs, t, b)
	}
	if err != nil {
		return err
	}
	*kept, s.text = b, kept
	return nil
}

// Write runs commands; the offset is ignored.
func (s *snapshot[T]) Write(c *Call, p []byte, _ int64) {
	if s.flags&OWrite == 0 {
		c.Fail(sys.ErrNotOpen)
		return
	}
	if s.file.dir.t.Meta().Gone() {
		c.where = s
		c.Fail(sys.ErrGone)
		return
	}
	s.mu.Lock()
	s.wrote = true
	s.mu.Unlock()
	def := s.file.def()
	n, verb, err := run(c, def.Verbs, def.Name, s.file.dir.t, p, func(line string) {
		s.file.dir.env.changed(s.file.path, line)
	})
	if err != nil {
		s.file.dir.env.Errors.Add(c, s.file.path(), verb, err)
	}
	if err != nil && n == 0 {
		c.Fail(err)
		return
	}
	c.Done(n)
}

func (s *snapshot[T]) Close() {
	s.file.dir.env.recycle(s.text)
	s.close()
}

package fs

import (
	"sync"
	"sync/atomic"

	"warren/fs/sys"
)

// An Object is what a directory stands for.
type Object interface{ Meta() *sys.Meta }

// A Dir is the table of one kind of directory: cores/N, say. The nodes of
// the tree are made from it when they are walked to and own nothing.
type Dir[T Object] struct {
	Class uint8  // of its qids, unique in the tree
	Name  string // for the manual: "cores/N"
	Doc   string
	Perm  uint32 // of the directory; 0: 0o755
	Files []File[T]
	Kids  *Kids[T] // the objects below it, if any
}

// A File is a row of a Dir. Rows are only ever added at the end: a file's
// qid is the object's serial and its row.
type File[T Object] struct {
	Name   string
	Perm   uint32
	Kind   Kind
	Doc    string
	Format string // the fields of a status line or of a table's records

	// Text appends the snapshot of a Text file.
	Text func(c *Call, t T, b []byte) ([]byte, error)
	// Open opens a Stream, Log or Bytes file.
	Open func(c *Call, t T, f Flags) (Handle, error)
	// Size is that of a Log or Bytes file.
	Size func(t T) int64
	// Verbs are the commands of a Ctl file.
	Verbs []Verb[T]
	// Sub is the node of a fixed directory. That of the root's is used for as
	// long as there is the tree.
	Sub func(t T, parent Node) Node
	// Clone makes an object and returns its directory: the open file becomes
	// its ctl.
	Clone func(c *Call, t T, parent Node) (Node, error)
	// Has reports whether this object has the file; nil: all have.
	Has func(t T) bool
}

// Kids are the objects below a directory.
type Kids[T Object] struct {
	// Walk returns the directory of that name; sys.ErrNotExist if there is none.
	Walk func(c *Call, t T, parent Node, name string) (Node, error)
	// List yields the names from a cookie on, each with the next cookie.
	List func(t T, from uint64, yield func(name string, next uint64) bool)
	// Make makes an object; nil: they cannot be made. The name was checked.
	Make func(c *Call, t T, name string) error
	// Remove removes an object, or says why not; nil: they cannot be.
	Remove func(c *Call, t T, name string) error
}

// An Env is what all nodes of one tree share.
type Env struct {
	Errors ErrorLog
	// Changed, if not nil, is told of each setting that was set: the path of
	// the ctl, or of what chmod and chown changed, and the command.
	Changed func(path, command string)
	bufs    sync.Pool // of *[]byte: snapshots of closed Text files
}

// keepBuffer is the largest snapshot buffer that is used again.
const keepBuffer = 1 << 16

func (e *Env) changed(path func() string, command string) {
	if e.Changed != nil && command != "" {
		e.Changed(path(), command)
	}
}

func (e *Env) buffer() *[]byte {
	if b, ok := e.bufs.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 512)
	return &b
}

func (e *Env) recycle(b *[]byte) {
	if b != nil && cap(*b) <= keepBuffer {
		e.bufs.Put(b)
	}
}

// Root returns the root node of a tree. It keeps the fixed directories in it, so
// that walks through them make no nodes.
func (d *Dir[T]) Root(t T, env *Env) Node {
	return &dir[T]{d: d, t: t, env: env, fixed: make([]atomic.Pointer[Node], len(d.Files))}
}

// Node returns the node of an object's directory, below parent.
func (d *Dir[T]) Node(t T, parent Node) Node {
	n := &dir[T]{d: d, t: t, up: parent}
	if p, ok := parent.(placed); ok {
		n.env = p.environ()
	} else {
		n.env = new(Env)
	}
	return n
}

// placed is what nodes made from tables know about where they are.
type placed interface {
	environ() *Env
	path() string
}

// A DirDoc is what the manual says of a Dir.
type DirDoc struct {
	Name, Doc string
	Files     []FileDoc
}

// A FileDoc is what the manual says of a File.
type FileDoc struct {
	Name, Doc, Format string
	Perm              uint32
	Kind              Kind
	Verbs             []VerbDoc
}

// A VerbDoc is what the manual says of a Verb.
type VerbDoc struct {
	Name, Args, Doc string
	Setting         bool // reading the ctl prints it
}

// Describe returns the table for the manual.
func (d *Dir[T]) Describe() DirDoc {
	out := DirDoc{Name: d.Name, Doc: d.Doc}
	for i := range d.Files {
		f := &d.Files[i]
		fd := FileDoc{Name: f.Name, Doc: f.Doc, Format: f.Format, Perm: f.Perm, Kind: f.Kind}
		for _, v := range f.Verbs {
			if v.Doc == "" {
				continue // the file's own says it
			}
			fd.Verbs = append(fd.Verbs, VerbDoc{v.Name, v.Args, v.Doc, v.Dump != nil})
		}
		out.Files = append(out.Files, fd)
	}
	return out
}

// Package fstest holds every front end to the same behaviour: it has a
// standard tree with a file of each kind, an interface by which any front end
// can be used by path, and a suite that runs over it.
//
// A Tree has one lock of its own, and each Queue and Log one; they are not held
// together. Calls are answered with a Queue's lock held.
package fstest

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
)

// Alice is a user who is not root, and owns nothing in a new tree.
func Alice() *sys.User { return &sys.User{UID: 12345, GID: 12345, Name: "12345"} }

// Root is the user who owns the tree.
func Root() *sys.User { return &sys.User{Name: "root"} }

// BigSize is the number of files in the tree's directory big.
const BigSize = 10_000

// TableLines is the number of lines of the tree's file table.
const TableLines = 200

// A Tree is the standard tree:
//
//	status    text, 0444
//	table     text, 0444: TableLines lines that all name the same snapshot
//	ctl       0666: set WORD; log WORD; end, of the queue; fail, which answers EBUSY
//	log       log, 0444
//	queue     stream, 0666: holds 4 messages
//	private   text, 0600
//	objs      directory, 0777: mkdir and clone make objects with ctl, status and data
//	big       directory, 0755: BigSize text files
//	wall      directory, 0700, with a text file inside, 0444
type Tree struct {
	Root  fs.Node
	Queue *Queue
	Log   *Log

	objsTable, objTable, bigTable, wallTable *fs.Dir[*object]

	objs   *object
	opens  atomic.Int32 // streams and logs that are open
	tables atomic.Int64 // snapshots of table taken

	mu   sync.Mutex
	word string // as set by ctl
	done int    // commands done
	kids map[string]*object
	next uint64
}

// An object stands for a directory of the tree.
type object struct {
	tree  *Tree
	meta  *sys.Meta
	queue *Queue
	word  string // guarded by tree.mu
}

func (o *object) Meta() *sys.Meta { return o.meta }

// NewTree makes a tree.
func NewTree() *Tree {
	t := &Tree{Queue: NewQueue(4), Log: new(Log), kids: make(map[string]*object), word: "nothing"}
	t.objsTable, t.objTable, t.bigTable, t.wallTable = objsDir(), objDir(), bigDir(), wallDir()
	t.Root = rootDir().Root(t.fixed("/", 0o755), new(fs.Env))
	t.objs = t.fixed("objs", 0o777)
	return t
}

// Opens returns how many streams and logs are open.
func (t *Tree) Opens() int { return int(t.opens.Load()) }

// Word returns the last setting, and how many commands were done.
func (t *Tree) Word() (string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.word, t.done
}

// Objects returns how many objects there are.
func (t *Tree) Objects() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.kids)
}

func (t *Tree) fixed(name string, mode uint32) *object {
	o := &object{tree: t, meta: sys.NewMeta(0, name, Root())}
	o.meta.Chmod("", mode)
	return o
}

func rootDir() *fs.Dir[*object] {
	return &fs.Dir[*object]{Class: 1, Files: []fs.File[*object]{
		{Name: "status", Perm: 0o444, Kind: fs.Text, Text: func(_ *fs.Call, o *object, b []byte) ([]byte, error) {
			word, done := o.tree.Word()
			b = append(append(b, "name test\nword "...), word...)
			return append(strconv.AppendInt(append(b, "\ndone "...), int64(done), 10), '\n'), nil
		}},
		{Name: "table", Perm: 0o444, Kind: fs.Text, Text: func(_ *fs.Call, o *object, b []byte) ([]byte, error) { return o.snapshot(b), nil }},
		{Name: "ctl", Perm: 0o666, Kind: fs.Ctl, Verbs: verbs()},
		{Name: "log", Perm: 0o444, Kind: fs.Log, Size: func(o *object) int64 { return o.tree.Log.size() }, Open: func(_ *fs.Call, o *object, _ fs.Flags) (fs.Handle, error) {
			return o.tree.counted(o.tree.Log), nil
		}},
		{Name: "queue", Perm: 0o666, Kind: fs.Stream, Open: func(_ *fs.Call, o *object, _ fs.Flags) (fs.Handle, error) {
			return o.tree.stream(o.tree.Queue), nil
		}},
		{Name: "private", Perm: 0o600, Kind: fs.Text, Text: say("secret\n")},
		{Name: "objs", Perm: 0o777, Kind: fs.Directory, Sub: func(o *object, up fs.Node) fs.Node { return o.tree.objsTable.Node(o.tree.objs, up) }},
		{Name: "big", Perm: 0o755, Kind: fs.Directory, Sub: func(o *object, up fs.Node) fs.Node { return o.tree.bigTable.Node(o.tree.fixed("big", 0o755), up) }},
		{Name: "wall", Perm: 0o700, Kind: fs.Directory, Sub: func(o *object, up fs.Node) fs.Node { return o.tree.wallTable.Node(o.tree.fixed("wall", 0o700), up) }},
	}}
}

func say(text string) func(*fs.Call, *object, []byte) ([]byte, error) {
	return func(_ *fs.Call, _ *object, b []byte) ([]byte, error) { return append(b, text...), nil }
}

// snapshot appends a text of which no two snapshots are alike.
func (o *object) snapshot(b []byte) []byte {
	n := o.tree.tables.Add(1)
	for i := range TableLines {
		b = strconv.AppendInt(append(b, "line "...), int64(i), 10)
		b = strconv.AppendInt(append(b, " snapshot "...), n, 10)
		b = append(b, '\n')
	}
	return b
}

// verbs are the commands of the root's ctl and of an object's.
func verbs() []fs.Verb[*object] {
	return []fs.Verb[*object]{
		{
			Name: "set", Args: "WORD",
			Parse: func(w []string) (func(*fs.Call, *object) error, error) {
				return func(_ *fs.Call, o *object) error { o.set(w[0]); return nil }, nil
			},
			Dump: func(o *object) []string { return []string{fs.Quote(o.get())} },
		},
		{
			Name: "log", Args: "WORD",
			Parse: func(w []string) (func(*fs.Call, *object) error, error) {
				return func(_ *fs.Call, o *object) error { o.tree.Log.Append(w[0] + "\n"); return nil }, nil
			},
		},
		{
			Name: "end", Args: "",
			Parse: func([]string) (func(*fs.Call, *object) error, error) {
				return func(_ *fs.Call, o *object) error { o.tree.Queue.End(); return nil }, nil
			},
		},
		{
			Name: "fail", Args: "",
			Parse: func([]string) (func(*fs.Call, *object) error, error) {
				return func(*fs.Call, *object) error { return sys.Errorf(syscall.EBUSY, "fail: this never works") }, nil
			},
		},
	}
}

func (o *object) set(word string) {
	o.tree.mu.Lock()
	defer o.tree.mu.Unlock()
	o.tree.done++
	o.word = word
	if o.queue == nil {
		o.tree.word = word
	}
}

func (o *object) get() string {
	o.tree.mu.Lock()
	defer o.tree.mu.Unlock()
	if o.queue == nil {
		return o.tree.word
	}
	return o.word
}

func objsDir() *fs.Dir[*object] {
	return &fs.Dir[*object]{
		Class: 2,
		Files: []fs.File[*object]{
			{Name: "clone", Perm: 0o666, Kind: fs.Ctl, Clone: func(c *fs.Call, o *object, up fs.Node) (fs.Node, error) {
				kid, err := o.tree.make(c.User(), "")
				if err != nil {
					return nil, err
				}
				return o.tree.objTable.Node(kid, up), nil
			}},
		},
		Kids: &fs.Kids[*object]{
			Walk: func(_ *fs.Call, o *object, up fs.Node, name string) (fs.Node, error) {
				o.tree.mu.Lock()
				defer o.tree.mu.Unlock()
				if kid, ok := o.tree.kids[name]; ok {
					return o.tree.objTable.Node(kid, up), nil
				}
				return nil, sys.ErrNotExist
			},
			List: func(o *object, from uint64, yield func(string, uint64) bool) {
				for _, m := range o.tree.list(from) {
					if !yield(m.Name, m.Serial+1) {
						return
					}
				}
			},
			Make: func(c *fs.Call, o *object, name string) error {
				_, err := o.tree.make(c.User(), name)
				return err
			},
			Remove: func(_ *fs.Call, o *object, name string) error { return o.tree.remove(name) },
		},
	}
}

// make makes an object; without a name it is clone's.
func (t *Tree) make(u *sys.User, name string) (*object, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	cloned := name == ""
	if cloned {
		name = strconv.FormatUint(t.next, 10)
	}
	if t.kids[name] != nil {
		return nil, sys.ErrExist
	}
	o := &object{tree: t, meta: sys.NewMeta(t.next, name, u), queue: NewQueue(4), word: "nothing"}
	if cloned {
		o.meta.SetCloned()
	}
	t.kids[name] = o
	return o, nil
}

// list returns the objects with serials from a number on, in order.
func (t *Tree) list(from uint64) []*sys.Meta {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*sys.Meta
	for _, o := range t.kids {
		if o.meta.Serial >= from {
			all = append(all, o.meta)
		}
	}
	slices.SortFunc(all, func(a, b *sys.Meta) int { return int(a.Serial) - int(b.Serial) })
	return all
}

func (t *Tree) remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.kids[name]
	if o == nil {
		return sys.ErrNotExist
	}
	o.meta.Retire()
	delete(t.kids, name)
	return nil
}

func objDir() *fs.Dir[*object] {
	return &fs.Dir[*object]{Class: 3, Perm: 0o750, Files: []fs.File[*object]{
		{Name: "ctl", Perm: 0o640, Kind: fs.Ctl, Verbs: verbs()},
		{Name: "status", Perm: 0o444, Kind: fs.Text, Text: func(_ *fs.Call, o *object, b []byte) ([]byte, error) {
			return append(append(append(b, "serial "...), strconv.FormatUint(o.meta.Serial, 10)...), '\n'), nil
		}},
		{Name: "data", Perm: 0o660, Kind: fs.Stream, Open: func(_ *fs.Call, o *object, _ fs.Flags) (fs.Handle, error) {
			return o.tree.stream(o.queue), nil
		}},
	}}
}

func bigDir() *fs.Dir[*object] {
	d := &fs.Dir[*object]{Class: 4}
	for i := range BigSize {
		d.Files = append(d.Files, fs.File[*object]{
			Name: "f" + strconv.Itoa(i), Perm: 0o444, Kind: fs.Text, Text: say("small\n"),
		})
	}
	return d
}

func wallDir() *fs.Dir[*object] {
	return &fs.Dir[*object]{Class: 5, Files: []fs.File[*object]{
		{Name: "inside", Perm: 0o444, Kind: fs.Text, Text: say("behind the wall\n")},
	}}
}

// counted is a handle that the tree knows to be open.
type counted struct {
	fs.Handle
	tree *Tree
}

func (t *Tree) counted(h fs.Handle) fs.Handle {
	t.opens.Add(1)
	return counted{h, t}
}

func (c counted) Close() {
	c.Handle.Close()
	c.tree.opens.Add(-1)
}

func (t *Tree) stream(q *Queue) fs.Handle {
	return t.counted(fs.NewMessages(q, func(c *fs.Call, p []byte) { q.Put(c, p) }))
}

// A Log is a file that grows. It is its own handle.
type Log struct {
	mu   sync.Mutex
	text []byte
}

// Append makes the log longer.
func (l *Log) Append(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
}

func (l *Log) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.text))
}

// Read reads at an offset.
func (l *Log) Read(c *fs.Call, off int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Deliver(l.text[min(max(off, 0), int64(len(l.text))):], nil)
}

// Write refuses.
func (l *Log) Write(c *fs.Call, _ []byte, _ int64) { c.Fail(sys.ErrNotOpen) }

// Close does nothing.
func (l *Log) Close() {}

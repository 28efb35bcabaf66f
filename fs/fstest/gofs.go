package fstest

import (
	"context"
	"io"
	iofs "io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"warren/fs"
)

// Plain is a tree that may be read by anybody in any order: texts, a log and
// directories, three deep, in which nothing changes.
func Plain() fs.Node {
	t := new(Tree)
	t.Log = &Log{text: []byte(strings.Repeat("a line of the log\n", 200))}
	return plainDir(t, 1, plainDir(t, 2, plainDir(t, 3, nil))).Root(t.fixed("/", 0o755), new(fs.Env))
}

// plainNames are some files of it.
var plainNames = []string{"empty", "long", "none", "sub/log", "sub/sub/none", "sub/sub/text"}

func plainDir(t *Tree, class uint8, below *fs.Dir[*object]) *fs.Dir[*object] {
	d := plainTable{&fs.Dir[*object]{Class: class, Files: []fs.File[*object]{
		{Name: "empty", Perm: 0o444, Kind: fs.Text, Text: say("")},
		{Name: "text", Perm: 0o644, Kind: fs.Text, Text: say("a text\n")},
		{Name: "long", Perm: 0o444, Kind: fs.Text, Text: say(strings.Repeat("some text\n", 600))},
		{Name: "log", Perm: 0o444, Kind: fs.Log, Size: func(o *object) int64 { return o.tree.Log.size() }, Open: func(_ *fs.Call, o *object, _ fs.Flags) (fs.Handle, error) {
			return o.tree.counted(o.tree.Log), nil
		}},
	}}}
	d.sub(t, "none", &fs.Dir[*object]{Class: class + 10})
	if below != nil {
		d.sub(t, "sub", below)
	}
	return d.Dir
}

type plainTable struct{ *fs.Dir[*object] }

// sub adds a directory.
func (d plainTable) sub(t *Tree, name string, table *fs.Dir[*object]) {
	made := t.fixed(name, 0o755)
	d.Files = append(d.Files, fs.File[*object]{
		Name: name, Perm: 0o755, Kind: fs.Directory,
		Sub: func(_ *object, up fs.Node) fs.Node { return table.Node(made, up) },
	})
}

// testGoFS lets Go's own suite for file systems read a tree.
func testGoFS(t *testing.T, start Start) {
	plain := &Tree{Root: Plain()}
	if err := fstest.TestFS(goFS{start(t, plain, Alice())}, plainNames...); err != nil {
		t.Error(err)
	}
}

// goFS is a tree as Go's io/fs has file systems.
type goFS struct{ Access }

func (g goFS) Open(name string) (iofs.File, error) {
	if !iofs.ValidPath(name) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrInvalid}
	}
	f := &goFile{fsys: g, name: strings.TrimPrefix(name, ".")}
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		f.file, err = g.Access.Open(f.name, fs.ORead)
	}
	if err != nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

// goFile is an open file or directory.
type goFile struct {
	fsys goFS
	name string
	file File // of a file

	listed bool
	left   []fs.Stat // of a directory
}

func (f *goFile) Stat() (iofs.FileInfo, error) {
	st, err := f.fsys.Access.Stat(f.name)
	if err != nil {
		return nil, err
	}
	st.Name = path.Base("./" + f.name)
	return goInfo{st}, nil
}

func (f *goFile) Read(p []byte) (int, error) {
	if f.file == nil {
		return 0, &iofs.PathError{Op: "read", Path: f.name, Err: iofs.ErrInvalid}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return f.file.Read(context.Background(), p)
}

// ReadDir lists the directory, at most n entries if n is not 0 or less.
func (f *goFile) ReadDir(n int) ([]iofs.DirEntry, error) {
	if !f.listed {
		all, err := f.fsys.Access.ReadDir(f.name)
		if err != nil {
			return nil, err
		}
		f.listed, f.left = true, all
	}
	if n > 0 && len(f.left) == 0 {
		return nil, io.EOF
	}
	var entries []iofs.DirEntry
	for len(f.left) > 0 && (n <= 0 || len(entries) < n) {
		entries = append(entries, &goEntry{goInfo{f.left[0]}, f.fsys, path.Join(f.name, f.left[0].Name)})
		f.left = f.left[1:]
	}
	return entries, nil
}

// Close may be called again: the suite does.
func (f *goFile) Close() error {
	file := f.file
	f.file = nil
	if file == nil {
		return nil
	}
	return file.Close()
}

// goInfo is what is known about a file.
type goInfo struct{ fs.Stat }

func (i goInfo) Name() string       { return i.Stat.Name }
func (i goInfo) Size() int64        { return i.Stat.Size }
func (i goInfo) ModTime() time.Time { return i.Mtime }
func (i goInfo) IsDir() bool        { return i.Qid.Kind == fs.Directory }
func (i goInfo) Sys() any           { return nil }

func (i goInfo) Mode() iofs.FileMode {
	mode := iofs.FileMode(i.Stat.Mode & 0o777)
	if i.IsDir() {
		mode |= iofs.ModeDir
	}
	return mode
}

// goEntry is an entry of a directory, of which no more than the name and
// whether it is a directory need be known until it is asked for.
type goEntry struct {
	goInfo
	fsys goFS
	path string
}

func (e *goEntry) Type() iofs.FileMode { return e.Mode().Type() }

func (e *goEntry) Info() (iofs.FileInfo, error) {
	return (&goFile{fsys: e.fsys, name: e.path}).Stat()
}

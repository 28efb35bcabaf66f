package ninep

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/hugelgupf/p9/fsimpl/test"
	"github.com/hugelgupf/p9/p9"

	"warren/fs/fstest"
	"warren/fs/sys"
)

// p9Tree serves the standard tree, with an object in it, to p9's client, as root.
func p9Tree(t *testing.T) p9.Attacher {
	t.Helper()
	tree := fstest.NewTree()
	tree.Log.Append("one\ntwo\n")
	if err := fstest.Local(tree.Root, fstest.Root()).Mkdir("objs/work", 0o755); err != nil {
		t.Fatal(err)
	}
	ours, theirs := socketPair(t)
	srv := &Server{Root: tree.Root, Users: new(sys.Users)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(ours, Identity{User: fstest.Root()})
	}()
	t.Cleanup(func() {
		theirs.Close()
		<-done
	})
	return p9Attacher{theirs}
}

// p9Attacher lets p9's suite, which is made for servers in the same process,
// use ours through p9's client.
type p9Attacher struct{ nc net.Conn }

func (a p9Attacher) Attach() (p9.File, error) {
	c, err := p9.NewClient(a.nc)
	if err != nil {
		return nil, err
	}
	f, err := c.Attach("/")
	return p9File{f}, err
}

// p9File counts entries where the suite does, not bytes as the messages do,
// and leaves out "." and "..", as p9's own servers do.
type p9File struct{ p9.File }

func (f p9File) Walk(names []string) ([]p9.QID, p9.File, error) {
	qids, to, err := f.File.Walk(names)
	return qids, p9File{to}, err
}

func (f p9File) Readdir(offset uint64, count uint32) (p9.Dirents, error) {
	all, err := f.File.Readdir(offset, 64<<10)
	all = slices.DeleteFunc(all, func(d p9.Dirent) bool { return d.Name == "." || d.Name == ".." })
	return all[:min(len(all), int(count))], err
}

// TestP9Suite runs p9's suite for file systems in which nothing can be written,
// and all of that for others that does not write.
func TestP9Suite(t *testing.T) {
	var big []string
	for i := range fstest.BigSize {
		big = append(big, fmt.Sprint("f", i))
	}
	file := func(path, content string, size uint64, perm p9.FileMode) test.Expect {
		attr := p9.Attr{Mode: p9.ModeRegular | perm, Size: size, NLink: 1}
		return test.WithFile(path, content, attr, p9.AttrMask{Mode: true, UID: true, GID: true, Size: true, NLink: true})
	}
	test.TestReadOnlyFS(t, p9Tree(t),
		test.WithDir("", "status", "table", "ctl", "log", "queue", "private", "objs", "big", "wall"),
		test.WithDir("objs", "clone", "work"),
		test.WithDir("objs/work", "ctl", "status", "data"),
		test.WithDir("wall", "inside"),
		test.WithDir("big", big...),
		file("status", "name test\nword nothing\ndone 0\n", 0, 0o444),
		file("log", "one\ntwo\n", 8, 0o444),
		file("private", "secret\n", 0, 0o600),
		file("objs/work/status", "serial 1\n", 0, 0o444),
		file("objs/work/ctl", "set nothing\n", 0, 0o640),
		file("big/f9999", "small\n", 0, 0o444),
	)
}

// p9Refused are the cases of p9's suite that make a file, which a tree whose
// files stand for what there is has no use for.
var p9Refused = []struct{ name, why string }{
	{"TestFile/create-readdir", "Create(file2) = operation not permitted"},
	{"TestReadWriteFS", "Create failed: operation not permitted"},
}

func TestP9SuiteRefused(t *testing.T) {
	for _, tt := range p9Refused {
		t.Run(tt.name, func(t *testing.T) { fstest.MustFail(t, "^TestP9SuiteAll$/^"+tt.name+"$", tt.why) })
	}
}

// TestP9SuiteAll is for TestP9SuiteRefused to start.
func TestP9SuiteAll(t *testing.T) {
	if !fstest.InChild() {
		t.Skip("TestP9SuiteRefused runs this, to see it fail")
	}
	t.Run("TestFile", func(t *testing.T) { test.TestFile(t, p9Tree(t)) })
	t.Run("TestReadWriteFS", func(t *testing.T) { test.TestReadWriteFS(t, p9Tree(t)) })
}

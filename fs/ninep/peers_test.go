package ninep

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"9fans.net/go/plan9"
	plan9client "9fans.net/go/plan9/client"
	"github.com/hugelgupf/p9/p9"

	"warren/fs/sys"
)

// listenTree serves a tree on a unix socket, whose path it returns.
func listenTree(t *testing.T, tr *tree) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix!" + path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{Root: tr.top, Users: new(sys.Users)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		tr.check(t)
	})
	return path
}

// tool runs a program of a foreign peer; without it the test is skipped, but
// not in CI.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed: %v", name, err)
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

const rootNames = "text big ctl stream waits partly secret clone sub box many"

func TestDiod(t *testing.T) {
	tr := newTree()
	sock := listenTree(t, tr)
	names := strings.Fields(tool(t, "diodls", "-s", sock, "-a", "/"))
	if got := strings.Join(names, " "); got != rootNames { // it leaves out . and ..
		t.Errorf("diodls printed %s", got)
	}
	if names := strings.Fields(tool(t, "diodls", "-s", sock, "-a", "/many")); len(names) != manyEntries {
		t.Errorf("diodls printed %d names", len(names))
	}
	if out := tool(t, "diodls", "-l", "-s", sock, "-a", "/"); !strings.Contains(out, "drwxr-xr-x") || !strings.Contains(out, "20000") {
		t.Errorf("diodls -l printed %s", out)
	}
	if out := tool(t, "diodcat", "-s", sock, "-a", "/", "text", "sub/deep/text", "big"); out != helloText+helloText+string(tr.find("big").data) {
		t.Errorf("diodcat printed %d bytes: %.40s", len(out), out)
	}
}

func TestP9Client(t *testing.T) {
	tr := newTree()
	nc, err := net.Dial("unix", listenTree(t, tr))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, err := p9.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	root, err := c.Attach("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	qids, f, err := root.Walk([]string{"sub", "deep", "text"})
	if err != nil || len(qids) != 3 {
		t.Fatal(qids, err)
	}
	defer f.Close()
	if _, _, attr, err := f.GetAttr(p9.AttrMaskAll); err != nil || attr.Mode.Permissions() != 0o444 || !attr.Mode.IsRegular() {
		t.Errorf("%v, %v", attr, err)
	}
	if _, _, err := f.Open(p9.ReadOnly); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := f.ReadAt(buf, 0); string(buf[:n]) != helloText || err != nil && err != io.EOF {
		t.Errorf("%q, %v", buf[:n], err)
	}
	_, dir, err := root.Walk(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, _, err := dir.Open(p9.ReadOnly); err != nil {
		t.Fatal(err)
	}
	entries, err := dir.Readdir(0, 8000)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); err != nil || got != ". .. "+rootNames {
		t.Errorf("%s, %v", got, err)
	}
	_, box, err := root.Walk([]string{"box"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if _, err := box.Mkdir("new", 0o755, 0, 0); err != nil {
		t.Error(err)
	}
	if err := box.UnlinkAt("new", 0x200); err != nil {
		t.Error(err)
	}
	if st, err := root.StatFS(); err != nil || st.Type != fsMagic {
		t.Errorf("%+v, %v", st, err)
	}
}

func Test9fansClient(t *testing.T) {
	tr := newTree()
	c, err := plan9client.Dial("unix", listenTree(t, tr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Auth("glenda", ""); err == nil || err.Error() != "no authentication required" {
		t.Errorf("auth: %v", err)
	}
	fsys, err := c.Attach(nil, "root", "")
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	d, err := fsys.Stat("sub/deep/text")
	if err != nil || d.Name != "text" || d.Mode != 0o444 || d.Uid != "root" {
		t.Errorf("%v, %v", d, err)
	}
	f, err := fsys.Open("big", plan9.OREAD)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, tr.find("big").data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	many, err := fsys.Open("many", plan9.OREAD)
	if err != nil {
		t.Fatal(err)
	}
	defer many.Close()
	if dirs, err := many.Dirreadall(); err != nil || len(dirs) != manyEntries {
		t.Errorf("%d entries, %v", len(dirs), err)
	}
	made, err := fsys.Create("box/new", plan9.OREAD, plan9.DMDIR|0o755)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Error(err)
	}
	if err := fsys.Remove("box/new"); err != nil {
		t.Error(err)
	}
	if err := fsys.Remove("text"); err == nil || err.Error() != "this file cannot be removed" {
		t.Errorf("remove: %v", err)
	}
	// Several messages through one fid, read until they are all there, as
	// io.ReadAll does: nothing is taken for an end.
	s, err := fsys.Open("stream", plan9.ORDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, msg := range []string{"one", "two", "three"} {
		if _, err := s.WriteAt([]byte(msg), 0); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, len("onetwothree"))
	if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "onetwothree" {
		t.Errorf("%q, %v", buf, err)
	}
}

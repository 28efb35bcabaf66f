package ninep

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lionkov/go9p/p"
	"github.com/lionkov/go9p/p/clnt"
)

// lionkov begins a session of lionkov's client, which speaks 9P2000.u.
func lionkov(t *testing.T, tr *tree) *clnt.Clnt {
	t.Helper()
	nc, err := net.Dial("unix", listenTree(t, tr))
	if err != nil {
		t.Fatal(err)
	}
	c, err := clnt.MountConn(nc, "", 8192, p.OsUsers.Uid2User(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Unmount)
	if !c.Dotu {
		t.Fatal("no 9P2000.u was agreed upon")
	}
	return c
}

func TestLionkovFiles(t *testing.T) {
	tr := newTree()
	c := lionkov(t, tr)
	for path, want := range map[string][]byte{"sub/deep/text": []byte(helloText), "big": tr.find("big").data} {
		f, err := c.FOpen(path, p.OREAD)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, %v", path, len(got), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]int{"/": len(strings.Fields(rootNames)), "many": manyEntries} {
		f, err := c.FOpen(path, p.OREAD)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := f.Readdir(0); err != io.EOF || len(all) != want { // it says so at the end
			t.Errorf("%s has %d entries, %v", path, len(all), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	d, err := c.FStat("big")
	if err != nil || d.Name != "big" || d.Length != 20000 || d.Mode != p.DMAPPEND|0o644 || d.Uidnum != 0 || d.Uid != "root" || d.Ext != "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestLionkovChanges(t *testing.T) {
	tr := newTree()
	c := lionkov(t, tr)
	f, err := c.FCreate("box/new", p.DMDIR|0o755, p.OREAD)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err = c.FCreate("box/new", p.DMDIR|0o755, p.OREAD); numberOf(err) != syscall.EEXIST {
		t.Errorf("the same again: %v", err)
	}
	if err := c.FRemove("box/new"); err != nil {
		t.Error(err)
	}
	if err := c.FRemove("text"); numberOf(err) != syscall.EPERM {
		t.Errorf("removing a file: %v", err)
	}
	if _, err := c.FWalk("sub/nothing"); numberOf(err) != syscall.ENOENT {
		t.Errorf("a walk to nothing: %v", err)
	}
	fid, err := c.FWalk("text")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.FSync(fid); err != nil {
		t.Errorf("sync: %v", err)
	}
	if err := c.Rename(fid, "other"); numberOf(err) != syscall.EPERM {
		t.Errorf("rename: %v", err)
	}
	w, err := c.FOpen("ctl", p.OWRITE|p.OTRUNC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("good")); err != nil {
		t.Error(err)
	}
	_, err = w.Write([]byte("bad"))
	if numberOf(err) != syscall.EINVAL || !strings.Contains(fmt.Sprint(err), `unknown verb "bad"`) {
		t.Errorf("a bad command: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// numberOf is the number that an error of 9P2000.u carries.
func numberOf(err error) syscall.Errno {
	if e, ok := err.(*p.Error); ok {
		return syscall.Errno(e.Errornum)
	}
	return 0
}

// TestLionkovMessages has many reads wait at once, each on a fid of its own.
func TestLionkovMessages(t *testing.T) {
	const readers = 20
	tr := newTree()
	c := lionkov(t, tr)
	var got sync.Map
	var all sync.WaitGroup
	for range readers {
		f, err := c.FOpen("stream", p.ORDWR)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			buf := make([]byte, 100)
			n, err := f.Read(buf)
			if err != nil {
				t.Error(err)
			}
			got.Store(string(buf[:n]), true)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	tr.await(&tr.parked, readers)
	w, err := c.FOpen("stream", p.OWRITE)
	if err != nil {
		t.Fatal(err)
	}
	for i := range readers {
		if _, err := w.Write(fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for i := range readers {
		if _, ok := got.Load(fmt.Sprintf("message %d", i)); !ok {
			t.Errorf("nobody read message %d", i)
		}
	}
}

package ninep

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	go9pclient "github.com/knusbaum/go9p/client"
	go9p "github.com/knusbaum/go9p/proto"
)

func TestGo9pClient(t *testing.T) {
	tr := newTree()
	sock := listenTree(t, tr)
	nc, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	c, err := go9pclient.NewClient(&tellClose{nc, done}, "root", "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // its reader ends when it was refused something by a dead server
		nc.Close()
		<-done
	}()
	f, err := c.Open("/sub/deep/text", go9p.Oread)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := f.Read(buf); string(buf[:n]) != helloText || err != nil && err != io.EOF {
		t.Errorf("%q, %v", buf[:n], err)
	}
	f.Close()
	stats, err := c.Readdir("/")
	var names []string
	for i := range stats {
		names = append(names, stats[i].Name)
	}
	if got := strings.Join(names, " "); err != nil || got != rootNames {
		t.Errorf("%s, %v", got, err)
	}
	if st, err := c.Stat("/big"); err != nil || st.Length != 20000 {
		t.Errorf("%v, %v", st, err)
	}
	w, err := c.Open("/ctl", go9p.Owrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("good")); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("bad")); err == nil || !strings.Contains(err.Error(), "unknown verb") {
		t.Errorf("a bad command: %v", err)
	}
	w.Close()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !slices.Equal(tr.lines, []string{"good"}) {
		t.Errorf("ctl got %q", tr.lines)
	}
}

// tellClose tells when the client's reader is gone.
type tellClose struct {
	net.Conn
	done chan struct{}
}

func (c *tellClose) Close() error {
	close(c.done)
	return c.Conn.Close()
}

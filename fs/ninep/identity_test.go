package ninep

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"warren/fs"
	"warren/fs/sys"
)

// asked is a tree of one directory that remembers who asked.
type asked struct {
	*held
	mu   sync.Mutex
	user *sys.User
	pid  int
}

func (a *asked) Stat(c *fs.Call) (fs.Stat, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.user, a.pid = c.User(), c.PID()
	return a.held.Stat(c)
}

// attachAs serves on a listener and attaches as somebody. It returns the
// user and the process that the tree saw, or the refusal.
func attachAs(t *testing.T, addr string, srv *Server, uname string, uid uint32) (*sys.User, int, *Msg) {
	t.Helper()
	l, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{held: newTreeOf(1).top}
	srv.Root, srv.Users = a, new(sys.Users)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	nc, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	k := newTalker(t, nc, DotU)
	k.must(Msg{Type: Tversion, Tag: NoTag, Msize: 8192, Version: "9P2000.u"})
	if m := k.call(Msg{Type: Tattach, Afid: NoFid, Uname: uname, NUname: uid}); m.Type != Rattach {
		return nil, 0, m
	}
	k.must(Msg{Type: Tstat})
	return a.user, a.pid, nil
}

func TestPeerCredentials(t *testing.T) {
	self := uint32(os.Getuid())
	u, pid, m := attachAs(t, "unix!"+t.TempDir()+"/s", new(Server), "", NoUID)
	if m != nil || u.UID != self || u.None || pid != os.Getpid() {
		t.Errorf("%+v, pid %d, %v", u, pid, m)
	}
	if self != 0 {
		t.Skip("the rest needs root")
	}
	for _, c := range []struct {
		uname string
		uid   uint32
		want  uint32
		none  bool
	}{
		{"root", NoUID, 0, false},
		{"nobody", NoUID, 65534, false},
		{"none", NoUID, sys.NobodyID, true},
		{"root", 1234, 1234, false}, // the number counts
		{"whoever", 0, 0, false},
	} {
		u, _, m := attachAs(t, "unix!"+t.TempDir()+"/s", new(Server), c.uname, c.uid)
		if m != nil || u.UID != c.want || u.None != c.none {
			t.Errorf("as %q, %d: %+v, %v", c.uname, c.uid, u, m)
		}
	}
	if _, _, m := attachAs(t, "unix!"+t.TempDir()+"/s", new(Server), "no such user", NoUID); m == nil || m.Errno != uint32(syscall.ENOENT) {
		t.Errorf("a user that does not exist: %v", m)
	}
}

func TestNoIdentity(t *testing.T) {
	for _, c := range []struct {
		insecure bool
		uname    string
		uid      uint32
		want     uint32
		none     bool
	}{
		{false, "root", 0, sys.NobodyID, true},
		{false, "", NoUID, sys.NobodyID, true},
		{true, "root", NoUID, 0, false},
		{true, "", 1234, 1234, false},
		{true, "", NoUID, sys.NobodyID, true},
		{true, "none", NoUID, sys.NobodyID, true},
	} {
		u, pid, m := attachAs(t, "tcp!127.0.0.1!0", &Server{Insecure: c.insecure}, c.uname, c.uid)
		if m != nil || u.UID != c.want || u.None != c.none || pid != 0 {
			t.Errorf("insecure %v, as %q, %d: %+v, pid %d, %v", c.insecure, c.uname, c.uid, u, pid, m)
		}
	}
}

// TestTrace: at level debug every message is in the log.
func TestTrace(t *testing.T) {
	var buf bytes.Buffer // the handler has a lock of its own
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, _, m := attachAs(t, "unix!"+t.TempDir()+"/s", &Server{Log: log}, "", NoUID); m != nil {
		t.Fatal(m)
	}
	for _, want := range []string{"Tversion tag=~ msize=8192", "Rattach tag=0 qid=1.0d", "Tstat tag=0 fid=0", "Rstat tag=0"} {
		if !strings.Contains(strings.ReplaceAll(buf.String(), `\"`, `"`), want) {
			t.Errorf("%q is missing in:\n%s", want, buf.String())
		}
	}
}

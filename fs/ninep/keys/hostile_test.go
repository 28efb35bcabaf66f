package keys

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// waitHungUp waits until the other side has closed a connection.
func waitHungUp(t *testing.T, what string, nc net.Conn) {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: is not hung up", what)
	}
}

// TestHandshakes: clients that never end their handshake are hung up, the
// oldest first when there are many, and keep nobody out.
func TestHandshakes(t *testing.T) {
	ca := newCA(t)
	h := open(t, ca.files("box"), func(g *ninep.Gate) { g.MaxUnknown, g.Proof = 8, time.Hour })
	var silent []net.Conn
	for range 50 {
		nc, err := ninep.Dial(t.Context(), strings.Replace(h.addr, "tls", "tcp", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write([]byte{22, 3, 1}); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		silent = append(silent, nc)
	}
	h.welcomes(t, ca.files(me(t)))
	for _, nc := range silent[:50-8] {
		waitHungUp(t, "one of the oldest", nc)
	}
}

// TestSlowHandshake sends a handshake a byte at a time: each byte comes in
// time, all of them do not.
func TestSlowHandshake(t *testing.T) {
	h := open(t, newCA(t).files("box"), func(g *ninep.Gate) { g.Proof = 100 * time.Millisecond })
	nc, err := ninep.Dial(t.Context(), strings.Replace(h.addr, "tls", "tcp", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	go func() {
		for _, b := range append([]byte{22, 3, 1, 0x10, 0}, make([]byte, 1<<12)...) {
			if _, err := nc.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // this is the client's own slowness
		}
	}()
	waitHungUp(t, "a slow client", nc)
}

// TestHostileClients: clients that are known, over TLS and over unix sockets,
// cost their own connection only.
func TestHostileClients(t *testing.T) {
	ca := newCA(t)
	k, err := Load(ca.files("box"), new(sys.Users), nil)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := Load(ca.files(me(t)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := &ninep.Server{Root: fstest.NewTree().Root, Users: new(sys.Users), Patience: 100 * time.Millisecond}
	defer srv.Close()
	for _, addr := range []string{"tls!127.0.0.1!0", "unix!" + filepath.Join(t.TempDir(), "s")} {
		l, err := ninep.Listen(addr, ninep.ServeTLS(k.Server(), k.User))
		if err != nil {
			t.Fatal(err)
		}
		go srv.Serve(l)
		name, _, _ := strings.Cut(addr, "!")
		t.Run(name, func(t *testing.T) { attack(t, ninep.AddrOf(l), mine.Client) })
	}
}

// TestClaims: who a client says it is matters on its own machine, but for root,
// who may be lowered, and none.
func TestClaims(t *testing.T) {
	ca := newCA(t)
	f := ca.files("box")
	f.Users = ca.file("users")
	if err := errors.Join(ca.User("glenda", Life), ca.User("boss", Life), os.WriteFile(f.Users, []byte("glenda 12345\nboss 0\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	k, err := Load(f, new(sys.Users), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := &ninep.Server{Root: fstest.NewTree().Root, Users: new(sys.Users)}
	defer srv.Close()
	l, err := ninep.Listen("tcp!127.0.0.1!0", ninep.ServeTLS(k.Server(), k.User))
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	uid := uint32(23456)
	for i, c := range []struct {
		name string
		o    client.Options
		want uint32
	}{
		{"glenda", client.Options{}, 12345},
		{"glenda", client.Options{Uname: "somebody", UID: &uid}, 12345},
		{"boss", client.Options{}, 0},
		{"boss", client.Options{Uname: "somebody", UID: &uid}, 23456},
	} {
		mine, err := Load(ca.files(c.name), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []ninep.Dialect{ninep.DotL, ninep.DotU} {
			c.o.TLS, c.o.Dialects = mine.Client, []ninep.Dialect{d}
			cl, err := client.Dial(t.Context(), ninep.AddrOf(l), c.o)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("objs/made-%d-%v", i, d)
			if err := cl.Mkdir(t.Context(), name, 0o755); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if st, err := cl.Stat(t.Context(), name); err != nil || st.UID != c.want {
				t.Errorf("%s belongs to %d, want %d, %v", name, st.UID, c.want, err)
			}
			cl.Close()
		}
	}
}

func attack(t *testing.T, addr string, config func(string) (*tls.Config, error)) {
	dial := func() net.Conn {
		nc, err := ninep.Dial(t.Context(), addr, ninep.WithTLS(config))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	honest, err := client.Dial(t.Context(), addr, client.Options{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer honest.Close()
	for what, bytes := range map[string]string{
		"a message of 4 GiB":  "\xff\xff\xff\xff\x64\xff\xff",
		"one of no bytes":     "\x00\x00\x00\x00\x64\xff\xff",
		"one of another kind": "\x07\x00\x00\x00\xff\x00\x00",
		"text":                "GET / HTTP/1.0\r\n\r\n",
	} {
		nc := dial()
		if _, err := io.WriteString(nc, bytes); err != nil {
			t.Fatal(err)
		}
		if what != "one of another kind" { // that is answered with an error
			waitHungUp(t, what, nc)
		}
	}
	half := dial()
	if _, err := io.WriteString(half, "\x13\x00\x00\x00\x64\xff"); err != nil {
		t.Fatal(err)
	}
	deaf(t, dial())
	stats, err := honest.ReadDir(t.Context(), "")
	if err != nil || len(stats) == 0 {
		t.Errorf("an honest client lists %v, %v", stats, err)
	}
	for _, st := range stats {
		if st.Qid.Kind == fs.Text {
			return
		}
	}
	t.Errorf("no text among %v", stats)
}

// deaf asks and asks, and reads nothing: it is hung up.
func deaf(t *testing.T, nc net.Conn) {
	t.Helper()
	in := bufio.NewReader(nc)
	for _, m := range []ninep.Msg{
		{Type: ninep.Tversion, Tag: ninep.NoTag, Msize: 1 << 16, Version: "9P2000.L"},
		{Type: ninep.Tattach, Fid: 1, Afid: ninep.NoFid, NUname: ninep.NoUID},
	} {
		b, err := ninep.Append(nil, ninep.DotL, &m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
		if b, err = ninep.ReadFrame(in, nil, 1<<16); err != nil || ninep.Type(b[4]) != m.Type+1 {
			t.Fatalf("%v, %v", b, err)
		}
	}
	ask, err := ninep.Append(nil, ninep.DotL, &ninep.Msg{Type: ninep.Tgetattr, Tag: 1, Fid: 1, Mask: 0x7ff})
	if err != nil {
		t.Fatal(err)
	}
	var many []byte
	for range 1000 {
		many = append(many, ask...)
	}
	_ = nc.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = nc.Write(many)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a client that reads nothing is not hung up")
	}
}

package ninep

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// askedTalk is a session of glenda with a server of this id, and its tree.
func askedTalk(t *testing.T, id string) (*talker, *asked) {
	t.Helper()
	ours, theirs := socketPair(t)
	a := &asked{held: newTreeOf(1).top}
	srv := &Server{Root: a, Users: new(sys.Users), ID: id}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(ours, Identity{User: glenda})
	}()
	t.Cleanup(func() {
		theirs.Close()
		<-done
	})
	k := newTalker(t, theirs, DotU)
	k.must(Msg{Type: Tversion, Tag: NoTag, Msize: 8192, Version: "9P2000.u"})
	return k, a
}

// A request that came through this server already is a loop; one that came
// through others says so to the tree.
func TestVia(t *testing.T) {
	k, a := askedTalk(t, "us")
	for fid, tt := range []struct {
		aname string
		via   []string
		err   syscall.Errno
	}{
		{",via=other", []string{"other"}, 0},
		{"sub,v9fs,via=one+two", []string{"one", "two"}, 0},
		{"", nil, 0},
		{",via=us", nil, syscall.ELOOP},
		{",via=one+us+two", nil, syscall.ELOOP},
		{",via=" + strings.Repeat("x+", maxVia) + "x", nil, syscall.ELOOP},
	} {
		m := k.call(Msg{Type: Tattach, Fid: uint32(fid), Afid: NoFid, NUname: NoUID, Aname: tt.aname})
		if m.Errno != NoUID && m.Type == Rerror && syscall.Errno(m.Errno) != tt.err || (m.Type == Rattach) != (tt.err == 0) {
			t.Errorf("%s: %v", tt.aname, m)
		}
		if tt.err != 0 || strings.HasPrefix(tt.aname, "sub") {
			continue
		}
		k.must(Msg{Type: Tstat, Fid: uint32(fid)})
		if !slices.Equal(a.user.Via, tt.via) || a.user.UID != glenda.UID {
			t.Errorf("%s: the tree sees %+v", tt.aname, a.user)
		}
	}
	if glenda.Via != nil {
		t.Error("the user of all connections was changed")
	}
}

// Everybody may be nobody.
func TestBecomeNone(t *testing.T) {
	k, a := askedTalk(t, "")
	k.must(
		Msg{Type: Tattach, Afid: NoFid, Uname: "none", NUname: NoUID},
		Msg{Type: Tstat},
	)
	if !a.user.None {
		t.Errorf("the tree sees %+v", a.user)
	}
}

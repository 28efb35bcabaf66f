package ninep

import (
	"net"
	"testing"
)

// FuzzServer plays random messages to a server: few fids, tags and names, so
// that they meet. Every request must be answered once, those that were flushed
// or reset at most once, and at the end all is closed.
func FuzzServer(f *testing.F) {
	f.Add(uint8(0), []byte{})
	f.Add(uint8(0), []byte{10, 1, 4, 11, 1, 0, 14, 1, 9, 3, 0, 0})           // read of a stream, flush
	f.Add(uint8(2), []byte{10, 1, 4, 4, 1, 0, 14, 1, 9, 16, 1, 0, 0, 0, 0})  // clunk while it waits
	f.Add(uint8(1), []byte{10, 1, 4, 11, 1, 0, 14, 1, 9, 0, 0, 0, 10, 1, 4}) // reset while it waits
	f.Fuzz(func(t *testing.T, dialect uint8, script []byte) {
		if len(script) > 300 {
			return
		}
		tr := newTreeOf(3)
		srv := &Server{MaxFids: 6, MaxCalls: 4}
		k := newTalker(t, serveTree(t, tr, srv, Identity{User: glenda}), Dialect(dialect%3))
		k.attach(4096)
		g := &game{d: k.d, asked: make(map[uint16]Type)}
		for len(script) >= 3 {
			g.add(script[0], script[1], script[2])
			script = script[3:]
		}
		g.end()
		sent := make(chan error, 1)
		go func() { // apart, as the answers may fill the socket
			_, err := k.nc.Write(g.out)
			sent <- err
		}()
		g.check(t, k)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

// A game is a random session.
type game struct {
	d     Dialect
	out   []byte
	tag   uint16
	asked map[uint16]Type // requests that must be answered
	loose map[uint16]Type // requests that may be
	reset int
}

// lastTag is that of the Tversion at the end.
const lastTag = 0x7fff

var gameNames = []string{"text", "big", "ctl", "waits", "stream", "partly", "clone", "many", "sub", "box", "..", "nothing", "a/b", "cloned"}

// add adds a message; three numbers say which.
func (g *game) add(op, x, y byte) {
	ty := Type(op)
	if !ty.In(g.d) || ty&1 != 0 { // few numbers are types: make some of the others
		common := [...]Type{Tversion, Tauth, Tattach, Tflush, Tlopen, Tlcreate, Tmkdir, Tunlinkat, Treaddir, Tgetattr, Twalk, Topen, Tcreate, Twalk, Tread, Twrite, Tclunk, Tremove, Tstat, Twstat}
		if ty = common[int(op)%len(common)]; !ty.In(g.d) {
			return
		}
	}
	m := fullMsg(ty, g.d)
	g.tag++
	name := gameNames[int(y)%len(gameNames)]
	m.Tag, m.Fid, m.Newfid, m.Afid = g.tag, uint32(x%4), uint32(x/4%4), NoFid
	m.Name, m.Aname, m.Uname, m.NUname = name, "", "", NoUID
	m.Names = []string{name, gameNames[int(x)%len(gameNames)]}[:1+y/128]
	m.Mode, m.Flags, m.Perm, m.Count = y%4, uint32(y%4), uint32(y%2)*DMDir, uint32(y)*16
	m.Offset, m.Oldtag = uint64(x/16), g.tag-uint16(y%8)
	m.Stat = BlankStat()
	m.Data = []byte(name)
	if ty == Tversion {
		m.Msize, m.Version = 4096, g.d.String()
		g.forget()
		g.reset++
		m.Tag = lastTag + uint16(g.reset)
	}
	if ty == Tflush && m.Oldtag != m.Tag {
		g.mayMiss(m.Oldtag)
	}
	g.asked[m.Tag] = ty
	g.out, _ = Append(g.out, g.d, &m)
}

func (g *game) mayMiss(tag uint16) {
	if ty, ok := g.asked[tag]; ok && (ty == Tread || ty == Twrite) {
		g.miss(tag, ty)
	}
}

func (g *game) miss(tag uint16, ty Type) {
	if g.loose == nil {
		g.loose = make(map[uint16]Type)
	}
	g.loose[tag] = ty
	delete(g.asked, tag)
}

// forget lets all reads and writes go unanswered.
func (g *game) forget() {
	for tag := range g.asked {
		g.mayMiss(tag)
	}
}

func (g *game) end() {
	g.forget()
	g.asked[lastTag] = Tversion
	g.out, _ = Append(g.out, g.d, &Msg{Type: Tversion, Tag: lastTag, Msize: 4096, Version: g.d.String()})
}

// check reads all answers.
func (g *game) check(t *testing.T, k *talker) {
	for {
		m, err := k.recv()
		if err != nil {
			t.Fatal(err)
		}
		ty, ok := g.asked[m.Tag]
		if !ok {
			if ty, ok = g.loose[m.Tag]; !ok {
				t.Fatalf("nobody asked for %v, or it came twice", m)
			}
		}
		delete(g.asked, m.Tag)
		delete(g.loose, m.Tag)
		if m.Type != ty+1 && m.Type != Rerror && m.Type != Rlerror {
			t.Fatalf("%v was answered %v", ty, m)
		}
		if m.Tag == lastTag {
			break
		}
	}
	for tag, ty := range g.asked {
		t.Errorf("%v with tag %d was not answered", ty, tag)
	}
}

// FuzzBytes sends random bytes after a proper beginning.
func FuzzBytes(f *testing.F) {
	eachMsg(func(d Dialect, m Msg) {
		b, _ := Append(nil, d, &m)
		f.Add(uint8(d), b)
	})
	f.Fuzz(func(t *testing.T, dialect uint8, b []byte) {
		tr := newTreeOf(3)
		k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Dialect(dialect%3))
		k.attach(4096)
		k.open(2, 0, "stream")
		go func() {
			if _, err := k.nc.Write(b); err == nil {
				_ = k.nc.(*net.UnixConn).CloseWrite()
			}
		}()
		for {
			if _, err := k.recv(); err != nil {
				return
			}
		}
	})
}

package ninep

import (
	"testing"

	"pgregory.net/rapid"

	"warren/fs/sys"
)

// TestLockConnections locks from two connections, one of which hangs up.
func TestLockConnections(t *testing.T) {
	tr := newTreeOf(1)
	srv := &Server{Root: tr.top, Users: new(sys.Users)}
	dial := func() (*talker, func()) {
		ours, theirs := socketPair(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.ServeConn(ours, Identity{User: glenda})
		}()
		k := newTalker(t, theirs, DotL)
		k.attach(8192)
		k.open(1, 2, "big")
		return k, func() {
			theirs.Close()
			<-done
		}
	}
	lock := Msg{Type: Tlock, Fid: 1, Lock: Lock{Type: lockWrite, PID: 7, Client: "same"}}
	a, hangUp := dial()
	b, end := dial()
	defer end()
	for _, tt := range []struct {
		k    *talker
		want uint8
	}{{a, lockGranted}, {b, lockBlocked}, {a, lockGranted}} {
		if m := tt.k.must(lock); m.Status != tt.want {
			t.Errorf("status %d, want %d", m.Status, tt.want)
		}
	}
	hangUp()
	if m := b.must(lock); m.Status != lockGranted {
		t.Errorf("the lock of a client that has gone stays: status %d", m.Status)
	}
	b.must(Msg{Type: Tversion, Tag: NoTag, Msize: 8192, Version: "9P2000.L"})
	if len(srv.locks.files) != 0 || len(srv.locks.of) != 0 {
		t.Errorf("after a new version there are locks: %v", srv.locks.files)
	}
}

// TestLockBound takes as many locks as a connection may have, and one more.
func TestLockBound(t *testing.T) {
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), DotL)
	k.attach(8192)
	k.open(1, 2, "big")
	lock := Msg{Type: Tlock, Fid: 1, Lock: Lock{Type: lockWrite, Length: 1}}
	for lock.Lock.Start = range uint64(maxLocks) {
		lock.Lock.Start *= 2
		if m := k.must(lock); m.Status != lockGranted {
			t.Fatalf("lock %d: %v", lock.Lock.Start, m)
		}
	}
	lock.Lock.Start += 2
	if m := k.call(lock); m.Type != Rlerror || m.Errno != 37 {
		t.Errorf("one too many: %v, want ENOLCK", m)
	}
	k.must(Msg{Type: Tlock, Fid: 1, Lock: Lock{Type: lockNone, Start: 10, Length: 1}}, lock)
}

// TestLockModel compares the table with one that has an entry for each byte.
func TestLockModel(t *testing.T) {
	const bytes, owners = 12, 3
	rapid.Check(t, func(t *rapid.T) {
		var table lockTable
		var model [owners][bytes + 1]byte // the last is of all beyond
		var fids [owners]fid
		c := new(conn)
		number := func(what string, most int) int { return rapid.IntRange(0, most).Draw(t, what) }
		for range number("steps", 40) {
			who := number("who", owners-1)
			want := recordLock{owner: owner{c: c, pid: uint32(who)}, f: &fids[who], start: uint64(number("start", bytes-1))}
			last := bytes
			if n := number("length", bytes-int(want.start)); n > 0 {
				want.end = want.start + uint64(n)
				last = int(want.end) - 1
			}
			mark := byte(number("type", 2)) // none, to read, to write
			want.write = mark == 2
			free := true
			for o := range owners {
				for at := int(want.start); at <= last && o != who; at++ {
					if mark > 0 && model[o][at] > 0 && mark+model[o][at] > 2 {
						free = false
					}
				}
			}
			if number("close", 9) == 0 {
				table.release(c, &fids[who])
				model[who] = [bytes + 1]byte{}
				continue
			}
			if _, inWay := table.inWay(0, want); mark > 0 && inWay == free {
				t.Fatalf("inWay is %v", inWay)
			}
			granted, err := table.set(0, want, mark == 0)
			if err != nil || granted != free {
				t.Fatalf("granted %v, want %v (%v)", granted, free, err)
			}
			for at := int(want.start); at <= last && free; at++ {
				model[who][at] = mark
			}
			var got [owners][bytes + 1]byte
			for _, h := range table.files[0] {
				for at := h.start; at <= bytes && (h.end == 0 || at < h.end); at++ {
					if got[h.pid][at] != 0 {
						t.Fatalf("two locks of %d have byte %d", h.pid, at)
					}
					got[h.pid][at] = 1
					if h.write {
						got[h.pid][at] = 2
					}
				}
			}
			if got != model {
				t.Fatalf("locks\n%v, want\n%v", got, model)
			}
		}
		for i := range fids {
			table.release(c, &fids[i])
		}
		if len(table.files)+len(table.of) != 0 {
			t.Fatalf("left: %v %v", table.files, table.of)
		}
	})
}

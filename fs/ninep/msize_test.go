package ninep

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"warren/fs"
)

// A library is a tree with a directory of files whose names are of all lengths
// that an object's may have.
func newLibrary() (tr *tree, names []string) {
	tr = newTreeOf(0)
	many := tr.find("many")
	for i := range 2000 {
		name := fmt.Sprintf("%d", i)
		name += strings.Repeat("-", i*7%(65-len(name)))
		many.add(name, fs.Log, 0o644)
		names = append(names, name)
	}
	return tr, names
}

// TestEveryMsize lists a directory, reads a file and looks at attributes with
// messages of many sizes, in all dialects, one after the other on one
// connection: what comes must always be the same.
func TestEveryMsize(t *testing.T) {
	tr, names := newLibrary()
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Classic)
	data := tr.find("big").data
	for k.d = Classic; k.d <= DotL; k.d++ {
		for msize := uint32(MinMsize); msize <= MaxMsize; msize += 1 + msize/2 {
			checkMsize(t, k, msize, msize, names, data)
		}
		for exp := 8; exp <= 20; exp++ {
			checkMsize(t, k, 1<<exp, 1<<32-1, names, data)
			checkMsize(t, k, 1<<exp+1, 1<<exp-IOSize, names, data)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		k.d = Dialect(rapid.IntRange(0, 2).Draw(rt, "dialect"))
		msize := rapid.Uint32Range(MinMsize, 1<<rapid.IntRange(8, 20).Draw(rt, "bits")).Draw(rt, "msize")
		checkMsize(rt, k, msize, rapid.Uint32Range(200, 2*msize).Draw(rt, "count"), names, data)
	})
}

// fataler is a test, of whichever kind.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkMsize(t fataler, k *talker, msize, count uint32, names []string, data []byte) {
	t.Helper()
	k.attach(msize)
	k.open(1, ModeRead, "big")
	var got []byte
	for {
		m := k.must(Msg{Type: Tread, Fid: 1, Offset: uint64(len(got)), Count: count})
		if got = append(got, m.Data...); len(m.Data) == 0 {
			break
		}
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("%v, msize %d, count %d: the file has %d bytes, want %d", k.d, msize, count, len(got), len(data))
	}
	k.open(2, ModeRead, "many")
	if listed := k.list(t, 2, count); strings.Join(listed, "/") != strings.Join(names, "/") {
		t.Fatalf("%v, msize %d, count %d: %d names, want %d", k.d, msize, count, len(listed), len(names))
	}
	longest := names[len(names)-1]
	k.must(Msg{Type: Twalk, Fid: 0, Newfid: 3, Names: []string{"many", longest}})
	if k.d == DotL {
		k.must(Msg{Type: Tgetattr, Fid: 3, Mask: AttrBasic})
	} else if m := k.must(Msg{Type: Tstat, Fid: 3}); m.Stat.Name != longest {
		t.Fatalf("%v, msize %d: the name is %q", k.d, msize, m.Stat.Name)
	}
}

// list reads an open directory to its end.
func (k *talker) list(t fataler, fid, count uint32) (names []string) {
	t.Helper()
	dec := Decoder{Dialect: k.d}
	var offset uint64
	for {
		m := Msg{Type: Tread, Fid: fid, Offset: offset, Count: count}
		if k.d == DotL {
			m.Type = Treaddir
		}
		b := k.must(m).Data
		if len(b) == 0 {
			return names
		}
		offset += uint64(len(b))
		for len(b) > 0 {
			var de Dirent
			var s Stat
			var err error
			if k.d == DotL {
				b, err = dec.DecodeDirent(b, &de)
				offset, s.Name = de.Next, de.Name
			} else {
				b, err = dec.DecodeStat(b, &s)
			}
			if err != nil {
				t.Fatalf("%v, count %d: %v", k.d, count, err)
			}
			if s.Name != "." && s.Name != ".." {
				names = append(names, s.Name)
			}
		}
	}
}

// TestAnswerTooLong asks for what does not fit in a message of the size agreed.
func TestAnswerTooLong(t *testing.T) {
	tr := newTreeOf(0)
	name := strings.Repeat("n", 250)
	tr.find("many").add(name, fs.Text, 0o444)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), Classic)
	for k.d = Classic; k.d <= DotU; k.d++ {
		k.attach(MinMsize + 50)
		k.must(Msg{Type: Twalk, Newfid: 1, Names: []string{"many", name}})
		if m := k.call(Msg{Type: Tstat, Fid: 1}); m.Type != Rerror || m.Ename != "the answer does not fit in 306 bytes" {
			t.Errorf("%v: Tstat is answered %v", k.d, m)
		}
		k.open(2, ModeRead, "many")
		if m := k.call(Msg{Type: Tread, Fid: 2, Count: 4096}); m.Type != Rerror {
			t.Errorf("%v: the directory is %v", k.d, m)
		}
		k.attach(MaxMsize)
		k.must(Msg{Type: Twalk, Newfid: 1, Names: []string{"many", name}})
		if m := k.must(Msg{Type: Tstat, Fid: 1}); m.Stat.Name != name {
			t.Errorf("%v: the name is %q", k.d, m.Stat.Name)
		}
	}
}

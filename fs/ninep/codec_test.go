package ninep

import (
	"bytes"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// fullMsg returns a message of a type with something in all of its fields.
func fullMsg(ty Type, d Dialect) Msg {
	m := Msg{Type: ty, Tag: 7, NUname: NoUID}
	n := uint64(1)
	for _, f := range layouts[ty].fields {
		if f.only == 0 || f.only.has(d) {
			fillValue(reflect.ValueOf(f.at(&m)).Elem(), &n, d)
		}
	}
	if ty != Tlock {
		m.Lock.Flags = 0
	}
	return m
}

func fillValue(v reflect.Value, n *uint64, d Dialect) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("s", int(*n)))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fillValue(v.Index(i), n, d)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), n, d)
		}
		if s, ok := v.Addr().Interface().(*Stat); ok && d != DotU {
			s.Ext, s.NUID, s.NGID, s.NMUID = "", NoUID, NoUID, NoUID
		}
	default:
		v.SetUint(*n)
	}
}

// eachMsg calls f with a full message of every type of every dialect.
func eachMsg(f func(d Dialect, m Msg)) {
	for d := Classic; d <= DotL; d++ {
		for ty := range layouts {
			if Type(ty).In(d) {
				f(d, fullMsg(Type(ty), d))
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	eachMsg(func(d Dialect, want Msg) {
		b, err := Append([]byte("before"), d, &want)
		if err != nil {
			t.Fatalf("%v in %v: %v", want.Type, d, err)
		}
		var got Msg
		dec := Decoder{Dialect: d}
		if err := dec.Decode(&got, b[len("before"):]); err != nil {
			t.Fatalf("%v in %v: %v", want.Type, d, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got\n%+v, want\n%+v", d, got, want)
		}
	})
}

// TestCut decodes every message cut at every byte, and with a byte too many.
func TestCut(t *testing.T) {
	eachMsg(func(d Dialect, m Msg) {
		b, _ := Append(nil, d, &m)
		dec := Decoder{Dialect: d}
		for n := range len(b) + 2 {
			if n == len(b) || m.Type == Tfsync && n == len(b)-4 {
				continue
			}
			frame := append(bytes.Clone(b), 0)[:n]
			if n >= 4 {
				le.PutUint32(frame, uint32(n))
			}
			if err := dec.Decode(new(Msg), frame); sys.Errno(err) != syscall.EBADMSG {
				t.Errorf("%v of %d bytes, cut to %d: %v", m.Type, len(b), n, err)
			}
		}
	})
}

func TestTooLong(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for _, m := range []Msg{
		{Type: Tversion, Version: long},
		{Type: Twalk, Names: make([]string, MaxWalk+1)},
		{Type: Twalk, Names: []string{long}},
		{Type: Rstat, Stat: Stat{Name: long[:40000], UID: long[:40000]}},
	} {
		b, err := Append([]byte("x"), Classic, &m)
		if sys.Errno(err) != syscall.EMSGSIZE || string(b) != "x" {
			t.Errorf("%v: %d bytes, %v", m.Type, len(b), err)
		}
	}
}

// TestHotAllocs: what a server decodes and encodes all the time costs nothing.
func TestHotAllocs(t *testing.T) {
	dec := Decoder{Dialect: DotL}
	var m Msg
	buf := make([]byte, 0, 1<<10)
	for _, ty := range []Type{Twalk, Rwalk, Tlopen, Rlopen, Tread, Rread, Twrite, Rwrite, Tgetattr, Rgetattr, Tclunk, Rclunk} {
		full := fullMsg(ty, DotL)
		frame, _ := Append(nil, DotL, &full)
		n := testing.AllocsPerRun(100, func() {
			if dec.Decode(&m, frame) != nil {
				t.Fail()
			}
			buf, _ = Append(buf[:0], DotL, &m)
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", ty, n)
		}
	}
}

func TestInternIsBounded(t *testing.T) {
	var dec Decoder
	for i := range 10 * internCount {
		b, _ := Append(nil, Classic, &Msg{Type: Twalk, Names: []string{strings.Repeat("n", i%internLen+1), string(rune('a'+i%26)) + strings.Repeat("x", i/26)}})
		var m Msg
		if err := dec.Decode(&m, b); err != nil {
			t.Fatal(err)
		}
		if len(dec.names) > internCount {
			t.Fatalf("%d strings are remembered", len(dec.names))
		}
	}
}

func TestRecordsInDirectories(t *testing.T) {
	for d := Classic; d <= DotU; d++ {
		var b []byte
		want := []Stat{fullMsg(Rstat, d).Stat, {Name: "second"}}
		if d == Classic {
			want[1].NUID, want[1].NGID, want[1].NMUID = NoUID, NoUID, NoUID
		}
		for i := range want {
			b = AppendStat(b, d, &want[i])
		}
		dec := Decoder{Dialect: d}
		whole := b
		for i := range want {
			var got Stat
			var err error
			if b, err = dec.DecodeStat(b, &got); err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%v: got %+v, %v, want %+v", d, got, err, want[i])
			}
		}
		if _, err := dec.DecodeStat(whole[:len(whole)-1], new(Stat)); err != nil {
			t.Errorf("the first of two records, the second cut: %v", err)
		}
		if _, err := dec.DecodeStat(whole[:20], new(Stat)); err == nil {
			t.Error("a cut record was decoded")
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		m    Msg
		want string
	}{
		{Msg{Type: Twalk, Tag: 1, Newfid: NoFid, Names: []string{"a b", "c"}}, `Twalk tag=1 fid=0 newfid=~ names=["a b","c"]`},
		{Msg{Type: Rwalk, Tag: NoTag, Qids: []Qid{{0x80, 1, 2}, {0x40, 0, 3}}}, `Rwalk tag=~ qids=[2.1d,3.0a]`},
		{Msg{Type: 200}, `type 200 tag=0`},
	} {
		if got := c.m.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	eachMsg(func(d Dialect, m Msg) {
		b, _ := Append(nil, d, &m)
		f.Add(uint8(d), b)
	})
	f.Fuzz(func(t *testing.T, dialect uint8, frame []byte) {
		d := Dialect(dialect % 3)
		dec := Decoder{Dialect: d}
		var m, again Msg
		if dec.Decode(&m, frame) != nil {
			return
		}
		_ = m.String()
		b, err := Append(nil, d, &m)
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v: %v", &m, err)
		}
		if m.Type != Tfsync && !bytes.Equal(b, frame) {
			t.Fatalf("%x became %x", frame, b)
		}
		if err := dec.Decode(&again, b); err != nil {
			t.Fatal(err)
		}
	})
}

package gdb

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// reading is a read that does not wait.
type reading struct {
	answered atomic.Bool
	wait     bool
	done     chan struct{}
	parked   func()
	text     string
	lost     func()
	err      error
}

func (r *reading) Deliver(p []byte, lost func()) bool {
	if r.answered.Swap(true) {
		return false
	}
	r.text, r.lost = string(p), lost
	if r.done != nil {
		close(r.done)
	}
	return true
}
func (r *reading) Done(int) bool       { return r.answered.CompareAndSwap(false, true) }
func (r *reading) Fail(err error) bool { r.err = err; return r.answered.CompareAndSwap(false, true) }
func (r *reading) Park(cancel func())  { r.parked = cancel }
func (r *reading) Nonblock() bool      { return !r.wait }

// read returns what there is; "(end)" at the end of file.
func read(s *Session) string {
	var r reading
	s.Take(&r)
	switch {
	case errors.Is(r.err, syscall.EAGAIN):
		return ""
	case r.text == "":
		return "(end)"
	}
	return r.text
}

// A talk is lines: "> payload" is framed and written; "< payload" is the
// packet that must be read next, after the acknowledgement; "<x text" and "<o
// text" are such packets of text in hexadecimal, the latter after an O; ">> bytes" and "<< bytes"
// are as they stand; "! text" is the error of the last write. All with the
// escapes of Go.
func talk(t *testing.T, m *toy, lines string) *Session {
	t.Helper()
	s := New(m)
	ack := "+"
	var wrote error
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		what, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		text = unescapeGo(t, text)
		switch what {
		case ">":
			_, wrote = s.Write(frame(text))
		case "<", "<x", "<o":
			wantRead(t, s, ack+string(frame(map[string]string{"<": text, "<x": hexText(text), "<o": "O" + hexText(text)}[what])))
			if s.noAck {
				ack = ""
			}
		case ">>":
			_, wrote = s.Write([]byte(text))
		case "<<":
			wantRead(t, s, text)
		case "!":
			if wrote == nil || wrote.Error() != text {
				t.Errorf("the error is %v, want %s", wrote, text)
			}
		default:
			t.Fatalf("%q is no line of a talk", line)
		}
	}
	if rest := read(s); rest != "" && rest != "(end)" {
		t.Errorf("%q is left", rest)
	}
	return s
}

func wantRead(t *testing.T, s *Session, want string) {
	t.Helper()
	if got := read(s); got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func unescapeGo(t *testing.T, text string) string {
	t.Helper()
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func TestTalks(t *testing.T) {
	spin := []uint32{toyNop, toySpin}
	for _, test := range []struct {
		name    string
		threads int
		program []uint32
		lines   string
	}{
		{"hello", 1, nil, `
			> qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386
			< PacketSize=4000;QStartNoAckMode+;vContSupported+;qXfer:features:read+;qXfer:threads:read+;hwbreak+
			> vMustReplyEmpty
			<
			> qTStatus
			<
			> !
			<
			> qAttached
			< 1
			> ?
			< T02thread:1;
			> vCont?
			< vCont;c;C;s;S;r
			> QStartNoAckMode
			< OK
			> qC
			<< $QC1#c5`},
		{"an older gdb", 1, nil, `
			> qSupported:xmlRegisters=i386
			< PacketSize=4000;QStartNoAckMode+;vContSupported+;qXfer:features:read+;qXfer:threads:read+`},
		{"threads", 3, nil, `
			> qXfer:threads:read::0,1000
			< l<?xml version="1.0"?>\n<threads>\n<thread id="1" name="core 0 (0,0) &lt;T&amp;0&gt;"/>\n<thread id="2" name="core 1 (1,0) &lt;T&amp;0&gt;"/>\n<thread id="3" name="core 2 (2,0) &lt;T&amp;0&gt;"/>\n</threads>\n
			> qXfer:threads:read::0,5
			< m<?xml
			> qXfer:threads:read::c0,ffffffffffffffff
			< l/threads>\n
			> qXfer:threads:read::fffffffffff,1
			< E0e
			> qXfer:threads:read::fffffff,1
			< l
			> qXfer:threads:read:x:0,5
			< E00
			> qfThreadInfo
			< m1,2,3
			> qsThreadInfo
			< l
			> qThreadExtraInfo,2
			<x core 1 (1,0) <T&0>
			> qThreadExtraInfo,4
			< E16
			> T3
			< OK
			> T4
			< E03
			> T0
			< E16
			> Hg2
			< OK
			> Hg4
			< E03
			> Hc-1
			< OK
			> Hx1
			< E16
			> H
			< E16
			> qC
			< QC2
			> p fd1
			< E16
			> pf55
			< 01000000
			> Hg0
			< OK
			> pf55
			< 00000000`},
		{"registers", 1, nil, `
			> P5=78563412
			< OK
			> p5
			< 78563412
			> p20
			< 00100000
			> P20=785634
			< E16
			> P0=01000000
			< E.toy: register 0 is only read
			> pc41
			< 00000000
			> P21=000000000000f83f
			< OK
			> p21
			< 000000000000f83f
			> P44=e5ffff00
			< OK
			> p42
			< 05000000
			> p43
			< 07000000
			> P43=02000000
			< OK
			> P42=1f000000
			< OK
			> p44
			< 5fffff00
			> p3e8
			< E16
			> pffffffffffffffffff
			< E16
			> p-1
			< E16
			> p+1
			< E16
			> G00
			< E16
			> P
			< E16`},
		{"memory", 1, []uint32{0x11223344, 0xdeadbeef}, `
			> m1000,8
			< 44332211efbeadde
			> m1ffe,10
			< 0000
			> m2000,4
			< E0e
			> mfffffffe,4
			< E0e
			> m100001000,4
			< E0e
			> mffffffffffffffff,2
			< E0e
			> m1000,0
			< E16
			> m1000
			< E16
			> m,
			< E16
			> m-1000,4
			< E16
			> M1000,2:abcd
			< OK
			> M1000,3:abcd
			< E16
			> M1000,2:abc
			< E16
			> M1000,2
			< E16
			> M1ffe,4:00000000
			< E0e
			> Mfffffffe,4:00000000
			< E0e
			> X1004,0:
			< OK
			> X1004,4:}\x03}\x04}]\x00
			< OK
			> m1000,8
			< abcd221123247d00`},
		{"run to a breakpoint, step over it, exit", 1, []uint32{0, 0, 0, 0, toyExit}, `
			> qSupported:hwbreak+
			< PacketSize=4000;QStartNoAckMode+;vContSupported+;qXfer:features:read+;qXfer:threads:read+;hwbreak+
			> Z0,1008,4
			< OK
			> Z0,1008,4
			< OK
			> Z1,1008,2
			< OK
			> z0,1008,4
			< OK
			> z0,1008,4
			< OK
			> vCont;c
			< T05thread:1;hwbreak:;
			> p20
			< 08100000
			> vCont;s:1
			< T05thread:1;hwbreak:;
			> p20
			< 08100000
			> z1,1008,4
			< OK
			> vCont;s:1
			< T05thread:1;
			> p20
			< 0c100000
			> Pa=07010000
			< OK
			> c
			< W07
			> ?
			< W07
			> g
			< E03
			> T1
			< E03
			> qfThreadInfo
			< l`},
		{"a range", 2, []uint32{0, 0, 0, 0, 0, 0}, `
			> vCont;r1000,100c:2
			< T05thread:2;
			> Hg2
			< OK
			> p20
			< 0c100000
			> Hg1
			< OK
			> p20
			< 00100000
			> vCont;s:1;r1000,1004
			< T05thread:1;
			> vCont;r1000:1
			< E16
			> vCont;x
			< E16
			> vCont;
			< E16
			> vCont;c:zz
			< E16
			> vCont;c1
			< E16
			> vCont;C
			< E16
			> vCont;S0b:1
			< T05thread:1;`},
		{"the old ways", 2, []uint32{0, 0, 0, 0, toyBreak, toyBad}, `
			> Hc2
			< OK
			> s
			< T05thread:2;
			> p20
			< 04100000
			> s1000
			< T05thread:2;
			> p20
			< 04100000
			> S05;1008
			< T05thread:2;
			> Hc0
			< OK
			> c
			< T05thread:2;
			> c1014
			< T04thread:2;
			> C0b
			< T04thread:2;
			> C
			< E16
			> c100000000
			< E0e`},
		{"watchpoints and faults", 1, []uint32{toyLoad, toyStore, toyLoad}, `
			> Pa=00180000
			< OK
			> Z2,1802,1
			< OK
			> Z3,1803,1
			< OK
			> c
			< T05thread:1;rwatch:1803;
			> p20
			< 00100000
			> z3,1803,1
			< OK
			> s
			< T05thread:1;
			> c
			< T05thread:1;watch:1802;
			> z2,1802,1
			< OK
			> Z4,1800,4
			< OK
			> c
			< T05thread:1;awatch:1800;
			> z4,1800,4
			< OK
			> Pa=00000000
			< OK
			> c1000
			< T0bthread:1;
			> Z2,1800,0
			< E0e
			> Z2,ffffffff,2
			< E0e
			> Z2,100000000,1
			< E0e
			> Z0,1001,2
			< E16
			> Z5,1000,1
			<
			> Z
			<
			> Z0
			< E16`},
		{"interrupt", 2, spin, `
			>> \x03\x03
			<<
			> c
			<< +$T02thread:2;#d5
			> c
			<< +
			>> \x03
			<< $T02thread:2;#d5
			> ?
			< T02thread:2;`},
		{"no packet again without acknowledgements", 1, spin, `
			> QStartNoAckMode
			< OK
			>> +-
			<<
			>> $qC#b4
			<< $QC1#c5
			>> --
			<<`},
		{"signals of faults", 1, spin, `
			> vCont;C0b:1
			<< +
			>> \x03
			<< $T02thread:1;#d4
			> C0x
			< E16`},
		{"packets wait while threads run", 1, spin, `
			>> +$c#63+$p20#d2$?#3f
			<< +++
			> k
			<< +`},
		{"detach", 1, nil, `
			> Z0,1000,4
			< OK
			> D
			< OK
			<< (end)
			>> +$?#3f
			<< (end)`},
		{"kill", 1, nil, `
			> k
			<< +
			<< (end)`},
		{"vKill", 1, nil, `
			> vKill;a410
			< OK
			<< (end)`},
		{"noise, a bad checksum, a lost end, a resend", 1, nil, `
			>> noise#00+++$?#3e
			<< -
			>> $?#zz
			<< -
			>> $?$qC#b4
			<< +$QC1#c5
			>> -
			<< $QC1#c5
			>> --
			<< $QC1#c5$QC1#c5`},
		{"a bad checksum where nobody sends again", 1, nil, `
			> QStartNoAckMode
			< OK
			>> $?#3e
			! gdb: the checksum of a packet is wrong
			<< (end)`},
	} {
		t.Run(test.name, func(t *testing.T) { talk(t, newToy(test.threads, 64, test.program...), test.lines) })
	}
}

func write(t *testing.T, s *Session, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("write %q: %d, %v", text, n, err)
	}
}

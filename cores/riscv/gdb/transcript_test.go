package gdb

import (
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"warren/fs/sys"
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
			< E16
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
			< T05thread:1;
			> p20
			< 0c100000
			> z1,1008,4
			< OK
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
			> c
			< T05thread:1;watch:1802;
			> z3,1803,1
			< OK
			> Z4,1800,4
			< OK
			> c
			< T05thread:1;awatch:1800;
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
			>> \x03
			> c
			<< +
			>> \x03
			<< $T02thread:2;#d5
			>> \x03
			<<
			> ?
			< T02thread:2;`},
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

// TestPacketsWait: what comes while threads run is done when they have stopped.
func TestPacketsWait(t *testing.T) {
	m := newToy(1, 64, toyNop, toySpin)
	s := New(m)
	write(t, s, "$c#63$p20#d2$qC#b4")
	wantRead(t, s, "+++")
	if !s.out.isRunning() {
		t.Fatal("it does not run")
	}
	write(t, s, "\x03")
	var got string
	for !strings.HasSuffix(got, "$QC1#c5") { // who stops it does not do them itself
		r := reading{wait: true, done: make(chan struct{})}
		s.Take(&r)
		<-r.done
		got += r.text
	}
	if want := "$T02thread:1;#d4$04100000#85$QC1#c5"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func write(t *testing.T, s *Session, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("write %q: %d, %v", text, n, err)
	}
}

// TestAllRegisters: what g gives G takes, and only what differs is set.
func TestAllRegisters(t *testing.T) {
	for _, flen := range []int{0, 32, 64} {
		m := newToy(1, flen)
		m.threads[0].regs[5] = 0x12345678
		s := New(m)
		write(t, s, string(frame("g")))
		want := (32+1+len(machineCSRs))*8 + 32*flen/4
		if flen != 0 {
			want += 3 * 8
		}
		all := strings.TrimPrefix(read(s), "+$")
		all, _, _ = strings.Cut(all, "#")
		if len(all) != want || all[40:48] != "78563412" {
			t.Fatalf("flen %d: %d digits, want %d: %s", flen, len(all), want, all)
		}
		write(t, s, string(frame("G"+all[:40]+"01000000"+all[48:])))
		wantRead(t, s, "+$OK#9a")
		if m.threads[0].regs[5] != 1 {
			t.Error("G set nothing")
		}
		write(t, s, string(frame("G01000000"+all[8:])))
		wantRead(t, s, "+$E16#ac")
	}
}

// TestDescription: the features are those that gdb asks for, page by page.
func TestDescription(t *testing.T) {
	for flen, features := range map[int]string{0: "cpu csr", 32: "cpu fpu csr", 64: "cpu fpu csr"} {
		s := New(newToy(1, flen))
		var text string
		for more := true; more; {
			write(t, s, string(frame(fmt.Sprintf("qXfer:features:read:target.xml:%x,400", len(text)))))
			part := read(s)
			more = part[2] == 'm'
			text += part[3 : len(part)-3]
		}
		var target struct {
			Features []struct {
				Name string `xml:"name,attr"`
				Regs []struct {
					Num int `xml:"regnum,attr"`
				} `xml:"reg"`
			} `xml:"feature"`
		}
		if err := xml.Unmarshal([]byte(text), &target); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var names []string
		last := -1
		for _, f := range target.Features {
			names = append(names, strings.TrimPrefix(f.Name, "org.gnu.gdb.riscv."))
			for _, r := range f.Regs {
				if r.Num <= last {
					t.Errorf("register %d comes after %d", r.Num, last)
				}
				last = r.Num
			}
		}
		if got := strings.Join(names, " "); got != features {
			t.Errorf("flen %d: the features are %s, want %s", flen, got, features)
		}
	}
}

// TestMonitor: what commands say is text for the user, and bounded.
func TestMonitor(t *testing.T) {
	m := newToy(2, 0)
	s := New(m)
	write(t, s, "$QStartNoAckMode#b0$Hg2#e1")
	wantRead(t, s, "+$OK#9a$OK#9a")
	for line, want := range map[string]string{
		"where":      "core 1 (1,0) <T&0> at 0x1000\n",
		"help":       "monitor where                where the thread is\nmonitor fill N               print N letters\nmonitor help                 list these commands\n",
		"":           "monitor where                where the thread is\nmonitor fill N               print N letters\nmonitor help                 list these commands\n",
		"fill x":     "fill: want a number\n",
		"fill 0":     "",
		"fill 20000": strings.Repeat("\x00", 20000) + "\n",
		"fill 65537": strings.Repeat("\x00", maxText) + "\n(there is more)\n",
		"wher":       "unknown command \"wher\" (see monitor help)\n",
	} {
		write(t, s, string(frame("qRcmd,"+hexText(line))))
		if got := console(t, read(s)); got != want {
			t.Errorf("monitor %s: %q, want %q", line, got, want)
		}
	}
	write(t, s, string(frame("qRcmd,7")))
	wantRead(t, s, "$E16#ac")
}

// console undoes O packets, up to the OK.
func console(t *testing.T, bytes string) string {
	t.Helper()
	text, ok := strings.CutSuffix(bytes, "$OK#9a")
	if !ok {
		t.Fatalf("%q does not end in OK", bytes)
	}
	var out []byte
	for packet := range strings.SplitSeq(text, "$O") {
		digits, _, _ := strings.Cut(packet, "#")
		part, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, part...)
	}
	return string(out)
}

// TestManyThreads: lists of more than a packet come in parts.
func TestManyThreads(t *testing.T) {
	s := New(newToy(5000, 0))
	write(t, s, "$QStartNoAckMode#b0$qfThreadInfo#bb")
	var ids []string
	for got := strings.TrimPrefix(read(s), "+$OK#9a"); got[1] == 'm'; got = read(s) {
		if len(got) > maxPacket {
			t.Fatalf("a packet of %d bytes", len(got))
		}
		ids = append(ids, strings.Split(got[2:len(got)-3], ",")...)
		write(t, s, "$qsThreadInfo#c8")
	}
	if len(ids) != 5000 || ids[4999] != "1388" {
		t.Errorf("%d threads, %s the last", len(ids), ids[len(ids)-1])
	}
}

// TestHostile: what is no gdb ends the session, which lets go of the target.
func TestHostile(t *testing.T) {
	memory := string(frame("m1000,1000"))
	long := "$" + strings.Repeat("x", maxPacket)
	for name, c := range map[string]struct {
		bytes string
		errno syscall.Errno
	}{
		"a packet without end":   {long + "x", syscall.EMSGSIZE},
		"answers nobody reads":   {strings.Repeat(memory, 50), syscall.ENOBUFS},
		"resends nobody reads":   {memory + strings.Repeat("-", 50), syscall.ENOBUFS},
		"packets while it runs":  {"$c#63" + strings.Repeat("$?#3f", 2000), syscall.EPROTO},
		"a packet while it runs": {"$c#63" + strings.Repeat(long+"#00", 5), syscall.EPROTO},
		"a bad checksum, late":   {"$QStartNoAckMode#b0$?#00", syscall.EPROTO},
	} {
		t.Run(name, func(t *testing.T) {
			m := newToy(1, 0, toySpin)
			s := New(m)
			if name == "a packet while it runs" {
				c.bytes = "$c#63" + strings.Repeat(string(frame(long[1:])), 5)
			}
			write(t, s, "$Z0,1000,4#3d$z0,1000,4#5d$Z2,1000,4#3f")
			_, err := s.Write([]byte(c.bytes))
			if !errors.Is(err, c.errno) {
				t.Errorf("the error is %v, want %v", err, c.errno)
			}
			if _, again := s.Write([]byte("$?#3f")); again != err {
				t.Errorf("then it is %v", again)
			}
			if got := read(s); len(got) > maxOutput {
				t.Errorf("%d bytes are left", len(got))
			}
			wantRead(t, s, "(end)")
			if last := m.log[len(m.log)-1]; last != "detach kill=false breaks=0 watches=0" {
				t.Errorf("the target was left with: %s", last)
			}
			s.Close()
			if strings.Count(strings.Join(m.log, "\n"), "detach") != 1 {
				t.Errorf("it was left twice: %q", m.log)
			}
		})
	}
	m := newToy(1, 0)
	s := New(m)
	write(t, s, long+"#"+fmt.Sprintf("%02x", byte(maxPacket*'x'%256))) // just as long as may be
	wantRead(t, s, "+$#00")
}

// TestTooManyPoints: there is an end to what gdb may set.
func TestTooManyPoints(t *testing.T) {
	m := newToy(1, 0)
	s := New(m)
	set := func(format string, i int) string {
		write(t, s, string(frame(fmt.Sprintf(format, 0x1000+4*i))))
		return read(s)
	}
	for i := range maxBreaks {
		if got := set("Z0,%x,4", i); got != "+$OK#9a" {
			t.Fatalf("breakpoint %d: %s", i, got)
		}
	}
	for i := range maxWatches {
		if got := set("Z2,%x,4", i); got != "+$OK#9a" {
			t.Fatalf("watchpoint %d: %s", i, got)
		}
	}
	full := "+" + string(frame(failure(sys.ErrFull)))
	if got := set("Z1,%x,4", maxBreaks); got != full {
		t.Errorf("a breakpoint more: %s", got)
	}
	if got := set("Z4,%x,4", maxWatches); got != full {
		t.Errorf("a watchpoint more: %s", got)
	}
	if got := set("z2,%x,4", 0) + set("Z4,%x,4", maxWatches); got != "+$OK#9a+$OK#9a" {
		t.Errorf("one in place of another: %s", got)
	}
	s.Close()
	if len(m.breaks)+len(m.watches) != 0 {
		t.Error("some are left")
	}
}

// TestAttach: nothing happens to a target until something is written, a
// target that is busy says so, and one that is closed lets go, once.
func TestAttach(t *testing.T) {
	m := newToy(1, 0, toySpin)
	s := New(m)
	wantRead(t, s, "")
	write(t, s, "")
	if len(m.log) != 0 {
		t.Errorf("before a write: %q", m.log)
	}
	m.busy = sys.Errorf(syscall.EBUSY, "another gdb is attached")
	if _, err := s.Write([]byte("+")); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a busy target: %v", err)
	}
	m.busy = nil
	write(t, s, "+$c#63")
	wantRead(t, s, "+")
	waits := reading{wait: true, done: make(chan struct{})}
	s.Take(&waits)
	s.Close()
	<-waits.done
	s.Close()
	if _, err := s.Write([]byte("+")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("after Close: %v", err)
	}
	if got := strings.Join(m.log, "; "); got != "attach; detach kill=false breaks=0 watches=0" || waits.text != "" {
		t.Errorf("%s; read %q", got, waits.text)
	}
	s.stopped(Stop{Why: Break}) // a target may be late
	wantRead(t, s, "(end)")

	never := newToy(1, 0)
	New(never).Close()
	if len(never.log) != 0 {
		t.Errorf("closed before a write: %q", never.log)
	}
}

// TestReads: an answer that was lost on its way is given again, in its place;
// a read that was cancelled takes nothing.
func TestReads(t *testing.T) {
	s := New(newToy(1, 0))
	first := reading{wait: true, done: make(chan struct{})}
	second := reading{wait: true, done: make(chan struct{})}
	s.Take(&first)
	s.Take(&second)
	first.parked()
	write(t, s, "$qC#b4")
	<-second.done
	if second.text != "+" {
		t.Errorf("read %q", second.text)
	}
	second.lost()
	wantRead(t, s, "+$QC1#c5")
	if first.answered.Load() {
		t.Error("the read that was cancelled was answered")
	}
}

// TestAttachedLate: a target may come to rest long after it was attached to.
func TestAttachedLate(t *testing.T) {
	m := &slow{toy: newToy(1, 0)}
	s := New(m)
	write(t, s, "$?#3f")
	wantRead(t, s, "+")
	m.stopped(Stop{Why: Fault, Cause: 7})
	r := reading{wait: true, done: make(chan struct{})}
	s.Take(&r)
	<-r.done
	if r.text != "$T0bthread:1;#04" {
		t.Errorf("read %q", r.text)
	}
}

// slow is a toy that does not come to rest by itself.
type slow struct{ *toy }

func (m *slow) Attach(stopped func(Stop)) error {
	m.stopped = stopped
	return nil
}

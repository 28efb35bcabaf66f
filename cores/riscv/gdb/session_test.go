package gdb

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"warren/fs/sys"
)

// TestPacketsWait: what comes while threads run is done when they have stopped.
func TestPacketsWait(t *testing.T) {
	m := newToy(1, 64, toyNop, toySpin)
	s := New(m)
	write(t, s, "$c#63$p20#d2$qC#b4")
	wantRead(t, s, "+++")
	if !m.running {
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

package gdb

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzSession: whatever bytes come, nothing panics, what is kept is bounded,
// each packet that is answered is framed well, and at the end the target is
// left as it was found. Lines are payloads, which are framed, or after a ~
// bytes as they stand.
func FuzzSession(f *testing.F) {
	for _, lines := range []string{
		"qSupported:hwbreak+\n?\nqXfer:threads:read::0,ff\nqXfer:features:read:target.xml:0,fff\ng\np41\nP42=01000000\nm1000,10\nM1000,1:00\nX1000,1:}\x03",
		"Z0,1004,4\nZ1,1004,4\nZ2,1000,4\nz3,0,1\nvCont;c\n~\x03\nvCont;s:1;c\nvCont;r1000,1010:2\nHg2\nHc-1\ns\nc1000\n~\x03\nT1\nqC\nqfThreadInfo\nqsThreadInfo",
		"QStartNoAckMode\nqRcmd,7768657265\nqThreadExtraInfo,1\nS05\nC0b;1000\n~\x03\nD",
		"~-+$?$#00\nk", "vKill;1", "vCont?\nvMustReplyEmpty\n~$#",
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		m := newToy(3, 64, toyNop, toyLoad, toyStore, toySpin)
		s := New(m)
		for line := range bytes.SplitSeq(input, []byte("\n")) {
			if raw, ok := bytes.CutPrefix(line, []byte("~")); ok {
				line = raw
			} else {
				line = frame(string(line))
			}
			if _, err := s.Write(line); err != nil {
				break
			}
			wellFramed(t, read(s))
		}
		s.mu.Lock()
		if s.out.held > maxPending+maxPacket || len(s.breaks) > maxBreaks || len(s.watches) > maxWatches {
			t.Errorf("it holds %d bytes, %d and %d points", s.out.held, len(s.breaks), len(s.watches))
		}
		s.mu.Unlock()
		s.Close()
		if len(m.breaks)+len(m.watches) != 0 {
			t.Error("points are left")
		}
		log := strings.Join(m.log, "\n")
		if strings.Count(log, "detach") != strings.Count(log, "attach") {
			t.Errorf("not left as found: %s", log)
		}
	})
}

// wellFramed checks that bytes for gdb are packets and acknowledgements.
func wellFramed(t *testing.T, text string) {
	t.Helper()
	if text == "(end)" {
		return
	}
	var r reader
	for _, b := range []byte(text) {
		if r.state == outside && !strings.ContainsRune("+-$", rune(b)) {
			t.Fatalf("%q between packets of %q", b, text)
		}
		if got := r.next(b); got == gotBad || got == gotLong {
			t.Fatalf("a bad packet in %q", text)
		}
	}
	if r.state != outside {
		t.Fatalf("%q ends inside a packet", text)
	}
}

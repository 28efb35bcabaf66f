package gdb

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

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

package gdb

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A row says what is done with the packets that begin with name: do gets what
// follows it, and returns the reply.
type row struct {
	name string
	do   func(s *Session, args string) string
}

// later, for a reply, says that there is none now.
const later = "\x00"

// rows returns the packets that a session knows. The first that fits holds.
func rows() []row {
	return []row{
		{"qSupported", (*Session).supported},
		{"QStartNoAckMode", (*Session).startNoAck},
		{"qXfer:features:read:", (*Session).readFeatures},
		{"qXfer:threads:read:", (*Session).readThreads},
		{"qfThreadInfo", (*Session).firstThreads},
		{"qsThreadInfo", (*Session).moreThreads},
		{"qThreadExtraInfo,", (*Session).threadName},
		{"qAttached", func(*Session, string) string { return "1" }},
		{"qRcmd,", (*Session).monitor},
		{"qC", (*Session).currentThread},
		{"H", (*Session).setThread},
		{"T", (*Session).alive},
		{"vCont?", func(*Session, string) string { return "vCont;c;C;s;S;r" }},
		{"vCont;", (*Session).vCont},
		{"vKill", (*Session).vKill},
		{"c", (*Session).goOn},
		{"C", (*Session).goOnSignal},
		{"s", (*Session).step},
		{"S", (*Session).stepSignal},
		{"k", (*Session).kill},
		{"D", (*Session).detach},
		{"?", (*Session).whyStopped},
		{"g", (*Session).readRegs},
		{"G", (*Session).writeRegs},
		{"p", (*Session).readReg},
		{"P", (*Session).writeReg},
		{"m", (*Session).readMem},
		{"M", (*Session).writeHex},
		{"X", (*Session).writeBinary},
		{"Z", (*Session).setPoint},
		{"z", (*Session).clearPoint},
	}
}

// do does a packet and returns its reply, which is empty for one that is not
// known.
func (s *Session) do(packet string) string {
	for _, r := range s.rows {
		if args, ok := strings.CutPrefix(packet, r.name); ok {
			return r.do(s, args)
		}
	}
	return ""
}

// supported answers qSupported: what gdb has, and what we have.
func (s *Session) supported(args string) string {
	reply := fmt.Sprintf("PacketSize=%x;QStartNoAckMode+;vContSupported+;qXfer:features:read+;qXfer:threads:read+", maxPacket)
	var k knows
	for feature := range strings.SplitSeq(strings.TrimPrefix(args, ":"), ";") {
		switch feature {
		case "hwbreak+":
			k.hwbreak = true
			reply += ";hwbreak+"
		case "no-resumed+":
			k.noResumed = true
			reply += ";no-resumed+"
		}
	}
	s.out.gdbKnows(k)
	return reply
}

func (s *Session) startNoAck(string) string {
	s.noAck = true
	return "OK"
}

func (s *Session) detach(string) string {
	s.send("OK")
	s.end(nil, false)
	return later
}

// kill has no reply.
func (s *Session) kill(string) string {
	s.end(nil, true)
	return later
}

func (s *Session) vKill(string) string {
	s.send("OK")
	return s.kill("")
}

// failure is the reply of a packet that failed: gdb has room for a number.
func failure(err error) string { return fmt.Sprintf("E%02x", int(sys.Errno(err))&0xff) }

// reason is the reply of a packet that failed, for those where all gdbs know text in
// it, which they show.
func reason(err error) string {
	text := []byte(err.Error())
	for i, b := range text {
		if b < ' ' || b > '~' || strings.IndexByte("#$*}", b) >= 0 {
			text[i] = ' '
		}
	}
	return "E." + string(text[:min(len(text), maxReason)])
}

const maxReason = 400

var (
	errSyntax = sys.Errorf(syscall.EINVAL, "gdb: malformed packet")
	errRange  = sys.Errorf(syscall.EFAULT, "gdb: beyond the 32-bit address space")
)

// done is the reply of a packet that did something, or failed to.
func done(err error) string {
	if err != nil {
		return failure(err)
	}
	return "OK"
}

// number reads a number as packets have them: hexadecimal, without a sign.
func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil || text[0] == '+' {
		return 0, errSyntax
	}
	return n, nil
}

// span reads "addr,length". The bytes need not all be in the 32-bit space.
func span(text string) (addr, n uint64, err error) {
	first, second, _ := strings.Cut(text, ",")
	if addr, err = number(first); err != nil {
		return 0, 0, err
	}
	if n, err = number(second); err != nil {
		return 0, 0, err
	}
	if addr >= 1<<32 {
		return 0, 0, errRange
	}
	return addr, n, nil
}

// fits reports whether all n bytes at addr are in the 32-bit space.
func fits(addr, n uint64) bool { return n <= 1<<32-addr }

// page replies to a "read:annex:offset,length" with a part of the annex, which
// is binary.
func page(data []byte, offset, length uint64) string {
	size := uint64(len(data))
	offset = min(offset, size)
	end := offset + min(length, maxPacket/2, size-offset) // escaped, it may have twice the size
	more := "m"
	if end == size {
		more = "l"
	}
	return more + string(escape(data[offset:end]))
}

func hexText(text string) string { return hex.EncodeToString([]byte(text)) }

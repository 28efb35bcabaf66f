package gdb

import (
	"encoding/hex"
	"fmt"
)

// A reader takes packets out of bytes: $payload#checksum, and between these
// acknowledgements and interrupts. Other bytes there are noise.
type reader struct {
	buf   []byte
	state int // outside, inside, or at the first or second digit
	sum   byte
	digit byte
}

const (
	outside = iota
	inside
	firstDigit
	secondDigit
)

type got int

const (
	gotNothing   got = iota
	gotPacket        // take has it
	gotBad           // its checksum is wrong
	gotLong          // it is too long
	gotNack          // gdb wants the last packet again
	gotInterrupt     // ^C
)

func (r *reader) next(b byte) got {
	switch r.state {
	case outside:
		return r.between(b)
	case inside:
		return r.within(b)
	case firstDigit:
		r.digit, r.state = b, secondDigit
		return gotNothing
	}
	r.state = outside
	var sum [1]byte
	if _, err := hex.Decode(sum[:], []byte{r.digit, b}); err != nil || sum[0] != r.sum {
		return gotBad
	}
	return gotPacket
}

func (r *reader) between(b byte) got {
	switch b {
	case '$':
		r.begin()
	case '-':
		return gotNack
	case 3:
		return gotInterrupt
	}
	return gotNothing
}

func (r *reader) within(b byte) got {
	switch {
	case b == '#':
		r.state = firstDigit
	case b == '$': // the rest of the one before was lost
		r.begin()
	case len(r.buf) == maxPacket:
		return gotLong
	default:
		r.buf = append(r.buf, b)
		r.sum += b
	}
	return gotNothing
}

func (r *reader) begin() { r.buf, r.sum, r.state = r.buf[:0], 0, inside }

// take returns the payload, as it came.
func (r *reader) take() string { return string(r.buf) }

// frame returns a payload as a packet. Payloads hold no '#' nor '$', but those
// made by escape.
func frame(payload string) []byte {
	var sum byte
	for i := range len(payload) {
		sum += payload[i]
	}
	return fmt.Appendf(nil, "$%s#%02x", payload, sum)
}

const escaped = '}' // before a byte that is xored with ' '

// escape makes binary data fit for a payload to gdb, in which '*' has a
// meaning as well.
func escape(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, b := range data {
		switch b {
		case '#', '$', '*', escaped:
			out = append(out, escaped, b^' ')
		default:
			out = append(out, b)
		}
	}
	return out
}

// unescape undoes what gdb does to binary data.
func unescape(data string) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		b := data[i]
		if b == escaped && i+1 < len(data) {
			i++
			b = data[i] ^ ' '
		}
		out = append(out, b)
	}
	return out
}

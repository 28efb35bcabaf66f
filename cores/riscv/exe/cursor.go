package exe

import "bytes"

// A cursor reads bytes from the front. Behind the end there are zeros, and
// short says that they were asked for.
type cursor struct {
	b     []byte
	short bool
}

// take returns the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.short = nil, true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return half(b, 0)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return word(b, 0)
	}
	return 0
}

// uleb reads a number of 7 bits a byte, the lowest first; of one beyond 64 bits
// the lowest 64.
func (c *cursor) uleb() uint64 {
	n, _, _ := c.leb()
	return n
}

// sleb reads one with a sign.
func (c *cursor) sleb() int64 {
	n, bits, last := c.leb()
	if last&0x40 != 0 && bits < 64 {
		n |= ^uint64(0) << bits
	}
	return int64(n)
}

func (c *cursor) leb() (n uint64, bits uint, last byte) {
	for {
		last = c.u8()
		n |= uint64(last&0x7f) << bits // 0 from 64 bits on
		bits = min(bits+7, 70)
		if last&0x80 == 0 {
			return n, bits, last
		}
	}
}

// text reads up to a zero byte; "" if it is longer than a name may be.
func (c *cursor) text() string {
	n := bytes.IndexByte(c.b, 0)
	if n < 0 {
		c.b, c.short = nil, true
		return ""
	}
	s := c.take(uint64(n) + 1)[:n]
	if n > maxName {
		return ""
	}
	return string(s)
}

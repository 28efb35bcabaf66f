package rv

import (
	"cmp"
	"encoding/binary"
	"slices"
	"syscall"

	"warren/fs/sys"
)

// A Text is an executable segment.
type Text struct {
	Addr  uint32
	Bytes []byte
}

// An Image is code, decoded once. It does not change, and what it says of an
// address counts, not what memory has there: the machine keeps text read-only.
type Image struct {
	segs []*segment // in order of their addresses
}

// NewImage decodes segments, whose bytes it copies. They begin at even
// addresses, end within the address space and do not overlap.
func NewImage(texts []Text) (*Image, error) {
	im := &Image{}
	for _, t := range texts {
		switch end := uint64(t.Addr) + uint64(len(t.Bytes)); {
		case t.Addr&1 != 0:
			return nil, sys.Errorf(syscall.EINVAL, "text at odd address %#x", t.Addr)
		case end > 1<<32:
			return nil, sys.Errorf(syscall.EINVAL, "text at %#x ends behind the address space", t.Addr)
		case len(t.Bytes) > 0:
			im.segs = append(im.segs, newSegment(t))
		}
	}
	slices.SortFunc(im.segs, func(a, b *segment) int { return cmp.Compare(a.base, b.base) })
	for i := 1; i < len(im.segs); i++ {
		if a, b := im.segs[i-1], im.segs[i]; b.base-a.base < uint32(len(a.raw)) {
			return nil, sys.Errorf(syscall.EINVAL, "text at %#x overlaps that at %#x", b.base, a.base)
		}
	}
	return im, nil
}

// Texts returns the segments in order of their addresses. Their bytes must
// not be changed.
func (im *Image) Texts() []Text {
	out := make([]Text, len(im.segs))
	for i, s := range im.segs {
		out[i] = Text{s.base, s.raw}
	}
	return out
}

// find returns the segment that has an address, or nil.
func (im *Image) find(addr uint32) *segment {
	if im == nil {
		return nil
	}
	for _, s := range im.segs {
		if addr-s.base < uint32(len(s.raw)) {
			return s
		}
	}
	return nil
}

// A segment is an executable segment: as it is, and as ops for the loop.
type segment struct {
	base uint32
	raw  []byte
	ops  []op
	pcs  []uint32 // of each op
	at   []uint32 // for every other address from base on: where its op is in ops, in bytes, or nowhere
}

func newSegment(t Text) *segment {
	s := &segment{base: t.Addr, raw: slices.Clone(t.Bytes)}
	s.decode()
	return s
}

// half returns the 16 bits at an address of the segment.
func (s *segment) half(addr uint32) (uint32, bool) {
	if o := uint64(addr - s.base); o+2 <= uint64(len(s.raw)) {
		return uint32(binary.LittleEndian.Uint16(s.raw[o:])), true
	}
	return 0, false
}

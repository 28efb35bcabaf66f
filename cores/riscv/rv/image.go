package rv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"syscall"

	"warren/cores/riscv/isa"
	"warren/fs/sys"
)

// A Text is an executable segment.
type Text struct {
	Addr  uint32
	Bytes []byte
}

// An Image is code, decoded once. It does not change, and what it says of an
// address counts, not what memory has there: where a program may write to its
// text, a fence.i gives the hart another Image.
type Image struct {
	segs  []*segment // in order of their addresses
	lacks isa.Set    // what its harts do not have
	made  int        // bytes that were decoded anew for fences on the way to this image
}

// mostMade bounds what is decoded anew: what changes after that is fetched from memory.
const mostMade = 4 << 20

// SyncCode makes the hart execute what its memory has now, as fence.i does. It
// gets an image of its own if that differs from the one it has.
func (h *Hart) SyncCode() {
	if h.Image == nil {
		return
	}
	next := &Image{lacks: h.Image.lacks, made: h.Image.made}
	changed := false
	for _, s := range h.Image.segs {
		mem := h.text(s)
		if mem == nil || bytes.Equal(mem, s.raw) {
			next.segs = append(next.segs, s)
			continue
		}
		changed = true
		if next.made += len(mem); next.made <= mostMade {
			next.segs = append(next.segs, newSegment(Text{s.base, mem}, next))
		}
	}
	if changed {
		h.Image = next
	}
}

// text returns the memory where a segment lies; nil if the hart cannot write there.
func (h *Hart) text(s *segment) []byte {
	for i := range h.Win {
		w := &h.Win[i]
		off, end := uint64(s.base-w.Base), uint64(s.base-w.Base)+uint64(len(s.raw))
		if end <= w.size() && end > uint64(w.RO) {
			return w.Mem[off:end]
		}
	}
	return nil
}

// NewImage decodes segments for harts that have everything; their bytes are
// copied. They begin at even addresses, end within the address space and do not
// overlap.
func NewImage(texts []Text) (*Image, error) { return NewImageFor(texts, isa.All) }

// NewImageFor is NewImage for harts with these extensions.
func NewImageFor(texts []Text, has isa.Set) (*Image, error) {
	im := &Image{lacks: isa.All &^ has}
	for _, t := range texts {
		switch end := uint64(t.Addr) + uint64(len(t.Bytes)); {
		case t.Addr&1 != 0:
			return nil, sys.Errorf(syscall.EINVAL, "text at odd address %#x", t.Addr)
		case end > 1<<32:
			return nil, sys.Errorf(syscall.EINVAL, "text at %#x ends behind the address space", t.Addr)
		case len(t.Bytes) > 0:
			im.segs = append(im.segs, newSegment(t, im))
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
	ins  []Inst   // each op as it was decoded
	pcs  []uint32 // of each op
	at   []uint32 // for every other address from base on: where its op is in ops, in bytes, or nowhere
}

func newSegment(t Text, im *Image) *segment {
	s := &segment{base: t.Addr, raw: slices.Clone(t.Bytes)}
	s.decode(im)
	return s
}

// half returns the 16 bits at an address of the segment.
func (s *segment) half(addr uint32) (uint32, bool) {
	if o := uint64(addr - s.base); o+2 <= uint64(len(s.raw)) {
		return uint32(binary.LittleEndian.Uint16(s.raw[o:])), true
	}
	return 0, false
}

// word returns the bits of the instruction at an address: the upper half is not
// looked at if it is compressed.
func (s *segment) word(addr uint32) (uint32, bool) {
	w, ok := s.half(addr)
	upper, more := s.half(addr + 2)
	return upper<<16 | w, ok && (w&3 != 3 || more)
}

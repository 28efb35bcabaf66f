package gdb

import (
	"encoding/hex"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// readMem replies with what can be read, which may be less than what is asked.
func (s *Session) readMem(args string) string {
	addr, n, err := span(args)
	if err != nil {
		return failure(err)
	}
	n = min(n, maxPacket/2, 1<<32-addr)
	if n == 0 {
		return failure(errSyntax) // an empty reply has another meaning
	}
	p := make([]byte, n)
	got, err := s.target.ReadMem(s.thread(), uint32(addr), p)
	if got == 0 {
		if err == nil {
			err = errRange
		}
		return failure(err)
	}
	return hex.EncodeToString(p[:got])
}

func (s *Session) writeHex(args string) string {
	return s.writeMem(args, func(text string) ([]byte, error) { return hex.DecodeString(text) })
}

func (s *Session) writeBinary(args string) string {
	return s.writeMem(args, func(text string) ([]byte, error) { return unescape(text), nil })
}

// writeMem does "addr,length:data". A write of nothing only asks whether we
// know the packet.
func (s *Session) writeMem(args string, decode func(string) ([]byte, error)) string {
	where, text, ok := strings.Cut(args, ":")
	addr, n, err := span(where)
	if err != nil {
		return failure(err)
	}
	data, err := decode(text)
	if err != nil || !ok || uint64(len(data)) != n {
		return failure(errSyntax)
	}
	if !fits(addr, n) {
		return failure(errRange)
	}
	if n == 0 {
		return "OK"
	}
	return done(s.target.WriteMem(s.thread(), uint32(addr), data))
}

// A point is a break- or watchpoint that gdb has set.
type point struct {
	kind    byte // the digit after Z
	addr, n uint32
}

// setPoint does "type,addr,kind": Z0 and Z1 are the same to the machine, but
// gdb may set both at one address. Setting one again does nothing.
func (s *Session) setPoint(args string) string {
	p, set, err := s.point(args)
	switch {
	case set == nil:
		return ""
	case err != nil:
		return failure(err)
	case set[p]:
		return "OK"
	case len(s.breaks) >= maxBreaks && !p.watches(), len(s.watches) >= maxWatches && p.watches():
		return failure(sys.ErrFull)
	}
	if !s.double(p) {
		if err := s.change(p, true); err != nil {
			return failure(err)
		}
	}
	set[p] = true
	return "OK"
}

func (s *Session) clearPoint(args string) string {
	p, set, err := s.point(args)
	switch {
	case set == nil:
		return ""
	case err != nil:
		return failure(err)
	case !set[p]:
		return "OK"
	}
	delete(set, p)
	if s.double(p) {
		return "OK"
	}
	return done(s.change(p, false))
}

// point reads a break- or watchpoint, and finds the set in which to look for
// it; nil for a type that we do not know.
func (s *Session) point(args string) (p point, set map[point]bool, err error) {
	kind, where, _ := strings.Cut(args, ",")
	if len(kind) != 1 || kind[0] < '0' || kind[0] > '4' {
		return p, nil, nil
	}
	p.kind, set = kind[0], s.breaks
	if p.watches() {
		set = s.watches
	}
	addr, n, err := span(where)
	if err != nil {
		return p, set, err
	}
	p.addr = uint32(addr)
	if !p.watches() { // n says how long the instruction is
		return p, set, nil
	}
	if n == 0 || !fits(addr, n) || n >= 1<<32 {
		return p, set, sys.Errorf(syscall.EFAULT, "gdb: a watchpoint on %d bytes at %#x", n, addr)
	}
	p.n = uint32(n)
	return p, set, nil
}

func (p point) watches() bool { return p.kind >= '2' }

// double reports whether the other type of breakpoint is set at p.
func (s *Session) double(p point) bool {
	other := p
	other.kind ^= '0' ^ '1'
	return !p.watches() && s.breaks[other]
}

func (s *Session) change(p point, on bool) error {
	if p.watches() {
		return s.target.SetWatch(p.addr, p.n, Watch(p.kind-'0'), on)
	}
	return s.target.SetBreak(p.addr, on)
}

// clear removes all that gdb has set. What the target has against it is
// nobody's concern any more.
func (s *Session) clear() {
	for _, set := range []map[point]bool{s.breaks, s.watches} {
		for p := range set {
			delete(set, p)
			if !s.double(p) {
				_ = s.change(p, false)
			}
		}
	}
}

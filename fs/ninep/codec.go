package ninep

import (
	"encoding/binary"
	"syscall"

	"warren/fs/sys"
)

var le = binary.LittleEndian

// Append adds the message, in the dialect's form, to b. It fails if the dialect
// has no such message or if a string or list is longer than 9P can say; then b
// is returned as it was.
func Append(b []byte, d Dialect, m *Msg) ([]byte, error) {
	if !m.Type.In(d) {
		return b, sys.Errorf(syscall.EOPNOTSUPP, "%s has no message of %v", d, m.Type)
	}
	start := len(b)
	e := encoder{b: append(b, 0, 0, 0, 0, byte(m.Type), byte(m.Tag), byte(m.Tag>>8)), d: d}
	for i := range layouts[m.Type].fields {
		f := &layouts[m.Type].fields[i]
		if f.only == 0 || f.only.has(d) {
			e.field(f.at(m))
		}
	}
	if e.long {
		return b[:start], sys.Errorf(syscall.EMSGSIZE, "%v: a string or list is too long for 9P", m.Type)
	}
	le.PutUint32(e.b[start:], uint32(len(e.b)-start))
	return e.b, nil
}

// An encoder appends fields; long is set if one is too long.
type encoder struct {
	b    []byte
	d    Dialect
	long bool
}

func (e *encoder) field(p any) {
	switch v := p.(type) {
	case *uint8:
		e.b = append(e.b, *v)
	case *uint16:
		e.u16(*v)
	case *uint32:
		e.u32(*v)
	case *uint64:
		e.u64(*v)
	case *missing:
		e.u32(uint32(*v))
	case *string:
		e.str(*v)
	case *[]byte:
		e.u32(uint32(len(*v)))
		e.b = append(e.b, *v...)
	case *[]string:
		e.count(len(*v))
		for _, s := range *v {
			e.str(s)
		}
	case *[]Qid:
		e.count(len(*v))
		for i := range *v {
			e.qid(&(*v)[i])
		}
	case *Qid:
		e.qid(v)
	default:
		e.record(p)
	}
}

// record appends a field that is a structure.
func (e *encoder) record(p any) {
	switch v := p.(type) {
	case *Stat:
		at := len(e.b)
		e.u16(0)
		e.stat(v)
		n := len(e.b) - at - 2
		e.long = e.long || n > maxString
		le.PutUint16(e.b[at:], uint16(n))
	case *Attr:
		e.attr(v)
	case *SetAttr:
		e.u32(v.Valid, v.Mode, v.UID, v.GID)
		e.u64(v.Size, v.AtimeSec, v.Atime, v.MtimeSec, v.Mtime)
	case *Statfs:
		e.u32(v.Type, v.Bsize)
		e.u64(v.Blocks, v.Bfree, v.Bavail, v.Files, v.Ffree, v.FSID)
		e.u32(v.Namelen)
	case *Lock:
		e.b = append(e.b, v.Type)
		e.u32(v.Flags)
		e.lock((*lockFields)(v))
	case *lockFields:
		e.b = append(e.b, v.Type)
		e.lock(v)
	}
}

func (e *encoder) u16(v uint16) { e.b = le.AppendUint16(e.b, v) }

func (e *encoder) u32(vs ...uint32) {
	for _, v := range vs {
		e.b = le.AppendUint32(e.b, v)
	}
}

func (e *encoder) u64(vs ...uint64) {
	for _, v := range vs {
		e.b = le.AppendUint64(e.b, v)
	}
}

func (e *encoder) str(s string) {
	if len(s) > maxString {
		e.long, s = true, ""
	}
	e.u16(uint16(len(s)))
	e.b = append(e.b, s...)
}

// count appends the length of a list.
func (e *encoder) count(n int) {
	e.long = e.long || n > MaxWalk
	e.u16(uint16(n))
}

func (e *encoder) qid(q *Qid) {
	e.b = append(e.b, q.Type)
	e.u32(q.Vers)
	e.u64(q.Path)
}

func (e *encoder) attr(a *Attr) {
	e.u32(a.Mode, a.UID, a.GID)
	e.u64(a.Nlink, a.Rdev, a.Size, a.Blksize, a.Blocks)
	e.u64(a.AtimeSec, a.Atime, a.MtimeSec, a.Mtime, a.CtimeSec, a.Ctime, a.BtimeSec, a.Btime)
	e.u64(a.Gen, a.DataVersion)
}

// lock appends what Tlock and Tgetlock have in common after the type.
func (e *encoder) lock(l *lockFields) {
	e.u64(l.Start, l.Length)
	e.u32(l.PID)
	e.str(l.Client)
}

// A Decoder decodes messages of a dialect. It remembers short strings, so that
// names which come again and again are not allocated again and again. The
// zero Decoder is ready, for 9P2000.
type Decoder struct {
	Dialect Dialect
	names   map[string]string
}

// What a Decoder remembers at most.
const (
	internLen   = 64  // bytes of a string
	internCount = 256 // strings
)

// Decode takes a whole message, its size included. Every length in it is
// checked; m.Data is part of the frame. A message that ends too early or too
// late, or that the dialect does not have, is an error, with m.Type and m.Tag
// set if the frame holds them.
func (dc *Decoder) Decode(m *Msg, frame []byte) error {
	if len(frame) < HeaderSize || uint64(le.Uint32(frame)) != uint64(len(frame)) {
		return sys.Errorf(syscall.EBADMSG, "message of %d bytes does not have the size that it says", len(frame))
	}
	m.Type, m.Tag = Type(frame[4]), le.Uint16(frame[5:])
	if !m.Type.In(dc.Dialect) {
		return sys.Errorf(syscall.EOPNOTSUPP, "%s has no message of %v", dc.Dialect, m.Type)
	}
	m.NUname, m.Errno, m.Ext = NoUID, 0, ""
	r := decoder{b: frame[HeaderSize:], Decoder: dc}
	for i := range layouts[m.Type].fields {
		f := &layouts[m.Type].fields[i]
		if f.only == 0 || f.only.has(dc.Dialect) {
			r.field(f.at(m))
		}
	}
	if r.bad || len(r.b) > 0 {
		return sys.Errorf(syscall.EBADMSG, "malformed %v: its fields do not fill its %d bytes", m.Type, len(frame))
	}
	return nil
}

// A decoder takes fields off b; after one that does not fit, bad is set and
// all fields are zero.
type decoder struct {
	b   []byte
	bad bool
	*Decoder
}

func (r *decoder) field(p any) {
	switch v := p.(type) {
	case *uint8:
		*v = r.u8()
	case *uint16:
		*v = r.u16()
	case *uint32:
		*v = r.u32()
	case *uint64:
		*v = r.u64()
	case *missing:
		*v = 0
		if len(r.b) > 0 {
			*v = missing(r.u32())
		}
	case *string:
		*v = r.str()
	case *[]byte:
		*v = r.take(int(r.u32()))
	case *[]string:
		*v = (*v)[:0]
		for range r.count() {
			*v = append(*v, r.str())
		}
	case *[]Qid:
		*v = (*v)[:0]
		for range r.count() {
			*v = append(*v, r.qid())
		}
	case *Qid:
		*v = r.qid()
	default:
		r.record(p)
	}
}

// record takes a field that is a structure.
func (r *decoder) record(p any) {
	switch v := p.(type) {
	case *Stat:
		outer := r.u16()
		r.bad = r.bad || int(outer) != len(r.b)
		r.stat(v)
	case *Attr:
		r.attr(v)
	case *SetAttr:
		r.u32s(&v.Valid, &v.Mode, &v.UID, &v.GID)
		r.u64s(&v.Size, &v.AtimeSec, &v.Atime, &v.MtimeSec, &v.Mtime)
	case *Statfs:
		r.u32s(&v.Type, &v.Bsize)
		r.u64s(&v.Blocks, &v.Bfree, &v.Bavail, &v.Files, &v.Ffree, &v.FSID)
		v.Namelen = r.u32()
	case *Lock:
		v.Type, v.Flags = r.u8(), r.u32()
		r.lock((*lockFields)(v))
	case *lockFields:
		v.Type, v.Flags = r.u8(), 0
		r.lock(v)
	}
}

// take returns the next n bytes, nil if there are fewer.
func (r *decoder) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *decoder) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *decoder) u16() uint16 {
	if p := r.take(2); p != nil {
		return le.Uint16(p)
	}
	return 0
}

func (r *decoder) u32() uint32 {
	if p := r.take(4); p != nil {
		return le.Uint32(p)
	}
	return 0
}

func (r *decoder) u64() uint64 {
	if p := r.take(8); p != nil {
		return le.Uint64(p)
	}
	return 0
}

func (r *decoder) u32s(vs ...*uint32) {
	for _, v := range vs {
		*v = r.u32()
	}
}

func (r *decoder) u64s(vs ...*uint64) {
	for _, v := range vs {
		*v = r.u64()
	}
}

// count takes the length of a list.
func (r *decoder) count() int {
	n := int(r.u16())
	if n > MaxWalk {
		r.bad, n = true, 0
	}
	return n
}

func (r *decoder) str() string {
	p := r.take(int(r.u16()))
	if len(p) == 0 || len(p) > internLen {
		return string(p)
	}
	if s, ok := r.names[string(p)]; ok {
		return s
	}
	if r.names == nil || len(r.names) >= internCount {
		r.names = make(map[string]string)
	}
	s := string(p)
	r.names[s] = s
	return s
}

func (r *decoder) qid() Qid { return Qid{r.u8(), r.u32(), r.u64()} }

func (r *decoder) attr(a *Attr) {
	r.u32s(&a.Mode, &a.UID, &a.GID)
	r.u64s(&a.Nlink, &a.Rdev, &a.Size, &a.Blksize, &a.Blocks)
	r.u64s(&a.AtimeSec, &a.Atime, &a.MtimeSec, &a.Mtime, &a.CtimeSec, &a.Ctime, &a.BtimeSec, &a.Btime)
	r.u64s(&a.Gen, &a.DataVersion)
}

func (r *decoder) lock(l *lockFields) {
	r.u64s(&l.Start, &l.Length)
	l.PID, l.Client = r.u32(), r.str()
}

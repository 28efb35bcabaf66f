package ninep

import (
	"bufio"
	"io"
	"syscall"

	"warren/fs/sys"
)

// AppendStat adds a stat record, as the data of a directory read holds them.
func AppendStat(b []byte, d Dialect, s *Stat) []byte {
	e := encoder{b: b, d: d}
	e.stat(s)
	return e.b
}

// DecodeStat takes the first stat record off b and returns what follows it.
func (dc *Decoder) DecodeStat(b []byte, s *Stat) (rest []byte, err error) {
	if len(b) < 2 || int(le.Uint16(b)) > len(b)-2 {
		return nil, sys.Errorf(syscall.EBADMSG, "stat record is cut")
	}
	n := int(le.Uint16(b)) + 2
	r := decoder{b: b[:n], Decoder: dc}
	r.stat(s)
	if r.bad || len(r.b) > 0 {
		return nil, sys.Errorf(syscall.EBADMSG, "malformed stat record of %d bytes", n)
	}
	return b[n:], nil
}

// stat appends a record with its own length before it.
func (e *encoder) stat(s *Stat) {
	at := len(e.b)
	e.u16(0)
	e.u16(s.Type)
	e.u32(s.Dev)
	e.qid(&s.Qid)
	e.u32(s.Mode, s.Atime, s.Mtime)
	e.u64(s.Length)
	e.str(s.Name)
	e.str(s.UID)
	e.str(s.GID)
	e.str(s.MUID)
	if e.d == DotU {
		e.str(s.Ext)
		e.u32(s.NUID, s.NGID, s.NMUID)
	}
	n := len(e.b) - at - 2
	e.long = e.long || n > maxString
	le.PutUint16(e.b[at:], uint16(n))
}

// stat takes a record that must fill b.
func (r *decoder) stat(s *Stat) {
	n := r.u16()
	r.bad = r.bad || int(n) != len(r.b)
	s.Type, s.Dev, s.Qid = r.u16(), r.u32(), r.qid()
	r.u32s(&s.Mode, &s.Atime, &s.Mtime)
	s.Length = r.u64()
	s.Name, s.UID, s.GID, s.MUID = r.str(), r.str(), r.str(), r.str()
	s.Ext, s.NUID, s.NGID, s.NMUID = "", NoUID, NoUID, NoUID
	if r.Dialect == DotU {
		s.Ext = r.str()
		r.u32s(&s.NUID, &s.NGID, &s.NMUID)
	}
}

// BlankStat is the record of a Twstat that changes nothing: the fields that
// are to be set are to be put into it.
func BlankStat() Stat {
	const none = 1<<32 - 1
	return Stat{
		Type: 1<<16 - 1, Dev: none, Qid: Qid{0xff, none, 1<<64 - 1},
		Mode: none, Atime: none, Mtime: none, Length: 1<<64 - 1,
		NUID: none, NGID: none, NMUID: none,
	}
}

// A Dirent is one entry in the data of an Rreaddir.
type Dirent struct {
	Qid  Qid
	Next uint64 // the offset that a Treaddir goes on with after this one
	Type uint8  // Linux's d_type: 4 a directory, 8 a file
	Name string
}

// AppendDirent adds an entry.
func AppendDirent(b []byte, de *Dirent) []byte {
	e := encoder{b: b}
	e.qid(&de.Qid)
	e.u64(de.Next)
	e.b = append(e.b, de.Type)
	e.str(de.Name)
	return e.b
}

// DecodeDirent takes the first entry off b and returns what follows it.
func (dc *Decoder) DecodeDirent(b []byte, de *Dirent) (rest []byte, err error) {
	r := decoder{b: b, Decoder: dc}
	de.Qid, de.Next, de.Type, de.Name = r.qid(), r.u64(), r.u8(), r.str()
	if r.bad {
		return nil, sys.Errorf(syscall.EBADMSG, "directory entry is cut")
	}
	return r.b, nil
}

// ReadFrame reads one whole message of at most msize bytes, into buf if it is
// big enough. The end of the stream between messages is io.EOF.
func ReadFrame(r *bufio.Reader, buf []byte, msize uint32) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := le.Uint32(head)
	if n < HeaderSize || n > msize {
		return nil, sys.Errorf(syscall.EBADMSG, "message says it has %d bytes; from %d to %d are possible", n, HeaderSize, msize)
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err = io.ReadFull(r, buf); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf, err
}

package client

import (
	"context"
	"io"
	"path"
	"sync"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// A File is an open file of the server. Read and Write go on from where the
// last one ended, as those of an os.File, but of a stream each for itself, so
// that both may go on at once; ReadAt does not. Each Read is one
// Tread: of a stream it returns one message, or as much of it as fits.
type File struct {
	fid    *fid
	iounit int
	kind   fs.Kind
	turn   chan struct{} // held by the Read whose turn it is

	mu     sync.Mutex
	off    int64
	sent   int64 // the offset of writes to a stream, which has two directions
	count  int   // asked for by the last read
	got    int   // and what it got
	closed bool
}

var _ interface {
	io.ReadWriteCloser
	io.ReaderAt
} = (*File)(nil)

// Open opens a file.
func (cl *Client) Open(ctx context.Context, name string, flags fs.Flags) (*File, error) {
	f, err := cl.root.walk(ctx, split(name)...)
	if err != nil {
		return nil, err
	}
	iounit, err := f.open(ctx, flags)
	if err != nil {
		f.drop()
		return nil, err
	}
	kind := cl.kindOf(f.qid, path.Base(name))
	return &File{fid: f, iounit: iounit, kind: kind, turn: make(chan struct{}, 1)}, nil
}

// open opens the fid and returns the most bytes of a read or write.
func (f *fid) open(ctx context.Context, flags fs.Flags) (iounit int, err error) {
	m := ninep.Msg{Type: ninep.Topen, Fid: f.num, Mode: openMode(f.c.dialect, flags)}
	if f.c.dialect == ninep.DotL {
		m = ninep.Msg{Type: ninep.Tlopen, Fid: f.num, Flags: openFlags(flags)}
	}
	err = f.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		f.qid = r.Qid
		iounit = int(r.Iounit)
		return nil
	})
	if most := int(f.c.msize - ninep.IOSize); iounit <= 0 || iounit > most {
		iounit = most
	}
	return iounit, err
}

// openMode says flags in 9P2000's numbers.
func openMode(d ninep.Dialect, flags fs.Flags) uint8 {
	var mode uint8
	switch {
	case flags&fs.ORead != 0 && flags&fs.OWrite != 0:
		mode = ninep.ModeRDWR
	case flags&fs.OWrite != 0:
		mode = ninep.ModeWrite
	case flags&fs.OExec != 0:
		mode = ninep.ModeExec
	}
	if flags&fs.OTrunc != 0 {
		mode |= ninep.ModeTrunc
	}
	if flags&fs.OAppend != 0 && d == ninep.DotU {
		mode |= ninep.ModeAppend
	}
	return mode
}

// openFlags says flags in Linux's numbers.
func openFlags(flags fs.Flags) uint32 {
	var l uint32
	switch {
	case flags&fs.ORead != 0 && flags&fs.OWrite != 0:
		l = ninep.LRdWr
	case flags&fs.OWrite != 0:
		l = ninep.LWrOnly
	}
	for _, bit := range [...]struct {
		flag  fs.Flags
		linux uint32
	}{{fs.OTrunc, ninep.LTrunc}, {fs.OAppend, ninep.LAppend}, {fs.ONonblock, ninep.LNonblock}} {
		if flags&bit.flag != 0 {
			l |= bit.linux
		}
	}
	return l
}

// IOUnit returns the most bytes that one message can carry: a buffer of this
// size is filled by one read, and written by one write.
func (f *File) IOUnit() int { return f.iounit }

// Kind says how the file behaves, as far as that can be known from here.
func (f *File) Kind() fs.Kind { return f.kind }

// Read is ReadContext without an end.
func (f *File) Read(p []byte) (int, error) { return f.ReadContext(context.Background(), p) }

// Write is WriteContext without an end.
func (f *File) Write(p []byte) (int, error) { return f.WriteContext(context.Background(), p) }

// ReadContext reads at most len(p) bytes with one Tread; io.EOF at the end.
// When ctx ends it returns its error, unless the server has already answered.
// Reads of one File are served one after the other.
func (f *File) ReadContext(ctx context.Context, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	p = p[:min(len(p), f.iounit)]
	f.mu.Lock()
	off, again, closed := f.off, f.continues(len(p)), f.closed
	f.mu.Unlock()
	if closed {
		return 0, sys.ErrClosed
	}
	n, err := f.fid.read(ctx, p, off)
	if n == 0 && err == nil && again {
		n, err = f.fid.read(ctx, p, off)
	}
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	f.off, f.count, f.got = off+int64(n), len(p), n
	f.mu.Unlock()
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// continues says that a read of count bytes looks like Linux v9fs asking for
// the rest of a short read, which servers of ours answer once with nothing
// (in 9P2000.L): then nothing is not yet the end. f.mu is held.
func (f *File) continues(count int) bool {
	return f.fid.c.dialect == ninep.DotL && f.got > 0 && f.got < f.count && count <= f.count-f.got
}

// read is one Tread.
func (f *fid) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	m := ninep.Msg{Type: ninep.Tread, Fid: f.num, Offset: uint64(off), Count: uint32(len(p))}
	err = f.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		if len(r.Data) > len(p) {
			return badReply("Rread of %d bytes where %d were asked for", len(r.Data), len(p))
		}
		n = copy(p, r.Data)
		return nil
	})
	return n, err
}

// ReadAt fills p from off on, with as many reads as it takes; io.EOF if the
// file ends before. It is not for streams.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+f.iounit)]
		n, err := f.fid.read(context.Background(), part, off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
	}
	return done, nil
}

// WriteContext writes p, with more than one Twrite only if it is longer than
// IOUnit: a stream takes no such message (EMSGSIZE). When ctx ends it returns
// its error and what was written, unless the server has already answered.
func (f *File) WriteContext(ctx context.Context, p []byte) (int, error) {
	if f.kind == fs.Stream && len(p) > f.iounit {
		return 0, sys.Errorf(syscall.EMSGSIZE, "message of %d bytes is too long: the server takes %d", len(p), f.iounit)
	}
	f.mu.Lock()
	at := &f.off
	if f.kind == fs.Stream {
		at = &f.sent
	}
	off, closed := *at, f.closed
	f.mu.Unlock()
	if closed {
		return 0, sys.ErrClosed
	}
	advance := func(off int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		*at = off
	}
	done := 0
	for {
		n, err := f.fid.write(ctx, p[done:min(len(p), done+f.iounit)], off+int64(done))
		done += n
		if err != nil || done == len(p) {
			advance(off + int64(done))
			return done, err
		}
		if n == 0 {
			advance(off + int64(done))
			return done, io.ErrShortWrite
		}
	}
}

// write is one Twrite.
func (f *fid) write(ctx context.Context, p []byte, off int64) (n int, err error) {
	m := ninep.Msg{Type: ninep.Twrite, Fid: f.num, Offset: uint64(off), Data: p}
	err = f.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		if int64(r.Count) > int64(len(p)) {
			return badReply("Rwrite of %d bytes where %d were sent", r.Count, len(p))
		}
		n = int(r.Count)
		return nil
	})
	return n, err
}

// closeTime bounds the wait for the answer to a Tclunk.
const closeTime = 10 * time.Second

// Close closes the file and waits until the server has done so. No read or
// write may be in flight.
func (f *File) Close() error {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return sys.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return f.fid.clunk(ctx)
}

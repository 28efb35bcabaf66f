package bench9

import (
	"context"
	"errors"
	"fmt"
	"time"

	"warren/fs/ninep"
)

// Parked is reads of a stream that wait, all on one connection, and another
// connection that wakes one at a time.
type Parked struct {
	reader, writer *client
	offs           []uint64 // of each fid, where the next read is
	message        []byte   // the write that wakes one
	frame          []byte
	woken          int // the fid that was
}

// OpenParked opens a stream's file n times to read, and once to write.
func OpenParked(ctx context.Context, t Target, path string, n int) (*Parked, error) {
	p := &Parked{offs: make([]uint64, n)}
	var err error
	if p.reader, err = dial(ctx, t, 2*msize); err != nil {
		return nil, err
	}
	if p.writer, err = dial(ctx, t, 2*msize); err != nil {
		p.reader.close()
		return nil, err
	}
	if err := p.open(ctx, split(path)); err != nil {
		p.Close()
		return nil, fmt.Errorf("%s: %s: %w", t.Name, path, err)
	}
	return p, nil
}

// Close hangs up.
func (p *Parked) Close() {
	p.reader.close()
	p.writer.close()
}

func (p *Parked) open(ctx context.Context, path []string) error {
	defer p.reader.until(ctx)()
	for i := range p.offs {
		c := chain{fid: p.fid(i), path: path, dialect: p.reader.dialect}
		if _, err := p.reader.calls(openSetup(c)); err != nil {
			return err
		}
	}
	defer p.writer.until(ctx)()
	c := chain{fid: p.fid(0), path: path, dialect: p.writer.dialect}
	if _, err := p.writer.calls(sinkSetup(c)); err != nil {
		return err
	}
	frames, err := p.writer.encode(0, []ninep.Msg{{Type: ninep.Twrite, Fid: c.fid, Data: make([]byte, SmallSize)}})
	if err != nil {
		return err
	}
	p.message = frames[0]
	return nil
}

func (p *Parked) fid(i int) uint32 { return rootFid + 1 + uint32(i) }

// Park has a read wait at every open file.
func (p *Parked) Park(ctx context.Context) error {
	defer p.reader.until(ctx)()
	for i := range p.offs {
		if err := p.park(i); err != nil {
			return err
		}
	}
	return nil
}

// park has a read wait. A flush of nothing behind it says when it does.
func (p *Parked) park(i int) error {
	const oldest = ninep.NoTag - 1 // no read has this tag
	p.frame = p.frame[:0]
	for _, m := range [...]ninep.Msg{
		{Type: ninep.Tread, Tag: uint16(i), Fid: p.fid(i), Offset: p.offs[i], Count: 2 * SmallSize},
		{Type: ninep.Tflush, Tag: oldest, Oldtag: oldest},
	} {
		var err error
		if p.frame, err = ninep.Append(p.frame, p.reader.dialect, &m); err != nil {
			return err
		}
	}
	if err := p.reader.write(p.frame); err != nil {
		return err
	}
	return p.reader.replies(func(reply []byte) error {
		if ninep.Type(reply[4]) != ninep.Rflush {
			return errors.New("a read that should wait was answered")
		}
		return nil
	})
}

// Wake wakes a read and returns how long its answer took from the write on. The
// read waits again when Wake returns.
func (p *Parked) Wake(ctx context.Context) (time.Duration, error) {
	defer p.reader.until(ctx)()
	defer p.writer.until(ctx)()
	p.woken = -1
	begin := time.Now()
	if err := p.writer.write(p.message); err != nil {
		return 0, err
	}
	if err := p.reader.replies(p.answered); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	err := p.writer.replies(func(reply []byte) error { return p.writer.expect(p.message, reply) })
	if err != nil {
		return 0, err
	}
	p.offs[p.woken] += SmallSize
	return took, p.park(p.woken)
}

func (p *Parked) answered(reply []byte) error {
	tag := int(reply[5]) | int(reply[6])<<8
	if ninep.Type(reply[4]) != ninep.Rread || len(reply) != ninep.ReadSize+SmallSize || tag >= len(p.offs) || p.woken >= 0 {
		return fmt.Errorf("a parked read was answered with a %v of %d bytes", ninep.Type(reply[4]), len(reply))
	}
	p.woken = tag
	return nil
}

// Mkdir makes the directory that a file is to be in.
func Mkdir(ctx context.Context, t Target, file string) error {
	c, err := dial(ctx, t, 2*msize)
	if err != nil {
		return err
	}
	defer c.close()
	defer c.until(ctx)()
	path := split(file)
	up, name := path[:len(path)-2], path[len(path)-2]
	_, err = c.calls([]ninep.Msg{
		chain{fid: rootFid + 1, path: up, dialect: c.dialect}.walk(),
		{Type: ninep.Tmkdir, Fid: rootFid + 1, Name: name, Perm: 0o755},
	})
	return err
}

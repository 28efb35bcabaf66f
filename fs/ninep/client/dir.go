package client

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// maxEntries bounds what a directory of a hostile server can cost.
const maxEntries = 1 << 20

// ReadDir lists a directory. In 9P2000.L each entry costs calls of its own;
// an entry that goes away meanwhile is left out.
func (cl *Client) ReadDir(ctx context.Context, name string) ([]fs.Stat, error) {
	dir, err := cl.root.walk(ctx, split(name)...)
	if err != nil {
		return nil, err
	}
	defer dir.drop()
	d := &dirReader{cl: cl, of: dir}
	defer d.close()
	var all []fs.Stat
	err = d.list(ctx, 0, func(st fs.Stat, _ uint64) bool {
		all = append(all, st)
		return len(all) <= maxEntries
	})
	if err == nil && len(all) > maxEntries {
		err = sys.Errorf(syscall.EFBIG, "directory has more than %d entries", maxEntries)
	}
	return all, err
}

// A dirReader reads a directory a chunk at a time. Cookies are offsets: of
// records in 9P2000 and .u, where only the end of the last chunk can be read
// on from, the server's own in .L.
type dirReader struct {
	cl   *Client
	of   *fid // the directory, not open
	open *fid
	base uint64 // offset of the chunk
	data []byte // the chunk: stat records
}

func (d *dirReader) close() {
	if d.open != nil {
		d.open.drop()
		d.open = nil
	}
}

// list yields the entries from a cookie on.
func (d *dirReader) list(ctx context.Context, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if d.of.qid.Type&fs.QTDir == 0 {
		return sys.ErrNotDir
	}
	if d.cl.c.dialect == ninep.DotL {
		return d.listEntries(ctx, cookie, yield)
	}
	return d.listRecords(ctx, cookie, yield)
}

// start opens the directory, if it is not open.
func (d *dirReader) start(ctx context.Context) error {
	if d.open != nil {
		return nil
	}
	f, err := d.of.walk(ctx)
	if err != nil {
		return err
	}
	if _, err = f.open(ctx, fs.ORead); err != nil {
		f.drop()
		return err
	}
	d.open, d.base, d.data = f, 0, nil
	return nil
}

// listRecords is list by Tread.
func (d *dirReader) listRecords(ctx context.Context, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if d.open != nil && cookie < d.base {
		d.close()
	}
	for {
		if err := d.start(ctx); err != nil {
			return err
		}
		if end := d.base + uint64(len(d.data)); cookie >= end {
			n, err := d.next(ctx)
			if err != nil || n == 0 {
				return err
			}
			continue
		}
		st, next, err := d.record(cookie)
		if err != nil {
			return err
		}
		if st.Name != "." && st.Name != ".." && !yield(st, next) {
			return nil
		}
		cookie = next
	}
}

// next reads the next chunk and returns its length, 0 at the end.
func (d *dirReader) next(ctx context.Context) (int, error) {
	buf := make([]byte, min(d.cl.c.msize-ninep.IOSize, 64<<10))
	end := d.base + uint64(len(d.data))
	n, err := d.open.read(ctx, buf, int64(end))
	if err == nil {
		d.base, d.data = end, buf[:n]
	}
	return n, err
}

// record decodes the record at a cookie that lies in the chunk.
func (d *dirReader) record(cookie uint64) (fs.Stat, uint64, error) {
	dc := ninep.Decoder{Dialect: d.cl.c.dialect}
	var rec ninep.Stat
	in := d.data[cookie-d.base:]
	rest, err := dc.DecodeStat(in, &rec)
	if err != nil {
		return fs.Stat{}, 0, err
	}
	return d.cl.recordStat(&rec), cookie + uint64(len(in)-len(rest)), nil
}

// listEntries is list by Treaddir.
func (d *dirReader) listEntries(ctx context.Context, cookie uint64, yield func(fs.Stat, uint64) bool) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	for {
		entries, err := d.entries(ctx, cookie)
		if err != nil || len(entries) == 0 {
			return err
		}
		stats := d.stats(ctx, entries)
		for i, e := range entries {
			if e.Next == cookie {
				return badReply("Rreaddir that leads back to offset %d", cookie)
			}
			cookie = e.Next
			if stats[i].Name == "" {
				continue
			}
			if !yield(stats[i], cookie) {
				return nil
			}
		}
	}
}

// entries is one Treaddir.
func (d *dirReader) entries(ctx context.Context, cookie uint64) ([]ninep.Dirent, error) {
	count := min(d.cl.c.msize-ninep.IOSize, 64<<10)
	var entries []ninep.Dirent
	m := ninep.Msg{Type: ninep.Treaddir, Fid: d.open.num, Offset: cookie, Count: count}
	err := d.cl.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		var dc ninep.Decoder
		for data := r.Data; len(data) > 0; {
			var e ninep.Dirent
			var err error
			if data, err = dc.DecodeDirent(data, &e); err != nil {
				return err
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// statWorkers is how many entries are asked about at a time.
const statWorkers = 16

// stats asks about the entries; of one that is gone, or "." or "..", the name
// stays empty. One that may not be looked at has a name and a qid only.
func (d *dirReader) stats(ctx context.Context, entries []ninep.Dirent) []fs.Stat {
	stats := make([]fs.Stat, len(entries))
	var wg sync.WaitGroup
	turns := make(chan struct{}, statWorkers)
	for i := range entries {
		e := &entries[i]
		if e.Name == "." || e.Name == ".." || e.Name == "" {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			st, err := d.child(ctx, e.Name)
			if errors.Is(err, syscall.ENOENT) {
				return
			}
			if err != nil {
				st = fs.Stat{Qid: d.cl.localQid(e.Qid, e.Name), Name: e.Name}
			}
			stats[i] = st
		})
	}
	wg.Wait()
	return stats
}

func (d *dirReader) child(ctx context.Context, name string) (fs.Stat, error) {
	f, err := d.of.walk(ctx, name)
	if err != nil {
		return fs.Stat{}, err
	}
	defer f.drop()
	return d.cl.stat(ctx, f, name)
}

package fuse

import (
	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
)

// OpenDir opens a directory for listing, with the opener's rights.
func (s *server) OpenDir(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	return s.status(s.open(cancel, &in.InHeader, in.NodeId, in.Flags, out))
}

// ReleaseDir ends a listing.
func (s *server) ReleaseDir(in *gofuse.ReleaseIn) { s.files.release(s, in.Fh) }

// ReadDir lists names.
func (s *server) ReadDir(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return s.list(cancel, in, func(_ *fs.Call, _ *node, _ *fs.Stat, e gofuse.DirEntry) bool {
		return out.AddDirEntry(e)
	})
}

// ReadDirPlus lists names, and tells of the files whose names may be trusted:
// of others the kernel would have to ask again at once.
func (s *server) ReadDirPlus(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return s.list(cancel, in, func(c *fs.Call, dir *node, st *fs.Stat, e gofuse.DirEntry) bool {
		entry := out.AddDirLookupEntry(e)
		if entry == nil {
			return false
		}
		if st == nil {
			return true
		}
		if nameFor(dir, st.Qid) > 0 {
			// A file that cannot be entered is looked up when it is used.
			_, _ = s.enter(c, dir, e.Name, entry)
		}
		return true
	})
}

// Positions in a listing: after ".", after "..", and from there on the
// directory's own cookies.
const (
	afterDot    = 1
	afterDotDot = 2
)

// list adds entries from a position on until one does not fit. st is nil for
// "." and "..".
func (s *server) list(cancel <-chan struct{}, in *gofuse.ReadIn, add func(c *fs.Call, dir *node, st *fs.Stat, e gofuse.DirEntry) bool) gofuse.Status {
	f := s.files.get(in.Fh)
	if f == nil {
		return gofuse.EBADF
	}
	defer f.done(s)
	r := s.request(f.user, &in.InHeader, nil, false)
	r.watch(cancel, f.from)
	defer r.free()
	c, dir := &r.call, f.from
	for pos := in.Offset; pos < afterDotDot; pos++ {
		if !add(c, dir, nil, dots(c, dir.file, pos)) {
			return gofuse.OK
		}
	}
	from := max(in.Offset, afterDotDot) - afterDotDot
	return s.status(dir.file.List(c, from, func(st fs.Stat, next uint64) bool {
		return add(c, dir, &st, gofuse.DirEntry{
			Name: st.Name,
			Ino:  st.Qid.Path,
			Mode: fileType(st.Qid.Kind),
			Off:  next + afterDotDot,
		})
	}))
}

// dots returns the entry of "." or "..".
func dots(c *fs.Call, dir fs.Node, pos uint64) gofuse.DirEntry {
	e := gofuse.DirEntry{Name: ".", Ino: dir.Qid().Path, Mode: fileType(fs.Directory), Off: afterDot}
	if pos == 0 {
		return e
	}
	e.Name, e.Off = "..", afterDotDot
	if up, err := dir.Walk(c, ".."); err == nil {
		e.Ino = up.Qid().Path
		up.Release()
	}
	return e
}

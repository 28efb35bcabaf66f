package fuse

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"warren/fs"
	"warren/fs/sys"
)

// GetXAttr is getxattr(2): the one attribute that there is holds the text of
// the caller's last error, of which the kernel passed on a number only.
func (s *server) GetXAttr(cancel <-chan struct{}, h *gofuse.InHeader, name string, dest []byte) (uint32, gofuse.Status) {
	if name != fs.ErrorAttr {
		return 0, gofuse.ENODATA
	}
	text, err := s.lastError(cancel, h)
	if err != nil {
		return 0, s.status(err)
	}
	return fill(dest, text)
}

// ListXAttr is listxattr(2).
func (s *server) ListXAttr(cancel <-chan struct{}, h *gofuse.InHeader, dest []byte) (uint32, gofuse.Status) {
	_, err := s.lastError(cancel, h)
	switch {
	case sys.Errno(err) == syscall.ENODATA:
		return 0, gofuse.OK
	case err != nil:
		return 0, s.status(err)
	}
	return fill(dest, fs.ErrorAttr+"\x00")
}

func (s *server) lastError(cancel <-chan struct{}, h *gofuse.InHeader) (string, error) {
	n := s.nodes.get(h.NodeId)
	if n == nil {
		return "", syscall.ESTALE
	}
	r := s.begin(cancel, h, n)
	defer r.free()
	return fs.LastError(n.file, &r.call)
}

// fill copies a value, or tells how long it is to a caller with no room for it.
func fill(dest []byte, value string) (uint32, gofuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), gofuse.ERANGE
	}
	return uint32(copy(dest, value)), gofuse.OK
}

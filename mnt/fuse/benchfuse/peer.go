package benchfuse

import (
	"strings"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// peer is the least that go-fuse needs to serve one file below directories:
// node ids are places in the path, 1 being the root.
type peer struct {
	gofuse.RawFileSystem

	names []string
	text  []byte
}

// The times that the mount of a tree uses.
const (
	nameTime = 10 * time.Second
	attrTime = time.Second
)

func mountPeer(dir, path string, text []byte) (*gofuse.Server, error) {
	p := &peer{gofuse.NewDefaultRawFileSystem(), strings.Split(path, "/"), text}
	srv, err := gofuse.NewServer(p, dir, &gofuse.MountOptions{
		Name: "peer", FsName: "peer", DirectMount: true, DisableXAttrs: true, MaxBackground: 64, AllowOther: syscall.Geteuid() == 0,
	})
	if err != nil {
		return nil, err
	}
	go srv.Serve()
	return srv, srv.WaitMount()
}

func (p *peer) String() string { return "peer" }

func (p *peer) attr(id uint64, a *gofuse.Attr) {
	a.Ino, a.Mode, a.Nlink = id, syscall.S_IFDIR|0o755, 1
	if int(id) == len(p.names)+1 {
		a.Mode = syscall.S_IFREG | 0o444
	}
}

func (p *peer) Lookup(_ <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	at := int(h.NodeId) - 1
	if at >= len(p.names) || p.names[at] != name {
		return gofuse.ENOENT
	}
	out.NodeId = h.NodeId + 1
	p.attr(out.NodeId, &out.Attr)
	out.SetEntryTimeout(nameTime)
	out.SetAttrTimeout(attrTime)
	return gofuse.OK
}

func (p *peer) Forget(uint64, uint64) {}

func (p *peer) GetAttr(_ <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	p.attr(in.NodeId, &out.Attr)
	out.SetTimeout(attrTime)
	return gofuse.OK
}

func (p *peer) Open(_ <-chan struct{}, _ *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	out.OpenFlags = gofuse.FOPEN_DIRECT_IO
	return gofuse.OK
}

func (p *peer) Read(_ <-chan struct{}, in *gofuse.ReadIn, _ []byte) (gofuse.ReadResult, gofuse.Status) {
	return gofuse.ReadResultData(p.text[min(int(in.Offset), len(p.text)):]), gofuse.OK
}

func (p *peer) Release(<-chan struct{}, *gofuse.ReleaseIn) {}

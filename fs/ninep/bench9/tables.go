package bench9

import (
	"sync"

	"warren/fs"
	"warren/fs/sys"
)

// tables is a tree made from fs's tables with the same files, and a stream.
type tables struct {
	meta       *sys.Meta
	small, big []byte
	stream     stream
}

func (t *tables) Meta() *sys.Meta { return t.meta }

func newTables() fs.Node {
	t := &tables{
		meta:  sys.NewMeta(1, "d", &sys.User{}),
		small: make([]byte, SmallSize), big: make([]byte, BigSize),
	}
	d := &fs.Dir[*tables]{Class: 2, Name: "d", Files: []fs.File[*tables]{
		{Name: "small", Perm: 0o444, Kind: fs.Text, Text: func(_ *fs.Call, t *tables, b []byte) ([]byte, error) {
			return append(b, t.small...), nil
		}},
		{Name: "big", Perm: 0o444, Kind: fs.Text, Text: func(_ *fs.Call, t *tables, b []byte) ([]byte, error) {
			return append(b, t.big...), nil
		}},
		{Name: "sink", Perm: 0o666, Kind: fs.Bytes, Open: func(*fs.Call, *tables, fs.Flags) (fs.Handle, error) {
			return sink{}, nil
		}},
		{Name: "stream", Perm: 0o666, Kind: fs.Stream, Open: func(_ *fs.Call, t *tables, _ fs.Flags) (fs.Handle, error) {
			return fs.NewMessages(&t.stream, t.stream.put), nil
		}},
	}}
	root := &fs.Dir[*tables]{Class: 1, Name: "/", Files: []fs.File[*tables]{
		{Name: "d", Sub: func(t *tables, parent fs.Node) fs.Node { return d.Node(t, parent) }},
	}}
	return root.Root(t, new(fs.Env))
}

// sink takes all that is written.
type sink struct{}

func (sink) Read(c *fs.Call, _ int64)            { c.Deliver(nil, nil) }
func (sink) Write(c *fs.Call, p []byte, _ int64) { c.Done(len(p)) }
func (sink) Close()                              {}

// stream gives each message to the reader that waits longest; if there is none
// it is dropped.
type stream struct {
	mu      sync.Mutex
	readers []sys.Call
}

func (s *stream) Take(c sys.Call) {
	s.mu.Lock()
	s.readers = append(s.readers, c)
	s.mu.Unlock()
	c.Park(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, r := range s.readers {
			if r == c {
				s.readers = append(s.readers[:i], s.readers[i+1:]...)
				return
			}
		}
	})
}

func (s *stream) Close() {}

func (s *stream) put(c *fs.Call, p []byte) {
	s.mu.Lock()
	for len(s.readers) > 0 {
		r := s.readers[0]
		s.readers = s.readers[1:]
		if r.Deliver(p, nil) {
			break
		}
	}
	s.mu.Unlock()
	c.Done(len(p))
}

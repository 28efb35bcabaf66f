package export

import (
	"encoding/binary"
	"hash/maphash"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// Numbers of 9P.
var le = binary.LittleEndian

// What a connection may cost.
const (
	maxMessage = 128 << 10
	maxCalls   = 16      // under way at a time
	maxNames   = 1 << 20 // that p9 remembers, at some 350 bytes each
	maxFailed  = 1 << 14 // removals that fail: p9 remembers those names too
	patience   = 30 * time.Second
)

// A bounded connection lies between a client and p9. p9 reads a header, then
// the rest, one message at a time, and writes the parts of a reply one after
// the other.
type bounded struct {
	net.Conn
	patience time.Duration
	calls    chan struct{} // has what is under way

	left int    // of the message that is being read
	head []byte // of it: what was read before p9 asked for it

	out []byte // the reply, until it is whole
}

func newBounded(nc net.Conn, patience time.Duration) *bounded {
	return &bounded{Conn: nc, patience: patience, calls: make(chan struct{}, maxCalls)}
}

const (
	headerSize  = 7
	longestHead = headerSize + 4 // of what is looked at
	tversion    = byte(ninep.Tversion)
	tflush      = byte(ninep.Tflush)
	tunlinkat   = byte(ninep.Tunlinkat)
	// maxUnlink is a Tunlinkat with the longest name that a file can have.
	maxUnlink = headerSize + 4 + 2 + unix.NAME_MAX + 4
)

// Read reads no further than to the end of a message, and begins one only when
// there is room for its call.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		if err := b.begin(); err != nil {
			return 0, err
		}
	}
	p = p[:min(len(p), b.left)]
	var n int
	var err error
	if len(b.head) > 0 {
		n = copy(p, b.head)
		b.head = b.head[n:]
	} else {
		n, err = b.Conn.Read(p)
	}
	b.left -= n
	return n, err
}

// begin reads the head of a message and judges it.
func (b *bounded) begin() error {
	if err := b.room(); err != nil {
		return err
	}
	head := make([]byte, headerSize, longestHead)
	if _, err := io.ReadFull(b.Conn, head); err != nil {
		return err
	}
	size, kind, tag := int(le.Uint32(head)), head[4], le.Uint16(head[5:])
	switch {
	case size < headerSize, size > maxMessage, kind == tunlinkat && size > maxUnlink:
		return sys.Errorf(syscall.EBADMSG, "message of type %d says it has %d bytes", kind, size)
	case tag == ninep.NoTag && kind != tversion:
		return sys.Errorf(syscall.EBADMSG, "message of type %d has no tag", kind)
	}
	var err error
	switch {
	case kind == tversion && size >= headerSize+4:
		head, err = b.version(head)
	case kind == tflush && size >= headerSize+2:
		head, err = b.flush(head)
	}
	b.head, b.left = head, size
	return err
}

// version cuts down what a client would have as the size of messages.
func (b *bounded) version(head []byte) ([]byte, error) {
	head = head[:headerSize+4]
	if _, err := io.ReadFull(b.Conn, head[headerSize:]); err != nil {
		return nil, err
	}
	msize := le.Uint32(head[headerSize:])
	le.PutUint32(head[headerSize:], min(msize, maxMessage))
	return head, nil
}

// flush waits until all earlier calls are answered, which nothing here keeps
// them from, and lets p9 answer the flush at once: p9 would wait for ever for a
// flush of itself, and for two of each other.
func (b *bounded) flush(head []byte) ([]byte, error) {
	head = head[:headerSize+2]
	if _, err := io.ReadFull(b.Conn, head[headerSize:]); err != nil {
		return nil, err
	}
	le.PutUint16(head[headerSize:], ninep.NoTag)
	for range maxCalls - 1 {
		if err := b.room(); err != nil {
			return nil, err
		}
	}
	for range maxCalls - 1 {
		<-b.calls
	}
	return head, nil
}

// room waits until another call may be under way.
func (b *bounded) room() error {
	select {
	case b.calls <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(b.patience)
	defer t.Stop()
	select {
	case b.calls <- struct{}{}:
		return nil
	case <-t.C:
		return sys.Errorf(syscall.ETIMEDOUT, "%d calls are under way, and none ends", maxCalls)
	}
}

// Write keeps a reply until it is whole, and then writes it, if the client
// reads.
func (b *bounded) Write(p []byte) (int, error) {
	b.out = append(b.out, p...)
	for len(b.out) >= headerSize {
		size := int(le.Uint32(b.out))
		if len(b.out) < size {
			break
		}
		select {
		case <-b.calls:
		default:
		}
		if err := b.SetWriteDeadline(time.Now().Add(b.patience)); err != nil {
			return 0, err
		}
		if _, err := b.Conn.Write(b.out[:size]); err != nil {
			b.Close() // the reader must learn of it
			return 0, err
		}
		b.out = b.out[:copy(b.out, b.out[size:])]
	}
	return len(p), nil
}

// names counts the different names that a connection has walked to.
type names struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
}

// add reports whether a name may be walked to.
func (n *names) add(s *Server, dir int, name string) bool {
	var st unix.Stat_t
	if unix.Fstat(dir, &st) != nil {
		return false
	}
	type key struct {
		dev, ino uint64
		name     string
	}
	sum := maphash.Comparable(s.seed, key{st.Dev, st.Ino, name})
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.seen[sum]; known {
		return true
	}
	if len(n.seen) >= maxNames {
		return false
	}
	if n.seen == nil {
		n.seen = make(map[uint64]struct{})
	}
	n.seen[sum] = struct{}{}
	return true
}

package fs

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren/fs/sys"
)

// keepErrors is how many errors of a user are kept, of maxErrorText bytes at
// most; maxErrorUsers bounds the memory that many users can cost: the one
// longest quiet is forgotten.
const (
	keepErrors    = 100
	maxErrorText  = 1 << 10
	maxErrorUsers = 1000
)

// An ErrorLog keeps the last errors of each user, because many clients see
// only a number. The zero ErrorLog is ready.
type ErrorLog struct {
	mu    sync.Mutex
	users map[uint32]*errorRing
}

type errorRing struct {
	lines [keepErrors][]byte
	n     int    // lines ever added
	text  string // of the newest
	last  time.Time
}

// ErrorAttr is the extended attribute of every file that holds the text of the
// last error of whoever reads it.
const ErrorAttr = "user.warren.error"

// An Explainer is a Node that knows the text of the last error of whoever asks,
// for those who were told a number only.
type Explainer interface {
	// LastError returns the text; ENODATA if there was no error.
	LastError(c *Call) (string, error)
}

// LastError asks a node, of any kind, for the text of the last error.
func LastError(n Node, c *Call) (string, error) {
	if e, ok := n.(Explainer); ok {
		return e.LastError(c)
	}
	return "", errNoError
}

var errNoError error = &sys.Error{Errno: syscall.ENODATA, Text: "there was no error"}

// Add writes an error down. Interruptions are not the user's mistakes and are
// left out.
func (l *ErrorLog) Add(c *Call, path, verb string, err error) {
	switch sys.Errno(err) {
	case syscall.EINTR, syscall.EAGAIN:
		return
	}
	text := err.Error()
	if len(text) > maxErrorText { // the words of some other server
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	now := time.Now()
	line := AppendTime(nil, now)
	line = append(line, ' ')
	if c.PID() > 0 {
		line = strconv.AppendInt(line, int64(c.PID()), 10)
	} else {
		line = append(line, '-')
	}
	line = append(line, ' ')
	line = AppendQuoted(line, path)
	line = append(line, ' ')
	line = AppendQuoted(line, verb)
	line = append(line, ' ')
	line = append(AppendQuoted(line, text), '\n')

	l.mu.Lock()
	defer l.mu.Unlock()
	ring := l.ring(c.User().UID)
	ring.lines[ring.n%keepErrors] = line
	ring.n++
	ring.text, ring.last = text, now
}

func (l *ErrorLog) ring(uid uint32) *errorRing {
	if ring, ok := l.users[uid]; ok {
		return ring
	}
	if l.users == nil {
		l.users = make(map[uint32]*errorRing)
	}
	if len(l.users) >= maxErrorUsers {
		l.forgetOldest()
	}
	ring := new(errorRing)
	l.users[uid] = ring
	return ring
}

func (l *ErrorLog) forgetOldest() {
	var oldest uint32
	var when time.Time
	for uid, ring := range l.users {
		if when.IsZero() || ring.last.Before(when) {
			oldest, when = uid, ring.last
		}
	}
	delete(l.users, oldest)
}

// Append appends the errors of a user, newest last.
func (l *ErrorLog) Append(b []byte, uid uint32) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	ring, ok := l.users[uid]
	if !ok {
		return b
	}
	for i := max(0, ring.n-keepErrors); i < ring.n; i++ {
		b = append(b, ring.lines[i%keepErrors]...)
	}
	return b
}

// Last returns the text of a user's newest error; ENODATA if there was none.
func (l *ErrorLog) Last(uid uint32) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ring, ok := l.users[uid]; ok {
		return ring.text, nil
	}
	return "", errNoError
}

// Noting returns a handle whose failures are written down under a path.
func (l *ErrorLog) Noting(h Handle, path string) Handle { return &noting{h, l, path} }

type noting struct {
	Handle
	log  *ErrorLog
	path string
}

func (n *noting) failed(c *Call, err error) { n.log.Add(c, n.path, "io", err) }

func (n *noting) Read(c *Call, off int64) {
	c.where = n
	n.Handle.Read(c, off)
}

func (n *noting) Write(c *Call, p []byte, off int64) {
	c.where = n
	n.Handle.Write(c, p, off)
}

// AppendTime appends a time as all records have it: Unix seconds with six
// decimals.
func AppendTime(b []byte, t time.Time) []byte {
	us := t.UnixMicro()
	b = append(strconv.AppendInt(b, us/1e6, 10), '.')
	frac := us % 1e6
	for unit := int64(1e5); unit > 0; unit /= 10 {
		b = append(b, byte('0'+frac/unit%10))
	}
	return b
}

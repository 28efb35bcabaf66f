package post

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// How long a server may take: to begin a session; over a walk, a look or an
// open; over a Tflush, before who waits is let go without. And how long a
// session may be idle.
const (
	beginTime = 5 * time.Second
	replyTime = 10 * time.Second
	flushTime = time.Second
	idleTime  = time.Minute
)

// maxSessions is how many sessions a post has; the idle give way to new ones.
const maxSessions = 256

// A key is whose a session is: a user's, through some servers.
type key struct {
	uid  uint32
	none bool
	via  string
}

func keyOf(u *sys.User) key { return key{u.UID, u.None, strings.Join(u.Via, "+")} }

// A session is a connection to the server, on behalf of one user.
type session struct {
	p     *Post
	key   key
	user  *sys.User
	ready chan struct{} // closed when cl or err is set
	heard atomic.Int64  // how often the server sent anything

	// Guarded by p.mu.
	cl    *client.Client
	err   error     // why it could not begin
	until time.Time // when it may be tried again
	cause string    // why we ended it
	busy  int       // calls in flight, and open files
	used  time.Time // when it was last busy
}

// session returns the session of who asks, begun if it must be, as busy: the
// caller must release it.
func (p *Post) session(c *fs.Call) (*session, error) {
	ctx, end := c.Context(p.life)
	defer end()
	s, err := p.join(c.User())
	if err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		err = s.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// join finds the session of a user, which may still be beginning.
func (p *Post) join(u *sys.User) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, sys.ErrGone
	}
	k := keyOf(u)
	s := p.sessions[k]
	if s == nil || s.over(time.Now()) {
		if s == nil && len(p.sessions) >= maxSessions && !p.evict() {
			return nil, sys.Errorf(syscall.EUSERS, "srv/%s: more than %d users at a time", p.meta.Name, maxSessions)
		}
		s = &session{p: p, key: k, user: u, ready: make(chan struct{})}
		p.sessions[k] = s
		go s.begin()
	}
	s.busy++
	return s, nil
}

// over reports whether another must take the session's place. p.mu is held.
func (s *session) over(now time.Time) bool {
	return s.cl != nil && s.cl.Err() != nil || s.err != nil && !now.Before(s.until)
}

// evict makes room for a session: one that failed goes, or else the one that
// is longest idle. p.mu is held.
func (p *Post) evict() bool {
	var old *session
	for _, s := range p.sessions {
		if s.err != nil || s.cl != nil && s.busy == 0 && (old == nil || s.used.Before(old.used)) {
			old = s
		}
		if s.err != nil {
			break
		}
	}
	if old == nil {
		return false
	}
	delete(p.sessions, old.key)
	if old.cl != nil {
		go old.cl.Close()
	}
	return true
}

// release ends what session or hold began.
func (s *session) release() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.busy--
	s.used = time.Now()
}

// begin connects, and watches over the session while it lasts.
func (s *session) begin() {
	p := s.p
	start := time.Now()
	cl, err := s.dial()
	p.mu.Lock()
	s.cl, s.used = cl, time.Now()
	reason := ""
	if cl != nil {
		p.speaks = []ninep.Dialect{cl.Dialect()}
	} else {
		s.err = err
		s.until = s.used.Add(pause(s.used.Sub(start)))
		reason = err.Error()
	}
	news := p.settle(reason)
	ended := p.life.Err() != nil
	p.mu.Unlock()
	close(s.ready)
	p.tell(news)
	if cl == nil {
		return
	}
	if ended {
		cl.Close()
	}
	s.watch()
}

// pause is how long an attempt that failed is not repeated: its error is the
// answer meanwhile. One that failed at once is repeated soon, so that a server
// that comes back is found at once; slow ones must not keep everybody waiting.
func pause(took time.Duration) time.Duration {
	return min(max(4*took, 10*time.Millisecond), 2*time.Second)
}

// dial begins a session with the server. One of ours is told who asks, as its
// loops end here; another may refuse the attach name that says so.
func (s *session) dial() (*client.Client, error) {
	p := s.p
	reached := false
	connect := func(ctx context.Context) (net.Conn, error) {
		nc, err := p.set.cfg.Dial(ctx, p.addr, s.user)
		if err != nil {
			return nil, p.noServer(err)
		}
		reached = true
		return &hearing{nc, &s.heard}, nil
	}
	ctx, cancel := context.WithTimeoutCause(p.life, p.set.cfg.Talk.Timeout,
		sys.Errorf(syscall.ETIMEDOUT, "%s: the server does not answer", p.addr))
	defer cancel()
	o := s.options()
	plain := o.Aname
	if id := p.set.cfg.ID; id != "" {
		o.Aname += ",via=" + strings.Join(append(slices.Clip(s.user.Via), id), "+")
	}
	cl, err := client.DialBy(ctx, p.addr, o, connect)
	if err != nil && o.Aname != plain && reached && ctx.Err() == nil && !errors.Is(err, syscall.ELOOP) {
		o.Aname = plain
		cl, err = client.DialBy(ctx, p.addr, o, connect)
	}
	if err != nil && p.life.Err() != nil {
		err = sys.ErrGone
	}
	return cl, err
}

// options are those of the session's user. What the server spoke last comes
// first, as one that does not speak a dialect may take its time over it.
func (s *session) options() client.Options {
	o := s.p.set.cfg.Talk
	uid := s.user.UID
	if s.user.None {
		uid = ninep.NoUID
	}
	o.Uname, o.UID, o.Aname = s.user.Name, &uid, s.p.tree
	s.p.mu.Lock()
	first := slices.Clone(s.p.speaks)
	s.p.mu.Unlock()
	o.Dialects = append(first, slices.DeleteFunc(slices.Clone(o.Dialects), func(d ninep.Dialect) bool { return slices.Contains(first, d) })...)
	return o
}

// noServer says that nobody could be connected to. That a socket's file is
// missing is not said of the file that somebody wants to open.
func (p *Post) noServer(err error) error {
	errno := sys.Errno(err)
	if errno == syscall.ENOENT {
		errno = syscall.ECONNREFUSED
	}
	return sys.Errorf(errno, "no server at %s: %s", p.addr, strings.TrimPrefix(err.Error(), p.addr+": "))
}

// watch waits for the end of the session, or ends it when it was idle.
func (s *session) watch() {
	t := time.NewTimer(idleTime)
	defer t.Stop()
	for {
		select {
		case <-s.cl.Done():
			s.lost()
			return
		case <-t.C:
			left := s.idle()
			if left <= 0 {
				s.cl.Close()
				left = idleTime // it is over now
			}
			t.Reset(left)
		}
	}
}

// idle returns how long the session may go on as it is; if no longer, nobody
// finds it any more.
func (s *session) idle() time.Duration {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.busy > 0 {
		return idleTime
	}
	left := idleTime - time.Since(s.used)
	if left <= 0 && s.p.sessions[s.key] == s {
		delete(s.p.sessions, s.key)
	}
	return left
}

// lost takes note of the end of the session. If another has taken its place,
// or it was not wanted any more, that is no news.
func (s *session) lost() {
	p := s.p
	p.mu.Lock()
	news := ""
	if p.sessions[s.key] == s {
		delete(p.sessions, s.key)
		p.speaks = nil // what comes back may be another server
		reason := s.cause
		if reason == "" {
			reason = s.cl.Err().Error()
		}
		news = p.settle(reason)
	} else {
		news = p.settle(p.status.Reason)
	}
	p.mu.Unlock()
	p.tell(news)
}

// deaf ends the session if the server has sent nothing since it was heard so
// often, so that it is begun anew.
func (s *session) deaf(heard int64, err error) {
	if s.heard.Load() != heard {
		return
	}
	s.p.mu.Lock()
	s.cause = err.Error()
	s.p.mu.Unlock()
	s.cl.Close()
}

// A hearing connection counts what comes.
type hearing struct {
	net.Conn
	n *atomic.Int64
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.n.Add(1)
	}
	return n, err
}

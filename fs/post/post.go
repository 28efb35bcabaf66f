// Package post shows the 9P services of others as directories of a tree of
// ours: a Set has posts by name, and each is a directory that leads to its
// server. Nothing is asked of a server until somebody goes below its
// directory, and to list or look at the directory itself asks nothing.
//
// Each user of ours has a session of his own with a server, on a connection of
// his own: on a unix socket, which tells the server who its peer is, made with
// the user's credentials, so that nobody gets there what he could not have got
// without us. A certificate says who we are, not who they are: a tls address
// is reached by our own user only. A session begins when it is needed, ends when it was idle for a
// while, and is begun anew when it was lost: a file is known by its names, and
// is walked to again. What was open on a lost session fails.
//
// A server of ours is told through which servers a request comes, so that it
// can refuse one that came through itself: that is how loops end. Others do
// not know the option of the attach name and are attached to without.
//
// State: a Set owns its posts, a Post its sessions and what stat says of it, a
// node what it is known as in each session. Lock order: the Set's, the Post's,
// the node's; none is held while a server is asked.
package post

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// A Config says where a Set is. The zero Config is good.
type Config struct {
	ID    string          // of this server, as its ninep.Server has it; empty: loops are not noticed
	Class uint8           // of the qids of files on other servers, see fs.Dir
	Here  func() []string // the addresses of this server
	// Tell hears what becomes of a post: posted, connected, down, unposted.
	Tell func(kind, name string)
	// TLS returns what to show the host of a tls address, and whom to believe
	// that it is the host; nil: such addresses are refused.
	TLS func(host string) (*tls.Config, error)
	// Dial connects to a server on behalf of a user; nil: as the package comment says.
	Dial func(ctx context.Context, addr string, u *sys.User) (net.Conn, error)
	// Talk says how to talk to servers, whoever the user is. Dialects: by
	// default the one first that has both the text and the number of an error.
	Talk client.Options
	Log  *slog.Logger // nil: silent
}

// A Set is the posts of a tree.
type Set struct {
	cfg  Config
	seed maphash.Seed // of qids

	mu     sync.Mutex
	byName map[string]*Post
	list   []*Post // in order of their serials
	serial uint64
	closed bool
}

// maxPosts is how many posts there can be.
const maxPosts = 1024

// NewSet returns a set with no posts.
func NewSet(cfg Config) *Set {
	if cfg.Here == nil {
		cfg.Here = func() []string { return nil }
	}
	if cfg.Tell == nil {
		cfg.Tell = func(string, string) {}
	}
	if cfg.Dial == nil {
		cfg.Dial = dialer{cfg.TLS}.dial
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Talk.Dialects == nil {
		cfg.Talk.Dialects = []ninep.Dialect{ninep.DotU, ninep.DotL, ninep.Classic}
	}
	cfg.Talk.Timeout = cmp.Or(cfg.Talk.Timeout, beginTime)
	cfg.Talk.Reply = cmp.Or(cfg.Talk.Reply, replyTime)
	cfg.Talk.FlushWait = cmp.Or(cfg.Talk.FlushWait, flushTime)
	return &Set{cfg: cfg, seed: maphash.MakeSeed(), byName: make(map[string]*Post)}
}

// A Post is a service of another server.
type Post struct {
	set        *Set
	meta       *sys.Meta
	addr, tree string
	life       context.Context // ends when it is unposted, with sys.ErrGone
	end        context.CancelCauseFunc
	clones     atomic.Uint64 // files that came of an open, for their qids

	mu       sync.Mutex
	sessions map[key]*session
	opens    int // files
	status   Status
	speaks   []ninep.Dialect // what the server spoke last, if that is known
}

// A Status is what stat says of a post.
type Status struct {
	State  State
	Since  time.Time // of the state
	Reason string    // why it is down
}

// A State is whether a post has a session.
type State string

// The states: no session, none was lost; some session; no session, because the
// last was lost or could not begin.
const (
	Idle      State = "idle"
	Connected State = "connected"
	Down      State = "down"
)

// CheckAddr says what is wrong with an address that is to be posted.
func CheckAddr(addr string) error {
	network, _, err := ninep.ParseAddr(addr)
	if err != nil {
		return err
	}
	switch network {
	case "unix", "tcp", "tls", "vsock":
		return nil
	}
	return sys.Errorf(syscall.EINVAL, "%s: cannot be posted: want unix!/path, tcp!host!port, tls!host!port or vsock!cid!port", addr)
}

// Post makes a post that u owns of the service at an address; tree names one
// of several that the server may have. Nobody is asked. To post again what is
// posted is no error; EEXIST if the name stands for another service, ELOOP if
// the address is our own; EINVAL for a tls address without Config.TLS.
func (s *Set) Post(u *sys.User, name, addr, tree string) error {
	if err := CheckAddr(addr); err != nil {
		return err
	}
	if err := s.checkTLS(addr); err != nil {
		return err
	}
	for _, here := range s.cfg.Here() {
		if sameAddr(here, addr) {
			return sys.Errorf(syscall.ELOOP, "post: %s is this server's own address", addr)
		}
	}
	added, err := s.add(u, name, addr, tree)
	if added {
		s.cfg.Tell("posted", name)
	}
	return err
}

// checkTLS refuses a tls address for which there is no certificate.
func (s *Set) checkTLS(addr string) error {
	network, host, err := ninep.ParseAddr(addr)
	if err != nil || network != "tls" {
		return err
	}
	if s.cfg.TLS == nil {
		return sys.Errorf(syscall.EINVAL, "%s: this server has no certificate to show", addr)
	}
	if host, _, err = net.SplitHostPort(host); err == nil {
		_, err = s.cfg.TLS(host)
	}
	return err
}

func sameAddr(a, b string) bool {
	an, aa, err := ninep.ParseAddr(a)
	bn, ba, berr := ninep.ParseAddr(b)
	return err == nil && berr == nil && an == bn && aa == ba
}

func (s *Set) add(u *sys.User, name, addr, tree string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := s.byName[name]; {
	case s.closed:
		return false, sys.ErrClosed
	case p != nil && p.addr == addr && p.tree == tree:
		return false, nil
	case p != nil:
		return false, sys.Errorf(syscall.EEXIST, "post: %s is posted already, at %s (unpost it first)", name, p.addr)
	case len(s.list) >= maxPosts:
		return false, sys.Errorf(syscall.ENOSPC, "post: there are %d posts, the most there can be: unpost some", maxPosts)
	}
	s.serial++
	p := &Post{set: s, meta: sys.NewMeta(s.serial, name, u), addr: addr, tree: tree, sessions: make(map[key]*session)}
	p.life, p.end = context.WithCancelCause(context.Background())
	p.status = Status{State: Idle, Since: p.meta.Made}
	s.byName[name] = p
	s.list = append(s.list, p)
	return true, nil
}

// Get returns the post of this name.
func (s *Set) Get(name string) (*Post, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.byName[name]
	return p, ok
}

// All returns the posts in the order in which they were made.
func (s *Set) All() []*Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// Unpost ends a post: what is open there fails. ErrNotExist if there is none.
func (s *Set) Unpost(name string) error { return s.remove(name, true) }

// Remove is Unpost if nothing is open there; else EBUSY.
func (s *Set) Remove(name string) error { return s.remove(name, false) }

func (s *Set) remove(name string, force bool) error {
	s.mu.Lock()
	p := s.byName[name]
	var err error
	if p == nil {
		err = sys.ErrNotExist
	} else if err = p.retire(force); err == nil {
		delete(s.byName, name)
		s.list = slices.DeleteFunc(s.list, func(q *Post) bool { return q == p })
	}
	s.mu.Unlock()
	if err == nil {
		p.hangUp()
		s.cfg.Tell("unposted", name)
	}
	return err
}

// Close ends all posts, and with them what waits for their servers.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.list
	s.list, s.byName = nil, nil
	s.mu.Unlock()
	for _, p := range all {
		_ = p.retire(true)
		p.hangUp()
	}
}

// Meta returns the identity of the post.
func (p *Post) Meta() *sys.Meta { return p.meta }

// Addr returns the address, and the name of the tree there, if it has one.
func (p *Post) Addr() (addr, tree string) { return p.addr, p.tree }

// Status returns how the post is.
func (p *Post) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// retire lets no new session begin.
func (p *Post) retire(force bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opens > 0 && !force {
		return sys.Errorf(syscall.EBUSY, "%d files are open there (unpost in srv/ctl closes them)", p.opens)
	}
	p.meta.Retire()
	p.end(sys.ErrGone)
	return nil
}

// hangUp ends all sessions.
func (p *Post) hangUp() {
	p.mu.Lock()
	var all []*client.Client
	for _, s := range p.sessions {
		if s.cl != nil {
			all = append(all, s.cl)
		}
	}
	p.mu.Unlock()
	for _, cl := range all {
		cl.Close()
	}
}

// settle finds out the state; p.mu is held. reason is why there is no session,
// if there is none. It returns what is to be told, if anything.
func (p *Post) settle(reason string) (news string) {
	state := Idle
	if reason != "" {
		state = Down
	}
	for _, s := range p.sessions {
		if s.cl != nil && s.cl.Err() == nil {
			state, reason = Connected, ""
			break
		}
	}
	changed := state != p.status.State
	if changed {
		p.status.Since = time.Now()
	}
	p.status.State, p.status.Reason = state, oneLine(reason)
	if !changed || p.life.Err() != nil {
		return ""
	}
	return string(state)
}

// oneLine makes a server's words fit for a table.
func oneLine(text string) string {
	const most = 300
	text = strings.ToValidUTF8(text[:min(len(text), most)], "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

// tell passes on what settle returned.
func (p *Post) tell(news string) {
	if news == "" {
		return
	}
	p.set.cfg.Log.Debug("srv", "name", p.meta.Name, "state", news, "reason", p.Status().Reason)
	p.set.cfg.Tell(news, p.meta.Name)
}

// qid makes a qid of ours for a file of the server: one that no other file of
// the tree has. The names count, too, as a server that comes back may have
// given the number to another file.
func (p *Post) qid(names []string, q fs.Qid) fs.Qid {
	var h maphash.Hash
	h.SetSeed(p.set.seed)
	fmt.Fprint(&h, p.meta.Serial, " ", q.Path)
	for _, name := range names {
		h.WriteByte('/')
		h.WriteString(name)
	}
	return fs.Qid{Path: uint64(p.set.cfg.Class)<<56 | h.Sum64()>>8, Kind: q.Kind, Remote: true}
}

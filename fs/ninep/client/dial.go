package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// Options say how to talk to a server. The zero Options are good for all.
type Options struct {
	// Dialects to try, the best first. Default: 9P2000.L, 9P2000.u, 9P2000.
	// A server may answer with one that comes later; one that is not listed
	// is not spoken.
	Dialects []ninep.Dialect
	// Msize is the longest message, in bytes, if the server agrees. Default: 1 MiB.
	Msize uint32
	// Uname and UID are the user to attach as. Default: the caller's, but none
	// at a tls address, where the certificate says who it is.
	Uname string
	UID   *uint32
	// Aname names the tree, for servers of several.
	Aname string
	// Streams are names of files that give a message a read, beside those that
	// have that name in a tree of ours.
	Streams []string
	// TLS says for each tls address's host what to show it and whom to
	// believe, see ninep.WithTLS. Default: such addresses cannot be reached.
	TLS func(host string) (*tls.Config, error)
	// MaxCalls bounds the calls in flight. Default 4096, at most 60000.
	MaxCalls int
	// Timeout is how long the server may take to begin a session. Default: 10 s.
	Timeout time.Duration
	// Reply is how long the server may take over what a Node asks it to do,
	// other than reads and writes, which may take as long as they like.
	// Default: 30 s.
	Reply time.Duration
	// FlushWait is how long the server may take over a Tflush before the
	// flushed call is given up, and what it may still answer is lost. Default: 5 s.
	FlushWait time.Duration

	far bool // the address is of another machine
}

func (o Options) withDefaults() Options {
	if len(o.Dialects) == 0 {
		o.Dialects = []ninep.Dialect{ninep.DotL, ninep.DotU, ninep.Classic}
	}
	o.Msize = min(cmp.Or(o.Msize, ninep.MaxMsize), ninep.MaxMsize)
	o.Msize = max(o.Msize, ninep.MinMsize)
	o.MaxCalls = min(cmp.Or(o.MaxCalls, 4096), 60000)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Reply = cmp.Or(o.Reply, 30*time.Second)
	o.FlushWait = cmp.Or(o.FlushWait, 5*time.Second)
	if o.UID == nil {
		uid := uint32(os.Getuid())
		if o.far {
			uid = ninep.NoUID
		}
		o.UID = &uid
	}
	if o.Uname == "" && !o.far {
		o.Uname = userName()
	}
	return o
}

// userName is the name of the process's user, or its number.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "none"
	}
	return u.Username
}

// A Client is a session with a server: a tree, as one user sees it. Paths are
// taken from the root of the tree, with or without a slash before them.
// All methods may be called from many goroutines.
type Client struct {
	c    *conn
	o    Options
	root *fid
	ids  ids
}

// errOther is a server that does not speak a dialect.
var errOther = errors.New("dialect not spoken")

// Dial connects to an address as TREE.md gives them and begins a session.
func Dial(ctx context.Context, addr string, o Options) (*Client, error) {
	if network, _, _ := ninep.ParseAddr(addr); network == "tls" {
		o.far = true
	}
	return DialBy(ctx, addr, o, func(ctx context.Context) (net.Conn, error) {
		return ninep.Dial(ctx, addr, ninep.WithTLS(o.TLS))
	})
}

// DialBy is Dial for those who connect in a way of their own: connect is called
// more than once if the server hangs up on a dialect, or says nothing to it.
// name stands for the server in error texts.
func DialBy(ctx context.Context, name string, o Options, connect func(context.Context) (net.Conn, error)) (*Client, error) {
	o = o.withDefaults()
	return begin(ctx, name, o, o.Timeout/time.Duration(len(o.Dialects)+1), connect)
}

// New begins a session on a connection, which it owns from here on.
func New(ctx context.Context, nc net.Conn, o Options) (*Client, error) {
	o = o.withDefaults()
	return begin(ctx, "9p", o, o.Timeout, func(context.Context) (net.Conn, error) {
		if nc == nil {
			return nil, sys.Errorf(syscall.EPROTONOSUPPORT, "9p: the server hung up on every dialect")
		}
		given := nc
		nc = nil
		return given, nil
	})
}

// begin agrees on a dialect and attaches. A server that says nothing to one
// dialect for a while is tried with the next: some are so.
func begin(ctx context.Context, name string, o Options, while time.Duration, connect func(context.Context) (net.Conn, error)) (*Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		sys.Errorf(syscall.ETIMEDOUT, "%s: the server does not answer", name))
	defer cancel()
	c, err := agree(ctx, name, o, while, connect)
	if err != nil {
		return nil, because(ctx, err)
	}
	c.run()
	cl := &Client{c: c, o: o}
	cl.root, err = cl.attach(ctx, o.Uname, *o.UID)
	if err != nil {
		cl.Close()
		return nil, because(ctx, err)
	}
	return cl, nil
}

// because prefers the reason why a context ended to what came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// agree tries the dialects one after the other, on a new connection where the
// server hangs up on one that it does not speak.
func agree(ctx context.Context, name string, o Options, while time.Duration, connect func(context.Context) (net.Conn, error)) (*conn, error) {
	var c *conn
	var hungUp error
	for i, d := range o.Dialects {
		if c == nil {
			nc, err := connect(ctx)
			if err != nil {
				return nil, cmp.Or(hungUp, err)
			}
			c = newConn(nc, name, o)
		}
		if i == len(o.Dialects)-1 {
			while = o.Timeout
		}
		err := c.version(ctx, while, d, o)
		if err == nil {
			return c, nil
		}
		if err != errOther {
			c.nc.Close()
			c, hungUp = nil, c.lost(err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if c != nil {
		c.nc.Close()
		return nil, sys.Errorf(syscall.EPROTONOSUPPORT, "%s: the server speaks none of %s", name, names(o.Dialects))
	}
	return nil, hungUp
}

func names(dialects []ninep.Dialect) string {
	var b strings.Builder
	for i, d := range dialects {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// version asks for a dialect; errOther if the server does not speak it.
func (c *conn) version(ctx context.Context, while time.Duration, d ninep.Dialect, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	m := ninep.Msg{Type: ninep.Tversion, Tag: ninep.NoTag, Msize: o.Msize, Version: d.String()}
	frame, err := ninep.Append(nil, d, &m)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(frame); err != nil {
		return err
	}
	if frame, err = ninep.ReadFrame(c.r, nil, o.Msize); err != nil {
		return err
	}
	switch ninep.Type(frame[4]) {
	case ninep.Rversion:
	case ninep.Rerror, ninep.Rlerror:
		return errOther
	default:
		return badReply("%v where Rversion was due", ninep.Type(frame[4]))
	}
	var dc ninep.Decoder
	if err := dc.Decode(&m, frame); err != nil {
		return err
	}
	return c.settle(&m, o)
}

// settle takes over what the server agreed to.
func (c *conn) settle(m *ninep.Msg, o Options) error {
	for _, d := range o.Dialects {
		if m.Version != d.String() {
			continue
		}
		if m.Msize < ninep.MinMsize || m.Msize > o.Msize {
			return badReply("the server wants messages of %d bytes; from %d to %d are possible", m.Msize, ninep.MinMsize, o.Msize)
		}
		c.dialect, c.msize = d, m.Msize
		return nil
	}
	return errOther
}

// attach gets a fid of the root for a user.
func (cl *Client) attach(ctx context.Context, uname string, uid uint32) (*fid, error) {
	f := cl.c.newFid()
	m := ninep.Msg{Type: ninep.Tattach, Fid: f.num, Afid: ninep.NoFid, Uname: uname, Aname: cl.o.Aname, NUname: uid}
	err := cl.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		f.qid = r.Qid
		return nil
	})
	if err != nil {
		cl.c.unused(f, err)
		return nil, err
	}
	return f, nil
}

// Dialect returns what the session speaks.
func (cl *Client) Dialect() ninep.Dialect { return cl.c.dialect }

// Done is closed when the connection is over; Err then says why.
func (cl *Client) Done() <-chan struct{} { return cl.c.done }

// Err returns why the connection is over, nil while it is not.
func (cl *Client) Err() error {
	cl.c.mu.Lock()
	defer cl.c.mu.Unlock()
	return cl.c.err
}

// Close ends the session. Calls in flight fail, and the server clunks what is open.
func (cl *Client) Close() error {
	cl.c.fail(sys.Errorf(syscall.ENOTCONN, "%s: connection closed", cl.c.name))
	return nil
}

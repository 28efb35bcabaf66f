package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/post"
	"warren/fs/sys"
	"warren/fs/tree"
	"warren/kern"
	"warren/kern/chans"
	"warren/mnt/fuse"
	"warren/sched"
	"warren/sched/mcp"
)

// version is what status prints.
const version = "0.1.0"

// serverOptions are what a server is started with.
type serverOptions struct {
	machine  machineSpec
	only     string // -cores
	state    string
	listen   []string
	mount    string
	insecure bool
	tls      []ninep.Option
	log      *slog.LevelVar
	logger   *slog.Logger
}

// A server is a machine, its tree, and the front ends that show it.
type server struct {
	opt    serverOptions
	lock   *os.File
	driver cores.Driver
	kern   *kern.Machine
	told   atomic.Pointer[kern.Machine] // kern, for what happens before it is made
	procs  *mcp.Set
	posts  *post.Set
	root   fs.Node
	ninep  *ninep.Server
	mount  *fuse.Mounted
	addrs  []string
	self   *sys.User

	halted   chan struct{} // closed when halt was written to the tree's ctl
	haltOnce sync.Once
	serving  sync.WaitGroup
}

// startServer brings a machine up and serves it. On an error nothing stays.
func startServer(o serverOptions) (*server, error) {
	s := &server{opt: o, halted: make(chan struct{})}
	for _, step := range []func() error{s.lockState, s.makeMachine, s.listen, s.mountTree} {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// lockState makes sure that no other server has the state directory.
func (s *server) lockState() error {
	if err := os.MkdirAll(s.opt.state, 0o755); err != nil {
		return err
	}
	name := filepath.Join(s.opt.state, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("another server has the state directory %s (give this one its own with -state DIR)", s.opt.state)
	}
	s.lock = f
	return nil
}

// makeMachine makes what the tree shows: driver, kernels, scheduler, processes, channels.
func (s *server) makeMachine() error {
	d, err := s.opt.machine.open(s.opt.logger, s.tellMachine)
	if err != nil {
		return err
	}
	s.driver = d
	n := len(d.Cores())
	o := kern.Options{Log: s.opt.logger}
	if s.opt.only != "" {
		if o.Only, err = cores.ParseSet(s.opt.only, n); err != nil {
			return err
		}
	}
	if _, ok := s.opt.machine.host(); ok {
		o.Mgmt = defaultMgmt(n, o.Only)
	}
	s.kern = kern.New(d, o)
	s.told.Store(s.kern)
	users := new(sys.Users)
	s.self = users.ByUID(uint32(os.Geteuid()), uint32(os.Getegid()))
	scheduler := sched.New(s.kern, sched.Options{Self: s.self, Users: users, Log: s.opt.logger})
	s.procs, err = mcp.NewSet(mcp.Config{
		Sched: scheduler, Machine: s.kern, Driver: d, StateDir: s.opt.state,
		Events: s.kern.Events(), Addr: s.address, Mount: s.mountPoint, Users: users, Log: s.opt.logger,
	})
	if err != nil {
		return err
	}
	s.ninep = &ninep.Server{Users: users, Insecure: s.opt.insecure, Log: s.opt.logger, ID: rand.Text()}
	s.posts = post.NewSet(post.Config{
		ID: s.ninep.ID, Class: tree.ClassFar, Here: func() []string { return s.addrs }, Tell: s.tellPost, Log: s.opt.logger,
		TLS: postTLS(),
	})
	s.root = tree.New(tree.Config{
		Version: version, Kern: s.kern, Sched: scheduler, Procs: s.procs, Chans: chans.NewSet(s.kern.Events()), Posts: s.posts,
		Clients: s.clients, Log: s.logLevel, SetLog: s.setLogLevel, Halt: s.halt,
	})
	s.ninep.Root = s.root
	for _, line := range s.procs.Leftovers() {
		s.opt.logger.Warn("an earlier server left this running", "program", line)
	}
	return nil
}

// defaultMgmt keeps the first core for the system where there are others.
func defaultMgmt(n int, only cores.Set) cores.Set {
	switch {
	case only == nil && n > 1:
		return cores.Set{0}
	case len(only) > 1:
		return only[:1]
	}
	return nil
}

// listen opens all addresses before any is served, so that it is all or nothing.
func (s *server) listen() error {
	ds, err := doors(s.opt.listen, ownSocket, s.opt.tls...)
	if err != nil {
		return err
	}
	s.addrs = addrsOf(ds)
	for _, d := range ds {
		s.serving.Go(func() {
			if err := s.ninep.Serve(d); err != nil && !errors.Is(err, net.ErrClosed) {
				s.opt.logger.Error("listening ended", "addr", d.addr, "err", err)
			}
		})
	}
	return nil
}

func (s *server) mountTree() error {
	if s.opt.mount == "" {
		return nil
	}
	dir, err := filepath.Abs(s.opt.mount)
	if err != nil {
		return err
	}
	s.mount, err = fuse.Mount(s.root, dir, fuse.Options{Users: s.ninep.Users, AllowOther: os.Geteuid() == 0, Log: s.opt.logger})
	if err != nil {
		return err
	}
	s.opt.mount = dir
	return nil
}

// address is what programs find in WARREN_ADDR.
func (s *server) address() string {
	if len(s.addrs) == 0 {
		return ""
	}
	return s.addrs[0]
}

// mountPoint is what programs find in WARREN.
func (s *server) mountPoint() string { return s.opt.mount }

func (s *server) clients() int {
	n := s.ninep.Clients()
	if s.mount != nil {
		n++
	}
	return n
}

func (s *server) logLevel() string { return strings.ToLower(s.opt.log.Level().String()) }

func (s *server) setLogLevel(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return sys.Errorf(syscall.EINVAL, "log: want debug, info, warn or error")
	}
	s.opt.log.Set(l)
	return nil
}

// halt begins the end of the machine: it must not wait for it, as it is
// called from a write to the machine's ctl.
func (s *server) halt() { s.haltOnce.Do(func() { close(s.halted) }) }

// wait returns when the server was told to end: by the context, which leaves
// programs running, or by halt, which ends them first.
func (s *server) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.halted:
		s.opt.logger.Info("halting")
		s.procs.Halt()
	}
}

// tellPost sends a record of the tree's events: time kind object.
func (s *server) tellPost(kind, name string) {
	b := append(fs.AppendTime(nil, time.Now()), ' ')
	s.kern.Events().Emit(fmt.Appendf(b, "%s srv/%s\n", kind, name))
}

// tellMachine sends what a simulated machine has to say: time kind machine 'text'.
func (s *server) tellMachine(kind, text string) {
	if m := s.told.Load(); m != nil {
		b := append(fs.AppendTime(nil, time.Now()), ' ')
		m.Events().Emit(append(fs.AppendQuoted(append(append(b, kind...), " machine "...), text), '\n'))
	}
}

// stop takes the front ends down; programs go on. What waits for other servers
// is let go first, so that nothing waits for those.
func (s *server) stop() error {
	var errs []error
	if s.posts != nil {
		s.posts.Close()
	}
	if s.mount != nil {
		errs = append(errs, s.mount.Unmount())
	}
	if s.ninep != nil {
		s.ninep.Close()
	}
	s.serving.Wait()
	if s.procs != nil {
		s.procs.Close()
	}
	if s.driver != nil {
		errs = append(errs, s.driver.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

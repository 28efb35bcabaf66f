package host

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

// Launch starts a program on these slots. It fails with ENOENT, EACCES or
// ENOEXEC where exec would, with EPERM for another's program where the server
// is not root, and with EBUSY for a core that is offline.
func (d *Driver) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	if d.closed.Load() {
		return nil, sys.Errorf(syscall.EPIPE, "exec: the server is going down")
	}
	if len(p.Args) == 0 || p.Args[0] == "" {
		return nil, sys.Errorf(syscall.EINVAL, "exec: no program")
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	if p.Dir[0] != '/' {
		return nil, sys.Errorf(syscall.EINVAL, "dir: %s: want a path from the root", p.Dir)
	}
	cred, err := credential(os.Geteuid(), p.User)
	if err != nil {
		return nil, err
	}
	where, err := d.maskOf(slots)
	if err != nil {
		return nil, err
	}
	g, err := d.groups.create(p.Name, d.serial.Add(1))
	if err != nil {
		return nil, err
	}
	s := start{
		program: p, cred: cred, where: where, group: g,
		files: []uintptr{d.fd(p.Stdin), d.fd(p.Stdout), d.fd(p.Stderr)},
		dir:   p.Dir, env: g.environ(p.Env), pidfd: -1,
	}
	j := newJob(d, p, slots, g)
	d.forks <- struct{}{}
	err = s.run(&d.paths)
	<-d.forks
	g.started()
	runtime.KeepAlive(p)
	if err != nil {
		g.discard()
		return nil, err
	}
	if err := d.adopt(j, &s); err != nil {
		g.kill(s.pid)
		unix.Kill(s.pid, unix.SIGKILL)
		unix.Wait4(s.pid, nil, 0, nil)
		g.discard()
		return nil, err
	}
	j.look()
	return j, nil
}

// adopt makes a started program a job that is waited for.
func (d *Driver) adopt(j *job, s *start) error {
	if s.pidfd < 0 {
		return sys.Errorf(syscall.ENOSYS, "exec: this kernel has no pidfd: Linux 5.4 or later is needed to run programs")
	}
	j.pid, j.pidfd = s.pid, s.pidfd
	return d.watch.add(j.pidfd, unix.EPOLLIN, j.ended)
}

// fd is a program's file, or /dev/null.
func (d *Driver) fd(f *os.File) uintptr {
	if f == nil {
		f = d.devnull
	}
	return f.Fd()
}

// credential is what the program must become; nil: it is what the server is.
func credential(me int, u *sys.User) (*syscall.Credential, error) {
	switch {
	case u == nil || int(u.UID) == me && !u.None:
		return nil, nil
	case u.None:
		return nil, sys.Errorf(syscall.EPERM, "exec: a connection with no identity starts no programs")
	case me != 0:
		return nil, sys.Errorf(syscall.EPERM, "exec: a server that is not root starts programs only as itself (uid %d, not %d)", me, u.UID)
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: slices.Clone(u.Groups)}, nil
}

// maskOf is the CPUs of slots that can be used now.
func (d *Driver) maskOf(slots []cores.Slot) (mask, error) {
	var m mask
	if len(slots) == 0 {
		return m, sys.Errorf(syscall.EINVAL, "cores: a program needs at least one")
	}
	for _, s := range slots {
		if !d.has(s.Core) {
			return m, sys.Errorf(syscall.ENXIO, "no core %d: this machine has %d", s.Core, len(d.infos))
		}
		if !d.Online(s.Core) {
			return m, sys.Errorf(syscall.EBUSY, "core %d is offline", s.Core)
		}
		m.add(d.infos[s.Core].CPU)
	}
	return m, nil
}

// A start is one attempt to start a program.
type start struct {
	program cores.Program
	cred    *syscall.Credential
	where   mask
	group   group
	files   []uintptr
	dir     string
	env     []string

	pid, pidfd int
}

// run forks on the program's CPUs. The thread is the goroutine's alone
// meanwhile, and gets its own affinity back.
func (s *start) run(p *paths) error {
	runtime.LockOSThread()
	home, err := affinity(0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	if err := setAffinity(0, &s.where); err != nil {
		runtime.UnlockOSThread()
		return sys.Errorf(sys.Errno(err), "exec: this server may not use the program's cores: %v", err)
	}
	err = s.exec(p)
	if setAffinity(0, &home) == nil {
		runtime.UnlockOSThread()
	} // else the thread is spoilt, and ends with the goroutine
	return err
}

// exec starts the program directly where its path is local, else through a shell.
func (s *start) exec(p *paths) error {
	name := s.program.Args[0]
	if !p.isLocal(s.dir) {
		return s.indirect(name)
	}
	files, local := p.candidates(name, s.dir, s.env)
	err := error(syscall.ENOENT)
	for _, file := range files {
		e := s.fork(file, s.program.Args, s.dir)
		if !errors.Is(e, syscall.EACCES) && !errors.Is(e, syscall.ENOENT) {
			return explain(name, s.dir, e)
		}
		if !errors.Is(err, syscall.EACCES) {
			err = e
		}
	}
	if !local {
		return s.indirect(name)
	}
	return explain(name, s.dir, err)
}

// indirect starts the program through a shell.
func (s *start) indirect(name string) error {
	args := shim(name, s.dir, s.program.Args)
	return explain(args[0], "/", s.fork(args[0], args, "/"))
}

// fork starts one file.
func (s *start) fork(file string, args []string, dir string) error {
	attr := &syscall.SysProcAttr{Setsid: true, Credential: s.cred, PidFD: &s.pidfd}
	s.group.attach(attr)
	pid, err := syscall.ForkExec(file, args, &syscall.ProcAttr{Dir: dir, Env: s.env, Files: s.files, Sys: attr})
	s.pid = pid
	return err
}

// explain says in the user's words why a program did not start.
func explain(name, dir string, err error) error {
	if err == nil {
		return nil
	}
	no := sys.Errno(err)
	switch no {
	case syscall.ENOENT:
		var st unix.Stat_t
		if dir != "/" && unix.Stat(dir, &st) == unix.ENOENT {
			return sys.Errorf(no, "dir: %s: file does not exist", dir)
		}
		if unix.Stat(absolute(dir, name), &st) == nil {
			return sys.Errorf(no, "exec: %s: its interpreter (the #! line's, or the dynamic loader) does not exist", name)
		}
		if !strings.Contains(name, "/") {
			return sys.Errorf(no, "exec: %s: not found in the program's PATH", name)
		}
		return sys.Errorf(no, "exec: %s: file does not exist", name)
	case syscall.EACCES:
		var st unix.Stat_t
		if unix.Stat(absolute(dir, name), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return sys.Errorf(no, "exec: %s: is a directory", name)
		}
		if dir != "/" {
			return sys.Errorf(no, "exec: %s: permission denied (for it, or for its directory %s)", name, dir)
		}
		return sys.Errorf(no, "exec: %s: permission denied", name)
	case syscall.ENOEXEC:
		return sys.Errorf(no, "exec: %s: not a program (a script must begin with #!, such as #!/bin/sh)", name)
	case syscall.ENOTDIR:
		return sys.Errorf(no, "exec: %s in %s: not a directory", name, dir)
	case syscall.E2BIG:
		return sys.Errorf(no, "exec: %s: arguments and environment are too long", name)
	}
	return sys.Errorf(no, "exec: %s: %v", name, no)
}

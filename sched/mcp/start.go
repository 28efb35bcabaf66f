package mcp

import (
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched"
)

// Start runs the process's program on cores of its own choice of number and
// place. Too few free cores: it waits for them, or with now fails with EBUSY.
// What can never be met is refused. If the program cannot be launched, the
// process is as it was.
func (p *Proc) Start(now bool) error {
	p.op.Lock()
	defer p.op.Unlock()
	if err := p.ready(); err != nil {
		return err
	}
	g, granted, err := p.set.Sched.Start(p, p.Request(), now)
	switch {
	case err != nil:
		p.renew()
		return err
	case !granted:
		p.set.tell("waiting", p, "")
		return nil
	}
	if err := p.apply(g); err != nil {
		p.set.Sched.Release(p)
		p.renew()
		return err
	}
	return nil
}

// ready makes a new process a waiting one, if it has what it takes.
func (p *Proc) ready() error {
	u := p.User()
	if euid := os.Geteuid(); euid != 0 && u.UID != uint32(euid) {
		return sys.Errorf(syscall.EPERM, "start: this server is not root, so it runs programs only as its own user (uid %d)", euid)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.removed:
		return sys.ErrGone
	case p.set.halting.Load():
		return sys.Errorf(syscall.EBUSY, "start: the server is ending")
	case p.state == Done:
		return sys.Errorf(syscall.EBUSY, "start: %s is done (%s): make another process", p.meta.Name, p.exit)
	case p.state != New:
		return sys.Errorf(syscall.EBUSY, "start: %s is %s already", p.meta.Name, p.state)
	case len(p.conf.args) == 0 && len(p.conf.roles) == 0:
		return sys.Errorf(syscall.EINVAL, "start: nothing to run (write \"exec PROG [ARG...]\" first)")
	}
	p.state = Waiting
	p.meta.Use()
	return nil
}

// renew makes a process new again whose start failed.
func (p *Proc) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Waiting {
		p.state, p.signals = New, nil
	}
}

// Granted is for the scheduler: cores came free for a process that waited, or
// its cores changed.
func (p *Proc) Granted(g sched.Grant) error {
	p.op.Lock()
	defer p.op.Unlock()
	waited := p.State() == Waiting
	err := p.apply(g)
	if err != nil && waited {
		p.stillborn(err)
	}
	return err
}

// stillborn ends a process that waited, and whose program could not be
// launched when its cores came.
func (p *Proc) stillborn(err error) {
	go p.finish(cores.Exit{Code: launchStatus(err)}, "start: "+err.Error())
}

// launchStatus is the exit status that a shell has for a program that could
// not be started.
func launchStatus(err error) int {
	if sys.Errno(err) == syscall.ENOENT {
		return 127
	}
	return 126
}

// apply puts the process where a grant says: it launches its program there, or
// moves it. p.op is held.
func (p *Proc) apply(g sched.Grant) error {
	if g.Serial != 0 && g.Serial <= p.serial {
		return nil
	}
	p.mu.Lock()
	state, job, old := p.state, p.job, p.vcores
	next := remap(old, g.Cores, time.Now())
	p.launching = state == Waiting
	p.mu.Unlock()
	switch {
	case state == Waiting:
		if err := p.launch(g, next); err != nil {
			return err
		}
	case state.live():
		if !slices.Equal(slots(next), slots(old)) {
			if err := job.Place(slots(next)); err != nil {
				return err
			}
		}
		p.mu.Lock()
		p.moved(next)
		p.tier = g.Tier
		p.mu.Unlock()
	default:
		return sys.Errorf(syscall.ESRCH, "%s is %s", p.meta.Name, state)
	}
	p.serial = g.Serial
	return nil
}

// launch runs the program on these vcores. p.op is held, and launching is set.
func (p *Proc) launch(g sched.Grant, next []vcore) error {
	files, err := p.openFiles()
	if err == nil {
		var job cores.Job
		job, err = p.set.Driver.Launch(p.program(g.Cores, files), slots(next))
		files.closeChild()
		if err == nil {
			p.stdin.attach(files.input)
			p.launched(job, g, next)
			go p.watch(job)
			return nil
		}
		files.input.Close()
		p.dropFiles()
	}
	p.mu.Lock()
	p.launching = false
	p.mu.Unlock()
	return err
}

// launched makes the process one that runs.
func (p *Proc) launched(job cores.Job, g sched.Grant, next []vcore) {
	if err := p.set.state.record(p.slot, job.PID(), p.meta.Name, p.Exec()); err != nil {
		p.set.Log.Warn("program not recorded", "proc", p.meta.Name, "err", err)
	}
	p.mu.Lock()
	p.job, p.state, p.launching = job, Running, false
	p.started, p.tier, p.reason = time.Now(), g.Tier, ""
	p.moved(next)
	signals := p.signals
	p.signals = nil
	p.set.tell("started", p, strconv.Itoa(job.PID())+" "+p.cores().String())
	p.mu.Unlock()
	for _, sig := range signals {
		if err := p.Kill(sig); err != nil {
			p.set.Log.Debug("signal sent while starting", "proc", p.meta.Name, "err", err)
		}
	}
}

// program is what the driver launches.
func (p *Proc) program(on []cores.ID, f files) cores.Program {
	u := p.User()
	c := p.config()
	return cores.Program{
		Name: p.meta.Name, Args: c.args, Roles: c.roles, Env: p.environ(u, c.env, on),
		Dir: c.dir, User: u, Pin: c.pin,
		Stdin: f.stdin, Stdout: f.stdout, Stderr: f.stderr, Pending: p.stdin.pending,
	}
}

// watch waits for the program's end.
func (p *Proc) watch(job cores.Job) {
	<-job.Done()
	p.finish(job.Exit(), "")
}

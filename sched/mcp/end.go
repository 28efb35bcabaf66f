package mcp

import (
	"fmt"
	"slices"
	"syscall"

	"warren/cores"
	"warren/fs/sys"
)

// finish clears away what the process had, and then tells everybody that it
// is done: who has read the end finds the cores free.
func (p *Proc) finish(e cores.Exit, reason string) {
	p.mu.Lock()
	if p.state == Done {
		p.mu.Unlock()
		return
	}
	p.state = Ending
	if reason != "" {
		p.reason = reason
	}
	p.mu.Unlock()
	p.giveUp()
	p.op.Lock()
	defer p.op.Unlock()
	if p.State() == Done {
		return
	}
	p.set.Sched.Release(p)
	p.done(e)
}

// done is the last step of finish. p.op is held.
func (p *Proc) done(e cores.Exit) {
	text := exitText(e)
	p.mu.Lock()
	p.state, p.exit, p.usage, p.job = Done, text, e.Usage, nil
	for i := range p.vcores {
		p.vcores[i].core = -1
	}
	p.mu.Unlock()
	p.stdin.finish(sys.Errorf(syscall.EPIPE, "stdin: the program has ended (%s)", text))
	p.out.finish()
	p.set.ended(p, text)
	p.feed.End([]byte("exit " + text + "\n"))
	p.end.come(fmt.Appendf(nil, "%s %d %d %d %d '%s'\n", p.meta.Name, exitStatus(e),
		e.User.Microseconds(), e.Sys.Microseconds(), e.Real.Microseconds(), text))
}

// remove takes a process out of the world that is new or done; EBUSY for others.
func (p *Proc) remove() error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	err := p.removable()
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.removed = true
	p.mu.Unlock()
	p.meta.Retire()
	p.stdin.finish(sys.ErrGone)
	p.out.finish()
	p.feed.Close()
	p.end.come(nil)
	p.dropFiles()
	return nil
}

// removable says why the process cannot be removed. p.mu is held.
func (p *Proc) removable() error {
	switch {
	case p.removed:
		return sys.ErrNotExist
	case p.state == New || p.state == Done:
		return nil
	case p.job != nil:
		return sys.Errorf(syscall.EBUSY, "%s is %s (pid %d): kill it first", p.meta.Name, p.state, p.job.PID())
	}
	return sys.Errorf(syscall.EBUSY, "%s is %s: kill it first", p.meta.Name, p.state)
}

// Kill sends a signal to the program's process group; SIGKILL ends all that
// it started. One that waits for cores is done with; a stopped one is
// continued to take a signal that is to end it. ESRCH when there is nothing
// to send it to.
func (p *Proc) Kill(sig int) error {
	switch syscall.Signal(sig) {
	case syscall.SIGSTOP:
		return p.Stop()
	case syscall.SIGCONT:
		return p.Cont()
	}
	p.mu.Lock()
	state, job := p.state, p.job
	switch {
	case state == Waiting && p.launching && len(p.signals) == maxSignal:
		p.mu.Unlock()
		return sys.Errorf(syscall.EAGAIN, "kill: %s is being started and has %d signals waiting", p.meta.Name, maxSignal)
	case state == Waiting && p.launching:
		p.signals = append(p.signals, sig)
	case state == Waiting:
		p.state, p.reason = Ending, "killed while it waited for cores"
		go p.finish(cores.Exit{Signal: sig}, "")
	}
	p.mu.Unlock()
	switch {
	case state == Waiting || state == Ending && sig == int(syscall.SIGKILL):
		return nil
	case !state.live():
		return sys.Errorf(syscall.ESRCH, "kill: %s is %s", p.meta.Name, state)
	}
	return p.signal(job, sig, state)
}

// signal sends a signal to a program that runs or is stopped.
func (p *Proc) signal(job cores.Job, sig int, state State) error {
	if sig != int(syscall.SIGKILL) {
		err := job.Signal(sig)
		if err == nil && state == Stopped && ends(syscall.Signal(sig)) {
			return p.Cont()
		}
		return err
	}
	if err := job.Kill(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.live() {
		p.state = Ending
	}
	return nil
}

// Stop stops the program, all of it, until Cont.
func (p *Proc) Stop() error { return p.freeze("stop", true, Stopped) }

// Cont continues a program that was stopped.
func (p *Proc) Cont() error { return p.freeze("cont", false, Running) }

func (p *Proc) freeze(verb string, on bool, then State) error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	state, job := p.state, p.job
	p.mu.Unlock()
	switch {
	case !state.live():
		return sys.Errorf(syscall.ESRCH, "%s: %s is %s", verb, p.meta.Name, state)
	case state == then:
		return nil
	}
	if err := job.Freeze(on); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.live() {
		p.state = then
	}
	return nil
}

// Yield gives n cores back, those of the highest vcores first. EINVAL if that
// leaves less than the minimum.
func (p *Proc) Yield(n int) error {
	return p.yield(func(vs []vcore) ([]int, error) {
		var give []int
		for i := len(vs) - 1; i >= 0 && len(give) < n; i-- {
			if vs[i].core >= 0 {
				give = append(give, i)
			}
		}
		if len(give) < n {
			return nil, sys.Errorf(syscall.EINVAL, "yield: want to give %d, have %d", n, len(give))
		}
		return give, nil
	})
}

// YieldVCore gives the core of a vcore back. EINVAL if it has none, or if that
// leaves less than the minimum.
func (p *Proc) YieldVCore(v int) error {
	return p.yield(func(vs []vcore) ([]int, error) {
		if v >= len(vs) || vs[v].core < 0 {
			return nil, sys.Errorf(syscall.EINVAL, "yield: vcore %d has no core (see cores)", v)
		}
		return []int{v}, nil
	})
}

// yield gives the cores of some vcores back. The program leaves them before
// anybody else can get them.
func (p *Proc) yield(pick func([]vcore) ([]int, error)) error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	state, job, old := p.state, p.job, p.vcores
	p.mu.Unlock()
	if !state.live() {
		return sys.Errorf(syscall.ESRCH, "yield: %s is %s", p.meta.Name, state)
	}
	picked, err := pick(old)
	if err != nil {
		return err
	}
	next, give := slices.Clone(old), make([]cores.ID, len(picked))
	for i, v := range picked {
		give[i], next[v].core = old[v].core, -1
	}
	if least := p.Request().Min; len(slots(next)) < least {
		return sys.Errorf(syscall.EINVAL, "yield: that would leave %d cores, and %d is the least (cores in ctl)", len(slots(next)), least)
	}
	if err := job.Place(slots(next)); err != nil {
		return err
	}
	g, err := p.set.Sched.Yield(p, give)
	if err != nil {
		if again := job.Place(slots(old)); again != nil {
			p.set.Log.Warn("process is not on its cores", "proc", p.meta.Name, "err", again)
		}
		return err
	}
	p.mu.Lock()
	p.conf.req.Max = max(p.conf.req.Min, len(g.Cores))
	p.mu.Unlock()
	return p.apply(g)
}

// noteBound is the longest note, in bytes.
const noteBound = 4 << 10

// Note sends a text of one line to those who read the process's events.
// EMSGSIZE for one of more than 4 KiB.
func (p *Proc) Note(text string) error {
	if len(text) > noteBound {
		return sys.Errorf(syscall.EMSGSIZE, "note: %d bytes, at most %d", len(text), noteBound)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Done {
		return sys.Errorf(syscall.EPIPE, "note: %s is done (%s)", p.meta.Name, p.exit)
	}
	p.tell("note %s", text)
	return nil
}

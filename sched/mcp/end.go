package mcp

import (
	"fmt"
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

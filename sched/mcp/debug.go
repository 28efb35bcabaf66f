package mcp

import (
	"syscall"

	"warren/cores"
	"warren/fs/sys"
)

// OpenDebug opens a session of gdb's remote protocol with the program.
// EOPNOTSUPP if its cores are not simulated, ESRCH if none runs.
func (p *Proc) OpenDebug() (cores.Port, error) {
	p.mu.Lock()
	state, job := p.state, p.job
	p.mu.Unlock()
	if !state.live() {
		return nil, sys.Errorf(syscall.ESRCH, "gdb: %s is %s", p.meta.Name, state)
	}
	d, ok := job.(cores.DebugJob)
	if !ok {
		return nil, sys.Errorf(syscall.EOPNOTSUPP, "gdb: %s runs on processors of the host: gdb -p %d", p.meta.Name, job.PID())
	}
	return d.Debug()
}

package mcp

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"warren/cores"
	"warren/fs/sys"
)

// maxSignal is the highest signal of Linux.
const maxSignal = 64

// ParseSignal reads the name of a signal, with or without SIG, or its number.
func ParseSignal(word string) (int, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 1 || n > maxSignal {
			return 0, sys.Errorf(syscall.EINVAL, "no signal %d (want 1 to %d, or a name such as TERM)", n, maxSignal)
		}
		return n, nil
	}
	name := strings.ToUpper(word)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return int(sig), nil
	}
	return 0, sys.Errorf(syscall.EINVAL, "no signal %q (want a name such as TERM, KILL, INT, HUP, USR1, or a number)", word)
}

// signalText names a signal as exit texts do: "9 KILL".
func signalText(sig int) string {
	text := strconv.Itoa(sig)
	if name := unix.SignalName(syscall.Signal(sig)); name != "" {
		text += " " + strings.TrimPrefix(name, "SIG")
	}
	return text
}

// exitText says how a program ended: "exit 3", "signal 9 KILL", "signal 11
// SEGV core".
func exitText(e cores.Exit) string {
	if e.Signal == 0 {
		return "exit " + strconv.Itoa(e.Code)
	}
	text := "signal " + signalText(e.Signal)
	if e.Core {
		text += " core"
	}
	return text
}

// exitStatus is the end as a shell's $? has it: 128 and the number for a signal.
func exitStatus(e cores.Exit) int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

// ends reports whether a signal is sent to end a program, so that one that is
// stopped must be continued to take it.
func ends(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT:
		return true
	}
	return false
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
			err = p.Cont()
			if no := sys.Errno(err); no == syscall.ESRCH || no == syscall.ENOENT {
				return nil // the signal has ended it already
			}
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

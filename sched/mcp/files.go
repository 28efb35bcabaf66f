package mcp

import (
	"os"

	"golang.org/x/sys/unix"

	"warren/fs/sys"
)

// files are the ends of a program's files.
type files struct {
	stdin, stdout, stderr *os.File // the program's
	input                 *os.File // ours
}

// openFiles takes a slot for the program and opens its files.
func (p *Proc) openFiles() (f files, err error) {
	u, d := p.User(), &p.set.state
	p.slot, p.slotUser = d.take(u.UID), u.UID
	defer func() {
		if err != nil {
			f.closeChild()
			p.dropFiles()
			err = fileError(err)
		}
	}()
	base := d.base(p.slot)
	if f.stdout, err = openOutput(base+"."+stdoutName, u); err != nil {
		return f, err
	}
	if f.stderr, err = openOutput(base+"."+stderrName, u); err != nil {
		return f, err
	}
	if f.stdin, f.input, err = inputPipe(); err != nil {
		return f, err
	}
	p.out.begin(base)
	return f, nil
}

// openOutput opens a log, which is the user's own, so that programs can open
// /dev/stdout.
func openOutput(path string, u *sys.User) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && st.Size > 0 {
		err = f.Truncate(0)
	}
	if err == nil && st.Uid != u.UID {
		err = f.Chown(int(u.UID), int(u.GID))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// inputPipe makes a pipe of which only our end never blocks.
func inputPipe() (theirs, ours *os.File, err error) {
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fd[1], true); err != nil {
		unix.Close(fd[0])
		unix.Close(fd[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd[0]), "stdin"), os.NewFile(uintptr(fd[1]), "stdin"), nil
}

// closeChild closes the ends that are the program's.
func (f files) closeChild() {
	for _, end := range []*os.File{f.stdin, f.stdout, f.stderr} {
		if end != nil {
			end.Close()
		}
	}
}

// dropFiles gives the process's slot back, with all output.
func (p *Proc) dropFiles() {
	unread := p.out.abort()
	if p.slot < 0 {
		return
	}
	if err := p.set.state.give(p.slot, p.slotUser, unread); err != nil {
		p.set.Log.Warn("output not removed", "proc", p.meta.Name, "err", err)
	}
	p.slot = -1
}

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// What run itself ends with when there is no program's status to pass on, as
// env(1) and timeout(1) do.
const (
	runFailed     = 125
	runCannotExec = 126
	runNotFound   = 127
)

// runOptions are the flags of run, in the words of a process's ctl.
type runOptions struct {
	cores, class, on, name string
	gang, keep, now        bool
}

func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:     "run [-c N|MIN..MAX] [-class CLASS] [-on SET] [-gang] [-now] [-name NAME] [-keep] -- PROG [ARG...]",
		Short:   "run a program on cores of the machine",
		Example: "warren run -c 2 -class exclusive -- sh -c 'echo I am on $WARREN_CORES'",
		Long: "Run makes a process of the tree, starts a program in it with this environment\n" +
			"and folder, and is its terminal: standard input, output and error and the\n" +
			"signals INT TERM HUP QUIT TSTP CONT USR1 USR2 pass through. It waits for the\n" +
			"cores if others have them (-now: fails instead). The process is removed at the\n" +
			"end, unless it was given a name or is to be kept.\n\n" +
			"The exit status is the program's, 128 + N if signal N ended it; 127 if there\n" +
			"is no such program, 126 if it cannot be run, 125 if warren could not start it.",
		Args:        words(1, -1),
		Annotations: map[string]string{flagsFirst: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProgram(cmd, o, args)
		},
		DisableFlagsInUseLine: true,
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVarP(&o.cores, "cores", "c", "", "cores wanted, N or MIN..MAX")
	f.StringVar(&o.class, "class", "", "shared, exclusive or quiet")
	completeFlag(cmd, "class", "shared", "exclusive", "quiet")
	f.StringVar(&o.on, "on", "", "set of cores it may be on, such as 0-3,8")
	f.StringVar(&o.name, "name", "", "name of the process, which then stays")
	f.BoolVar(&o.gang, "gang", false, "all vcores run or none")
	f.BoolVar(&o.keep, "keep", false, "leave the process in the tree at the end")
	f.BoolVar(&o.now, "now", false, "fail rather than wait for cores")
	return cmd
}

// runProgram runs the program and returns its status as an error.
func runProgram(cmd *cobra.Command, o runOptions, args []string) error {
	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, passedOn...)
	defer signal.Stop(sigs)
	signal.Ignore(syscall.SIGPIPE) // it is the program's, see unread
	ctx := context.Background()
	cl, err := dial(ctx, cmd)
	if err != nil {
		return failure(err)
	}
	defer cl.Close()
	r, err := newRun(ctx, cl, o)
	if err != nil {
		return failure(err)
	}
	status, err := r.whole(ctx, o, args, sigs)
	left := r.end(ctx, o)
	if err != nil {
		return failure(errors.Join(err, left))
	}
	report(left) // what the program did counts more than what it left behind
	return exitStatus(status)
}

// failure reports what kept run from running the program.
func failure(err error) error {
	report(err)
	var start *startError
	if !errors.As(err, &start) {
		return exitStatus(runFailed)
	}
	switch sys.Errno(err) {
	case syscall.ENOENT, syscall.ENOTDIR:
		return exitStatus(runNotFound)
	case syscall.EACCES, syscall.ENOEXEC, syscall.EISDIR:
		return exitStatus(runCannotExec)
	}
	return exitStatus(runFailed)
}

// A startError is a refusal of the program itself.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// A run is a process of the tree that this command stands for.
type run struct {
	cl  *client.Client
	dir string // procs/NAME
	ctl *client.File
}

// newRun makes the process, named or by clone.
func newRun(ctx context.Context, cl *client.Client, o runOptions) (*run, error) {
	r := &run{cl: cl}
	if o.name != "" {
		r.dir = path.Join("procs", o.name)
		if err := cl.Mkdir(ctx, r.dir, 0o777); err != nil {
			return nil, pathError(ctx, cl, r.dir, err)
		}
		ctl, err := cl.Open(ctx, r.dir+"/ctl", fs.OWrite)
		r.ctl = ctl
		return r, pathError(ctx, cl, r.dir+"/ctl", err)
	}
	ctl, err := cl.Open(ctx, "procs/clone", fs.ORead|fs.OWrite)
	if err != nil {
		return nil, pathError(ctx, cl, "procs/clone", err)
	}
	name := make([]byte, 256)
	n, err := ctl.ReadContext(ctx, name)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, pathError(ctx, cl, "procs/clone", err)
	}
	r.ctl, r.dir = ctl, path.Join("procs", strings.TrimSpace(string(name[:n])))
	return r, nil
}

// end closes the process and removes it, unless it is to stay.
func (r *run) end(ctx context.Context, o runOptions) error {
	err := r.ctl.Close()
	if o.name == "" && !o.keep {
		err = errors.Join(err, pathError(ctx, r.cl, r.dir, r.cl.Remove(ctx, r.dir)))
	}
	return err
}

// whole sets the process up, starts it, serves it and returns its status.
func (r *run) whole(ctx context.Context, o runOptions, args []string, sigs chan os.Signal) (int, error) {
	if err := r.set(ctx, settings(o, args)); err != nil {
		return 0, err
	}
	wait, err := r.cl.Open(ctx, r.dir+"/wait", fs.ORead)
	if err != nil {
		return 0, pathError(ctx, r.cl, r.dir+"/wait", err)
	}
	defer wait.Close()
	out, err := r.output(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.feed(ctx, os.Stdin); err != nil {
		return 0, err
	}
	start := "start\n"
	if o.now {
		start = "start now\n"
	}
	if err := r.set(ctx, []byte(start)); err != nil {
		return 0, &startError{err}
	}
	stop := r.pass(ctx, sigs)
	defer stop()
	status, err := waitStatus(ctx, wait)
	return status, errors.Join(err, out.drain(err == nil))
}

// set writes lines to the ctl file, as many at a time as fit in a message.
func (r *run) set(ctx context.Context, lines []byte) error {
	for len(lines) > 0 {
		n := len(lines)
		if most := r.ctl.IOUnit(); n > most {
			n = bytes.LastIndexByte(lines[:most], '\n') + 1
		}
		if n == 0 {
			return sys.Errorf(syscall.E2BIG, "argument or environment too long for the server")
		}
		done, err := r.ctl.WriteContext(ctx, lines[:n])
		if err != nil {
			return refusal(ctx, r.cl, r.dir+"/ctl", err)
		}
		lines = lines[done:]
	}
	return nil
}

// settings are the ctl lines that describe the program.
func settings(o runOptions, args []string) []byte {
	var b []byte
	b = appendCommand(b, "exec", args...)
	b = appendCommand(b, "hold", "on") // our close ends the input
	if dir, err := os.Getwd(); err == nil {
		b = appendCommand(b, "dir", dir)
	}
	for _, kv := range os.Environ() {
		if sendable(kv) {
			b = appendCommand(b, "env", kv)
		}
	}
	for _, s := range [][2]string{{"cores", o.cores}, {"class", o.class}, {"on", o.on}} {
		if s[1] != "" {
			b = appendCommand(b, s[0], s[1])
		}
	}
	if o.gang {
		b = appendCommand(b, "gang", "on")
	}
	if o.keep {
		b = appendCommand(b, "keep")
	}
	return b
}

// sendable leaves out what the server sets for each process itself, and what
// ctl files, being text, do not take.
func sendable(kv string) bool {
	name, _, _ := strings.Cut(kv, "=")
	return name != "" && !strings.HasPrefix(name, "WARREN") && utf8.ValidString(kv)
}

// appendCommand appends a ctl line, its words quoted so that newlines stay.
func appendCommand(b []byte, verb string, words ...string) []byte {
	b = append(b, verb...)
	for _, w := range words {
		b = append(b, ' ')
		if w != "" && !strings.ContainsAny(w, " \t\r\n'#") {
			b = append(b, w...)
			continue
		}
		b = append(b, '\'')
		b = append(b, strings.ReplaceAll(w, "'", "''")...)
		b = append(b, '\'')
	}
	return append(b, '\n')
}

// feed begins to pass our input on, to its end or the program's. Closing the
// file ends the program's input, also when we are killed.
func (r *run) feed(ctx context.Context, in io.Reader) error {
	f, err := r.cl.Open(ctx, r.dir+"/stdin", fs.OWrite)
	if err != nil {
		return pathError(ctx, r.cl, r.dir+"/stdin", err)
	}
	go func() {
		defer f.Close()
		_ = copyIn(ctx, f, in, true) // it fails when the program reads no more
	}()
	return nil
}

// passedOn are the signals that go to the program.
var passedOn = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
	syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// pass hands signals on until stop.
func (r *run) pass(ctx context.Context, sigs <-chan os.Signal) (stop func()) {
	quit := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-sigs:
				r.signal(ctx, s.(syscall.Signal))
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit) }
}

// signal gives the program a signal. The stop of a terminal means nothing to a
// program in a session of its own, so it is stopped by the tree, and then us,
// so that the shell's job control sees it. Refusals are of one that has ended:
// the wait tells.
func (r *run) signal(ctx context.Context, s syscall.Signal) {
	switch s {
	case syscall.SIGTSTP:
		_ = r.do(ctx, "stop")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return
	case syscall.SIGCONT:
		if r.do(ctx, "cont") == nil {
			return
		}
	}
	_ = r.do(ctx, "kill "+strconv.Itoa(int(s)))
}

// do writes one command.
func (r *run) do(ctx context.Context, command string) error {
	_, err := r.ctl.WriteContext(ctx, []byte(command+"\n"))
	return err
}

// waitStatus reads the record of the program's end.
func waitStatus(ctx context.Context, wait *client.File) (int, error) {
	buf := make([]byte, wait.IOUnit())
	n, err := wait.ReadContext(ctx, buf)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	w, err := fs.Words(strings.TrimSuffix(string(buf[:n]), "\n"))
	if err != nil || len(w) < 2 {
		return 0, sys.Errorf(syscall.EPROTO, "wait: no record of the end: %q", buf[:n])
	}
	return strconv.Atoi(w[1])
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"warren/testdata/demo"
)

// How long the parts of the demo may take before it gives up.
const (
	demoStart = 10 * time.Second // the server, until it is ready
	demoRun   = 2 * time.Minute  // the script
	demoStop  = 10 * time.Second // the server, until it is gone
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "demo",
		Short:   "bring up a machine, count words on all its cores, leave nothing behind",
		Example: "warren demo",
		Long: "Demo starts a server of its own on a private socket, mounts its tree where FUSE\n" +
			"is to be had, and runs a shell script that counts the words of some megabytes\n" +
			"of source text: with a worker on each application core, which take names of\n" +
			"files from one channel and write counts to another. It checks the count\n" +
			"against wc(1), ends the server, and sees that nothing is left.",
		Args:              words(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := interruptible()
			defer stop()
			return ended(ctx, tour(ctx))
		},
	}
}

// A demoMachine is the server of the demo and the folder that holds
// everything of it: scripts, socket, state and mount.
type demoMachine struct {
	dir    string
	addr   string
	mount  string // empty: none
	server *exec.Cmd
	exited chan error
}

// tour is the whole demo.
func tour(ctx context.Context) (err error) {
	began := time.Now()
	m, err := newDemoMachine()
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, m.end()); err == nil {
			fmt.Printf("nothing is left of it. %.1f s\n", time.Since(began).Seconds())
		}
	}()
	folder, err := m.text(ctx)
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	return m.script(ctx, folder)
}

func newDemoMachine() (*demoMachine, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "warren-demo-")
	if err != nil {
		return nil, err
	}
	m := &demoMachine{dir: dir, addr: "unix!" + filepath.Join(dir, "socket")}
	err = errors.Join(
		os.CopyFS(m.path("demo"), demo.Scripts),
		os.Mkdir(m.path("bin"), 0o755),
		os.Symlink(exe, m.path("bin/warren")),
		os.Mkdir(m.path("tree"), 0o755))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return m, nil
}

func (m *demoMachine) path(name string) string { return filepath.Join(m.dir, name) }

// start starts the server, with a mount if that can be.
func (m *demoMachine) start(ctx context.Context) error {
	why := canMount()
	if why == nil {
		m.mount = m.path("tree")
		if why = m.serve(ctx); why == nil || ctx.Err() != nil {
			return why
		}
		m.mount = ""
	}
	fmt.Printf("no mount here, so everything goes over 9P: %v\n", why)
	return m.serve(ctx)
}

func canMount() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// serve runs "warren serve" and waits until it answers.
func (m *demoMachine) serve(ctx context.Context) error {
	args := []string{"serve", "-listen", m.addr, "-state", m.path("state"), "-machine", demoSpec()}
	if m.mount != "" {
		args = append(args, "-mount", m.mount)
	}
	fmt.Println("% warren", strings.Join(args, " "))
	log, err := os.Create(m.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	m.server = exec.Command(m.path("bin/warren"), args...)
	m.server.Stderr = log
	m.server.Env = m.environ()
	m.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the script
	out, err := m.server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.server.Start(); err != nil {
		m.server = nil
		return err
	}
	m.exited = make(chan error, 1)
	ready := make(chan struct{})
	go func(cmd *exec.Cmd, exited chan<- error) {
		passOn(out, ready)
		exited <- cmd.Wait()
	}(m.server, m.exited)
	return m.answers(ctx, ready)
}

// passOn prints what the server says, and closes ready when it is.
func passOn(r io.Reader, ready chan<- struct{}) {
	for s := bufio.NewScanner(r); s.Scan(); {
		fmt.Println(s.Text())
		if s.Text() == "warren: ready" {
			close(ready)
		}
	}
}

// demoSpec is the machine: this one, or more slots than it has cores where it
// has too few to show anything.
func demoSpec() string {
	if runtime.NumCPU() < 4 {
		return "host,cores=8"
	}
	return "host"
}

// answers waits until the server is ready, or has ended.
func (m *demoMachine) answers(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case err := <-m.exited:
		m.server = nil
		return fmt.Errorf("the server ended: %w: %s", err, m.lastLog())
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(demoStart):
		return fmt.Errorf("the server is not ready after %s: %s", demoStart, m.lastLog())
	}
}

func (m *demoMachine) lastLog() string {
	log, err := os.ReadFile(m.path("log"))
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if err != nil {
		return err.Error()
	}
	return lines[len(lines)-1]
}

// environ is that of the server and the script: both the same, so that a
// worker finds what the script does.
func (m *demoMachine) environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WARREN") {
			env = append(env, e)
		}
	}
	env = append(env, "LC_ALL=C", "WARREN_ADDR="+m.addr, "PATH="+m.path("bin")+":"+os.Getenv("PATH"))
	if m.mount != "" {
		env = append(env, "WARREN="+m.mount)
	}
	return env
}

// script runs the word count.
func (m *demoMachine) script(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, demoRun)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", m.path("demo/wordcount.sh"), folder, m.path("names"))
	sh.Stdout, sh.Stderr = os.Stdout, os.Stderr
	sh.Env = m.environ()
	sh.Cancel = func() error { return sh.Process.Signal(syscall.SIGTERM) } // it removes what it made
	sh.WaitDelay = demoStop
	fmt.Println("% wordcount.sh", folder, m.path("names"))
	if err := sh.Run(); err != nil {
		return fmt.Errorf("wordcount.sh: %w", err)
	}
	return nil
}

// end ends the server and removes everything; what is left is an error.
func (m *demoMachine) end() error {
	var err error
	if m.server != nil {
		err = m.halt()
	}
	for _, mount := range mountsBelow(m.dir) {
		err = errors.Join(err, fmt.Errorf("%s is still mounted", mount))
		_ = syscall.Unmount(mount, syscall.MNT_DETACH) // or the next line would empty what it shows
	}
	for _, p := range processesOf(m.dir) {
		err = errors.Join(err, fmt.Errorf("a process is left: %s", p))
	}
	return errors.Join(err, os.RemoveAll(m.dir))
}

// halt tells the server to end its programs and itself.
func (m *demoMachine) halt() error {
	ctx, cancel := context.WithTimeout(context.Background(), demoStop)
	defer cancel()
	cl, err := dialAddr(ctx, m.addr, nil)
	if err == nil {
		err = write(ctx, cl, "ctl", []string{"halt"})
		cl.Close()
	}
	if err != nil {
		m.server.Process.Kill()
		<-m.exited
		return fmt.Errorf("halt: %w: %s", err, m.lastLog())
	}
	select {
	case err = <-m.exited:
	case <-ctx.Done():
		m.server.Process.Kill()
		err = fmt.Errorf("it had to be killed: %w", <-m.exited)
	}
	if err != nil {
		return fmt.Errorf("the server: %w: %s", err, m.lastLog())
	}
	return nil
}

// mountsBelow returns what is mounted in a folder.
func mountsBelow(dir string) []string {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var at []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			at = append(at, f[1])
		}
	}
	return at
}

// processesOf returns the processes, but this one, that have the folder in
// their environment.
func processesOf(dir string) []string {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var left []string
	for _, name := range environs {
		if env, err := os.ReadFile(name); err == nil && bytes.Contains(env, []byte(dir)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			left = append(left, filepath.Base(filepath.Dir(name))+" "+string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		}
	}
	return left
}

// How much text there is to count.
const (
	textBytes = 5 << 20
	fileBytes = 128 << 10 // of a file at most, so that all workers have some
)

// text finds some megabytes of text, writes the names of the files, and
// returns the folder that they are in.
func (m *demoMachine) text(ctx context.Context) (string, error) {
	folders := []string{"/usr/share"}
	if root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		folders = []string{filepath.Join(strings.TrimSpace(string(root)), "src"), "/usr/share"}
	}
	for _, folder := range folders {
		names, size := textFiles(folder)
		if size < textBytes/2 {
			continue
		}
		fmt.Printf("the text: %d files, %.1f MB, in %s\n", len(names), float64(size)/1e6, folder)
		return folder, os.WriteFile(m.path("names"), []byte(strings.Join(names, "\n")+"\n"), 0o644)
	}
	return "", fmt.Errorf("there is not enough text in %s", strings.Join(folders, " or "))
}

// textFiles returns the names of files of plain text, up to textBytes together.
func textFiles(folder string) (names []string, size int) {
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // what cannot be read is not counted
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || !plain([]byte(name+"\n")) || strings.ContainsAny(name, " \t'\"\\") {
			return nil
		}
		if info, err := e.Info(); err != nil || info.Size() > fileBytes {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil && plain(text) {
			names, size = append(names, name), size+len(text)
		}
		if size >= textBytes {
			return fs.SkipAll
		}
		return nil
	})
	return names, size
}

// plain reports whether a text is lines of ASCII: about what else is a word,
// awk and wc do not agree.
func plain(text []byte) bool {
	for _, ch := range text {
		if (ch < ' ' || ch > '~') && ch != '\n' && ch != '\t' {
			return false
		}
	}
	return bytes.HasSuffix(text, []byte{'\n'})
}

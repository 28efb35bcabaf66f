package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"warren/fs/ninep"
	"warren/fs/sys"
)

// scriptAddress waits until a server is ready whose output goes to a file, and
// sets a variable to the first of its addresses that begins in this way.
func scriptAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: address NAME FILE PREFIX")
	}
	var text string
	until(ts, args[1], func() (string, bool) {
		b, _ := os.ReadFile(ts.MkAbs(args[1]))
		text = string(b)
		return text, strings.Contains(text, "ready\n")
	})
	addr := regexp.MustCompile(regexp.QuoteMeta(args[2]) + `\S+`).FindString(text)
	if addr == "" {
		ts.Fatalf("no %s in %s", args[2], text)
	}
	ts.Setenv(args[0], addr)
}

// A service is a server of this program, in a process of its own.
type service struct {
	t   *testing.T
	cmd *exec.Cmd
	log *lockedBuffer
}

// startService runs a command line in a shell that becomes it.
func startService(t *testing.T, dir, line string, files []*os.File, env ...string) *service {
	t.Helper()
	s := &service{t: t, log: newLockedBuffer()}
	s.cmd = exec.Command("sh", "-c", "exec "+line)
	s.cmd.Dir = dir
	s.cmd.Env = append(append(os.Environ(), "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+dir), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.ExtraFiles = files
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// end ends it, with its programs if it has any.
func (s *service) end() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // 128 + SIGTERM
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
		s.t.Errorf("SIGTERM did not end it:\n%s", s.log)
	}
}

func (s *service) until(what string, ok func() bool) {
	s.t.Helper()
	(&testMachine{t: s.t, log: s.log}).until(what, ok)
}

func (s *service) ready() *service {
	s.t.Helper()
	s.until("ready", func() bool { return strings.Contains(s.log.String(), "ready\n") })
	return s
}

// A lab runs the examples that belong together, in one directory.
type lab struct {
	t         *testing.T
	dir, user string
	tls       string // what the last server that speaks TLS said of its address
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab") // short, as the path of a socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "hello.c"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return &lab{t: t, dir: dir, user: u.Username}
}

// move makes of an example what can be done here: this host is box.example,
// and our user is called glenda.
func (l *lab) move(line string) string {
	return strings.NewReplacer("tls!*!5640", "tls!127.0.0.1!0", "tls!box.example!5640", l.tls, "box.example", "localhost",
		"glenda", l.user, "/tmp/", l.dir+"/").Replace(line)
}

var tlsAddress = regexp.MustCompile(`tls!127\.0\.0\.1!(\d+)`)

// run runs one line. A server stays until the test ends.
func (l *lab) run(line string) {
	l.t.Helper()
	line = l.move(line)
	for _, name := range []string{"serve", "export", "proxy"} {
		if !strings.HasPrefix(line, "warren "+name+" ") {
			continue
		}
		line = strings.TrimSuffix(line, " &")
		if name == "serve" {
			line += " -machine host,cores=4 -state " + l.dir + "/state"
		}
		l.serve(line)
		return
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program(l.t))+":"+os.Getenv("PATH"),
		"WARREN_TLS_CERT="+l.user+".pem", "WARREN_TLS_KEY="+l.user+".key", "WARREN_TLS_CA=ca.pem")
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Errorf("%s: %v: %s", line, err, out)
	}
}

func (l *lab) serve(line string) {
	l.t.Helper()
	s := startService(l.t, l.dir, line, nil, "WARREN_TLS_CERT="+l.user+".pem", "WARREN_TLS_KEY="+l.user+".key", "WARREN_TLS_CA=ca.pem").ready()
	if m := tlsAddress.FindStringSubmatch(s.log.String()); m != nil && !strings.Contains(line, "proxy") {
		l.tls = "tls!localhost!" + m[1]
	}
}

// TestReadmeReachingIt runs the examples of the README's section, one after
// the other.
func TestReadmeReachingIt(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Reaching it\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found || !strings.Contains(section, "\n      warren cert init") {
		t.Fatal("the section has no example with TLS")
	}
	l := newLab(t)
	for line := range strings.Lines(section) {
		if line, ok := strings.CutPrefix(line, "      "); ok {
			l.run(strings.TrimSpace(line))
		}
	}
	if l.tls == "" {
		t.Error("no example served TLS")
	}
}

// TestSocketActivation hands over sockets as systemd does.
func TestSocketActivation(t *testing.T) {
	dir := t.TempDir()
	unixL, err := net.Listen("unix", filepath.Join(dir, "given"))
	if err != nil {
		t.Fatal(err)
	}
	defer unixL.Close()
	tcpL, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcpL.Close()
	var files []*os.File
	for _, l := range []interface{ File() (*os.File, error) }{unixL.(*net.UnixListener), tcpL.(*net.TCPListener)} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	const given = "env LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=local:net "
	serve := "warren serve -machine host,cores=2 -state " + dir + "/state "
	tcp := "tcp!" + strings.Replace(tcpL.Addr().String(), ":", "!", 1)
	t.Run("given", func(t *testing.T) {
		s := startService(t, dir, given+serve, files).ready()
		want := "at unix!" + dir + "/given " + tcp
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("want %s:\n%s", want, s.log)
		}
		out, err := exec.Command(program(t), "-a", "unix!"+dir+"/given", "run", "sh", "-c", "echo $WARREN_ADDR $LISTEN_FDS; ls /proc/self/fd").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "unix!"+dir+"/given\n") {
			t.Errorf("%v: %s", err, out)
		}
		if out, err := exec.Command(program(t), "-a", tcp, "cat", "status").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		s.end()
		if _, err := os.Stat(filepath.Join(dir, "given")); err != nil {
			t.Errorf("the socket is not ours to remove: %v", err)
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		s := startService(t, dir, given+serve+"-listen fd!4", files).ready()
		if said := s.log.String(); !strings.Contains(said, "at "+tcp+"\n") {
			t.Errorf("fd!4 is at %s", said)
		}
	})
	t.Run("for another", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root's socket is the system's")
		}
		s := startService(t, dir, "env LISTEN_PID=1 LISTEN_FDS=2 "+serve, files).ready()
		if said := s.log.String(); !strings.Contains(said, "at unix!"+dir+"/warren.sock\n") {
			t.Errorf("sockets that were for another: %s", said)
		}
	})
	t.Run("export", func(t *testing.T) {
		startService(t, dir, given+"warren export "+dir, files).ready()
		out, err := exec.Command(program(t), "-a", "unix!"+dir+"/given", "ls").CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("given")) {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// A manager is what a service tells how it is, as it does systemd.
type manager struct {
	t    *testing.T
	sock *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	return &manager{t, sock, path}
}

// hears waits for a message with this line.
func (m *manager) hears(line string) {
	m.t.Helper()
	_ = m.sock.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	for {
		n, err := m.sock.Read(b)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", line, err)
		}
		if strings.Contains("\n"+string(b[:n])+"\n", "\n"+line+"\n") {
			return
		}
	}
}

// TestNotify: the service manager hears that the server is ready, that it
// answers, and that it stops.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	m := newManager(t)
	s := startService(t, dir, "warren serve -machine host,cores=2 -state state -listen unix!sock", nil, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=300000")
	m.hears("READY=1")
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	out, err := exec.Command(program(t), "-a", "unix!"+dir+"/sock", "run", "sh", "-c", "echo x${NOTIFY_SOCKET}y").CombinedOutput()
	if err != nil || string(out) != "xy\n" {
		t.Errorf("a program is told of our manager: %s, %v", out, err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.hears("STOPPING=1")
	e := startService(t, dir, "warren export -listen unix!exported .", nil, "NOTIFY_SOCKET="+m.path)
	m.hears("READY=1")
	e.end()
	m.hears("STOPPING=1")
}

// TestWatchdog: one that is for another process hears nothing, and a server
// that does not answer itself is not said to live.
func TestWatchdog(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	t.Setenv("WATCHDOG_USEC", "3000")
	t.Setenv("WATCHDOG_PID", "1")
	log := slog.New(slog.DiscardHandler)
	watch(t.Context(), log, func(context.Context) error {
		t.Error("asked, for the watchdog of process 1")
		return nil
	}) // returns
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	watch(ctx, log, func(context.Context) error {
		switch asked++; asked {
		case 1, 2, 3:
			return errors.New("no answer")
		case 5:
			cancel() // the fourth has been told of
		}
		return nil
	})
	told := 0
	_ = m.sock.SetReadDeadline(time.Now().Add(20 * time.Second))
	for range 2 {
		b := make([]byte, 100)
		n, err := m.sock.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if string(b[:n]) == "WATCHDOG=1" {
			told++
		}
	}
	_ = m.sock.SetReadDeadline(time.Unix(1, 0))
	if n, err := m.sock.Read(make([]byte, 100)); err == nil || told != 2 || asked != 5 {
		t.Errorf("asked %d times, of which 2 were answered; told %d times, and then %d bytes", asked, told, n)
	}
}

// TestProxyIsOurs: who is neither its user nor root gets nothing of a proxy,
// unless everybody may.
func TestProxyIsOurs(t *testing.T) {
	far, err := net.Listen("unix", filepath.Join(t.TempDir(), "far"))
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			nc, err := far.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(nc, nc)
			nc.Close()
		}
	}()
	for _, c := range []struct {
		user *sys.User
		any  bool
		want string
	}{
		{nil, false, ""},
		{sys.Nobody(), false, ""},
		{&sys.User{UID: 54321, Name: "other"}, false, ""},
		{&sys.User{UID: 54321, Name: "other"}, true, "echo"},
		{&sys.User{UID: uint32(os.Geteuid())}, false, "echo"},
		{&sys.User{UID: 0, Name: "root"}, false, "echo"},
	} {
		p := &proxy{to: "unix!" + far.Addr().String(), any: c.any, log: slog.New(slog.DiscardHandler), ctx: t.Context()}
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.handle(there, ninep.Identity{User: c.user})
		}()
		_, _ = io.WriteString(here, "echo") // fails where it is refused
		b := make([]byte, len(c.want))
		if _, err := io.ReadFull(here, b); err != nil || string(b) != c.want {
			t.Errorf("%+v, any %v: got %q, %v", c.user, c.any, b, err)
		}
		here.Close()
		<-done
	}
}

// TestUnits has systemd look at the unit files.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	for _, name := range []string{"warren.service", "warren.socket"} {
		text, err := os.ReadFile(filepath.Join("..", "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/warren"), []byte(program(t)))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, "warren.service"), filepath.Join(dir, "warren.socket"))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

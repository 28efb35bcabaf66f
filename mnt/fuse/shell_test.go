package fuse

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"warren/fs/fstest"
)

// shells are the shells that users have: programs with their first arguments.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, s := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(s[0])
		if err != nil {
			t.Logf("no %s here", s[0])
			continue
		}
		found[s[0]] = append([]string{path}, s[1:]...)
	}
	if len(found) == 0 {
		t.Skip("no shell here")
	}
	return found
}

// command returns a shell that is about to run a script in the mount.
func command(t *testing.T, shell []string, dir, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", script)...)
	cmd.Env = append(os.Environ(), "D="+dir, "T="+t.TempDir())
	return cmd
}

func run(t *testing.T, shell []string, dir, script string) string {
	t.Helper()
	out, err := command(t, shell, dir, script).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func TestShells(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		for _, tt := range []struct{ name, script, want string }{
			{"echo to a ctl", `echo 'set one' >$D/ctl; cat $D/ctl`, "set one\n"},
			{"append to a ctl", `echo 'set two' >>$D/ctl; cat $D/ctl`, "set two\n"},
			{"truncate only", `>$D/ctl && >$D/queue && echo fine`, "fine\n"},
			{"a wrong command", `echo 'ste one' 2>/dev/null >$D/ctl || echo refused`, "refused\n"},
			{"several commands", `printf 'set a\nset b\n' >$D/ctl; cat $D/ctl`, "set b\n"},
			{"read a text", `cat $D/status`, "name test\nword nothing\ndone 0\n"},
			{"read a text by line", `while read k v; do echo "$v"; done <$D/status`, "test\nnothing\n0\n"},
			{"copy a text out", `cp $D/status $T/copy && cat $T/copy`, "name test\nword nothing\ndone 0\n"},
			{"save and restore", `echo 'set kept' >$D/ctl; cat $D/ctl >$T/saved; echo 'set lost' >$D/ctl; cat $T/saved >$D/ctl; cat $D/ctl`, "set kept\n"},
			{"from ctl to ctl", `mkdir $D/objs/x; echo 'set theirs' >$D/objs/x/ctl; cat $D/objs/x/ctl >$D/ctl; cat $D/ctl`, "set theirs\n"},
			{"messages", `for i in 1 2 3; do echo m$i >$D/queue; done; for i in 1 2 3; do read x <$D/queue; echo $x; done`, "m1\nm2\nm3\n"},
			{
				"read in a loop", `
				(while read x && [ "$x" != end ]; do echo "got $x"; done <$D/queue) &
				for i in 1 2 3 4 5 6; do echo m$i >$D/queue; done
				echo end >$D/queue; wait`, "got m1\ngot m2\ngot m3\ngot m4\ngot m5\ngot m6\n",
			},
			{"both ways on one descriptor", `exec 3<>$D/queue; echo ping >&3; read x <&3; echo $x`, "ping\n"},
			{"many writers", `for i in 1 2 3 4 5 6 7 8 9; do echo m >$D/queue & done; for i in 1 2 3 4 5 6 7 8 9; do read x <$D/queue; echo $x; done; wait`, strings.Repeat("m\n", 9)},
			{"one message of a block", `printf 'a\nb\n' | dd bs=4096 iflag=fullblock of=$D/queue 2>/dev/null; dd bs=4096 count=1 <$D/queue 2>/dev/null`, "a\nb\n"},
			{"byte by byte", `printf 'abc' >$D/queue; dd bs=1 count=3 <$D/queue 2>/dev/null`, "abc"},
			{"clone", `id=$(cat $D/objs/clone); [ -d $D/objs/$id ] && cat $D/objs/$id/status`, "serial 1\n"},
			{"a clone kept open", `exec 3<>$D/objs/clone; read id <&3; echo 'set mine' >&3; cat $D/objs/$id/ctl`, "set mine\n"},
			{"make and remove", `mkdir $D/objs/x && ls $D/objs && rmdir $D/objs/x && ls $D/objs`, "clone\nx\nclone\n"},
			{"again with the same name", `for i in 1 2 3; do mkdir $D/objs/x; cat $D/objs/x/status; rmdir $D/objs/x; done`, "serial 1\nserial 2\nserial 3\n"},
			{"a log", `wc -c <$D/log; grep -c l $D/log; tail -n 1 $D/log; cat $D/log | wc -l`, "16\n3\nline 3\n3\n"},
			{"a log that grew", `cat $D/log; echo 'log more' >$D/ctl; cat $D/log`, "line\nl 2\nline 3\nline\nl 2\nline 3\nmore\n"},
			{"the end of a text", `tail -n 1 $D/status; tail -n 1 $D/table | cut -d' ' -f1,2; tail -c 2 $D/status; wc -l <$D/table; wc -c <$D/status`, "done 0\nline 199\n0\n200\n30\n"},
			{"through a pipe", `echo 'set piped' >$D/ctl; cat $D/ctl | cat; cat $D/table | wc -l; (echo m1 >$D/queue; echo m2 >$D/queue; echo end >$D/ctl) & cat $D/queue | cat; wait`, "set piped\n200\nm1\nm2\n"},
			{"no new files", `echo x 2>/dev/null >$D/new || echo refused; [ -e $D/new ] || echo none`, "refused\nnone\n"},
			{"chmod", `chmod 600 $D/status; stat -c %a $D/status`, "600\n"},
			{"tests", `[ -r $D/status ] && [ ! -x $D/status ] && [ -d $D/objs ] && [ -w $D/objs ] && cd $D/objs && echo fine`, "fine\n"},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				tree := fstest.NewTree()
				tree.Log.Append("line\nl 2\nline 3\n")
				m := mountTree(t, tree)
				if got := run(t, shell, m.where.dir, tt.script); got != tt.want {
					t.Errorf("%s\nprints %q, want %q", tt.script, got, tt.want)
				}
			})
		}
	}
}

// TestOneSnapshot reads a table in the smallest steps while others make new ones.
func TestOneSnapshot(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			m := mountTree(t, fstest.NewTree())
			out := run(t, shell, m.where.dir, `(while :; do cat $D/table >/dev/null; done) & busy=$!; dd bs=1 if=$D/table 2>/dev/null; kill $busy; wait $busy 2>/dev/null; true`)
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			_, id, _ := strings.Cut(lines[0], "snapshot ")
			if len(lines) != fstest.TableLines {
				t.Errorf("%d lines, want %d", len(lines), fstest.TableLines)
			}
			for i, line := range lines {
				if want := fmt.Sprintf("line %d snapshot %s", i, id); line != want {
					t.Fatalf("line %q, want %q", line, want)
				}
			}
		})
	}
}

// TestFollow watches a log grow.
func TestFollow(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			tree := fstest.NewTree()
			tree.Log.Append("first\n")
			m := mountTree(t, tree)
			cmd := command(t, shell, m.where.dir, `exec tail -n +1 -f $D/log`)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for _, want := range []string{"first", "second", "third"} {
				if !lines.Scan() || lines.Text() != want {
					t.Errorf("line %q, want %q (%v)", lines.Text(), want, lines.Err())
				}
				switch want {
				case "first":
					tree.Log.Append("second\n")
				case "second":
					tree.Log.Append("third\n")
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // says that it was killed
		})
	}
}

// TestLookAround walks and stats the whole tree, which changes nothing.
func TestLookAround(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			tree := fstest.NewTree()
			m := mountTree(t, tree)
			run(t, shell, m.where.dir, `mkdir $D/objs/x; echo stays >$D/queue`)
			out := run(t, shell, m.where.dir, `find $D | xargs stat -c %n | wc -l; ls -lR $D >$T/list; grep -c . $T/list >/dev/null && echo listed`)
			// The root, its 9 files, in objs 1 and 1 with 3, in big, in wall.
			if want := fmt.Sprintf("%d\nlisted\n", 1+9+1+1+3+fstest.BigSize+1); out != want {
				t.Errorf("%q, want %q", out, want)
			}
			held, _, _ := tree.Queue.State()
			if held != 1 || tree.Objects() != 1 || tree.Opens() != 0 {
				t.Errorf("%d messages, %d objects, %d open", held, tree.Objects(), tree.Opens())
			}
		})
	}
}

// until waits for something that must come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is never true that %s", what)
		}
	}
}

// start starts a script and returns what waits for its end.
func start(t *testing.T, shell []string, dir, script string) (*exec.Cmd, <-chan error) {
	t.Helper()
	cmd := command(t, shell, dir, script)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	return cmd, end
}

// ends waits for the end of a process.
func ends(t *testing.T, what string, end <-chan error) error {
	t.Helper()
	select {
	case err := <-end:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end", what)
		return nil
	}
}

// TestSignals kills and interrupts those who wait: they go at once and take
// nothing with them.
func TestSignals(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGTERM} {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				tree := fstest.NewTree()
				m := mountTree(t, tree)
				waiting := func(readers, writers int) func() bool {
					return func() bool {
						_, r, w := tree.Queue.State()
						return r == readers && w == writers
					}
				}
				cmd, end := start(t, shell, m.where.dir, `exec cat $D/queue`)
				until(t, "the reader waits", waiting(1, 0))
				_ = cmd.Process.Signal(sig)
				if err := ends(t, "the reader", end); err == nil {
					t.Error("the reader ended well")
				}
				until(t, "nobody waits", waiting(0, 0))
				run(t, shell, m.where.dir, `for i in 1 2 3 4; do echo m$i >$D/queue; done`)

				cmd, end = start(t, shell, m.where.dir, `exec dd if=/dev/zero of=$D/queue bs=1 count=1 2>/dev/null`)
				until(t, "the writer waits", waiting(0, 1))
				_ = cmd.Process.Signal(sig)
				if err := ends(t, "the writer", end); err == nil {
					t.Error("the writer ended well")
				}
				until(t, "nobody waits", waiting(0, 0))
				if out := run(t, shell, m.where.dir, `for i in 1 2 3 4; do read x <$D/queue; echo $x; done`); out != "m1\nm2\nm3\nm4\n" {
					t.Errorf("the messages are %q", out)
				}
				if held, _, _ := tree.Queue.State(); held != 0 {
					t.Errorf("%d messages too many", held)
				}
			})
		}
	}
}

// TestBesideWriters does what must not wait while writers do.
func TestBesideWriters(t *testing.T) {
	need(t)
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			tree := fstest.NewTree()
			m := mountTree(t, tree)
			run(t, shell, m.where.dir, `for i in 1 2 3 4; do echo m$i >$D/queue; done`)
			_, first := start(t, shell, m.where.dir, `echo m5 >$D/queue`)
			_, second := start(t, shell, m.where.dir, `echo m6 >>$D/queue`)
			until(t, "two writers wait", func() bool {
				_, _, w := tree.Queue.State()
				return w == 2
			})
			script := `chmod 600 $D/queue; ls -l $D >/dev/null; stat $D/queue >/dev/null; : >$D/queue; echo 'set done' >$D/ctl; cat $D/ctl`
			if out := run(t, shell, m.where.dir, script); out != "set done\n" {
				t.Errorf("prints %q", out)
			}
			run(t, shell, m.where.dir, `for i in 1 2 3 4 5 6; do read x <$D/queue; done`)
			for _, end := range []<-chan error{first, second} {
				if err := ends(t, "a writer", end); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSignalStorm writes commands while signals come without end: none that
// does not wait may be interrupted.
func TestSignalStorm(t *testing.T) {
	need(t)
	const rounds = 300
	for name, command := range map[string][]string{
		"children": {"bash", "-c", fmt.Sprintf(`
			set -m; trap : CHLD
			for i in $(seq %d); do
				sleep 0 & sleep 0.001 &
				echo "set n$i" >"$0/ctl" || echo failed $i
				cat "$0/status" >/dev/null || echo failed $i
			done
			wait 2>/dev/null; exit 0`, rounds)},
		// Not bash: its own handlers do not bear so many.
		"signals": {"/proc/self/exe", strconv.Itoa(rounds)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skip(err)
			}
			tree := fstest.NewTree()
			m := mountTree(t, tree)
			cmd := exec.Command(command[0], append(command[1:], m.where.dir)...)
			cmd.Env = append(os.Environ(), stormDir+"="+m.where.dir)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "failed") || strings.Contains(string(out), "nterrupted") {
				t.Errorf("%v; prints %q", err, out)
			}
			if word, done := tree.Word(); done != rounds || word != fmt.Sprintf("n%d", rounds) {
				t.Errorf("%d commands, the last %q", done, word)
			}
		})
	}
}

// storm writes commands under a storm of signals to the thread that does so,
// with system calls that are not tried again.
func storm(dir string, rounds int) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	runtime.LockOSThread()
	pid, tid := os.Getpid(), syscall.Gettid()
	var done atomic.Bool
	defer done.Store(true)
	go func() {
		for !done.Load() {
			_ = unix.Tgkill(pid, tid, syscall.SIGUSR1) // it is there
		}
	}()
	buf := make([]byte, 100)
	for i := 1; i <= rounds; i++ {
		err := once(filepath.Join(dir, "ctl"), syscall.O_WRONLY, func(fd int) (int, error) {
			return syscall.Write(fd, fmt.Appendf(nil, "set n%d\n", i))
		})
		if err == nil {
			err = once(filepath.Join(dir, "status"), syscall.O_RDONLY, func(fd int) (int, error) { return syscall.Read(fd, buf) })
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	return nil
}

func once(path string, flags int, use func(fd int) (int, error)) error {
	fd, err := syscall.Open(path, flags, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	_, err = use(fd)
	if err := errors.Join(err, syscall.Close(fd)); err != nil {
		return fmt.Errorf("using %s: %w", path, err)
	}
	return nil
}

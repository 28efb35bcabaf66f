package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"warren/tools/cc"
)

// TestScripts runs testdata/script, a script a test, each in a folder of its
// own with WARREN_ADDR set. Beside testscript's commands there are
//
//	serve [ARG...]             bring up a server, which is ended with the script
//	eventually REGEXP PROG...  run a program until its output matches
//	address NAME FILE PREFIX   wait for "ready" in a server's output, and set
//	                           NAME to the first address in it with this prefix
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("WARREN_ADDR", "unix!"+filepath.Join(env.WorkDir, "sock"))
			env.Setenv("XDG_RUNTIME_DIR", "")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // there are many short programs
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":      scriptServe,
			"eventually": scriptEventually,
			"address":    scriptAddress,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "cc" {
				err := cc.Available(context.Background())
				if err != nil && os.Getenv("CI") == "true" {
					return false, err
				}
				return err == nil, nil
			}
			_, err := os.Stat("/dev/fuse")
			return cond == "mount" && err == nil && os.Geteuid() == 0, nil
		},
	})
}

// scriptServe brings up a server of 8 cores and waits until it is ready.
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! serve")
	}
	log, addr := newLockedBuffer(), ts.Getenv("WARREN_ADDR")
	args = append([]string{"serve", "-machine", "host,cores=8", "-state", ts.MkAbs("state"), "-listen", addr}, args...)
	cmd := exec.Command(scriptProgram(ts), args...)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	ts.Defer(func() {
		halt := exec.Command(scriptProgram(ts), "-addr", addr, "write", "ctl", "halt")
		if halt.Run() != nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-ended:
		case <-time.After(scriptTime):
			_ = cmd.Process.Kill()
			<-ended
			ts.Logf("the server did not end:\n%s", log)
		}
	})
	until(ts, "ready", func() (string, bool) {
		text := log.String()
		return text, strings.Contains(text, "ready\n")
	})
}

// scriptProgram is the warren that the script's exec would run.
func scriptProgram(ts *testscript.TestScript) string {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		name := filepath.Join(dir, "warren")
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	ts.Fatalf("no warren on the path")
	return ""
}

func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP PROG [ARG...]")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	until(ts, args[0], func() (string, bool) {
		_ = ts.Exec(args[1], args[2:]...)
		text := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		return text, want.MatchString(text)
	})
}

// scriptTime bounds waits for what must happen.
const scriptTime = 20 * time.Second

func until(ts *testscript.TestScript, what string, try func() (string, bool)) {
	for end := time.Now().Add(scriptTime); ; time.Sleep(5 * time.Millisecond) {
		text, ok := try()
		if ok {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s:\n%s", what, text)
		}
	}
}

package fstest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childEnv is set in a process that MustFail started.
const childEnv = "WARREN_FSTEST_CHILD"

// InChild reports whether the process runs a case that must fail.
func InChild() bool { return os.Getenv(childEnv) != "" }

// childTime bounds how long a case that must fail may take to do so.
const childTime = time.Minute

// MustFail runs a test of the same program, one that somebody else wrote and
// that cannot apply to us, in a process of its own: it must fail, and say why.
// So a list of such cases does not outlive its reasons. name is as -test.run
// has it.
func MustFail(t *testing.T, name, why string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), childTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run", name, "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Errorf("%s does not end:\n%s", name, out)
	case err == nil:
		t.Errorf("%s is listed as one that cannot apply (%s), and it does not fail:\n%s", name, why, out)
	case !errors.As(err, new(*exec.ExitError)):
		t.Errorf("%s: %v", name, err)
	case !strings.Contains(string(out), why):
		t.Errorf("%s fails, but not because of %q:\n%s", name, why, out)
	}
}

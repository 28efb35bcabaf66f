package sim

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"warren/cores/riscv/spec"
	"warren/tools/cc"
)

// patience is how long a test waits for what must come; it is no measure.
const patience = time.Minute

// build compiles a program of testdata.
func build(t testing.TB, file string, flags ...string) []byte {
	t.Helper()
	return buildFile(t, filepath.Join("testdata", file), flags...)
}

func buildFile(t testing.TB, file string, flags ...string) []byte {
	t.Helper()
	return buildWith(t, cc.Command{Args: append([]string{file}, flags...)})
}

// buildText compiles a program that a test has the text of.
func buildText(t testing.TB, text string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "text.c")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return buildFile(t, file)
}

// buildWith compiles as a command says.
func buildWith(t testing.TB, c cc.Command) []byte {
	t.Helper()
	if err := cc.Available(context.Background()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "prog")
	c.Args = append([]string{"-O2", "-g", "-o", out}, c.Args...)
	line, err := c.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	elf, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return elf
}

// bring brings a machine up.
func bring(t testing.TB, name string, o Options) *Machine {
	t.Helper()
	s, err := spec.Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	return bringUp(t, s, o)
}

// bringFile brings a machine up of a description.
func bringFile(t testing.TB, text string, o Options) *Machine {
	t.Helper()
	s, err := spec.Parse("my.machine", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return bringUp(t, s, o)
}

func bringUp(t testing.TB, s *spec.Machine, o Options) *Machine {
	t.Helper()
	m, err := New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// output is what a job wrote.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) write(_ int, p []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	return nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// first are the numbers from 0 on.
func first(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// launch starts a program on the first n cores.
func launch(t testing.TB, m *Machine, elf []byte, n int, out *output, args ...string) *Job {
	t.Helper()
	image := &Image{ELF: elf, Args: append([]string{"prog"}, args...), Env: []string{"COLOUR=green"}}
	j, err := m.Launch(Launch{
		Name: "test", Cores: first(n), Write: out.write,
		Image: func(string) (*Image, error) { return image, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// ended waits for a job's end.
func ended(t testing.TB, j *Job) Exit {
	t.Helper()
	for was := ^uint64(0); ; {
		select {
		case <-j.Done():
			return j.Exit()
		case <-time.After(patience):
		}
		now := j.m.Passed()
		if now == was { // where much else runs it only takes long
			t.Fatalf("it did not end, and time stands:\n%s%s", j.m.AppendHart(nil, 0), j.m.AppendBlocked(nil))
		}
		was = now
	}
}

// hash is the machine's when it has come to rest.
func hash(t testing.TB, m *Machine) string {
	t.Helper()
	until(t, "at rest", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return !m.running
	})
	return m.Hash()
}

// until polls for what the machine brings about in its own time.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never %s", what)
		}
	}
}

// call is a read or write of a stream.
type call struct {
	answer chan string
	cancel func()
	once   sync.Once
}

func newCall() *call { return &call{answer: make(chan string, 1)} }

func (c *call) say(s string) bool {
	said := false
	c.once.Do(func() { c.answer <- s; said = true })
	return said
}

func (c *call) Deliver(p []byte, _ func()) bool { return c.say(string(p)) }
func (c *call) Done(int) bool                   { return c.say("done") }
func (c *call) Fail(err error) bool             { return c.say("error " + err.Error()) }
func (c *call) Park(cancel func())              { c.cancel = cancel }
func (c *call) Nonblock() bool                  { return false }

// wait returns the answer.
func (c *call) wait(t testing.TB) string {
	t.Helper()
	select {
	case s := <-c.answer:
		return s
	case <-time.After(patience):
		t.Fatal("no answer")
	}
	return ""
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

package bench9

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"warren/fs"
)

// A Server is a server in a process of its own.
type Server struct {
	Target
	cmd *exec.Cmd
	in  io.WriteCloser // to ask it; nil if it is a foreign program
	out *bufio.Reader
}

// Start starts a server of this package below dir. The command must come to
// Main with the kind and the directory.
func Start(kind, dir string, command func(kind, dir string) *exec.Cmd) (*Server, error) {
	own := filepath.Join(dir, kind)
	if err := os.Mkdir(own, 0o700); err != nil {
		return nil, err
	}
	s := &Server{cmd: command(kind, own)}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.answer(&s.Target); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s did not start: %w", kind, err)
	}
	return s, nil
}

func (s *Server) answer(v any) error {
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// Close ends the process.
func (s *Server) Close() {
	if s.in != nil {
		s.in.Close() // which tells it
	} else {
		_ = s.cmd.Process.Signal(os.Interrupt)
	}
	_ = s.cmd.Wait() // a foreign one ends as the signal has it
}

// Memory is what a server's process has, when it has collected its garbage.
type Memory struct {
	Resident   float64 // bytes that the system counts
	Heap       float64 // bytes of living objects, if it is a Go program of ours
	Stacks     float64 // bytes of goroutines' stacks, so, too
	Mallocs    float64 // objects ever allocated
	Goroutines float64
}

// Memory asks the process.
func (s *Server) Memory() (m Memory, err error) {
	if s.in != nil {
		if _, err := io.WriteString(s.in, "memory\n"); err != nil {
			return m, err
		}
		if err := s.answer(&m); err != nil {
			return m, err
		}
	}
	m.Resident, err = resident(s.cmd.Process.Pid)
	return m, err
}

// resident returns the bytes that a process has in memory.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()), err
}

// Main is the process of a server: it serves, answers what it is asked on its
// standard input, and returns at the end of that. The tree is served if the
// kind is "tree".
func Main(kind, dir string, tree fs.Node) error {
	start, ok := kinds(tree)[kind]
	if !ok {
		return fmt.Errorf("no server %q", kind)
	}
	t, stop, err := start(dir)
	if err != nil {
		return err
	}
	defer stop()
	t.Name = kind
	say := json.NewEncoder(os.Stdout)
	if err := say.Encode(t); err != nil {
		return err
	}
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		if err := say.Encode(ownMemory()); err != nil {
			return err
		}
	}
	return nil
}

func ownMemory() Memory {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{
		Heap: float64(m.HeapAlloc), Stacks: float64(m.StackInuse),
		Mallocs: float64(m.Mallocs), Goroutines: float64(runtime.NumGoroutine()),
	}
}

// ErrNoDiod says that diod cannot be compared with.
var ErrNoDiod = errors.New("diod is not installed (apt-get install diod)")

// StartDiod starts diod below dir.
func StartDiod(dir string) (*Server, error) {
	path, err := exec.LookPath("diod")
	if err != nil {
		return nil, ErrNoDiod
	}
	root := filepath.Join(dir, "diod")
	if err := makeFiles(root); err != nil {
		return nil, err
	}
	t := dotL(filepath.Join(root, "sock"))
	t.Name, t.Aname = "diod", root
	s := &Server{Target: t, cmd: exec.Command(path, "-f", "-n", "-N", "-S", "-U", "root", "-c", "/dev/null", "-l", t.Sock, "-e", root)}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.await(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// await returns when a foreign server's socket is there.
func (s *Server) await() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if _, err := os.Stat(s.Sock); err == nil {
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("%s did not start", s.Name)
}

// Less returns what there is more of than before, for each of n.
func (m Memory) Less(before Memory, n int) Memory {
	each := func(now, then float64) float64 { return (now - then) / float64(n) }
	return Memory{
		Resident: each(m.Resident, before.Resident), Heap: each(m.Heap, before.Heap), Stacks: each(m.Stacks, before.Stacks),
		Mallocs: each(m.Mallocs, before.Mallocs), Goroutines: each(m.Goroutines, before.Goroutines),
	}
}

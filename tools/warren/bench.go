package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// A benchRow is one piece of work, measured beside its peer in one run.
// Ratio is ours/peer, of rates or of times as Unit says; Bar is what it is
// held to, "" for none. Floor is what the same bytes cost with nothing done.
type benchRow struct {
	Work    string  `json:"work"`
	Ours    float64 `json:"ours"`
	Peer    float64 `json:"peer,omitempty"`
	Floor   float64 `json:"floor,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	Bar     string  `json:"bar,omitempty"`
	OK      bool    `json:"ok"`
	Unit    string  `json:"unit"`
	Against string  `json:"against,omitempty"` // what the peer is: its command

	// FloorRatio is how many times as long ours takes as the floor.
	FloorRatio float64            `json:"floor_ratio,omitempty"`
	FloorBar   string             `json:"floor_bar,omitempty"`
	Raw        map[string]float64 `json:"raw,omitempty"`  // what else was measured, by name, in Unit
	Note       string             `json:"note,omitempty"` // what was not measured, and why
}

// held fills in the ratio and holds it to a bar: at least (rates) or at most
// (times, counts).
func (r benchRow) held(atLeast bool, bar float64) benchRow {
	if r.Peer > 0 {
		r.Ratio = r.Ours / r.Peer
	}
	r.Bar, r.OK = fmt.Sprintf("<=%.2f", bar), r.Ratio <= bar
	if atLeast {
		r.Bar, r.OK = fmt.Sprintf(">=%.2f", bar), r.Ratio >= bar
	}
	return r
}

// aboveFloor fills in how much longer ours takes than the floor, of rates, and
// holds that to a bar as well; 0 is none.
func (r benchRow) aboveFloor(bar float64) benchRow {
	if r.Floor > 0 {
		r.FloorRatio = r.Floor / r.Ours
	}
	if bar > 0 {
		r.FloorBar = fmt.Sprintf("<=%.2f", bar)
		r.OK = r.OK && r.FloorRatio <= bar
	}
	return r
}

// A bench measures one topic.
type bench struct {
	name, doc string
	run       func() ([]benchRow, error)
}

func benches() []bench {
	return []bench{
		{"9p", "calls on a unix socket, against hugelgupf/p9's localfs, diod, go9p and the bare round trip", bench9P},
		{"fuse", "open, read and close of a status file, against a minimal go-fuse file", benchFUSE},
		{"chan", "a 64-byte message there and back between two processes through the mount, against two pipes", benchChan},
		{"start", "start to exit of /bin/true through the mount, against spawn, and spawn through taskset", benchStart},
		{"scale", "a machine of 4,096 slots: time to ready, memory a core, cores/stat", benchScale},
		{"riscv", "simulated cores: the interpreter and the compiled tier beside qemu-riscv32, 752 busy cores, messages, memory of 100,000", benchRISCV},
	}
}

func benchCommand() *cobra.Command {
	var output string
	names := make([]string, 0, 8)
	for _, b := range benches() {
		names = append(names, b.name)
	}
	cmd := &cobra.Command{
		Use:   "bench [-o json] [NAME]...",
		Short: "measure warren beside its peers, in one run",
		Long: "Bench measures warren beside its peers in one run and prints the raw figures and\n" +
			"the ratio (ours to the peer's), with the bar that it is held to. Names: " + strings.Join(names, ", ") + ".",
		Example:   "warren bench chan",
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := runBenches(args)
			if err != nil {
				return err
			}
			if output == "json" {
				enc := json.NewEncoder(os.Stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			return printRows(os.Stdout, rows)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for `FORMAT` json instead of a table")
	return cmd
}

func runBenches(names []string) ([]benchRow, error) {
	all := benches()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(b bench) bool { return b.name == name }) {
			return nil, fmt.Errorf("no bench %q (see warren bench -help)", name)
		}
	}
	var rows []benchRow
	for _, b := range all {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		got, err := b.run()
		if err != nil {
			return rows, fmt.Errorf("bench %s: %w", b.name, err)
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

func printRows(w io.Writer, rows []benchRow) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "work\tours\tpeer\tfloor\tratio\tbar\tok\tunit\txfloor\txbar")
	for _, r := range rows {
		ok := "yes"
		if r.Bar == "" {
			ok = "-"
		} else if !r.OK {
			ok = "NO"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Work, figure(r.Ours), figure(r.Peer), figure(r.Floor), figure(r.Ratio), dash(r.Bar), ok, r.Unit,
			figure(r.FloorRatio), dash(r.FloorBar))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	said := make(map[string]bool)
	for _, r := range rows {
		if r.Against != "" {
			fmt.Fprintf(w, "# %s: peer is %s\n", r.Work, r.Against)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Raw)) {
			fmt.Fprintf(w, "# %s: %s %s\n", r.Work, name, figure(r.Raw[name]))
		}
		if r.Note != "" && !said[r.Note] {
			said[r.Note] = true
			fmt.Fprintf(w, "# %s\n", r.Note)
		}
	}
	return nil
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// figure prints a number with three digits that mean something.
func figure(x float64) string {
	switch {
	case x == 0:
		return "-"
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// A benchServer is a server of this program in a process of its own.
type benchServer struct {
	dir, mount, addr string
	cmd              *exec.Cmd
	ready            time.Duration // from the start to "ready"
}

// startBenchServer starts one on a private socket, with a mount if told to.
func startBenchServer(machine string, mounted bool) (*benchServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "warren-bench-")
	if err != nil {
		return nil, err
	}
	b := &benchServer{dir: dir, addr: "unix!" + filepath.Join(dir, "sock"), mount: filepath.Join(dir, "mnt")}
	args := []string{"serve", "-log", "error", "-machine", machine, "-listen", b.addr, "-state", filepath.Join(dir, "state")}
	if mounted {
		args = append(args, "-mount", b.mount)
		if err := os.Mkdir(b.mount, 0o755); err != nil {
			return nil, err
		}
	}
	b.cmd = exec.Command(self, args...)
	b.cmd.Args[0] = "warren" // not the name of a test binary
	b.cmd.Stderr = os.Stderr
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	var said []byte
	buf := make([]byte, 512)
	for !strings.Contains(string(said), "ready\n") {
		n, err := out.Read(buf)
		if err != nil {
			b.stop()
			return nil, fmt.Errorf("the server did not start: %s", said)
		}
		said = append(said, buf[:n]...)
	}
	b.ready = time.Since(begin)
	return b, nil
}

func (b *benchServer) stop() error {
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	_ = b.cmd.Wait() // ended by our own signal
	return os.RemoveAll(b.dir)
}

package tree

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
)

// simulated reports whether the machine simulates this core.
func simulated(c *core) bool { return c.root.sim != nil && c.root.sim.Simulated(c.id) }

// someSimulated reports whether the machine simulates any of its cores.
func someSimulated(r *coreRoot) bool { return r.sim != nil }

// Simulated cores are the server's own user's, as what they hold may be anybody's.
const (
	permSeen = 0o440
	permUsed = 0o660
)

// simulatedFiles are the files that only a simulated core has.
func simulatedFiles() []fs.File[*core] {
	return []fs.File[*core]{
		{
			Name: "hart", Perm: 0o444, Kind: fs.Text, Has: simulated, Text: shown(cores.Simulator.AppendHart),
			Doc: "What a simulated core does. state is idle, ready (a program is loaded), running, parked (in a call that waits), frozen (its process was stopped), halted, exited or faulted; " +
				"x and y are where its tile lies; at is pc as a place in the program; cycles is the core's time, of which it was parked for parked_cycles; wait is what it waits for; " +
				"mark is the last waypoint that the program set; tier is interpreted or compiled; extra is what the simulated core has beyond its isa, which is the silicon's.",
			Format: "state x y tile index kind role process rank pc at retired cycles parked_cycles wait mark tier extra",
		},
		{
			Name: "regs", Perm: permUsed, Kind: fs.Ctl, Verbs: registerVerbs(), Has: simulated,
			Doc: "The registers: pc, x1 to x31 and f0 to f31 by their ABI names, fcsr. Each is a command, its value in hexadecimal, so that what was read can be written back; " +
				"a write sets one (x10 and f3 are understood as well), also while the core runs, but not while it is parked in a call, whose arguments they are (EBUSY).",
		},
		{
			Name: "mem", Perm: permUsed, Kind: fs.Bytes, Has: simulated, Size: memorySize, Open: openMemory,
			Doc: "Memory as the core sees it; offsets are addresses. See map for what there is. A read ends where memory does; EFAULT where there is none, EPERM for a write to text or constants.",
		},
		{
			Name: "map", Perm: 0o444, Kind: fs.Text, Has: simulated, Text: shown(cores.Simulator.AppendMap),
			Doc:    "What lies where in the memory that the core sees: its tile's SRAM, and its own program memory.",
			Format: "from to bytes access what",
		},
		{
			Name: "fault", Perm: 0o444, Kind: fs.Text, Has: simulated, Text: shown(cores.Simulator.AppendFault),
			Doc:    "Why the core's program was ended: none, or the exception. cause is as in mcause; text says it all in a line.",
			Format: "cause name pc address instruction at text",
		},
		{
			Name: "ring", Perm: 0o444, Kind: fs.Text, Has: simulated, Text: shown(cores.Simulator.AppendRing),
			Doc:    "The last 32 waypoints that the program set, oldest first.",
			Format: "cycles mark",
		},
		{
			Name: "cons", Perm: permSeen, Kind: fs.Stream, Has: simulated, Open: openPortOf(cores.Simulator.Cons),
			Doc: "The core's console: what its program writes to files 1 and 2, from the last 256 writes of that program on. A reader that is too slow finds \"lost N\".",
		},
		{
			Name: "wait", Perm: 0o444, Kind: fs.Stream, Has: simulated, Open: openPortOf(cores.Simulator.Ended),
			Doc:    "One record when the core has stopped, at once if it has: by the end of its program, a fault, or a halt that is not a debugger's. Then end of file. code is the exit status, 128 and the number where a signal or a fault ended it.",
			Format: "core state code 'text'",
		},
		{
			Name: "gdb", Perm: permUsed, Kind: fs.Stream, Has: simulated, Open: openDebug,
			Doc: "gdb's remote protocol: target remote | warren gdb cores/N. The core halts at the first byte, and goes on when gdb detaches or the file is closed. procs/NAME/gdb is all cores of a process. " +
				"A core that a debugger holds is not run, stopped, stepped, reset, given back or restored by others (EBUSY); a program that is started on it stands at its first instruction, and a breakpoint of its ctl is a SIGTRAP to gdb.",
		},
		{
			Name: "chan", Perm: 0o755, Kind: fs.Directory, Has: simulated,
			Doc: "The core's channels.",
			Sub: func(c *core, up fs.Node) fs.Node { return channelDir().Node(c.channels(), up) },
		},
	}
}

// shown is the text of a file that the simulator shows.
func shown(text func(cores.Simulator, []byte, cores.ID) []byte) func(*fs.Call, *core, []byte) ([]byte, error) {
	return func(_ *fs.Call, c *core, b []byte) ([]byte, error) { return text(c.root.sim, b, c.id), nil }
}

func openPortOf(port func(cores.Simulator, cores.ID) cores.Port) func(*fs.Call, *core, fs.Flags) (fs.Handle, error) {
	return func(_ *fs.Call, c *core, _ fs.Flags) (fs.Handle, error) {
		return messagesOf(port(c.root.sim, c.id)), nil
	}
}

// messagesOf is a port as an open stream.
func messagesOf(p cores.Port) fs.Handle {
	return fs.NewMessages(p, func(c *fs.Call, data []byte) { p.Put(c, data) })
}

func openDebug(_ *fs.Call, c *core, _ fs.Flags) (fs.Handle, error) {
	p, err := c.root.sim.Debug(c.id)
	if err != nil {
		return nil, err
	}
	return messagesOf(p), nil
}

// registerVerbs set registers; reading them prints all.
func registerVerbs() []fs.Verb[*core] {
	var out []fs.Verb[*core]
	for i, name := range cores.Registers() {
		out = append(out, fs.Verb[*core]{
			Name: name, Also: numbered(i), Args: "VALUE",
			Parse: func(w []string) (func(*fs.Call, *core) error, error) {
				v, err := strconv.ParseUint(w[0], 0, 64)
				if err != nil {
					return nil, sys.Errorf(syscall.EINVAL, "want a number such as 0x10, not %q", w[0])
				}
				return func(_ *fs.Call, c *core) error { return c.root.sim.SetRegister(c.id, i, v) }, nil
			},
			Dump: func(c *core) []string {
				v, err := c.root.sim.Register(c.id, i)
				if err != nil {
					return nil // nothing is loaded
				}
				return []string{fmt.Sprintf("0x%08x", v)}
			},
		})
	}
	return append(out, fs.Verb[*core]{
		Name: "zero", Also: []string{"x0"}, Args: "VALUE",
		Parse: func([]string) (func(*fs.Call, *core) error, error) {
			return nil, sys.Errorf(syscall.EINVAL, "it is always 0")
		},
	})
}

// numbered is the other name of the register at a place of cores.Registers.
func numbered(i int) []string {
	switch {
	case i == 0 || i > 63:
		return nil
	case i == 8:
		return []string{"x8", "fp"}
	case i < 32:
		return []string{"x" + strconv.Itoa(i)}
	}
	return []string{"f" + strconv.Itoa(i-32)}
}

// memorySize is that of an address space.
func memorySize(*core) int64 { return 1 << 32 }

// memory is an open mem.
type memory struct {
	c *core

	mu   sync.Mutex
	next int64 // where the next read or write without an offset begins
}

func openMemory(_ *fs.Call, c *core, _ fs.Flags) (fs.Handle, error) { return &memory{c: c}, nil }

func (m *memory) at(off int64) int64 {
	if off < 0 {
		return m.next
	}
	return off
}

func (m *memory) Read(c *fs.Call, off int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	off = m.at(off)
	if off >= 1<<32 {
		c.Deliver(nil, nil)
		return
	}
	b := make([]byte, min(int64(c.Count()), readMost, 1<<32-off))
	n, err := m.c.root.sim.ReadMemory(m.c.id, b, uint32(off))
	if err != nil {
		c.Fail(err)
		return
	}
	if c.Deliver(b[:n], nil) {
		m.next = off + int64(n)
	}
}

func (m *memory) Write(c *fs.Call, p []byte, off int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	off = m.at(off)
	if off+int64(len(p)) > 1<<32 {
		c.Fail(sys.Errorf(syscall.EFBIG, "mem: an address has 32 bits"))
		return
	}
	if err := m.c.root.sim.WriteMemory(m.c.id, p, uint32(off)); err != nil {
		c.Fail(err)
		return
	}
	m.next = off + int64(len(p))
	c.Done(len(p))
}

func (m *memory) Close() {}

// channels is the directory cores/N/chan.
type channels struct {
	c    *core
	meta *sys.Meta
}

func (ch *channels) Meta() *sys.Meta { return ch.meta }

// channels are the core's, made when they are first walked to.
func (c *core) channels() *channels {
	if c.chans.Load() == nil {
		c.chans.CompareAndSwap(nil, &channels{c, c.meta.Part("chan")})
	}
	return c.chans.Load()
}

func channelDir() *fs.Dir[*channels] {
	d := &fs.Dir[*channels]{
		Class: classChannels,
		Name:  "cores/N/chan/",
		Doc: "The message channels of a simulated core, by number, whose owner is the core's. A write is a message to the core, of at most 64 KiB, which its program takes with warren_recv; " +
			"a read takes a message that the program sent to the host (warren_host). A channel holds 64 messages each way; beyond that who sends waits. " +
			"What no program can take is refused: ENXIO on a core that has none, EPIPE where it has ended, also of a write that waits for room.",
	}
	for n := range cores.Channels {
		f := fs.File[*channels]{
			Name: strconv.Itoa(n), Perm: permUsed, Kind: fs.Stream,
			Open: func(_ *fs.Call, ch *channels, f fs.Flags) (fs.Handle, error) {
				return messagesOf(ch.c.root.sim.Chan(ch.c.id, n, f&fs.OWrite != 0)), nil
			},
		}
		if n == 0 {
			f.Doc = "A channel; there are " + strconv.Itoa(cores.Channels) + " of them."
		}
		d.Files = append(d.Files, f)
	}
	return d
}

// machineFiles are the files of cores/ that only a machine with simulated cores has.
func machineFiles() []fs.File[*coreRoot] {
	return []fs.File[*coreRoot]{
		{
			Name: "blocked", Perm: 0o444, Kind: fs.Text, Has: someSimulated,
			Text: textOf(func(r *coreRoot, b []byte) []byte { return r.sim.AppendBlocked(b) }),
			Doc: "A line for each simulated core that is parked: what it waits for, since when, and where; on are the cores one of which it waits for, as far as that is known; - also where those of a large process lie too scattered to be named on each line. " +
				"If no core of a process can go on by itself or by input from files, that is a deadlock, and is told in events and on the console, at once or, while other processes run that cannot help, " +
				"within some hundred epochs. Who waits for a message waits for a file, if it took warren_recv_host, is the only core of its process, or that file was ever opened to write.",
			Format: "core state rank process since_cycles wait at on",
		},
		{
			Name: "time", Perm: 0o444, Kind: fs.Text, Has: someSimulated,
			Text:   textOf(func(r *coreRoot, b []byte) []byte { return r.sim.AppendTime(b) }),
			Doc:    "The time of the simulated machine. It stands while nothing runs.",
			Format: "cycles epochs quantum",
		},
	}
}

// A simVerb is a command for simulated cores, of one and of a set.
type simVerb struct {
	name, args, doc string
	// debugs says that it may be done to cores that a process has.
	debugs bool
	parse  func(words []string) (func(*fs.Call, cores.Simulator, cores.Set) error, error)
	dump   func(cores.Simulator, cores.ID) []string
}

func simVerbs() []simVerb {
	type action = func(*fs.Call, cores.Simulator, cores.Set) error
	return []simVerb{
		{
			name: "load", args: "FILE [ARG...]",
			doc: "Load an executable (warren cc makes them) on a simulated core that no process has, with its arguments; FILE is an absolute path and is opened as the user who writes this. The scheduler knows nothing of such programs: a process that is to have a core which runs one is refused (EBUSY) unless on names others.",
			parse: func(w []string) (action, error) {
				if !strings.HasPrefix(w[0], "/") {
					return nil, sys.Errorf(syscall.EINVAL, "want an absolute path, not %q", w[0])
				}
				return func(c *fs.Call, s cores.Simulator, on cores.Set) error { return s.LoadProgram(c.User(), on, w) }, nil
			},
		},
		{
			name: "run", doc: "Start what is loaded, as one process of all these cores, ranks in the order of their numbers; or let halted cores go on.", debugs: true,
			parse: func([]string) (action, error) {
				return func(_ *fs.Call, s cores.Simulator, on cores.Set) error { return s.RunLoaded(on) }, nil
			},
		},
		{
			name: "stop", doc: "Halt the core where it is: run lets it go on.", debugs: true,
			parse: func([]string) (action, error) {
				return func(_ *fs.Call, s cores.Simulator, on cores.Set) error { return s.Halt(on) }, nil
			},
		},
		{
			name: "step", args: "N", doc: "Run N instructions of a core that is loaded or halted, and halt it; wait tells when that was.", debugs: true,
			parse: func(w []string) (action, error) {
				n, err := strconv.ParseUint(w[0], 0, 64)
				if err != nil || n == 0 {
					return nil, sys.Errorf(syscall.EINVAL, "want a number of instructions, not %q", w[0])
				}
				return func(_ *fs.Call, s cores.Simulator, on cores.Set) error { return s.Step(on, n) }, nil
			},
		},
		{
			name: "break", args: "ADDR | none", doc: "Halt the core before the instruction at an address (0x80000010) or symbol (main); none removes all breakpoints.", debugs: true,
			parse: func(w []string) (action, error) {
				return func(_ *fs.Call, s cores.Simulator, on cores.Set) error { return s.Break(on, w[0]) }, nil
			},
			dump: cores.Simulator.Breaks,
		},
		{
			name: "reset", doc: "Make the core what it was before anything was loaded: its program ends, its memory is zero.",
			parse: func([]string) (action, error) {
				return func(_ *fs.Call, s cores.Simulator, on cores.Set) error { return s.Reset(on) }, nil
			},
		},
	}
}

// do does a verb on cores if they are simulated, and the user may.
func (v *simVerb) do(c *fs.Call, r *coreRoot, on cores.Set, act func(*fs.Call, cores.Simulator, cores.Set) error) error {
	for _, id := range on {
		if r.sim == nil || !r.sim.Simulated(id) {
			return sys.Errorf(syscall.EOPNOTSUPP, "%s: core %d is not simulated", v.name, id)
		}
	}
	if err := r.mayUse(c.User(), on, v.debugs); err != nil {
		return sys.Errorf(sys.Errno(err), "%s: %v", v.name, err)
	}
	return act(c, r.sim, on)
}

func simCoreVerbs() []fs.Verb[*core] {
	var out []fs.Verb[*core]
	for _, v := range simVerbs() {
		verb := fs.Verb[*core]{Name: v.name, Args: v.args, Doc: "(simulated) " + v.doc}
		verb.Parse = func(w []string) (func(*fs.Call, *core) error, error) {
			act, err := v.parse(w)
			return func(call *fs.Call, c *core) error { return v.do(call, c.root, cores.Set{c.id}, act) }, err
		}
		if v.dump != nil {
			verb.Dump = func(c *core) []string {
				if !simulated(c) {
					return nil
				}
				return quoted(v.dump(c.root.sim, c.id))
			}
		}
		out = append(out, verb)
	}
	return out
}

func simSetVerbs() []fs.Verb[*coreRoot] {
	var out []fs.Verb[*coreRoot]
	for _, v := range simVerbs() {
		verb := fs.Verb[*coreRoot]{Name: v.name, Args: withSet(v.args), Doc: "(simulated) " + v.doc}
		verb.Parse = func(w []string) (func(*fs.Call, *coreRoot) error, error) {
			act, err := v.parse(w[1:])
			if err != nil {
				return nil, err
			}
			return parseCoreSet(w[0], func(c *fs.Call, r *coreRoot, on cores.Set) error { return v.do(c, r, on, act) })
		}
		out = append(out, verb)
	}
	return append(out, machineVerbs()...)
}

// withSet puts SET before each form of a usage.
func withSet(args string) string {
	forms := strings.Split(args, " | ")
	for i, form := range forms {
		forms[i] = strings.TrimSpace("SET " + form)
	}
	return strings.Join(forms, " | ")
}

// machineVerbs are commands for the simulated machine as a whole.
func machineVerbs() []fs.Verb[*coreRoot] {
	// of makes a verb's action of what the simulator does.
	of := func(name string, do func(*fs.Call, cores.Simulator) error) (func(*fs.Call, *coreRoot) error, error) {
		return func(c *fs.Call, r *coreRoot) error {
			if r.sim == nil {
				return sys.Errorf(syscall.EOPNOTSUPP, "this machine is not simulated")
			}
			if err := r.mayRule(c.User(), r.simulatedCores()); err != nil {
				return sys.Errorf(sys.Errno(err), "%s: %v", name, err)
			}
			return do(c, r.sim)
		}, nil
	}
	file := func(name, doc string, do func(cores.Simulator, *sys.User, string) error) fs.Verb[*coreRoot] {
		return fs.Verb[*coreRoot]{
			Name: name, Args: "FILE", Doc: "(simulated) " + doc,
			Parse: func(w []string) (func(*fs.Call, *coreRoot) error, error) {
				if !strings.HasPrefix(w[0], "/") {
					return nil, sys.Errorf(syscall.EINVAL, "want an absolute path, not %q", w[0])
				}
				return of(name, func(c *fs.Call, s cores.Simulator) error { return do(s, c.User(), w[0]) })
			},
		}
	}
	record := fs.Verb[*coreRoot]{
		Name: "record", Args: "FILE | off [FILE] | drop",
		Doc: "(simulated) Keep all input that the machine gets from files (stdin, messages, what is written to mem and regs, and when messages of cores were read, which makes room for more), with its time, and write it to FILE at off, or when the server is stopped; until then what FILE holds stays. If it cannot be written it is kept, for off to try again, there or at another FILE; drop ends it and writes nothing. " +
			"Of commands the starts of programs are kept, stops and kills; restore begins the record anew, and quantum is refused meanwhile.",
	}
	record.Dump = func(r *coreRoot) []string {
		if r.sim == nil || r.sim.Recording() == "" {
			return nil
		}
		return quoted([]string{r.sim.Recording()})
	}
	record.Parse = func(w []string) (func(*fs.Call, *coreRoot) error, error) {
		name := w[len(w)-1]
		if !strings.HasPrefix(name, "/") && (len(w) > 1 || name != "off" && name != "drop") {
			return nil, sys.Errorf(syscall.EINVAL, "want an absolute path, off or drop, not %q", name)
		}
		return of("record", func(c *fs.Call, s cores.Simulator) error {
			switch {
			case len(w) > 1:
				return s.EndRecord(c.User(), name)
			case name == "off":
				return s.EndRecord(c.User(), "")
			case name == "drop":
				s.DropRecord()
				return nil
			}
			return s.Record(c.User(), name)
		})
	}
	return []fs.Verb[*coreRoot]{
		{
			Name: "quantum", Args: "CYCLES", Doc: "(simulated) How many cycles an epoch has, 1 to 100000: what passes between tiles is rounded up to its end; no more than the least latency of the network is exact.",
			Parse: func(w []string) (func(*fs.Call, *coreRoot) error, error) {
				n, err := strconv.ParseUint(w[0], 0, 64)
				if err != nil {
					return nil, sys.Errorf(syscall.EINVAL, "want a number of cycles, not %q", w[0])
				}
				return of("quantum", func(_ *fs.Call, s cores.Simulator) error { return s.SetQuantum(n) })
			},
			Dump: func(r *coreRoot) []string {
				if r.sim == nil {
					return nil
				}
				return []string{strconv.FormatUint(r.sim.Quantum(), 10)}
			},
		},
		record,
		file("replay", "Give the machine the input of a record, as long after now as it came after the record was begun; until the last of it, files give none, and what was read when it was recorded takes no room, read or not. Start the same programs in the same order: each begins when it did, and time stands until it is started; they are stopped and killed as they were. While a program that would run is stopped, or a core is halted, time stands, as it does without a replay; what was halted in a snapshot is replayed from there by restore, replay, run. An empty FILE (/dev/null) ends a replay. A record that was cut or changed is refused, unless its last line is a bare # end.", cores.Simulator.Replay),
		file("snapshot", "Write the state of the whole simulated machine to FILE, which appears whole or not at all. Links are followed; into a device or a pipe it is written.", cores.Simulator.Snapshot),
		file("restore", "Make the simulated machine what a snapshot says; refused while programs run on it. What was a process then runs without files: its output is on the consoles.", cores.Simulator.Restore),
	}
}

func (r *coreRoot) simulatedCores() cores.Set {
	var set cores.Set
	for id := range r.infos {
		if r.sim.Simulated(cores.ID(id)) {
			set = append(set, cores.ID(id))
		}
	}
	return set
}

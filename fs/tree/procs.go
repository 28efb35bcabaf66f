package tree

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/sys"
	"warren/sched/mcp"
)

// procRoot is the directory procs.
type procRoot struct {
	set  *mcp.Set
	meta *sys.Meta
	dir  *fs.Dir[*mcp.Proc]
}

func (r *procRoot) Meta() *sys.Meta { return r.meta }

// newProcs returns what makes the node of procs.
func newProcs(set *mcp.Set) func(parent fs.Node) fs.Node {
	r := &procRoot{set: set, meta: fixed("procs", 0), dir: procDir()}
	d := procsDir()
	return func(parent fs.Node) fs.Node { return d.Node(r, parent) }
}

// procsDocs describes the tables of procs and of a process.
func procsDocs() []fs.DirDoc {
	return []fs.DirDoc{procsDir().Describe(), procDir().Describe()}
}

func procsDir() *fs.Dir[*procRoot] {
	return &fs.Dir[*procRoot]{
		Class: classProcs,
		Name:  "procs/",
		Doc: "The many-core processes. mkdir procs/NAME makes one with a name, clone one with a number. " +
			"What has ended stays until it is removed; of those that clone made, the newest 1,000.",
		Perm: 0o777,
		Files: []fs.File[*procRoot]{
			{
				Name: "clone", Perm: 0o666, Kind: fs.Ctl, Clone: cloneProc,
				Doc: "Opening it makes a process, and the open file is the new process's ctl; a read of it gives the name.",
			},
			{
				Name: "stat", Perm: 0o444, Kind: fs.Text, Text: textOf((*procRoot).textStat),
				Doc: "A line a process. cores are those that it has, want the most that it asks for; cpu_permille is what it used of one core over the last second or more " +
					"(2000 is two cores busy).",
				Format: "name state user cores want prov pid started_s cpu_permille command",
			},
		},
		Kids: &fs.Kids[*procRoot]{
			Walk: func(_ *fs.Call, r *procRoot, parent fs.Node, name string) (fs.Node, error) {
				p, ok := r.set.Get(name)
				if !ok {
					return nil, sys.ErrNotExist
				}
				return r.dir.Node(p, parent), nil
			},
			List: func(r *procRoot, from uint64, yield func(string, uint64) bool) {
				r.set.List(from, func(p *mcp.Proc) bool {
					return yield(p.Meta().Name, p.Meta().Serial+1)
				})
			},
			Make: func(c *fs.Call, r *procRoot, name string) error {
				_, err := r.set.Make(c.User(), name)
				return err
			},
			Remove: func(_ *fs.Call, r *procRoot, name string) error { return r.set.Remove(name) },
		},
	}
}

func cloneProc(c *fs.Call, r *procRoot, parent fs.Node) (fs.Node, error) {
	p, err := r.set.Make(c.User(), "")
	if err != nil {
		return nil, err
	}
	return r.dir.Node(p, parent), nil
}

func (r *procRoot) textStat(b []byte) []byte {
	r.set.List(0, func(p *mcp.Proc) bool {
		s := p.Status()
		b = append(append(b, p.Meta().Name...), ' ')
		b = append(append(b, s.State.String()...), ' ')
		b = append(fs.AppendQuoted(b, p.User().Name), ' ')
		b = append(s.Cores.Append(b), ' ')
		b = append(strconv.AppendInt(b, int64(s.Request.Max), 10), ' ')
		b = append(s.Prov.Append(b), ' ')
		b = append(appendOrDash(b, int64(s.PID)), ' ')
		b = append(appendOrDash(b, unixSeconds(s.Started)), ' ')
		b = append(strconv.AppendInt(b, int64(s.Load), 10), ' ')
		b = append(fs.AppendQuoted(b, commandText(p, s.Args)), '\n')
		return true
	})
	return b
}

// commandText is a program and its arguments in one line of text; those of
// roles, if there is none for all cores.
func commandText(p *mcp.Proc, args []string) string {
	if args != nil {
		return string(appendWords(nil, args))
	}
	return dash(strings.Join(dumpExec(p), "; "))
}

// appendWords appends words so that they can be read back from a ctl.
func appendWords(b []byte, words []string) []byte {
	for i, w := range words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fs.AppendQuoted(b, w)
	}
	return b
}

// appendOrDash appends a number, or "-" for 0.
func appendOrDash(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}

func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func procDir() *fs.Dir[*mcp.Proc] {
	return &fs.Dir[*mcp.Proc]{
		Class: classProc,
		Name:  "procs/NAME/",
		Doc: "A many-core process: a program, the cores that it may run on, and what it reads and writes. It is new, waiting (for cores), running, stopped, ending, or done; " +
			"one that is done cannot be started again. The program runs as the owner of this directory, and is told its place by WARREN (the mount), WARREN_ADDR, WARREN_PROC and WARREN_CORES; " +
			"OMP_NUM_THREADS and GOMAXPROCS are its number of cores unless set with env. PATH, HOME, USER, LOGNAME, SHELL and LANG are the owner's unless set. " +
			"It goes on when the server ends by SIGTERM, with its output; its input ends.",
		Perm:  0o750,
		Files: append(procFiles(), procStreams()...),
	}
}

const statusFields = "name user state pid min max cores class tier gang prov exit reason " +
	"grace_us pin started_s user_us sys_us cpu_permille foreign command"

func procFiles() []fs.File[*mcp.Proc] {
	return []fs.File[*mcp.Proc]{
		{
			Name: "ctl", Perm: 0o640, Kind: fs.Ctl, Verbs: append(procSettings(), procActions()...),
			Doc: "The settings of the process, and what is done to it.",
		},
		{
			Name: "status", Perm: 0o440, Kind: fs.Text, Text: textOf(appendProcStatus),
			Doc: "The state of the process. exit is how it ended: 'exit 3', 'signal 9 KILL'; reason says why it waits or why it did not start; " +
				"foreign names busy tasks of others on cores that were asked for exclusively.",
			Format: statusFields,
		},
		{
			Name: "cores", Perm: 0o440, Kind: fs.Text, Text: textOf(appendVCores),
			Doc: "The vcore map. A vcore keeps its number while the process lives; its state is running or stopped, or none while it has no core. tid is - unless threads are pinned one to one. " +
				"generation grows with each change of core, and since_us is the time of the last, in Unix microseconds.",
			Format: "vcore core tid state generation since_us",
		},
		{
			Name: "explain", Perm: 0o440, Kind: fs.Text,
			Text: textOf(func(p *mcp.Proc, b []byte) []byte {
				return append(append(b, strings.TrimSuffix(p.Explain(), "\n")...), '\n')
			}),
			Doc: "What the process would get now, and why, in words.",
		},
		{
			Name: "stdin", Perm: 0o200, Kind: fs.Stream, Open: openStdin,
			Doc: "The program's input, from before its start: up to 1 MiB is kept beside what is in its pipe until it reads it, then writes wait. It ends by eof in ctl, or, with hold on, by the last close of this file.",
		},
		{
			Name: "stdout", Perm: 0o440, Kind: fs.Log, Size: (*mcp.Proc).StdoutSize,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				return &logFile{log: p.OpenStdout()}, nil
			},
			Doc: "What the program has written to its standard output. What a simulated program wrote, and there is no room for, is kept and written when it writes again or ends, which /events tells (kept); " +
				"what is lost then it tells as well (lost), and the program ends with 1 if it would have ended with 0.",
		},
		{
			Name: "stderr", Perm: 0o440, Kind: fs.Log, Size: (*mcp.Proc).StderrSize,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				return &logFile{log: p.OpenStderr()}, nil
			},
			Doc: "What the program has written to its standard error.",
		},
	}
}

func procStreams() []fs.File[*mcp.Proc] {
	return []fs.File[*mcp.Proc]{
		{
			Name: "follow", Perm: 0o440, Kind: fs.Stream,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				f, err := p.OpenFollow()
				if err != nil {
					return nil, err
				}
				return fs.NewMessages(f, nil), nil
			},
			Doc: "stdout as a stream: each open file gets all of it from its beginning, in pieces of at most 8 KiB as they come, and end of file when the program has ended.",
		},
		{
			Name: "events", Perm: 0o440, Kind: fs.Stream,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				return fs.NewMessages(p.OpenEvents(), nil), nil
			},
			Doc: "What happens to the process from the open on: granted VCORE CORE, preempt VCORE CORE DEADLINE_US, preempted VCORE CORE, gang N, note TEXT, lost N, and at the end exit and how, " +
				"which every reader gets, then end of file.",
			Format: "event detail...",
		},
		{
			Name: "note", Perm: 0o620, Kind: fs.Stream, Open: openNote,
			Doc: "A line written here, of at most 4 KiB, appears in events as note TEXT.",
		},
		{
			Name: "wait", Perm: 0o440, Kind: fs.Stream,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				return fs.NewMessages(p.OpenWait(), nil), nil
			},
			Doc: "One record when the program has ended, also for those who open it later, then end of file. status is the exit status as a shell has it: 128 and the number for a signal; " +
				"127 or 126 if it could not be started when its cores came.",
			Format: "name status user_us sys_us real_us 'exit text'",
		},
		{
			Name: "gdb", Perm: 0o660, Kind: fs.Stream,
			Open: func(_ *fs.Call, p *mcp.Proc, _ fs.Flags) (fs.Handle, error) {
				port, err := p.OpenDebug()
				if err != nil {
					return nil, err
				}
				return messagesOf(port), nil
			},
			Doc: "gdb's remote protocol, for a program on simulated cores, whose vcores are gdb's threads: target remote | warren gdb procs/NAME. " +
				"They halt at the first byte; cores that it gets meanwhile are threads as well. A debugger holds its cores: none of them is given back or reset before it ends (EBUSY).",
		},
	}
}

func appendProcStatus(p *mcp.Proc, b []byte) []byte {
	s := p.Status()
	r := s.Request
	b = appendWord(b, "name", p.Meta().Name)
	b = appendWord(b, "user", p.User().Name)
	b = appendWord(b, "state", s.State.String())
	b = append(appendOrDash(append(b, "pid "...), int64(s.PID)), '\n')
	b = append(appendInt(b, "min ", r.Min), '\n')
	b = append(appendInt(b, "max ", r.Max), '\n')
	b = appendWord(b, "cores", s.Cores.String())
	b = appendWord(b, "class", r.Class.String())
	b = appendWord(b, "tier", dash(s.Tier))
	b = appendWord(b, "gang", onOff(r.Gang))
	b = appendWord(b, "prov", s.Prov.String())
	b = appendWord(b, "exit", dash(s.Exit))
	if s.State == mcp.Waiting {
		s.Reason = p.WaitReason()
	}
	b = appendWord(b, "reason", dash(s.Reason))
	b = append(appendInt(b, "grace_us ", int(s.Grace.Microseconds())), '\n')
	b = appendWord(b, "pin", pinNames[s.Pin])
	b = append(appendOrDash(append(b, "started_s "...), unixSeconds(s.Started)), '\n')
	b = append(appendInt(b, "user_us ", int(s.Usage.User.Microseconds())), '\n')
	b = append(appendInt(b, "sys_us ", int(s.Usage.Sys.Microseconds())), '\n')
	b = append(appendInt(b, "cpu_permille ", s.Load), '\n')
	b = appendWord(b, "foreign", dash(strings.Join(p.Foreign(), ", ")))
	return appendWord(b, "command", commandText(p, s.Args))
}

// appendWord appends a line of a status file whose value is one word.
func appendWord(b []byte, key, value string) []byte {
	b = append(append(b, key...), ' ')
	return append(fs.AppendQuoted(b, value), '\n')
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func appendVCores(p *mcp.Proc, b []byte) []byte {
	for _, v := range p.VCores() {
		b = append(strconv.AppendInt(b, int64(v.Num), 10), ' ')
		b = append(appendKnown(b, int(v.Core)), ' ')
		b = append(appendKnown(b, v.TID), ' ')
		b = append(append(b, v.State...), ' ')
		b = append(strconv.AppendUint(b, v.Generation, 10), ' ')
		b = append(strconv.AppendInt(b, v.Since.UnixMicro(), 10), '\n')
	}
	return b
}

// appendKnown appends a number, or "-" for -1.
func appendKnown(b []byte, n int) []byte {
	if n < 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, int64(n), 10)
}

// sink is an open file that is only written: stdin, note.
type sink struct {
	put   func(c *fs.Call, p []byte)
	close func()
}

func (s *sink) Read(c *fs.Call, _ int64)            { c.Fail(sys.ErrNotOpen) }
func (s *sink) Write(c *fs.Call, p []byte, _ int64) { s.put(c, p) }
func (s *sink) Close()                              { s.close() }

func openStdin(_ *fs.Call, p *mcp.Proc, f fs.Flags) (fs.Handle, error) {
	if f&fs.OWrite == 0 {
		return nil, sys.Errorf(syscall.EACCES, "stdin: is only written; the program reads it")
	}
	in := p.OpenStdin()
	return &sink{put: func(c *fs.Call, data []byte) { in.Put(c, data) }, close: in.Close}, nil
}

func openNote(_ *fs.Call, p *mcp.Proc, f fs.Flags) (fs.Handle, error) {
	if f&fs.OWrite == 0 {
		return nil, sys.Errorf(syscall.EACCES, "note: is only written; read events")
	}
	return &sink{put: func(c *fs.Call, data []byte) { putNotes(c, p, data) }, close: func() {}}, nil
}

// putNotes sends each line of a write as a note.
func putNotes(c *fs.Call, p *mcp.Proc, data []byte) {
	for line := range strings.Lines(string(data)) {
		line = strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "\uFFFD")
		if line == "" {
			continue
		}
		if err := p.Note(line); err != nil {
			c.Fail(err)
			return
		}
	}
	c.Done(len(data))
}

// logFile is an open stdout or stderr.
type logFile struct {
	log *mcp.Log

	mu   sync.Mutex
	next int64 // where the next read without an offset begins
}

// readMost is the most that one read of a log gives, in bytes.
const readMost = 1 << 20

func (l *logFile) Read(c *fs.Call, off int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if off < 0 {
		off = l.next
	}
	size, err := l.log.Size()
	if err != nil {
		c.Fail(err)
		return
	}
	b := make([]byte, max(0, min(int64(c.Count()), size-off, readMost)))
	n, err := l.log.ReadAt(b, off)
	if n == 0 && err != nil {
		c.Fail(err)
		return
	}
	if c.Deliver(b[:n], nil) {
		l.next = off + int64(n)
	}
}

func (l *logFile) Write(c *fs.Call, _ []byte, _ int64) { c.Fail(sys.ErrNotOpen) }

func (l *logFile) Close() { l.log.Close() }

package tree

import (
	"slices"
	"strconv"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
)

// root is the machine as a whole.
type root struct {
	Config
	meta    *sys.Meta
	env     *fs.Env
	started time.Time
	help    []byte

	cores, procs, chans, sched, srv func(parent fs.Node) fs.Node
}

func newRoot(cfg Config, env *fs.Env) *root {
	r := &root{Config: cfg, meta: fixed("/", 0), env: env, started: time.Now()}
	r.help = appendHelp(nil, Manual())
	env.Changed = r.changed
	r.cores = newCores(cfg.Kern, cfg.Sched.Switch, r.tier)
	r.procs, r.chans = newProcs(cfg.Procs), newChans(cfg.Chans)
	r.sched = newSched(cfg.Sched, len(cfg.Kern.Driver().Cores()))
	r.srv = newSrv(cfg.Posts, &env.Errors)
	return r
}

// tier is what the machine does for a claimed core.
func (r *root) tier(id cores.ID) string {
	if r.Kern.View().Core(id).Owner == (kern.Owner{}) {
		return "-"
	}
	return cores.Tier(r.Kern.Driver(), id)
}

// simulator is what simulates cores of the machine; nil: nothing does.
func (r *root) simulator() cores.Simulator {
	s, _ := r.Kern.Driver().(cores.Simulator)
	return s
}

func openConsole(_ *fs.Call, r *root, _ fs.Flags) (fs.Handle, error) {
	return messagesOf(r.simulator().Console()), nil
}

// changed tells of a setting: `time set PATH 'COMMAND'`.
func (r *root) changed(path, command string) {
	ev := r.Kern.Events()
	if !ev.Active() {
		return
	}
	b := append(fs.AppendTime(nil, time.Now()), " set "...)
	b = append(fs.AppendQuoted(b, path), ' ')
	ev.Emit(append(fs.AppendQuoted(b, command), '\n'))
}

func (r *root) Meta() *sys.Meta { return r.meta }

// eventBound is how many records an open events file may be behind.
const eventBound = 1024

func rootDir() *fs.Dir[*root] {
	return &fs.Dir[*root]{
		Class: classRoot,
		Name:  "/",
		Doc:   "The machine.",
		Files: []fs.File[*root]{
			{
				Name: "help", Perm: 0o444, Kind: fs.Text, Text: text((*root).textHelp),
				Doc: "The manual of the tree.",
			},
			{
				Name: "ctl", Perm: 0o644, Kind: fs.Ctl, Verbs: rootVerbs(),
				Doc: "Commands for the whole machine.",
			},
			{
				Name: "status", Perm: 0o444, Kind: fs.Text, Text: text((*root).textStatus),
				Doc:    "The machine and the server.",
				Format: "name version uptime_s machine cores free procs chans clients",
			},
			{
				Name: "events", Perm: 0o444, Kind: fs.Stream, Open: open((*root).openEvents),
				Doc:    "Every change from the open on. Each open file has its own queue of 1,024 records; what did not fit is told as \"lost N\". A setting is told as set, the file, and the command; of env without the value.",
				Format: "time kind object detail...",
			},
			{
				Name: "errors", Perm: 0o444, Kind: fs.Text, Text: text((*root).textErrors),
				Doc:    "The last 100 errors of the reader's own user, newest last.",
				Format: "time pid path verb 'text'",
			},
			{Name: "cores", Perm: 0o755, Kind: fs.Directory, Doc: "The cores.", Sub: func(r *root, up fs.Node) fs.Node { return r.cores(up) }},
			{Name: "procs", Perm: 0o777, Kind: fs.Directory, Doc: "The many-core processes.", Sub: func(r *root, up fs.Node) fs.Node { return r.procs(up) }},
			{Name: "chans", Perm: 0o777, Kind: fs.Directory, Doc: "The channels.", Sub: func(r *root, up fs.Node) fs.Node { return r.chans(up) }},
			{Name: "sched", Perm: 0o755, Kind: fs.Directory, Doc: "The scheduler.", Sub: func(r *root, up fs.Node) fs.Node { return r.sched(up) }},
			{Name: "srv", Perm: 0o755, Kind: fs.Directory, Doc: "The services of other servers.", Sub: func(r *root, up fs.Node) fs.Node { return r.srv(up) }},
			{
				Name: "console", Perm: permSeen, Kind: fs.Stream, Open: openConsole,
				Has:    func(r *root) bool { return r.simulator() != nil },
				Doc:    "What all simulated cores write, a line each, with the machine's time and the core; and what the machine says of deadlocks and halts (core -1 is the machine).",
				Format: "cycles core 'text'",
			},
		},
	}
}

func rootVerbs() []fs.Verb[*root] {
	return []fs.Verb[*root]{
		{
			Name: "log", Args: "debug|info|warn|error", Doc: "What the server writes to its log.",
			Parse: func(w []string) (func(*fs.Call, *root) error, error) {
				return func(_ *fs.Call, r *root) error { return r.SetLog(w[0]) }, nil
			},
			Dump: func(r *root) []string { return []string{r.Log()} },
		},
		{
			Name: "halt", Args: "", Doc: "End all programs, then the server. (SIGTERM of the server leaves programs running.)",
			Parse: func([]string) (func(*fs.Call, *root) error, error) {
				return func(_ *fs.Call, r *root) error { r.Halt(); return nil }, nil
			},
		},
	}
}

func (r *root) textHelp(_ *fs.Call, b []byte) ([]byte, error) { return append(b, r.help...), nil }

func (r *root) textStatus(_ *fs.Call, b []byte) ([]byte, error) {
	free := 0
	v := r.Kern.View()
	for c := range v.All() {
		if c.Online && !c.Mgmt && c.Owner.Proc == "" && c.Prov.Proc == "" {
			free++
		}
	}
	b = append(b, "name warren\nversion "...)
	b = append(b, r.Version...)
	b = appendInt(b, "\nuptime_s ", int(time.Since(r.started).Seconds()))
	b = append(append(b, "\nmachine "...), fs.Quote(r.Kern.Driver().Name())...)
	b = appendInt(b, "\ncores ", v.Len())
	b = appendInt(b, "\nfree ", free)
	b = appendInt(b, "\nprocs ", r.Procs.Len())
	b = appendInt(b, "\nchans ", r.Chans.Len())
	b = appendInt(b, "\nclients ", r.Clients())
	return append(b, '\n'), nil
}

func (r *root) textErrors(c *fs.Call, b []byte) ([]byte, error) {
	return r.env.Errors.Append(b, c.User().UID), nil
}

func (r *root) openEvents(*fs.Call, fs.Flags) (fs.Handle, error) {
	return fs.NewMessages(r.Kern.Events().Open(eventBound, ""), nil), nil
}

// text and open turn methods around: a table's functions take the call first.
func text[T any](method func(T, *fs.Call, []byte) ([]byte, error)) func(*fs.Call, T, []byte) ([]byte, error) {
	return func(c *fs.Call, t T, b []byte) ([]byte, error) { return method(t, c, b) }
}

func open[T any](method func(T, *fs.Call, fs.Flags) (fs.Handle, error)) func(*fs.Call, T, fs.Flags) (fs.Handle, error) {
	return func(c *fs.Call, t T, f fs.Flags) (fs.Handle, error) { return method(t, c, f) }
}

func appendInt(b []byte, key string, n int) []byte {
	return strconv.AppendInt(append(b, key...), int64(n), 10)
}

// Manual returns the tables of the whole tree, for help and the manual page.
func Manual() []fs.DirDoc {
	return slices.Concat([]fs.DirDoc{rootDir().Describe()}, coresDocs(), procsDocs(), chansDocs(), schedDocs(), srvDocs())
}

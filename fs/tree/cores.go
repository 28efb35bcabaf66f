package tree

import (
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
)

// A Switcher switches cores for a user; force takes them from who uses them.
type Switcher func(u *sys.User, set cores.Set, op kern.MoveOp, force bool) error

// coreRoot is the directory cores. What it knows of its own is who may open
// what: the identities of the cores, made when they are first walked to.
type coreRoot struct {
	m      *kern.Machine
	infos  []cores.Info
	sim    cores.Simulator // nil: no core is simulated
	change Switcher
	tier   func(cores.ID) string

	meta *sys.Meta
	dir  *fs.Dir[*core]
	kids []atomic.Pointer[core]
	pool sync.Pool // of *sample
}

func (r *coreRoot) Meta() *sys.Meta { return r.meta }

// core is the directory cores/N.
type core struct {
	id   cores.ID
	root *coreRoot
	meta *sys.Meta

	chans atomic.Pointer[channels]
}

func (c *core) Meta() *sys.Meta { return c.meta }

func (c *core) state() kern.Core {
	c.root.m.Look(c.id)
	return c.root.m.View().Core(c.id)
}

// newCores returns what makes the node of cores. tier says how well a core in
// use is kept for its user.
func newCores(m *kern.Machine, change Switcher, tier func(cores.ID) string) func(parent fs.Node) fs.Node {
	r := &coreRoot{m: m, infos: m.Driver().Cores(), change: change, tier: tier, meta: fixed("cores", 0), dir: coreDir()}
	r.sim, _ = m.Driver().(cores.Simulator)
	r.kids = make([]atomic.Pointer[core], len(r.infos))
	r.pool.New = func() any {
		return &sample{rates: make([]cores.Rate, len(r.infos)), stats: make([]cores.Stat, len(r.infos))}
	}
	d := coresDir()
	return func(parent fs.Node) fs.Node { return d.Node(r, parent) }
}

// coresDocs describes the tables of cores and of a core.
func coresDocs() []fs.DirDoc {
	return []fs.DirDoc{coresDir().Describe(), coreDir().Describe(), channelDir().Describe()}
}

func coresDir() *fs.Dir[*coreRoot] {
	return &fs.Dir[*coreRoot]{
		Class: classCores,
		Name:  "cores/",
		Doc:   "The cores of the machine, a directory each, by number.",
		Files: append([]fs.File[*coreRoot]{
			{
				Name: "ctl", Perm: 0o666, Kind: fs.Ctl, Verbs: setVerbs(),
				Doc: "Commands for sets of cores: all of a set or none. Those of cores/N/ctl, with the set first. A set is a list such as 0-3,8; of simulated cores also terms that all must hold, " +
					"joined by commas: x=0-13,y=0-9 (a rectangle of tiles), tile=3, kind=tensix, role=T1,T2, or a list first.",
			},
			{
				Name: "stat", Perm: 0o444, Kind: fs.Text, Text: textOf((*coreRoot).textStat),
				Doc: "A line a core, all of one moment. state is online or offline; owner has the core for itself alone, prov has a standing claim on it; " +
					"tier is how well the core is kept for its owner; user, sys, irq and idle are permille of the last second or more.",
				Format: "id kind state node socket llc smt owner prov role tier user sys irq idle",
			},
			{
				Name: "topology", Perm: 0o444, Kind: fs.Text, Text: textOf((*coreRoot).textTopology),
				Doc:    "A line a core: where it sits. llc is its last-level cache, core the physical core, which siblings share; all numbers are machine-wide but smt.",
				Format: "id kind node socket die llc core smt mhz isa",
			},
			{
				Name: "distance", Perm: 0o444, Kind: fs.Text, Text: text((*coreRoot).textDistance),
				Doc: "The matrix of how far cores are apart, a line a core: 0 itself, 1 siblings, 2 the same last-level cache, 3 the same socket, 10 and more NUMA distances. " +
					"A machine of more than 1,024 cores has no such table (EFBIG): topology says the same.",
			},
		}, machineFiles()...),
		Kids: &fs.Kids[*coreRoot]{
			Walk: func(_ *fs.Call, r *coreRoot, parent fs.Node, name string) (fs.Node, error) {
				id, err := strconv.Atoi(name)
				if err != nil || id < 0 || id >= len(r.infos) || strconv.Itoa(id) != name {
					return nil, sys.ErrNotExist
				}
				return r.dir.Node(r.core(cores.ID(id)), parent), nil
			},
			List: func(r *coreRoot, from uint64, yield func(string, uint64) bool) {
				for id := from; id < uint64(len(r.infos)); id++ {
					if !yield(strconv.FormatUint(id, 10), id+1) {
						return
					}
				}
			},
		},
	}
}

// core returns the identity of a core.
func (r *coreRoot) core(id cores.ID) *core {
	slot := &r.kids[id]
	if c := slot.Load(); c != nil {
		return c
	}
	meta := sys.NewMeta(uint64(id), strconv.Itoa(int(id)), self())
	meta.Made = r.meta.Made
	slot.CompareAndSwap(nil, &core{id: id, root: r, meta: meta})
	return slot.Load()
}

func coreDir() *fs.Dir[*core] {
	return &fs.Dir[*core]{
		Class: classCore,
		Name:  "cores/N/",
		Doc: "A core. Simulated cores have files of their own beside those of all. What is in a core, its registers, memory, console, channels and gdb, is for the owner of its directory and " +
			"its group, at first the server's: chown gives them to who has the core (grant in sched/ctl lets him load and run). Of a process of procs its owner has output and gdb.",
		Files: append([]fs.File[*core]{
			{
				Name: "ctl", Perm: 0o666, Kind: fs.Ctl, Verbs: coreVerbs(),
				Doc: "Switches the core. Root may, and who was granted the core (grant in sched/ctl).",
			},
			{
				Name: "status", Perm: 0o444, Kind: fs.Text, Text: textOf(appendCoreStatus),
				Doc: "What was agreed about the core: epoch grows with each change. And where it sits; cpu is the number that the host has for it. kernel is alive, " +
					"or silent when it does not answer the others; since_s is when the owner got the core, in Unix seconds.",
				Format: "id kind state role owner prov tier epoch quiet kernel since_s node socket die llc core smt mhz isa cpu",
			},
			{
				Name: "stat", Perm: 0o444, Kind: fs.Text, Text: textOf(appendCoreStat),
				Doc:    "Counts since boot; \"-\" is what the machine does not tell. messages are those of the core's kernel.",
				Format: "user_us sys_us irq_us softirq_us steal_us idle_us switches interrupts ticks messages_in messages_out",
			},
			{
				Name: "noise", Perm: 0o444, Kind: fs.Text, Text: textNoise,
				Doc: "What interrupts a program on this core, per second over the last second or more. After measure in ctl: probe is running or done; it did the same piece of work again " +
					"and again: how many, the shortest and the longest time of one, how many took half as long again as the shortest, and what was lost beyond it.",
				Format: "ticks interrupts softirqs reschedules calls tlb switches steal_permille " +
					"probe probe_us probe_pieces probe_least_ns probe_most_ns probe_hits probe_lost_us",
			},
			{
				Name: "mbox", Perm: 0o660, Kind: fs.Stream, Open: openMbox,
				Doc: "Messages to the core's kernel or program: one write is one, one read takes one.",
			},
			{
				Name: "trace", Perm: 0o444, Kind: fs.Stream, Open: openTrace,
				Doc: "The messages that the core's kernel sends and takes, from the open on. from and to are cores, \"-\" is who asked for an agreement; " +
					"op is agree, prepare, act, undo, commit, abort, yes, no, acted, undone, agreed, refused or look; id is the agreement's.",
				Format: "time from to op id bytes",
			},
		}, simulatedFiles()...),
	}
}

func openTrace(_ *fs.Call, c *core, _ fs.Flags) (fs.Handle, error) {
	return fs.NewMessages(c.root.m.Trace(c.id), nil), nil
}

func openMbox(call *fs.Call, c *core, f fs.Flags) (fs.Handle, error) {
	return openPort(false)(call, c.root.m.Mbox(c.id), f)
}

// A sample is memory for the counters of all cores.
type sample struct {
	rates []cores.Rate
	stats []cores.Stat
}

func (r *coreRoot) textStat(b []byte) []byte {
	for id := range r.infos {
		r.m.Look(cores.ID(id))
	}
	s := r.pool.Get().(*sample)
	defer r.pool.Put(s)
	r.m.Driver().Rates(s.rates)
	v := r.m.View()
	for id := range r.infos {
		b = r.appendStat(b, v.Core(cores.ID(id)), &s.rates[id])
	}
	return b
}

func (r *coreRoot) appendStat(b []byte, c kern.Core, rate *cores.Rate) []byte {
	info := &r.infos[c.ID]
	b = append(strconv.AppendInt(b, int64(c.ID), 10), ' ')
	b = append(fs.AppendQuoted(b, dash(info.Kind)), ' ')
	b = append(b, stateText(c)...)
	b = appendNumbers(b, info.Node, info.Socket, info.LLC, info.SMT)
	for _, word := range [...]string{c.Owner.String(), c.Prov.String(), roleText(c), r.tierText(c)} {
		b = append(append(b, ' '), word...)
	}
	return append(appendNumbers(b, rate.User, rate.Sys, rate.IRQ, rate.Idle), '\n')
}

// appendNumbers appends numbers, each after a blank, "-" for -1.
func appendNumbers(b []byte, list ...int) []byte {
	for _, n := range list {
		b = appendKnown(append(b, ' '), n)
	}
	return b
}

func stateText(c kern.Core) string {
	if c.Online {
		return "online"
	}
	return "offline"
}

func roleText(c kern.Core) string {
	if c.Mgmt {
		return "mgmt"
	}
	return "app"
}

func (r *coreRoot) tierText(c kern.Core) string {
	if c.Owner == (kern.Owner{}) {
		return "-"
	}
	return dash(r.tier(c.ID))
}

func (r *coreRoot) textTopology(b []byte) []byte {
	for i := range r.infos {
		c := &r.infos[i]
		b = append(strconv.AppendInt(b, int64(c.ID), 10), ' ')
		b = fs.AppendQuoted(b, dash(c.Kind))
		b = append(appendNumbers(b, c.Node, c.Socket, c.Die, c.LLC, c.Core, c.SMT, c.MHz), ' ')
		b = append(fs.AppendQuoted(b, dash(c.ISA)), '\n')
	}
	return b
}

// mostDistances is the largest machine that the matrix is printed of.
const mostDistances = 1024

func (r *coreRoot) textDistance(_ *fs.Call, b []byte) ([]byte, error) {
	n := len(r.infos)
	if n > mostDistances {
		return nil, sys.Errorf(syscall.EFBIG, "distance: %d cores would be %d numbers, and %d cores are the most (use topology)", n, n*n, mostDistances)
	}
	d := r.m.Driver()
	for i := range n {
		for j := range n {
			if j > 0 {
				b = append(b, ' ')
			}
			b = strconv.AppendInt(b, int64(d.Distance(cores.ID(i), cores.ID(j))), 10)
		}
		b = append(b, '\n')
	}
	return b, nil
}

func appendCoreStatus(c *core, b []byte) []byte {
	s, info := c.state(), &c.root.infos[c.id]
	b = append(appendInt(b, "id ", int(c.id)), '\n')
	b = appendWord(b, "kind", dash(info.Kind))
	b = appendWord(b, "state", stateText(s))
	b = appendWord(b, "role", roleText(s))
	b = appendWord(b, "owner", s.Owner.String())
	b = appendWord(b, "prov", s.Prov.String())
	b = appendWord(b, "tier", c.root.tierText(s))
	b = append(strconv.AppendUint(append(b, "epoch "...), s.Epoch, 10), '\n')
	b = appendWord(b, "quiet", onOff(s.Quiet))
	b = appendWord(b, "kernel", aliveText(s))
	b = append(appendOrDash(append(b, "since_s "...), ownedSince(s)), '\n')
	for _, f := range [...]struct {
		key string
		n   int
	}{
		{"node", info.Node},
		{"socket", info.Socket},
		{"die", info.Die},
		{"llc", info.LLC},
		{"core", info.Core},
		{"smt", info.SMT},
		{"mhz", info.MHz},
	} {
		b = append(appendKnown(append(append(b, f.key...), ' '), f.n), '\n')
	}
	b = appendWord(b, "isa", dash(info.ISA))
	return append(appendKnown(append(b, "cpu "...), info.CPU), '\n')
}

func aliveText(c kern.Core) string {
	if c.Alive {
		return "alive"
	}
	return "silent"
}

func ownedSince(c kern.Core) int64 {
	if c.Owner == (kern.Owner{}) {
		return 0
	}
	return unixSeconds(c.Since)
}

func appendCoreStat(c *core, b []byte) []byte {
	s := c.root.pool.Get().(*sample)
	defer c.root.pool.Put(s)
	c.root.m.Driver().Stats(s.stats)
	st := &s.stats[c.id]
	in, out := c.root.m.Messages(c.id)
	return appendCounts(b, []count{
		{"user_us", micros(st.User)},
		{"sys_us", micros(st.Sys)},
		{"irq_us", micros(st.IRQ)},
		{"softirq_us", micros(st.SoftIRQ)},
		{"steal_us", micros(st.Steal)},
		{"idle_us", micros(st.Idle)},
		{"switches", st.Switches},
		{"interrupts", st.Interrupts},
		{"ticks", st.Ticks},
		{"messages_in", in},
		{"messages_out", out},
	})
}

// A count is a line of a status file; -1 is unknown.
type count struct {
	key string
	n   int64
}

func appendCounts(b []byte, list []count) []byte {
	for _, f := range list {
		b = append(append(b, f.key...), ' ')
		b = append(appendKnown(b, int(f.n)), '\n')
	}
	return b
}

// micros is a time in microseconds; negative stays unknown.
func micros(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

func textNoise(_ *fs.Call, c *core, b []byte) ([]byte, error) {
	n, err := c.root.m.Driver().Noise(c.id)
	if err != nil {
		return nil, err
	}
	b = appendCounts(b, []count{
		{"ticks", perSecond(n.Ticks)},
		{"interrupts", perSecond(n.Interrupts)},
		{"softirqs", perSecond(n.SoftIRQs)},
		{"reschedules", perSecond(n.Reschedules)},
		{"calls", perSecond(n.Calls)},
		{"tlb", perSecond(n.TLB)},
		{"switches", perSecond(n.Switches)},
		{"steal_permille", int64(n.Steal)},
	})
	return appendProbe(b, &n.Probe), nil
}

// perSecond rounds a rate; unknown stays unknown.
func perSecond(rate float64) int64 {
	if rate < 0 {
		return -1
	}
	return int64(rate + 0.5)
}

func appendProbe(b []byte, p *cores.Probe) []byte {
	state, found := "done", *p
	if p.Took == 0 {
		state = "running"
		if p.Began.IsZero() {
			state = "-"
		}
		found = cores.Probe{Took: -1, Pieces: -1, Least: -1, Most: -1, Hits: -1, Lost: -1}
	}
	return appendCounts(appendWord(b, "probe", state), []count{
		{"probe_us", micros(found.Took)},
		{"probe_pieces", int64(found.Pieces)},
		{"probe_least_ns", int64(found.Least)},
		{"probe_most_ns", int64(found.Most)},
		{"probe_hits", int64(found.Hits)},
		{"probe_lost_us", micros(found.Lost)},
	})
}

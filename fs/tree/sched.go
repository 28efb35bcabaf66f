package tree

import (
	"strconv"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
	"warren/sched"
)

// schedRoot is the directory sched.
type schedRoot struct {
	s    *sched.Scheduler
	n    int // cores of the machine
	meta *sys.Meta
}

func (r *schedRoot) Meta() *sys.Meta { return r.meta }

// newSched returns what makes the node of sched, on a machine of n cores. It
// belongs to the user whom the server runs as, who may do everything here.
func newSched(s *sched.Scheduler, n int) func(parent fs.Node) fs.Node {
	r := &schedRoot{s: s, n: n, meta: fixed("sched", 0)}
	d := schedDir()
	return func(parent fs.Node) fs.Node { return d.Node(r, parent) }
}

// schedDocs describes the table of sched.
func schedDocs() []fs.DirDoc { return []fs.DirDoc{schedDir().Describe()} }

func schedDir() *fs.Dir[*schedRoot] {
	return &fs.Dir[*schedRoot]{
		Class: classSched,
		Name:  "sched/",
		Doc:   "The scheduler: what is promised to whom, and who waits.",
		Files: []fs.File[*schedRoot]{
			{
				Name: "ctl", Perm: 0o644, Kind: fs.Ctl, Verbs: schedVerbs(),
				Doc: "Settings of the scheduler.",
			},
			{
				Name: "prov", Perm: 0o444, Kind: fs.Text, Text: textOf((*schedRoot).textProv),
				Doc:    "Who has a standing claim on which core: a line a core, with the time of the claim in Unix seconds.",
				Format: "core proc since_s",
			},
			{
				Name: "alloc", Perm: 0o444, Kind: fs.Text, Text: textOf((*schedRoot).textAlloc),
				Doc:    "Who runs where, in order of cores: a line for each core and process, with the time at which it came there in Unix seconds. Shared processes may have a core together.",
				Format: "core proc since_s",
			},
			{
				Name: "queue", Perm: 0o444, Kind: fs.Text, Text: textOf((*schedRoot).textQueue),
				Doc: "Who waits, first come first: to start, or running and to grow. want is the cores that are missing; since_s is Unix seconds; the reason is in words. " +
					"Nobody gets a core for which one before it waits.",
				Format: "name want min max class since_s 'reason'",
			},
		},
	}
}

func (r *schedRoot) textProv(b []byte) []byte { return appendHeld(b, r.s.Prov()) }

func (r *schedRoot) textAlloc(b []byte) []byte { return appendHeld(b, r.s.Alloc()) }

func appendHeld(b []byte, list []sched.Held) []byte {
	for i := range list {
		h := &list[i]
		b = append(strconv.AppendInt(b, int64(h.Core), 10), ' ')
		b = append(append(b, h.Owner.String()...), ' ')
		b = append(strconv.AppendInt(b, h.Since.Unix(), 10), '\n')
	}
	return b
}

func (r *schedRoot) textQueue(b []byte) []byte {
	for _, w := range r.s.Queue() {
		b = append(b, w.Owner.String()...)
		b = append(appendNumbers(b, w.Want, w.Min, w.Max), ' ')
		b = append(append(b, w.Class.String()...), ' ')
		b = append(strconv.AppendInt(b, w.Since.Unix(), 10), ' ')
		b = append(fs.AppendQuoted(b, w.Reason), '\n')
	}
	return b
}

type schedAction = func(*fs.Call, *schedRoot) error

func schedVerbs() []fs.Verb[*schedRoot] {
	return []fs.Verb[*schedRoot]{
		{
			Name: "policy", Args: "compact|spread", Doc: "How cores are picked from now on: compact puts those of a process next to each other and far from others, spread as far apart as can be.",
			Parse: func(w []string) (schedAction, error) {
				return func(_ *fs.Call, r *schedRoot) error { return r.s.SetPolicy(w[0]) }, nil
			},
			Dump: func(r *schedRoot) []string { return []string{r.s.Policy()} },
		},
		{
			Name: "grace", Args: "TIME", Doc: "How long a process that says nothing else has between the warning that it will lose a core and the loss.",
			Parse: parseTime(0, maxGrace, (*sched.Scheduler).SetGrace),
			Dump:  func(r *schedRoot) []string { return []string{r.s.Grace().String()} },
		},
		{
			Name: "quantum", Args: "TIME", Doc: "The time slice of gangs that share cores. Gangs do not share cores yet, so that it changes nothing.",
			Parse: parseTime(time.Millisecond, maxQuantum, (*sched.Scheduler).SetQuantum),
			Dump:  func(r *schedRoot) []string { return []string{r.s.Quantum().String()} },
		},
		{
			Name: "grant", Args: "USER SET|none", Doc: "Which cores a user may claim for its processes alone, provision and switch, in place of what was granted before. Claims that exist stay.",
			Parse: parseGrant,
			Dump:  dumpGrants,
		},
	}
}

// maxQuantum is the longest time slice.
const maxQuantum = time.Minute

// parseTime reads a time within bounds.
func parseTime(least, most time.Duration, set func(*sched.Scheduler, time.Duration)) func([]string) (schedAction, error) {
	return func(w []string) (schedAction, error) {
		d, err := time.ParseDuration(w[0])
		if err != nil || d < least || d > most {
			return nil, sys.Errorf(syscall.EINVAL, "want a time from %s to %s such as 10ms, not %q", least, most, w[0])
		}
		return func(_ *fs.Call, r *schedRoot) error { set(r.s, d); return nil }, nil
	}
}

// parseGrant reads who is granted what. Which users and cores there are is
// found when it is done.
func parseGrant(w []string) (schedAction, error) {
	who, word := w[0], w[1]
	if word == "none" {
		return func(c *fs.Call, r *schedRoot) error { return r.s.Allow(c.User(), who, nil) }, nil
	}
	if _, err := cores.ParseSet(word, maxCores); err != nil {
		return nil, err
	}
	return func(c *fs.Call, r *schedRoot) error {
		set, err := cores.ParseSet(word, r.n)
		if err != nil {
			return err
		}
		return r.s.Allow(c.User(), who, set)
	}, nil
}

func dumpGrants(r *schedRoot) []string {
	var lines []string
	r.s.Allowed(func(who string, set cores.Set) {
		lines = append(lines, fs.Quote(who)+" "+set.String())
	})
	return lines
}

package tree

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
	"warren/sched"
	"warren/sched/mcp"
)

// The names of settings' values.
var pinNames = [...]string{cores.PinCompact: "compact", cores.PinSpread: "spread", cores.PinNone: "none"}

// anyWord, in the place of a restriction, lifts it.
const anyWord = "any"

// roleFlag begins an exec for the cores of one role.
const roleFlag = "-on"

// procAction is what a line of a process's ctl does.
type procAction = func(*fs.Call, *mcp.Proc) error

func procSettings() []fs.Verb[*mcp.Proc] {
	return []fs.Verb[*mcp.Proc]{
		{
			Name: "exec", Args: "PROG [ARG...] | -on ROLE PROG [ARG...]", Doc: "What to run: a name found in the program's PATH, or a path. Before the start. The process ends with this program: whatever it leaves behind, in the background or as a daemon, is killed then. On simulated cores PROG is an executable of theirs, which runs on all cores of the process; with -on, on those of that role (see cores/N/hart).",
			Parse: func(w []string) (procAction, error) {
				if w[0] != roleFlag {
					return func(_ *fs.Call, p *mcp.Proc) error { return p.SetExec(w) }, nil
				}
				if len(w) < 3 {
					return nil, sys.Errorf(syscall.EINVAL, "want exec -on ROLE PROG [ARG...]")
				}
				return func(_ *fs.Call, p *mcp.Proc) error { return p.SetRole(w[1], w[2:]) }, nil
			},
			Dump: dumpExec,
		},
		{
			Name: "env", Args: "K=V", Secret: true, Doc: "Set a variable of the program's environment. Before the start.",
			Parse: func(w []string) (procAction, error) {
				if strings.IndexByte(w[0], '=') < 1 {
					return nil, sys.Errorf(syscall.EINVAL, "want K=V, not %q (an empty value: K=)", w[0])
				}
				return func(_ *fs.Call, p *mcp.Proc) error { return p.SetEnv(w[0]) }, nil
			},
			Dump: func(p *mcp.Proc) []string { return quoted(p.Env()) },
		},
		{
			Name: "dir", Args: "PATH", Doc: "Where it starts; at first /. Before the start.",
			Parse: func(w []string) (procAction, error) {
				return func(_ *fs.Call, p *mcp.Proc) error { return p.SetDir(w[0]) }, nil
			},
			Dump: func(p *mcp.Proc) []string { return quoted([]string{p.Dir()}) },
		},
		{
			Name: "cores", Args: "N|MIN..MAX", Doc: "How many cores are wanted, and the least to start and run with (N is both); at first 1. A running process grows or shrinks, and grows later if there are too few now.",
			Parse: parseCores,
			Dump:  func(p *mcp.Proc) []string { return []string{coresText(p.Request())} },
		},
		{
			Name: "on", Args: "SET|any", Doc: "Only these cores: a list, or an expression as cores/ctl takes it.",
			Parse: func(w []string) (procAction, error) {
				return parseSet("on", w[0], anyWord, func(_ *fs.Call, p *mcp.Proc, set cores.Set) error { return p.SetOn(set) })
			},
			Dump: func(p *mcp.Proc) []string {
				if on := p.Request().On; len(on) > 0 {
					return []string{on.String()}
				}
				return []string{anyWord}
			},
		},
		{
			Name: "near", Args: "CORE|any", Doc: "As near to this core as can be: for the cores that it gets from now on.",
			Parse: parseNumber("core", func(p *mcp.Proc, n int) error { return p.SetNear(cores.ID(n)) }),
			Dump:  func(p *mcp.Proc) []string { return []string{numberText(int(p.Request().Near))} },
		},
		{
			Name: "node", Args: "N|any", Doc: "Only cores of this NUMA node.",
			Parse: parseNumber("node", (*mcp.Proc).SetNode),
			Dump:  func(p *mcp.Proc) []string { return []string{numberText(p.Request().Node)} },
		},
		{
			Name: "kind", Args: "KIND|any", Doc: "Only cores of this kind (see cores/stat).",
			Parse: func(w []string) (procAction, error) {
				kind := w[0]
				if kind == anyWord {
					kind = ""
				}
				return func(_ *fs.Call, p *mcp.Proc) error { return p.SetKind(kind) }, nil
			},
			Dump: func(p *mcp.Proc) []string {
				if kind := p.Request().Kind; kind != "" {
					return quoted([]string{kind})
				}
				return []string{anyWord}
			},
		},
		{
			Name: "class", Args: "shared|exclusive|quiet", Doc: "What is asked. shared claims nothing and gives way to exclusive claims as long as its least number of cores fits elsewhere. What the host could really do is tier in status.",
			Parse: parseClass,
			Dump:  func(p *mcp.Proc) []string { return []string{p.Request().Class.String()} },
		},
		{
			Name: "gang", Args: "on|off", Doc: "All cores or none, at the start and at each change.",
			Parse: func(w []string) (procAction, error) {
				return func(_ *fs.Call, p *mcp.Proc) error { return p.SetGang(w[0] == "on") }, nil
			},
			Dump: func(p *mcp.Proc) []string { return []string{onOff(p.Request().Gang)} },
		},
		{
			Name: "prov", Args: "SET|none", Doc: "A standing claim on exactly these cores, from now until the process is done.",
			Parse: func(w []string) (procAction, error) {
				return parseSet("prov", w[0], "none", func(c *fs.Call, p *mcp.Proc, set cores.Set) error { return p.SetProv(c.User(), set) })
			},
			Dump: func(p *mcp.Proc) []string {
				if prov := p.Prov(); len(prov) > 0 {
					return []string{prov.String()}
				}
				return []string{"none"}
			},
		},
		{
			Name: "grace", Args: "TIME", Doc: "How long the process has between the warning that it will lose a core and the loss; at first 10ms.",
			Parse: parseGrace,
			Dump:  func(p *mcp.Proc) []string { return []string{p.Grace().String()} },
		},
		{
			Name: "pin", Args: "compact|spread|none", Doc: "How threads are laid on vcores: one to one if there are no more of them than vcores, in order (compact) or neighbours far apart (spread); or each anywhere. Before the start.",
			Parse: parsePin,
			Dump:  func(p *mcp.Proc) []string { return []string{pinNames[p.Pin()]} },
		},
		{
			Name: "hold", Args: "[on|off]", Doc: "Whether the last close of stdin ends the program's input; at first off.",
			Parse: func(w []string) (procAction, error) {
				on := len(w) == 0 || w[0] == "on"
				return func(_ *fs.Call, p *mcp.Proc) error { p.SetHold(on); return nil }, nil
			},
			Dump: func(p *mcp.Proc) []string { return []string{onOff(p.Hold())} },
		},
		{
			Name: "keep", Args: "", Doc: "Keep the process, made by clone, also when nobody uses it and many have ended since.",
			Parse: does((*mcp.Proc).Keep),
			Dump: func(p *mcp.Proc) []string {
				if p.Kept() {
					return []string{""}
				}
				return nil
			},
		},
	}
}

func procActions() []fs.Verb[*mcp.Proc] {
	return []fs.Verb[*mcp.Proc]{
		{
			Name: "start", Args: "[now]", Doc: "Run the program. Refused if that can never be; else it runs, or waits for cores; with now, it fails with EBUSY and the numbers instead of waiting.",
			Parse: func(w []string) (procAction, error) {
				return func(_ *fs.Call, p *mcp.Proc) error { return p.Start(len(w) > 0) }, nil
			},
		},
		{Name: "stop", Doc: "Stop the program, with all that it started.", Parse: action((*mcp.Proc).Stop)},
		{Name: "cont", Doc: "Continue it.", Parse: action((*mcp.Proc).Cont)},
		{
			Name: "kill", Args: "[SIGNAL]", Doc: "Send a signal, by name or number, to the program's process group; TERM if none is named. KILL ends all that it started. " +
				"A process that waits is done with it; one that is stopped is continued by a signal that is meant to end it.",
			Parse: func(w []string) (procAction, error) {
				sig, err := int(syscall.SIGTERM), error(nil)
				if len(w) > 0 {
					sig, err = mcp.ParseSignal(w[0])
				}
				return func(_ *fs.Call, p *mcp.Proc) error { return p.Kill(sig) }, err
			},
		},
		{
			Name: "yield", Args: "N | vcore V", Doc: "Give N cores back, or that of vcore V. The number wanted falls with them; refused if that is less than the least.",
			Parse: parseYield,
		},
		{Name: "eof", Doc: "End the program's input, behind what was written.", Parse: does((*mcp.Proc).EOF)},
		{Name: "rm", Doc: "Remove the process and its output; refused unless it is new or done. rmdir does the same.", Parse: action((*mcp.Proc).Remove)},
	}
}

// dumpExec is what the process runs, and what its cores of certain roles run.
func dumpExec(p *mcp.Proc) []string {
	var out []string
	if args := p.Exec(); args != nil {
		out = append(out, string(appendWords(nil, args)))
	}
	roles := p.Roles()
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		out = append(out, string(appendWords(nil, append([]string{roleFlag, role}, roles[role]...))))
	}
	return out
}

// action is the Parse of an action that has no arguments.
func action(do func(*mcp.Proc) error) func([]string) (procAction, error) {
	return func([]string) (procAction, error) {
		return func(_ *fs.Call, p *mcp.Proc) error { return do(p) }, nil
	}
}

func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fs.Quote(w)
	}
	return out
}

// maxCores bounds the numbers of cores that are looked at at all.
const maxCores = 1 << 20

func parseCores(w []string) (procAction, error) {
	lo, hi, isRange := strings.Cut(w[0], "..")
	least, err := strconv.Atoi(lo)
	most := least
	if err == nil && isRange {
		most, err = strconv.Atoi(hi)
	}
	switch {
	case err != nil:
		return nil, sys.Errorf(syscall.EINVAL, "want N or MIN..MAX, not %q", w[0])
	case least < 1 || most > maxCores:
		return nil, sys.Errorf(syscall.EINVAL, "want at least 1 core and at most %d, not %q", maxCores, w[0])
	case most < least:
		return nil, sys.Errorf(syscall.EINVAL, "%q runs backwards", w[0])
	}
	return func(_ *fs.Call, p *mcp.Proc) error { return p.SetCores(least, most) }, nil
}

func coresText(r sched.Request) string {
	text := strconv.Itoa(r.Min)
	if r.Max != r.Min {
		text += ".." + strconv.Itoa(r.Max)
	}
	return text
}

// parseSet reads a set of cores, or the word for none. Which cores there are
// is found when it is done.
func parseSet(verb, word, none string, do func(*fs.Call, *mcp.Proc, cores.Set) error) (procAction, error) {
	if word == none {
		return func(c *fs.Call, p *mcp.Proc) error { return do(c, p, nil) }, nil
	}
	expression := strings.Contains(word, "=")
	if _, err := cores.ParseSet(word, maxCores); err != nil && !expression && sys.Errno(err) != syscall.ENXIO {
		return nil, err
	}
	return func(c *fs.Call, p *mcp.Proc) error {
		set, err := cores.ParseSet(word, p.Cores())
		if expression {
			set, err = p.Select(word)
		}
		if err != nil {
			return sys.Errorf(sys.Errno(err), "%s: %v", verb, err)
		}
		return do(c, p, set)
	}, nil
}

// parseNumber reads the number of a core or node, or any.
func parseNumber(what string, do func(*mcp.Proc, int) error) func([]string) (procAction, error) {
	return func(w []string) (procAction, error) {
		n := int64(-1)
		if w[0] != anyWord {
			var err error
			if n, err = strconv.ParseInt(w[0], 10, 32); err != nil || n < 0 {
				return nil, sys.Errorf(syscall.EINVAL, "want the number of a %s, or %s, not %q", what, anyWord, w[0])
			}
		}
		return func(_ *fs.Call, p *mcp.Proc) error { return do(p, int(n)) }, nil
	}
}

func numberText(n int) string {
	if n < 0 {
		return anyWord
	}
	return strconv.Itoa(n)
}

func parseClass(w []string) (procAction, error) {
	class := map[string]sched.Class{"shared": sched.Shared, "exclusive": sched.Exclusive, "quiet": sched.Quiet}[w[0]]
	return func(_ *fs.Call, p *mcp.Proc) error { return p.SetClass(class) }, nil
}

func parsePin(w []string) (procAction, error) {
	pin := map[string]cores.Pin{"compact": cores.PinCompact, "spread": cores.PinSpread, "none": cores.PinNone}[w[0]]
	return func(_ *fs.Call, p *mcp.Proc) error { return p.SetPin(pin) }, nil
}

// maxGrace is the longest grace that anybody can have a core for.
const maxGrace = time.Minute

func parseGrace(w []string) (procAction, error) {
	d, err := time.ParseDuration(w[0])
	if err != nil || d < 0 || d > maxGrace {
		return nil, sys.Errorf(syscall.EINVAL, "want a time from 0s to %s such as 10ms, not %q", maxGrace, w[0])
	}
	return func(_ *fs.Call, p *mcp.Proc) error { p.SetGrace(d); return nil }, nil
}

func parseYield(w []string) (procAction, error) {
	n, err := strconv.Atoi(w[len(w)-1])
	vcore := len(w) == 2
	if err != nil || n < 0 || n == 0 && !vcore {
		return nil, sys.Errorf(syscall.EINVAL, "want a number of cores, or vcore and the number of one, not %q", strings.Join(w, " "))
	}
	return func(_ *fs.Call, p *mcp.Proc) error {
		if vcore {
			return p.YieldVCore(n)
		}
		return p.Yield(n)
	}, nil
}

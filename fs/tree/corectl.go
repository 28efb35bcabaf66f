package tree

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs"
	"warren/fs/sys"
	"warren/kern"
)

// A coreVerb is a command of a core and of a set of cores.
type coreVerb struct {
	name, args, doc string
	// parse returns what to do with a set of cores, or what is wrong with the words.
	parse func(words []string) (func(*fs.Call, *coreRoot, cores.Set) error, error)
	// dump gives the words that bring a core's state back, false if it is
	// another verb's; nil for actions.
	dump func(kern.Core) (string, bool)
}

func coreVerbTable() []coreVerb {
	return []coreVerb{
		{
			name: "online", doc: "Let programs run on it.", parse: switches(kern.Online),
			dump: func(c kern.Core) (string, bool) { return "", c.Online },
		},
		{
			name: "offline", args: "[force]", parse: parseOffline,
			doc:  "Let no program run on it; refused while it is in use. With force those who use it get other cores, or fewer, as far as their minimum allows.",
			dump: func(c kern.Core) (string, bool) { return "", !c.Online },
		},
		{
			name: "role", args: "mgmt|app", parse: parseRole,
			doc:  "A mgmt core runs the system and shared work only; an app core may be claimed.",
			dump: func(c kern.Core) (string, bool) { return roleText(c), true },
		},
		{
			name: "quiet", args: "on|off", parse: parseQuiet,
			doc:  "Keep interrupts and the system's own work away from it, as far as the machine can (it says so if it cannot).",
			dump: func(c kern.Core) (string, bool) { return onOff(c.Quiet), true },
		},
		{
			name: "measure", args: "TIME", parse: parseMeasure,
			doc: "Start a program of fixed work on it for so long (such as 1s); noise has the figures then. Refused while somebody has claimed the core.",
		},
	}
}

// coreVerbs are the verbs of cores/N/ctl.
func coreVerbs() []fs.Verb[*core] {
	var out []fs.Verb[*core]
	for _, v := range coreVerbTable() {
		verb := fs.Verb[*core]{Name: v.name, Args: v.args, Doc: v.doc}
		verb.Parse = func(w []string) (func(*fs.Call, *core) error, error) {
			do, err := v.parse(w)
			return func(call *fs.Call, c *core) error { return do(call, c.root, cores.Set{c.id}) }, err
		}
		if v.dump != nil {
			verb.Dump = func(c *core) []string {
				if words, ok := v.dump(c.state()); ok {
					return []string{words}
				}
				return nil
			}
		}
		out = append(out, verb)
	}
	return append(out, simCoreVerbs()...)
}

// setVerbs are the verbs of cores/ctl.
func setVerbs() []fs.Verb[*coreRoot] {
	var out []fs.Verb[*coreRoot]
	for _, v := range coreVerbTable() {
		verb := fs.Verb[*coreRoot]{Name: v.name, Args: withSet(v.args), Doc: v.doc}
		verb.Parse = func(w []string) (func(*fs.Call, *coreRoot) error, error) {
			do, err := v.parse(w[1:])
			if err != nil {
				return nil, err
			}
			return parseCoreSet(w[0], do)
		}
		if v.dump != nil {
			verb.Dump = func(r *coreRoot) []string { return r.dump(v.dump) }
		}
		out = append(out, verb)
	}
	return append(out, simSetVerbs()...)
}

// parseCoreSet reads a set of cores; which there are is found when it is done.
func parseCoreSet(word string, do func(*fs.Call, *coreRoot, cores.Set) error) (func(*fs.Call, *coreRoot) error, error) {
	expression := strings.Contains(word, "=")
	if _, err := cores.ParseSet(word, maxCores); err != nil && !expression && sys.Errno(err) != syscall.ENXIO {
		return nil, err
	}
	return func(c *fs.Call, r *coreRoot) error {
		set, err := r.find(word, expression)
		if err != nil {
			return err
		}
		return do(c, r, set)
	}, nil
}

// find returns the cores that a list, or an expression such as x=0-3,y=2, means.
func (r *coreRoot) find(word string, expression bool) (cores.Set, error) {
	switch {
	case !expression:
		return cores.ParseSet(word, len(r.infos))
	case r.sim == nil:
		return nil, sys.Errorf(syscall.EINVAL, "bad core set %q (want a list such as 0-3,8)", word)
	}
	return r.sim.Select(word)
}

// dump prints a setting of all cores: a line for each value, with the set that has it.
func (r *coreRoot) dump(of func(kern.Core) (string, bool)) []string {
	var (
		words []string
		sets  = make(map[string]cores.Set)
	)
	for id := range r.infos {
		r.m.Look(cores.ID(id))
	}
	for c := range r.m.View().All() {
		word, ok := of(c)
		if !ok {
			continue
		}
		if sets[word] == nil {
			words = append(words, word)
		}
		sets[word] = append(sets[word], c.ID)
	}
	lines := make([]string, len(words))
	for i, word := range words {
		lines[i] = sets[word].String()
		if word != "" {
			lines[i] += " " + word
		}
	}
	return lines
}

// switches is the parse of a switch without words.
func switches(op kern.MoveOp) func([]string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
	return func([]string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
		return doSwitch(op, false), nil
	}
}

func doSwitch(op kern.MoveOp, force bool) func(*fs.Call, *coreRoot, cores.Set) error {
	return func(c *fs.Call, r *coreRoot, set cores.Set) error { return r.change(c.User(), set, op, force) }
}

func parseOffline(w []string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
	return doSwitch(kern.Offline, len(w) > 0), nil
}

func parseRole(w []string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
	if w[0] == "mgmt" {
		return doSwitch(kern.RoleMgmt, false), nil
	}
	return doSwitch(kern.RoleApp, false), nil
}

func parseQuiet(w []string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
	if w[0] == "on" {
		return doSwitch(kern.QuietOn, false), nil
	}
	return doSwitch(kern.QuietOff, false), nil
}

// mostMeasure is the longest that a core may be measured for.
const mostMeasure = time.Minute

func parseMeasure(w []string) (func(*fs.Call, *coreRoot, cores.Set) error, error) {
	took, err := time.ParseDuration(w[0])
	if err != nil || took < time.Millisecond || took > mostMeasure {
		return nil, sys.Errorf(syscall.EINVAL, "want a time from 1ms to 1m such as 1s, not %q", w[0])
	}
	return func(c *fs.Call, r *coreRoot, set cores.Set) error {
		if err := r.mayMeasure(c.User(), set); err != nil {
			return err
		}
		for _, id := range set {
			if err := r.m.Driver().Measure(id, took); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// mayMeasure says why a user may not measure cores now.
func (r *coreRoot) mayMeasure(u *sys.User, set cores.Set) error { return r.mayUse(u, set, false) }

// mayRule says why a user may not do what concerns all of a set of cores as one
// machine, which go on as they are: those that are offline are not asked about.
func (r *coreRoot) mayRule(u *sys.User, set cores.Set) error {
	v := r.m.View()
	online := slices.DeleteFunc(slices.Clone(set), func(id cores.ID) bool { return !v.Core(id).Online })
	if len(online) == 0 {
		return r.change(u, set, kern.Offline, false)
	}
	return r.mayUse(u, online, true)
}

// mayUse says why a user may not use cores now, which must be free unless claimed
// is allowed. Who may switch a core may: that is found by asking for what is so
// already.
func (r *coreRoot) mayUse(u *sys.User, set cores.Set, claimed bool) error {
	v := r.m.View()
	for _, id := range set {
		switch c := v.Core(id); {
		case c.Outside:
			return sys.Errorf(syscall.EPERM, "core %d is not among the cores that this server may touch", id)
		case !c.Online:
			return sys.Errorf(syscall.EBUSY, "core %d is offline", id)
		case c.Owner != kern.Owner{} && !claimed:
			return sys.Errorf(syscall.EBUSY, "core %d is claimed by %s", id, c.Owner)
		}
	}
	return r.change(u, set, kern.Online, false)
}

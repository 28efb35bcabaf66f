package mcp

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched"
)

// The bounds of what a program is given, in bytes and in strings: what Linux
// takes with room to spare.
const (
	maxArgs = 96 << 10
	maxEnv  = 96 << 10
	// maxRoles bounds the roles of cores that have a program of their own.
	maxRoles = 64
)

// Exec returns the program and its arguments; nil: not set.
func (p *Proc) Exec() []string { return slices.Clone(p.config().args) }

// Env returns what was set of the environment, as K=V.
func (p *Proc) Env() []string { return slices.Clone(p.config().env) }

// Dir returns where the program starts.
func (p *Proc) Dir() string { return p.config().dir }

// Request returns what is asked of the scheduler.
func (p *Proc) Request() sched.Request { return p.config().req }

// Pin returns how threads are laid on vcores.
func (p *Proc) Pin() cores.Pin { return p.config().pin }

// Grace returns how long the process has between a warning and the loss of a core.
func (p *Proc) Grace() time.Duration { return p.config().grace }

// Prov returns the process's standing claim; of one that is done, what it was.
func (p *Proc) Prov() cores.Set {
	p.mu.Lock()
	state, last := p.state, p.conf.prov
	p.mu.Unlock()
	if state == Ending || state == Done {
		return last
	}
	return p.set.Sched.Provisioned(p.owner)
}

func (p *Proc) config() config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conf
}

// SetExec sets the program and its arguments.
func (p *Proc) SetExec(args []string) error {
	if args[0] == "" {
		return sys.Errorf(syscall.EINVAL, "exec: the program's name is empty")
	}
	if n := size(args); n > maxArgs {
		return sys.Errorf(syscall.E2BIG, "exec: the arguments have %d bytes, at most %d", n, maxArgs)
	}
	return p.before("exec", func(c *config) bool {
		same := slices.Equal(c.args, args)
		c.args = slices.Clone(args)
		return same
	})
}

// Roles returns what cores of certain roles run, by role.
func (p *Proc) Roles() map[string][]string { return maps.Clone(p.config().roles) }

// SetRole sets what the cores of a role run, in the place of what Exec says.
func (p *Proc) SetRole(role string, args []string) error {
	if role == "" || args[0] == "" {
		return sys.Errorf(syscall.EINVAL, "exec: the role's or the program's name is empty")
	}
	sim, ok := p.set.Driver.(cores.Simulator)
	if !ok {
		return sys.Errorf(syscall.EOPNOTSUPP, "exec: -on: this machine has no simulated cores, whose roles these are")
	}
	if strings.ContainsAny(role, ",=") {
		return sys.Errorf(syscall.EINVAL, "exec: -on: want one role, such as T1, not %q", role)
	}
	if _, err := sim.Select("role=" + role); err != nil {
		return sys.Errorf(sys.Errno(err), "exec: -on: %v", err)
	}
	for known := range p.config().roles {
		if strings.EqualFold(known, role) {
			role = known // however it is written
		}
	}
	if n := size(args); n > maxArgs {
		return sys.Errorf(syscall.E2BIG, "exec: the arguments have %d bytes, at most %d", n, maxArgs)
	}
	if roles := p.config().roles; len(roles) >= maxRoles && roles[role] == nil {
		return sys.Errorf(syscall.E2BIG, "exec: programs for %d roles are the most", maxRoles)
	}
	return p.before("exec", func(c *config) bool {
		same := slices.Equal(c.roles[role], args)
		c.roles = maps.Clone(c.roles)
		if c.roles == nil {
			c.roles = make(map[string][]string)
		}
		c.roles[role] = slices.Clone(args)
		return same
	})
}

// SetEnv sets one variable of the program's environment, given as K=V.
func (p *Proc) SetEnv(kv string) error {
	key, _, ok := strings.Cut(kv, "=")
	if !ok || key == "" {
		return sys.Errorf(syscall.EINVAL, "env: want K=V, not %q (an empty value: K=)", kv)
	}
	env, same := withEnv(p.config().env, key, kv)
	if n := size(env); n > maxEnv {
		return sys.Errorf(syscall.E2BIG, "env: the variables have %d bytes, at most %d", n, maxEnv)
	}
	return p.before("env", func(c *config) bool {
		c.env, same = withEnv(c.env, key, kv)
		return same
	})
}

// withEnv returns the variables with this one set, and whether it was so.
func withEnv(env []string, key, kv string) (next []string, same bool) {
	i := slices.IndexFunc(env, func(old string) bool { return strings.HasPrefix(old, key+"=") })
	if i < 0 {
		return append(slices.Clip(env), kv), false
	}
	if env[i] == kv {
		return env, true
	}
	next = slices.Clone(env)
	next[i] = kv
	return next, false
}

// SetDir sets where the program starts. Whether the directory exists is found
// at the start, by the program's own user.
func (p *Proc) SetDir(dir string) error {
	if !strings.HasPrefix(dir, "/") {
		return sys.Errorf(syscall.EINVAL, "dir: want an absolute path, not %q", dir)
	}
	if len(dir) >= syscall.PathMax {
		return sys.Errorf(syscall.ENAMETOOLONG, "dir: the path has %d bytes, at most %d", len(dir), syscall.PathMax-1)
	}
	return p.before("dir", func(c *config) bool {
		same := c.dir == dir
		c.dir = dir
		return same
	})
}

// SetPin sets how threads are laid on vcores.
func (p *Proc) SetPin(pin cores.Pin) error {
	return p.before("pin", func(c *config) bool {
		same := c.pin == pin
		c.pin = pin
		return same
	})
}

// SetGrace sets how long the process has between a warning and the loss of a core.
func (p *Proc) SetGrace(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf.grace = d
}

// before changes a setting that takes effect only at the start. edit reports
// whether it left everything as it was.
func (p *Proc) before(verb string, edit func(*config) (same bool)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.conf
	if edit(&next) {
		return nil
	}
	if p.state != New {
		return sys.Errorf(syscall.EBUSY, "%s: takes effect only before the start, and %s is %s", verb, p.meta.Name, p.state)
	}
	p.conf = next
	return nil
}

// size is what the strings take in a program's memory.
func size(list []string) (n int) {
	for _, s := range list {
		n += len(s) + 9 // its NUL and its pointer
	}
	return n
}

// Cores returns how many cores the machine has.
func (p *Proc) Cores() int { return len(p.set.Driver.Cores()) }

// SetCores sets the least and the most cores. A running process grows or shrinks.
func (p *Proc) SetCores(least, most int) error {
	if n := p.Cores(); least > n {
		return sys.Errorf(syscall.ENOSPC, "cores: want %d, this machine has %d", least, n)
	}
	return p.change(func(r *sched.Request) { r.Min, r.Max = least, most })
}

// SetOn says which cores the process may have; nil: any.
func (p *Proc) SetOn(set cores.Set) error {
	return p.change(func(r *sched.Request) { r.On = set })
}

// Select returns the simulated cores that an expression means, such as
// x=0-3,y=2 or role=T1.
func (p *Proc) Select(expr string) (cores.Set, error) {
	sim, ok := p.set.Driver.(cores.Simulator)
	if !ok {
		return nil, sys.Errorf(syscall.EINVAL, "bad core set %q (want a list such as 0-3,8)", expr)
	}
	return sim.Select(expr)
}

// SetNear asks for cores near this one; -1: anywhere. ENXIO if there is none.
func (p *Proc) SetNear(id cores.ID) error {
	if n := p.Cores(); int(id) >= n {
		return sys.Errorf(syscall.ENXIO, "near: no core %d, this machine has %d", id, n)
	}
	return p.change(func(r *sched.Request) { r.Near = id })
}

// SetNode asks for cores of this NUMA node; -1: any. ENXIO if there is none.
func (p *Proc) SetNode(node int) error {
	if node >= 0 && !slices.ContainsFunc(p.set.Driver.Cores(), func(i cores.Info) bool { return i.Node == node }) {
		return sys.Errorf(syscall.ENXIO, "node: this machine has no node %d (see cores/topology)", node)
	}
	return p.change(func(r *sched.Request) { r.Node = node })
}

// SetKind asks for cores of this kind; "": any. ENXIO if there is none.
func (p *Proc) SetKind(kind string) error {
	if kind != "" && !slices.ContainsFunc(p.set.Driver.Cores(), func(i cores.Info) bool { return i.Kind == kind }) {
		return sys.Errorf(syscall.ENXIO, "kind: this machine has no cores of kind %q (see cores/topology)", kind)
	}
	return p.change(func(r *sched.Request) { r.Kind = kind })
}

// SetClass sets what is asked of the cores.
func (p *Proc) SetClass(c sched.Class) error {
	return p.change(func(r *sched.Request) { r.Class = c })
}

// SetGang says whether the process runs with all its vcores or none.
func (p *Proc) SetGang(on bool) error {
	return p.change(func(r *sched.Request) { r.Gang = on })
}

// change asks for something else of the scheduler: at the start if that is
// still to come, else at once.
func (p *Proc) change(edit func(*sched.Request)) error {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	old, state := p.conf.req, p.state
	next := old
	edit(&next)
	switch {
	case equal(old, next):
		p.mu.Unlock()
		return nil
	case state == New:
		p.conf.req = next
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	if state == Ending || state == Done {
		return p.isOver()
	}
	return p.resize(old, next)
}

func equal(a, b sched.Request) bool {
	on := slices.Equal(a.On, b.On)
	a.On, b.On = nil, nil
	return on && a.Min == b.Min && a.Max == b.Max && a.Near == b.Near && a.Node == b.Node &&
		a.Kind == b.Kind && a.Class == b.Class && a.Gang == b.Gang
}

// resize changes the request of a process that the scheduler knows. p.op is held.
func (p *Proc) resize(old, next sched.Request) error {
	g, changed, err := p.set.Sched.Resize(p, next)
	if err != nil {
		return err
	}
	p.setRequest(next)
	if !changed {
		return nil
	}
	if err = p.apply(g); err == nil {
		return nil
	}
	// The program is where it was; so must be what the scheduler thinks.
	p.setRequest(old)
	if g, changed, again := p.set.Sched.Resize(p, old); again == nil && changed {
		if again = p.apply(g); again != nil {
			p.set.Log.Warn("process is not on its cores", "proc", p.meta.Name, "err", again)
		}
	}
	return err
}

func (p *Proc) setRequest(r sched.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf.req = r
}

// SetProv replaces the process's standing claim on cores, on behalf of u; nil: none.
func (p *Proc) SetProv(u *sys.User, set cores.Set) error {
	p.standing.Lock()
	defer p.standing.Unlock()
	if slices.Equal(p.Prov(), set) {
		return nil
	}
	p.mu.Lock()
	state, removed := p.state, p.removed
	p.mu.Unlock()
	switch {
	case removed:
		return sys.ErrGone
	case state == Ending || state == Done:
		return p.isOver()
	}
	if err := p.set.Sched.Provision(u, p.owner, set); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf.prov = set
	return nil
}

// giveUp ends the standing claim of a process that can make none any more.
func (p *Proc) giveUp() {
	p.standing.Lock()
	defer p.standing.Unlock()
	prov := p.set.Sched.Provisioned(p.owner)
	if len(prov) == 0 {
		return
	}
	if err := p.set.Sched.Provision(rootUser, p.owner, nil); err != nil {
		p.set.Log.Warn("provision not given up", "proc", p.meta.Name, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf.prov = prov
}

// rootUser is who gives up what a process had.
var rootUser = &sys.User{Name: "root"}

// isOver refuses what needs a process that has not ended.
func (p *Proc) isOver() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Done {
		return sys.Errorf(syscall.EBUSY, "%s is done (%s): make another process", p.meta.Name, p.exit)
	}
	return sys.Errorf(syscall.EBUSY, "%s is %s", p.meta.Name, p.state)
}

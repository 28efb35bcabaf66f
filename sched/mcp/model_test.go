package mcp_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched"
	"warren/sched/mcp"
)

// TestAnyOrder does anything to a few processes in any order: no error is an
// accident, nobody has cores who does not run, and each process that was
// started ends exactly once, with a record.
func TestAnyOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := fakeRigIn(t, 5, dir)
		defer r.end()
		first := r.proc("a", "x")
		procs := map[string]*mcp.Proc{"a": first}
		pick := func(rt *rapid.T) *mcp.Proc {
			return rapid.SampledFrom(sorted(procs)).Draw(rt, "proc")
		}
		check := func(what string, err error) {
			if sys.Errno(err) == syscall.EIO {
				rt.Fatalf("%s: %v", what, err)
			}
		}
		some := func(name string, do func(rt *rapid.T, p *mcp.Proc) error) func(*rapid.T) {
			return func(rt *rapid.T) { check(name, do(rt, pick(rt))) }
		}
		rt.Repeat(map[string]func(*rapid.T){
			"make": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "name")
				p, err := r.Make(me, name)
				check("make", err)
				if err == nil {
					procs[name] = p
					check("exec", p.SetExec([]string{"x"}))
				}
			},
			"remove": func(rt *rapid.T) {
				p := pick(rt)
				if len(procs) == 1 {
					return
				}
				err := p.Remove()
				check("remove", err)
				if err == nil {
					delete(procs, p.Meta().Name)
				}
			},
			"cores": some("cores", func(rt *rapid.T, p *mcp.Proc) error {
				least := rapid.IntRange(1, 4).Draw(rt, "min")
				return p.SetCores(least, least+rapid.IntRange(0, 3).Draw(rt, "more"))
			}),
			"class": some("class", func(rt *rapid.T, p *mcp.Proc) error {
				return p.SetClass(sched.Class(rapid.IntRange(0, 1).Draw(rt, "class")))
			}),
			"gang": some("gang", func(rt *rapid.T, p *mcp.Proc) error { return p.SetGang(rapid.Bool().Draw(rt, "gang")) }),
			"prov": some("prov", func(rt *rapid.T, p *mcp.Proc) error {
				n := rapid.IntRange(0, 2).Draw(rt, "cores")
				return p.SetProv(root, cores.NewSet([]cores.ID{1, 2}[:n]...))
			}),
			"start": some("start", func(rt *rapid.T, p *mcp.Proc) error { return p.Start(rapid.Bool().Draw(rt, "now")) }),
			"stop":  some("stop", func(_ *rapid.T, p *mcp.Proc) error { return p.Stop() }),
			"cont":  some("cont", func(_ *rapid.T, p *mcp.Proc) error { return p.Cont() }),
			"kill": some("kill", func(rt *rapid.T, p *mcp.Proc) error {
				return p.Kill(int(rapid.SampledFrom([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR1}).Draw(rt, "signal")))
			}),
			"yield": some("yield", func(rt *rapid.T, p *mcp.Proc) error { return p.Yield(rapid.IntRange(1, 3).Draw(rt, "n")) }),
			"vcore": some("vcore", func(rt *rapid.T, p *mcp.Proc) error { return p.YieldVCore(rapid.IntRange(0, 3).Draw(rt, "v")) }),
			"end": func(rt *rapid.T) {
				p := pick(rt)
				if !p.Status().Started.IsZero() {
					r.job(p).End(cores.Exit{Code: 1})
				}
			},
			"": func(rt *rapid.T) { consistent(rt, r, procs) },
		})
		endAll(rt, r, procs)
	})
}

func sorted(procs map[string]*mcp.Proc) (list []*mcp.Proc) {
	for _, name := range []string{"a", "b", "c", "d"} {
		if p := procs[name]; p != nil {
			list = append(list, p)
		}
	}
	return list
}

// consistent checks what holds at every moment.
func consistent(rt *rapid.T, r *rig, procs map[string]*mcp.Proc) {
	for _, p := range sorted(procs) {
		s := p.Status()
		name := p.Meta().Name
		switch s.State {
		case mcp.New, mcp.Waiting:
			if s.PID != 0 || len(s.Cores) > 0 || s.Exit != "" {
				rt.Fatalf("%s is %s and has %+v", name, s.State, s)
			}
		case mcp.Running, mcp.Stopped:
			if s.PID == 0 || len(s.Cores) == 0 || s.Tier == "" || s.Exit != "" {
				rt.Fatalf("%s is %s and has %+v", name, s.State, s)
			}
		case mcp.Done:
			if s.PID != 0 || len(s.Cores) > 0 || s.Exit == "" {
				rt.Fatalf("%s is done and has %+v", name, s)
			}
		}
		if s.Request.Max < s.Request.Min {
			rt.Fatalf("%s asks for %d..%d", name, s.Request.Min, s.Request.Max)
		}
	}
	if r.Len() != len(procs) {
		rt.Fatalf("%d processes, want %d", r.Len(), len(procs))
	}
}

// endAll ends all that was started; each must tell of its end once.
func endAll(rt *rapid.T, r *rig, procs map[string]*mcp.Proc) {
	var all sync.WaitGroup
	for _, p := range sorted(procs) {
		if p.State() == mcp.New {
			continue
		}
		w := p.OpenWait()
		first := take(w)
		second := newCall()
		all.Go(func() {
			<-first.done
			w.Take(second)
			<-second.done
		})
		_ = p.Kill(9) // it may have ended
		all.Wait()
		if want := fmt.Sprintf("%s ", p.Meta().Name); len(first.data) < len(want) || first.data[:len(want)] != want || second.data != "" {
			rt.Fatalf("%s: wait gave %q, then %q", p.Meta().Name, first.data, second.data)
		}
	}
	if held := r.sched.Alloc(); len(held) > 0 {
		rt.Fatalf("when all have ended, claimed: %v", held)
	}
}

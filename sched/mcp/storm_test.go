package mcp_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"warren/cores"
	"warren/fs/sys"
	"warren/sched"
	"warren/sched/mcp"
)

// TestStorm: many users do anything to the same processes at once, which the
// scheduler moves about meanwhile. Nobody waits for ever, no error is an
// accident, and in the end all is as if nothing had been.
func TestStorm(t *testing.T) {
	r := fakeRig(t, 6)
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(user)))
			for range 400 {
				if err := r.anything(rnd); sys.Errno(err) == syscall.EIO {
					t.Errorf("an accident: %v", err)
				}
			}
		})
	}
	users.Wait()
	r.List(0, func(p *mcp.Proc) bool {
		if p.State() != mcp.New {
			_ = p.Kill(9) // it may have ended
			r.wait(p)
		}
		r.ok(p.Remove())
		return true
	})
	if alloc, prov, queue := r.sched.Alloc(), r.sched.Prov(), r.sched.Queue(); len(alloc)+len(prov)+len(queue) > 0 {
		t.Errorf("left: claimed %v, provisioned %v, waiting %v", alloc, prov, queue)
	}
}

// anything does one thing to one process, which it makes if there is none.
func (r *rig) anything(rnd *rand.Rand) error {
	name := fmt.Sprintf("p%d", rnd.IntN(6))
	p, ok := r.Get(name)
	if !ok {
		var err error
		if p, err = r.Make(me, name); err != nil {
			return err
		}
		if err = p.SetExec([]string{"x"}); err != nil {
			return err
		}
	}
	switch rnd.IntN(12) {
	case 0, 1:
		return p.Start(rnd.IntN(2) == 0)
	case 2:
		least := 1 + rnd.IntN(3)
		return p.SetCores(least, least+rnd.IntN(3))
	case 3:
		return p.SetClass(sched.Class(rnd.IntN(2)))
	case 4:
		return p.Yield(1)
	case 5:
		return p.YieldVCore(rnd.IntN(3))
	case 6:
		return p.Kill([]int{9, 15, 19, 18}[rnd.IntN(4)])
	case 7:
		return p.Remove()
	case 8:
		return p.SetProv(root, cores.NewSet(cores.ID(rnd.IntN(6))))
	case 9:
		return p.SetProv(root, nil)
	case 10:
		p.Status()
		p.VCores()
		return p.SetGang(rnd.IntN(2) == 0)
	}
	if j := r.fake.Job(name); j != nil {
		j.End(cores.Exit{})
	}
	return nil
}

package bench9

import (
	"context"
	"time"

	"warren/fs/ninep"
)

// Allocs is how many objects a server allocates for a call, by its name.
type Allocs struct {
	Read, Write, Getattr, Clunk float64
	Walk, Open                  float64 // each with the clunk of what it made
}

// MeasureAllocs makes each call many times, and asks the server what it
// allocated meanwhile.
func MeasureAllocs(ctx context.Context, s *Server, writes bool, times int) (a Allocs, err error) {
	count := func(w Work) (per float64) {
		if err == nil {
			per, err = s.allocs(ctx, w, times)
		}
		return per
	}
	a.Read = count(Work{Name: "read", setup: openSetup, loop: func(c chain) []ninep.Msg {
		return []ninep.Msg{c.read(SmallSize)}
	}})
	a.Getattr = count(Work{Name: "getattr", setup: walkSetup, loop: func(c chain) []ninep.Msg {
		return []ninep.Msg{c.getattr()}
	}})
	a.Clunk = count(Work{Name: "clunk", loop: func(c chain) []ninep.Msg {
		c.path = nil // another name of the root, for which nothing is made
		return []ninep.Msg{c.walk(), c.clunk()}
	}})
	a.Walk = count(Work{Name: "walk", loop: func(c chain) []ninep.Msg {
		return []ninep.Msg{c.walk(), c.clunk()}
	}})
	a.Open = count(Work{Name: "open", loop: func(c chain) []ninep.Msg {
		return []ninep.Msg{c.walk(), c.open(ninep.ModeRead), c.clunk()}
	}}) - a.Walk
	if writes {
		a.Write = count(Work{Name: "write", File: Sink, setup: sinkSetup, loop: func(c chain) []ninep.Msg {
			return []ninep.Msg{{Type: ninep.Twrite, Fid: c.fid, Data: make([]byte, SmallSize)}}
		}})
	}
	return a, err
}

func walkSetup(c chain) []ninep.Msg { return []ninep.Msg{c.walk()} }
func sinkSetup(c chain) []ninep.Msg { return []ninep.Msg{c.walk(), c.open(ninep.ModeWrite)} }

// allocs returns how many objects the server allocates for a round of w.
func (s *Server) allocs(ctx context.Context, w Work, times int) (float64, error) {
	c, err := dial(ctx, s.Target, 2*msize)
	if err != nil {
		return 0, err
	}
	defer c.close()
	defer c.until(ctx)()
	if err := c.prepare(s.Target, w, 1); err != nil {
		return 0, err
	}
	before, err := s.Memory()
	if err != nil {
		return 0, err
	}
	if _, err := c.run(func(_ time.Duration, rounds int) bool { return rounds >= times }); err != nil {
		return 0, err
	}
	after, err := s.Memory()
	if err != nil {
		return 0, err
	}
	return (after.Mallocs - before.Mallocs) / float64(c.rounds), nil
}

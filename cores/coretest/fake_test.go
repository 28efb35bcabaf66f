package coretest_test

import (
	"errors"
	"strconv"
	"syscall"
	"testing"

	"warren/cores"
	"warren/cores/coretest"
	"warren/fs/sys"
)

// scripted is a fake whose programs end by themselves.
type scripted struct{ *coretest.FakeDriver }

func (d scripted) Launch(p cores.Program, slots []cores.Slot) (cores.Job, error) {
	j, err := d.FakeDriver.Launch(p, slots)
	if err != nil {
		return nil, err
	}
	if p.Args[0] == "run" {
		return j, nil
	}
	n, err := strconv.Atoi(p.Args[1])
	if err != nil {
		return nil, err
	}
	e := cores.Exit{Code: n}
	if p.Args[0] == "die" {
		e = cores.Exit{Signal: n}
	}
	j.(*coretest.FakeJob).End(e)
	return j, nil
}

func TestFakeIsADriver(t *testing.T) {
	open := func(*testing.T) cores.Driver { return scripted{coretest.Fake(8)} }
	coretest.Run(t, open, coretest.Programs{
		Exit:   func(code int) []string { return []string{"exit", strconv.Itoa(code)} },
		Die:    func(sig int) []string { return []string{"die", strconv.Itoa(sig)} },
		Run:    []string{"run"},
		Switch: true,
	})
}

func TestFakeDoesWhatItIsTold(t *testing.T) {
	d := coretest.Fake(4)
	refusal := sys.Errorf(syscall.EAGAIN, "not today")
	d.FailLaunch(func(p cores.Program, _ []cores.Slot) error {
		if p.Name == "bad" {
			return refusal
		}
		return nil
	})
	d.FailPlace(func(_ *coretest.FakeJob, slots []cores.Slot) error {
		if len(slots) > 2 {
			return refusal
		}
		return nil
	})
	d.FailDo(func(id cores.ID, _ cores.Op) error {
		if id == 3 {
			return refusal
		}
		return nil
	})
	if _, err := d.Launch(cores.Program{Name: "bad", Args: []string{"x"}}, slots(0)); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("launch: %v", err)
	}
	j, err := d.Launch(cores.Program{Name: "good", Args: []string{"x"}}, slots(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Place(slots(0, 1, 2)); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("place: %v", err)
	}
	if err := j.Place(slots(1)); err != nil {
		t.Errorf("place: %v", err)
	}
	f := d.Job("good")
	if f != j || len(f.Placed()) != 2 || f.Slots()[0].Core != 1 {
		t.Errorf("placed %v", f.Placed())
	}
	if err := d.Do(3, cores.Offline); !errors.Is(err, syscall.EAGAIN) || !d.Online(3) {
		t.Errorf("do: %v", err)
	}
	if err := d.Do(2, cores.QuietOn); err != nil || !d.Quiet(2) {
		t.Errorf("quiet: %v", err)
	}
	f.End(cores.Exit{Code: 4})
	f.End(cores.Exit{Code: 5})
	if j.Exit().Code != 4 || len(d.Jobs()) != 1 {
		t.Errorf("exit %+v of %d jobs", j.Exit(), len(d.Jobs()))
	}
}

func slots(ids ...cores.ID) []cores.Slot {
	var out []cores.Slot
	for i, id := range ids {
		out = append(out, cores.Slot{VCore: i, Core: id})
	}
	return out
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"warren/cores"
	"warren/cores/host"
	"warren/cores/mix"
	"warren/cores/riscv"
	"warren/cores/riscv/sim"
	"warren/cores/riscv/spec"
)

// A machineSpec is what a machine is made of, in the order of core numbers: -machine.
type machineSpec []partSpec

// A partSpec is this machine's own cores, or a simulated machine.
type partSpec struct {
	slots   int           // of the host; 0: its own cores
	sim     *spec.Machine // nil: the host
	workers int
	quantum uint64
	cold    bool // never compile programs
}

// maxSlots bounds a development machine.
const maxSlots = 1 << 17

// machineForms is what a machine can be called.
const machineForms = "want host, host,cores=N, blackhole, wormhole, occamy, mesh=WxH, a file such as ./my.machine, or host and one of these, as host+mesh=4x4"

// parseSpec reads the parts of a machine, with + between them; each may have
// options after commas.
func parseSpec(text string) (machineSpec, error) {
	var m machineSpec
	var hosts, sims []string
	for part := range strings.SplitSeq(text, "+") {
		p, err := parsePart(part)
		if err != nil {
			return nil, fmt.Errorf("machine %q: %w", text, err)
		}
		if p.sim == nil {
			hosts = append(hosts, part)
		} else {
			sims = append(sims, part)
		}
		m = append(m, p)
	}
	switch {
	case len(hosts) > 1 || len(hosts) == 1 && m[0].sim != nil:
		return nil, fmt.Errorf("machine %q: host comes once, and first (want host+%s)", text, cmp.Or(strings.Join(sims, "+"), "mesh=4x4"))
	case len(sims) > 1:
		return nil, fmt.Errorf("machine %q: one part can be simulated, not both %s and %s", text, sims[0], sims[1])
	}
	return m, nil
}

func parsePart(text string) (p partSpec, err error) {
	name, rest, _ := strings.Cut(text, ",")
	switch {
	case name == "host":
	case strings.Contains(name, "/"):
		if p.sim, err = readMachine(name); err != nil {
			return p, err
		}
	case name == "":
		return p, fmt.Errorf("%s", machineForms)
	default:
		if p.sim, err = spec.Shipped(name); err != nil {
			return p, fmt.Errorf("%w; %s", err, machineForms)
		}
	}
	for option := range strings.SplitSeq(rest, ",") {
		if option == "" {
			continue
		}
		if err := p.set(option); err != nil {
			return p, err
		}
	}
	return p, nil
}

// readMachine reads a user's own description, which might be a file without end.
func readMachine(name string) (*spec.Machine, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, spec.MaxText+1))
	if err != nil {
		return nil, err
	}
	return spec.Parse(name, b)
}

// set reads an option of a part.
func (p *partSpec) set(option string) error {
	name, value, _ := strings.Cut(option, "=")
	number := func(most int) (int, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("%s: want 1 to %d", option, most)
		}
		return n, nil
	}
	var err error
	switch {
	case name == "cores" && p.sim == nil:
		p.slots, err = number(maxSlots)
	case name == "workers" && p.sim != nil:
		p.workers, err = number(1024)
	case name == "quantum" && p.sim != nil:
		var n int
		n, err = number(sim.MaxQuantum)
		p.quantum = uint64(n)
	case option == "interpret" && p.sim != nil:
		p.cold = true
	case option == "strict" && p.sim != nil:
		p.sim = p.sim.Strict()
	case p.sim == nil:
		err = fmt.Errorf("unknown option %q (cores?)", name)
	default:
		err = fmt.Errorf("unknown option %q (workers, quantum, interpret or strict?)", name)
	}
	return err
}

// host returns the part that is this machine.
func (m machineSpec) host() (partSpec, bool) {
	if m[0].sim != nil {
		return partSpec{}, false
	}
	return m[0], true
}

// open brings the machine up. tell is told of what happens on simulated ones.
func (m machineSpec) open(log *slog.Logger, tell func(kind, text string)) (cores.Driver, error) {
	var list []cores.Driver
	for _, p := range m {
		first := 0
		for _, d := range list {
			first += len(d.Cores())
		}
		d, err := p.open(first, log, tell)
		if err != nil {
			for _, d := range list {
				d.Close()
			}
			return nil, err
		}
		list = append(list, d)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return mix.New(list...)
}

func (p partSpec) open(first int, log *slog.Logger, tell func(kind, text string)) (cores.Driver, error) {
	if p.sim == nil {
		return host.Open(host.Options{Slots: p.slots, Log: log})
	}
	return riscv.Open(riscv.Options{Machine: p.sim, Quantum: p.quantum, Workers: p.workers, First: first, NoHot: p.cold, Tell: tell, Log: log})
}

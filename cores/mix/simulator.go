package mix

import (
	"slices"

	"warren/cores"
	"warren/fs/sys"
)

// simulator is a mix one of whose machines is simulated: a cores.Simulator. Texts
// that name cores have the numbers of the whole by themselves.
type simulator struct {
	*Driver
	sim   cores.Simulator
	first cores.ID
}

var _ cores.Simulator = (*simulator)(nil)

func (s *simulator) own(id cores.ID) cores.ID { return id - s.first }

func (s *simulator) ownSet(set cores.Set) cores.Set {
	own := slices.Clone(set)
	for i := range own {
		own[i] -= s.first
	}
	return own
}

func (s *simulator) Simulated(id cores.ID) bool { return id >= s.first && s.sim.Simulated(s.own(id)) }

func (s *simulator) Select(expr string) (cores.Set, error) {
	set, err := s.sim.Select(expr)
	for i := range set {
		set[i] += s.first
	}
	return set, err
}

func (s *simulator) AppendHart(b []byte, id cores.ID) []byte { return s.sim.AppendHart(b, s.own(id)) }

func (s *simulator) AppendFault(b []byte, id cores.ID) []byte { return s.sim.AppendFault(b, s.own(id)) }

func (s *simulator) AppendMap(b []byte, id cores.ID) []byte { return s.sim.AppendMap(b, s.own(id)) }

func (s *simulator) AppendRing(b []byte, id cores.ID) []byte { return s.sim.AppendRing(b, s.own(id)) }
func (s *simulator) AppendBlocked(b []byte) []byte           { return s.sim.AppendBlocked(b) }
func (s *simulator) AppendTime(b []byte) []byte              { return s.sim.AppendTime(b) }

func (s *simulator) Register(id cores.ID, reg int) (uint64, error) {
	return s.sim.Register(s.own(id), reg)
}

func (s *simulator) SetRegister(id cores.ID, reg int, value uint64) error {
	return s.sim.SetRegister(s.own(id), reg, value)
}

func (s *simulator) ReadMemory(id cores.ID, p []byte, addr uint32) (int, error) {
	return s.sim.ReadMemory(s.own(id), p, addr)
}

func (s *simulator) WriteMemory(id cores.ID, p []byte, addr uint32) error {
	return s.sim.WriteMemory(s.own(id), p, addr)
}

func (s *simulator) LoadProgram(u *sys.User, on cores.Set, args []string) error {
	return s.sim.LoadProgram(u, s.ownSet(on), args)
}

func (s *simulator) RunLoaded(on cores.Set) error           { return s.sim.RunLoaded(s.ownSet(on)) }
func (s *simulator) Halt(on cores.Set) error                { return s.sim.Halt(s.ownSet(on)) }
func (s *simulator) Step(on cores.Set, n uint64) error      { return s.sim.Step(s.ownSet(on), n) }
func (s *simulator) Break(on cores.Set, where string) error { return s.sim.Break(s.ownSet(on), where) }
func (s *simulator) Breaks(id cores.ID) []string            { return s.sim.Breaks(s.own(id)) }
func (s *simulator) Reset(on cores.Set) error               { return s.sim.Reset(s.ownSet(on)) }

func (s *simulator) Cons(id cores.ID) cores.Port           { return s.sim.Cons(s.own(id)) }
func (s *simulator) Console() cores.Port                   { return s.sim.Console() }
func (s *simulator) Ended(id cores.ID) cores.Port          { return s.sim.Ended(s.own(id)) }
func (s *simulator) Debug(id cores.ID) (cores.Port, error) { return s.sim.Debug(s.own(id)) }

func (s *simulator) Chan(id cores.ID, channel int, write bool) cores.Port {
	return s.sim.Chan(s.own(id), channel, write)
}

func (s *simulator) Quantum() uint64                          { return s.sim.Quantum() }
func (s *simulator) SetQuantum(q uint64) error                { return s.sim.SetQuantum(q) }
func (s *simulator) Snapshot(u *sys.User, file string) error  { return s.sim.Snapshot(u, file) }
func (s *simulator) Restore(u *sys.User, file string) error   { return s.sim.Restore(u, file) }
func (s *simulator) Record(u *sys.User, file string) error    { return s.sim.Record(u, file) }
func (s *simulator) EndRecord(u *sys.User, file string) error { return s.sim.EndRecord(u, file) }
func (s *simulator) DropRecord()                              { s.sim.DropRecord() }
func (s *simulator) Recording() string                        { return s.sim.Recording() }
func (s *simulator) Replay(u *sys.User, file string) error    { return s.sim.Replay(u, file) }

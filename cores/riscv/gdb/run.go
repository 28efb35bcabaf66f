package gdb

import (
	"fmt"
	"strings"
)

// Signals as gdb numbers them.
const (
	sigInt  = 2
	sigIll  = 4
	sigTrap = 5
	sigBus  = 10
	sigSegv = 11
	sigSys  = 12
)

// faultSignals are the signals of the exceptions of the privileged
// architecture, by mcause.
var faultSignals = []int{
	0:  sigBus,  // misaligned fetch
	1:  sigSegv, // fetch
	2:  sigIll,
	3:  sigTrap, // breakpoint
	4:  sigBus,  // misaligned load
	5:  sigSegv, // load
	6:  sigBus,  // misaligned store
	7:  sigSegv, // store
	8:  sigSys,  // ecall, of all modes
	9:  sigSys,
	10: sigSys,
	11: sigSys,
}

func (st Stop) signal() int {
	switch st.Why {
	case Interrupted, NoneLeft:
		return sigInt
	case Fault:
		if int64(st.Cause) < int64(len(faultSignals)) {
			return faultSignals[st.Cause]
		}
		return sigSegv // a page fault, or one of the machine's own
	}
	return sigTrap
}

// reply returns the stop as a packet, for a gdb that knows of these.
func (st Stop) reply(k knows) string {
	switch st.Why {
	case NoneLeft:
		if k.noResumed {
			return "N"
		}
	case Exited:
		return fmt.Sprintf("W%02x", byte(st.Status))
	case Killed:
		return fmt.Sprintf("X%02x", byte(st.Status))
	}
	reply := fmt.Sprintf("T%02xthread:%s;", st.signal(), threadID(st.Thread))
	switch {
	case st.Why == Watched:
		name := map[Watch]string{WatchWrite: "watch", WatchRead: "rwatch", WatchAccess: "awatch"}[st.Kind]
		reply += fmt.Sprintf("%s:%x;", name, st.Addr)
	case st.Why == Break && k.hwbreak:
		reply += "hwbreak:;"
	}
	return reply
}

func (s *Session) whyStopped(string) string { return s.out.stopReply() }

// vCont does "action[:thread];…". Of signals only those of faults are for our threads.
func (s *Session) vCont(args string) string {
	var actions []Action
	for text := range strings.SplitSeq(args, ";") {
		a, err := parseAction(text)
		if err != nil {
			return failure(err)
		}
		if a.ID == anyThread {
			a.ID = s.out.lastStop().Thread
		}
		actions = append(actions, a)
	}
	return s.resume(actions...)
}

func parseAction(text string) (Action, error) {
	a := Action{ID: All}
	what, thread, one := strings.Cut(text, ":")
	if one {
		var err error
		if a.ID, err = parseThread(thread); err != nil {
			return a, err
		}
	}
	if what == "" {
		return a, errSyntax
	}
	verb, rest := what[0], what[1:]
	switch verb {
	case 'c', 's':
		if rest != "" {
			return a, errSyntax
		}
	case 'C', 'S':
		sig, err := number(rest)
		if err != nil {
			return a, err
		}
		a.Signal = sig != 0
	case 'r':
		start, end, err := span(rest)
		if err != nil || end >= 1<<32 {
			return a, errSyntax
		}
		a.Start, a.End = uint32(start), uint32(end)
	default:
		return a, errSyntax
	}
	a.Step = verb != 'c' && verb != 'C'
	return a, nil
}

// goOn does "c [addr]", step "s [addr]"; with C and S comes a signal before.
func (s *Session) goOn(args string) string { return s.old(args, Action{}) }
func (s *Session) step(args string) string { return s.old(args, Action{Step: true}) }

func (s *Session) goOnSignal(args string) string { return s.oldSignal(args, false) }
func (s *Session) stepSignal(args string) string { return s.oldSignal(args, true) }

func (s *Session) oldSignal(args string, step bool) string {
	text, addr, _ := strings.Cut(args, ";")
	sig, err := number(text)
	if err != nil {
		return failure(err)
	}
	return s.old(addr, Action{Step: step, Signal: sig != 0})
}

// old does what vCont replaced: the threads of the last Hc go on, and if one is
// to step and no thread was named, it is the one that stopped last.
func (s *Session) old(addr string, a Action) string {
	stopped := s.out.lastStop().Thread
	one := s.control
	if one < 0 {
		one = stopped
	}
	if addr != "" {
		pc, err := number(addr)
		if err == nil && pc >= 1<<32 {
			err = errRange
		}
		if err == nil {
			err = s.target.SetReg(one, PC, pc)
		}
		if err != nil {
			return failure(err)
		}
	}
	a.ID = one
	actions := []Action{a}
	if s.control < 0 {
		actions = append(actions, Action{ID: All})
	}
	return s.resume(actions...)
}

// resume lets threads go; the stop is the reply.
func (s *Session) resume(actions ...Action) string {
	s.listing = nil
	s.general = anyThread
	s.out.begin(false)
	if err := s.target.Resume(actions); err != nil {
		s.out.cancel()
		return failure(err)
	}
	if s.out.interrupted() {
		s.target.Interrupt()
	}
	return later
}

package sched

import (
	"warren/cores"
	"warren/kern"
)

// Holder is what the scheduler answers a kernel that is being rebuilt.
func (s *Scheduler) Holder(id cores.ID) (owner, prov kern.Owner) { return s.holders.of(id) }

package kern

import (
	"time"

	"warren/cores"
)

// An Owner is a process that has a core or a standing claim on it. The serial
// tells it from an earlier process of the same name. The zero Owner is nobody.
type Owner struct {
	Proc   string
	Serial uint64
}

// String returns the process's name, "-" for nobody.
func (o Owner) String() string {
	if o == (Owner{}) {
		return "-"
	}
	return o.Proc
}

// A Core is what a kernel last agreed to about its core.
type Core struct {
	ID        cores.ID
	Online    bool      // programs may be placed on it; never true of a core outside Options.Only
	Mgmt      bool      // runs the system and shared work only
	Quiet     bool      // the driver keeps interrupts away
	Alive     bool      // false: the kernel did not answer within the deadline, and has not since
	Outside   bool      // not in Options.Only: this server must not touch it
	Owner     Owner     // who has claimed it
	Prov      Owner     // who has a standing claim on it
	Since     time.Time // when Owner got it, or nobody
	ProvSince time.Time // the same of Prov
	Epoch     uint64    // grows by one with each agreed change of this core
	OwnEpoch  uint64    // the Epoch that made Owner the owner
}

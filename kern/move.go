package kern

import (
	"syscall"
	"time"

	"warren/cores"
)

// A MoveOp is what one core is asked to agree to.
type MoveOp uint8

// The moves. What already is as asked is agreed to and changes nothing.
const (
	Claim       MoveOp = iota // Owner gets the core
	Release                   // Owner gives it back
	Provision                 // Owner gets a standing claim, whatever the core does now
	Unprovision               // Owner gives that up
	Online                    // the driver switches the core on
	Offline                   // … and off, unless it is claimed
	RoleMgmt                  // the core is for the system and shared work, unless it is claimed
	RoleApp                   // the core may be claimed
	QuietOn                   // the driver keeps interrupts away, as well as it can
	QuietOff
)

// A Move is asked of one core; several moves of one core in one agreement are
// made in their order.
type Move struct {
	Core  cores.ID
	Op    MoveOp
	Owner Owner  // Claim, Release, Provision, Unprovision
	Epoch uint64 // Release: refused unless the core was claimed at this Core.OwnEpoch; 0: whenever
}

// rules says of each move whether and how a core makes it.
var rules = [...]func(c *Core, mv Move, now time.Time) *Refusal{
	Claim: (*Core).claim, Release: (*Core).release,
	Provision: (*Core).provision, Unprovision: (*Core).unprovision,
	Online:   func(c *Core, _ Move, _ time.Time) *Refusal { c.Online = true; return nil },
	Offline:  (*Core).offline,
	RoleMgmt: (*Core).roleMgmt,
	RoleApp:  func(c *Core, _ Move, _ time.Time) *Refusal { c.Mgmt = false; return nil },
	QuietOn:  func(c *Core, _ Move, _ time.Time) *Refusal { c.Quiet = true; return nil },
	QuietOff: func(c *Core, _ Move, _ time.Time) *Refusal { c.Quiet = false; return nil },
}

// move makes a move, or says why not. It decides from this core alone.
func (c *Core) move(mv Move, now time.Time) *Refusal {
	was := *c
	why := rules[mv.Op](c, mv, now)
	changed := why != nil || *c != was
	if changed && c.Outside && mv.Op != Release && mv.Op != Unprovision {
		why = c.refuse(syscall.EPERM, "not among the cores that this server may touch")
	}
	return why
}

func (c *Core) claim(mv Move, now time.Time) *Refusal {
	switch {
	case c.Owner == mv.Owner:
		return nil
	case c.Owner != Owner{}:
		return c.refuse(syscall.EBUSY, "claimed by "+c.Owner.Proc)
	case !c.Online:
		return c.refuse(syscall.EBUSY, "offline")
	case c.Mgmt:
		return c.refuse(syscall.EBUSY, "a mgmt core runs shared work only")
	case c.Prov != Owner{} && c.Prov != mv.Owner:
		return c.refuse(syscall.EBUSY, "provisioned to "+c.Prov.Proc)
	}
	c.Owner, c.Since, c.OwnEpoch = mv.Owner, now, c.Epoch+1
	return nil
}

func (c *Core) release(mv Move, now time.Time) *Refusal {
	switch {
	case c.Owner == Owner{}:
		return nil
	case c.Owner != mv.Owner:
		return c.refuse(syscall.EBUSY, "claimed by "+c.Owner.Proc+", not by "+mv.Owner.Proc)
	case mv.Epoch != 0 && mv.Epoch != c.OwnEpoch:
		return c.refuse(syscall.ESTALE, "claimed again since")
	}
	c.Owner, c.Since, c.OwnEpoch = Owner{}, now, 0
	return nil
}

func (c *Core) provision(mv Move, now time.Time) *Refusal {
	switch {
	case c.Prov == mv.Owner:
		return nil
	case c.Prov != Owner{}:
		return c.refuse(syscall.EBUSY, "provisioned to "+c.Prov.Proc)
	}
	c.Prov, c.ProvSince = mv.Owner, now
	return nil
}

func (c *Core) unprovision(mv Move, now time.Time) *Refusal {
	switch {
	case c.Prov == Owner{}:
		return nil
	case c.Prov != mv.Owner:
		return c.refuse(syscall.EBUSY, "provisioned to "+c.Prov.Proc+", not to "+mv.Owner.Proc)
	}
	c.Prov, c.ProvSince = Owner{}, now
	return nil
}

func (c *Core) offline(_ Move, _ time.Time) *Refusal {
	if c.Owner != (Owner{}) {
		return c.refuse(syscall.EBUSY, "claimed by "+c.Owner.Proc)
	}
	c.Online = false
	return nil
}

func (c *Core) roleMgmt(_ Move, _ time.Time) *Refusal {
	if c.Owner != (Owner{}) {
		return c.refuse(syscall.EBUSY, "claimed by "+c.Owner.Proc)
	}
	c.Mgmt = true
	return nil
}

func (c *Core) refuse(errno syscall.Errno, reason string) *Refusal {
	return &Refusal{Core: c.ID, Errno: errno, Reason: reason}
}

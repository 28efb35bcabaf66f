package kern

import (
	"strings"
	"syscall"

	"warren/cores"
)

// A Refusal is one kernel's no.
type Refusal struct {
	Core   cores.ID
	Errno  syscall.Errno
	Reason string // "claimed by db"

	passing bool // another agreement was on its way: try again
}

// Refusals is the error of an agreement that did not come about: who said no
// and why, in core order. Nothing was changed.
type Refusals struct{ List []Refusal }

// Error returns "core 3: claimed by db; cores 5-7: offline".
func (r *Refusals) Error() string {
	var parts []string
	for i := 0; i < len(r.List); {
		j := i
		var set cores.Set
		for ; j < len(r.List) && r.List[j].Reason == r.List[i].Reason; j++ {
			set = append(set, r.List[j].Core)
		}
		who := "core "
		if j-i > 1 {
			who = "cores "
		}
		parts = append(parts, who+set.String()+": "+r.List[i].Reason)
		i = j
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the errno of the first refusal that trying again will not mend,
// or of the first.
func (r *Refusals) Unwrap() error {
	for _, one := range r.List {
		if one.Errno != syscall.EAGAIN {
			return one.Errno
		}
	}
	return r.List[0].Errno
}

package hot

import (
	"runtime/debug"
	"sync"
)

// roomyPercent is by how much the heap may grow in a compilation until garbage
// is collected.
const roomyPercent = 400

// roomy is who compiles now.
var roomy struct {
	sync.Mutex
	users, percent int
}

// makeRoom lets the heap of the process grow more than it would until the
// function returned is called. wazero allocates many times what a process such
// as ours has, which takes a third more time if garbage is collected meanwhile.
func makeRoom() func() {
	roomy.Lock()
	defer roomy.Unlock()
	if roomy.users++; roomy.users == 1 {
		roomy.percent = debug.SetGCPercent(roomyPercent)
		if roomy.percent < 0 || roomy.percent > roomyPercent {
			debug.SetGCPercent(roomy.percent)
		}
	}
	return func() {
		roomy.Lock()
		defer roomy.Unlock()
		if roomy.users--; roomy.users == 0 {
			debug.SetGCPercent(roomy.percent)
		}
	}
}

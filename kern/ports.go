package kern

import (
	"os"
	"strconv"
	"time"

	"warren/cores"
	"warren/fs/sys"
	"warren/kern/chans"
	"warren/kern/feed"
)

// ports are what others read from a kernel, made when first asked for.
type ports struct {
	trace feed.Feed
	mbox  *chans.Chan
}

// traceBound is how many records a reader of a trace may lag behind.
const traceBound = 4096

// Trace opens the stream of the messages that a core's kernel sends and takes:
// `time from to op id bytes`, "-" being the one who asked for an agreement.
func (m *Machine) Trace(id cores.ID) *feed.Queue {
	return m.kernels[id].port().trace.Open(traceBound, "")
}

// Mbox is the channel of messages to a core's kernel or program.
func (m *Machine) Mbox(id cores.ID) *chans.Chan { return m.kernels[id].port().mbox }

// Messages counts what a core's kernel took and sent.
func (m *Machine) Messages(id cores.ID) (in, out int64) {
	return m.kernels[id].in.Load(), m.kernels[id].out.Load()
}

func (k *kernel) port() *ports {
	if p := k.ports.Load(); p != nil {
		return p
	}
	server := &sys.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	k.ports.CompareAndSwap(nil, &ports{mbox: chans.New("core/"+strconv.Itoa(int(k.id)), server)})
	return k.ports.Load()
}

// trace records a message that the kernel sends or takes, if anybody listens.
func (k *kernel) trace(msg *message, to cores.ID) {
	if p := k.ports.Load(); p != nil && p.trace.Active() {
		p.trace.Emit(msg.record(to))
	}
}

// tell sends the event of a core.
func (m *Machine) tell(kind string, id cores.ID, detail ...string) {
	if !m.events.Active() {
		return
	}
	b := appendTime(make([]byte, 0, 64), time.Now())
	b = append(append(b, ' '), kind...)
	b = strconv.AppendInt(append(b, " core/"...), int64(id), 10)
	for _, word := range detail {
		b = append(append(b, ' '), word...)
	}
	m.events.Emit(append(b, '\n'))
}

// tellChanges sends an event for each difference between two states of a core.
func (m *Machine) tellChanges(was, is *Core) {
	if was.Owner != is.Owner {
		m.tellHolder("released", "claimed", is.ID, was.Owner, is.Owner)
	}
	if was.Prov != is.Prov {
		m.tellHolder("unprovisioned", "provisioned", is.ID, was.Prov, is.Prov)
	}
	if was.Online != is.Online {
		m.tell(choose(is.Online, "online", "offline"), is.ID)
	}
	if was.Mgmt != is.Mgmt {
		m.tell("role", is.ID, choose(is.Mgmt, "mgmt", "app"))
	}
	if was.Quiet != is.Quiet {
		m.tell("quiet", is.ID, choose(is.Quiet, "on", "off"))
	}
}

func (m *Machine) tellHolder(lost, got string, id cores.ID, was, is Owner) {
	if was != (Owner{}) {
		m.tell(lost, id, was.Proc)
	}
	if is != (Owner{}) {
		m.tell(got, id, is.Proc)
	}
}

func choose(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

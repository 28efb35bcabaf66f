package sim

// Channels is how many message channels a core has.
const Channels = 16

const (
	boxRoom    = 64       // messages that a channel accepts
	maxMessage = 64 << 10 // bytes
	maxCredits = 16       // messages of one sender that no box has accepted
)

// HostRank is the sender, or the receiver, that is no core: the files of the tree.
const HostRank = 0xffff_ffff

// A message waits in a core's box.
type message struct {
	src      int32 // core; -1: the host
	gen      uint32
	rank     uint32
	accepted bool
	data     []byte
}

// box is a channel of a core: what came in, and what goes out to the host. Past
// boxRoom messages wait without having been accepted, so their senders run out
// of credit: there are at most maxCredits of each.
type box struct {
	in   []message
	out  [][]byte
	open int // files of the host that write to it, ever
	port *port
}

// boxes are a core's, made when first used.
type boxes [Channels]box

func (c *core) box(n uint8) *box {
	if c.boxes == nil {
		c.boxes = new(boxes)
	}
	return &c.boxes[n]
}

// putMessage puts a message into a core's box.
func (w *worker) putMessage(c *core, msg message, channel uint8) {
	b := c.box(channel)
	if len(b.in) < boxRoom {
		msg.accepted = true
		w.m.accepted(&msg, w)
	}
	b.in = append(b.in, msg)
}

func (m *Machine) accepted(msg *message, w *worker) {
	if msg.src >= 0 {
		m.credit(ack{msg.src, msg.gen}, w)
	}
}

// takeMessage takes the first message out of a box: the first that had no room
// has it now.
func (w *worker) takeMessage(c *core, b *box) message {
	msg := b.in[0]
	b.in[0] = message{}
	b.in = b.in[1:]
	if len(b.in) >= boxRoom {
		if next := &b.in[boxRoom-1]; !next.accepted {
			next.accepted = true
			if next.src >= 0 {
				w.acks = append(w.acks, ack{next.src, next.gen})
			}
		}
	}
	if len(b.in) == 0 {
		b.in = nil
	}
	if b.port != nil {
		w.roomy = append(w.roomy, portRef{c.id, b})
	}
	return msg
}

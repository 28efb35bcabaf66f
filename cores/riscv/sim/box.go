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

// boxBytes is how much a channel accepts, of more than one message.
const boxBytes = 128 << 10

// A message waits in a core's box.
type message struct {
	from *account // nil: the host, or one that is gone
	rank uint32
	data []byte
}

// box is a channel of a core: what came in, and what goes out to the host. What
// there is no room for waits without having been accepted, so its senders run
// out of credit: there are at most maxCredits of each.
type box struct {
	in       []message
	accepted int // the first of in
	bytes    int // in those
	out      [][]byte
	taken    []int // of what was sent to the host, the sizes of what still takes room: else in out, unless a record is replayed
	unread   int   // bytes of what is in out, less those of taken
	open     int   // files of the host that write to it, ever
	port     *port
}

// boxes are a core's, made when first used.
type boxes [Channels]box

func (c *core) box(n uint8) *box {
	if c.boxes == nil {
		c.boxes = new(boxes)
	}
	return &c.boxes[n]
}

// room reports whether the box accepts a message of n bytes.
func (b *box) room(n int) bool {
	return b.accepted == 0 || b.accepted < boxRoom && b.bytes+n <= boxBytes
}

// takes reports whether the box takes a message of n bytes of the host, at once.
func (b *box) takes(n int) bool { return b.accepted == len(b.in) && b.room(n) }

// full reports whether the host must read before a message of n bytes goes out.
func (b *box) full(n int) bool {
	for _, size := range b.taken {
		n += size
	}
	return len(b.taken) > 0 && (len(b.taken) >= boxRoom || n > boxBytes)
}

// slotBytes is what a message costs beside its bytes.
const slotBytes = 32

// put puts a message to the host into the box.
func (b *box) put(p []byte) {
	b.out, b.taken = append(b.out, p), append(b.taken, len(p))
}

// free makes room: the first message that takes any was read, or is said to have been.
func (b *box) free() {
	b.unread += b.taken[0] + slotBytes
	if b.taken = b.taken[1:]; len(b.taken) == 0 {
		b.taken = nil
	}
}

// pull takes the first message to the host out of the box.
func (b *box) pull() {
	b.unread -= len(b.out[0]) + slotBytes
	b.out[0] = nil
	if b.out = b.out[1:]; len(b.out) == 0 {
		b.out = nil
	}
}

// accept accepts messages in order while there is room, and tells of whom.
func (b *box) accept(from func(*account)) {
	for b.accepted < len(b.in) && b.room(len(b.in[b.accepted].data)) {
		msg := &b.in[b.accepted]
		b.accepted++
		b.bytes += len(msg.data)
		if msg.from != nil {
			from(msg.from)
		}
	}
}

// empty drops what is in a box; who waits there, waits on.
func (b *box) empty() {
	b.in, b.accepted, b.bytes, b.out, b.taken, b.unread = nil, 0, 0, nil, nil, 0
}

// putMessage puts a message into a core's box.
func (w *worker) putMessage(c *core, msg message, channel uint8) {
	b := c.box(channel)
	b.in = append(b.in, msg)
	b.accept(func(a *account) { w.m.credit(a, w) })
}

// takeMessage takes the first message out of a box: those that had no room may
// have it now.
func (w *worker) takeMessage(c *core, b *box) message {
	msg := b.in[0]
	b.in[0] = message{}
	b.in = b.in[1:]
	b.accepted--
	b.bytes -= len(msg.data)
	b.accept(func(a *account) { w.acks = append(w.acks, a) })
	if len(b.in) == 0 {
		b.in = nil
	}
	if b.port != nil {
		w.roomy = append(w.roomy, portRef{c.id, b})
	}
	return msg
}

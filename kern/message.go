package kern

import (
	"strconv"
	"time"

	"warren/cores"
)

// A kind says what a message is about.
type kind uint8

// The messages of an agreement: questions, orders, and answers.
const (
	look    kind = iota // has somebody else switched your core?
	agree               // to the coordinator: bring this about
	prepare             // can you? then promise it
	act                 // let the driver do what you promised
	undo                // take it back, and say when you have

	commit // it is so
	abort  // it is not

	yes
	no
	acted
	undone
	agreed // to the client
	refused
)

var kindNames = [...]string{
	look: "look", agree: "agree", prepare: "prepare", act: "act", undo: "undo", commit: "commit", abort: "abort",
	yes: "yes", no: "no", acted: "acted", undone: "undone", agreed: "agreed", refused: "refused",
}

// client is the sender of look and agree, and the taker of the answer: it has no core.
const client cores.ID = -1

// A message goes from kernel to kernel.
type message struct {
	kind kind
	part int32 // of the agreement: the core that is asked or answers
	from cores.ID
	a    *agreement
	next *Core    // yes: what the core will be
	why  *Refusal // no
}

// sizes of the fields of a message, were it to travel: kind, part, sender,
// taker, agreement; a move; a core's state.
const (
	headBytes = 24
	moveBytes = 24
	coreBytes = 72
)

// bytes is the size of the message, were it to travel.
func (msg *message) bytes() int {
	n := headBytes
	switch {
	case msg.kind == agree:
		n += movesBytes(msg.a.moves)
	case msg.kind == prepare:
		n += movesBytes(msg.a.movesOf(msg.part))
	case msg.next != nil:
		n += coreBytes + len(msg.next.Owner.Proc) + len(msg.next.Prov.Proc)
	case msg.why != nil:
		n += len(msg.why.Reason)
	}
	return n
}

// id is that of the agreement that the message is about, 0 for none.
func (msg *message) id() uint64 {
	if msg.a == nil {
		return 0
	}
	return msg.a.id
}

func movesBytes(moves []Move) int {
	n := 0
	for i := range moves {
		n += moveBytes + len(moves[i].Owner.Proc)
	}
	return n
}

// record is the line that a trace has for the message: `time from to op id bytes`.
func (msg *message) record(to cores.ID) []byte {
	b := appendTime(make([]byte, 0, 64), time.Now())
	b = appendCore(append(b, ' '), msg.from)
	b = appendCore(append(b, ' '), to)
	b = append(append(b, ' '), kindNames[msg.kind]...)
	b = strconv.AppendUint(append(b, ' '), msg.id(), 10)
	b = strconv.AppendInt(append(b, ' '), int64(msg.bytes()), 10)
	return append(b, '\n')
}

func appendCore(b []byte, id cores.ID) []byte {
	if id == client {
		return append(b, '-')
	}
	return strconv.AppendInt(b, int64(id), 10)
}

// appendTime appends Unix seconds with six decimals.
func appendTime(b []byte, t time.Time) []byte {
	us := t.UnixMicro()
	b = strconv.AppendInt(b, us/1e6, 10)
	b = append(b, '.')
	frac := strconv.AppendInt(make([]byte, 0, 8), us%1e6+1e6, 10)
	return append(b, frac[1:]...)
}

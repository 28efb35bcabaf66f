// Package chans is message channels: what one open file writes as a message,
// another reads as a message, in the order it was sent, whoever they are.
//
// A channel in queue mode gives each message to one reader and keeps writers
// waiting while it is full; in publish mode every reader gets every message
// and nobody waits for a slow one. A Port is one open file of a channel.
//
// State: each Chan owns its ports, its messages and those who wait, all under
// its one lock; a Set owns which channels there are. Lock order: Set, Chan,
// the feed of events, then the front end's (calls are answered with the
// channel's lock held). A give-back is run with no locks held.
package chans

import (
	"fmt"
	"sync"
	"syscall"

	"warren/fs/sys"
)

// The bounds. A queue (a publish channel has one for each reader) is full when
// it holds cap messages or MaxBytes bytes, whichever comes first.
const (
	MaxMessage = 64 << 10 // bytes in a message
	MaxCap     = 1 << 16  // messages in a queue
	MaxBytes   = 16 << 20 // bytes in a queue
	DefaultCap = 64       // messages
	maxTails   = 1024     // unfinished lines that a channel keeps for its writers
)

// A Mode says who gets a message.
type Mode uint8

// The modes: one reader, or all.
const (
	Queue Mode = iota
	Publish
)

// String returns the mode as ctl and status print it.
func (m Mode) String() string { return [...]string{"queue", "publish"}[m] }

// A Chan is one channel.
type Chan struct {
	meta *sys.Meta
	set  *Set // nil for a channel of its own

	mu       sync.Mutex
	mode     Mode
	cap      int // messages
	hangup   bool
	kept     bool
	closed   bool
	removed  bool
	everPut  bool           // a writer has been there
	ports    map[*Port]bool // all that are open
	shared   box            // of queue mode
	writers  list[put]      // that wait, in order
	seq      uint64         // of the last message accepted
	tails    int            // unfinished lines: in ports, and queued ones of ports that closed
	nr, nw   int            // open readers and writers
	sent     int64          // messages accepted
	received int64          // messages delivered; in publish mode to all readers together
	bytes    int64          // in the messages accepted
	lost     int64          // messages that slow readers of a publish channel missed
}

// Status is what a channel's status file shows.
type Status struct {
	Mode             Mode
	Cap              int // messages
	Held             int // messages; in publish mode those of the slowest reader
	Readers, Writers int // open files
	Sent, Received   int64
	Bytes            int64 // in the messages sent
	Lost             int64
	Hangup, Kept     bool
	Closed           bool
}

// New returns a channel that belongs to no set.
func New(name string, u *sys.User) *Chan {
	return newChan(sys.NewMeta(0, name, u))
}

func newChan(meta *sys.Meta) *Chan { return &Chan{meta: meta, cap: DefaultCap} }

// Meta returns the channel's identity and owner.
func (ch *Chan) Meta() *sys.Meta { return ch.meta }

// Status returns the channel's state and counts, all of one moment.
func (ch *Chan) Status() Status {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return Status{
		Mode: ch.mode, Cap: ch.cap, Held: ch.held(), Readers: ch.nr, Writers: ch.nw,
		Sent: ch.sent, Received: ch.received, Bytes: ch.bytes, Lost: ch.lost,
		Hangup: ch.hangup, Kept: ch.kept, Closed: ch.closed,
	}
}

// held counts the messages that wait for a reader.
func (ch *Chan) held() int {
	n := ch.shared.n
	if ch.mode == Publish {
		for p := range ch.ports {
			n = max(n, p.box.n)
		}
	}
	return n
}

// SetCap sets how many messages the channel holds; 0 is rendezvous. What it
// holds beyond a smaller bound stays. EINVAL beyond MaxCap.
func (ch *Chan) SetCap(n int) error {
	if n < 0 || n > MaxCap {
		return sys.Errorf(syscall.EINVAL, "cap: want 0 to %d messages, not %d (and a channel holds at most %d bytes)", MaxCap, n, MaxBytes)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.cap = n
	ch.pump()
	return nil
}

// SetMode changes who gets a message. EBUSY while the channel is open or holds
// messages, unless the mode is what it was.
func (ch *Chan) SetMode(m Mode) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if m == ch.mode {
		return nil
	}
	if len(ch.ports) > 0 || ch.held() > 0 {
		return sys.Errorf(syscall.EBUSY, "mode: it can change when nobody has the channel open and it is empty, now: %s, %d held", ch.users(), ch.held())
	}
	ch.mode = m
	return nil
}

// SetHangup says whether readers get end of file when the last writer has closed.
func (ch *Chan) SetHangup(on bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.hangup = on
	ch.pump()
}

// Keep makes a channel that a clone made stay when nobody uses it.
func (ch *Chan) Keep() {
	ch.meta.Use()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.kept = true
}

// Close ends the channel: writers, also those that wait, get EPIPE;
// readers get what was accepted, then end of file.
func (ch *Chan) Close() {
	ch.mu.Lock()
	again := ch.closed
	ch.close()
	ch.mu.Unlock()
	if !again && ch.set != nil {
		ch.set.tell("closed", ch)
	}
}

func (ch *Chan) close() {
	for p := range ch.ports {
		p.flushTail()
	}
	ch.closed = true
	for e := ch.writers.head; e != nil; e = ch.writers.head {
		ch.writers.remove(e)
		e.T.giveUp(ch.refusal())
	}
	ch.pump()
}

// refusal is what a writer of a closed channel is told.
func (ch *Chan) refusal() error {
	return sys.Errorf(syscall.EPIPE, "chan %s is closed: it takes no more messages", ch.meta.Name)
}

// users says who has the channel open.
func (ch *Chan) users() string {
	return count(ch.nr, "reader") + ", " + count(ch.nw, "writer")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Remove removes the channel, with the messages that nobody read. EBUSY while
// anybody has it open, ErrGone if it is removed already.
func (ch *Chan) Remove() error {
	if ch.set == nil {
		return ch.remove()
	}
	err := ch.set.cut(ch)
	if err == nil {
		ch.set.tell("removed", ch)
	}
	return err
}

func (ch *Chan) remove() error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.removed {
		return sys.ErrGone
	}
	if len(ch.ports) > 0 {
		return sys.Errorf(syscall.EBUSY, "chan %s: %s", ch.meta.Name, ch.users())
	}
	ch.removed = true
	ch.shared.drop()
	ch.meta.Retire()
	return nil
}

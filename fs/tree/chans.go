package tree

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"warren/fs"
	"warren/fs/sys"
	"warren/kern/chans"
)

// chanRoot is the directory chans.
type chanRoot struct {
	set   *chans.Set
	users *sys.Users // for the names of owners
	meta  *sys.Meta
	dir   *fs.Dir[*chans.Chan]
}

func (r *chanRoot) Meta() *sys.Meta { return r.meta }

// newChans returns what makes the node of chans.
func newChans(set *chans.Set) func(parent fs.Node) fs.Node {
	r := &chanRoot{set: set, users: new(sys.Users), meta: fixed("chans", 0), dir: chanDir()}
	d := chansDir()
	return func(parent fs.Node) fs.Node { return d.Node(r, parent) }
}

// chansDocs describes the tables of chans and of a channel.
func chansDocs() []fs.DirDoc {
	return []fs.DirDoc{chansDir().Describe(), chanDir().Describe()}
}

// chanFields are those of a channel's status; its line in stat begins with the
// name and ends with the owner.
const chanFields = "mode cap held readers writers sent received bytes lost"

func chansDir() *fs.Dir[*chanRoot] {
	return &fs.Dir[*chanRoot]{
		Class: classChans,
		Name:  "chans/",
		Doc:   "The channels: what one program writes to one as a message, another reads as a message. mkdir chans/NAME makes a channel with a name, clone one with a number.",
		Perm:  0o777,
		Files: []fs.File[*chanRoot]{
			{
				Name: "clone", Perm: 0o666, Kind: fs.Ctl, Clone: cloneChan,
				Doc: "Opening it makes a channel, and the open file is the new channel's ctl; a read of it gives the name.",
			},
			{
				Name: "stat", Perm: 0o444, Kind: fs.Text, Text: textOf((*chanRoot).textStat),
				Doc:    "A line a channel.",
				Format: "name " + chanFields + " user",
			},
		},
		Kids: &fs.Kids[*chanRoot]{
			Walk: func(_ *fs.Call, r *chanRoot, parent fs.Node, name string) (fs.Node, error) {
				ch, ok := r.set.Get(name)
				if !ok {
					return nil, sys.ErrNotExist
				}
				return r.dir.Node(ch, parent), nil
			},
			List: func(r *chanRoot, from uint64, yield func(string, uint64) bool) {
				r.set.List(from, func(ch *chans.Chan) bool {
					return yield(ch.Meta().Name, ch.Meta().Serial+1)
				})
			},
			Make: func(c *fs.Call, r *chanRoot, name string) error {
				_, err := r.set.Make(c.User(), name)
				return err
			},
			Remove: func(_ *fs.Call, r *chanRoot, name string) error { return r.set.Remove(name) },
		},
	}
}

func textOf[T any](method func(T, []byte) []byte) func(*fs.Call, T, []byte) ([]byte, error) {
	return func(_ *fs.Call, t T, b []byte) ([]byte, error) { return method(t, b), nil }
}

func (r *chanRoot) textStat(b []byte) []byte {
	r.set.List(0, func(ch *chans.Chan) bool {
		b = append(append(b, ch.Meta().Name...), ' ')
		b = appendFields(b, ch.Status(), "", ' ')
		uid, _ := ch.Meta().Owner()
		b = append(fs.AppendQuoted(b, r.users.Name(uid)), '\n')
		return true
	})
	return b
}

// appendFields appends the values of a status in the order of chanFields,
// each with its key before it if keys is a blank, and end behind it.
func appendFields(b []byte, s chans.Status, keys string, end byte) []byte {
	values := [...]any{s.Mode, s.Cap, s.Held, s.Readers, s.Writers, s.Sent, s.Received, s.Bytes, s.Lost}
	for i, key := range strings.Fields(chanFields) {
		if keys != "" {
			b = append(append(b, key...), keys...)
		}
		b = append(fmt.Append(b, values[i]), end)
	}
	return b
}

func cloneChan(c *fs.Call, r *chanRoot, parent fs.Node) (fs.Node, error) {
	ch, err := r.set.Make(c.User(), "")
	if err != nil {
		return nil, err
	}
	ch.Meta().SetCloned()
	return r.dir.Node(ch, parent), nil
}

func chanDir() *fs.Dir[*chans.Chan] {
	return &fs.Dir[*chans.Chan]{
		Class: classChan,
		Name:  "chans/NAME/",
		Doc: "A channel. Messages of one writer arrive in its order, and each is read once (mode queue) or once by every reader (mode publish). " +
			"Readers and writers that wait are served in turn.",
		Perm: 0o750,
		Files: []fs.File[*chans.Chan]{
			{
				Name: "data", Perm: 0o660, Kind: fs.Stream, Open: openPort(false),
				Doc: "One write is one message of at most 65,536 bytes (a longer one fails with EMSGSIZE; none at all is no message); one read is one message. " +
					"A write waits while the channel is full, a read while it is empty.",
			},
			{
				Name: "lines", Perm: 0o660, Kind: fs.Stream, Open: openPort(true),
				Doc: "The same channel a line at a time: a write of several lines is several messages, a read takes one line, with its newline, also of a message that holds more. " +
					"What follows the last newline of a write waits, unseen by readers, for the rest of its line, and is a message as it is when the file is closed. " +
					"A write that is interrupted has written the lines that it counts.",
			},
			{
				Name: "ctl", Perm: 0o640, Kind: fs.Ctl, Verbs: chanVerbs(),
				Doc: "The channel's settings, and its end.",
			},
			{
				Name: "status", Perm: 0o444, Kind: fs.Text, Text: textOf(appendChanStatus),
				Doc: "Counts: held are the messages that wait (in mode publish, for the slowest reader); readers and writers the open files; sent, received and lost messages; " +
					"bytes those of the messages sent; state is open or closed.",
				Format: chanFields + " state",
			},
		},
	}
}

func openPort(lines bool) func(*fs.Call, *chans.Chan, fs.Flags) (fs.Handle, error) {
	return func(_ *fs.Call, ch *chans.Chan, f fs.Flags) (fs.Handle, error) {
		p := ch.Open(f&fs.ORead != 0, f&fs.OWrite != 0, lines)
		return fs.NewMessages(p, func(c *fs.Call, data []byte) {
			if c.Split() && !lines {
				c.Fail(sys.Errorf(syscall.EMSGSIZE, "message too long: %d bytes fill the connection's message, so there may be more", len(data)))
				return
			}
			p.Put(c, data)
		}), nil
	}
}

func appendChanStatus(ch *chans.Chan, b []byte) []byte {
	s := ch.Status()
	b = appendFields(b, s, " ", '\n')
	if s.Closed {
		return append(b, "state closed\n"...)
	}
	return append(b, "state open\n"...)
}

func chanVerbs() []fs.Verb[*chans.Chan] {
	return []fs.Verb[*chans.Chan]{
		{
			Name: "mode", Args: "queue|publish",
			Doc: "Each message goes to one reader, and writers wait while the channel is full; or it goes to every reader that has the file open, " +
				"each with a queue of cap messages, and a slow one finds \"lost N\" in the place of what it missed. Changes only while nobody has the channel open and it is empty.",
			Parse: parseMode,
			Dump:  func(ch *chans.Chan) []string { return []string{ch.Status().Mode.String()} },
		},
		{
			Name: "cap", Args: "N",
			Doc: fmt.Sprintf("How many messages the channel holds, at most %d; at first %d. 0 is rendezvous: a write ends when its message was read. "+
				"It is full as well when it holds %d bytes. What it holds beyond a smaller N stays.", chans.MaxCap, chans.DefaultCap, chans.MaxBytes),
			Parse: parseCap,
			Dump:  func(ch *chans.Chan) []string { return []string{strconv.Itoa(ch.Status().Cap)} },
		},
		{
			Name: "hangup", Args: "on|off",
			Doc:   "Whether readers get end of file, when they have read all, once the last writer has closed; until the next one opens. At first off.",
			Parse: parseHangup,
			Dump:  dumpHangup,
		},
		{
			Name: "keep", Args: "", Doc: "Keep the channel, made by clone, also when nobody ever uses it.",
			Parse: does((*chans.Chan).Keep),
			Dump:  dumpKeep,
		},
		{
			Name: "close", Args: "", Doc: "Writers get EPIPE from now on; readers get what the channel holds, then end of file.",
			Parse: does((*chans.Chan).Close),
		},
		{
			Name: "rm", Args: "", Doc: "Remove the channel and what it holds; refused while its data or lines are open. rmdir does the same.",
			Parse: func([]string) (func(*fs.Call, *chans.Chan) error, error) {
				return func(_ *fs.Call, ch *chans.Chan) error { return ch.Remove() }, nil
			},
		},
	}
}

func parseMode(w []string) (func(*fs.Call, *chans.Chan) error, error) {
	mode := chans.Queue
	if w[0] == chans.Publish.String() {
		mode = chans.Publish
	}
	return func(_ *fs.Call, ch *chans.Chan) error { return ch.SetMode(mode) }, nil
}

func parseCap(w []string) (func(*fs.Call, *chans.Chan) error, error) {
	number, unit := w[0], 1
	if k, ok := strings.CutSuffix(number, "K"); ok {
		number, unit = k, 1<<10
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "want a number of messages from 0 to %d, not %q", chans.MaxCap, w[0])
	}
	return func(_ *fs.Call, ch *chans.Chan) error { return ch.SetCap(int(n) * unit) }, nil
}

func parseHangup(w []string) (func(*fs.Call, *chans.Chan) error, error) {
	return func(_ *fs.Call, ch *chans.Chan) error {
		ch.SetHangup(w[0] == "on")
		return nil
	}, nil
}

func dumpHangup(ch *chans.Chan) []string {
	if ch.Status().Hangup {
		return []string{"on"}
	}
	return []string{"off"}
}

func dumpKeep(ch *chans.Chan) []string {
	if ch.Status().Kept {
		return []string{""}
	}
	return nil
}

// does is the Parse of an action that has no arguments and cannot fail.
func does[T any](action func(T)) func([]string) (func(*fs.Call, T) error, error) {
	return func([]string) (func(*fs.Call, T) error, error) {
		return func(_ *fs.Call, t T) error {
			action(t)
			return nil
		}, nil
	}
}

package sim

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A recorder keeps the inputs of a machine, or gives them again. It is under
// Machine.mu. A record is text, a line an input: `epoch kind core channel end data`,
// data in base64, "-" for none; lines that begin with # are comments, the first and the
// last of which say of what it is, and whether it is whole. Kinds are
// stdin, chan (a message to a core), read (one of a core was read, which gave it
// room for another), mem and reg (one of these was written: the data begins with the
// address, in 4 bytes, or gdb's number of the register, in 2), start (a program began,
// whose name is the data), and stop, cont and signal (the data is its number), which
// were done to the program of a core.
type recorder struct {
	on     bool
	full   bool // it has all that it may have
	text   bytes.Buffer
	replay []input // to come
	again  bool    // a replay is on
	held   []*Job  // begun, and their starts are to come
	asked  bool    // it was told that a program is to be started
}

type input struct {
	epoch   uint64
	kind    string
	core    int
	channel int
	end     bool
	data    []byte
}

// maxEpochs bounds the epochs of what is read, so that times do not overflow.
const maxEpochs = 1 << 44

// maxRecord bounds a record, in bytes.
const maxRecord = 256 << 20

func (r *recorder) replaying() bool { return r.again }

// nextInput is the epoch of the next input of a replay.
func (r *recorder) nextInput() (uint64, bool) {
	if len(r.replay) == 0 {
		return 0, false
	}
	return r.replay[0].epoch, true
}

func (r *recorder) note(epoch uint64, what, detail string) {
	if r.on {
		fmt.Fprintf(&r.text, "# %d %s %s\n", epoch, what, detail)
	}
}

func (r *recorder) input(epoch uint64, kind string, core, channel int, data []byte, end bool) {
	switch {
	case !r.on || r.full:
		return
	case r.text.Len() > maxRecord:
		r.full = true
		r.note(epoch, "full", "what came from here on is missing")
		return
	}
	text := "-"
	if len(data) > 0 {
		text = base64.StdEncoding.EncodeToString(data)
	}
	fmt.Fprintf(&r.text, "%d %s %d %d %t %s\n", epoch, kind, core, channel, end, text)
}

// Record begins to keep all inputs from files, or ends that and returns the
// record since it began.
func (m *Machine) Record(on bool) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !on {
		out := seal(bytes.Clone(m.log.text.Bytes()))
		m.log.on = false
		m.log.text.Reset()
		return out
	}
	m.lull()
	m.record()
	return nil
}

// record begins a record. m.mu is held.
func (m *Machine) record() {
	m.log.on, m.log.full = true, false
	m.log.text.Reset()
	fmt.Fprintf(&m.log.text, recordHeader+" epoch kind core channel end data\n", m.spec.Name, m.quantum, m.epochs)
}

// recordHeader says of what machine a record is: a comment, and read by Replay.
const recordHeader = headerStart + "%s quantum %d from epoch %d:"

// shift is what to add to the epochs of a record, whose machine may have been
// older or younger when it began. EINVAL if its epochs were of another length.
func (m *Machine) shift(record []byte) (int64, error) {
	var name string
	var quantum, from uint64
	if n, _ := fmt.Sscanf(string(record[:min(len(record), 200)]), recordHeader, &name, &quantum, &from); n < 3 {
		return 0, nil // its epochs are this machine's
	}
	if name != m.spec.Name {
		return 0, sys.Errorf(syscall.EINVAL, "replay: this is a record of %s, and here is %s", word(clip(name)), m.spec.Name)
	}
	if quantum != m.quantum {
		return 0, sys.Errorf(syscall.EINVAL, "replay: this is a record of epochs of %d cycles, and here they have %d (quantum %d first)", quantum, m.quantum, quantum)
	}
	if from > maxEpochs {
		return 0, sys.Errorf(syscall.EINVAL, "replay: bad epoch %d in its first line", from)
	}
	return int64(m.epochs) - int64(from), nil
}

const (
	headerStart = "# warren record of "
	endLine     = "# end"
)

// seal puts the last line to a record: its CRC-32, as a record that was cut is one too.
func seal(record []byte) []byte {
	if len(record) == 0 {
		return nil
	}
	return fmt.Appendf(record, "%s %08x\n", endLine, crc32.ChecksumIEEE(record))
}

// whole says what is wrong with a record that is not as it was written. One that
// somebody wrote has no header, and one that was changed ends with a bare "# end".
func whole(record []byte) error {
	text := bytes.TrimSpace(record)
	at := bytes.LastIndexByte(text, '\n') + 1
	n := min(len(record), len(headerStart))
	var sum uint32
	var rest string
	scanned, _ := fmt.Sscanf(string(text[at:]), endLine+" %08x%s", &sum, &rest)
	switch {
	case len(record) == 0, string(text[at:]) == endLine:
		return nil
	case scanned == 1 && sum == crc32.ChecksumIEEE(text[:at]):
		return nil
	case scanned == 1:
		return sys.Errorf(syscall.EINVAL, "replay: the record is not as it was written (if that is meant, let its last line be %s)", endLine)
	case string(record[:n]) == headerStart[:n]:
		return sys.Errorf(syscall.EINVAL, "replay: the record is cut: its last line, %s, is missing", endLine)
	}
	return nil
}

// Recording reports whether inputs are kept.
func (m *Machine) Recording() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.on
}

// Replay gives the machine the inputs of a record, as many epochs after now as
// they came after its begin; until the last of them files give none. An empty record ends a replay.
// EINVAL names the line that is wrong.
func (m *Machine) Replay(record []byte) error {
	if err := whole(record); err != nil {
		return err
	}
	list, err := parseRecord(record, len(m.cores))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	shift, err := m.shift(record)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].epoch = uint64(max(0, int64(list[i].epoch)+shift))
	}
	if len(list) > 0 && list[0].epoch < m.epochs {
		return sys.Errorf(syscall.EINVAL, "replay: the first input is of epoch %d, and this machine is at %d: replay on a machine that was just brought up", list[0].epoch, m.epochs)
	}
	m.log.replay = list
	if len(list) == 0 {
		m.endReplay()
	} else {
		m.log.again = true
	}
	m.start()
	return nil
}

func parseRecord(record []byte, cores int) ([]input, error) {
	var list []input
	scan := bufio.NewScanner(bytes.NewReader(record))
	scan.Buffer(nil, 4*maxTransfer)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		in, err := parseInput(strings.Fields(line), cores)
		if err == nil && len(list) > 0 && in.epoch < list[len(list)-1].epoch {
			err = fmt.Errorf("epoch %d comes after a later one", in.epoch)
		}
		if err != nil {
			return nil, sys.Errorf(syscall.EINVAL, "replay: line %d: %v", n, err)
		}
		list = append(list, in)
	}
	if err := scan.Err(); err != nil {
		return nil, sys.Errorf(syscall.EINVAL, "replay: %v", err)
	}
	return list, nil
}

func parseInput(f []string, cores int) (in input, err error) {
	if len(f) != 6 {
		return in, fmt.Errorf("want epoch kind core channel end data, not %d words", len(f))
	}
	if in.epoch, err = strconv.ParseUint(f[0], 10, 64); err != nil || in.epoch > maxEpochs {
		return in, fmt.Errorf("epoch: want a number up to %d, not %q", uint64(maxEpochs), f[0])
	}
	in.kind = f[1]
	if !slices.Contains(inputKinds, in.kind) {
		return in, fmt.Errorf("kind: want one of %s, not %q", strings.Join(inputKinds, " "), clip(in.kind))
	}
	if in.core, err = strconv.Atoi(f[2]); err != nil || in.core < 0 || in.core >= cores {
		return in, fmt.Errorf("core: want 0 to %d, not %q", cores-1, f[2])
	}
	if in.channel, err = strconv.Atoi(f[3]); err != nil || in.channel < 0 || in.channel >= Channels {
		return in, fmt.Errorf("channel: want 0 to %d, not %q", Channels-1, f[3])
	}
	if in.end, err = strconv.ParseBool(f[4]); err != nil {
		return in, fmt.Errorf("end: want true or false, not %q", f[4])
	}
	if f[5] != "-" {
		if in.data, err = base64.StdEncoding.DecodeString(f[5]); err != nil {
			return in, fmt.Errorf("data: want base64: %v", err)
		}
	}
	switch n, err := strconv.Atoi(string(in.data)); {
	case in.kind == "start" && !plain(string(in.data)):
		return in, fmt.Errorf("data: want a name, not %q", clip(string(in.data)))
	case in.kind == "signal" && (err != nil || n < 1 || n > 64):
		return in, fmt.Errorf("data: want the number of a signal, not %q", clip(string(in.data)))
	case in.kind == "chan" && len(in.data) > maxMessage:
		return in, fmt.Errorf("data: a message has at most %d bytes, not %d", maxMessage, len(in.data))
	case in.kind == "mem" && len(in.data) < 4, in.kind == "reg" && len(in.data) != regBytes:
		return in, fmt.Errorf("data: want where, and what, not %d bytes", len(in.data))
	}
	return in, nil
}

var inputKinds = []string{"stdin", "chan", "read", "mem", "reg", "start", "stop", "cont", "signal"}

// regBytes are those of a register's number and value.
const regBytes = 10

// logMem records a write to memory, and logReg one to a register. m.mu is held.
func (m *Machine) logMem(c *core, addr uint32, p []byte) {
	if m.log.on {
		m.log.input(m.epochs, "mem", int(c.id), 0, append(binary.LittleEndian.AppendUint32(nil, addr), p...), false)
	}
}

func (m *Machine) logReg(c *core, n int, v uint64) {
	b := binary.LittleEndian.AppendUint16(nil, uint16(n))
	m.log.input(m.epochs, "reg", int(c.id), 0, binary.LittleEndian.AppendUint64(b, v), false)
}

// logJob records what was done to a job. m.mu is held.
func (m *Machine) logJob(j *Job, kind, data string) {
	for c := range j.all() {
		m.log.input(m.epochs, kind, int(c.id), 0, []byte(data), false)
		break
	}
}

// again does to a core, or its job, what a record says. What fails here failed when it
// was recorded, or another program runs. m.mu is held.
func (m *Machine) again(c *core, in input) {
	switch j := c.job; {
	case in.kind == "chan":
		m.putInput(c, uint8(in.channel), in.data)
	case in.kind == "read":
		m.readAgain(c, uint8(in.channel))
	case in.kind == "mem":
		_ = m.writeMemory(c, in.data[4:], binary.LittleEndian.Uint32(in.data))
	case in.kind == "reg":
		if c.hart != nil {
			_ = m.setRegister(c, int(binary.LittleEndian.Uint16(in.data)), binary.LittleEndian.Uint64(in.data[2:]))
		}
	case j == nil || j.ended:
	case in.kind == "stdin":
		m.feed(j, in.data, in.end)
	case in.kind == "signal":
		n, _ := strconv.Atoi(string(in.data))
		m.endJob(j, Exit{Signal: n})
	default:
		m.freeze(j, in.kind == "stop")
	}
}

// noteStart records that a program begins, or has it wait for when it did. m.mu is held.
func (m *Machine) noteStart(j *Job) {
	if slices.ContainsFunc(m.log.replay, func(in input) bool { return in.kind == "start" }) {
		j.held = true
		m.log.held = append(m.log.held, j)
		return
	}
	m.logStart(j)
}

func (m *Machine) logStart(j *Job) {
	m.log.input(m.epochs, "start", int(j.cores[0]), 0, []byte(j.name), false)
}

// letBegin lets a program begin that waited for that, on cores and tiles as they would
// be had it been started now. m.mu is held.
func (m *Machine) letBegin(j *Job) {
	j.held = false
	m.logStart(j)
	if j.image != nil {
		if err := m.beginAnew(j); err != nil {
			m.endJob(j, Exit{Signal: int(syscall.SIGKILL), Reason: err.Error()})
		}
	}
	for c := range j.all() {
		c.began = m.now
	}
	if j.image == nil { // else it has begun just now
		m.thaw(j)
	}
}

// beginAnew starts a job from the beginning on the cores that it has: those that were
// halted meanwhile are, and have the breakpoints that they had. m.mu is held.
func (m *Machine) beginAnew(j *Job) error {
	var ranks, ids []int32
	var begun []start
	var halted []*core
	breaks := make(map[*core]map[uint32]string)
	runs := m.runs(j.image, m.preparedLocked)
	for c := range j.all() {
		run, err := runs.on(int(c.id))
		if err != nil {
			return err
		}
		ranks, ids, begun = append(ranks, c.rank), append(ids, c.id), append(begun, start{c, run.image})
		if c.state == Halted {
			halted = append(halted, c)
		}
		if c.debug != nil {
			breaks[c] = c.debug.ctl
		}
	}
	m.vacate(ids)
	for _, s := range begun {
		run, err := runs.on(int(s.c.id))
		if err != nil {
			return err
		}
		m.install(s.c, run.p)
	}
	m.fill(begun)
	for i, s := range begun {
		m.enter(s.c, j, ranks[i])
	}
	for c, list := range breaks {
		c.debugging().ctl = list
		m.setBreaks(c)
	}
	for _, c := range halted {
		m.hold(c)
	}
	return nil
}

// replay gives the inputs whose epoch has come, and reports whether time is to stand
// until a program is started. m.mu is held.
func (m *Machine) replay() (stands bool) {
	r := &m.log
	for len(r.replay) > 0 && r.replay[0].epoch <= m.epochs {
		in := r.replay[0]
		if len(m.jobs) == 0 && !slices.Contains([]string{"mem", "reg", "read"}, in.kind) {
			return in.kind == "start" // the programs come first
		}
		if in.kind == "start" && len(r.held) == 0 {
			if !r.asked {
				r.asked = true
				m.opt.Tell(fmt.Sprintf("replay: time stands until %s is started, as it was when it was recorded", word(string(in.data))))
			}
			return true
		}
		r.replay = r.replay[1:]
		if in.kind == "start" {
			j := r.held[0]
			r.held, r.asked = r.held[1:], false
			m.letBegin(j)
			continue
		}
		m.again(&m.cores[in.core], in)
	}
	if len(r.replay) == 0 {
		m.endReplay()
	}
	return false
}

// endReplay lets files give input again, first what came from them meanwhile. m.mu is held.
func (m *Machine) endReplay() {
	if !m.log.again {
		return
	}
	m.log.again, m.log.asked = false, false
	held := m.log.held
	m.log.held = nil
	for _, j := range held {
		m.letBegin(j)
	}
	for i := range m.cores {
		if m.cores[i].boxes != nil {
			m.readBy(&m.cores[i])
		}
	}
	for _, j := range m.allJobs() {
		if later, eof := j.later, j.laterEOF; len(later) > 0 || eof {
			j.later, j.laterEOF = nil, false
			m.feedFile(j, later, eof)
		}
	}
	m.input()
}

// heldUp reports whether somebody has stopped a process or halted a core, which would
// run else: time stands until they go on. m.mu is held.
func (m *Machine) heldUp() bool {
	for j := range m.jobs {
		if j.frozen {
			return true
		}
		for c := range j.all() {
			if c.state == Halted {
				return true
			}
		}
	}
	return false
}

// awaitReplay moves the time of a machine that has nothing to do on to the next
// input of a replay; false: there is none, or it is not the time's to go on.
func (m *Machine) awaitReplay() bool {
	at, ok := m.log.nextInput()
	if !ok || len(m.jobs) == 0 || m.heldUp() {
		return false
	}
	if at > m.epochs {
		m.now += (at - m.epochs) * m.quantum
		m.epochs = at
	}
	return true
}

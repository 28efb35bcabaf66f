package sim

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A recorder keeps the inputs of a machine, or gives them again. It is under
// Machine.mu. A record is text, a line an input: `epoch kind core channel end data`,
// data in base64, "-" for none; lines that begin with # are comments.
type recorder struct {
	on     bool
	text   bytes.Buffer
	replay []input // to come
	again  bool    // a replay is on
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
	if !r.on || r.text.Len() > maxRecord {
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
		out := bytes.Clone(m.log.text.Bytes())
		m.log.on = false
		m.log.text.Reset()
		return out
	}
	m.log.on = true
	m.log.text.Reset()
	fmt.Fprintf(&m.log.text, "# warren record of %s, quantum %d: epoch kind core channel end data\n", m.spec.Name, m.quantum)
	return nil
}

// Recording reports whether inputs are kept.
func (m *Machine) Recording() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.on
}

// Replay gives the machine the inputs of a record, at the epochs at which they
// came; until the last of them files give none. An empty record ends a replay.
// EINVAL names the line that is wrong.
func (m *Machine) Replay(record []byte) error {
	list, err := parseRecord(record, len(m.cores))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
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
	if in.kind != "stdin" && in.kind != "chan" {
		return in, fmt.Errorf("kind: want stdin or chan, not %q", in.kind)
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
	return in, nil
}

// replay gives the inputs whose epoch has come. m.mu is held.
func (m *Machine) replay() {
	r := &m.log
	if len(m.jobs) == 0 {
		return // the programs come first
	}
	for len(r.replay) > 0 && r.replay[0].epoch <= m.epochs {
		in := r.replay[0]
		r.replay = r.replay[1:]
		c := &m.cores[in.core]
		switch {
		case in.kind == "chan":
			m.putInput(c, uint8(in.channel), in.data)
		case c.job != nil:
			m.feed(c.job, in.data, in.end)
		}
	}
	if len(r.replay) == 0 {
		m.endReplay()
	}
}

// endReplay lets files give input again, first what came from them meanwhile. m.mu is held.
func (m *Machine) endReplay() {
	if !m.log.again {
		return
	}
	m.log.again = false
	for _, j := range m.allJobs() {
		if later, eof := j.later, j.laterEOF; len(later) > 0 || eof {
			j.later, j.laterEOF = nil, false
			m.feedFile(j, later, eof)
		}
	}
	m.input()
}

// awaitReplay moves the time of a machine that has nothing to do on to the next
// input of a replay; false: there is none.
func (m *Machine) awaitReplay() bool {
	at, ok := m.log.nextInput()
	if !ok || len(m.jobs) == 0 {
		return false
	}
	if at > m.epochs {
		m.now += (at - m.epochs) * m.quantum
		m.epochs = at
	}
	return true
}

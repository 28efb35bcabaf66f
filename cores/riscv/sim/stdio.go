package sim

import (
	"cmp"
	"slices"
	"syscall"

	"warren/fs/sys"
)

// Feed gives the job more input; eof: there is no more.
func (j *Job) Feed(p []byte, eof bool) {
	m := j.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if j.ended {
		return
	}
	if m.log.replaying() { // till its end the input comes from the record
		j.later, j.laterEOF = append(j.later, p...), j.laterEOF || eof
		return
	}
	m.feedFile(j, p, eof)
}

// feedFile is feed for what comes from a file. m.mu is held.
func (m *Machine) feedFile(j *Job, p []byte, eof bool) {
	j.noteInput(p, eof)
	m.feed(j, p, eof)
}

// noteInput records what comes from a file.
func (j *Job) noteInput(p []byte, eof bool) {
	for c := range j.all() {
		j.m.log.input(j.m.epochs, "stdin", int(c.id), 0, p, eof)
		break
	}
}

func (m *Machine) feed(j *Job, p []byte, eof bool) {
	if j.ended {
		return
	}
	j.accept(p, eof)
	m.input()
	m.start()
}

func (j *Job) accept(p []byte, eof bool) {
	j.input = append(j.input, p...)
	j.eof = j.eof || eof
	j.asking = false
}

// input gives cores the input that they wait for, in order. m.mu is held.
func (m *Machine) input() {
	for _, id := range m.gather(func(w *worker) *[]int32 { return &w.asks }) {
		if c := &m.cores[id]; c.job != nil && !c.job.ended && c.parkedFor(forInput) {
			c.job.askers = append(c.job.askers, id)
		}
	}
	for j := range m.jobs {
		m.giveAll(j)
		for len(j.askers) > 0 && !j.asking && !m.log.replaying() {
			if j.ready != nil {
				if p, eof := j.ready(); len(p) > 0 || eof {
					j.noteInput(p, eof)
					j.accept(p, eof)
					m.giveAll(j)
					continue
				}
			}
			j.asking = true
			j.more()
		}
	}
}

// giveAll gives those who wait what there is.
func (m *Machine) giveAll(j *Job) {
	for len(j.askers) > 0 && (len(j.input) > 0 || j.eof) {
		m.giveInput(j, &m.cores[j.askers[0]])
		j.askers = j.askers[1:]
	}
}

func (m *Machine) giveInput(j *Job, c *core) {
	if !c.parkedFor(forInput) {
		return
	}
	a := c.hart.X[registerArg0:]
	b, writable := m.at(c, a[1], int(min(a[2], maxTransfer)))
	if b == nil || !writable {
		m.resume(c, errorValue(syscall.EFAULT))
		return
	}
	n := copy(b, j.input)
	if j.input = j.input[n:]; len(j.input) == 0 {
		j.input = nil
	}
	m.resume(c, uint32(n))
}

// speak passes on what was written in the epoch, in order of time.
func (m *Machine) speak() {
	var all []saying
	for _, w := range m.workers {
		all = append(all, w.says...)
		clear(w.says)
		w.says = w.says[:0]
	}
	slices.SortFunc(all, func(a, b saying) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.core, b.core), cmp.Compare(a.seq, b.seq))
	})
	var out outflow
	for i := range all {
		s := &all[i]
		c := &m.cores[s.core]
		if s.host >= 0 {
			m.serveReaders(c, uint8(s.host))
			continue
		}
		if len(s.data) > 0 {
			m.show(c, s)
		}
		if j := c.job; j != nil && j.write != nil {
			out.add(j, int(s.fd), s.data)
		}
	}
	out.flush()
}

// An outflow is what cores of a job wrote one after another to one of its files: many
// cores that write a line each cost one call of the host.
type outflow struct {
	j    *Job
	fd   int
	data []byte
}

const outputPiece = 64 << 10

func (o *outflow) add(j *Job, fd int, p []byte) {
	if j != o.j || fd != o.fd || len(o.data)+len(p) > outputPiece {
		o.flush()
		o.j, o.fd = j, fd
	}
	o.data = append(o.data, p...)
}

func (o *outflow) flush() {
	if o.j != nil {
		o.j.failed[o.fd-1] = sys.Errno(o.j.write(o.fd, o.data))
	}
	o.data = o.data[:0]
}

package chans

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"warren/fs"
	"warren/fs/sys"
)

// model is a queue channel as simple as it can be said: what is held, who
// waits, and what each request must have been answered with.
type model struct {
	t       *rapid.T
	ch      *Chan
	r, w    *Port
	cap     int
	held    []string
	writers []asked
	readers []*request
	taken   []asked // delivered, and could be given back
	sent    int
}

// asked is a request and its message.
type asked struct {
	r    *request
	text string
}

// settle moves messages as the rules say, and checks each answer.
func (m *model) settle() {
	for {
		switch {
		case len(m.readers) > 0 && len(m.held) > 0:
			m.give(m.held[0])
			m.held = m.held[1:]
		case len(m.writers) > 0 && len(m.held) < m.cap:
			m.held = append(m.held, m.accepted())
		case len(m.writers) > 0 && len(m.readers) > 0:
			m.give(m.accepted())
		default:
			m.check()
			return
		}
	}
}

func (m *model) give(text string) {
	r := m.readers[0]
	m.readers = m.readers[1:]
	if !r.Answered() || string(r.data) != text {
		m.t.Fatalf("a reader got %q (answered: %v), want %q", r.data, r.Answered(), text)
	}
	m.taken = append(m.taken, asked{r, text})
}

func (m *model) accepted() string {
	w := m.writers[0]
	m.writers = m.writers[1:]
	if !w.r.Answered() || w.r.n != len(w.text) {
		m.t.Fatalf("the writer of %q got %d, %v (answered: %v)", w.text, w.r.n, w.r.err, w.r.Answered())
	}
	return w.text
}

func (m *model) check() {
	for _, r := range m.readers {
		if r.Answered() {
			m.t.Fatalf("a reader that must wait got %q, %v", r.data, r.err)
		}
	}
	for _, w := range m.writers {
		if w.r.Answered() {
			m.t.Fatalf("the writer of %q must wait, and got %d, %v", w.text, w.r.n, w.r.err)
		}
	}
	if s := m.ch.Status(); s.Held != len(m.held) {
		m.t.Fatalf("%d held, want %d", s.Held, len(m.held))
	}
}

func (m *model) Write(*rapid.T) {
	m.sent++
	text := fmt.Sprint("m", m.sent)
	m.writers = append(m.writers, asked{put1(m.w, text), text})
	m.settle()
}

func (m *model) Read(*rapid.T) {
	m.readers = append(m.readers, take1(m.r))
	m.settle()
}

func (m *model) CancelReader(t *rapid.T) {
	if len(m.readers) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.readers)-1).Draw(t, "reader")
	m.readers[i].Interrupt()
	m.readers = slices.Delete(m.readers, i, i+1)
	m.settle()
}

func (m *model) CancelWriter(t *rapid.T) {
	if len(m.writers) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.writers)-1).Draw(t, "writer")
	m.writers[i].r.Interrupt()
	if m.writers[i].r.err == nil {
		t.Fatalf("an interrupted writer got %d", m.writers[i].r.n)
	}
	m.writers = slices.Delete(m.writers, i, i+1)
	m.settle()
}

// GiveBack returns a message that was delivered to its place: the model has
// messages numbered in the order they were accepted.
func (m *model) GiveBack(t *rapid.T) {
	if len(m.taken) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.taken)-1).Draw(t, "taken")
	a := m.taken[i]
	m.taken = slices.Delete(m.taken, i, i+1)
	m.held = append(m.held, a.text)
	slices.SortFunc(m.held, func(a, b string) int { return number(a) - number(b) })
	a.r.lost()
	m.settle()
}

func number(text string) int {
	var n int
	if _, err := fmt.Sscanf(text, "m%d", &n); err != nil {
		panic(err)
	}
	return n
}

func (m *model) SetCap(t *rapid.T) {
	m.cap = rapid.IntRange(0, 4).Draw(t, "cap")
	if err := m.ch.SetCap(m.cap); err != nil {
		t.Fatal(err)
	}
	m.settle()
}

func (m *model) Check(*rapid.T) { m.check() }

func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ch := New("work", sys.Nobody())
		m := &model{t: t, ch: ch, r: ch.Open(true, false, false), w: ch.Open(false, true, false), cap: DefaultCap}
		t.Repeat(rapid.StateMachineActions(m))
	})
}

// However writes cut their lines and messages, a reader of lines gets each
// writer's lines, whole and in order.
func TestLinesHoweverCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ch := New("work", sys.Nobody())
		if err := ch.SetCap(rapid.IntRange(0, 5).Draw(t, "cap")); err != nil {
			t.Fatal(err)
		}
		ch.SetHangup(true)
		reader := ch.Open(true, false, true)
		texts := rapid.SliceOfN(rapid.StringMatching(`([a-c]{0,4}\n){0,6}[a-c]{0,3}`), 1, 3).Draw(t, "texts")
		ports := make([]*Port, len(texts))
		rest := make([]string, len(texts))
		for i, text := range texts {
			ports[i] = ch.Open(false, true, true)
			// A writer's mark begins its lines, so that they can be told apart.
			rest[i] = strings.Join(marked(text, i), "")
		}
		got := make([]string, len(texts))
		read := func() string {
			r := take1(reader)
			if !r.Answered() {
				r.Interrupt()
				return ""
			}
			if len(r.data) > 0 {
				got[r.data[0]-'0'] += string(r.data)
			}
			return string(r.data)
		}
		for slices.ContainsFunc(rest, func(s string) bool { return s != "" }) {
			i := rapid.IntRange(0, len(texts)-1).Draw(t, "writer")
			n := rapid.IntRange(0, len(rest[i])).Draw(t, "bytes")
			w := put1(ports[i], rest[i][:n])
			for !w.Answered() {
				if rapid.Bool().Draw(t, "interrupt") {
					w.Interrupt()
					break
				}
				read()
			}
			rest[i] = rest[i][w.n:]
		}
		for i, p := range ports {
			p.Close()
			for read() != "" {
			}
			if want := strings.Join(marked(texts[i], i), ""); got[i] != want {
				t.Fatalf("writer %d wrote %q, read was %q", i, want, got[i])
			}
		}
		if s := ch.Status(); s.Held != 0 || ch.tails != 0 || s.Sent != s.Received {
			t.Fatalf("left over: %+v, %d tails", s, ch.tails)
		}
	})
}

func marked(text string, mark int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, fmt.Sprint(mark)+line)
	}
	return lines
}

// A front end's open files, 100 of each kind, that are interrupted and whose
// replies are lost at random: each message is read once.
func TestEveryMessageOnceWhateverIsCancelled(t *testing.T) {
	for _, bound := range []int{0, 3} {
		t.Run(fmt.Sprint("cap ", bound), func(t *testing.T) { stormOf(t, bound, 100, 100, 50) })
	}
}

func stormOf(t *testing.T, bound, writers, readers, each int) {
	ch := New("work", sys.Nobody())
	if err := ch.SetCap(bound); err != nil {
		t.Fatal(err)
	}
	var read, wrote sync.WaitGroup
	seen := make([][]string, readers)
	for i := range readers {
		port := ch.Open(true, false, false)
		read.Go(func() { seen[i] = readAll(port, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	for i := range writers {
		port := ch.Open(false, true, false)
		wrote.Go(func() { writeAll(t, port, i, each, rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	wrote.Wait()
	ch.Close()
	read.Wait()
	// A message that was given back after the last reader had seen the end
	// is still in the channel.
	last := ch.Open(true, false, false)
	seen = append(seen, readAll(last, rand.New(rand.NewPCG(3, 3))))
	count := make(map[string]int)
	for _, texts := range seen {
		for _, text := range texts {
			count[text]++
		}
	}
	for w := range writers {
		for k := range each {
			if text := fmt.Sprint(w, " ", k); count[text] != 1 {
				t.Errorf("message %q was read %d times", text, count[text])
			}
		}
	}
	if s := ch.Status(); len(count) != writers*each || s.Sent != s.Received || s.Sent != int64(writers*each) || s.Held != 0 {
		t.Errorf("%d different messages; status %+v", len(count), s)
	}
}

// readAll reads through a front end's stream to the end of file.
func readAll(port *Port, rnd *rand.Rand) []string {
	stream := fs.NewMessages(port, nil)
	var texts []string
	for {
		r := newRequest(false)
		stream.Read(&r.Call, -1)
		if rnd.IntN(4) == 0 {
			r.Interrupt()
		}
		<-r.done
		switch {
		case r.err != nil: // interrupted
		case len(r.data) == 0:
			return texts
		case rnd.IntN(8) == 0:
			r.lost()
		default:
			texts = append(texts, string(r.data))
		}
	}
}

func writeAll(t *testing.T, port *Port, writer, each int, rnd *rand.Rand) {
	for k := range each {
		text := fmt.Sprint(writer, " ", k)
		for sent := false; !sent; {
			r := newRequest(false)
			port.Put(r, []byte(text))
			if rnd.IntN(4) == 0 {
				r.Interrupt()
			}
			<-r.done
			sent = r.err == nil
			if sent && r.n != len(text) {
				t.Errorf("%d of %d bytes were accepted", r.n, len(text))
			}
		}
	}
}

// One writer's messages come in its order to every reader, however many there are.
func TestOrderOfAWriterAmongManyReaders(t *testing.T) {
	const writers, readers, each = 8, 8, 500
	ch := New("work", sys.Nobody())
	if err := ch.SetCap(2); err != nil {
		t.Fatal(err)
	}
	ch.SetHangup(true)
	var all sync.WaitGroup
	ports := make([]*Port, writers)
	for i := range ports {
		ports[i] = ch.Open(false, true, false)
	}
	for i, port := range ports {
		all.Go(func() {
			for k := range each {
				<-put1(port, fmt.Sprint(i, " ", k)).done
			}
			port.Close()
		})
	}
	total := make([]int, readers)
	for i := range readers {
		port := ch.Open(true, false, false)
		all.Go(func() { total[i] = readInOrder(t, port, writers) })
	}
	all.Wait()
	sum := 0
	for _, n := range total {
		sum += n
	}
	if sum != writers*each {
		t.Errorf("%d messages were read of %d", sum, writers*each)
	}
}

func readInOrder(t *testing.T, port *Port, writers int) int {
	last := make([]int, writers)
	for n := 0; ; n++ {
		r := take1(port)
		<-r.done
		if len(r.data) == 0 {
			return n
		}
		var w, k int
		if _, err := fmt.Sscan(string(r.data), &w, &k); err != nil {
			t.Error(err)
			return n
		}
		if k < last[w] {
			t.Errorf("message %d of writer %d came after %d", k, w, last[w])
		}
		last[w] = k
	}
}

// benchCall is a call that costs nothing.
type benchCall struct{ got int }

func (c *benchCall) Deliver(p []byte, _ func()) bool { c.got += len(p); return true }
func (c *benchCall) Done(int) bool                   { return true }
func (c *benchCall) Fail(error) bool                 { return true }
func (c *benchCall) Park(func())                     {}
func (c *benchCall) Nonblock() bool                  { return false }

func BenchmarkHandoffToWaitingReader(b *testing.B) {
	ch := New("work", sys.Nobody())
	r, w := ch.Open(true, false, false), ch.Open(false, true, false)
	msg := make([]byte, 64)
	var reader, writer benchCall
	b.ReportAllocs()
	for b.Loop() {
		r.Take(&reader)
		w.Put(&writer, msg)
	}
}

func BenchmarkQueued(b *testing.B) {
	ch := New("work", sys.Nobody())
	r, w := ch.Open(true, false, false), ch.Open(false, true, false)
	msg := make([]byte, 64)
	var reader, writer benchCall
	b.ReportAllocs()
	for b.Loop() {
		w.Put(&writer, msg)
		r.Take(&reader)
	}
}

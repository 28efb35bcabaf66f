package ninep

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/sys"
)

// FuzzModel turns its input into requests on a few fids, tags and files, and
// compares every answer with what a model says that it must be.
func FuzzModel(f *testing.F) {
	f.Fuzz(func(t *testing.T, dialect uint8, script []byte) {
		if err := playModel(t, Dialect(dialect%3), script, ""); err != nil {
			t.Fatal(err)
		}
	})
}

// TestModel plays random scripts, the same ones each time.
func TestModel(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 2000))
	for i := range 1000 {
		if err := playModel(t, Dialect(i%3), randomScript(random), ""); err != nil {
			t.Fatalf("script %d: %v", i, err)
		}
	}
}

// TestModelSeesFaults has the tree, or the connection, do one thing wrong: that
// must not take the model long to find.
func TestModelSeesFaults(t *testing.T) {
	for _, fault := range []string{"glued", "stays", "makes", "tail", "counts", "up", "accepts", "secret", "number"} {
		t.Run(fault, func(t *testing.T) {
			random := rand.New(rand.NewPCG(9, 2000))
			for i := range 1000 {
				if err := playModel(t, Dialect(i%3), randomScript(random), fault); err != nil {
					t.Logf("found by script %d: %v", i, err)
					return
				}
			}
			t.Error("the model does not see this fault")
		})
	}
}

func randomScript(random *rand.Rand) []byte {
	script := make([]byte, 4*modelSteps)
	for i := range script {
		script[i] = byte(random.Uint32())
	}
	return script
}

// modelSteps bounds a script: each step is four bytes.
const modelSteps = 60

// A play is a script being played to a server and to its model.
type play struct {
	k     *talker
	m     *model
	tr    *tree
	tag   uint16
	count int
	last  Msg // Tread
	trace []string
}

// playModel says where server and model differ.
func playModel(tb testing.TB, d Dialect, script []byte, fault string) error {
	tr := newTreeOf(3)
	tr.broken = fault
	ours, theirs := socketPair(tb)
	srv := &Server{Root: tr.top, Users: new(sys.Users), MaxFids: modelFids, MaxCalls: modelCalls}
	if d == Classic {
		ours = lines["goroutine"](ours)
	}
	admit(srv, ours, Identity{User: glenda})
	hangUp := func() {
		theirs.Close()
		srv.gate.done.Wait()
		srv.Close()
	}
	defer hangUp()
	p := &play{k: newTalker(tb, twister{theirs, fault}, d), m: newModel(d, tr), tr: tr, tag: 100}
	if err := theirs.SetDeadline(time.Now().Add(modelPatience)); err != nil {
		return err
	}
	err := p.begin()
	for ; err == nil && len(script) >= 4 && p.count < modelSteps; script = script[4:] {
		p.count++
		err = p.step(script[0], script[1], script[2], script[3])
	}
	if err == nil {
		err = p.say(&Msg{Type: Tversion, Tag: NoTag, Msize: modelMsize, Version: d.String()})
	}
	if err != nil {
		return fmt.Errorf("%w\n%v:\n%s", err, d, strings.Join(p.trace, "\n"))
	}
	hangUp()
	return p.tr.wrongs()
}

// modelPatience is how long a play may take, and a wait in it.
const modelPatience = 20 * time.Second

func (p *play) begin() error {
	if err := p.say(&Msg{Type: Tversion, Tag: NoTag, Msize: modelMsize, Version: p.k.d.String()}); err != nil {
		return err
	}
	return p.say(&Msg{Type: Tattach, Tag: 1, Fid: 0, Afid: NoFid, NUname: NoUID})
}

// say sends a request and checks the answers.
func (p *play) say(q *Msg) error {
	p.trace = append(p.trace, "> "+q.String())
	p.m.expect(q)
	if err := p.k.send(*q); err != nil {
		return err
	}
	return p.hear(q)
}

// hear reads the answers that must come now, in any order but that of a flush.
func (p *play) hear(q *Msg) error {
	want := p.m.answer
	p.m.answer = nil
	for len(want) > 0 {
		r, err := p.k.recv()
		if err != nil {
			return fmt.Errorf("%d answers are missing: %v: %w", len(want), want, err)
		}
		p.trace = append(p.trace, "< "+r.String())
		i := slices.IndexFunc(want, func(a answer) bool { return a.is(p.k.d, r) })
		if i < 0 {
			return fmt.Errorf("got %v, want %v", r, want)
		}
		want = slices.Delete(want, i, i+1)
		if r.Type == Rflush && slices.ContainsFunc(want, func(a answer) bool { return a.tag == q.Oldtag }) {
			return fmt.Errorf("%v comes before the answer that it is about: %v", r, want)
		}
	}
	waiting := 0
	for _, name := range []string{"stream", "waits", "partly"} {
		waiting += len(p.m.root.kid(name).waiting)
	}
	if !p.tr.awaitFor(&p.tr.parked, waiting, modelPatience) {
		return fmt.Errorf("not %d calls wait, as they should", waiting)
	}
	return nil
}

func (a answer) String() string {
	if a.errno != 0 {
		return fmt.Sprintf("error %d (%v) tag=%d", a.errno, a.errno, a.tag)
	}
	return fmt.Sprintf("%v tag=%d %s", a.ty, a.tag, a.why)
}

func (a answer) is(d Dialect, r *Msg) bool {
	switch {
	case r.Tag != a.tag:
		return false
	case a.errno == 0:
		return r.Type == a.ty && (a.check == nil || a.check(r))
	case d == Classic:
		return r.Type == Rerror && r.Ename != ""
	case d == DotU:
		return r.Type == Rerror && r.Errno == uint32(a.errno)
	}
	return r.Type == Rlerror && r.Errno == uint32(a.errno)
}

// modelOps are what steps do, the frequent ones several times.
var modelOps = [...]Type{
	Twalk, Twalk, Twalk, Topen, Topen, Tread, Tread, Tread, Twrite, Twrite, Tflush, Tflush, Tclunk, Tclunk,
	Tcreate, Tremove, Tstat, Twstat, Tattach, Tattach, Treaddir, Tmkdir, Tunlinkat, Txattrwalk, Tlock, Tgetlock,
	opPut, opPut, opAccept, opOpen, opOpen, opOpen, opOpen, opMake, opMake, Tversion, Tauth,
}

// What no client does: a message comes to the stream, a call of waits goes on;
// and a walk together with what comes next.
const (
	opPut    Type = 1
	opAccept Type = 3
	opOpen   Type = 5
	opMake   Type = 7
)

var modelNames = []string{
	"stream", "text", "ctl", "waits", "stream", "partly", "clone", "many", "sub", "box", "..", "nothing", "a/b", "cloned",
	"deep", "secret", "", "f1", "big", "new", "stream", "box", ".",
}

var (
	modelModes  = []uint8{0, 1, 2, 3, 0x10, 0x11, 0x40, 0x42, 0x80, 0x82, 2, 0}
	modelFlags  = []uint32{0, 1, 2, 3, LTrunc, LTrunc | 1, LNonblock, LNonblock | 2, LDirectory, LCreate | 1, LCreate | LExcl, 2}
	modelAnames = []string{"", "/", "/sub", "/sub/deep", "/text", "/none", "v9fs", "/sub,v9fs", "/,odd"}
)

// step plays four bytes: what, on which fid, and two that depend.
func (p *play) step(op, a, b, c byte) error {
	q := p.request(modelOps[int(op)%len(modelOps)], a, b, c)
	switch q.Type {
	case opPut:
		msg := fmt.Sprintf("message %d", p.count)
		p.trace = append(p.trace, "! put "+msg)
		if b%4 == 0 { // as long as a read can be
			msg += strings.Repeat(".", modelMsize-IOSize-1-len(msg))
		}
		p.m.put(p.m.root.kid("stream"), msg)
		p.tr.find("stream").src.put([]byte(msg))
		return p.hear(q)
	case opAccept:
		p.trace = append(p.trace, "! accept")
		if p.m.accept(p.m.root.kid("waits")) {
			p.tr.find("waits").src.accept()
		}
		return p.hear(q)
	case opOpen, opMake:
		return p.both(q, b, c)
	}
	return p.ask(q)
}

// both walks from the root, and then opens what it found or makes something in
// the box.
func (p *play) both(q *Msg, b, c byte) error {
	walk := &Msg{Type: Twalk, Tag: q.Tag, Newfid: p.spare(), Names: []string{q.Name}}
	ty := Topen
	switch {
	case q.Type == opMake:
		ty, walk.Names[0] = []Type{Tcreate, Tmkdir}[c%2], "box"
	case b%2 == 0:
		walk.Names[0] = "stream"
	}
	if err := p.say(walk); err != nil {
		return err
	}
	next := p.request(ty, 255, b, c)
	next.Fid = walk.Newfid
	switch {
	case ty != Topen: // a directory that may go with its fid
		next.Name, next.Perm, next.Mode = []string{"new", "other"}[b%2], DMDir, []uint8{0, ModeRClose}[c>>1%2]
	case b%4 == 0:
		next.Mode, next.Flags = ModeRDWR, LRdWr
	}
	return p.ask(next)
}

// spare is the least number that no fid has.
func (p *play) spare() uint32 {
	for num := uint32(1); ; num++ {
		if p.m.fids[num] == nil {
			return num
		}
	}
}

// ask says what a request is called in the dialect, if it has it.
func (p *play) ask(q *Msg) error {
	linux := map[Type]Type{Topen: Tlopen, Tcreate: Tlcreate, Tstat: Tgetattr, Twstat: Tsetattr}
	if ty, ok := linux[q.Type]; ok && p.k.d == DotL {
		q.Type = ty
	}
	if !q.Type.In(p.k.d) {
		return nil
	}
	return p.say(q)
}

// request makes a request of four bytes.
func (p *play) request(ty Type, a, b, c byte) *Msg {
	p.tag++
	q := &Msg{
		Type: ty, Tag: p.tag, Fid: p.pick(ty, a), Newfid: uint32(a) % 5, Afid: NoFid, NUname: NoUID,
		Name: modelNames[int(b)%len(modelNames)], Mode: modelModes[int(c)%len(modelModes)], Flags: modelFlags[int(c)%len(modelFlags)],
		Perm: uint32(c>>4%2) * DMDir, Stat: BlankStat(),
	}
	if a&8 == 0 {
		q.Newfid = p.spare()
	}
	if f := p.m.fids[q.Fid]; f != nil && f.file.mutable {
		q.Name = []string{"new", "cloned", "other", "new", q.Name}[b%5]
	}
	q.Names = []string{q.Name, modelNames[int(c)%len(modelNames)], "text"}[:[]int{1, 1, 0, 2, 1, 3, 1, 1}[a>>5]]
	if waiting := p.m.calls; len(waiting) > 0 {
		q.Oldtag = waiting[int(b)%len(waiting)].tag
		if c%16 == 15 {
			q.Tag = q.Oldtag // which is in use
		}
	}
	switch ty {
	case Tversion:
		q.Tag, q.Msize, q.Version = NoTag, modelMsize, p.k.d.String()
	case Tattach:
		q.Aname = modelAnames[int(b)%len(modelAnames)]
		if p.m.fids[0] == nil {
			q.Fid = 0
		}
	case Tread, Treaddir:
		p.place(q, b, c)
		if c%4 == 3 && q.Type == p.last.Type { // the same again
			q.Fid, q.Offset, q.Count = p.last.Fid, p.last.Offset, p.last.Count
		}
		p.last = *q
	case Twrite:
		q.Data = []byte([]string{fmt.Sprintf("written %d", p.count), "bad", "", "x"}[b%4])
	case Twstat:
		p.settings(q, b)
	case Tunlinkat:
		q.Flags = uint32(c%2) * 0x200
	case Txattrwalk:
		q.Name = []string{fs.ErrorAttr, "", fs.ErrorAttr, "user.other"}[b%4]
	case Tlock, Tgetlock:
		q.Lock = Lock{Type: b % 3, PID: uint32(c) % 2, Client: "c"}
	}
	return q
}

// pick picks a fid that a request may be good for, most of the time.
func (p *play) pick(ty Type, a byte) uint32 {
	var good []uint32
	for num := range uint32(8) {
		f := p.m.fids[num]
		if f == nil {
			continue
		}
		fits := true
		switch ty {
		case Tread:
			fits = f.open && f.read
		case Twrite:
			fits = f.open && f.write
		case Topen:
			fits = !f.open
		case Treaddir:
			fits = f.open && f.dir()
		case Tlock, Tgetlock:
			fits = f.open
		case Tcreate:
			fits = f.file.mutable && !f.open
		case Tmkdir, Tunlinkat:
			fits = f.file.mutable
		case Tclunk, Tremove:
			fits = num > 0
		}
		if fits {
			good = append(good, num)
		}
	}
	if len(good) == 0 || a >= 224 {
		return uint32(a) % 5
	}
	return good[int(a)%len(good)]
}

// place says where to read, and how much.
func (p *play) place(q *Msg, b, c byte) {
	f := p.m.fids[q.Fid]
	if f == nil {
		return
	}
	counts := []uint32{100, 3, f.iounit, 0, 1, 1 << 31, f.rest.hi, f.rest.lo, 60, 200, 4000}
	q.Count = counts[int(b)%len(counts)]
	switch {
	case f.rest.hi > 0 && c%2 == 0: // as Linux goes on
		q.Offset, q.Count = uint64(f.rest.end), f.rest.hi
	case q.Type == Treaddir:
		q.Offset = []uint64{0, f.next, 1}[c%3]
	case f.dir():
		q.Offset = []uint64{0, f.off, f.off + 1, f.off}[c%4]
	case f.handle != nil:
		start := uint64(max(f.handle.start, 0))
		end := start + uint64(len(f.handle.last))
		q.Offset = []uint64{0, end, uint64(f.rest.end), 3, 19998, start + 2, end, 1 << 63}[c%8]
	}
}

// settings says what to set.
func (p *play) settings(q *Msg, b byte) {
	s := &q.Stat
	switch b % 7 {
	case 1:
		s.Name = "other"
	case 2:
		s.Name = "text"
	case 3:
		s.Mode, q.Set.Valid = 0o600, SetMode
	case 4:
		s.Mode = 0o600 | DMDir
	case 5:
		s.NUID, q.Set.Valid, q.Set.UID = 7, SetUID, 7
	case 6:
		s.Length, q.Set.Valid = 0, SetSize
	}
}

// A twister is a connection on which some answers are wrong.
type twister struct {
	net.Conn
	fault string
}

func (w twister) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > HeaderSize && w.fault == "number" && Type(b[4]) == Rwrite {
		b[HeaderSize]++
	}
	return n, err
}

// wrongs says what the tree saw that must not be.
func (t *tree) wrongs() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) > 0 || t.opens+t.refs+t.parked != 0 {
		return fmt.Errorf("%v; %d handles are open, %d nodes not released, %d calls parked", t.faults, t.opens, t.refs, t.parked)
	}
	return nil
}

// awaitFor is await for a while.
func (t *tree) awaitFor(what *int, want int, d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	late := false
	timer := time.AfterFunc(d, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		late = true
		t.change.Broadcast()
	})
	defer timer.Stop()
	for *what != want && !late {
		t.change.Wait()
	}
	return *what == want
}

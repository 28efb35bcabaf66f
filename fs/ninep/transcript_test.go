package ninep

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTranscripts replays what clients say and what the server must answer.
// See testdata/9p/README for the form of the files.
func TestTranscripts(t *testing.T) {
	for _, script := range transcripts(t) {
		for kind, wrap := range lines {
			t.Run(script.name+"/"+kind, func(t *testing.T) { replay(t, script.text, wrap) })
		}
	}
}

// A transcript is a session of a test file.
type transcript struct{ name, text string }

func transcripts(t *testing.T) (all []transcript) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/9p/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "\n== ")[1:] {
			title, script, _ := strings.Cut(part, "\n")
			name := fmt.Sprintf("%s/%d %s", strings.TrimSuffix(filepath.Base(file), ".txt"), i+1, title)
			all = append(all, transcript{name, script})
		}
	}
	return all
}

// player is one transcript being replayed.
type player struct {
	*testing.T
	tree *tree
	nc   net.Conn
	r    *bufio.Reader
	dec  Decoder
	send []byte // > lines are sent together
}

// lines are the transports of either kind.
var lines = map[string]func(net.Conn) net.Conn{
	"reactor":   func(nc net.Conn) net.Conn { return nc },
	"goroutine": func(nc net.Conn) net.Conn { return struct{ net.Conn }{nc} },
}

func replay(t *testing.T, script string, wrap func(net.Conn) net.Conn) {
	tr := newTree()
	id := Identity{User: glenda, PID: 42}
	if strings.HasPrefix(script, "! nobody\n") {
		id = Identity{}
	}
	srv := &Server{MaxFids: 40, MaxCalls: 8}
	nc := serveTreeAs(t, tr, srv, id, wrap)
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := &player{T: t, tree: tr, nc: nc, r: bufio.NewReader(nc)}
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rest := strings.TrimSpace(line[1:])
		switch line[0] {
		case '>':
			p.request(rest)
		case '<':
			p.flush()
			p.expect(rest)
		case '!':
			p.flush()
			p.act(rest)
		default:
			t.Fatalf("line is none of > < ! #: %s", line)
		}
	}
	p.flush()
	p.silence()
}

func (p *player) request(line string) {
	var m Msg
	name, rest, _ := strings.Cut(line, " ")
	if name == "raw" { // literal bytes
		s, err := strconv.Unquote(rest)
		if err != nil {
			p.Fatalf("%s: %v", line, err)
		}
		p.send = append(p.send, s...)
		return
	}
	m.Type, m.NUname, m.Stat = typeOf(name), NoUID, BlankStat()
	for _, kv := range words(rest) {
		key, value, _ := strings.Cut(kv, "=")
		if err := assign(fieldOf(&m, key), value); err != nil {
			p.Fatalf("%s: %s: %v", line, kv, err)
		}
	}
	if m.Type == Tversion {
		if d, ok := dialectOf(m.Version); ok {
			p.flush()
			p.dec.Dialect = d
		}
	}
	b, err := Append(p.send, p.dec.Dialect, &m)
	if err != nil && !m.Type.In(p.dec.Dialect) { // what another dialect has
		for d := Classic; d <= DotL && err != nil; d++ {
			b, err = Append(p.send, d, &m)
		}
	}
	if err != nil {
		p.Fatalf("%s: %v", line, err)
	}
	p.send = b
}

func (p *player) flush() {
	if len(p.send) == 0 {
		return
	}
	if _, err := p.nc.Write(p.send); err != nil {
		p.Fatal(err)
	}
	p.send = nil
}

func (p *player) expect(line string) {
	p.Helper()
	if line == "closed" {
		if m, err := p.read(); err == nil {
			p.Fatalf("got %v, want the connection closed", m)
		}
		return
	}
	m, err := p.read()
	if err != nil {
		p.Fatalf("want %s, got %v", line, err)
	}
	name, rest, _ := strings.Cut(line, " ")
	if m.Type.String() != name {
		p.Fatalf("got  %v\nwant %s", m, line)
	}
	for _, kv := range words(rest) {
		key, value, _ := strings.Cut(kv, "=")
		got := fieldOf(m, key)
		if key == "entries" {
			p.entries(m, value)
			continue
		}
		want := reflect.New(reflect.TypeOf(got).Elem())
		if err := assign(want.Interface(), value); err != nil {
			p.Fatalf("%s: %s: %v", line, kv, err)
		}
		if text := string(appendText(nil, got)); text != string(appendText(nil, want.Interface())) {
			p.Fatalf("%s is %s\ngot  %v\nwant %s", key, text, m, line)
		}
	}
}

// entries compares the names in the data of a directory read.
func (p *player) entries(m *Msg, want string) {
	p.Helper()
	var names []string
	var err error
	for b := m.Data; len(b) > 0 && err == nil; {
		if p.dec.Dialect == DotL {
			var de Dirent
			b, err = p.dec.DecodeDirent(b, &de)
			names = append(names, de.Name)
		} else {
			var s Stat
			b, err = p.dec.DecodeStat(b, &s)
			names = append(names, s.Name)
		}
	}
	if got := strings.Join(names, ","); err != nil || got != want {
		p.Fatalf("entries are %s, %v, want %s", got, err, want)
	}
}

func (p *player) read() (*Msg, error) {
	frame, err := ReadFrame(p.r, nil, MaxMsize)
	if err != nil {
		return nil, err
	}
	m := new(Msg)
	return m, p.dec.Decode(m, frame)
}

// act does what is no message.
func (p *player) act(line string) {
	w := words(line)
	number := func() int {
		n, err := strconv.Atoi(w[len(w)-1])
		if err != nil {
			p.Fatal(err)
		}
		return n
	}
	switch w[0] {
	case "put":
		msg, err := strconv.Unquote(w[2])
		if err != nil {
			p.Fatal(err)
		}
		p.tree.find(w[1]).src.put([]byte(msg))
	case "accept":
		p.tree.find(w[1]).src.accept()
	case "parked":
		p.tree.await(&p.tree.parked, number())
	case "open":
		p.tree.await(&p.tree.opens, number())
	case "queued":
		src := p.tree.find(w[1]).src
		src.mu.Lock()
		defer src.mu.Unlock()
		if len(src.queue) != number() {
			p.Fatalf("%d messages are queued: %s", len(src.queue), line)
		}
	case "wrote":
		p.tree.mu.Lock()
		defer p.tree.mu.Unlock()
		if got := strconv.Quote(strings.Join(p.tree.lines, "")); got != w[1] {
			p.Fatalf("ctl got %s, want %s", got, w[1])
		}
	case "hangup":
		p.nc.Close()
	case "nobody":
	default:
		p.Fatalf("unknown action %q", line)
	}
}

// silence checks that the server has no more to say.
func (p *player) silence() {
	if uc, ok := p.nc.(interface{ CloseWrite() error }); ok {
		if uc.CloseWrite() != nil {
			return // hung up in the transcript
		}
	}
	if m, err := p.read(); err == nil {
		p.Errorf("the transcript ends, and the server says %v", m)
	}
}

func typeOf(name string) Type {
	if n, err := strconv.Atoi(name); err == nil {
		return Type(n)
	}
	return Type(slices.IndexFunc(layouts[:], func(l layout) bool { return l.name == name }))
}

// fieldOf returns a pointer to the field that is called key in transcripts;
// stat.Name is a field of a field.
func fieldOf(m *Msg, key string) any {
	if key == "tag" {
		return &m.Tag
	}
	outer, inner, nested := strings.Cut(key, ".")
	for _, f := range layouts[m.Type].fields {
		if f.name == outer && nested {
			return reflect.ValueOf(f.at(m)).Elem().FieldByName(inner).Addr().Interface()
		}
		if f.name == outer {
			return f.at(m)
		}
	}
	return nil
}

// assign parses what appendText prints.
func assign(p any, text string) error {
	v := reflect.ValueOf(p)
	if p == nil {
		return fmt.Errorf("no such field")
	}
	v = v.Elem()
	switch x := p.(type) {
	case *string:
		s, err := strconv.Unquote(text)
		*x = s
		return err
	case *[]byte:
		s, err := strconv.Unquote(text)
		*x = []byte(s)
		return err
	case *[]string:
		*x = nil
		for word := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
			if s, err := strconv.Unquote(word); err == nil {
				*x = append(*x, s)
			}
		}
		return nil
	case *[]Qid:
		*x = nil
		for word := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
			if word != "" {
				*x = append(*x, parseQid(word))
			}
		}
		return nil
	case *Qid:
		*x = parseQid(text)
		return nil
	}
	if text == "~" {
		v.SetUint(1<<v.Type().Bits() - 1)
		return nil
	}
	n, err := strconv.ParseUint(text, 0, v.Type().Bits())
	if err == nil {
		v.SetUint(n)
	}
	return err
}

func parseQid(text string) Qid {
	var q Qid
	number := strings.TrimRight(text, "da")
	switch text[len(number):] {
	case "d":
		q.Type = 0x80
	case "a":
		q.Type = 0x40
	}
	path, vers, _ := strings.Cut(number, ".")
	q.Path, _ = strconv.ParseUint(path, 10, 64)
	v, _ := strconv.ParseUint(vers, 10, 32)
	q.Vers = uint32(v)
	return q
}

// words splits at blanks outside of quotes.
func words(line string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

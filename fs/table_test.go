package fs

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"warren/fs/sys"
)

// reply is a Sink that keeps the answer.
type reply struct {
	data  []byte
	n     int
	err   error
	times int
}

func (r *reply) Data(p []byte, _ func()) { r.data, r.times = append([]byte(nil), p...), r.times+1 }
func (r *reply) Count(n int)             { r.n, r.times = n, r.times+1 }
func (r *reply) Error(err error)         { r.err, r.times = err, r.times+1 }

var (
	root  = &sys.User{Name: "root"}
	alice = &sys.User{UID: 1000, GID: 1000, Name: "alice"}
	bob   = &sys.User{UID: 1001, GID: 1001, Name: "bob", Groups: []uint32{1000}}
)

func call(u *sys.User) (*Call, *reply) {
	r := new(reply)
	c := new(Call)
	c.Init(u, 7, r, 1<<16, false)
	return c, r
}

// A box is a test object: a setting, a history, and boxes in it.
type box struct {
	meta  *sys.Meta
	size  int
	done  []string
	env   []string
	boxes map[string]*box
	next  uint64
}

func (b *box) Meta() *sys.Meta { return b.meta }

func boxDir() *Dir[*box] {
	d := &Dir[*box]{Class: 9, Name: "box", Doc: "a box", Perm: 0o750}
	d.Files = []File[*box]{
		{Name: "status", Perm: 0o640, Kind: Text, Text: func(_ *Call, b *box, p []byte) ([]byte, error) {
			return fmt.Appendf(p, "size %d\n", b.size), nil
		}},
		{Name: "ctl", Perm: 0o640, Kind: Ctl, Verbs: []Verb[*box]{
			{
				Name: "size", Args: "N", Doc: "how big",
				Parse: func(w []string) (func(*Call, *box) error, error) {
					var n int
					if _, err := fmt.Sscanf(w[0], "%d", &n); err != nil {
						return nil, sys.Errorf(syscall.EINVAL, "want a number, not %q", w[0])
					}
					return func(_ *Call, b *box) error {
						if n > 10 {
							return sys.Errorf(syscall.ENOSPC, "size: want %d, 10 is the most", n)
						}
						b.size, b.done = n, append(b.done, w[0])
						return nil
					}, nil
				},
				Dump: func(b *box) []string { return []string{fmt.Sprint(b.size)} },
			},
			{
				Name: "env", Args: "K=V [X...]", Secret: true,
				Parse: func(w []string) (func(*Call, *box) error, error) {
					return func(_ *Call, b *box) error { b.env = w; return nil }, nil
				},
				Dump: func(b *box) []string {
					if b.env == nil {
						return nil
					}
					var q []string
					for _, w := range b.env {
						q = append(q, Quote(w))
					}
					return []string{strings.Join(q, " ")}
				},
			},
			{Name: "lid", Args: "on|off", Parse: func([]string) (func(*Call, *box) error, error) {
				return func(*Call, *box) error { return nil }, nil
			}},
			{Name: "yield", Args: "N | vcore V", Parse: func([]string) (func(*Call, *box) error, error) {
				return func(*Call, *box) error { return nil }, nil
			}},
		}},
		{Name: "clone", Perm: 0o666, Kind: Ctl, Clone: func(c *Call, b *box, up Node) (Node, error) {
			return boxDir().Node(b.add(c.User(), fmt.Sprint(b.next), true), up), nil
		}, Has: func(b *box) bool { return b.boxes != nil }},
	}
	d.Kids = &Kids[*box]{
		Walk: func(_ *Call, b *box, up Node, name string) (Node, error) {
			if kid, ok := b.boxes[name]; ok {
				return boxDir().Node(kid, up), nil
			}
			return nil, sys.ErrNotExist
		},
		List: func(b *box, from uint64, yield func(string, uint64) bool) {
			for i := from; i < b.next; i++ {
				for name, kid := range b.boxes {
					if kid.meta.Serial == i && !yield(name, i+1) {
						return
					}
				}
			}
		},
		Make: func(c *Call, b *box, name string) error {
			if b.boxes[name] != nil {
				return sys.ErrExist
			}
			b.add(c.User(), name, false)
			return nil
		},
		Remove: func(_ *Call, b *box, name string) error {
			b.boxes[name].meta.Retire()
			delete(b.boxes, name)
			return nil
		},
	}
	return d
}

func (b *box) add(u *sys.User, name string, cloned bool) *box {
	kid := &box{meta: sys.NewMeta(b.next, name, u)}
	if cloned {
		kid.meta.SetCloned()
	}
	b.next++
	b.boxes[name] = kid
	return kid
}

func newTree() (*box, Node, *Env) {
	b := &box{meta: sys.NewMeta(1<<40, "", root), boxes: map[string]*box{}, next: 1}
	b.meta.Chmod("", 0o777)
	env := new(Env)
	return b, boxDir().Root(b, env), env
}

func walk(t *testing.T, n Node, u *sys.User, path string) Node {
	t.Helper()
	c, _ := call(u)
	for name := range strings.SplitSeq(path, "/") {
		next, err := n.Walk(c, name)
		if err != nil {
			t.Fatalf("walk %s at %s: %v", path, name, err)
		}
		n = next
	}
	return n
}

func open(t *testing.T, n Node, u *sys.User, f Flags) Handle {
	t.Helper()
	c, _ := call(u)
	h, _, err := n.Open(c, f)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return h
}

func write(h Handle, u *sys.User, text string) (int, error) {
	c, r := call(u)
	h.Write(c, []byte(text), 0)
	return r.n, r.err
}

func read(h Handle, u *sys.User, off int64) string {
	c, r := call(u)
	h.Read(c, off)
	return string(r.data)
}

func TestCtlErrors(t *testing.T) {
	_, n, _ := newTree()
	h := open(t, walk(t, n, root, "ctl"), root, OWrite)
	for _, tt := range []struct{ in, want string }{
		{"siez 3", `ctl: unknown verb "siez" (size?)`},
		{"frobnicate", `ctl: unknown verb "frobnicate" (one of: size env lid yield)`},
		{"size", `size: wrong arguments (usage: size N)`},
		{"size 1 2", `size: wrong arguments (usage: size N)`},
		{"size x", `size: want a number, not "x"`},
		{"size 11", `size: want 11, 10 is the most`},
		{"lid onn", `lid: want on|off, not "onn" (on?)`},
		{"lid 'on", `ctl: a quote is open: 'on`},
		{"yield vcor 1", `yield: wrong arguments (usage: yield N | vcore V)`},
		{"size 1\nsize 2", `ctl: the last line "size 2" is cut off: end each line with a newline`},
		{"size 1\nsize x\n", `size: want a number, not "x"`},
		{"size \x00", `ctl: commands are text: this is not UTF-8, or has a NUL in it`},
	} {
		if _, err := write(h, root, tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.in, err, tt.want)
		}
	}
	if got := read(open(t, walk(t, n, root, "status"), root, ORead), root, 0); got != "size 0\n" {
		t.Errorf("a refused command changed something: %q", got)
	}
}

func TestCtlLinesStopAtTheFailedOne(t *testing.T) {
	b, n, _ := newTree()
	h := open(t, walk(t, n, root, "ctl"), root, OWrite)
	text := "size 1\n\n# all good\nsize 2\nsize 99\nsize 3\n"
	got, err := write(h, root, text)
	if err != nil {
		t.Fatal(err)
	}
	if rest := text[got:]; rest != "size 99\nsize 3\n" {
		t.Errorf("what is left to write is %q", rest)
	}
	if b.size != 2 || len(b.done) != 2 {
		t.Errorf("size %d after %v", b.size, b.done)
	}
	if _, err := write(h, root, text[got:]); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing the rest: %v", err)
	}
}

func TestSettingsAreTold(t *testing.T) {
	_, n, env := newTree()
	var told []string
	env.Changed = func(path, command string) { told = append(told, path+": "+command) }
	h := open(t, walk(t, n, root, "ctl"), root, OWrite)
	_, _ = write(h, root, "size 3\nlid on\nenv 'A=not to be told'\nsize 99\n") // an action, a secret, and one that fails
	c, _ := call(root)
	for _, ch := range []Change{{Op: OpSet, Set: SetMode, Mode: 0o600}, {Op: OpSet, Set: SetSize}} {
		if err := walk(t, n, root, "ctl").Change(c, ch); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(told, "; "); got != "/ctl: size 3; /ctl: env A; /ctl: chmod 0600" {
		t.Errorf("told: %s", got)
	}
}

func TestDumpRoundTrips(t *testing.T) {
	b, n, _ := newTree()
	h := open(t, walk(t, n, root, "ctl"), root, ORead|OWrite)
	if _, err := write(h, root, "env A='it''s a  #' '' 'two\nlines'\nsize 7\n"); err != nil {
		t.Fatal(err)
	}
	saved := read(h, root, 0)
	b.env, b.size = nil, 0
	if _, err := write(h, root, saved); err != nil {
		t.Fatal(err)
	}
	if got := read(h, root, 0); got != saved {
		t.Errorf("saved %q, restored %q", saved, got)
	}
	if b.env[0] != "A=it's a  #" || b.env[1] != "" || b.env[2] != "two\nlines" {
		t.Errorf("env %q", b.env)
	}
}

func TestReadsContinueASnapshot(t *testing.T) {
	b, n, _ := newTree()
	h := open(t, walk(t, n, root, "status"), root, ORead)
	first := read(h, root, 0)
	b.size = 5
	if rest := read(h, root, 3); rest != first[3:] {
		t.Errorf("torn: %q then %q", first, rest)
	}
	if again := read(h, root, 0); again != "size 5\n" {
		t.Errorf("read again at 0: %q", again)
	}
}

func TestReadAfterWriteBegins(t *testing.T) {
	_, n, _ := newTree()
	h := open(t, walk(t, n, root, "ctl"), root, ORead|OWrite)
	const line = "size 7\n"
	if _, err := write(h, root, line); err != nil {
		t.Fatal(err)
	}
	at := int64(len(line)) // where a shell's descriptor is now
	if got := read(h, root, at); got != "size 7\n" {
		t.Errorf("read behind a write: %q", got)
	}
	if got := read(h, root, at+5); got != "7\n" {
		t.Errorf("and on: %q", got)
	}
	if got := read(h, root, 0); got != "size 7\n" {
		t.Errorf("read at 0: %q", got)
	}
	if got := read(h, root, 5); got != "7\n" {
		t.Errorf("read at 5: %q", got)
	}
}

func TestPermissions(t *testing.T) {
	_, n, env := newTree()
	c, _ := call(alice)
	if err := n.Change(c, Change{Op: OpMake, Name: "mine"}); err != nil {
		t.Fatal(err)
	}
	ctl := walk(t, n, alice, "mine/ctl")
	open(t, ctl, alice, OWrite)
	eve := &sys.User{UID: 2000, GID: 2000, Name: "eve"}
	c, _ = call(eve)
	if _, err := walk(t, n, eve, "mine").Walk(c, "ctl"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("eve looks into alice's box: %v", err)
	}
	if err := n.Change(c, Change{Op: OpRemove, Name: "mine"}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("eve removes alice's box: %v", err)
	}
	if err := ctl.Change(c, Change{Op: OpSet, Set: SetMode, Mode: 0o777}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("eve changes a mode: %v", err)
	}
	cb, _ := call(bob) // of alice's group: may read, not write
	if _, _, err := ctl.Open(cb, ORead); err != nil {
		t.Errorf("group member reads: %v", err)
	}
	if _, _, err := ctl.Open(cb, OWrite); !errors.Is(err, syscall.EACCES) {
		t.Errorf("group member writes: %v", err)
	}
	ca, _ := call(alice)
	if err := ctl.Change(ca, Change{Op: OpSet, Set: SetMode, Mode: 0o660}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ctl.Open(cb, OWrite); err != nil {
		t.Errorf("group member writes after chmod: %v", err)
	}
	if err := walk(t, n, alice, "mine").Change(ca, Change{Op: OpSet, Set: SetUID, UID: 5}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("alice gives a box away: %v", err)
	}
	if log := string(env.Errors.Append(nil, eve.UID)); !strings.Contains(log, "7 /mine rmdir 'not the owner'") {
		t.Errorf("eve's errors: %q", log)
	}
	if log := string(env.Errors.Append(nil, bob.UID)); strings.Contains(log, "owner") {
		t.Errorf("bob sees eve's errors: %q", log)
	}
	cn, _ := call(sys.Nobody())
	if _, _, err := walk(t, n, root, "ctl").Open(cn, ORead); err == nil {
		t.Error("none opens a ctl")
	}
}

func TestNames(t *testing.T) {
	_, n, _ := newTree()
	c, _ := call(alice)
	for name, want := range map[string]syscall.Errno{
		"": syscall.EINVAL, "..": syscall.EINVAL, ".": syscall.EINVAL, "-x": syscall.EINVAL, "a b": syscall.EINVAL,
		"a/b": syscall.EINVAL, "a\x00": syscall.EINVAL, "123": syscall.EINVAL, "é": syscall.EINVAL,
		strings.Repeat("n", 65): syscall.ENAMETOOLONG, strings.Repeat("n", 300): syscall.ENAMETOOLONG,
		"ctl": syscall.EEXIST, "clone": syscall.EEXIST,
		strings.Repeat("n", 64): 0, "a": 0, "1a": 0, "a.b_c-d": 0,
	} {
		err := n.Change(c, Change{Op: OpMake, Name: name})
		if got := sys.Errno(err); got != want {
			t.Errorf("mkdir %q: %v, want %v", name, err, want)
		}
	}
}

func TestCloneLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n, _ := newTree()
		clone := walk(t, n, alice, "clone")
		h := open(t, clone, alice, ORead)
		id := strings.TrimSpace(read(h, alice, 0))
		time.Sleep(10 * cloneTime)
		synctest.Wait()
		if b.boxes[id] == nil {
			t.Fatal("it went while it was open")
		}
		h.Close()
		time.Sleep(cloneTime / 2)
		open(t, walk(t, n, alice, id+"/status"), alice, ORead).Close()
		time.Sleep(10 * cloneTime)
		synctest.Wait()
		if b.boxes[id] == nil {
			t.Fatal("it went though it was used by name")
		}
		h = open(t, clone, alice, ORead)
		id = strings.TrimSpace(read(h, alice, 0))
		h.Close()
		walk(t, n, alice, id+"/status") // a walk is no use
		time.Sleep(cloneTime + time.Second)
		synctest.Wait()
		if b.boxes[id] != nil {
			t.Fatal("it stays though nobody ever used it")
		}
	})
}

func TestRemovedObject(t *testing.T) {
	_, n, _ := newTree()
	c, _ := call(alice)
	if err := n.Change(c, Change{Op: OpMake, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	status := walk(t, n, alice, "x/status")
	ctl := open(t, walk(t, n, alice, "x/ctl"), alice, OWrite)
	if err := n.Change(c, Change{Op: OpRemove, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := write(ctl, alice, "size 1"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a command to a removed object: %v", err)
	}
	if _, _, err := status.Open(c, ORead); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("open of a removed object's file: %v", err)
	}
	if _, err := status.Stat(c); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("stat of a removed object's file: %v", err)
	}
}

func TestListHasNoSideEffectsAndContinues(t *testing.T) {
	b, n, _ := newTree()
	c, _ := call(alice)
	for i := range 100 {
		if err := n.Change(c, Change{Op: OpMake, Name: fmt.Sprintf("b%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for cookie, more := uint64(0), true; more; {
		more = false
		left := 7
		err := n.List(c, cookie, func(s Stat, next uint64) bool {
			if left == 0 {
				more = true
				return false
			}
			left--
			seen[s.Name]++
			cookie = next
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 103 || len(b.boxes) != 100 {
		t.Errorf("%d names, %d boxes", len(seen), len(b.boxes))
	}
	for name, times := range seen {
		if times != 1 {
			t.Errorf("%s listed %d times", name, times)
		}
	}
}

func FuzzCtl(f *testing.F) {
	f.Add("size 3\nenv a b\n")
	f.Add("'size' '3'")
	f.Add("yield vcore 1\n#x\nlid on")
	f.Fuzz(func(t *testing.T, text string) {
		_, n, _ := newTree()
		h := open(t, walk(t, n, root, "ctl"), root, ORead|OWrite)
		got, err := write(h, root, text)
		if err == nil && (got < 0 || got > len(text)) {
			t.Fatalf("%d of %d bytes", got, len(text))
		}
		saved := read(h, root, 0)
		if _, err := write(h, root, saved); err != nil {
			t.Fatalf("%q does not read back: %v", saved, err)
		}
		if again := read(h, root, 0); again != saved {
			t.Fatalf("%q became %q", saved, again)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add("a 'it''s' b")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Words(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, Quote(w))
		}
		again, err := Words(strings.Join(quoted, " "))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(words) || len(again) != len(words) {
			t.Fatalf("%q: %q became %q (%v)", line, words, again, err)
		}
	})
}

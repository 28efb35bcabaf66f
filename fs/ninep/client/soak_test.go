package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// soakEnv names how long TestSoak lasts, as a Go duration; some seconds without.
const soakEnv = "WARREN_SOAK"

// TestSoak lets clients of many kinds, decent ones and others, use one server
// for some time. Then there must be no more goroutines, open files and memory
// than after the beginning of it, and no message must be missing.
func TestSoak(t *testing.T) {
	d := 3 * time.Second
	if text := os.Getenv(soakEnv); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s := newSoak(t)
	s.run(min(d/4, time.Minute)) // whatever is kept for later is there now
	goroutines, heap := s.rest()
	s.run(d - min(d/4, time.Minute))
	moreGoroutines, moreHeap := s.rest()
	const slack = 4 << 20 // buffers that are kept, and what the runtime likes
	if moreHeap > heap+slack || moreGoroutines > goroutines {
		t.Errorf("at first %d goroutines and %d bytes, later %d and %d", goroutines, heap, moreGoroutines, moreHeap)
	}
	t.Logf("%d rounds, %d messages; heap %d, later %d bytes", s.rounds.Load(), s.taken.Load(), heap, moreHeap)
}

// A soak is a server and those who use it.
type soak struct {
	t    *testing.T
	tree *fstest.Tree
	srv  *ninep.Server
	sock string

	rounds, given, taken atomic.Int64
	names                atomic.Int64
}

// soakFids is how many fids a connection may have: a client that leaks any runs
// into that soon.
const soakFids = 64

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, tree: fstest.NewTree(), sock: filepath.Join(t.TempDir(), "s")}
	l, err := ninep.Listen("unix!" + s.sock)
	if err != nil {
		t.Fatal(err)
	}
	s.srv = &ninep.Server{Root: s.tree.Root, Users: new(sys.Users), MaxFids: soakFids, Patience: time.Second}
	done := make(chan error, 1)
	go func() { done <- s.srv.Serve(l) }()
	t.Cleanup(func() {
		s.srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// run has everybody at it for some time.
func (s *soak) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var all sync.WaitGroup
	for who := range uint64(3) {
		for _, act := range []func(context.Context, *client.Client, *rand.Rand) error{s.look, s.talk, s.err, s.talk} {
			all.Go(func() { s.stay(ctx, ninep.Dialect(who), act) })
		}
		for _, act := range []func(context.Context, *rand.Rand) error{s.hangUp, s.babble, s.relay} {
			all.Go(func() {
				random := rand.New(rand.NewPCG(who, 3))
				for ctx.Err() == nil && !s.t.Failed() {
					s.check(act(ctx, random))
				}
			})
		}
	}
	all.Wait()
}

func (s *soak) check(err error) {
	s.rounds.Add(1)
	if err != nil {
		s.t.Error(err)
	}
}

// rest waits until all is quiet, and returns how much there is then.
func (s *soak) rest() (goroutines int, heap uint64) {
	quiet := func() bool {
		_, readers, writers := s.tree.Queue.State()
		return s.srv.Clients() == 0 && s.tree.Opens() == 0 && s.tree.Objects() == 0 && readers+writers == 0
	}
	for end := time.Now().Add(patience); !quiet(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			held, readers, writers := s.tree.Queue.State()
			s.t.Fatalf("%d clients, %d open files, %d objects, %d messages, %d readers and %d writers are left",
				s.srv.Clients(), s.tree.Opens(), s.tree.Objects(), held, readers, writers)
		}
	}
	if held, _, _ := s.tree.Queue.State(); s.given.Load() != s.taken.Load()+int64(held) {
		s.t.Errorf("%d messages were sent, %d came and %d are left", s.given.Load(), s.taken.Load(), held)
	}
	goroutines = runtime.NumGoroutine()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		goroutines = min(goroutines, runtime.NumGoroutine()) // some are on their way out
	}
	var m runtime.MemStats
	for range 3 { // pools give back what they have in two turns
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return goroutines, m.HeapAlloc
}

func (s *soak) dial(d ninep.Dialect) (*client.Client, error) {
	return client.Dial(context.Background(), "unix!"+s.sock, client.Options{
		Dialects: []ninep.Dialect{d}, Streams: []string{"queue"}, Msize: 8 << 10,
	})
}

// stay does the same with one connection until it is over.
func (s *soak) stay(ctx context.Context, d ninep.Dialect, act func(context.Context, *client.Client, *rand.Rand) error) {
	cl, err := s.dial(d)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer cl.Close()
	random := rand.New(rand.NewPCG(uint64(d), 1))
	for ctx.Err() == nil && !s.t.Failed() {
		s.check(act(ctx, cl, random))
	}
}

// look lists, stats and reads.
func (s *soak) look(_ context.Context, cl *client.Client, random *rand.Rand) error {
	ctx := context.Background()
	for _, dir := range []string{"", "objs", "wall"} {
		if _, err := cl.ReadDir(ctx, dir); err != nil && !errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	f, err := cl.Open(ctx, []string{"status", "table", "big/f77"}[random.IntN(3)], fs.ORead)
	if err != nil {
		return err
	}
	if random.IntN(2) == 0 {
		_, err = io.ReadAll(f)
	} else {
		_, err = f.Read(make([]byte, 10))
	}
	return errors.Join(err, f.Close())
}

// moment is a context that ends soon: mostly before there is an answer.
func moment(ctx context.Context, random *rand.Rand) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(random.IntN(2000))*time.Microsecond)
}

// talk sends a message or waits for one, for a moment, which may be too short.
func (s *soak) talk(ctx context.Context, cl *client.Client, random *rand.Rand) error {
	f, err := cl.Open(context.Background(), "queue", fs.ORead|fs.OWrite)
	if err != nil {
		return err
	}
	for range 8 {
		soon, cancel := moment(ctx, random)
		if random.IntN(2) == 0 {
			_, err = f.WriteContext(soon, []byte("message"))
			if err == nil {
				s.given.Add(1)
			}
		} else {
			var n int
			buf := make([]byte, 100)
			n, err = f.ReadContext(soon, buf)
			if err == nil && string(buf[:n]) != "message" {
				err = fmt.Errorf("read %q", buf[:n])
			} else if err == nil {
				s.taken.Add(1)
			}
		}
		cancel()
		if err != nil && soon.Err() == nil || err != nil && !errors.Is(err, soon.Err()) {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// err makes mistakes.
func (s *soak) err(ctx context.Context, cl *client.Client, random *rand.Rand) error {
	mistake := func() error {
		switch random.IntN(5) {
		case 0:
			_, err := cl.Stat(ctx, "nothing/at/all")
			return err
		case 1:
			return cl.Mkdir(ctx, "objs/a b", 0o755)
		case 2:
			return cl.Remove(ctx, "status")
		case 3:
			_, err := cl.Open(ctx, "status", fs.OWrite)
			return err
		}
		f, err := cl.Open(ctx, "ctl", fs.OWrite)
		if err != nil {
			return err
		}
		_, err = f.WriteContext(ctx, []byte(strings.Repeat("fail\n", random.IntN(3)+1)))
		return errors.Join(err, f.Close())
	}
	if err := mistake(); err == nil {
		return errors.New("a mistake is none")
	}
	return nil
}

// hangUp leaves with reads that wait, in an object of its own.
func (s *soak) hangUp(_ context.Context, random *rand.Rand) error {
	ctx := context.Background()
	cl, err := s.dial(ninep.Dialect(random.IntN(3)))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("objs/o%d", s.names.Add(1))
	if err := cl.Mkdir(ctx, name, 0o755); err != nil {
		return err
	}
	var reads sync.WaitGroup
	for range 1 + random.IntN(5) {
		f, err := cl.Open(ctx, name+"/data", fs.ORead)
		if err != nil {
			return err
		}
		for range 1 + random.IntN(3) {
			reads.Go(func() {
				if n, err := f.Read(make([]byte, 10)); err == nil {
					s.t.Errorf("a read gets %d bytes of nothing", n)
				}
			})
		}
	}
	if random.IntN(4) > 0 {
		runtime.Gosched()
	}
	cl.Close()
	reads.Wait()
	if cl, err = s.dial(ninep.DotL); err != nil {
		return err
	}
	defer cl.Close()
	return cl.Remove(ctx, name)
}

// babble says what is no 9P, or half of it.
func (s *soak) babble(_ context.Context, random *rand.Rand) error {
	nc, err := ninep.Dial(context.Background(), "unix!"+s.sock)
	if err != nil {
		return err
	}
	defer nc.Close()
	junk := make([]byte, random.IntN(300))
	for i := range junk {
		junk[i] = byte(random.Uint32())
	}
	version, err := ninep.Append(nil, ninep.Classic, &ninep.Msg{Type: ninep.Tversion, Tag: ninep.NoTag, Msize: 8192, Version: "9P2000"})
	if err != nil {
		return err
	}
	attach, err := ninep.Append(nil, ninep.Classic, &ninep.Msg{Type: ninep.Tattach, Afid: ninep.NoFid})
	if err != nil {
		return err
	}
	// The server may hang up while we talk.
	_, _ = nc.Write([][]byte{junk, append(version, junk...), append(version, attach[:random.IntN(len(attach))]...)}[random.IntN(3)])
	_ = nc.(*net.UnixConn).CloseWrite()
	_, _ = io.Copy(io.Discard, nc) // until it does
	return nil
}

// relay is a server of another's tree, that loses it while it is being used.
func (s *soak) relay(ctx context.Context, random *rand.Rand) error {
	far, err := s.dial(ninep.Dialect(random.IntN(3)))
	if err != nil {
		return err
	}
	defer far.Close()
	here, there, err := socketPair()
	if err != nil {
		return err
	}
	defer here.Close()
	srv := &ninep.Server{Root: far.Node(), Users: new(sys.Users), MaxFids: soakFids}
	var served sync.WaitGroup
	me := &sys.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Name: "me"}
	served.Go(func() { srv.ServeConn(there, ninep.Identity{User: me}) })
	defer served.Wait()
	cl, err := client.New(ctx, here, client.Options{Dialects: []ninep.Dialect{ninep.Dialect(random.IntN(3))}, Uname: "me", Streams: []string{"queue"}})
	if err != nil {
		return only(err, ctx.Err())
	}
	defer cl.Close()
	if _, err := cl.Stat(ctx, "status"); err != nil {
		return only(err, ctx.Err())
	}
	var users sync.WaitGroup
	for range 4 {
		which := random.IntN(3)
		users.Go(func() {
			for err := error(nil); err == nil && ctx.Err() == nil; {
				err = s.through(ctx, cl, which)
			}
		})
	}
	time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond) // not to wait for anything
	far.Close()
	users.Wait()
	return nil
}

// only leaves errors out that came because it was time.
func only(err, over error) error {
	if over != nil {
		return nil
	}
	return err
}

// through uses what may be lost any time.
func (s *soak) through(ctx context.Context, cl *client.Client, which int) error {
	switch which {
	case 0:
		_, err := cl.ReadDir(ctx, "objs")
		return err
	case 1:
		f, err := cl.Open(ctx, "table", fs.ORead)
		if err != nil {
			return err
		}
		_, err = f.Read(make([]byte, 100))
		return errors.Join(err, f.Close())
	}
	_, err := cl.Stat(ctx, "big/f1")
	return err
}

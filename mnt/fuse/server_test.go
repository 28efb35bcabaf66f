package fuse

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	wfs "warren/fs"
	wtest "warren/fs/fstest"
)

// message makes a request as the kernel would: numbers of 4 and 8 bytes, and names.
func message(op uint32, node uint64, fields ...any) []byte {
	b := make([]byte, inHeader)
	binary.NativeEndian.PutUint32(b[4:], op)
	binary.NativeEndian.PutUint64(b[8:], 2) // unique
	binary.NativeEndian.PutUint64(b[16:], node)
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			b = binary.NativeEndian.AppendUint32(b, f)
		case uint64:
			b = binary.NativeEndian.AppendUint64(b, f)
		case string:
			b = append(append(b, f...), 0)
		}
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// TestGiveBack reads messages for a kernel that takes the replies, and for one
// that does not: those go back to where they came from.
func TestGiveBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		taken bool
		held  int
	}{{"taken", true, 1}, {"refused", false, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			defer r.Close()
			if !tt.taken {
				r.Close()
			}
			tree := wtest.NewTree()
			m := newMount(tree.Root, int(w.Fd()), Options{})
			local, err := wtest.Local(tree.Root, wtest.Root()).Open("queue", wfs.OWrite)
			if err != nil {
				t.Fatal(err)
			}
			for _, msg := range []string{"one", "two"} {
				if _, err := local.Write(t.Context(), []byte(msg)); err != nil {
					t.Fatal(err)
				}
			}
			// The reply lies in the worker's memory, whether it is taken or not.
			k := new(worker)
			first := func() uint64 { return binary.NativeEndian.Uint64(k.reply[outHeader:]) }
			m.handle(k, message(opLookup, rootID, "queue"))
			node := first()
			m.handle(k, message(14, node, uint32(syscall.O_RDONLY), uint32(0))) // OPEN
			m.handle(k, message(opRead, node, first(), uint64(0), uint32(100), uint32(2), uint64(0), uint32(0), uint32(0)))
			if got := string(k.reply[outHeader : outHeader+3]); got != "one" {
				t.Errorf("the reply is %q", got)
			}
			if held, _, _ := tree.Queue.State(); held != tt.held {
				t.Errorf("%d messages are held, want %d", held, tt.held)
			}
			m.srv.end()
		})
	}
}

// A far is a node whose machine does not answer.
type far struct {
	wfs.Node
	waits *atomic.Int32
}

func (f far) Qid() wfs.Qid {
	q := f.Node.Qid()
	q.Remote = true
	return q
}

func (f far) Walk(c *wfs.Call, name string) (wfs.Node, error) {
	if name != "far" {
		return f.Node.Walk(c, name)
	}
	ctx, end := c.Context(context.Background())
	defer end()
	f.waits.Add(1)
	defer f.waits.Add(-1)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestFarNode asks a machine that does not answer: who asks can be killed, and
// the mount goes away.
func TestFarNode(t *testing.T) {
	need(t)
	dir := mountPoint(t)
	waits := new(atomic.Int32)
	m, err := Mount(far{wtest.NewTree().Root, waits}, dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	waiting := func(n int32) func() bool { return func() bool { return waits.Load() == n } }
	cmd, end := start(t, []string{"/bin/sh"}, dir, `exec cat $D/far`)
	until(t, "the caller waits", waiting(1))
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := ends(t, "the caller", end); err == nil {
		t.Error("the caller ended well")
	}
	until(t, "nobody waits", waiting(0))
	_, end = start(t, []string{"/bin/sh"}, dir, `exec cat $D/far 2>/dev/null`)
	until(t, "the caller waits", waiting(1))
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	m.Wait()
	if err := ends(t, "the caller", end); err == nil {
		t.Error("the caller ended well")
	}
}

// A gate is a file whose readers wait until it is opened, where they may not:
// they do not park.
type gate struct {
	wfs.Node
	open, waits chan struct{}
}

func (g gate) Walk(c *wfs.Call, name string) (wfs.Node, error) {
	n, err := g.Node.Walk(c, name)
	if err == nil && name == "status" {
		return gate{n, g.open, g.waits}, nil
	}
	return n, err
}

func (g gate) Open(c *wfs.Call, flags wfs.Flags) (wfs.Handle, wfs.Node, error) {
	h, n, err := g.Node.Open(c, flags)
	if g.Qid().Kind == wfs.Directory || err != nil {
		return h, n, err
	}
	return latched{h, g}, g, nil
}

type latched struct {
	wfs.Handle
	g gate
}

func (l latched) Read(c *wfs.Call, off int64) {
	select {
	case <-l.g.open:
	case l.g.waits <- struct{}{}:
		<-l.g.open
	}
	l.Handle.Read(c, off)
}

// TestSlowNode reads files that take long: others are served meanwhile, and each
// of them is waited for once at most.
func TestSlowNode(t *testing.T) {
	g := gate{wtest.NewTree().Root, make(chan struct{}), make(chan struct{})}
	m := mountNode(t, g)
	dir := m.where.dir
	var all []<-chan error
	for range 3 {
		_, end := start(t, []string{"/bin/sh"}, dir, `read x <$D/status`)
		all = append(all, end)
		<-g.waits
		run(t, []string{"/bin/sh"}, dir, `ls -l $D >/dev/null; echo set fine >$D/ctl; cat $D/ctl`)
	}
	slow := func() (n int) {
		m.srv.nodes.mu.RLock()
		defer m.srv.nodes.mu.RUnlock()
		for _, node := range m.srv.nodes.byPath {
			if node.slow.Load()&opBit(opRead) != 0 {
				n++
			}
		}
		return n
	}
	if slow() == 0 {
		t.Error("no node is known to be slow")
	}
	close(g.open)
	for _, end := range all {
		if err := ends(t, "a reader", end); err != nil {
			t.Error(err)
		}
	}
	until(t, "no node is known to be slow", func() bool {
		run(t, []string{"/bin/sh"}, dir, `for i in 1 2 3 4 5 6 7 8 9; do read x <$D/status; read x <$D/ctl; done`)
		return slow() == 0
	})
}

func TestParseMounts(t *testing.T) {
	const text = `22 28 0:21 / /proc rw,relatime - proc proc rw
41 27 0:39 / /a\040b\134c rw,nosuid shared:5 master:1 - fuse.warren warren rw,user_id=0
broken line
42 27 259:1 / /mnt rw - ext4 /dev/x rw
`
	got, err := parseMounts(strings.NewReader(text))
	want := []mountLine{{21, "/proc", "proc"}, {39, `/a b\c`, "fuse.warren"}, {1, "/mnt", "ext4"}}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestHelperErrors(t *testing.T) {
	for _, tt := range []struct {
		out   string
		errno syscall.Errno
	}{
		{"", syscall.EPERM},
		{"fusermount3: failed to unmount /x: Device or resource busy\n", syscall.EBUSY},
		{"fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n", syscall.EPERM},
	} {
		err := helperError([]byte(tt.out), errors.New("exit status 1"))
		if !errors.Is(err, tt.errno) || !strings.Contains(err.Error(), strings.TrimSpace(tt.out)) {
			t.Errorf("%q: %v", tt.out, err)
		}
	}
}

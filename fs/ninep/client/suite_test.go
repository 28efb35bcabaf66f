package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"warren/fs"
	"warren/fs/fstest"
	"warren/fs/ninep"
	"warren/fs/ninep/client"
	"warren/fs/sys"
)

// every has the dialects.
var every = []ninep.Dialect{ninep.Classic, ninep.DotU, ninep.DotL}

// pair returns both ends of a unix socket.
func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	a, b, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

func socketPair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		var fault error
		ends[i], fault = net.FileConn(f)
		err = errors.Join(err, fault, f.Close())
	}
	return ends[0], ends[1], err
}

// dial returns a session of a user with a server of ours.
func dial(t *testing.T, tree *fstest.Tree, u *sys.User, o client.Options) *client.Client {
	t.Helper()
	here, there := pair(t)
	s := &ninep.Server{Root: tree.Root, Users: new(sys.Users)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeConn(there, ninep.Identity{User: u})
	}()
	o.Uname, o.UID, o.Streams = u.Name, &u.UID, []string{"queue"}
	cl, err := client.New(context.Background(), here, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		<-done
	})
	return cl
}

// overClient is the tree through a Client's own methods.
type overClient struct {
	*client.Client
	t *testing.T
}

func (a overClient) Open(path string, f fs.Flags) (fstest.File, error) {
	skipNonblock(a.t, a.Client, f)
	file, err := a.Client.Open(context.Background(), path, f)
	if err != nil {
		return nil, textOnly(err)
	}
	return overFile{file}, nil
}

func (a overClient) Stat(path string) (fs.Stat, error) {
	st, err := a.Client.Stat(context.Background(), path)
	return st, textOnly(err)
}

func (a overClient) ReadDir(path string) ([]fs.Stat, error) {
	all, err := a.Client.ReadDir(context.Background(), path)
	return all, textOnly(err)
}

func (a overClient) Mkdir(path string, mode uint32) error {
	return textOnly(a.Client.Mkdir(context.Background(), path, mode))
}

func (a overClient) Remove(path string) error {
	return removed(a.Client, textOnly(a.Client.Remove(context.Background(), path)))
}

func (a overClient) Chmod(path string, mode uint32) error {
	return textOnly(a.Client.Chmod(context.Background(), path, mode))
}

// LastError is that of the tree: the path makes no difference.
func (a overClient) LastError(string) (string, error) {
	if a.Dialect() != ninep.DotL {
		return "", fstest.ErrNoTexts
	}
	return a.Client.LastError(context.Background())
}

type overFile struct{ *client.File }

func (f overFile) Read(ctx context.Context, p []byte) (int, error) { return f.ReadContext(ctx, p) }

// Write hides that a File goes on after a short write, and so has the error
// which the suite would find with its next write.
func (f overFile) Write(ctx context.Context, p []byte) (int, error) {
	n, err := f.WriteContext(ctx, p)
	if n > 0 && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, textOnly(err)
}

// skipNonblock skips a test of what only 9P2000.L can say.
func skipNonblock(t *testing.T, cl *client.Client, f fs.Flags) {
	if f&fs.ONonblock != 0 && cl.Dialect() != ninep.DotL {
		t.Skipf("%v has no O_NONBLOCK", cl.Dialect())
	}
}

func TestClient(t *testing.T) {
	for _, d := range every {
		t.Run(d.String(), func(t *testing.T) {
			fstest.Run(t, func(t *testing.T, tree *fstest.Tree, u *sys.User) fstest.Access {
				return overClient{dial(t, tree, u, client.Options{Dialects: []ninep.Dialect{d}}), t}
			})
		})
	}
}

// A loose error stands for any number that is compared with it.
type loose struct{ error }

func (l loose) Is(target error) bool {
	_, ok := target.(syscall.Errno)
	return ok
}

// textOnly makes an error loose whose text, which is all that 9P2000 has, is
// not one of those that mean a number.
func textOnly(err error) error {
	if errors.Is(err, syscall.EREMOTEIO) {
		return loose{err}
	}
	return err
}

// removed makes the refusal of a Tremove loose: it is about a directory that
// only its server looks for, and a user may not be let through to it.
func removed(cl *client.Client, err error) error {
	if cl.Dialect() != ninep.DotL && errors.Is(err, syscall.EACCES) {
		return loose{err}
	}
	return err
}

// overNode is the tree through a Client's Node.
type overNode struct {
	fstest.Access
	cl *client.Client
	t  *testing.T
}

func (a overNode) Open(path string, f fs.Flags) (fstest.File, error) {
	skipNonblock(a.t, a.cl, f)
	file, err := a.Access.Open(path, f)
	if err != nil {
		return nil, textOnly(err)
	}
	return looseFile{file}, nil
}

// looseFile makes the errors of writes loose where they must be.
type looseFile struct{ fstest.File }

func (f looseFile) Write(ctx context.Context, p []byte) (int, error) {
	n, err := f.File.Write(ctx, p)
	return n, textOnly(err)
}

func (a overNode) Stat(path string) (fs.Stat, error) {
	st, err := a.Access.Stat(path)
	return st, textOnly(err)
}

func (a overNode) Mkdir(path string, mode uint32) error {
	return textOnly(a.Access.Mkdir(path, mode))
}

func (a overNode) Remove(path string) error {
	return removed(a.cl, textOnly(a.Access.Remove(path)))
}

func (a overNode) LastError(path string) (string, error) {
	if a.cl.Dialect() != ninep.DotL {
		return "", fstest.ErrNoTexts
	}
	return a.Access.LastError(path)
}

// TestNode holds the remote tree as a node of ours to the same contract.
func TestNode(t *testing.T) {
	for _, d := range every {
		t.Run(d.String(), func(t *testing.T) {
			fstest.Run(t, func(t *testing.T, tree *fstest.Tree, u *sys.User) fstest.Access {
				cl := dial(t, tree, u, client.Options{Dialects: []ninep.Dialect{d}})
				return overNode{fstest.Local(cl.Node(), u), cl, t}
			})
		})
	}
}

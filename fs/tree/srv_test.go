package tree

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"syscall"
	"testing"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/post"
	"warren/fs/sys"
	"warren/kern/chans"
)

// newSrvTest is the directory srv, whose posts lead to a tree of channels, or
// nowhere if the address says so.
func newSrvTest(t *testing.T) *chanTest {
	far := &ninep.Server{Root: newChans(chans.NewSet(nil))(nil), Users: new(sys.Users)}
	set := post.NewSet(post.Config{Class: ClassFar, Dial: func(_ context.Context, addr string, u *sys.User) (net.Conn, error) {
		if addr == "unix!/nowhere" {
			return nil, fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)
		}
		here, there := net.Pipe()
		go far.ServeConn(there, ninep.Identity{User: u})
		return here, nil
	}})
	t.Cleanup(func() {
		set.Close()
		far.Close()
	})
	return &chanTest{t, newSrv(set, new(fs.ErrorLog))(nil), &sys.User{Name: "root"}}
}

func TestSrvCtl(tt *testing.T) {
	t := newSrvTest(tt)
	if got := t.cat("ctl") + t.cat("stat"); got != "" {
		t.Errorf("with no posts: %q", got)
	}
	const settings = "post far unix!/far\npost lost unix!/nowhere\npost 'odd one' tcp!127.0.0.1!1 '/a tree'\n"
	t.want(t.echo(settings, "ctl"), syscall.EINVAL, `name "odd one"`)
	const right = "post far unix!/far\npost lost unix!/nowhere\npost odd tcp!127.0.0.1!1 '/a tree'\n"
	for range 2 {
		if err := t.echo(right, "ctl"); err != nil {
			t.Fatal(err)
		}
		if got := t.cat("ctl"); got != right {
			t.Errorf("ctl is %q", got)
		}
	}
	for _, c := range []struct {
		line, text string
		errno      syscall.Errno
	}{
		{"post far", "post: wrong arguments (usage: post NAME ADDRESS [TREE])", syscall.EINVAL},
		{"post ctl unix!/x", `name "ctl" is taken`, syscall.EEXIST},
		{"post 7 unix!/x", `name "7"`, syscall.EINVAL},
		{"post x fd!3", "post: fd!3: cannot be posted", syscall.EINVAL},
		{"post x far", "bad address", syscall.EINVAL},
		{"post far unix!/other", "post: far is posted already, at unix!/far", syscall.EEXIST},
		{"unpost x", `unpost: no post "x"`, syscall.ENOENT},
		{"upost far", `unknown verb "upost" (post?)`, syscall.EINVAL},
	} {
		t.want(t.echo(c.line, "ctl"), c.errno, c.text)
	}
	if err := t.echo("unpost odd", "ctl"); err != nil {
		t.Error(err)
	}
	t.want(t.change(fs.OpMake, "x"), syscall.EPERM, "no file can be created here")
	if err := t.change(fs.OpRemove, "lost"); err != nil {
		t.Error(err)
	}
	if got := t.cat("ctl"); got != "post far unix!/far\n" {
		t.Errorf("ctl is %q", got)
	}
	t.user = &sys.User{UID: 65533, Name: "65533"}
	_, err := t.tryOpen("ctl", fs.OWrite)
	t.want(err, syscall.EACCES, "permission denied")
	t.want(t.change(fs.OpRemove, "far"), syscall.EPERM, "not the owner")
	if got := t.cat("ctl"); got != "post far unix!/far\n" {
		t.Errorf("others read %q", got)
	}
}

func (t *chanTest) matches(text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%q is not %s", text, pattern)
	}
}

func TestSrvStat(tt *testing.T) {
	t := newSrvTest(tt)
	if err := t.echo("post far unix!/far\npost lost unix!/nowhere\n", "ctl"); err != nil {
		t.Fatal(err)
	}
	t.matches(t.cat("stat"), `^far unix!/far idle root \d+ -\nlost unix!/nowhere idle root \d+ -\n$`)
	if _, err := t.walk("far/stat"); err != nil {
		t.Error(err)
	}
	_, err := t.walk("lost/stat")
	t.want(err, syscall.ECONNREFUSED, "no server at unix!/nowhere: connection refused")
	t.matches(t.cat("stat"), `^far unix!/far connected root \d+ -\n`+
		`lost unix!/nowhere down root \d+ 'no server at unix!/nowhere: connection refused'\n$`)
}

package sys

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestErrorsCarryTheirNumber(t *testing.T) {
	err := fmt.Errorf("outside: %w", Errorf(syscall.EBUSY, "cores: want %d", 8))
	if !errors.Is(err, syscall.EBUSY) || Errno(err) != syscall.EBUSY || !strings.HasSuffix(err.Error(), "cores: want 8") {
		t.Errorf("%v, %v", err, Errno(err))
	}
	if Errno(nil) != 0 || Errno(errors.New("odd")) != syscall.EIO {
		t.Error("the number of no error, or of one without")
	}
}

func TestUsers(t *testing.T) {
	var us Users
	root, err := us.ByName("root")
	if err != nil || !root.Root() || root.None {
		t.Fatalf("root is %+v (%v)", root, err)
	}
	if again := us.ByUID(0, 0); again.Name != "root" || us.Name(0) != "root" || us.Group(0) != "root" {
		t.Errorf("uid 0 is %+v", again)
	}
	odd := us.ByUID(4123456789, 7)
	if odd.Name != "4123456789" || odd.GID != 7 || odd.Root() || !odd.In(7) || odd.In(8) {
		t.Errorf("a uid of nobody is %+v", odd)
	}
	if n, err := us.ByName("4123456788"); err != nil || n.UID != 4123456788 {
		t.Errorf("a number for a name: %+v, %v", n, err)
	}
	if _, err := us.ByName("no such user here"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a user that is not: %v", err)
	}
	none := Nobody()
	if none.Root() || none.In(NobodyID) {
		t.Error("none is somebody")
	}
	for uid := range uint32(maxUsers + 100) {
		us.ByUID(3_000_000_000+uid, 0)
	}
	if len(us.byUID) > maxUsers {
		t.Errorf("%d users are remembered", len(us.byUID))
	}
}

func TestMeta(t *testing.T) {
	me := &User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	m := NewMeta(7, "x", me)
	if m.Mode("", 0o750) != 0o750 || m.Mode("ctl", 0o640) != 0o640 {
		t.Error("modes are not the table's")
	}
	m.Chmod("", 0)
	m.Chmod("ctl", 0o7777)
	if m.Mode("", 0o750) != 0 || m.Mode("ctl", 0o640) != 0o777 {
		t.Error("modes are not what chmod set")
	}
	m.Chown(5, 6)
	if uid, gid := m.Owner(); uid != 5 || gid != 6 {
		t.Errorf("owner %d %d", uid, gid)
	}
	m.SetCloned()
	if !m.Abandoned() || !m.Expire() || m.Opened() == nil || m.Expire() {
		t.Error("an object of clone that nobody wants does not expire once")
	}
	m.Revive()
	if m.Opened() != nil || m.Abandoned() {
		t.Error("an open object is abandoned")
	}
	m.Use()
	m.Closed()
	if m.Abandoned() {
		t.Error("a used object is abandoned")
	}
}

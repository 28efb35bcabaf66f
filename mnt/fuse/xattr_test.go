package fuse

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	wfs "warren/fs"
	"warren/fs/fstest"
)

// TestXattr asks for the one attribute that there is as getfattr(1) and ls(1) do.
func TestXattr(t *testing.T) {
	dir := mountTree(t, fstest.NewTree()).where.dir
	buf := make([]byte, 256)
	list := func() string {
		t.Helper()
		n, err := unix.Listxattr(dir+"/ctl", buf)
		if size, sizeErr := unix.Listxattr(dir+"/ctl", nil); size != n || err != sizeErr {
			t.Errorf("a list of %d bytes (%v) is said to have %d (%v)", n, err, size, sizeErr)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got := list(); got != "" {
		t.Errorf("before any error there is %q", got)
	}
	f, err := os.OpenFile(dir+"/ctl", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("fail\n"); err == nil {
		t.Fatal("fail works")
	}
	if got := list(); got != wfs.ErrorAttr+"\x00" {
		t.Errorf("after an error there is %q", got)
	}
	want := []byte("fail: this never works")
	if n, err := unix.Fgetxattr(int(f.Fd()), wfs.ErrorAttr, buf); err != nil || !bytes.Equal(buf[:n], want) {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
	for _, tt := range []struct {
		what string
		err  error
		want syscall.Errno
	}{
		{"too little room", get(dir, wfs.ErrorAttr, buf[:3]), syscall.ERANGE},
		{"no such attribute", get(dir, "user.other", buf), syscall.ENODATA},
		{"setting it", unix.Setxattr(dir+"/ctl", wfs.ErrorAttr, nil, 0), syscall.EOPNOTSUPP},
		{"removing it", unix.Removexattr(dir+"/ctl", wfs.ErrorAttr), syscall.EOPNOTSUPP},
	} {
		if tt.err != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, tt.err, tt.want)
		}
	}
}

func get(path, name string, buf []byte) error {
	_, err := unix.Getxattr(path, name, buf)
	return err
}

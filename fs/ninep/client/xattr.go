package client

import (
	"context"
	"syscall"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// maxErrorText bounds what the text of an error may cost.
const maxErrorText = 64 << 10

var _ fs.Explainer = (*node)(nil)

// LastError asks the server for the text of the user's last error; ENODATA if
// there was none, or if the server keeps none.
func (n *node) LastError(c *fs.Call) (text string, err error) {
	err = n.with(c, func(ctx context.Context, f *fid) error {
		text, err = f.lastError(ctx)
		return err
	})
	return text, err
}

// LastError returns the text of the session's user's last error, of which
// 9P2000.L told a number; ENODATA if there was none, or if the server keeps none.
func (cl *Client) LastError(ctx context.Context) (string, error) { return cl.root.lastError(ctx) }

// lastError reads the attribute of the file that holds the text.
func (f *fid) lastError(ctx context.Context) (string, error) {
	if f.c.dialect != ninep.DotL {
		return "", sys.Errorf(syscall.ENODATA, "%v has no extended attributes", f.c.dialect)
	}
	to, size := f.c.newFid(), uint64(0)
	m := ninep.Msg{Type: ninep.Txattrwalk, Fid: f.num, Newfid: to.num, Name: fs.ErrorAttr}
	err := f.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		size = r.XSize
		return nil
	})
	if err != nil {
		f.c.unused(to, err)
		return "", noText(err)
	}
	defer to.drop()
	text := make([]byte, min(size, maxErrorText))
	for done := 0; done < len(text); {
		n, err := to.read(ctx, text[done:min(len(text), done+int(f.c.msize-ninep.IOSize))], int64(done))
		if err != nil {
			return "", err
		}
		if n == 0 {
			return string(text[:done]), nil
		}
		done += n
	}
	return string(text), nil
}

// noText makes ENODATA of how servers say that they have no such attribute:
// p9's, for one, says that the call is wrong.
func noText(err error) error {
	switch sys.Errno(err) {
	case syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL:
		return sys.Errorf(syscall.ENODATA, "the server keeps no texts of errors")
	}
	return err
}

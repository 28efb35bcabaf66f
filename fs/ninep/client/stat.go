package client

import (
	"context"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"warren/fs"
	"warren/fs/ninep"
	"warren/fs/sys"
)

// Stat tells what a path names.
func (cl *Client) Stat(ctx context.Context, name string) (fs.Stat, error) {
	names := split(name)
	f, err := cl.root.walk(ctx, names...)
	if err != nil {
		return fs.Stat{}, err
	}
	defer f.drop()
	return cl.stat(ctx, f, last(names))
}

// last is the name of the file that names lead to; the root's is "/".
func last(names []string) string {
	if len(names) == 0 {
		return "/"
	}
	return names[len(names)-1]
}

// stat asks for what is known about a fid of that name.
func (cl *Client) stat(ctx context.Context, f *fid, name string) (fs.Stat, error) {
	var st fs.Stat
	m := ninep.Msg{Type: ninep.Tstat, Fid: f.num}
	if cl.c.dialect == ninep.DotL {
		m = ninep.Msg{Type: ninep.Tgetattr, Fid: f.num, Mask: ninep.AttrBasic}
	}
	var rec ninep.Stat
	err := cl.c.rpc(ctx, &m, func(r *ninep.Msg) error {
		if r.Type == ninep.Rgetattr {
			st = cl.attrStat(&r.Attr, r.Qid, name)
		}
		rec = r.Stat
		return nil
	})
	if err == nil && m.Type == ninep.Tstat {
		if name == "/" {
			rec.Name = "/"
		}
		st = cl.recordStat(&rec)
	}
	return st, err
}

// attrStat is what Rgetattr says.
func (cl *Client) attrStat(a *ninep.Attr, qid ninep.Qid, name string) fs.Stat {
	return fs.Stat{
		Qid: cl.sizedQid(qid, name, a.Size), Name: name, Mode: a.Mode & 0o777, UID: a.UID, GID: a.GID,
		Size:  int64(a.Size),
		Mtime: time.Unix(int64(a.MtimeSec), int64(a.Mtime)),
		Atime: time.Unix(int64(a.AtimeSec), int64(a.Atime)),
	}
}

// recordStat is what a stat record says.
func (cl *Client) recordStat(r *ninep.Stat) fs.Stat {
	st := fs.Stat{
		Qid: cl.sizedQid(r.Qid, r.Name, r.Length), Name: r.Name, Mode: r.Mode & 0o777, UID: r.NUID, GID: r.NGID,
		Size:  int64(r.Length),
		Mtime: time.Unix(int64(r.Mtime), 0),
		Atime: time.Unix(int64(r.Atime), 0),
	}
	if st.UID == ninep.NoUID {
		st.UID = cl.ids.user(r.UID)
	}
	if st.GID == ninep.NoUID {
		st.GID = cl.ids.group(r.GID)
	}
	return st
}

// ids finds the numbers of the names that 9P2000 has instead; a name that this
// system does not know is nobody's.
type ids struct {
	users  sys.Users
	mu     sync.Mutex
	groups map[string]uint32
}

func (d *ids) user(name string) uint32 {
	u, err := d.users.ByName(name)
	if err != nil {
		return sys.NobodyID
	}
	return u.UID
}

// maxGroups bounds the memory that made-up names can cost.
const maxGroups = 1024

func (d *ids) group(name string) uint32 {
	d.mu.Lock()
	gid, ok := d.groups[name]
	d.mu.Unlock()
	if ok {
		return gid
	}
	gid = sys.NobodyID
	text := name
	if g, err := user.LookupGroup(name); err == nil {
		text = g.Gid
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		gid = uint32(n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.groups == nil || len(d.groups) >= maxGroups {
		d.groups = make(map[string]uint32)
	}
	d.groups[name] = gid
	return gid
}

// Mkdir makes a directory with these permissions, as far as the server gives them.
func (cl *Client) Mkdir(ctx context.Context, name string, mode uint32) error {
	dir, child, err := cl.parent(ctx, name)
	if err != nil {
		return err
	}
	defer dir.drop()
	return dir.mkdir(ctx, child, mode, uint32(syscall.Getgid()))
}

// parent returns a fid of the directory that a path lies in, and its last name.
func (cl *Client) parent(ctx context.Context, name string) (*fid, string, error) {
	names := split(name)
	if len(names) == 0 {
		return nil, "", sys.Errorf(syscall.EINVAL, "%q names the root", name)
	}
	dir, err := cl.root.walk(ctx, names[:len(names)-1]...)
	return dir, last(names), err
}

func (f *fid) mkdir(ctx context.Context, name string, mode, gid uint32) error {
	if f.c.dialect == ninep.DotL {
		m := ninep.Msg{Type: ninep.Tmkdir, Fid: f.num, Name: name, Perm: mode, GID: gid}
		return f.c.rpc(ctx, &m, nil)
	}
	made, err := f.walk(ctx) // a create moves its fid
	if err != nil {
		return err
	}
	defer made.drop()
	m := ninep.Msg{Type: ninep.Tcreate, Fid: made.num, Name: name, Perm: mode | ninep.DMDir, Mode: ninep.ModeRead}
	return f.c.rpc(ctx, &m, nil)
}

// Remove removes a file or a directory.
func (cl *Client) Remove(ctx context.Context, name string) error {
	dir, child, err := cl.parent(ctx, name)
	if err != nil {
		return err
	}
	defer dir.drop()
	return dir.unlink(ctx, child)
}

// atRemoveDir is the flag of Tunlinkat for directories.
const atRemoveDir = 0x200

// unlink removes a file of the directory.
func (f *fid) unlink(ctx context.Context, name string) error {
	child, err := f.walk(ctx, name)
	if err != nil {
		return err
	}
	if f.c.dialect == ninep.DotL {
		m := ninep.Msg{Type: ninep.Tunlinkat, Fid: f.num, Name: name}
		if child.qid.Type&fs.QTDir != 0 {
			m.Flags = atRemoveDir
		}
		err := f.c.rpc(ctx, &m, nil)
		if no := sys.Errno(err); no != syscall.EOPNOTSUPP && no != syscall.ENOSYS {
			child.drop()
			return err
		}
	}
	return child.remove(ctx)
}

// Chmod sets the permissions of a file.
func (cl *Client) Chmod(ctx context.Context, name string, mode uint32) error {
	f, err := cl.root.walk(ctx, split(name)...)
	if err != nil {
		return err
	}
	defer f.drop()
	return f.set(ctx, fs.Change{Op: fs.OpSet, Set: fs.SetMode, Mode: mode})
}

// set changes attributes.
func (f *fid) set(ctx context.Context, ch fs.Change) error {
	if f.c.dialect == ninep.DotL {
		m := ninep.Msg{Type: ninep.Tsetattr, Fid: f.num, Set: setAttr(ch)}
		return f.c.rpc(ctx, &m, nil)
	}
	m := ninep.Msg{Type: ninep.Twstat, Fid: f.num, Stat: setRecord(ch, f.qid)}
	return f.c.rpc(ctx, &m, nil)
}

// setAttr says a change as 9P2000.L does.
func setAttr(ch fs.Change) ninep.SetAttr {
	a := ninep.SetAttr{Mode: ch.Mode, UID: ch.UID, GID: ch.GID, Size: uint64(ch.Size)}
	for _, bit := range [...]struct {
		set   fs.SetMask
		valid uint32
	}{
		{fs.SetMode, ninep.SetMode},
		{fs.SetUID, ninep.SetUID},
		{fs.SetGID, ninep.SetGID},
		{fs.SetSize, ninep.SetSize},
		{fs.SetTime, ninep.SetAtime | ninep.SetMtime},
	} {
		if ch.Set&bit.set != 0 {
			a.Valid |= bit.valid
		}
	}
	return a
}

// setRecord says a change as a stat record in which only what is to change is
// not blank. The upper bits of the mode must be the file's.
func setRecord(ch fs.Change, qid ninep.Qid) ninep.Stat {
	s := ninep.BlankStat()
	if ch.Set&fs.SetMode != 0 {
		s.Mode = ch.Mode | uint32(qid.Type)<<24
	}
	if ch.Set&fs.SetUID != 0 {
		s.NUID, s.UID = ch.UID, strconv.FormatUint(uint64(ch.UID), 10)
	}
	if ch.Set&fs.SetGID != 0 {
		s.NGID, s.GID = ch.GID, strconv.FormatUint(uint64(ch.GID), 10)
	}
	if ch.Set&fs.SetSize != 0 {
		s.Length = uint64(ch.Size)
	}
	if ch.Set&fs.SetTime != 0 {
		s.Mtime = uint32(time.Now().Unix())
	}
	return s
}

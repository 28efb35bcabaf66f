package fs

import (
	"sync/atomic"
	"syscall"
	"time"

	"warren/fs/sys"
)

// dir is the node of an object's directory.
type dir[T Object] struct {
	d     *Dir[T]
	t     T
	up    Node // nil at the root
	env   *Env
	fixed []atomic.Pointer[Node] // at the root: its fixed directories, by row, once they were walked to
}

// A qid's path is the table's class, the object's serial and the row + 1.
const (
	classShift  = 56
	serialShift = 8
)

func (n *dir[T]) qid(row int, kind Kind) Qid {
	return Qid{Path: uint64(n.d.Class)<<classShift | n.t.Meta().Serial<<serialShift | uint64(row+1), Kind: kind}
}

func (n *dir[T]) Qid() Qid {
	q := n.qid(-1, Directory)
	if up, ok := n.up.(interface{ keepsNames() bool }); n.up == nil || ok && up.keepsNames() {
		q.Vers = 1
	}
	return q
}

// keepsNames reports whether the names in the directory always stand for the
// same files: nothing in it can be made or removed.
func (n *dir[T]) keepsNames() bool {
	return n.d.Kids == nil || n.d.Kids.Make == nil && n.d.Kids.Remove == nil
}

func (n *dir[T]) Release()      {}
func (n *dir[T]) environ() *Env { return n.env }

// LastError is of the whole tree, whichever file is asked.
func (n *dir[T]) LastError(c *Call) (string, error) { return n.env.Errors.Last(c.User().UID) }

func (n *dir[T]) path() string {
	if n.up == nil {
		return ""
	}
	if p, ok := n.up.(placed); ok {
		return p.path() + "/" + n.t.Meta().Name
	}
	return n.t.Meta().Name
}

func (n *dir[T]) Stat(*Call) (Stat, error) {
	if n.t.Meta().Gone() {
		return Stat{}, sys.ErrGone
	}
	return n.stat(), nil
}

func (n *dir[T]) stat() Stat {
	m := n.t.Meta()
	perm := n.d.Perm
	if perm == 0 {
		perm = 0o755
	}
	s := Stat{Qid: n.Qid(), Name: m.Name, Mode: m.Mode("", perm), Mtime: m.Made, Atime: m.Made}
	s.UID, s.GID = m.Owner()
	return s
}

// find returns the row of a file, -1 if there is none.
func (n *dir[T]) find(name string) int {
	for i := range n.d.Files {
		f := &n.d.Files[i]
		if f.Name == name && (f.Has == nil || f.Has(n.t)) {
			return i
		}
	}
	return -1
}

// child returns the node of a row.
func (n *dir[T]) child(row int) Node {
	sub := n.d.Files[row].Sub
	switch {
	case sub == nil:
		return &file[T]{dir: n, row: row}
	case n.fixed == nil:
		return sub(n.t, n)
	}
	if p := n.fixed[row].Load(); p != nil {
		return *p
	}
	made := sub(n.t, n)
	n.fixed[row].Store(&made)
	return made
}

func (n *dir[T]) Walk(c *Call, name string) (Node, error) {
	if !Allowed(c.User(), n.stat(), MayExec) {
		return nil, sys.ErrPermission
	}
	if name == ".." {
		if n.up == nil {
			return n, nil
		}
		return n.up, nil
	}
	if n.t.Meta().Gone() {
		return nil, sys.ErrGone
	}
	if row := n.find(name); row >= 0 {
		return n.child(row), nil
	}
	if n.d.Kids == nil {
		return nil, sys.ErrNotExist
	}
	return n.d.Kids.Walk(c, n.t, n, name)
}

func (n *dir[T]) List(c *Call, cookie uint64, yield func(Stat, uint64) bool) error {
	if !Allowed(c.User(), n.stat(), MayRead) {
		return sys.ErrPermission
	}
	if n.t.Meta().Gone() {
		return sys.ErrGone
	}
	rows := uint64(len(n.d.Files))
	for ; cookie < rows; cookie++ {
		f := &n.d.Files[cookie]
		if f.Has != nil && !f.Has(n.t) {
			continue
		}
		s, err := n.child(int(cookie)).Stat(c)
		if err == nil && !yield(s, cookie+1) {
			return nil
		}
	}
	if n.d.Kids == nil {
		return nil
	}
	n.d.Kids.List(n.t, cookie-rows, func(name string, next uint64) bool {
		kid, err := n.d.Kids.Walk(c, n.t, n, name)
		if err != nil {
			return true // it went away meanwhile
		}
		s, err := kid.Stat(c)
		return err != nil || yield(s, rows+next)
	})
	return nil
}

func (n *dir[T]) Open(c *Call, f Flags) (Handle, Node, error) {
	s, err := n.Stat(c)
	switch {
	case err != nil:
		return nil, nil, err
	case f&OWrite != 0:
		return nil, nil, sys.ErrIsDir
	case !Allowed(c.User(), s, f.Wanted()):
		return nil, nil, sys.ErrPermission
	}
	return dirHandle{}, n, nil
}

// dirHandle is an open directory: it is listed through its node.
type dirHandle struct{}

func (dirHandle) Read(c *Call, _ int64)            { c.Fail(sys.ErrIsDir) }
func (dirHandle) Write(c *Call, _ []byte, _ int64) { c.Fail(sys.ErrIsDir) }
func (dirHandle) Close()                           {}

func (n *dir[T]) Change(c *Call, ch Change) error {
	var err error
	verb := "chmod"
	switch ch.Op {
	case OpMake:
		verb, err = "mkdir", n.makeKid(c, ch.Name)
	case OpRemove:
		verb, err = "rmdir", n.removeKid(c, ch.Name)
	case OpSet:
		err = setMeta(c.User(), n.t.Meta(), "", ch)
	}
	if err != nil {
		path := n.path()
		if ch.Op != OpSet {
			path += "/" + ch.Name
		}
		n.env.Errors.Add(c, path, verb, err)
	}
	if err == nil && ch.Op == OpSet {
		n.env.changed(n.path, ch.command())
	}
	return err
}

func (n *dir[T]) makeKid(c *Call, name string) error {
	kids := n.d.Kids
	switch {
	case kids == nil || kids.Make == nil:
		return sys.ErrNoCreate
	case !Allowed(c.User(), n.stat(), MayWrite|MayExec):
		return sys.ErrPermission
	case n.find(name) >= 0:
		return sys.ErrExist
	}
	if err := CheckName(name); err != nil {
		return err
	}
	return kids.Make(c, n.t, name)
}

// removeKid removes an object: its owner may, and root, as in a directory
// with the sticky bit.
func (n *dir[T]) removeKid(c *Call, name string) error {
	kids := n.d.Kids
	if n.find(name) >= 0 || kids == nil || kids.Remove == nil {
		return sys.ErrNoRemove
	}
	kid, err := kids.Walk(c, n.t, n, name)
	if err != nil {
		return err
	}
	s, err := kid.Stat(c)
	if err != nil {
		return err
	}
	if !owns(c.User(), s.UID) {
		return sys.ErrNotOwner
	}
	return kids.Remove(c, n.t, name)
}

func owns(u *sys.User, uid uint32) bool { return u.Root() || !u.None && u.UID == uid }

// setMeta changes mode and owner of an object, or the mode of one of its
// files. An object has one owner: that of its directory.
func setMeta(u *sys.User, m *sys.Meta, file string, ch Change) error {
	uid, gid := m.Owner()
	if ch.Set&(SetMode|SetUID|SetGID) != 0 && !owns(u, uid) {
		return sys.ErrNotOwner
	}
	newUID, newGID := uid, gid
	if ch.Set&SetUID != 0 {
		newUID = ch.UID
	}
	if ch.Set&SetGID != 0 {
		newGID = ch.GID
	}
	switch {
	case (newUID != uid || newGID != gid) && file != "":
		return sys.Errorf(syscall.EPERM, "chown: an object has one owner: change that of its directory")
	case newUID != uid && !u.Root():
		return sys.Errorf(syscall.EPERM, "chown: only root gives an object away")
	case newGID != gid && !u.Root() && !u.In(newGID):
		return sys.Errorf(syscall.EPERM, "chown: you are not in group %d", newGID)
	}
	if newUID != uid || newGID != gid {
		m.Chown(newUID, newGID)
	}
	if ch.Set&SetMode != 0 {
		m.Chmod(file, ch.Mode)
	}
	return nil
}

// cloneTime is how long an object of clone lives that nobody ever used.
const cloneTime = 60 * time.Second

// closed takes an open file of the object back, and sees to it that an
// object from clone that nobody wants goes.
func (n *dir[T]) closed() {
	m := n.t.Meta()
	m.Closed()
	if !m.Abandoned() {
		return
	}
	up, ok := n.up.(interface {
		expire(name string, m *sys.Meta)
	})
	if ok {
		time.AfterFunc(cloneTime, func() { up.expire(m.Name, m) })
	}
}

// expire removes an object of clone if still nobody wants it.
func (n *dir[T]) expire(name string, m *sys.Meta) {
	if n.d.Kids == nil || n.d.Kids.Remove == nil || !m.Expire() {
		return
	}
	var c Call
	c.Init(&sys.User{Name: "root"}, 0, nil, 0, false)
	if n.d.Kids.Remove(&c, n.t, name) != nil {
		m.Revive() // it is in use after all
	}
}

package sys

import (
	"sync"
	"time"
)

// A Meta is what every object of the tree has: an identity and an owner.
// The object's packages embed it; the tree reads and changes it.
type Meta struct {
	Serial uint64 // never reused among objects of one kind
	Name   string
	Made   time.Time

	of *Meta // whose owner this has; nil: it has its own

	mu       sync.Mutex
	uid, gid uint32
	mode     uint32            // of the directory, 0: by table
	modes    map[string]uint32 // of single files, by name, where chmod changed them

	cloned bool // made by clone, so it goes when nobody ever used it
	used   bool // opened by name, started, or kept
	opens  int
	gone   bool // removed: open files live on, no new ones
}

// NewMeta returns the identity of an object that u made now.
func NewMeta(serial uint64, name string, u *User) *Meta {
	return &Meta{Serial: serial, Name: name, Made: time.Now(), uid: u.UID, gid: u.GID}
}

// Part returns the identity of a directory that belongs to the object, and to
// whom that belongs: it has its own modes only.
func (m *Meta) Part(name string) *Meta {
	return &Meta{Serial: m.Serial, Name: name, Made: m.Made, of: m}
}

// Owner returns the uid and gid of the object.
func (m *Meta) Owner() (uid, gid uint32) {
	if m.of != nil {
		return m.of.Owner()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uid, m.gid
}

// Chown gives the object away.
func (m *Meta) Chown(uid, gid uint32) {
	if m.of != nil {
		m.of.Chown(uid, gid)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uid, m.gid = uid, gid
}

// Mode returns the permission bits of a file of the object (""  is the
// directory), or the table's if nobody changed them.
func (m *Meta) Mode(file string, table uint32) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file == "" {
		if m.mode != 0 {
			return m.mode &^ modeSet
		}
		return table
	}
	if mode, ok := m.modes[file]; ok {
		return mode
	}
	return table
}

// modeSet tells a directory's mode 0 from one never set.
const modeSet = 1 << 31

// Chmod sets the permission bits of a file of the object ("" is the directory).
func (m *Meta) Chmod(file string, mode uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file == "" {
		m.mode = mode&0o777 | modeSet
		return
	}
	if m.modes == nil {
		m.modes = make(map[string]uint32)
	}
	m.modes[file] = mode & 0o777
}

// SetCloned says that the object was made by opening clone.
func (m *Meta) SetCloned() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cloned = true
}

// Cloned reports whether the object was made by opening clone.
func (m *Meta) Cloned() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cloned
}

// Use says that the object is wanted: it was opened by name, started, or kept.
func (m *Meta) Use() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = true
}

// Retire says that the object was removed: it can be opened no more.
func (m *Meta) Retire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
}

// Gone reports whether the object was removed.
func (m *Meta) Gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// Opened counts an open file of the object; ErrGone if it was removed.
func (m *Meta) Opened() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return ErrGone
	}
	m.opens++
	return nil
}

// Closed takes back one Opened.
func (m *Meta) Closed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opens--
}

// Expire retires the object if it is abandoned, and reports whether it did.
func (m *Meta) Expire() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.abandoned() {
		return false
	}
	m.gone = true
	return true
}

// Revive takes a Retire back: the object could not be removed.
func (m *Meta) Revive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = false
}

// Abandoned reports whether the object came from clone, has no open file, and
// nobody ever used it.
func (m *Meta) Abandoned() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.abandoned()
}

func (m *Meta) abandoned() bool { return m.cloned && !m.used && !m.gone && m.opens == 0 }

package sys

import "testing"

// TestPartHasTheOwner: a directory of an object is whose the object is, and has
// modes of its own.
func TestPartHasTheOwner(t *testing.T) {
	m := NewMeta(7, "core", &User{UID: 1, GID: 2})
	p := m.Part("chan")
	m.Chown(3, 4)
	if uid, gid := p.Owner(); uid != 3 || gid != 4 || p.Serial != 7 {
		t.Errorf("owner %d %d, serial %d", uid, gid, p.Serial)
	}
	p.Chown(5, 6)
	if uid, gid := m.Owner(); uid != 5 || gid != 6 {
		t.Errorf("owner %d %d", uid, gid)
	}
	p.Chmod("0", 0o600)
	if p.Mode("0", 0o660) != 0o600 || m.Mode("0", 0o660) != 0o660 {
		t.Errorf("modes %o %o", p.Mode("0", 0o660), m.Mode("0", 0o660))
	}
}

package fs

import (
	"strings"
	"syscall"

	"warren/fs/sys"
)

// The bits of an access check.
const (
	MayExec  = 1
	MayWrite = 2
	MayRead  = 4
)

// Allowed reports whether the user may do what want says (MayRead and so on)
// to a file of that owner and mode, as access(2) has it. Root may do
// everything. The user none may read what the world may read, and no more:
// directories and Text files only.
func Allowed(u *sys.User, s Stat, want uint32) bool {
	if u.None {
		readable := s.Qid.Kind == Text || s.Qid.Kind == Directory
		return readable && want&MayWrite == 0 && s.Mode&want == want
	}
	switch {
	case u.Root():
		return true
	case u.UID == s.UID:
		return s.Mode>>6&want == want
	case u.In(s.GID):
		return s.Mode>>3&want == want
	}
	return s.Mode&want == want
}

// Wanted returns the access bits that an open with these flags asks for.
func (f Flags) Wanted() uint32 {
	var want uint32
	if f&ORead != 0 {
		want |= MayRead
	}
	if f&OWrite != 0 {
		want |= MayWrite
	}
	if f&OExec != 0 {
		want |= MayExec
	}
	return want
}

// maxName is the longest name of an object, in bytes.
const maxName = 64

// CheckName says what is wrong with the name of a new object: 1 to 64 of
// letters, digits, ".", "_", "-", not starting with "-" or ".", and not all
// digits, as those are clone's. reserved names are files of the directory.
func CheckName(name string, reserved ...string) error {
	switch {
	case name == "":
		return sys.Errorf(syscall.EINVAL, "a name is empty")
	case len(name) > maxName:
		return sys.Errorf(syscall.ENAMETOOLONG, "a name is %d bytes long, and %d is the most", len(name), maxName)
	case name[0] == '-' || name[0] == '.':
		return sys.Errorf(syscall.EINVAL, "name %q: must not start with %q", name, name[:1])
	case strings.Trim(name, "0123456789") == "":
		return sys.Errorf(syscall.EINVAL, "name %q: names of digits only are clone's (add a letter)", name)
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return sys.Errorf(syscall.EINVAL, "name %q: use letters, digits, \".\", \"_\" and \"-\"", name)
		}
	}
	for _, r := range reserved {
		if name == r {
			return sys.Errorf(syscall.EEXIST, "name %q is taken by a file of this directory", name)
		}
	}
	return nil
}

func isNameByte(ch byte) bool {
	switch {
	case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9':
		return true
	}
	return ch == '.' || ch == '_' || ch == '-'
}

package sys

import (
	"os/user"
	"slices"
	"strconv"
	"sync"
	"time"
)

// NobodyID is the uid and gid of the user none: of a connection with no identity.
const NobodyID = 65534

// A User is who asks: the opener of a file, the owner of a process.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
	Name     string
	None     bool // no identity: may read world-readable Text files and nothing else
	// Via are the servers, by their ids, that passed the user's request on to
	// this one, the first first.
	Via []string
}

// Nobody returns the user none.
func Nobody() *User {
	return &User{UID: NobodyID, GID: NobodyID, Name: "none", None: true}
}

// Root reports whether the user may do everything.
func (u *User) Root() bool { return u.UID == 0 && !u.None }

// In reports whether the user is a member of the group.
func (u *User) In(gid uint32) bool {
	return !u.None && (u.GID == gid || slices.Contains(u.Groups, gid))
}

// Users finds users in the system's database and remembers each for some
// seconds, as a look-up may go over a network. The zero Users is ready.
type Users struct {
	mu     sync.Mutex
	byUID  map[uint32]entry
	byName map[string]entry
	groups map[uint32]string
}

type entry struct {
	user *User
	err  error
	till time.Time
}

// keepUser is how long a change of the database may go unnoticed; maxUsers
// bounds the memory that made-up uids can cost.
const (
	keepUser = 30 * time.Second
	maxUsers = 4096
)

// ByUID returns the user with this uid. A uid that the database does not know
// is a user all the same, named by its number, with no groups but gid.
func (us *Users) ByUID(uid, gid uint32) *User {
	us.mu.Lock()
	e, ok := us.byUID[uid]
	us.mu.Unlock()
	if ok && time.Now().Before(e.till) {
		return e.user
	}
	u, err := lookup(user.LookupId(strconv.FormatUint(uint64(uid), 10)))
	if err != nil {
		u = &User{UID: uid, GID: gid, Name: strconv.FormatUint(uint64(uid), 10)}
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	if us.byUID == nil || len(us.byUID) >= maxUsers {
		us.byUID = make(map[uint32]entry)
	}
	us.byUID[uid] = entry{user: u, till: time.Now().Add(keepUser)}
	return u
}

// ByName returns the user of this name (or decimal uid); ENOENT if there is none.
func (us *Users) ByName(name string) (*User, error) {
	us.mu.Lock()
	e, ok := us.byName[name]
	us.mu.Unlock()
	if ok && time.Now().Before(e.till) {
		return e.user, e.err
	}
	u, err := lookup(user.Lookup(name))
	if err != nil {
		if uid, bad := strconv.ParseUint(name, 10, 32); bad == nil {
			u, err = us.ByUID(uint32(uid), uint32(uid)), nil
		} else {
			u, err = nil, Errorf(ErrNotExist.(*Error).Errno, "no user %q", name)
		}
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	if us.byName == nil || len(us.byName) >= maxUsers {
		us.byName = make(map[string]entry)
	}
	us.byName[name] = entry{user: u, err: err, till: time.Now().Add(keepUser)}
	return u, err
}

// Name returns the name of a uid, or its number.
func (us *Users) Name(uid uint32) string { return us.ByUID(uid, uid).Name }

// Group returns the name of a gid, or its number.
func (us *Users) Group(gid uint32) string {
	us.mu.Lock()
	name, ok := us.groups[gid]
	us.mu.Unlock()
	if ok {
		return name
	}
	name = strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	if us.groups == nil || len(us.groups) >= maxUsers {
		us.groups = make(map[uint32]string)
	}
	us.groups[gid] = name
	return name
}

func lookup(su *user.User, err error) (*User, error) {
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(su.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(su.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	u := &User{UID: uint32(uid), GID: uint32(gid), Name: su.Username}
	ids, err := su.GroupIds()
	if err != nil {
		return u, nil // a user without readable groups is still that user
	}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(g) != u.GID {
			u.Groups = append(u.Groups, uint32(g))
		}
	}
	return u, nil
}

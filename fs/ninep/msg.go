package ninep

// A Dialect is one of the three forms of 9P.
type Dialect uint8

// The dialects.
const (
	Classic Dialect = iota // 9P2000: texts for errors, stat records
	DotU                   // 9P2000.u: the same with numbers beside the texts
	DotL                   // 9P2000.L: Linux's numbers, flags and calls
)

// String returns the version string that Tversion carries.
func (d Dialect) String() string {
	return [...]string{"9P2000", "9P2000.u", "9P2000.L"}[d]
}

// Values that stand for nothing.
const (
	NoTag uint16 = 0xffff     // of a Tversion
	NoFid uint32 = 0xffffffff // for afid: no authentication
	NoUID uint32 = 0xffffffff // for n_uname: the name counts
)

// Sizes on the wire.
const (
	HeaderSize = 4 + 1 + 2                      // size, type, tag
	ReadSize   = HeaderSize + 4                 // of an Rread without its data
	WriteSize  = HeaderSize + 16                // of a Twrite without its data
	IOSize     = 24                             // what clients leave free for either
	QidSize    = 1 + 4 + 8                      //
	MaxWalk    = 16                             // names in a Twalk
	MinMsize   = 256                            // the least msize that the server agrees to
	MaxMsize   = 1 << 20                        // and the greatest
	maxString  = 1<<16 - 1                      // bytes of a string
	statSize   = 2 + 2 + 4 + 13 + 4 + 4 + 4 + 8 // fixed part of a stat record, less its strings
)

// A Type is the type of a message.
type Type uint8

// The types of message: an answer's is its request's and one.
const (
	Rlerror      Type = 7
	Tstatfs      Type = 8
	Rstatfs      Type = 9
	Tlopen       Type = 12
	Rlopen       Type = 13
	Tlcreate     Type = 14
	Rlcreate     Type = 15
	Tsymlink     Type = 16
	Rsymlink     Type = 17
	Tmknod       Type = 18
	Rmknod       Type = 19
	Trename      Type = 20
	Rrename      Type = 21
	Treadlink    Type = 22
	Rreadlink    Type = 23
	Tgetattr     Type = 24
	Rgetattr     Type = 25
	Tsetattr     Type = 26
	Rsetattr     Type = 27
	Txattrwalk   Type = 30
	Rxattrwalk   Type = 31
	Txattrcreate Type = 32
	Rxattrcreate Type = 33
	Treaddir     Type = 40
	Rreaddir     Type = 41
	Tfsync       Type = 50
	Rfsync       Type = 51
	Tlock        Type = 52
	Rlock        Type = 53
	Tgetlock     Type = 54
	Rgetlock     Type = 55
	Tlink        Type = 70
	Rlink        Type = 71
	Tmkdir       Type = 72
	Rmkdir       Type = 73
	Trenameat    Type = 74
	Rrenameat    Type = 75
	Tunlinkat    Type = 76
	Runlinkat    Type = 77
	Tversion     Type = 100
	Rversion     Type = 101
	Tauth        Type = 102
	Rauth        Type = 103
	Tattach      Type = 104
	Rattach      Type = 105
	Rerror       Type = 107
	Tflush       Type = 108
	Rflush       Type = 109
	Twalk        Type = 110
	Rwalk        Type = 111
	Topen        Type = 112
	Ropen        Type = 113
	Tcreate      Type = 114
	Rcreate      Type = 115
	Tread        Type = 116
	Rread        Type = 117
	Twrite       Type = 118
	Rwrite       Type = 119
	Tclunk       Type = 120
	Rclunk       Type = 121
	Tremove      Type = 122
	Rremove      Type = 123
	Tstat        Type = 124
	Rstat        Type = 125
	Twstat       Type = 126
	Rwstat       Type = 127
)

// A Qid names a file on the wire.
type Qid struct {
	Type uint8 // the top bits of the mode: 0x80 a directory, 0x40 append only
	Vers uint32
	Path uint64
}

// A Msg is any message of any dialect: the type says which fields count. It is
// meant to be used again and again, so that nothing is allocated for it.
type Msg struct {
	Type Type
	Tag  uint16

	Fid    uint32 // also dfid, dirfd, olddirfid
	Newfid uint32 // Twalk, Txattrwalk; Trename dfid, Tlink fid, Trenameat newdirfid
	Afid   uint32
	Oldtag uint16

	Msize   uint32
	Version string

	Uname, Aname string
	NUname       uint32 // NoUID in 9P2000, which has none

	Ename string
	Errno uint32 // Rlerror, and Rerror of 9P2000.u

	Names []string // Twalk
	Qids  []Qid    // Rwalk
	Qid   Qid

	Iounit uint32
	Name   string // also Trenameat's oldname
	Target string // Tsymlink, Rreadlink; Trenameat newname
	Ext    string // Tcreate of 9P2000.u
	Perm   uint32 // Tcreate; the mode of 9P2000.L's calls
	Mode   uint8  // Topen, Tcreate
	Flags  uint32 // Linux's, of 9P2000.L's calls
	GID    uint32
	Major  uint32 // Tmknod
	Minor  uint32

	Offset uint64
	Count  uint32 // Tread, Treaddir, Rwrite
	Data   []byte // Rread, Rreaddir, Twrite: part of the frame it was decoded from

	Stat   Stat    // Rstat, Twstat
	Mask   uint64  // Tgetattr: what is asked; Rgetattr: what is valid
	Attr   Attr    // Rgetattr
	Set    SetAttr // Tsetattr
	Statfs Statfs  // Rstatfs
	Lock   Lock    // Tlock, Tgetlock, Rgetlock
	Status uint8   // Rlock: 0 granted
	Datas  uint32  // Tfsync: data only; may be missing on the wire
	XSize  uint64  // Rxattrwalk, Txattrcreate
}

// A Stat is the stat record of 9P2000 and 9P2000.u.
type Stat struct {
	Type   uint16
	Dev    uint32
	Qid    Qid
	Mode   uint32 // permissions and DM bits
	Atime  uint32 // seconds since 1970
	Mtime  uint32
	Length uint64
	Name   string
	UID    string
	GID    string
	MUID   string

	// 9P2000.u only.
	Ext               string
	NUID, NGID, NMUID uint32
}

// Bits of Stat.Mode and Tcreate's perm beside the permissions.
const (
	DMDir       = 0x80000000
	DMAppend    = 0x40000000
	DMExcl      = 0x20000000
	DMTmp       = 0x04000000
	DMSymlink   = 0x02000000 // 9P2000.u, as the next ones
	DMDevice    = 0x00800000
	DMNamedPipe = 0x00200000
	DMSocket    = 0x00100000
)

// Modes of Topen and Tcreate.
const (
	ModeRead   = 0
	ModeWrite  = 1
	ModeRDWR   = 2
	ModeExec   = 3
	ModeTrunc  = 0x10
	ModeRClose = 0x40
	ModeAppend = 0x80 // 9P2000.u
)

// Flags of Tlopen and Tlcreate: Linux's numbers on every machine.
const (
	LWrOnly    = 0o1
	LRdWr      = 0o2
	LCreate    = 0o100
	LExcl      = 0o200
	LTrunc     = 0o1000
	LAppend    = 0o2000
	LNonblock  = 0o4000
	LDirectory = 0o200000
)

// Attr is what Rgetattr tells.
type Attr struct {
	Mode             uint32 // type and permissions
	UID, GID         uint32
	Nlink, Rdev      uint64
	Size             uint64
	Blksize, Blocks  uint64
	AtimeSec, Atime  uint64 // seconds, and nanoseconds
	MtimeSec, Mtime  uint64
	CtimeSec, Ctime  uint64
	BtimeSec, Btime  uint64
	Gen, DataVersion uint64
}

// AttrBasic is the mask of all attributes up to Blocks.
const AttrBasic = 0x7ff

// SetAttr is what Tsetattr asks.
type SetAttr struct {
	Valid           uint32
	Mode            uint32
	UID, GID        uint32
	Size            uint64
	AtimeSec, Atime uint64
	MtimeSec, Mtime uint64
}

// Bits of SetAttr.Valid.
const (
	SetMode  = 0x1
	SetUID   = 0x2
	SetGID   = 0x4
	SetSize  = 0x8
	SetAtime = 0x10
	SetMtime = 0x20
	SetCtime = 0x40
)

// Statfs is what Rstatfs tells.
type Statfs struct {
	Type, Bsize           uint32
	Blocks, Bfree, Bavail uint64
	Files, Ffree, FSID    uint64
	Namelen               uint32
}

// Lock is a record lock as 9P2000.L's clients ask for it.
type Lock struct {
	Type          uint8  // 0 read, 1 write, 2 unlock
	Flags         uint32 // Tlock only
	Start, Length uint64
	PID           uint32
	Client        string
}

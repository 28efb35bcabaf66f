package ninep

import "strconv"

// A field is one field of a message: its name in texts, the dialects that
// have it (0: all), and where it lies in a Msg.
type field struct {
	name string
	only dialects
	at   func(*Msg) any
}

// dialects is a set of them.
type dialects uint8

const (
	every   dialects = 1<<Classic | 1<<DotU | 1<<DotL
	old     dialects = 1<<Classic | 1<<DotU
	numeric dialects = 1<<DotU | 1<<DotL
	onlyU   dialects = 1 << DotU
	onlyL   dialects = 1 << DotL
)

func (ds dialects) has(d Dialect) bool { return ds&(1<<d) != 0 }

// A layout says which dialects have a message and what follows its header.
type layout struct {
	name   string
	in     dialects
	fields []field
}

// lockFields are Lock without Flags; missing is a last field that may be left out.
type (
	lockFields Lock
	missing    uint32
)

var (
	fFid      = field{"fid", 0, func(m *Msg) any { return &m.Fid }}
	fNewfid   = field{"newfid", 0, func(m *Msg) any { return &m.Newfid }}
	fDfid     = field{"dfid", 0, func(m *Msg) any { return &m.Fid }}
	fTodfid   = field{"dfid", 0, func(m *Msg) any { return &m.Newfid }}
	fLinkfid  = field{"fid", 0, func(m *Msg) any { return &m.Newfid }}
	fAfid     = field{"afid", 0, func(m *Msg) any { return &m.Afid }}
	fOldtag   = field{"oldtag", 0, func(m *Msg) any { return &m.Oldtag }}
	fMsize    = field{"msize", 0, func(m *Msg) any { return &m.Msize }}
	fVersion  = field{"version", 0, func(m *Msg) any { return &m.Version }}
	fUname    = field{"uname", 0, func(m *Msg) any { return &m.Uname }}
	fAname    = field{"aname", 0, func(m *Msg) any { return &m.Aname }}
	fNUname   = field{"n_uname", numeric, func(m *Msg) any { return &m.NUname }}
	fEname    = field{"ename", 0, func(m *Msg) any { return &m.Ename }}
	fErrno    = field{"errno", numeric, func(m *Msg) any { return &m.Errno }}
	fNames    = field{"names", 0, func(m *Msg) any { return &m.Names }}
	fQids     = field{"qids", 0, func(m *Msg) any { return &m.Qids }}
	fQid      = field{"qid", 0, func(m *Msg) any { return &m.Qid }}
	fIounit   = field{"iounit", 0, func(m *Msg) any { return &m.Iounit }}
	fName     = field{"name", 0, func(m *Msg) any { return &m.Name }}
	fTarget   = field{"target", 0, func(m *Msg) any { return &m.Target }}
	fNewname  = field{"newname", 0, func(m *Msg) any { return &m.Target }}
	fNewdir   = field{"newdfid", 0, func(m *Msg) any { return &m.Newfid }}
	fExt      = field{"extension", onlyU, func(m *Msg) any { return &m.Ext }}
	fPerm     = field{"perm", 0, func(m *Msg) any { return &m.Perm }}
	fMode     = field{"mode", 0, func(m *Msg) any { return &m.Mode }}
	fFlags    = field{"flags", 0, func(m *Msg) any { return &m.Flags }}
	fGID      = field{"gid", 0, func(m *Msg) any { return &m.GID }}
	fMajor    = field{"major", 0, func(m *Msg) any { return &m.Major }}
	fMinor    = field{"minor", 0, func(m *Msg) any { return &m.Minor }}
	fOffset   = field{"offset", 0, func(m *Msg) any { return &m.Offset }}
	fCount    = field{"count", 0, func(m *Msg) any { return &m.Count }}
	fData     = field{"data", 0, func(m *Msg) any { return &m.Data }}
	fStat     = field{"stat", 0, func(m *Msg) any { return &m.Stat }}
	fMask     = field{"mask", 0, func(m *Msg) any { return &m.Mask }}
	fAttr     = field{"attr", 0, func(m *Msg) any { return &m.Attr }}
	fSet      = field{"set", 0, func(m *Msg) any { return &m.Set }}
	fStatfs   = field{"statfs", 0, func(m *Msg) any { return &m.Statfs }}
	fLock     = field{"lock", 0, func(m *Msg) any { return &m.Lock }}
	fGetlock  = field{"lock", 0, func(m *Msg) any { return (*lockFields)(&m.Lock) }}
	fStatus   = field{"status", 0, func(m *Msg) any { return &m.Status }}
	fDatasync = field{"datasync", 0, func(m *Msg) any { return (*missing)(&m.Datas) }}
	fXSize    = field{"size", 0, func(m *Msg) any { return &m.XSize }}
)

// layouts is the protocol: every message of every dialect.
var layouts = [128]layout{
	Tversion: {"Tversion", every, []field{fMsize, fVersion}},
	Rversion: {"Rversion", every, []field{fMsize, fVersion}},
	Tauth:    {"Tauth", every, []field{fAfid, fUname, fAname, fNUname}},
	Rauth:    {"Rauth", every, []field{fQid}},
	Tattach:  {"Tattach", every, []field{fFid, fAfid, fUname, fAname, fNUname}},
	Rattach:  {"Rattach", every, []field{fQid}},
	Rerror:   {"Rerror", old, []field{fEname, fErrno}},
	Tflush:   {"Tflush", every, []field{fOldtag}},
	Rflush:   {"Rflush", every, nil},
	Twalk:    {"Twalk", every, []field{fFid, fNewfid, fNames}},
	Rwalk:    {"Rwalk", every, []field{fQids}},
	Topen:    {"Topen", old, []field{fFid, fMode}},
	Ropen:    {"Ropen", old, []field{fQid, fIounit}},
	Tcreate:  {"Tcreate", old, []field{fFid, fName, fPerm, fMode, fExt}},
	Rcreate:  {"Rcreate", old, []field{fQid, fIounit}},
	Tread:    {"Tread", every, []field{fFid, fOffset, fCount}},
	Rread:    {"Rread", every, []field{fData}},
	Twrite:   {"Twrite", every, []field{fFid, fOffset, fData}},
	Rwrite:   {"Rwrite", every, []field{fCount}},
	Tclunk:   {"Tclunk", every, []field{fFid}},
	Rclunk:   {"Rclunk", every, nil},
	Tremove:  {"Tremove", every, []field{fFid}},
	Rremove:  {"Rremove", every, nil},
	Tstat:    {"Tstat", old, []field{fFid}},
	Rstat:    {"Rstat", old, []field{fStat}},
	Twstat:   {"Twstat", old, []field{fFid, fStat}},
	Rwstat:   {"Rwstat", old, nil},

	Rlerror:      {"Rlerror", onlyL, []field{fErrno}},
	Tstatfs:      {"Tstatfs", onlyL, []field{fFid}},
	Rstatfs:      {"Rstatfs", onlyL, []field{fStatfs}},
	Tlopen:       {"Tlopen", onlyL, []field{fFid, fFlags}},
	Rlopen:       {"Rlopen", onlyL, []field{fQid, fIounit}},
	Tlcreate:     {"Tlcreate", onlyL, []field{fFid, fName, fFlags, fPerm, fGID}},
	Rlcreate:     {"Rlcreate", onlyL, []field{fQid, fIounit}},
	Tsymlink:     {"Tsymlink", onlyL, []field{fDfid, fName, fTarget, fGID}},
	Rsymlink:     {"Rsymlink", onlyL, []field{fQid}},
	Tmknod:       {"Tmknod", onlyL, []field{fDfid, fName, fPerm, fMajor, fMinor, fGID}},
	Rmknod:       {"Rmknod", onlyL, []field{fQid}},
	Trename:      {"Trename", onlyL, []field{fFid, fTodfid, fName}},
	Rrename:      {"Rrename", onlyL, nil},
	Treadlink:    {"Treadlink", onlyL, []field{fFid}},
	Rreadlink:    {"Rreadlink", onlyL, []field{fTarget}},
	Tgetattr:     {"Tgetattr", onlyL, []field{fFid, fMask}},
	Rgetattr:     {"Rgetattr", onlyL, []field{fMask, fQid, fAttr}},
	Tsetattr:     {"Tsetattr", onlyL, []field{fFid, fSet}},
	Rsetattr:     {"Rsetattr", onlyL, nil},
	Txattrwalk:   {"Txattrwalk", onlyL, []field{fFid, fNewfid, fName}},
	Rxattrwalk:   {"Rxattrwalk", onlyL, []field{fXSize}},
	Txattrcreate: {"Txattrcreate", onlyL, []field{fFid, fName, fXSize, fFlags}},
	Rxattrcreate: {"Rxattrcreate", onlyL, nil},
	Treaddir:     {"Treaddir", onlyL, []field{fFid, fOffset, fCount}},
	Rreaddir:     {"Rreaddir", onlyL, []field{fData}},
	Tfsync:       {"Tfsync", onlyL, []field{fFid, fDatasync}},
	Rfsync:       {"Rfsync", onlyL, nil},
	Tlock:        {"Tlock", onlyL, []field{fFid, fLock}},
	Rlock:        {"Rlock", onlyL, []field{fStatus}},
	Tgetlock:     {"Tgetlock", onlyL, []field{fFid, fGetlock}},
	Rgetlock:     {"Rgetlock", onlyL, []field{fGetlock}},
	Tlink:        {"Tlink", onlyL, []field{fDfid, fLinkfid, fName}},
	Rlink:        {"Rlink", onlyL, nil},
	Tmkdir:       {"Tmkdir", onlyL, []field{fDfid, fName, fPerm, fGID}},
	Rmkdir:       {"Rmkdir", onlyL, []field{fQid}},
	Trenameat:    {"Trenameat", onlyL, []field{fDfid, fName, fNewdir, fNewname}},
	Rrenameat:    {"Rrenameat", onlyL, nil},
	Tunlinkat:    {"Tunlinkat", onlyL, []field{fDfid, fName, fFlags}},
	Runlinkat:    {"Runlinkat", onlyL, nil},
}

// In reports whether a dialect has messages of this type.
func (t Type) In(d Dialect) bool { return int(t) < len(layouts) && layouts[t].in.has(d) }

// String returns the name of the type, or its number.
func (t Type) String() string {
	if int(t) < len(layouts) && layouts[t].name != "" {
		return layouts[t].name
	}
	return "type " + strconv.Itoa(int(t))
}

package fuse

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"warren/fs/fstest"
)

// posixCases says of each case of go-fuse's posixtest why it cannot apply to a
// tree in which every file stands for something: in whose own words it fails,
// or that it skips itself. The others run.
var posixCases = map[string]struct {
	why   string // it cannot apply
	fails string // what it says then
	skips bool
}{
	"AppendWrite":         {},
	"DirectIO":            {},
	"DirSeek":             {},
	"FcntlFlockSetLk":     {},
	"FdLeak":              {},
	"FileBasic":           {},
	"FileLarge":           {},
	"LseekEnxioCheck":     {},
	"LseekHoleSeeksToEOF": {},
	"MkdirRmdir":          {},
	"ParallelFileOpen":    {},
	"ReadDirConsistency":  {},
	"TruncateFile":        {},
	"TruncateNoFile":      {},

	"Fallocate":                  {why: "there is no space to set aside", fails: "Fallocate failed: operation not supported"},
	"FallocateKeepSize":          {why: "there is no space to set aside", fails: "operation not supported"},
	"FcntlFlockLocksFile":        {why: "the kernel keeps the locks itself, and as POSIX has it those of one process are not in its own way", fails: "FcntlFlock returned <nil>, expected EAGAIN"},
	"FstatDeleted":               {why: "no file can be made", fails: "/0: operation not permitted"},
	"Link":                       {why: "no file can be made", fails: "/target: operation not permitted"},
	"LinkUnlinkRename":           {why: "no file can be made", fails: "/tmpfile: operation not permitted"},
	"NlinkZero":                  {why: "no file can be made", fails: "/src: operation not permitted"},
	"OpenAt":                     {why: "names stay", fails: "/dir2: operation not permitted"},
	"OpenSymlinkRace":            {why: "no file can be made", fails: "operation not permitted"},
	"ReadDirBasic":               {why: "no file can be made", fails: "operation not permitted"},
	"RenameOpenDir":              {why: "names stay", fails: "Rename: operation not permitted"},
	"RenameOverwriteDestExist":   {why: "no file can be made", fails: "/dir/renamed: operation not permitted"},
	"RenameOverwriteDestNoExist": {why: "names stay", fails: "/dir/renamed: operation not permitted"},
	"SetattrSymlink":             {why: "there are no links", fails: "symlink: symlink doesnotexist"},
	"SymlinkReadlink":            {why: "there are no links", fails: "Symlink: symlink /foobar"},
	"Tmpfile":                    {why: "no file can be made", skips: true},
	"XAttr":                      {why: "no attribute can be set", fails: "Setxattr: operation not supported"},
	"XAttrLarge":                 {why: "no attribute can be set", skips: true},
}

// TestPosix runs go-fuse's posixtest where it applies. Of the rest it sees to it
// that it does not.
func TestPosix(t *testing.T) {
	need(t)
	for name := range posixCases {
		if posixtest.All[name] == nil {
			t.Errorf("posixtest has no case %s", name)
		}
	}
	for name, run := range posixtest.All {
		c, listed := posixCases[name]
		t.Run(name, func(t *testing.T) {
			switch {
			case !listed:
				t.Error("the table says neither that this case applies, nor why it does not")
			case c.fails != "":
				t.Log("cannot apply: ", c.why)
				fstest.MustFail(t, "^TestPosixCase$/^"+name+"$", c.fails)
			default:
				defer func() {
					if t.Skipped() != c.skips {
						t.Errorf("it skips itself: %v; the table says %v", t.Skipped(), c.skips)
					}
				}()
				run(t, mountCabinet(t))
			}
		})
	}
}

// TestPosixCase is for TestPosix to start.
func TestPosixCase(t *testing.T) {
	if !fstest.InChild() {
		t.Skip("TestPosix runs this, to see it fail")
	}
	for name, run := range posixtest.All {
		t.Run(name, func(t *testing.T) { run(t, mountCabinet(t)) })
	}
}

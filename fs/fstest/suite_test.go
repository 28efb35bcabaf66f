package fstest

import (
	"testing"

	"warren/fs/sys"
)

func TestLocal(t *testing.T) {
	Run(t, func(_ *testing.T, tree *Tree, u *sys.User) Access { return Local(tree.Root, u) })
}

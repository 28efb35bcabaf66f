package cc

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"warren/fs/sys"
)

//go:embed lib
var files embed.FS

// hash names a content.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// library returns the directory of our headers, linker script and start-up
// code in the user's cache, and makes it if it is not there.
func library() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", sys.Errorf(syscall.ENOENT, "where to keep headers? %v", err)
	}
	lib, err := fs.Sub(files, "lib")
	if err != nil {
		return "", err
	}
	var parts []string
	err = fs.WalkDir(lib, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(lib, name)
		parts = append(parts, name, string(text))
		return err
	})
	if err != nil {
		return "", err
	}
	return put(lib, filepath.Join(cache, "warren"), "cc-"+hash(parts...))
}

// put copies files into dir/name unless they are there; who looks sees all of
// them or none.
func put(lib fs.FS, dir, name string) (string, error) {
	to := filepath.Join(dir, name)
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := errors.Join(os.Chmod(tmp, 0o755), os.CopyFS(filepath.Join(tmp, name), lib)); err != nil {
		return "", err
	}
	err = os.Rename(filepath.Join(tmp, name), to)
	if _, there := os.Stat(to); there == nil { // by us, or by somebody at the same time
		return to, nil
	}
	return "", err
}

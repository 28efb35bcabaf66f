package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio" // the format of an initramfs
	"github.com/u-root/u-root/pkg/ldd"  // the shared libraries of a program
)

// An image is an initramfs in the making: the first file of a path stays.
type image struct {
	records []cpio.Record
	have    map[string]bool
}

// writeImage writes the initramfs of a guest to name. dir is for what is
// built for it.
func writeImage(ctx context.Context, name, dir string, k kernel, o Options) error {
	im := image{have: map[string]bool{}}
	for _, add := range []func() error{
		func() error { return im.addSystem(o) },
		func() error { return im.addBuilt(ctx, dir) },
		func() error { return im.addModules(k, o.Modules) },
		func() error { return im.addPrograms(o.Programs) },
		func() error { return im.addBusybox(ctx) },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	var buf bytes.Buffer
	w := cpio.NewDedupWriter(cpio.Newc.Writer(&buf))
	if err := cpio.WriteRecords(w, im.records); err != nil {
		return err
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return err
	}
	return os.WriteFile(name, buf.Bytes(), 0o600)
}

// add adds a record, and the directories that it is in.
func (im *image) add(r cpio.Record) {
	r.Name = strings.TrimPrefix(path.Clean(r.Name), "/")
	if im.have[r.Name] {
		return
	}
	im.have[r.Name] = true
	if dir := path.Dir(r.Name); dir != "." {
		im.add(cpio.Directory(dir, 0o755))
	}
	im.records = append(im.records, r)
}

// addSystem adds what is text, and what the kernel needs to begin.
func (im *image) addSystem(o Options) error {
	im.add(cpio.StaticFile("script", shellScript(o.Script), 0o755))
	if o.Stuck != "" {
		im.add(cpio.StaticFile("stuck", shellScript(o.Stuck), 0o755))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Files)) {
		im.add(cpio.StaticFile(name, string(o.Files[name]), 0o755))
	}
	im.add(cpio.CharDev("dev/console", 0o600, 5, 1))
	for _, dir := range []string{"proc", "sys", "run", "tmp", "mnt", "root", "sbin", "usr/bin", "usr/sbin"} {
		im.add(cpio.Directory(dir, 0o755))
	}
	im.add(cpio.StaticFile("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/tmp:/bin/sh\nbob:x:1001:1001::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644))
	im.add(cpio.StaticFile("etc/group", "root:x:0:\nalice:x:1000:\nbob:x:1001:\nnogroup:x:65534:\n", 0o644))
	im.add(cpio.StaticFile("etc/hosts", "127.0.0.1 localhost\n", 0o644))
	return nil
}

func shellScript(text string) string {
	if strings.HasPrefix(text, "#!") {
		return text
	}
	return "#!/bin/sh\n" + text
}

// addBuilt builds warren and the first process and adds them.
func (im *image) addBuilt(ctx context.Context, dir string) error {
	if err := Build(ctx, dir, "warren/tools/warren", "warren/tools/guest/init"); err != nil {
		return err
	}
	for from, to := range map[string]string{"warren": "bin/warren", "init": "init"} {
		if err := im.addFile(filepath.Join(dir, from), to); err != nil {
			return err
		}
	}
	im.add(cpio.Symlink("bin/relay", "/init"))
	return nil
}

// Build puts the programs of these packages into dir as they are in guests:
// without cgo, so that they need no libraries.
func Build(ctx context.Context, dir string, packages ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// addFile adds a program of the host.
func (im *image) addFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	im.add(cpio.StaticFile(to, string(content), 0o755))
	return nil
}

func (im *image) addModules(k kernel, more []string) error {
	modules, err := k.loadOrder(slices.Concat(defaultModules, more))
	if err != nil {
		return err
	}
	for i, m := range modules {
		im.add(cpio.StaticFile(fmt.Sprintf("lib/guest/%03d-%s.ko", i, m.name), string(m.code), 0o644))
	}
	return nil
}

func (im *image) addPrograms(names []string) error {
	for _, name := range names {
		file, err := findProgram(name)
		if err != nil {
			return err
		}
		files, err := ldd.FList(file)
		if err != nil {
			return err
		}
		for _, file := range append(files, file) {
			if err := im.addFile(file, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// addBusybox adds busybox under all its names that are not taken: as the
// last it leaves those to the host's programs. Its shell prefers what is in
// busybox to what is on the path, so sh is rather dash where that is in the image.
func (im *image) addBusybox(ctx context.Context) error {
	if err := im.addPrograms([]string{"busybox"}); err != nil {
		return err
	}
	file, err := findProgram("busybox")
	if err != nil {
		return err
	}
	list, err := exec.CommandContext(ctx, file, "--list").Output()
	if err != nil {
		return err
	}
	if dash, err := findProgram("dash"); err == nil && im.have[strings.TrimPrefix(dash, "/")] {
		im.add(cpio.Symlink("bin/sh", dash))
	}
	for name := range strings.FieldsSeq(string(list)) {
		if !im.have["usr/bin/"+name] {
			im.add(cpio.Symlink("bin/"+name, file))
		}
	}
	im.add(cpio.Symlink("bin/busybox", file))
	return nil
}

// findProgram finds a program on the path, or where administrators' are.
func findProgram(name string) (string, error) {
	file, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(file)
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return file, nil
		}
	}
	return "", errors.Unwrap(fmt.Errorf("%s: %w", name, err))
}

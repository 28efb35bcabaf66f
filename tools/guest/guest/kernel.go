package guest

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A kernel is an image that QEMU boots, and the folder of its modules.
type kernel struct {
	version string // as in 6.1.0-56-amd64
	image   string
	modules string // …/lib/modules/VERSION
}

// kernelPackage is Debian's package that depends on the current kernel.
const kernelPackage = "linux-image-amd64"

// cacheDir is where Fetch puts what it fetches.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "warren", "guest"), nil
}

// findKernel returns the newest kernel that was fetched, else the newest that
// is installed.
func findKernel() (kernel, error) {
	var roots []string
	if cache, err := cacheDir(); err == nil {
		roots = append(roots, cache)
	}
	for _, root := range append(roots, "/") {
		images, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
		slices.Reverse(images)
		for _, image := range images {
			k := kernel{version: strings.TrimPrefix(filepath.Base(image), "vmlinuz-"), image: image}
			if plain := filepath.Join(filepath.Dir(image), "vmlinux-"+k.version); readable(plain) {
				k.image = plain
			}
			for _, lib := range []string{"lib", "usr/lib"} {
				k.modules = filepath.Join(root, lib, "modules", k.version)
				if readable(k.image) && readable(filepath.Join(k.modules, "kernel")) {
					return k, nil
				}
			}
		}
	}
	return kernel{}, errors.New("a Linux kernel (run \"go run ./tools/guest -fetch\", or as root \"apt-get install " + kernelPackage + "\")")
}

func readable(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Fetch brings Debian's kernel for guests into the user's cache directory with
// apt-get, unless there is a kernel already. It needs no root and changes
// nothing else: no package is installed.
func Fetch(ctx context.Context) error {
	if _, err := findKernel(); err == nil {
		return nil
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name, err := currentKernel(ctx)
	if err != nil {
		return err
	}
	get := exec.CommandContext(ctx, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name)
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s (does \"apt-get update\" help?)", get, err, out)
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(packages) != 1 {
		return fmt.Errorf("%s: got %d packages", get, len(packages))
	}
	if err := unpack(ctx, packages[0], dir); err != nil {
		return err
	}
	if err := decompress(ctx, filepath.Join(dir, "boot")); err != nil {
		return err
	}
	// The image comes last: a kernel is there when its image is.
	for _, part := range []string{"lib/modules", "usr/lib/modules", "boot"} {
		if err := moveAll(filepath.Join(dir, part), filepath.Join(cache, part)); err != nil {
			return err
		}
	}
	_, err = findKernel()
	return err
}

// currentKernel asks apt for the package that kernelPackage stands for.
func currentKernel(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-cache", "depends", "--important", kernelPackage)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", fmt.Errorf("apt knows no %s (does \"apt-get update\" help?)", kernelPackage)
}

// unpack writes what guests may need of a kernel's package below dir.
func unpack(ctx context.Context, deb, dir string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = untar(tar.NewReader(pipe), dir)
	if err != nil {
		pipe.Close()
	}
	return errors.Join(err, cmd.Wait())
}

// decompress puts the kernel itself, an ELF file that QEMU can enter as well,
// beside its compressed image: xz takes seconds in software emulation.
// Kernels that are compressed otherwise stay as they are.
func decompress(ctx context.Context, dir string) error {
	images, _ := filepath.Glob(filepath.Join(dir, "vmlinuz-*"))
	for _, image := range images {
		content, err := os.ReadFile(image)
		if err != nil {
			return err
		}
		at := bytes.Index(content, []byte("\xfd7zXZ\x00"))
		if at < 0 {
			continue
		}
		cmd := exec.CommandContext(ctx, "xz", "-dc", "--single-stream")
		cmd.Stdin = bytes.NewReader(content[at:])
		plain, err := cmd.Output()
		if err != nil || !bytes.HasPrefix(plain, []byte(elf.ELFMAG)) {
			continue
		}
		if err := os.WriteFile(strings.Replace(image, "vmlinuz-", "vmlinux-", 1), plain, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func untar(r *tar.Reader, dir string) error {
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case h.Typeflag != tar.TypeReg || !wanted(path.Clean(h.Name)):
			continue
		}
		if err := writeFile(filepath.Join(dir, path.Clean("/"+h.Name)), r); err != nil {
			return err
		}
	}
}

// wanted tells the image and the modules that a virtual machine may need from
// the drivers of real ones, which are most of the package.
func wanted(name string) bool {
	if strings.HasPrefix(name, "boot/vmlinuz-") {
		return true
	}
	_, module, ok := strings.Cut(name, "lib/modules/")
	if !ok {
		return false
	}
	_, module, _ = strings.Cut(module, "/") // the version
	if !strings.HasPrefix(module, "kernel/") {
		return true
	}
	for _, folder := range []string{"arch", "block", "crypto", "fs", "lib", "mm", "net/9p", "net/vmw_vsock", "drivers/block", "drivers/char", "drivers/vhost", "drivers/virtio"} {
		if strings.HasPrefix(module, "kernel/"+folder+"/") {
			return true
		}
	}
	return false
}

func writeFile(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// moveAll moves what is in a folder, if there is one, over to another.
func moveAll(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		target := filepath.Join(to, e.Name())
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, e.Name()), target); err != nil {
			return err
		}
	}
	return nil
}
